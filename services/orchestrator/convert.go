package orchestrator

import (
	"strings"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/slipway-hq/slipway/domain/board"
	"github.com/slipway-hq/slipway/domain/run"
	apiv1 "github.com/slipway-hq/slipway/gen/slipway/api/v1"
)

var runStatus = map[run.Status]apiv1.RunStatus{
	run.Queued:    apiv1.RunStatus_RUN_STATUS_QUEUED,
	run.Running:   apiv1.RunStatus_RUN_STATUS_RUNNING,
	run.Waiting:   apiv1.RunStatus_RUN_STATUS_WAITING,
	run.Succeeded: apiv1.RunStatus_RUN_STATUS_SUCCEEDED,
	run.Failed:    apiv1.RunStatus_RUN_STATUS_FAILED,
	run.Cancelled: apiv1.RunStatus_RUN_STATUS_CANCELLED,
	run.TimedOut:  apiv1.RunStatus_RUN_STATUS_TIMED_OUT,
	run.Refused:   apiv1.RunStatus_RUN_STATUS_REFUSED,
	run.Merged:    apiv1.RunStatus_RUN_STATUS_MERGED,
}

var stepStatus = map[run.StepStatus]apiv1.StepStatus{
	run.StepPending:   apiv1.StepStatus_STEP_STATUS_PENDING,
	run.StepRunning:   apiv1.StepStatus_STEP_STATUS_RUNNING,
	run.StepWaiting:   apiv1.StepStatus_STEP_STATUS_WAITING,
	run.StepSucceeded: apiv1.StepStatus_STEP_STATUS_SUCCEEDED,
	run.StepFailed:    apiv1.StepStatus_STEP_STATUS_FAILED,
	run.StepCarried:   apiv1.StepStatus_STEP_STATUS_CARRIED,
}

// liveRun is a run that is kept whole, as the API shows it.
func liveRun(b *board.Board, l *board.Live, w board.World) *apiv1.Run {
	out := wholeRun(&l.State, b.Short(l.State.ID))
	shown := b.Show(l, w)
	out.Status, out.Reason, out.Position = runStatus[shown.Status], shown.Reason, uint32(shown.Position) //nolint:gosec // a queue is shorter than 2^32
	out.Merged = l.Merged
	if out.GetMergedInto() == "" {
		out.MergedInto = shown.With
	}
	if !shown.StartAfter.IsZero() {
		out.StartAfter = stamp(shown.StartAfter) // of all that wait together
	}
	return out
}

// wholeRun is everything that a run's own events say.
func wholeRun(s *run.State, short string) *apiv1.Run {
	out := &apiv1.Run{
		Id: s.ID, ShortId: short, Kind: kindOf(s.ID),
		Service: s.Service, Environment: s.Environment, Version: s.Version, Parameters: s.Parameters,
		Status: runStatus[s.Status], Reason: s.Reason,
		Lane: s.Plan.GetLane(), Pipeline: s.Plan.GetPipeline(), Pool: s.Plan.GetPool(), Labels: s.Plan.GetLabels(), OnlyRunner: s.Plan.GetRunner(),
		Requester: board.Requester(s), RetryOf: s.RetryOf, Runner: s.Runner, Fence: s.Claim.Fence, Commit: s.Commit,
		Created: stamp(s.Created), Started: stamp(s.Started), Finished: stamp(s.Finished),
		Sequence: s.Sequence, TraceId: traceID(s.TraceParent), Cancelling: s.Cancel != nil && !s.Status.Ended(),
		Namespace: s.Namespace, Job: s.Job, StartAfter: stamp(s.StartAfter), MergedInto: s.MergedInto, DespiteHold: s.DespiteHold,
		Source: s.Origin.GetSource(), Restricted: s.Plan.GetRestricted(),
	}
	if s.Question != nil && !s.Status.Ended() {
		out.Question = s.Question.Text
	}
	for i := range s.Steps {
		out.Steps = append(out.Steps, apiStep(s, i))
	}
	return out
}

func apiStep(s *run.State, i int) *apiv1.Step {
	st := &s.Steps[i]
	out := &apiv1.Step{
		Name: st.Name, Status: stepStatus[st.Status], Attempts: st.Attempts, MaxAttempts: run.MaxAttempts(s.Plan.GetSteps()[i]),
		Started: stamp(st.Started), Finished: stamp(st.Finished), RetryAt: stamp(st.RetryAt),
		ExitCode: st.ExitCode, Error: st.Error, Tail: st.Tail,
	}
	switch {
	case !s.Status.Ended():
	case st.Status == run.StepPending:
		out.Status = apiv1.StepStatus_STEP_STATUS_SKIPPED
	case st.Status == run.StepRunning, st.Status == run.StepWaiting:
		out.Status, out.RetryAt = apiv1.StepStatus_STEP_STATUS_FAILED, nil
	}
	return out
}

// endedRun is what the index still knows of an ended run; its steps are in the
// log.
func endedRun(b *board.Board, s board.Summary) *apiv1.Run {
	return &apiv1.Run{
		Id: s.ID(), ShortId: b.Short(s.ID()), Kind: kindOf(s.ID()),
		Service: s.Service(), Environment: s.Environment(), Version: s.Version(),
		Status: runStatus[s.Status()], Reason: s.Reason(), Lane: s.Lane(), Requester: s.Requester(),
		Created: stampMillis(s.Created()), Started: stampMillis(s.Started()), Finished: stampMillis(s.Finished()), Sequence: s.Sequence(),
		Namespace: s.Namespace(), Job: s.Job(), Parameters: board.ParseArguments(s.Arguments()), MergedInto: s.Into(),
		Source: s.Source(), Restricted: s.Restricted(),
	}
}

func kindOf(id string) string { return kindWord(strings.HasPrefix(id, "j-")) }

func kindWord(job bool) string {
	if job {
		return "job"
	}
	return "deployment"
}

// traceID is the second field of a W3C traceparent.
func traceID(parent string) string {
	parts := strings.Split(parent, "-")
	if len(parts) < 3 {
		return ""
	}
	return parts[1]
}

func stamp(t time.Time) *timestamppb.Timestamp {
	if t.IsZero() {
		return nil
	}
	return timestamppb.New(t)
}

func stampMillis(ms int64) *timestamppb.Timestamp {
	if ms == 0 {
		return nil
	}
	return timestamppb.New(time.UnixMilli(ms))
}
