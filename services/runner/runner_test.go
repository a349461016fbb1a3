package runner

import (
	"context"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/slipway-hq/slipway/domain/run"
	eventv1 "github.com/slipway-hq/slipway/gen/slipway/event/v1"
)

func TestRunsAPlanWithOneCommitPerDurablePoint(t *testing.T) {
	w, exec := newWorld(t), &script{}
	w.runner(exec)
	w.start("d-1", w.plan(shell("build", "x"), shell("test", "x"), shell("deploy", "x")))
	s := w.ended("d-1")
	if s.Status != run.Succeeded {
		t.Fatalf("status %s: %s", s.Status, s.Reason)
	}
	want := []string{
		"run_requested", "run_claimed", "step_started", "step_finished", "step_started", "step_finished", "step_started", "step_finished", "run_ended",
	}
	if diff := cmp.Diff(want, w.events("d-1")); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]string{"build/1", "test/1", "deploy/1"}, exec.log()); diff != "" {
		t.Error(diff)
	}
	records, err := w.log.Load(t.Context(), "ev.run.d-1", 0)
	must(t, err)
	if len(records) != 5 {
		t.Errorf("%d commits, want 5", len(records))
	}
}

func TestRealStepsRunAndFailAndPrint(t *testing.T) {
	w := newWorld(t)
	w.runner(nil)
	w.start("d-ok", w.plan(shell("hello", `echo "hello $SLIPWAY_STEP $SLIPWAY_VERSION" > out.txt`), shell("look", `grep 'hello hello v1' out.txt`)))
	if s := w.ended("d-ok"); s.Status != run.Succeeded {
		t.Fatalf("status %s: %s %+v", s.Status, s.Reason, s.Steps)
	}
	w.start("d-bad", w.plan(shell("fail", `echo sorry; exit 3`), shell("never", "true")))
	s := w.ended("d-bad")
	if s.Status != run.Failed || s.Steps[0].ExitCode != 3 || s.Steps[0].Tail == "" || s.Steps[1].Attempts != 0 {
		t.Fatalf("status %s: %+v", s.Status, s.Steps)
	}
}

func TestCancelStopsTheProcess(t *testing.T) {
	w, running := newWorld(t), make(chan struct{})
	exec := &script{do: func(ctx context.Context, _ Attempt, _ Sink) (Result, error) {
		close(running)
		return untilStopped(ctx)
	}}
	w.runner(exec)
	w.start("d-1", w.plan(shell("long", "x")))
	<-running
	w.decide("d-1", run.RequestCancel{Reason: "wrong one"})
	s := w.ended("d-1")
	if s.Status != run.Cancelled || s.Steps[0].Status != run.StepFailed {
		t.Fatalf("status %s, step %v", s.Status, s.Steps[0])
	}
}

func TestRetriesAfterTheDelay(t *testing.T) {
	w := newWorld(t)
	exec := &script{do: func(_ context.Context, a Attempt, _ Sink) (Result, error) {
		if a.Number < 3 {
			return Result{Failure: eventv1.StepFailed_CAUSE_EXIT, ExitCode: 1, Error: "exit code 1"}, nil
		}
		return Result{}, nil
	}}
	w.runner(exec)
	step := shell("flaky", "x")
	step.Retry = retries(3, 10*time.Millisecond)
	w.start("d-1", w.plan(step))
	if s := w.ended("d-1"); s.Status != run.Succeeded {
		t.Fatalf("status %s: %s", s.Status, s.Reason)
	}
	if diff := cmp.Diff([]string{"flaky/1", "flaky/2", "flaky/3"}, exec.log()); diff != "" {
		t.Error(diff)
	}
}
