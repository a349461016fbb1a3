package holder

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/slipway-hq/slipway/domain/run"
	eventv1 "github.com/slipway-hq/slipway/gen/slipway/event/v1"
)

const fence = 7

func TestNext(t *testing.T) {
	now := time.Date(2026, 11, 1, 12, 0, 0, 0, time.UTC)
	later := now.Add(time.Minute)
	cancel := &run.Cancel{}
	cases := map[string]struct {
		change func(*run.State)
		want   Action
	}{
		"running": {func(s *run.State) { s.Steps[0].Status = run.StepRunning }, Execute{0, 1}},
		"second step": {func(s *run.State) {
			s.Steps[0].Status, s.Steps[1] = run.StepSucceeded, run.Step{Status: run.StepRunning, Attempts: 4}
		}, Execute{1, 4}},
		"ended":       {func(s *run.State) { s.Status, s.Claim = run.Failed, run.Claim{} }, Done{}},
		"another's":   {func(s *run.State) { s.Claim.Fence = fence + 1 }, Lost{}},
		"lapsed":      {func(s *run.State) { s.Claim = run.Claim{} }, Lost{}},
		"retry later": {func(s *run.State) { s.Steps[0].Status, s.Steps[0].RetryAt = run.StepWaiting, later }, Wait{later}},
		"retry now":   {func(s *run.State) { s.Steps[0].Status, s.Steps[0].RetryAt = run.StepWaiting, now }, Commit{run.BeginAttempt{Fence: fence, Now: now}}},
		"retry by a clock that was ahead": {func(s *run.State) {
			s.Steps[0].Status, s.Steps[0].Finished, s.Steps[0].RetryAt = run.StepWaiting, now.Add(time.Hour), now.Add(time.Hour+time.Second)
		}, Commit{run.BeginAttempt{Fence: fence, Now: now}}},
		"retry by a clock that differs": {func(s *run.State) {
			s.Steps[0].Status, s.Steps[0].Finished, s.Steps[0].RetryAt = run.StepWaiting, now.Add(time.Second), later
		}, Wait{later}},
		"probe":           {func(s *run.State) { s.Steps[0].Interrupted = true }, Probe{0, 1}},
		"cancel waiting":  {func(s *run.State) { s.Cancel, s.Steps[0].Status, s.Steps[0].RetryAt = cancel, run.StepWaiting, later }, Commit{run.Stop{Fence: fence, Now: now}}},
		"cancel at start": {func(s *run.State) { s.Cancel, s.Steps[0].Status = cancel, run.StepRunning }, Commit{run.FailStep{Fence: fence, Attempt: 1, Cause: eventv1.StepFailed_CAUSE_STOPPED, ExitCode: NoExit, Error: "stopped before it started", Now: now}}},
		"asked":           {func(s *run.State) { ask(s, later, 0) }, Wait{later}},
		"nobody answered": {func(s *run.State) { ask(s, now, 0) }, Commit{run.FailStep{Fence: fence, Attempt: 1, Cause: eventv1.StepFailed_CAUSE_SETUP, ExitCode: NoExit, Final: true, Error: "nobody answered by 2026-11-01T12:00:00Z whether it had done its work", Now: now}}},
		"answered done":   {func(s *run.State) { ask(s, later, eventv1.StepAnswered_ANSWER_DONE) }, Commit{run.FinishStep{Fence: fence, Attempt: 1, Confirmed: true, Now: now}}},
		"answered repeat": {func(s *run.State) { ask(s, later, eventv1.StepAnswered_ANSWER_REPEAT) }, Commit{run.BeginAttempt{Fence: fence, Now: now}}},
		"answered fail":   {func(s *run.State) { ask(s, later, eventv1.StepAnswered_ANSWER_FAIL) }, Commit{run.FailStep{Fence: fence, Attempt: 1, Cause: eventv1.StepFailed_CAUSE_STOPPED, ExitCode: NoExit, Final: true, Error: "a person answered that it is to fail", Now: now}}},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			s := run.State{
				Status: run.Running, Claim: run.Claim{Fence: fence}, Steps: []run.Step{{Name: "a", Attempts: 1}, {Name: "b"}},
				Plan: &eventv1.Plan{Steps: []*eventv1.Step{{Name: "a", Resume: eventv1.Step_RESUME_PROBE}, {Name: "b"}}},
			}
			c.change(&s)
			if diff := cmp.Diff(c.want, Next(s, fence, now)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func ask(s *run.State, deadline time.Time, answer eventv1.StepAnswered_Answer) {
	s.Steps[0].Status, s.Steps[0].Interrupted = run.StepWaiting, true
	s.Question = &run.Question{Deadline: deadline, Answer: answer}
}
