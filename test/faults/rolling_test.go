package faults

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/slipway-hq/slipway/sandbox"
	"github.com/slipway-hq/slipway/test/internal/world"

	apiv1 "github.com/slipway-hq/slipway/gen/slipway/api/v1"
)

// election is how long a cluster may take to choose a new leader: nine seconds
// until a follower stands for it at the latest, and one to be heard. No command
// may be refused for longer than that, whatever is being replaced.
const election = 10 * time.Second

// TestRollingRestart replaces every replica of every service and every NATS
// server, one at a time, while people and programs go on asking and watching.
func TestRollingRestart(t *testing.T) {
	t.Parallel()
	w := world.New(t)
	nodes := w.Cluster()
	l := newLoad(w)
	l.fleet = w.Fleet(3)
	l.begin()
	for _, name := range []string{world.Ingress, world.Orchestrator, world.Notifier, world.Runner} {
		for i := range l.fleet.Replicas[name] {
			p := l.fleet.At(name, i)
			before := time.Now()
			l.fleet.Stop(name, i)
			l.fleet.Start(name, i)
			t.Logf("%s %d was replaced in %s", name, i, time.Since(before).Round(time.Millisecond))
			if world.Alive(p.PID()) {
				t.Errorf("the old %s lives", name)
			}
		}
	}
	for _, n := range nodes {
		before := time.Now()
		n.Stop()
		n.Start()
		w.Whole()
		t.Logf("NATS server %s was replaced and has everything again after %s", n.Name, time.Since(before).Round(time.Millisecond))
	}
	l.end()
	l.check()
}

// load is people and programs that go on asking.
type load struct {
	*world.World
	fleet *world.Fleet
	over  chan struct{}
	busy  sync.WaitGroup

	mu       sync.Mutex
	accepted map[string]bool          // runs
	asked    int                      // slash commands, each of which may have made a run
	refused  map[string]time.Duration // by door, the longest time in which a command was not accepted
}

// marathons are runs that last as long as the load, in many short steps: as many
// as a plan holds.
const (
	marathons = 3
	laps      = 40
	// marathon is longer than any of them may take.
	marathon = 5 * world.Patience
)

func newLoad(w *world.World) *load {
	l := &load{World: w, over: make(chan struct{}), accepted: map[string]bool{}, refused: map[string]time.Duration{}}
	pipelines := map[string][]world.Map{"quick": {w.Shared("one", ""), w.Shared("two", ""), w.Shared("three", "")}}
	for i := range marathons {
		var steps []world.Map
		for n := range laps {
			steps = append(steps, w.Step(fmt.Sprint("lap", n), fmt.Sprintf("for i in $(seq 40); do test -e %s/gate.home && break; sleep 0.05; done", w.Dir)))
		}
		pipelines[fmt.Sprint("marathon", i)] = steps
	}
	config := w.Pipelines(pipelines)
	config["lanes"] = world.Map{"quick/staging": world.Map{"concurrency": wide}}
	w.Configure(config)
	return l
}

// wide is the limit of the lane in which the quick runs are.
const wide = 4

func (l *load) begin() {
	for i := range marathons {
		id := l.Deploy(fmt.Sprint("marathon", i), "staging", "", "")
		l.promised(id)
		l.busy.Go(func() { l.watch(id) })
		l.busy.Go(func() { l.follow(id) })
	}
	l.busy.Go(func() { l.people("api", l.callAPI) })
	l.busy.Go(func() { l.people("slack", l.callSlack) })
}

// end lets everybody finish.
func (l *load) end() {
	close(l.over)
	l.Open("home")
	l.busy.Wait()
}

// askEvery is the pause between two commands of one door.
const askEvery = 250 * time.Millisecond

// people ask again and again, and each command until it is accepted.
func (l *load) people(door string, ask func(n int) (id string, accepted bool)) {
	for n := 0; ; n++ {
		select {
		case <-l.over:
			return
		case <-time.After(askEvery):
		}
		for begun := time.Now(); ; {
			id, accepted := ask(n)
			l.mu.Lock()
			l.refused[door] = max(l.refused[door], time.Since(begun))
			l.mu.Unlock()
			if accepted {
				l.promised(id)
				break
			}
			if time.Since(begun) > world.Patience {
				l.T.Errorf("%s accepts nothing any more", door)
				return
			}
		}
	}
}

func (l *load) promised(id string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.accepted[id] = true
}

// callAPI asks with a key, so that asking again means the same.
func (l *load) callAPI(n int) (string, bool) {
	r, err := l.TryDeploy("quick", "staging", fmt.Sprint("api-", n), fmt.Sprint("rolling-", n))
	if err != nil && !world.Away(err) {
		l.T.Errorf("the API refuses: %v", err)
	}
	return r.GetId(), err == nil
}

// callSlack types a command; who is told that it was not accepted types again.
func (l *load) callSlack(n int) (string, bool) {
	l.mu.Lock()
	l.asked++
	l.mu.Unlock()
	d, err := l.Slack.SlashCommand(context.Background(), sandbox.UserRequester, world.Rooms[n%len(world.Rooms)], "/deploy", fmt.Sprintf("quick@slack-%d to staging", n))
	if err != nil || !d.OK() || d.Body == "" {
		return "", false
	}
	words, public := l.Words(d)
	return world.IDIn(words), public
}

// watch is a terminal in which the command line follows a run to its end.
func (l *load) watch(id string) {
	p := world.Command(l.T, l.Dir, "watch", id, "--server", l.fleet.API.URL)
	select { // it lasts as long as the load
	case <-p.Gone():
	case <-time.After(marathon):
	}
	if code := p.ExitCode(); code != 0 {
		l.T.Errorf("slipway watch %s ended with %d:\n%s", id, code, p.Output())
	}
}

// follow is a program that takes its stream up again by sequence: it must see the
// run go forward alone, and to its end.
func (l *load) follow(id string) {
	var last *apiv1.Run
	for deadline := time.Now().Add(marathon); !world.Terminal(last.GetStatus()); {
		if time.Now().After(deadline) {
			l.T.Errorf("the stream of %s never told its end", id)
			return
		}
		last = l.stream(id, last)
	}
}

func (l *load) stream(id string, last *apiv1.Run) *apiv1.Run {
	after := last.GetSequence()
	stream, err := l.Runs.WatchRun(context.Background(), &apiv1.WatchRunRequest{Id: id, AfterSequence: after})
	if err == nil {
		defer func() { _ = stream.Close() }()
		for stream.Receive() {
			r := stream.Msg().GetRun()
			if r.GetSequence() < after {
				l.T.Errorf("%s: after %d the stream tells of %d", id, after, r.GetSequence())
			}
			last, after = r, r.GetSequence()
		}
		err = stream.Err()
	}
	if err != nil && !world.Away(err) {
		l.T.Errorf("the stream of %s, from %d: %v", id, after, err)
	}
	return last
}

// check compares what was promised with what there is.
func (l *load) check() {
	l.T.Helper()
	l.T.Logf("longest time in which a command was not accepted: %v", l.refused)
	for door, longest := range l.refused {
		if longest > election {
			l.T.Errorf("%s accepted nothing for %s", door, longest)
		}
	}
	var runs []*apiv1.Run
	l.Eventually("the end of every run", func() bool {
		runs = l.All()
		return !slices.ContainsFunc(runs, func(r *apiv1.Run) bool { return !world.Terminal(r.GetStatus()) })
	})
	l.T.Logf("%d runs", len(runs))
	ids := map[string]bool{}
	typed := 0
	for _, r := range runs {
		ids[r.GetId()] = true
		if strings.HasPrefix(r.GetVersion(), "slack-") {
			typed++
		}
		if r.GetStatus() != apiv1.RunStatus_RUN_STATUS_SUCCEEDED {
			l.T.Errorf("%s is %s: %s", r.GetId(), r.GetStatus(), r.GetReason())
		}
	}
	if typed > l.asked {
		l.T.Errorf("%d commands made %d runs", l.asked, typed)
	}
	for id := range l.accepted {
		if !l.has(ids, id) {
			l.T.Errorf("%s was accepted and is lost", id)
		}
	}
	begun := map[string]int{}
	for _, e := range l.Effects() {
		if e.Kind == "start" {
			begun[e.Run+" "+e.Step]++
		}
	}
	for step, n := range begun {
		if n != 1 {
			l.T.Errorf("step %s ran %d times", step, n)
		}
	}
	l.Judge(runs, map[string]int{"quick/staging": wide})
	for _, r := range runs {
		if strings.HasPrefix(r.GetVersion(), "slack-") {
			l.JudgeCard(r)
		}
	}
}

// has finds a run by its id or, as Slack shows it, its beginning.
func (l *load) has(ids map[string]bool, id string) bool {
	if ids[id] {
		return true
	}
	for full := range ids {
		if strings.HasPrefix(full, id) {
			return true
		}
	}
	return false
}
