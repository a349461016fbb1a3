package lane

import (
	"fmt"
	"slices"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/slipway-hq/slipway/domain/refusal"
	eventv1 "github.com/slipway-hq/slipway/gen/slipway/event/v1"
)

const (
	// MaxHolds that have not ended, of one lane: more than anybody can overlook.
	MaxHolds = 50
	// keepHolds that have ended are remembered, so that a wait for a slot counts
	// from the end of the last one.
	keepHolds = 20
	// MaxHold is the longest hold, as long as the longest wait.
	MaxHold = 30 * 24 * time.Hour
)

// Hold keeps a job, or everything in the lane, from starting for a while.
type Hold struct {
	ID string
	// Job is "NAMESPACE/JOB"; empty: everything.
	Job         string
	From, Until time.Time
	// Begun: it was in force when it was set, so that no start follows it in the
	// log, not even by a clock that is behind.
	Begun    bool
	Reason   string
	By       *eventv1.Principal
	Sequence uint64
}

// covers tells whether the hold keeps job from starting at a moment: from From
// on, up to and without Until.
func (h Hold) covers(job string, at time.Time) bool {
	return h.concerns(job) && (h.Begun || !at.Before(h.From)) && at.Before(h.Until)
}

func (h Hold) concerns(job string) bool { return h.Job == "" || h.Job == job }

// Active tells whether the hold is in force at a moment.
func (h Hold) Active(at time.Time) bool { return h.covers(h.Job, at) }

// Change is a limit that was set at run time.
type Change struct {
	Paused      bool
	Concurrency uint32 // 0: the configuration's
	By          *eventv1.Principal
	Reason      string
	At          time.Time
	// Resumed is when the last pause ended; zero: there was none, or it lasts.
	Resumed time.Time
}

// changed is what a change leaves behind: a pause that ends with it is not
// forgotten by the next one.
func (c Change) changed(next Change) Change {
	next.Resumed = c.Resumed
	if c.Paused && !next.Paused {
		next.Resumed = next.At
	}
	return next
}

// Set tells whether the change is in force.
func (c Change) Set() bool { return c.Paused || c.Concurrency != 0 }

// Refusal says why a command causes nothing.
type Refusal = refusal.Refusal

// The codes of Refusal.
const (
	CodeHoldPast    = "E-HOLD-PAST"
	CodeHoldOrder   = "E-HOLD-ORDER"
	CodeHoldLong    = "E-HOLD-LONG"
	CodeHoldMany    = "E-HOLD-MANY"
	CodeHoldUnknown = "E-HOLD-404"
	CodeLaneSame    = "E-LANE-SAME"
)

// SetHold keeps a job from starting for a while. The same id again changes nothing.
func SetHold(s State, lane string, h Hold, now time.Time) ([]*eventv1.Event, error) {
	coming := 0
	for _, other := range s.Holds {
		if other.ID == h.ID {
			return nil, nil
		}
		if other.Until.After(now) {
			coming++
		}
	}
	switch {
	case !h.Until.After(h.From):
		return nil, &Refusal{Code: CodeHoldOrder, Sentence: "That hold would end before it begins. Give the start first, then the end; past midnight, give the date of the end."}
	case !h.Until.After(now):
		return nil, &Refusal{Code: CodeHoldPast, Sentence: fmt.Sprintf("That hold would be over already (it ends %s). Nothing is held.", h.Until.UTC().Format("2006-01-02 15:04 MST"))}
	case h.Until.Sub(h.From) > MaxHold:
		return nil, &Refusal{Code: CodeHoldLong, Sentence: fmt.Sprintf("A hold may last %d days at most. To stop a lane until further notice, pause it: `slipway lanes set`.", int(MaxHold.Hours()/24))}
	case coming >= MaxHolds:
		return nil, &Refusal{Code: CodeHoldMany, Sentence: fmt.Sprintf("There are %d holds on this lane already; release some first.", coming)}
	}
	return []*eventv1.Event{{Kind: &eventv1.Event_LaneHeld{LaneHeld: &eventv1.LaneHeld{
		Lane: lane, Hold: h.ID, Job: h.Job, From: timestamppb.New(h.From), Until: timestamppb.New(h.Until), Reason: h.Reason,
	}}}}, nil
}

// ReleaseHolds ends the holds of a job that have not ended, those to come
// included; with an id, that one alone. No such hold is a Refusal.
func ReleaseHolds(s State, lane, job, id, reason string, now time.Time) ([]*eventv1.Event, error) {
	var ids []string
	for _, h := range s.Holds {
		if h.Until.After(now) && h.Job == job && (id == "" || h.ID == id) {
			ids = append(ids, h.ID)
		}
	}
	if len(ids) == 0 {
		return nil, &Refusal{Code: CodeHoldUnknown, Sentence: "Nothing is held there, and nothing was changed."}
	}
	return []*eventv1.Event{{Kind: &eventv1.Event_HoldReleased{HoldReleased: &eventv1.HoldReleased{Lane: lane, Holds: ids, Reason: reason}}}}, nil
}

// SetLimits pauses or resumes a lane, or sets its limit; nil leaves as it is.
func SetLimits(s State, lane string, paused *bool, concurrency *uint32, reason string) ([]*eventv1.Event, error) {
	next := eventv1.LaneChanged{Lane: lane, Paused: s.Change.Paused, Concurrency: s.Change.Concurrency, Reason: reason}
	if paused != nil {
		next.Paused = *paused
	}
	if concurrency != nil {
		next.Concurrency = *concurrency
	}
	if next.GetPaused() == s.Change.Paused && next.GetConcurrency() == s.Change.Concurrency {
		return nil, &Refusal{Code: CodeLaneSame, Sentence: "The lane is like that already; nothing was changed."}
	}
	return []*eventv1.Event{{Kind: &eventv1.Event_LaneChanged{LaneChanged: &next}}}, nil
}

// Held returns the hold that keeps a job from starting now, and until when,
// holds that follow it without a gap included.
func (s *State) Held(job string, now time.Time) (hold Hold, until time.Time, held bool) {
	until = now
	for range s.Holds { // each pass extends by one hold at least
		i := slices.IndexFunc(s.Holds, func(h Hold) bool { return h.covers(job, until) })
		if i < 0 {
			break
		}
		if !held {
			hold, held = s.Holds[i], true
		}
		until = s.Holds[i].Until
	}
	return hold, until, held
}

// LastHeld is when the last hold or pause ended that kept a job from starting;
// zero without one.
func (s *State) LastHeld(job string, now time.Time) time.Time {
	last := s.Change.Resumed
	for _, h := range s.Holds {
		if h.concerns(job) && !h.Until.After(now) && h.Until.After(last) {
			last = h.Until
		}
	}
	return last
}

// Coming lists the holds that have not ended, by their start.
func (s *State) Coming(now time.Time) []Hold {
	var out []Hold
	for _, h := range s.Holds {
		if h.Until.After(now) {
			out = append(out, h)
		}
	}
	slices.SortFunc(out, func(a, b Hold) int { return a.From.Compare(b.From) })
	return out
}

// withHold adds a hold and forgets the oldest of those that have ended.
func (s *State) withHold(h Hold, now time.Time) []Hold {
	holds := append(slices.Clone(s.Holds), h)
	var over []time.Time
	for _, h := range holds {
		if !h.Until.After(now) {
			over = append(over, h.Until)
		}
	}
	if len(over) <= keepHolds {
		return holds
	}
	slices.SortFunc(over, time.Time.Compare)
	limit := over[len(over)-keepHolds]
	return slices.DeleteFunc(holds, func(h Hold) bool { return h.Until.Before(limit) })
}

// released ends holds at a moment. One that has not begun is forgotten.
func (s *State) released(ids []string, now time.Time) []Hold {
	var out []Hold
	for _, h := range s.Holds {
		if slices.Contains(ids, h.ID) {
			if !h.From.Before(now) {
				continue
			}
			h.Until = minTime(h.Until, now)
		}
		out = append(out, h)
	}
	return out
}
