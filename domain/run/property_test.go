package run_test

import (
	"fmt"
	"reflect"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/slipway-hq/slipway/domain/run"
	eventv1 "github.com/slipway-hq/slipway/gen/slipway/event/v1"
)

var stepForms = []string{"a", "a:3", "a:2:probe", "a:1:ask"}

// drawCommand draws any command, sensible or not.
func drawCommand(t *rapid.T, w *world) run.Command {
	fence := w.state.Claim.Fence
	if rapid.IntRange(0, 9).Draw(t, "stale") == 0 {
		fence = uint64(rapid.IntRange(0, 110).Draw(t, "fence")) //nolint:gosec // small
	}
	at := uint32(rapid.IntRange(0, 3).Draw(t, "step")) //nolint:gosec // small
	if rapid.IntRange(0, 9).Draw(t, "current") > 0 {
		at = w.state.Current()
	}
	attempt := uint32(0)
	if int(at) < len(w.state.Steps) {
		attempt = w.state.Steps[at].Attempts
	}
	runner := rapid.SampledFrom([]string{"r1", "r2"}).Draw(t, "runner")
	switch rapid.IntRange(0, 12).Draw(t, "command") {
	case 0:
		return run.RequestCancel{Reason: "r"}
	case 1:
		return run.Expire{Now: w.now}
	case 2, 3:
		return run.TakeClaim{Runner: runner, Incarnation: runner, GrantSequence: 50, Now: w.now}
	case 4:
		return run.BeginAttempt{Fence: fence, Step: at, Now: w.now}
	case 5, 6:
		return run.FinishStep{Fence: fence, Step: at, Attempt: attempt, Release: rapid.SampledFrom([]string{"", "", "", "drain"}).Draw(t, "release"), Confirmed: rapid.Bool().Draw(t, "confirmed"), Now: w.now}
	case 7:
		return run.FailStep{
			Fence: fence, Step: at, Attempt: attempt, Now: w.now, Error: "e",
			Cause: rapid.SampledFrom([]eventv1.StepFailed_Cause{eventv1.StepFailed_CAUSE_EXIT, eventv1.StepFailed_CAUSE_TIMEOUT, eventv1.StepFailed_CAUSE_STOPPED}).Draw(t, "cause"),
		}
	case 8:
		return run.Stop{Fence: fence, Now: w.now}
	case 10:
		return run.Yield{Into: "j-other", Kind: rapid.SampledFrom([]eventv1.Absorbed_Kind{eventv1.Absorbed_KIND_MERGED, eventv1.Absorbed_KIND_SUPERSEDED, eventv1.Absorbed_KIND_REJECTED}).Draw(t, "kind"), Reason: "r", Now: w.now}
	case 11:
		return run.Say{ID: rapid.SampledFrom([]string{"a", "b"}).Draw(t, "note"), Text: "hello"}
	case 9:
		return run.Lapse{Fence: fence, Reason: "gone", Now: w.now}
	default:
		return run.Answer{Step: at, Answer: rapid.SampledFrom([]eventv1.StepAnswered_Answer{eventv1.StepAnswered_ANSWER_REPEAT, eventv1.StepAnswered_ANSWER_DONE}).Draw(t, "answer")}
	}
}

func drawWorld(t *rapid.T) *world {
	w := newWorld()
	var steps []*eventv1.Step
	for i := range rapid.IntRange(1, 3).Draw(t, "steps") {
		s := step(rapid.SampledFrom(stepForms).Draw(t, "form"))
		s.Name = fmt.Sprintf("s%d", i)
		steps = append(steps, s)
	}
	r := request(steps, time.Hour, time.Hour)
	if _, err := w.do(r); err != nil {
		t.Fatal(err)
	}
	return w
}

// Whatever happens: the events replay to the same state, every prefix folds,
// the table of transitions holds, a done step never starts, nothing happens
// under a fence that is not the live one's, and nothing follows the end.
func TestAnyHistoryKeepsTheInvariants(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := drawWorld(t)
		for range rapid.IntRange(1, 60).Draw(t, "length") {
			w.now = w.now.Add(time.Duration(rapid.IntRange(0, 600).Draw(t, "seconds")) * time.Second)
			before, c := w.state, drawCommand(t, w)
			events, err := w.do(c)
			if before.Status.Ended() && (len(events) > 0 || !reflect.DeepEqual(before, w.state)) {
				t.Fatalf("%T changed a run that was %s", c, before.Status)
			}
			if err == nil {
				checkStep(t, before, events)
			}
		}
		checkReplay(t, w)
	})
}

func checkStep(t *rapid.T, before run.State, events []*eventv1.Event) {
	for _, e := range events {
		if s := e.GetStepStarted(); s != nil && before.Steps[s.GetStep()].Status.Done() {
			t.Fatalf("step %d was done and started again", s.GetStep())
		}
		if f, ok := fenceOf(e); ok && f != 0 && f != before.Claim.Fence {
			t.Fatalf("%s under fence %d while %d was live", kind(e), f, before.Claim.Fence)
		}
	}
}

func fenceOf(e *eventv1.Event) (uint64, bool) {
	m := e.ProtoReflect()
	inner := m.Get(m.WhichOneof(m.Descriptor().Oneofs().ByName("kind"))).Message().Interface()
	f, ok := inner.(interface{ GetFence() uint64 })
	if !ok {
		return 0, false
	}
	return f.GetFence(), true
}

func checkReplay(t *rapid.T, w *world) {
	var again run.State
	ends := 0
	for _, h := range w.history {
		for _, e := range h.commit.GetEvents() {
			from := again.Status
			again = run.Fold(again, run.At{Sequence: h.sequence, Time: h.commit.GetTime().AsTime(), Actor: h.commit.GetActor()}, e)
			if again.Status != from && !allowed(from, kind(e), again.Status) {
				t.Fatalf("%s led from %s to %s, which the table does not list", kind(e), from, again.Status)
			}
			if e.GetRunEnded() != nil || e.GetRunRefused() != nil {
				ends++
			}
		}
	}
	if !reflect.DeepEqual(again, w.state) {
		t.Fatalf("replay differs:\n%+v\n%+v", again, w.state)
	}
	if ends > 1 || ends == 1 != w.state.Status.Ended() {
		t.Fatalf("%d ends, and the run is %s", ends, w.state.Status)
	}
}

func allowed(from run.Status, event string, to run.Status) bool {
	for _, x := range run.Transitions {
		if x == (run.Transition{From: from, Event: event, To: to}) {
			return true
		}
	}
	return false
}

// Whoever keeps doing his part brings every run to its one end.
func TestEveryRunEnds(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := drawWorld(t)
		for range rapid.IntRange(0, 20).Draw(t, "noise") {
			_, _ = w.do(drawCommand(t, w)) // refusals are part of the noise
		}
		for range 200 {
			if w.state.Status.Ended() {
				return
			}
			w.now = w.now.Add(time.Second)
			_, _ = w.do(diligent(w)) // a refusal would repeat, and fail below
		}
		t.Fatalf("still %s: %+v", w.state.Status, w.state)
	})
}

// diligent is what a runner and a person would do next.
func diligent(w *world) run.Command {
	s := &w.state
	at := s.Current()
	switch {
	case !s.Claimed():
		return run.TakeClaim{Runner: "r", Incarnation: "r", GrantSequence: 1, Now: w.now}
	case s.Stopping() && s.Steps[at].Status != run.StepRunning:
		return run.Stop{Fence: s.Claim.Fence, Now: w.now}
	case s.Question != nil && s.Question.Answer == eventv1.StepAnswered_ANSWER_UNSPECIFIED:
		return run.Answer{Step: at, Answer: eventv1.StepAnswered_ANSWER_REPEAT}
	case s.Question != nil && s.Question.Answer == eventv1.StepAnswered_ANSWER_DONE:
		return run.FinishStep{Fence: s.Claim.Fence, Step: at, Attempt: s.Steps[at].Attempts, Confirmed: true, Now: w.now}
	case s.Steps[at].Status != run.StepRunning:
		return run.BeginAttempt{Fence: s.Claim.Fence, Step: at, Now: w.now}
	}
	return run.FinishStep{Fence: s.Claim.Fence, Step: at, Attempt: s.Steps[at].Attempts, Now: w.now}
}

// The table lists nothing that cannot happen: the stories show each row.
func TestEveryTransitionHappens(t *testing.T) {
	seen := map[run.Transition]bool{}
	for seed := range 4000 {
		w := rapid.Custom(func(t *rapid.T) *world {
			w := drawWorld(t)
			for range rapid.IntRange(1, 30).Draw(t, "length") {
				w.now = w.now.Add(time.Duration(rapid.IntRange(0, 900).Draw(t, "seconds")) * time.Second)
				_, _ = w.do(drawCommand(t, w))
			}
			return w
		}).Example(seed)
		var s run.State
		for _, h := range w.history {
			for _, e := range h.commit.GetEvents() {
				from := s.Status
				s = run.Fold(s, run.At{Sequence: h.sequence, Time: h.commit.GetTime().AsTime()}, e)
				seen[run.Transition{From: from, Event: kind(e), To: s.Status}] = true
			}
		}
	}
	w := newWorld()
	r := request([]*eventv1.Step{step("a")}, 0, 0)
	r.Refusal = &run.Refusal{Code: "E", Sentence: "no"}
	_, _ = w.do(r)
	seen[run.Transition{From: run.Queued, Event: "RunRefused", To: w.state.Status}] = true
	for _, x := range run.Transitions {
		if !seen[x] {
			t.Errorf("%s --%s--> %s never happens", x.From, x.Event, x.To)
		}
	}
}

func TestUnknownEventsChangeNothing(t *testing.T) {
	w := newWorld()
	if _, err := w.do(request([]*eventv1.Step{step("a")}, 0, 0)); err != nil {
		t.Fatal(err)
	}
	after := run.Fold(w.state, run.At{Sequence: 101}, &eventv1.Event{})
	if !reflect.DeepEqual(after, w.state) {
		t.Fatalf("an unknown event changed %+v to %+v", w.state, after)
	}
}

func TestRetryDelays(t *testing.T) {
	r := step("a:9").GetRetry()
	for i, want := range []time.Duration{time.Second, 2 * time.Second, 3 * time.Second, 3 * time.Second} {
		if got := run.RetryDelay(r, uint32(i)); got != want { //nolint:gosec // small
			t.Errorf("after failure %d: %s, want %s", i, got, want)
		}
	}
	r.MaxDelay = nil
	if got := run.RetryDelay(r, 4_000_000); got != run.MaxRetryDelay {
		t.Errorf("unbounded: %s", got)
	}
}
