// Package lane is one named queue with limits: which of the waiting runs get a
// slot now, which of them go together, and what keeps them waiting. It is pure;
// board keeps the queues, the orchestrator's dispatcher puts grants into the
// log, and its desk holds and changed limits, all on the lane's own subject, so
// that each of them stands before or after a start and never beside it.
//
// Invariants, held by property tests: granted minus ended runs never exceed the
// limit in force; a run is granted once; among waiting runs the lower priority
// number goes first, then the earlier start, then the older request, unless the
// lane takes turns; no more than the rate's limit start within any one period
// of it; nothing that is held starts; of equal requests that merge one executes.
package lane

import (
	"slices"
	"time"

	eventv1 "github.com/slipway-hq/slipway/gen/slipway/event/v1"
)

const (
	// MaxGrants bounds the runs of one commit, MaxAbsorbs those that yield in it
	// and MaxTurns the runs of one commit of a lane that takes turns, so that it
	// stays below the size of a message: 600 ids granted, 600 freed and 300 pairs
	// absorbed are 55 KB.
	MaxGrants = 600
	// MaxAbsorbs: see MaxGrants.
	MaxAbsorbs = 300
	// MaxTurns: see MaxGrants.
	MaxTurns = 200
	// MaxStarts bounds the start times that a lane remembers for its rate; a
	// rate limit may not be larger.
	MaxStarts = 1000
	// keepTurns is how many namespaces a lane remembers the last turn of, and
	// keepYields how many runs it remembers that yielded: for as long as a
	// reader of the log may be late.
	keepTurns  = 100
	keepYields = 2000
	// DefaultConcurrency is the limit of a lane that nobody configured.
	DefaultConcurrency = 1
)

// Slot is a run that was granted and, as far as the lane knows, still counts.
type Slot struct {
	Run      string
	Sequence uint64 // of the grant
}

// Yield is a waiting run that does not execute itself.
type Yield struct {
	Run, Into string
	Kind      eventv1.Absorbed_Kind
}

// Turn is when a namespace last got a slot.
type Turn struct {
	Namespace string
	Number    uint64 // grants are numbered
}

// State is what a lane's events say. Slices are replaced, never changed.
type State struct {
	Name   string
	Slots  []Slot
	Starts []time.Time // of the newest grants, oldest first, never running backwards
	Yields []Yield     // the newest
	Turns  []Turn
	Number uint64 // of grants in all
	Holds  []Hold
	Change Change
	// Marks are the lane's checkpoints, the newest ones, oldest first.
	Marks    []Mark
	Sequence uint64
}

// Release frees the slot of a run about which nothing can be decided any more: an
// operator's word. A run without a slot needs none.
func Release(s State, name, run, reason string) []*eventv1.Event {
	if !slices.ContainsFunc(s.Slots, func(slot Slot) bool { return slot.Run == run }) {
		return nil
	}
	return []*eventv1.Event{{Kind: &eventv1.Event_SlotReleased{SlotReleased: &eventv1.SlotReleased{Lane: name, Run: run, Reason: reason}}}}
}

// freed lists granted runs that have ended, at most MaxGrants of them.
func (s *State) freed(ended func(string) bool) []string {
	var out []string
	for _, slot := range s.Slots {
		if len(out) < MaxGrants && ended(slot.Run) {
			out = append(out, slot.Run)
		}
	}
	return out
}

// allowance is how many may start now under the rate.
func (s *State) allowance(settings *eventv1.LaneSettings, now time.Time) int {
	limit, period := int(settings.GetRateLimit()), settings.GetRatePeriod().AsDuration()
	if limit == 0 || period <= 0 {
		return MaxGrants
	}
	recent := 0
	for _, at := range s.Starts {
		if at.Add(period).After(s.clamp(now)) {
			recent++
		}
	}
	return max(0, limit-recent)
}

// NextStart is when the rate lets another run start; zero when it does now.
func (s *State) NextStart(settings *eventv1.LaneSettings, now time.Time) time.Time {
	if s.allowance(settings, now) > 0 {
		return time.Time{}
	}
	i := len(s.Starts) - int(settings.GetRateLimit())
	return s.Starts[max(0, i)].Add(settings.GetRatePeriod().AsDuration())
}

// clamp makes a lane's clock never run backwards, whoever decides.
func (s *State) clamp(at time.Time) time.Time {
	if n := len(s.Starts); n > 0 && at.Before(s.Starts[n-1]) {
		return s.Starts[n-1]
	}
	return at
}

// FoldCommit folds every event of one commit.
func FoldCommit(s State, sequence uint64, c *eventv1.Commit) State {
	for _, e := range c.GetEvents() {
		s = Fold(s, At{sequence, c.GetTime().AsTime(), c.GetActor()}, e)
	}
	return s
}

// NameOf is the lane that an event of a lane names; empty for any other.
func NameOf(e *eventv1.Event) string {
	switch k := e.GetKind().(type) {
	case *eventv1.Event_LaneGranted:
		return k.LaneGranted.GetLane()
	case *eventv1.Event_SlotReleased:
		return k.SlotReleased.GetLane()
	case *eventv1.Event_LaneHeld:
		return k.LaneHeld.GetLane()
	case *eventv1.Event_HoldReleased:
		return k.HoldReleased.GetLane()
	case *eventv1.Event_LaneChanged:
		return k.LaneChanged.GetLane()
	case *eventv1.Event_LaneCheckpoint:
		return k.LaneCheckpoint.GetLane()
	}
	return ""
}

// At is where in the log an event stands and who caused it.
type At struct {
	Sequence uint64
	Time     time.Time
	Actor    *eventv1.Principal
}

// Fold applies one event; an unknown one changes nothing but the sequence.
func Fold(s State, at At, e *eventv1.Event) State {
	first := s.Sequence == 0
	s.Sequence = at.Sequence
	switch k := e.GetKind().(type) {
	case *eventv1.Event_LaneGranted:
		return granted(s, at, k.LaneGranted)
	case *eventv1.Event_SlotReleased:
		s.Slots = without(s.Slots, []string{k.SlotReleased.GetRun()})
	case *eventv1.Event_LaneHeld:
		h := k.LaneHeld
		s.Name = h.GetLane()
		s.Holds = s.withHold(Hold{
			ID: h.GetHold(), Job: h.GetJob(), From: h.GetFrom().AsTime(), Until: h.GetUntil().AsTime(),
			Begun: !at.Time.Before(h.GetFrom().AsTime()), Reason: h.GetReason(), By: at.Actor, Sequence: at.Sequence,
		}, at.Time)
	case *eventv1.Event_HoldReleased:
		s.Holds = s.released(k.HoldReleased.GetHolds(), at.Time)
	case *eventv1.Event_LaneCheckpoint:
		return checkpointed(s, at, k.LaneCheckpoint, first)
	case *eventv1.Event_LaneChanged:
		c := k.LaneChanged
		s.Name = c.GetLane()
		s.Change = s.Change.changed(Change{Paused: c.GetPaused(), Concurrency: c.GetConcurrency(), By: at.Actor, Reason: c.GetReason(), At: at.Time})
	}
	return s
}

func granted(s State, at At, e *eventv1.LaneGranted) State {
	s.Name = e.GetLane()
	slots := without(s.Slots, e.GetFreed())
	start := s.clamp(at.Time)
	starts := slices.Clone(s.Starts)
	for i, run := range e.GetRuns() {
		slots = append(slots, Slot{Run: run, Sequence: at.Sequence})
		starts = append(starts, start)
		s.Number++
		if i < len(e.GetTurns()) {
			s.Turns = s.turned(e.GetTurns()[i])
		}
	}
	s.Slots, s.Starts = slots, starts[max(0, len(starts)-MaxStarts):]
	if len(e.GetAbsorbs()) > 0 {
		yields := slices.Clone(s.Yields)
		for _, a := range e.GetAbsorbs() {
			yields = append(yields, Yield{a.GetRun(), a.GetInto(), a.GetKind()})
		}
		s.Yields = yields[max(0, len(yields)-keepYields):]
	}
	return s
}

// turned notes that a namespace had its turn.
func (s *State) turned(namespace string) []Turn {
	turns := make([]Turn, 0, len(s.Turns)+1)
	for _, t := range s.Turns {
		if t.Namespace != namespace {
			turns = append(turns, t)
		}
	}
	turns = append(turns, Turn{namespace, s.Number})
	return turns[max(0, len(turns)-keepTurns):]
}

// without copies slots, leaving runs out.
func without(slots []Slot, runs []string) []Slot {
	gone := make(map[string]bool, len(runs))
	for _, r := range runs {
		gone[r] = true
	}
	out := make([]Slot, 0, len(slots))
	for _, slot := range slots {
		if !gone[slot.Run] {
			out = append(out, slot)
		}
	}
	return out
}
