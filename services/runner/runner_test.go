package runner

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/slipway-hq/slipway/domain/run"
	"github.com/slipway-hq/slipway/internal/lifecycle"
	"github.com/slipway-hq/slipway/internal/topology"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"

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
	if n := len(w.records("d-1")); n != 5 {
		t.Errorf("%d commits, want 5", n)
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

func TestANudgeIsEnough(t *testing.T) {
	w, running := newWorld(t), make(chan struct{})
	exec := &script{do: func(ctx context.Context, _ Attempt, _ Sink) (Result, error) {
		close(running)
		return untilStopped(ctx)
	}}
	w.runner(exec, nudgedOnly())
	w.start("d-1", w.plan(shell("long", "x")))
	<-running
	s := w.decide("d-1", run.RequestCancel{})
	must(t, w.nc.Publish(topology.NudgeSubject(s.Claim.Incarnation), []byte("d-1")))
	if s := w.ended("d-1"); s.Status != run.Cancelled {
		t.Fatalf("status %s", s.Status)
	}
}

func TestARunThatIsOverdueTimesOut(t *testing.T) {
	w, running := newWorld(t), make(chan struct{})
	exec := &script{do: func(ctx context.Context, _ Attempt, _ Sink) (Result, error) {
		close(running)
		return untilStopped(ctx)
	}}
	w.runner(exec)
	plan := w.plan(shell("long", "x"))
	plan.Timeout = durationpb.New(time.Minute)
	w.start("d-1", plan)
	<-running
	w.decide("d-1", run.Expire{Now: time.Now().Add(2 * time.Minute)})
	if s := w.ended("d-1"); s.Status != run.TimedOut {
		t.Fatalf("status %s", s.Status)
	}
}

func TestCancelDuringTheRetryDelay(t *testing.T) {
	w := newWorld(t)
	exec := &script{do: func(context.Context, Attempt, Sink) (Result, error) {
		return Result{Failure: eventv1.StepFailed_CAUSE_EXIT, ExitCode: 1, Error: "exit code 1"}, nil
	}}
	w.runner(exec)
	step := shell("flaky", "x")
	step.Retry = retries(3, time.Hour)
	w.start("d-1", w.plan(step))
	w.until("d-1", "the wait", func(s run.State) bool { return s.Steps[0].Status == run.StepWaiting })
	w.decide("d-1", run.RequestCancel{})
	if s := w.ended("d-1"); s.Status != run.Cancelled {
		t.Fatalf("status %s", s.Status)
	}
}

// TestPoolsShareTheRoom gives two pools room for one run.
func TestPoolsShareTheRoom(t *testing.T) {
	w, exec := newWorld(t), &script{}
	w.runner(exec, func(c *Config, _ *Deps, _ *Runner) { c.Pools, c.Capacity = []string{"default", "big iron"}, 1 })
	for i := range 6 {
		hint := w.request(fmt.Sprintf("d-%d", i), w.plan(shell("a", "x")))
		data, err := proto.Marshal(hint)
		must(t, err)
		_, err = w.js.Publish(t.Context(), topology.WorkSubject([]string{"default", "big iron"}[i%2], hint.GetRun()), data)
		must(t, err)
	}
	for i := range 6 {
		if s := w.ended(fmt.Sprintf("d-%d", i)); s.Status != run.Succeeded {
			t.Errorf("d-%d: %s", i, s.Status)
		}
	}
	if n := len(exec.log()); n != 6 {
		t.Errorf("%d attempts, want 6", n)
	}
}

func TestASecondRunnerInTheFolderIsRefused(t *testing.T) {
	w, dir := newWorld(t), t.TempDir()
	w.runner(&script{}, in(dir))
	r, err := New(Config{Dir: dir}, Deps{Log: w.log, Conn: w.nc, Logger: logger(t), Executor: &script{}})
	must(t, err)
	if err := r.Run(t.Context(), func() {}); !errors.Is(err, lifecycle.ErrLocked) {
		t.Errorf("got %v, want ErrLocked", err)
	}
}
