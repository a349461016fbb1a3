package run

import (
	"slices"
	"time"

	eventv1 "github.com/slipway-hq/slipway/gen/slipway/event/v1"
)

// At is where in the log an event stands and who caused it.
type At struct {
	Sequence    uint64 // of the commit in the log
	Time        time.Time
	Actor       *eventv1.Principal
	TraceParent string
	Command     string // id of the command
}

// FoldCommit folds every event of one commit.
func FoldCommit(s State, sequence uint64, c *eventv1.Commit) State {
	at := At{Sequence: sequence, Time: c.GetTime().AsTime(), Actor: c.GetActor(), TraceParent: c.GetTrace()["traceparent"], Command: c.GetCommandId()}
	for _, e := range c.GetEvents() {
		s = Fold(s, at, e)
	}
	return s
}

// Fold applies one event. It never fails and never decides; an unknown event
// changes nothing but the sequence.
func Fold(s State, at At, e *eventv1.Event) State {
	s.Sequence = at.Sequence
	switch k := e.GetKind().(type) {
	case *eventv1.Event_RunRequested:
		s = requested(s, at, k.RunRequested)
	case *eventv1.Event_RunRefused:
		s.Status, s.Code, s.Reason, s.Finished = Refused, k.RunRefused.GetCode(), k.RunRefused.GetSentence(), at.Time
	case *eventv1.Event_RunClaimed:
		s = claimed(s, at, k.RunClaimed)
	case *eventv1.Event_ClaimReleased, *eventv1.Event_ClaimLapsed:
		s.Claim, s.Unclaimed = Claim{}, at.Time
	case *eventv1.Event_SourceResolved:
		s.Commit, s.Stale = k.SourceResolved.GetCommit(), k.SourceResolved.GetStale()
	case *eventv1.Event_RunNoted:
		s = noted(s, at, k.RunNoted)
	case *eventv1.Event_CancelRequested:
		s.Cancel = &Cancel{By: at.Actor, Reason: k.CancelRequested.GetReason(), At: at.Time}
	case *eventv1.Event_TimeoutRequested:
		s.Deadline = k.TimeoutRequested.GetDeadline().AsTime()
	case *eventv1.Event_RunEnded:
		s = ended(s, at, k.RunEnded)
	case *eventv1.Event_RunArchived:
		s = archived(s, k.RunArchived)
	default:
		s = foldStep(s, at, e)
	}
	s.Status = s.derive()
	return s
}

func foldStep(s State, at At, e *eventv1.Event) State {
	switch k := e.GetKind().(type) {
	case *eventv1.Event_StepStarted:
		s = s.withStep(k.StepStarted.GetStep(), func(st *Step) { started(st, at, k.StepStarted) })
		s.Question = nil
	case *eventv1.Event_StepFinished:
		s = s.withStep(k.StepFinished.GetStep(), func(st *Step) { finished(st, at, k.StepFinished) })
		s.Question, s.Idle = nil, 0
	case *eventv1.Event_StepFailed:
		s = s.withStep(k.StepFailed.GetStep(), func(st *Step) { failed(st, at, k.StepFailed) })
		s.Question = nil
	case *eventv1.Event_StepInterrupted:
		s = s.withStep(k.StepInterrupted.GetStep(), func(st *Step) {
			st.Status, st.Interrupted, st.Error, st.RetryAt = StepPending, true, k.StepInterrupted.GetReason(), time.Time{}
		})
	case *eventv1.Event_StepAsked:
		s = s.withStep(k.StepAsked.GetStep(), func(st *Step) { st.Status = StepWaiting })
		s.Question = &Question{Step: k.StepAsked.GetStep(), Text: k.StepAsked.GetQuestion(), Deadline: k.StepAsked.GetDeadline().AsTime(), Asked: at.Sequence}
	case *eventv1.Event_StepAnswered:
		if s.Question != nil && s.Question.Step == k.StepAnswered.GetStep() {
			q := *s.Question
			q.Answer = k.StepAnswered.GetAnswer()
			s.Question = &q
		}
	}
	return s
}

// withStep changes a copy of one step; an index out of range changes nothing.
func (s State) withStep(i uint32, change func(*Step)) State {
	if int(i) >= len(s.Steps) {
		return s
	}
	s.Steps = slices.Clone(s.Steps)
	change(&s.Steps[i])
	return s
}

func requested(s State, at At, e *eventv1.RunRequested) State {
	if s.Status != Absent {
		return s
	}
	s = State{
		ID: e.GetRun(), Identity: e.GetIdentity(), Digest: e.GetDigest(),
		Service: e.GetService(), Environment: e.GetEnvironment(), Version: e.GetVersion(), Parameters: e.GetParameters(),
		Plan: e.GetPlan(), Requester: at.Actor, Origin: e.GetOrigin(), RetryOf: e.GetRetryOf(), ConfigSequence: e.GetConfigSequence(),
		Namespace: e.GetNamespace(), Job: e.GetJob(), Said: e.GetSaid(), DespiteHold: e.GetDespiteHold(),
		Status: Queued, Created: at.Time, Sequence: at.Sequence, TraceParent: at.TraceParent, Command: at.Command,
	}
	if e.GetStartAfter() != nil {
		s.StartAfter = e.GetStartAfter().AsTime()
	}
	s.Steps = make([]Step, len(e.GetPlan().GetSteps()))
	for i, p := range e.GetPlan().GetSteps() {
		s.Steps[i].Name = p.GetName()
	}
	for _, c := range e.GetCarried() {
		if int(c.GetStep()) < len(s.Steps) {
			st := &s.Steps[c.GetStep()]
			st.Status, st.CarriedFrom, st.Artefacts = StepCarried, c.GetRun(), c.GetArtefacts()
		}
	}
	return s
}

func claimed(s State, at At, e *eventv1.RunClaimed) State {
	s.Claim = Claim{
		Runner: e.GetRunner(), Incarnation: e.GetIncarnation(), Host: e.GetHost(),
		Fence: at.Sequence, GrantSequence: e.GetGrantSequence(), At: at.Time,
	}
	s.Idle++
	s.Runner = e.GetRunner()
	if s.Started.IsZero() {
		s.Started = at.Time
	}
	return s
}

func started(st *Step, at At, e *eventv1.StepStarted) {
	if st.Status.Done() {
		return
	}
	if st.Started.IsZero() {
		st.Started = at.Time
	}
	st.Status, st.Attempts, st.Interrupted = StepRunning, e.GetAttempt(), false
	st.RetryAt, st.Finished = time.Time{}, time.Time{}
}

func finished(st *Step, at At, e *eventv1.StepFinished) {
	st.Status, st.Finished, st.Artefacts = StepSucceeded, at.Time, e.GetArtefacts()
	st.ExitCode, st.Error, st.Tail, st.Interrupted = 0, "", "", false
	st.printed(e.GetOutput())
}

func (st *Step) printed(o *eventv1.StepOutput) {
	st.Note, st.Stdout, st.StdoutObject, st.StdoutBytes = o.GetNote(), o.GetStdout(), o.GetStdoutObject(), o.GetStdoutBytes()
}

func noted(s State, at At, e *eventv1.RunNoted) State {
	s.Notes = append(slices.Clone(s.Notes), Note{ID: e.GetId(), Text: e.GetText(), Format: e.GetFormat(), Sequence: at.Sequence})
	return s
}

func failed(st *Step, at At, e *eventv1.StepFailed) {
	st.Status, st.Finished = StepFailed, at.Time
	st.ExitCode, st.Error = e.GetExitCode(), e.GetError()
	st.Tail = e.GetOutput().GetTail()
	st.printed(e.GetOutput())
	if e.GetCause() != eventv1.StepFailed_CAUSE_STOPPED {
		st.Failures++
	}
	if e.GetRetryAt() != nil {
		st.Status, st.RetryAt = StepWaiting, e.GetRetryAt().AsTime()
	}
}

var outcomes = map[eventv1.RunEnded_Outcome]Status{
	eventv1.RunEnded_OUTCOME_SUCCEEDED: Succeeded,
	eventv1.RunEnded_OUTCOME_FAILED:    Failed,
	eventv1.RunEnded_OUTCOME_CANCELLED: Cancelled,
	eventv1.RunEnded_OUTCOME_TIMED_OUT: TimedOut,
	eventv1.RunEnded_OUTCOME_MERGED:    Merged,
}

func ended(s State, at At, e *eventv1.RunEnded) State {
	if s.Status.Ended() {
		return s
	}
	status, known := outcomes[e.GetOutcome()]
	if !known {
		status = Failed
	}
	s.Status, s.Reason, s.Finished = status, e.GetReason(), at.Time
	s.MergedInto = e.GetMergedInto()
	s.Claim, s.Question = Claim{}, nil
	return s
}
