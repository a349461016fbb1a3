package run

import (
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	eventv1 "github.com/slipway-hq/slipway/gen/slipway/event/v1"
)

// archive puts into one event what is known of an ended run when its records are
// gone.
func archive(s State, c Archive) ([]*eventv1.Event, error) {
	switch {
	case s.Archived:
		return nil, nil
	case !s.Status.Ended():
		return nil, refuse(ErrClaimed, "the run has not ended (%s) and cannot be archived", s.Status)
	}
	return []*eventv1.Event{{Kind: &eventv1.Event_RunArchived{RunArchived: &eventv1.RunArchived{
		Run: s.ID, Object: c.Object, Digest: c.Digest, Offset: c.Offset, Length: c.Length,
		Versions: c.Versions, RequestSequence: c.Request, EndSequence: c.End,
		Identity: s.Identity, RequestDigest: s.Digest, Service: s.Service, Environment: s.Environment, Version: s.Version, Parameters: s.Parameters,
		Namespace: s.Namespace, Job: s.Job, Lane: s.Plan.GetLane(), Restricted: s.Plan.GetRestricted(), Source: s.Origin.GetSource(), Requester: s.Requester,
		Outcome: outcomeOf(s.Status), Code: s.Code, Reason: s.Reason, MergedInto: s.MergedInto,
		Created: stamp(s.Created), Started: stamp(s.Started), Finished: stamp(s.Finished),
	}}}}, nil
}

// archived is the run as far as its checkpoint says. One whose records are still
// there is as it was.
func archived(s State, e *eventv1.RunArchived) State {
	if s.Status != Absent {
		s.Archived = s.Status.Ended()
		return s
	}
	status, known := outcomes[e.GetOutcome()]
	if !known {
		status = Refused
	}
	return State{
		ID: e.GetRun(), Identity: e.GetIdentity(), Digest: e.GetRequestDigest(),
		Service: e.GetService(), Environment: e.GetEnvironment(), Version: e.GetVersion(), Parameters: e.GetParameters(),
		Namespace: e.GetNamespace(), Job: e.GetJob(), Requester: e.GetRequester(),
		Plan:   &eventv1.Plan{Lane: e.GetLane(), Restricted: e.GetRestricted()},
		Origin: &eventv1.Origin{Source: e.GetSource()},
		Status: status, Code: e.GetCode(), Reason: e.GetReason(), MergedInto: e.GetMergedInto(),
		Created: moment(e.GetCreated()), Started: moment(e.GetStarted()), Finished: moment(e.GetFinished()),
		Archived: true, Sequence: s.Sequence,
	}
}

// outcomeOf is unspecified for a refused run.
func outcomeOf(status Status) eventv1.RunEnded_Outcome {
	for outcome, s := range outcomes {
		if s == status {
			return outcome
		}
	}
	return eventv1.RunEnded_OUTCOME_UNSPECIFIED
}

func stamp(t time.Time) *timestamppb.Timestamp {
	if t.IsZero() {
		return nil
	}
	return timestamppb.New(t)
}

func moment(t *timestamppb.Timestamp) time.Time {
	if t == nil {
		return time.Time{}
	}
	return t.AsTime()
}
