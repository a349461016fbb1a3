package board_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"
	"pgregory.net/rapid"

	"github.com/slipway-hq/slipway/domain/board"
	"github.com/slipway-hq/slipway/domain/identity"
	"github.com/slipway-hq/slipway/domain/lane"
	"github.com/slipway-hq/slipway/domain/roster"
	"github.com/slipway-hq/slipway/domain/run"
	eventv1 "github.com/slipway-hq/slipway/gen/slipway/event/v1"
)

// world drives a board with what the pure rooms decide.
type world struct {
	board    *board.Board
	sequence uint64
	now      time.Time
	history  []func(*board.Board)
	ids      []string
}

func newWorld() *world {
	return &world{board: board.New(), now: time.Date(2026, 1, 2, 10, 0, 0, 0, time.UTC)}
}

func (w *world) commit(events []*eventv1.Event, fold func(*board.Board, uint64, *eventv1.Commit)) {
	w.sequence++
	at, c := w.sequence, &eventv1.Commit{Events: events, Time: timestamppb.New(w.now), Actor: &eventv1.Principal{Kind: eventv1.Principal_KIND_SLACK_USER, User: "U1"}}
	step := func(b *board.Board) { fold(b, at, c) }
	step(w.board)
	w.history = append(w.history, step)
}

func (w *world) run(id string, c run.Command) error {
	var s run.State
	if l, ok := w.board.Live(id); ok {
		s = l.State
	}
	events, err := run.Decide(s, c)
	if err != nil || len(events) == 0 {
		return err
	}
	w.commit(events, func(b *board.Board, at uint64, c *eventv1.Commit) { b.FoldRun(id, at, c) })
	return nil
}

func (w *world) request(name, laneName string, priority int32) string {
	id := identity.RunID(identity.Deployment, name)
	err := w.run(id, run.Request{Event: &eventv1.RunRequested{
		Run: id, Identity: name, Service: "checkout", Environment: "production", Version: name,
		Plan: &eventv1.Plan{
			Lane: laneName, Pool: "default", Priority: priority, LaneSettings: &eventv1.LaneSettings{Concurrency: 2},
			Steps: []*eventv1.Step{{Name: "build", Shell: "true"}}, QueueTimeout: durationpb.New(time.Hour),
		},
	}})
	if err != nil {
		panic(err)
	}
	w.ids = append(w.ids, id)
	return id
}

// job asks for one of two jobs that share a lane, in one of the ways in which
// equal requests are treated.
func (w *world) job(name string, policy eventv1.Dedupe_Policy, job string, delay time.Duration) {
	id := identity.RunID(identity.Job, name)
	e := &eventv1.RunRequested{
		Run: id, Identity: name, Namespace: "op", Job: job,
		Plan: &eventv1.Plan{
			Lane: "a", Pool: "default", LaneSettings: &eventv1.LaneSettings{Concurrency: 2},
			Steps:  []*eventv1.Step{{Name: "run", Shell: "true"}},
			Dedupe: &eventv1.Dedupe{Policy: policy, Key: fmt.Sprint(job, policy), MaxDelay: durationpb.New(time.Hour)},
		},
	}
	if delay > 0 {
		e.StartAfter = timestamppb.New(w.now.Add(delay))
	}
	if err := w.run(id, run.Request{Event: e}); err != nil {
		panic(err)
	}
	w.ids = append(w.ids, id)
}

// hold holds or releases a job.
func (w *world) hold(t *rapid.T, name string) {
	var state lane.State
	if ln, ok := w.board.Lane("a"); ok {
		state = ln.State
	}
	job := rapid.SampledFrom([]string{"", "op/x", "op/y"}).Draw(t, "held")
	events, err := lane.SetHold(state, "a", lane.Hold{ID: name, Job: job, From: w.now, Until: w.now.Add(10 * time.Minute)}, w.now)
	if rapid.Bool().Draw(t, "release") {
		events, err = lane.ReleaseHolds(state, "a", job, "", "", w.now)
	}
	if err == nil {
		w.commit(events, (*board.Board).FoldLane)
	}
}

func (w *world) tick(laneName string) {
	ln, ok := w.board.Lane(laneName)
	if !ok {
		return
	}
	events, err := lane.Decide(ln.State, w.board.Grant(ln, ln.Settings, w.now))
	if err != nil {
		panic(err)
	}
	if len(events) > 0 {
		w.commit(events, (*board.Board).FoldLane)
	}
}

func (w *world) show(id string) board.Shown {
	l, _ := w.board.Live(id)
	return w.board.Show(l, board.World{Now: w.now})
}

// Whatever happens: who has no slot and has not ended is queued exactly once,
// in order; everything that does not run has a reason; limits hold; and a
// refold gives the same board.
func TestAnyHistoryShowsOneReasonEach(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := newWorld()
		lanes := []string{"a", "b"}
		for i := range rapid.IntRange(1, 60).Draw(t, "length") {
			w.now = w.now.Add(time.Duration(rapid.IntRange(0, 900).Draw(t, "seconds")) * time.Second)
			switch rapid.IntRange(0, 8).Draw(t, "what") {
			case 6, 7:
				policy := rapid.SampledFrom([]eventv1.Dedupe_Policy{eventv1.Dedupe_POLICY_ALL, eventv1.Dedupe_POLICY_MERGE, eventv1.Dedupe_POLICY_REJECT, eventv1.Dedupe_POLICY_NEWEST}).Draw(t, "policy")
				w.job(fmt.Sprintf("j%d", i), policy, rapid.SampledFrom([]string{"x", "y"}).Draw(t, "job"), time.Duration(rapid.IntRange(0, 900).Draw(t, "delay"))*time.Second)
			case 8:
				w.hold(t, fmt.Sprintf("h%d", i))
			case 0:
				w.request(fmt.Sprintf("r%d", i), rapid.SampledFrom(lanes).Draw(t, "lane"), int32(rapid.IntRange(-1, 1).Draw(t, "priority"))) //nolint:gosec // small
			case 1, 2:
				w.tick(rapid.SampledFrom(lanes).Draw(t, "lane"))
			default:
				w.act(t)
			}
			check(t, w)
		}
		again := board.New()
		for _, step := range w.history {
			step(again)
		}
		if d := board.Compare(w.board, again, 10); len(d) > 0 {
			t.Fatalf("refold differs: %v", d)
		}
	})
}

// act lets a runner, a person or the clock do something to one of the runs.
func (w *world) act(t *rapid.T) {
	if len(w.ids) == 0 {
		return
	}
	id := rapid.SampledFrom(w.ids).Draw(t, "run")
	l, ok := w.board.Live(id)
	if !ok {
		return
	}
	fence := l.State.Claim.Fence
	switch rapid.IntRange(0, 5).Draw(t, "act") {
	case 5:
		if y, due := w.board.Due(l); due {
			_ = w.run(id, y)
		}
	case 0:
		_ = w.run(id, run.RequestCancel{}) // refusals are part of the noise, here and below
	case 1:
		_ = w.run(id, run.Expire{Now: w.now})
	case 2:
		if l.Grant != 0 {
			_ = w.run(id, run.TakeClaim{Runner: "r", Incarnation: "r", GrantSequence: l.Grant, Now: w.now})
		}
	case 3:
		_ = w.run(id, run.FinishStep{Fence: fence, Attempt: 1, Now: w.now})
	default:
		_ = w.run(id, run.Lapse{Fence: fence, Reason: "gone", Now: w.now})
	}
}

func check(t *rapid.T, w *world) {
	queued := map[string]int{}
	w.board.Lanes(func(ln *board.Lane) {
		active := 0
		for id := range ln.Queue.Runs() {
			queued[id]++
		}
		last := lane.Unit{}
		for i, u := range ln.Queue.Units() {
			if i > 0 && (u.Priority < last.Priority || u.Priority == last.Priority && u.Start.IsZero() && last.Start.IsZero() && u.Head().Sequence < last.Head().Sequence) {
				t.Fatalf("lane %s is out of order", ln.Name)
			}
			last = u
		}
		for _, s := range ln.State.Slots {
			if !w.board.Ended(s.Run) {
				active++
			}
		}
		if active != ln.Active || active > 2 {
			t.Fatalf("lane %s: %d active, %d counted, limit 2", ln.Name, active, ln.Active)
		}
	})
	w.board.Each(func(l *board.Live) {
		s := w.show(l.State.ID)
		waits := l.Grant == 0 && !l.State.Status.Ended()
		inLine := waits && !l.Yielding() && s.StartAfter.IsZero() && s.Hold == nil
		if (waits && !l.Yielding()) != (queued[l.State.ID] == 1) || inLine != (s.Position > 0) {
			t.Fatalf("%s: waits %v, queued %d times, position %d", l.State.ID, waits, queued[l.State.ID], s.Position)
		}
		if !s.Status.Ended() && s.Status != run.Running && s.Reason == "" {
			t.Fatalf("%s is %s for no reason", l.State.ID, s.Status)
		}
		if waits != (s.Status == run.Queued) {
			t.Fatalf("%s waits %v and is shown as %s", l.State.ID, waits, s.Status)
		}
	})
}

func TestReasonsNameWhoStandsInTheWay(t *testing.T) {
	w := newWorld()
	for i := range 4 {
		w.request(fmt.Sprintf("v%d", i), "checkout/production", 0)
	}
	w.tick("checkout/production")
	for i, want := range []string{
		"waiting for a free runner of pool default",
		"waiting for a free runner of pool default",
		"next in lane checkout/production, behind " + w.board.Short(w.ids[0]) + " and " + w.board.Short(w.ids[1]),
		"number 2 in lane checkout/production, behind " + w.board.Short(w.ids[2]),
	} {
		if got := w.show(w.ids[i]).Reason; got != want {
			t.Errorf("run %d: %q, want %q", i, got, want)
		}
	}
	l, _ := w.board.Live(w.ids[0])
	none := w.board.Show(l, board.World{Now: w.now, Runners: func() ([]roster.Runner, bool) { return nil, true }})
	if !strings.HasPrefix(none.Reason, "no runner of pool default is connected") {
		t.Errorf("without a runner: %q", none.Reason)
	}
}

func TestEndedRunsStayFindable(t *testing.T) {
	w := newWorld()
	for i := range board.KeepEnded + 50 {
		id := w.request(fmt.Sprintf("v%d", i), "x", 0)
		if err := w.run(id, run.RequestCancel{Reason: "test"}); err != nil {
			t.Fatal(err)
		}
	}
	first := w.ids[0]
	if _, live := w.board.Live(first); live {
		t.Error("the oldest ended run is still kept whole")
	}
	if !w.board.Ended(first) || w.board.Count() != board.KeepEnded+50 {
		t.Errorf("ended %v, %d runs", w.board.Ended(first), w.board.Count())
	}
	if id, err := w.board.Find(strings.ToUpper(w.board.Short(first))); err != nil || id != first {
		t.Errorf("found %q, %v", id, err)
	}
	s, ok := w.board.Summary(first)
	if !ok || s.Status() != run.Cancelled || s.Version() != "v0" {
		t.Errorf("summary of %q: %s, %s", s.ID(), s.Status(), s.Version())
	}
}

func TestFindRefusesWhatIsNotOneRun(t *testing.T) {
	w := newWorld()
	id := w.request("v1", "x", 0)
	for text, want := range map[string]error{
		"d-abc":           board.ErrShortPrefix,
		"d-zzzzz":         board.ErrUnknownRun,
		"j-" + id[2:9]:    board.ErrUnknownRun,
		id[2:8]:           nil,
		" " + id + " ":    nil,
		"d-" + id[2:7]:    nil,
		"":                board.ErrShortPrefix,
		"d-" + "\x00zzzz": board.ErrUnknownRun,
	} {
		if _, err := w.board.Find(text); !errors.Is(err, want) {
			t.Errorf("%q: %v, want %v", text, err, want)
		}
	}
}

func TestShortGrowsUntilItIsUnique(t *testing.T) {
	w := newWorld()
	// Two identities whose ids share their first five characters, found once by
	// search.
	a, b := collide()
	first := w.request(a, "x", 0)
	if got := w.board.Short(first); len(got) != 2+board.MinPrefix {
		t.Errorf("alone: %s", got)
	}
	second := w.request(b, "x", 0)
	sa, sb := w.board.Short(first), w.board.Short(second)
	if sa == sb || !strings.HasPrefix(first, sa) || !strings.HasPrefix(second, sb) {
		t.Errorf("%s and %s for %s and %s", sa, sb, first, second)
	}
	if _, err := w.board.Find(first[:2+board.MinPrefix]); !errors.Is(err, board.ErrAmbiguousRun) {
		t.Errorf("shared prefix: %v", err)
	}
}

func collide() (string, string) {
	seen := map[string]string{}
	for i := 0; ; i++ {
		name := fmt.Sprintf("n%d", i)
		key := identity.RunID(identity.Deployment, name)[:2+board.MinPrefix]
		if other, ok := seen[key]; ok {
			return other, name
		}
		seen[key] = name
	}
}

func TestCompareSeesADifference(t *testing.T) {
	w, v := newWorld(), newWorld()
	w.request("v1", "x", 0)
	w.request("v2", "x", 0)
	v.request("v1", "x", 0)
	v.request("v3", "x", 0)
	if d := board.Compare(w.board, v.board, 10); len(d) == 0 {
		t.Error("two boards with different runs compare equal")
	}
}

// A damaged run whose slot an operator gave away executes for nobody: those
// that merged into it wait again.
func TestReleasedRunsFreeThoseThatMergedIntoThem(t *testing.T) {
	w := newWorld()
	w.job("first", eventv1.Dedupe_POLICY_MERGE, "x", 0)
	w.job("second", eventv1.Dedupe_POLICY_MERGE, "x", 0)
	w.tick("a")
	first, second := w.ids[0], w.ids[1]
	if l, _ := w.board.Live(second); !l.Yielding() || l.Into != first {
		t.Fatalf("%+v", l)
	}
	w.board.QuarantineRun(first, "its chain is broken")
	ln, _ := w.board.Lane("a")
	w.commit(lane.Release(ln.State, "a", first, "damaged"), (*board.Board).FoldLane)
	if l, _ := w.board.Live(second); l.Yielding() || ln.Queue.Len() != 1 {
		t.Fatalf("still yields: %+v", l)
	}
	w.tick("a")
	if l, _ := w.board.Live(second); l.Grant == 0 {
		t.Error("got no slot")
	}
}

// A checkpoint is never a second truth: one that says something else than the
// records before it stops the lane, one that agrees changes nothing.
func TestACheckpointThatDisagreesQuarantinesItsLane(t *testing.T) {
	for _, forged := range []bool{false, true} {
		w := newWorld()
		w.request("v1", "x", 0)
		w.tick("x")
		ln, _ := w.board.Lane("x")
		events := lane.Checkpoint(ln.State, 1)
		if forged {
			events[0].GetLaneCheckpoint().Slots = nil
		}
		slots := len(ln.State.Slots)
		w.commit(events, func(b *board.Board, sequence uint64, c *eventv1.Commit) { b.FoldLane(sequence, c) })
		if (ln.Quarantined != "") != forged || len(ln.State.Slots) != slots || slots != 1 {
			t.Errorf("forged %t: quarantined %q, %d of %d slots", forged, ln.Quarantined, len(ln.State.Slots), slots)
		}
	}
}
