package run

import (
	"fmt"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/slipway-hq/slipway/domain/roster"
	eventv1 "github.com/slipway-hq/slipway/gen/slipway/event/v1"
)

// This file is how long a run may wait and take.

// expire ends what nobody holds; a claimed run is only asked to stop, so that
// its slot is never free while a process lives.
func expire(s State, c Expire) ([]*eventv1.Event, error) {
	due, why := s.Due(c.Held)
	if s.Status.Ended() || due.IsZero() || c.Now.Before(due) {
		return nil, nil
	}
	timeout := &eventv1.Event{Kind: &eventv1.Event_TimeoutRequested{TimeoutRequested: &eventv1.TimeoutRequested{Deadline: timestamppb.New(due)}}}
	if s.Claimed() {
		return []*eventv1.Event{timeout}, nil
	}
	return []*eventv1.Event{timeout, end(0, eventv1.RunEnded_OUTCOME_TIMED_OUT, why, s.elapsed(c.Now))}, nil
}

// Due is the next moment at which the run times out, and the sentence that says
// why; zero when it never does. The wait for a slot begins when the run may
// start: after its delay, and after held, the end of the last hold.
func (s *State) Due(held time.Time) (time.Time, string) {
	if s.Status == Absent || s.Status.Ended() || !s.Deadline.IsZero() {
		return time.Time{}, ""
	}
	var due time.Time
	var why string
	earliest := func(from time.Time, d *durationpb.Duration, what string) {
		if d.AsDuration() <= 0 || from.IsZero() {
			return
		}
		if at := from.Add(d.AsDuration()); due.IsZero() || at.Before(due) {
			due, why = at, fmt.Sprintf("%s for longer than %s", what, d.AsDuration())
		}
	}
	switch {
	case s.Started.IsZero():
		earliest(latest(s.Created, s.StartAfter, held), s.Plan.GetQueueTimeout(), "waited for a slot and "+s.wanted())
	case !s.Claimed():
		earliest(s.Unclaimed, s.Plan.GetQueueTimeout(), "waited for "+s.wanted()+" to resume")
	}
	earliest(s.Started, s.Plan.GetTimeout(), "took, from its first step on,")
	return due, why
}

// wanted names the runner that the run waits for.
func (s *State) wanted() string {
	if needs := roster.Of(s.Plan); needs.Picky() && needs.Runner == "" {
		return "a runner of " + needs.String()
	} else if needs.Picky() {
		return needs.String()
	}
	return "a runner"
}

func latest(first time.Time, others ...time.Time) time.Time {
	for _, t := range others {
		if t.After(first) {
			first = t
		}
	}
	return first
}
