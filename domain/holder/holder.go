// Package holder says what the holder of a claim does next. It is pure: it looks
// at the state of a run, the fence and the time, and starts nothing; the runner
// obeys it, and domain/run decides what becomes of the outcome.
//
// Invariants: an attempt is only started when the state says that it was opened
// under this very fence; a run that is to stop is never started further.
package holder

import (
	"fmt"
	"time"

	"github.com/slipway-hq/slipway/domain/run"
	eventv1 "github.com/slipway-hq/slipway/gen/slipway/event/v1"
)

// Action is what to do next. The set is closed.
type Action interface{ action() }

// Done: the run has ended. There is nothing left to do.
type Done struct{}

// Lost: the claim is not held under this fence any more.
type Lost struct{}

// Execute: the attempt is open in the log and its command may start.
type Execute struct{ Step, Attempt uint32 }

// Probe: run the step's probe to learn whether the interrupted attempt had done
// its work.
type Probe struct{ Step, Attempt uint32 }

// Wait: nothing to do before the given time, unless the run changes.
type Wait struct{ Until time.Time }

// Commit: put this command into the log, then look again.
type Commit struct{ Command run.Command }

func (Done) action()    {}
func (Lost) action()    {}
func (Execute) action() {}
func (Probe) action()   {}
func (Wait) action()    {}
func (Commit) action()  {}

// Next says what the holder under fence does with a run in state s at now, while
// none of the run's processes live.
func Next(s run.State, fence uint64, now time.Time) Action {
	switch {
	case s.Status.Ended():
		return Done{}
	case !s.Claimed() || s.Claim.Fence != fence:
		return Lost{}
	}
	at := s.Current()
	if int(at) == len(s.Steps) {
		return Commit{run.Release{Fence: fence, Reason: "no step is left to run", Now: now}}
	}
	step := &s.Steps[at]
	switch {
	case s.Stopping():
		return stop(step, at, fence, now)
	case step.Status == run.StepRunning:
		return Execute{Step: at, Attempt: step.Attempts}
	case s.Question != nil:
		return question(&s, at, fence, now)
	case step.Status == run.StepWaiting && !step.Due(now):
		return Wait{Until: step.RetryAt}
	case step.Interrupted && s.Plan.GetSteps()[at].GetResume() == eventv1.Step_RESUME_PROBE:
		return Probe{Step: at, Attempt: step.Attempts}
	}
	return Commit{run.BeginAttempt{Fence: fence, Step: at, Now: now}}
}

// stop closes an open attempt as stopped, so that the history says what became
// of it; a step that only waits needs no such word.
func stop(step *run.Step, at uint32, fence uint64, now time.Time) Action {
	if step.Status != run.StepRunning {
		return Commit{run.Stop{Fence: fence, Now: now}}
	}
	return Commit{run.FailStep{
		Fence: fence, Step: at, Attempt: step.Attempts, Cause: eventv1.StepFailed_CAUSE_STOPPED,
		ExitCode: NoExit, Error: "stopped before it started", Now: now,
	}}
}

// NoExit stands for the exit code of a command that did not exit by itself.
const NoExit = -1

// question follows a person's word on an interrupted step.
func question(s *run.State, at uint32, fence uint64, now time.Time) Action {
	step, q := &s.Steps[at], s.Question
	fail := run.FailStep{Fence: fence, Step: at, Attempt: step.Attempts, ExitCode: NoExit, Final: true, Now: now}
	switch q.Answer {
	case eventv1.StepAnswered_ANSWER_DONE:
		return Commit{run.FinishStep{Fence: fence, Step: at, Attempt: step.Attempts, Confirmed: true, Now: now}}
	case eventv1.StepAnswered_ANSWER_REPEAT:
		return Commit{run.BeginAttempt{Fence: fence, Step: at, Now: now}}
	case eventv1.StepAnswered_ANSWER_FAIL:
		fail.Cause, fail.Error = eventv1.StepFailed_CAUSE_STOPPED, "a person answered that it is to fail"
		return Commit{fail}
	case eventv1.StepAnswered_ANSWER_UNSPECIFIED:
	}
	if now.Before(q.Deadline) {
		return Wait{Until: q.Deadline}
	}
	fail.Cause = eventv1.StepFailed_CAUSE_SETUP
	fail.Error = fmt.Sprintf("nobody answered by %s whether it had done its work", q.Deadline.UTC().Format(time.RFC3339))
	return Commit{fail}
}
