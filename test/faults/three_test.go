package faults

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/slipway-hq/slipway/gen/slipway/api/v1/apiv1connect"
	"github.com/slipway-hq/slipway/sandbox"
	"github.com/slipway-hq/slipway/test/internal/world"

	apiv1 "github.com/slipway-hq/slipway/gen/slipway/api/v1"
)

// threeOf is a world with three of each service over one NATS server.
func threeOf(t *testing.T, options ...world.Option) *world.Fleet {
	t.Helper()
	w := world.New(t, options...)
	w.Configure(w.Pipelines(pipelines(w)))
	w.NATS()
	return w.Fleet(3)
}

// retries are Slack's three, without its pauses.
func retries(c *sandbox.Config) { c.EventRetries = []time.Duration{0, 0, 0} }

// mention asks for a run in a message; the version tells one from the other. It
// returns when the first delivery has failed or succeeded.
func mention(f *world.Fleet, version string) {
	f.T.Helper()
	channel := world.Rooms[rand.N(3)] //nolint:gosec // any will do
	if _, err := f.Slack.Post(context.Background(), sandbox.UserRequester, channel, "@slipway deploy quick@"+version+" to staging", ""); err != nil {
		f.T.Error(err)
	}
}

// once waits until each mention has its run, and checks that it has one alone, and
// one card.
func once(f *world.Fleet, mentions int) {
	f.T.Helper()
	var runs []*apiv1.Run
	f.Eventually("the end of a run for each mention", func() bool {
		runs = f.All()
		unfinished := func(r *apiv1.Run) bool { return !world.Terminal(r.GetStatus()) }
		return len(runs) >= mentions && !slices.ContainsFunc(runs, unfinished)
	})
	if len(runs) != mentions {
		f.T.Errorf("%d mentions made %d runs", mentions, len(runs))
	}
	f.Judge(runs, nil)
	for _, r := range runs {
		f.JudgeCard(r)
	}
}

// TestAnEventGoesToAnotherReplicaWhenItsOwnDied kills the replica that got an
// event: at any moment of its work, or when it had stored the request and answered,
// but its answer did not arrive. Slack repeats, and another replica gets that.
func TestAnEventGoesToAnotherReplicaWhenItsOwnDied(t *testing.T) {
	t.Parallel()
	f := threeOf(t, world.Stand(retries))
	const each = 8
	var restarts sync.WaitGroup
	again := func(i int) {
		f.Kill(world.Ingress, i)
		f.Start(world.Ingress, i)
	}
	for n := range each { // between the durable store and the acknowledgement
		var once sync.Once
		f.Doors.Lose(func(replica string) (lost bool) {
			once.Do(func() {
				i, ok := f.Find(world.Ingress, replica)
				if !ok {
					t.Errorf("nobody listens at %s", replica)
					return
				}
				lost = true
				restarts.Go(func() { again(i) })
			})
			return lost
		})
		mention(f, fmt.Sprint("stored-", n))
		restarts.Wait()
	}
	f.Doors.Lose(nil)
	for n := range each { // anywhere
		victim := n % 3
		restarts.Go(func() {
			<-time.After(time.Duration(n) * time.Millisecond)
			again(victim)
		})
		for i := range 3 { // one of them is the victim's
			mention(f, fmt.Sprint("anywhere-", n, "-", i))
		}
		restarts.Wait()
	}
	once(f, each+3*each)
}

// TestThreeReplicasOverSocketMode gives events to any of six connections, which
// are replaced all the time, while replicas are killed and frozen, and
// acknowledgements are lost.
func TestThreeReplicasOverSocketMode(t *testing.T) {
	t.Parallel()
	const token = "xapp-sandbox-of-three"
	f := threeOf(t, world.Env("SLACK_APP_TOKEN", token), world.Unset("SLACK_SIGNING_SECRET"), world.Stand(retries), world.Stand(func(c *sandbox.Config) {
		c.Delivery, c.AppToken, c.SocketLife, c.AckTimeout = sandbox.Socket, token, 8*time.Second, time.Second
	}))
	connected := func(n int) {
		t.Helper()
		f.Eventually(fmt.Sprint(n, " connections or more"), func() bool { return f.Slack.SocketConnections() >= n })
	}
	connected(6)
	const rounds, each = 6, 4
	total := 0
	talk := func(kind string, round int) {
		for i := range each {
			mention(f, fmt.Sprint(kind, "-", round, "-", i))
			total++
		}
	}
	for n := range rounds {
		victim := n % 3
		var restart sync.WaitGroup
		restart.Go(func() {
			<-time.After(time.Duration(2*n) * time.Millisecond)
			f.Kill(world.Ingress, victim)
			f.Start(world.Ingress, victim)
		})
		talk("killed", n)
		restart.Wait()
		connected(6)
	}
	f.Slack.Faults().Set(sandbox.Fault{Kind: sandbox.LostAfter, Method: sandbox.DeliverEvent, Times: each})
	talk("lost", 0)
	for n := range 3 { // what went to a frozen one is repeated to another, and done once though it thaws
		f.At(world.Ingress, n).Freeze()
		talk("frozen", n)
		f.At(world.Ingress, n).Thaw()
	}
	if v := f.Slack.Violations(); len(v) > 0 {
		t.Errorf("Slack objects: %q", v)
	}
	once(f, total)
}

// clients are one of each orchestrator, past the balancer.
func clients(f *world.Fleet) (out []apiv1connect.RunServiceClient, lanes []apiv1connect.LaneServiceClient) {
	for i := range f.Replicas[world.Orchestrator] {
		url := f.At(world.Orchestrator, i).URL()
		out = append(out, apiv1connect.NewRunServiceClient(http.DefaultClient, url))
		lanes = append(lanes, apiv1connect.NewLaneServiceClient(http.DefaultClient, url))
	}
	return out, lanes
}

// TestAClientReadsItsOwnWritesAtAnyReplica writes at one orchestrator and reads at
// every other one, at once.
func TestAClientReadsItsOwnWritesAtAnyReplica(t *testing.T) {
	t.Parallel()
	f := threeOf(t)
	runs, lanes := clients(f)
	ctx := t.Context()
	var group sync.WaitGroup
	for writer, at := range runs {
		group.Go(func() {
			for n := range 10 {
				answer, err := at.StartRun(ctx, &apiv1.StartRunRequest{Service: "held", Environment: "staging", Version: fmt.Sprint("own-", writer, "-", n)})
				if err != nil {
					t.Error(err)
					return
				}
				run := answer.GetRun()
				for i := range runs {
					read(t, runs[i], lanes[i], run, func(r *apiv1.Run) bool { return !world.Terminal(r.GetStatus()) })
				}
				cancelled, err := runs[(writer+1)%3].CancelRun(ctx, &apiv1.CancelRunRequest{Id: run.GetId()})
				if err != nil {
					t.Error(err)
					return
				}
				for i := range runs {
					read(t, runs[i], lanes[i], cancelled.GetRun(), func(r *apiv1.Run) bool {
						return r.GetCancelling() || r.GetStatus() == apiv1.RunStatus_RUN_STATUS_CANCELLED
					})
				}
			}
		})
	}
	group.Wait()
}

// read asks one replica for what another one has told, in every way there is.
func read(t *testing.T, at apiv1connect.RunServiceClient, lanes apiv1connect.LaneServiceClient, told *apiv1.Run, ok func(*apiv1.Run) bool) {
	ctx, least := t.Context(), told.GetSequence()
	one, err := at.GetRun(ctx, &apiv1.GetRunRequest{Id: told.GetId(), MinSequence: least})
	if err != nil || one.GetRun().GetSequence() < least || !ok(one.GetRun()) {
		t.Errorf("GetRun from %d: %v, %v", least, one, err)
	}
	all, err := at.ListRuns(ctx, &apiv1.ListRunsRequest{MinSequence: least, PageSize: 200})
	if err != nil {
		t.Error(err)
		return
	}
	if i := slices.IndexFunc(all.GetRuns(), func(r *apiv1.Run) bool { return r.GetId() == told.GetId() }); i < 0 || !ok(all.GetRuns()[i]) {
		t.Errorf("ListRuns from %d does not show it", least)
	}
	if l, err := lanes.ListLanes(ctx, &apiv1.ListLanesRequest{MinSequence: least}); err != nil || l.GetSequence() < least {
		t.Errorf("ListLanes from %d: %d, %v", least, l.GetSequence(), err)
	}
	stream, err := at.WatchRun(ctx, &apiv1.WatchRunRequest{Id: told.GetId(), AfterSequence: least - 1})
	if err != nil {
		t.Error(err)
		return
	}
	defer func() { _ = stream.Close() }()
	if !stream.Receive() || stream.Msg().GetRun().GetSequence() < least {
		t.Errorf("WatchRun from %d: %v, %v", least, stream.Msg(), stream.Err())
	}
}

// TestTheDispatchersOfficeIsTakenOver ends the orchestrator that dispatches, again
// and again. Slack waits three seconds, so no slot may be given later than that.
func TestTheDispatchersOfficeIsTakenOver(t *testing.T) {
	t.Parallel()
	f := threeOf(t)
	end := map[string]func(string, int){"killed": f.Kill, "stopped": f.Stop}
	limit := map[string]time.Duration{"killed": 3 * time.Second, "stopped": time.Second}
	for how, end := range end {
		var took []time.Duration
		for n := range 3 {
			i := f.Holder("dispatcher", world.Orchestrator)
			begun := time.Now()
			end(world.Orchestrator, i)
			if how == "stopped" {
				begun = time.Now() // until then it dispatched itself
			}
			id := f.Deploy("quick", "staging", "", fmt.Sprint(how, n))
			f.Await(id, "its start", func(r *apiv1.Run) bool { return r.GetStarted() != nil })
			took = append(took, time.Since(begun).Round(time.Millisecond))
			f.Succeeded(id)
			f.Start(world.Orchestrator, i)
		}
		slices.Sort(took)
		t.Logf("%s: %v until a run started", how, took)
		if took[1] > limit[how] { // one of three may have met a busy machine
			t.Errorf("%s: a run had to wait for %v", how, took)
		}
	}
	f.Judge(f.All(), nil)
}

// TestTwoDispatchersAtOnceAreHarmless freezes the one that dispatches until
// another one has the office, and thaws it in the middle of what it did: until it
// has looked at its lease both dispatch.
func TestTwoDispatchersAtOnceAreHarmless(t *testing.T) {
	t.Parallel()
	f := threeOf(t)
	stop := make(chan struct{})
	var people sync.WaitGroup
	for who := range 3 {
		people.Go(func() {
			for n := 0; ; n++ {
				select {
				case <-stop:
					return
				case <-time.After(100 * time.Millisecond):
				}
				environment := []string{"staging", "qa"}[n%2]
				key := fmt.Sprint("two-", who, "-", n)
				for { // a call may be at the one that is frozen
					ctx, cancel := context.WithTimeout(context.Background(), time.Second)
					_, err := f.Runs.StartRun(ctx, &apiv1.StartRunRequest{Service: "quick", Environment: environment, IdempotencyKey: key})
					cancel()
					if err == nil {
						break
					}
					if !world.Away(err) {
						t.Error(err)
						return
					}
				}
			}
		})
	}
	for range 4 {
		i := f.Holder("dispatcher", world.Orchestrator)
		old := f.At(world.Orchestrator, i)
		old.Freeze()
		f.Eventually("another dispatcher", func() bool { return f.Holder("dispatcher", world.Orchestrator) != i })
		old.Thaw()
		old.Said("office lost")
	}
	close(stop)
	people.Wait()
	var runs []*apiv1.Run
	f.Eventually("the end of every run", func() bool {
		runs = f.All()
		return !slices.ContainsFunc(runs, func(r *apiv1.Run) bool { return !world.Terminal(r.GetStatus()) })
	})
	t.Logf("%d runs", len(runs))
	f.Judge(runs, nil)
}

// TestNotifiersTakeOverInTheMiddleOfPosts ends the notifier that works while many
// cards wait for their turn: Slack takes one message a second in a channel.
func TestNotifiersTakeOverInTheMiddleOfPosts(t *testing.T) {
	t.Parallel()
	f := threeOf(t)
	const queued = 9
	var ids []string
	for n := range queued { // one runs, the others wait, so that all cards are due
		ids = append(ids, f.Ask(fmt.Sprintf("held@post%d to staging", n)))
	}
	const kills = 2
	for n := range kills {
		f.Eventually("some more cards", func() bool { return len(posted(f, ids)) >= 2+2*n })
		i := f.Holder("notifier", world.Notifier)
		if n%2 == 0 {
			f.Kill(world.Notifier, i)
		} else {
			f.Stop(world.Notifier, i)
		}
		f.Start(world.Notifier, i)
	}
	f.Eventually("all cards", func() bool { return len(posted(f, ids)) == queued })
	if n := displaced(posted(f, ids), ids); n > 1 { // a kill between the note of a post and the post itself: that one is looked for first
		t.Errorf("the cards are in the order %v, people asked in the order %v", posted(f, ids), ids)
	}
	for n := range queued {
		f.Open(fmt.Sprint("post", n))
	}
	for _, id := range ids {
		r := f.Succeeded(id)
		f.JudgeCard(r)
		inOrder(f, r)
	}
}

// posted are the runs of the cards in the channel where people ask, as they stand
// there.
func posted(f *world.Fleet, ids []string) (out []string) {
	for _, m := range f.Slack.AllMessages(sandbox.ChannelDeploys) {
		if mark := world.MarkOf(m); mark.Milestone == "card" && slices.Contains(ids, mark.Run) {
			out = append(out, mark.Run)
		}
	}
	return out
}

// displaced is how many have to be taken out for the rest to be in order.
func displaced(got, want []string) int {
	longest := make([]int, len(got)) // that ends with this one
	top := 0
	for i := range got {
		longest[i] = 1
		for j := range i {
			if slices.Index(want, got[j]) < slices.Index(want, got[i]) {
				longest[i] = max(longest[i], longest[j]+1)
			}
		}
		top = max(top, longest[i])
	}
	return len(got) - top
}

// inOrder checks that a thread tells the story of its run forwards.
func inOrder(f *world.Fleet, r *apiv1.Run) {
	f.T.Helper()
	card := f.Cards(r.GetId())[0]
	var told []string
	for _, m := range f.Slack.Thread(card.Channel, card.TS) {
		if mark := world.MarkOf(m); mark.Milestone != "" {
			told = append(told, mark.Milestone)
		}
	}
	if len(told) < 2 || told[0] != "card" || told[len(told)-1] != "ended" {
		f.T.Errorf("the thread of %s tells %s", r.GetId(), strings.Join(told, ", "))
	}
}
