// Package lane is one named queue with a limit: which of the waiting runs get a
// slot now. It is pure; board keeps the queues, the orchestrator's dispatcher
// puts grants into the log, on the lane's own subject.
//
// Invariants, held by property tests: granted minus ended runs never exceed the
// limit in force; a run is granted once; among waiting runs the lower priority
// number goes first, then the older request; no more than the rate's limit
// start within any one period of it.
package lane

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	eventv1 "github.com/slipway-hq/slipway/gen/slipway/event/v1"
)

const (
	// MaxGrants bounds the runs of one commit, so that it stays far below the
	// size of a message: 600 ids granted and 600 freed are 36 KB.
	MaxGrants = 600
	// MaxStarts bounds the start times that a lane remembers for its rate; a
	// rate limit may not be larger.
	MaxStarts = 1000
	// DefaultConcurrency is the limit of a lane that nobody configured.
	DefaultConcurrency = 1
)

// Slot is a run that was granted and, as far as the lane knows, still counts.
type Slot struct {
	Run      string
	Sequence uint64 // of the grant
}

// State is what a lane's events say. Slices are replaced, never changed.
type State struct {
	Name     string
	Slots    []Slot
	Starts   []time.Time // of the newest grants, oldest first, never running backwards
	Sequence uint64
}

// Candidate is a waiting run.
type Candidate struct {
	Run      string
	Priority int32
	Sequence uint64 // of the request: the age
}

// Before says which of two waiting runs goes first.
func Before(a, b Candidate) int {
	return cmp.Or(cmp.Compare(a.Priority, b.Priority), cmp.Compare(a.Sequence, b.Sequence))
}

// Grant asks for slots. Queue is in order. Ended says of a granted run whether
// it has ended: that is irrevocable, so a late answer errs on the safe side.
type Grant struct {
	Lane           string
	Queue          []Candidate
	Ended          func(run string) bool
	Settings       *eventv1.LaneSettings
	ConfigSequence uint64
	Now            time.Time
}

// Decide returns the one LaneGranted event that gives the free slots away, or
// none when nothing can start.
func Decide(s State, g Grant) ([]*eventv1.Event, error) {
	if g.Lane == "" {
		return nil, fmt.Errorf("lane: a grant names no lane")
	}
	freed := s.freed(g.Ended)
	free := min(Limit(g.Settings)-(len(s.Slots)-len(freed)), MaxGrants, s.allowance(g.Settings, g.Now))
	granted := make([]string, 0, max(0, min(free, len(g.Queue))))
	held := s.held()
	for _, c := range g.Queue {
		if len(granted) >= free {
			break
		}
		if !held[c.Run] && !g.Ended(c.Run) { // the queue may be older than the state
			granted, held[c.Run] = append(granted, c.Run), true
		}
	}
	if len(granted) == 0 {
		return nil, nil
	}
	return []*eventv1.Event{{Kind: &eventv1.Event_LaneGranted{LaneGranted: &eventv1.LaneGranted{
		Lane: g.Lane, Runs: granted, Freed: freed, Limit: uint32(Limit(g.Settings)), ConfigSequence: g.ConfigSequence, //nolint:gosec // bounded by the configuration
	}}}}, nil
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

// held is the set of runs with a slot.
func (s *State) held() map[string]bool {
	held := make(map[string]bool, len(s.Slots))
	for _, slot := range s.Slots {
		held[slot.Run] = true
	}
	return held
}

// Limit is how many runs may hold a slot at once.
func Limit(settings *eventv1.LaneSettings) int {
	if settings.GetConcurrency() == 0 {
		return DefaultConcurrency
	}
	return int(settings.GetConcurrency())
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
		s = Fold(s, sequence, c.GetTime().AsTime(), e)
	}
	return s
}

// Fold applies one event; an unknown one changes nothing but the sequence.
func Fold(s State, sequence uint64, at time.Time, e *eventv1.Event) State {
	s.Sequence = sequence
	switch k := e.GetKind().(type) {
	case *eventv1.Event_LaneGranted:
		return granted(s, sequence, at, k.LaneGranted)
	case *eventv1.Event_SlotReleased:
		s.Slots = without(s.Slots, []string{k.SlotReleased.GetRun()})
	}
	return s
}

func granted(s State, sequence uint64, at time.Time, e *eventv1.LaneGranted) State {
	s.Name = e.GetLane()
	slots := without(s.Slots, e.GetFreed())
	at = s.clamp(at)
	starts := slices.Clone(s.Starts)
	for _, run := range e.GetRuns() {
		slots = append(slots, Slot{Run: run, Sequence: sequence})
		starts = append(starts, at)
	}
	s.Slots, s.Starts = slots, starts[max(0, len(starts)-MaxStarts):]
	return s
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
