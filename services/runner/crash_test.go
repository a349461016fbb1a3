package runner

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/slipway-hq/slipway/domain/run"
	commandv1 "github.com/slipway-hq/slipway/gen/slipway/command/v1"
	eventv1 "github.com/slipway-hq/slipway/gen/slipway/event/v1"
	"github.com/slipway-hq/slipway/internal/eventlog"
)

// mortal is a log that goes away for good at one append: before or after the
// append is stored. It tells when it is gone.
type mortal struct {
	eventlog.Log
	last  int  // the number of the fatal append, from 1
	lands bool // whether the fatal append is stored
	gone  chan struct{}

	mu sync.Mutex
	n  int
}

func (m *mortal) Append(ctx context.Context, subject string, expect uint64, data []byte) (uint64, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.n++
	if m.n < m.last {
		return m.Log.Append(ctx, subject, expect, data)
	}
	if m.n == m.last {
		if m.lands {
			if _, err := m.Log.Append(ctx, subject, expect, data); err != nil {
				return 0, err
			}
		}
		close(m.gone)
	}
	return 0, fmt.Errorf("append to %s: %w", subject, eventlog.ErrUnknown)
}

func (m *mortal) Load(ctx context.Context, subject string, after uint64) ([]eventlog.Record, error) {
	if isClosed(m.gone) {
		return nil, eventlog.ErrUnavailable
	}
	return m.Log.Load(ctx, subject, after)
}

// TestResumesAfterACrashAtEveryDurablePoint lets a runner die around each of its
// commits and checks what its successor in the same folder does.
func TestResumesAfterACrashAtEveryDurablePoint(t *testing.T) {
	for fatal := 1; fatal <= 4; fatal++ {
		for _, lands := range []bool{false, true} {
			t.Run(fmt.Sprintf("commit %d, stored %v", fatal, lands), func(t *testing.T) { crashAt(t, fatal, lands) })
		}
	}
}

func crashAt(t *testing.T, fatal int, lands bool) {
	w, dir, lease, exec := newWorld(t), t.TempDir(), newFakeLease(), &script{}
	log := &mortal{Log: w.log, last: fatal, lands: lands, gone: make(chan struct{})}
	first := w.runner(exec, in(dir), over(log), leasing(lease))
	hint := w.start("d-1", w.plan(shell("a", "x"), shell("b", "x"), shell("c", "x")))
	<-log.gone
	lease.kill()
	first.stop()
	before, done := exec.log(), w.finished("d-1")

	second := &script{}
	w.runner(second, in(dir))
	if s := w.until("d-1", "no claim of the dead", func(s run.State) bool { return !s.Claimed() || s.Status.Ended() }); !s.Status.Ended() {
		w.publish(hint) // as the dispatcher does when it sees the release
	}
	if s := w.ended("d-1"); s.Status != run.Succeeded {
		t.Fatalf("status %s: %s", s.Status, s.Reason)
	}
	for _, name := range done {
		if slices.ContainsFunc(second.log(), func(ran string) bool { return strings.HasPrefix(ran, name+"/") }) {
			t.Errorf("step %s was finished and ran again: %v then %v", name, before, second.log())
		}
	}
	if diff := cmp.Diff([]string{"a", "b", "c"}, w.finished("d-1")); diff != "" {
		t.Errorf("finished steps: %s", diff)
	}
}

// finished are the names of the steps that the log calls finished, in order and
// as often as it does.
func (w *world) finished(id string) []string {
	w.t.Helper()
	names := []string{}
	for _, rec := range w.records(id) {
		for _, e := range rec.Commit.GetEvents() {
			if f := e.GetStepFinished(); f != nil {
				names = append(names, string(rune('a'+f.GetStep())))
			}
		}
	}
	return names
}

func TestLosingTheLeaseKillsAndRejoins(t *testing.T) {
	w, lease, running := newWorld(t), newFakeLease(), make(chan struct{}, 2)
	var leases sync.Once
	exec := &script{do: func(ctx context.Context, a Attempt, _ Sink) (Result, error) {
		running <- struct{}{}
		if a.Number == 1 {
			return untilStopped(ctx)
		}
		return Result{}, nil
	}}
	w.runner(exec, func(_ *Config, _ *Deps, r *Runner) {
		if r == nil {
			return
		}
		real := r.join
		r.join = func(incarnation string, describe func() *commandv1.Lease, may func() bool) (l leaseholder) {
			l = real(incarnation, describe, may)
			leases.Do(func() { l = lease })
			return l
		}
	})
	hint := w.start("d-1", w.plan(shell("long", "x")))
	<-running
	held := w.until("d-1", "the claim", func(s run.State) bool { return s.Claimed() })
	lease.kill()
	w.until("d-1", "the release", func(s run.State) bool { return !s.Claimed() })
	w.publish(hint)
	s := w.ended("d-1")
	if s.Status != run.Succeeded || s.Steps[0].Attempts != 2 {
		t.Fatalf("status %s, steps %+v", s.Status, s.Steps)
	}
	want := []string{
		"run_requested", "run_claimed", "step_started", "claim_released",
		"run_claimed", "step_interrupted", "step_started", "step_finished", "run_ended",
	}
	if diff := cmp.Diff(want, w.events("d-1")); diff != "" {
		t.Error(diff)
	}
	if held.Claim.Incarnation == "" {
		t.Error("no incarnation in the claim")
	}
}

func TestALateCommitIsRefused(t *testing.T) {
	w, running, finish := newWorld(t), make(chan struct{}), make(chan struct{})
	first := &script{do: func(context.Context, Attempt, Sink) (Result, error) {
		close(running)
		<-finish
		return Result{}, nil
	}}
	runner := w.runner(first)
	hint := w.start("d-1", w.plan(shell("a", "x"), shell("b", "x")))
	<-running
	fence := w.until("d-1", "the claim", func(s run.State) bool { return s.Claimed() }).Claim.Fence
	w.decide("d-1", run.Lapse{Fence: fence, Reason: "its lease ran out", Now: time.Now()})
	close(finish)
	runner.stop()
	if s := w.until("d-1", "its state", func(run.State) bool { return true }); s.Steps[0].Status.Done() {
		t.Fatal("a step was finished under a fence that was gone")
	}
	second := &script{}
	w.runner(second)
	w.publish(hint)
	if s := w.ended("d-1"); s.Status != run.Succeeded {
		t.Fatalf("status %s", s.Status)
	}
	if diff := cmp.Diff([]string{"a/2", "b/1"}, second.log()); diff != "" {
		t.Error(diff)
	}
}

func TestGoesOnWhenTheBrokerRestarts(t *testing.T) {
	w, running, finish := newWorld(t), make(chan struct{}), make(chan struct{})
	exec := &script{do: func(_ context.Context, a Attempt, _ Sink) (Result, error) {
		if a.Run == "d-1" && a.Step == 0 {
			close(running)
			<-finish
		}
		return Result{}, nil
	}}
	w.runner(exec)
	w.start("d-1", w.plan(shell("long", "x"), shell("next", "x")))
	<-running
	must(t, w.node.Restart())
	close(finish)
	s := w.ended("d-1")
	if s.Status != run.Succeeded || s.Steps[0].Attempts != 1 || s.Steps[1].Attempts != 1 {
		t.Fatalf("status %s, steps %+v", s.Status, s.Steps)
	}
	// The stream of hints was in memory: the runner made it again and listens.
	hint := w.request("d-2", w.plan(shell("a", "x")))
	w.until("d-2", "the hint to be taken", func(s run.State) bool {
		if !s.Claimed() && !s.Status.Ended() {
			w.offer(hint)
		}
		return s.Status.Ended()
	})
	if diff := cmp.Diff([]string{"long/1", "next/1", "a/1"}, exec.log()); diff != "" {
		t.Error(diff)
	}
}

func TestTwoRunnersClaimARunOnce(t *testing.T) {
	w, one, two := newWorld(t), &script{}, &script{}
	w.runner(one)
	w.runner(two)
	const runs = 20
	var hints []*commandv1.Hint
	for i := range runs {
		hints = append(hints, w.request(fmt.Sprintf("d-%d", i), w.plan(shell("a", "x"), shell("b", "x"))))
	}
	for range 5 { // the same hint again and again, to whoever asks
		for _, hint := range hints {
			w.publish(hint)
		}
	}
	for _, hint := range hints {
		if s := w.ended(hint.GetRun()); s.Status != run.Succeeded {
			t.Errorf("%s: %s", hint.GetRun(), s.Status)
		}
		claims := slices.DeleteFunc(w.events(hint.GetRun()), func(e string) bool { return e != "run_claimed" })
		if len(claims) != 1 {
			t.Errorf("%s was claimed %d times", hint.GetRun(), len(claims))
		}
	}
	if n := len(one.log()) + len(two.log()); n != 2*runs {
		t.Errorf("%d attempts ran, want %d", n, 2*runs)
	}
}

func TestHintsThatDoNotMatchTheLogAreDropped(t *testing.T) {
	w, exec := newWorld(t), &script{}
	w.runner(exec)
	hint := w.request("d-1", w.plan(shell("a", "x")))
	w.request("d-2", w.plan(shell("a", "x")))
	w.publish(&commandv1.Hint{Run: "d-2", LaneSubject: hint.GetLaneSubject(), GrantSequence: hint.GetGrantSequence()}) // another's grant
	w.publish(&commandv1.Hint{Run: "d-3", LaneSubject: "ev.run.d-1", GrantSequence: 1})
	w.publish(hint)
	w.ended("d-1")
	if s := w.until("d-2", "its state", func(run.State) bool { return true }); s.Claimed() || s.Status != run.Queued {
		t.Errorf("claimed without a grant: %+v", s.Claim)
	}
}

func lostClaim(w *world, hint *commandv1.Hint) {
	w.t.Helper()
	s := w.decide(hint.GetRun(), run.TakeClaim{Runner: "r-gone", Incarnation: "gone", GrantSequence: hint.GetGrantSequence(), Now: time.Now()})
	w.decide(hint.GetRun(), run.Lapse{Fence: s.Claim.Fence, Reason: "its lease ran out", Now: time.Now()})
}

func TestProbeDecidesWhetherAStepRunsAgain(t *testing.T) {
	for _, done := range []bool{true, false} {
		t.Run(fmt.Sprintf("done %v", done), func(t *testing.T) {
			w := newWorld(t)
			exec := &script{do: func(_ context.Context, a Attempt, _ Sink) (Result, error) {
				if a.Probe && !done {
					return Result{Failure: eventv1.StepFailed_CAUSE_EXIT, ExitCode: 1, Error: "exit code 1"}, nil
				}
				return Result{}, nil
			}}
			w.runner(exec)
			step := shell("migrate", "x")
			step.Resume, step.Probe = eventv1.Step_RESUME_PROBE, "is-it-done"
			hint := w.request("d-1", w.plan(step, shell("next", "x")))
			lostClaim(w, hint)
			w.publish(hint)
			if s := w.ended("d-1"); s.Status != run.Succeeded {
				t.Fatalf("status %s: %s", s.Status, s.Reason)
			}
			want := []string{"migrate/1?", "next/1"}
			if !done {
				want = []string{"migrate/1?", "migrate/2", "next/1"}
			}
			if diff := cmp.Diff(want, exec.log()); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestAsksAndFollowsTheAnswer(t *testing.T) {
	cases := map[eventv1.StepAnswered_Answer]struct {
		status run.Status
		ran    []string
	}{
		eventv1.StepAnswered_ANSWER_DONE:   {run.Succeeded, []string{"next/1"}},
		eventv1.StepAnswered_ANSWER_REPEAT: {run.Succeeded, []string{"charge/2", "next/1"}},
		eventv1.StepAnswered_ANSWER_FAIL:   {run.Failed, nil},
	}
	for answer, want := range cases {
		t.Run(answer.String(), func(t *testing.T) {
			w, exec := newWorld(t), &script{}
			w.runner(exec)
			step := shell("charge", "x")
			step.Resume = eventv1.Step_RESUME_ASK
			hint := w.request("d-1", w.plan(step, shell("next", "x")))
			lostClaim(w, hint)
			w.publish(hint)
			w.until("d-1", "the question", func(s run.State) bool { return s.Claimed() && s.Question != nil })
			w.decide("d-1", run.Answer{Step: 0, Answer: answer})
			if s := w.ended("d-1"); s.Status != want.status {
				t.Fatalf("status %s: %s", s.Status, s.Reason)
			}
			if diff := cmp.Diff(want.ran, exec.log()); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestDrainReleasesAtTheBoundary(t *testing.T) {
	w, running, finish := newWorld(t), make(chan struct{}), make(chan struct{})
	exec := &script{do: func(context.Context, Attempt, Sink) (Result, error) {
		close(running)
		<-finish
		return Result{}, nil
	}}
	said := newEar(sayDraining)
	runner := w.runner(exec, logging(said))
	hint := w.start("d-1", w.plan(shell("a", "x"), shell("b", "x")))
	<-running
	runner.cancel()
	<-said.heard
	close(finish)
	runner.wait()
	want := []string{"run_requested", "run_claimed", "step_started", "step_finished", "claim_released"}
	if diff := cmp.Diff(want, w.events("d-1")); diff != "" {
		t.Error(diff)
	}
	second := &script{}
	w.runner(second)
	w.publish(hint)
	w.ended("d-1")
	if diff := cmp.Diff([]string{"b/1"}, second.log()); diff != "" {
		t.Error(diff)
	}
}

func TestAnOverdueDrainKillsAndReleases(t *testing.T) {
	w, running := newWorld(t), make(chan struct{})
	exec := &script{do: func(ctx context.Context, _ Attempt, _ Sink) (Result, error) {
		close(running)
		return untilStopped(ctx)
	}}
	runner := w.runner(exec, drainFor(10*time.Millisecond))
	w.start("d-1", w.plan(shell("a", "x")))
	<-running
	runner.stop()
	want := []string{"run_requested", "run_claimed", "step_started", "claim_released"}
	if diff := cmp.Diff(want, w.events("d-1")); diff != "" {
		t.Error(diff)
	}
}
