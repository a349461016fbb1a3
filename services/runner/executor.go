package runner

import (
	"context"

	"github.com/slipway-hq/slipway/domain/holder"
	eventv1 "github.com/slipway-hq/slipway/gen/slipway/event/v1"
	"github.com/slipway-hq/slipway/services/runner/internal/step"
)

// NoExit is the exit code of a command that did not exit by itself.
const NoExit = holder.NoExit

// ErrAbandon, as the cause of an executor's context, ends the attempt at once:
// the runner has lost its right to work, or its drain time is over. An executor
// returns it, wrapped or not, when an attempt ended without a result of its own.
var ErrAbandon = step.ErrAbandon

// Chunk is a piece of what an attempt prints.
type Chunk = step.Chunk

// Sink takes what an attempt prints. Write never waits.
type Sink = step.Sink

// Executor runs attempts. It may be called from many goroutines.
//
// Execute returns when no process of the attempt is left. When ctx ends the
// attempt is to be stopped: politely, or at once when the cause is ErrAbandon. A
// failing command is a Result; an error means that there is none: ErrAbandon, or
// else the attempt counts as failed while it was set up, in the error's words.
type Executor interface {
	Execute(ctx context.Context, a Attempt, out Sink) (Result, error)
}

// Forgetter is an Executor that keeps something per run. Forget is called when
// the run has ended.
type Forgetter interface{ Forget(run string) }

// Attempt is what an executor is to run.
type Attempt struct {
	Run, Service, Environment, Version string
	// Namespace and Job of a job; empty for a deployment.
	Namespace, Job string

	Plan   *eventv1.Plan
	Step   uint32 // index in the plan
	Number uint32 // of the attempt, from 1
	Fence  uint64
	// Probe runs the step's probe in place of its command.
	Probe bool
	// Commit is what was checked out when the run began; empty when the source
	// was not resolved yet.
	Commit string
	// Done are the artefacts of the steps that are done, in order.
	Done []*eventv1.Artefact
	// Alive tells whether the runner may go on working. It never waits.
	Alive func() bool
}

// Command is the step that is to run.
func (a Attempt) Command() *eventv1.Step { return a.Plan.GetSteps()[a.Step] }

// Reports tells whether standard output of the step is the run's report.
func (a Attempt) Reports() bool {
	return a.Plan.GetReport().GetStdout() && int(a.Step) == len(a.Plan.GetSteps())-1 && !a.Probe
}

// Result is how an attempt ended. The zero Result is a success.
type Result struct {
	// Failure is unspecified for a success.
	Failure  eventv1.StepFailed_Cause
	ExitCode int32 // NoExit when the command did not exit by itself
	Signal   string
	Error    string // a sentence for people, without secrets
	// Final: another attempt would fail alike.
	Final bool

	Output    *eventv1.StepOutput
	Artefacts []*eventv1.Artefact
	// Source is what was checked out, if there is a source.
	Source *eventv1.SourceResolved
}

// OK tells whether the attempt succeeded.
func (r Result) OK() bool { return r.Failure == eventv1.StepFailed_CAUSE_UNSPECIFIED }
