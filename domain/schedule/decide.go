package schedule

import (
	"fmt"
	"slices"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/slipway-hq/slipway/domain/refusal"
	eventv1 "github.com/slipway-hq/slipway/gen/slipway/event/v1"
)

const (
	// MaxRuns bounds the runs of one commit, and of one backfill: 100 are 5 KB, and
	// more than a person looks through.
	MaxRuns = 100
	// maxWalk bounds the ticks that one decision looks at, which takes about a tenth
	// of a second: 70 days of every minute. More are decided in further commits.
	maxWalk = 100_000
)

// Policy says what becomes of ticks that nobody could fire in time.
type Policy int

// The policies.
const (
	// Once runs the newest missed tick alone.
	Once Policy = iota
	// Skip runs none.
	Skip
	// All runs the newest, up to the limit.
	All
)

// Misfire is a policy with its bounds.
type Misfire struct {
	Policy Policy
	// Grace is how late a tick may be and still count as on time: those always run.
	Grace time.Duration
	// Limit of missed ticks that All runs.
	Limit int
}

// keep is how many missed ticks are run.
func (m Misfire) keep() int {
	switch m.Policy {
	case Skip:
		return 0
	case All:
		return min(max(0, m.Limit), maxWalk/2) // a walk always gets on
	default:
		return 1
	}
}

// Command is a wish to change a schedule. The set is closed.
type Command interface{ command() }

// Arm makes the times of the configuration count from now on, unless they do
// already. Paused is the state that a new schedule begins in.
type Arm struct {
	Schedule       string
	Spec           Spec
	Paused         bool
	ConfigSequence uint64
	Now            time.Time
}

// Disarm says that the schedule is not in the configuration any more. It is
// stored as an arming without times.
type Disarm struct {
	ConfigSequence uint64
	Now            time.Time
}

// Tick decides what became due. Call it again as long as it causes events.
type Tick struct {
	Spec    Spec
	Misfire Misfire
	Now     time.Time
}

// Pausing stops the clock. Doing so again changes nothing, nor does a request
// that is delivered again after somebody else has resumed it: Command is its id,
// which the commit must carry, too; it may be empty.
type Pausing struct{ Command, Reason string }

// Resuming starts it again; what was missed meanwhile follows the misfire policy.
type Resuming struct{ Command, Reason string }

// Trigger asks for one run now, paused or not. Key is the request's own: the same
// one means the same run. The commit must carry it as its command id.
type Trigger struct {
	Key string
	Now time.Time
}

// Backfill asks for the ticks from Since until before Until. Ran tells whether a
// run is known: those are left out.
type Backfill struct {
	Spec              Spec
	Since, Until, Now time.Time
	Ran               func(run string) bool
}

func (Arm) command()      {}
func (Disarm) command()   {}
func (Tick) command()     {}
func (Pausing) command()  {}
func (Resuming) command() {}
func (Trigger) command()  {}
func (Backfill) command() {}

// Refusal says why a command causes nothing.
type Refusal = refusal.Refusal

// Refusals by code.
var (
	ErrAbsent = &Refusal{Code: "E-SCHEDULE-404", Sentence: "There is no such schedule in the configuration."}
	ErrRange  = &Refusal{Code: "E-SCHEDULE-RANGE", Sentence: "The time to backfill must begin before it ends."}
	ErrFuture = &Refusal{Code: "E-SCHEDULE-FUTURE", Sentence: "Only a time that has passed can be backfilled; the clock runs what is to come."}
	ErrMany   = &Refusal{Code: "E-SCHEDULE-MANY", Sentence: fmt.Sprintf("That time has more than %d ticks: backfill it in parts.", MaxRuns)}
)

// Decide returns the events that a command causes, none for a repeat, or the
// *Refusal that says why none.
func Decide(s State, c Command) ([]*eventv1.Event, error) {
	switch c := c.(type) {
	case Arm:
		return s.arm(c), nil
	case Disarm:
		return s.disarm(c), nil
	case Tick:
		return s.tick(c), nil
	}
	if !s.Armed() {
		return nil, ErrAbsent
	}
	switch c := c.(type) {
	case Pausing:
		if s.Paused == nil && !s.heard(c.Command) {
			return []*eventv1.Event{paused(s.Name, c.Reason)}, nil
		}
	case Resuming:
		if s.Paused != nil && !s.heard(c.Command) {
			return []*eventv1.Event{{Kind: &eventv1.Event_ScheduleResumed{ScheduleResumed: &eventv1.ScheduleResumed{Schedule: s.Name, Reason: c.Reason}}}}, nil
		}
	case Trigger:
		return s.trigger(c), nil
	case Backfill:
		return s.backfill(c)
	}
	return nil, nil
}

func (s State) arm(c Arm) []*eventv1.Event {
	if c.ConfigSequence < s.ConfigSequence || s.Spec == c.Spec.Text() {
		return nil
	}
	events := []*eventv1.Event{s.arming(c.Schedule, c.Spec.Text(), c.Now, c.ConfigSequence)}
	if c.Paused && !s.Armed() {
		events = append(events, paused(c.Schedule, "paused in the configuration"))
	}
	return events
}

func (s State) disarm(c Disarm) []*eventv1.Event {
	if c.ConfigSequence < s.ConfigSequence || !s.Armed() {
		return nil
	}
	return []*eventv1.Event{s.arming(s.Name, "", c.Now, c.ConfigSequence)}
}

// arming never begins before what is decided: the clocks of replicas differ.
func (s State) arming(name, spec string, now time.Time, config uint64) *eventv1.Event {
	if now.Before(s.Through) {
		now = s.Through
	}
	return &eventv1.Event{Kind: &eventv1.Event_ScheduleArmed{ScheduleArmed: &eventv1.ScheduleArmed{
		Schedule: name, Spec: spec, After: timestamppb.New(now), ConfigSequence: config,
	}}}
}

func paused(name, reason string) *eventv1.Event {
	return &eventv1.Event{Kind: &eventv1.Event_SchedulePaused{SchedulePaused: &eventv1.SchedulePaused{Schedule: name, Reason: reason}}}
}

func (s State) tick(c Tick) []*eventv1.Event {
	if due := s.Due(c.Spec); due.IsZero() || due.After(c.Now) {
		return nil
	}
	ticks, skipped, through := walk(s.Through, c)
	return []*eventv1.Event{s.firing(eventv1.ScheduleFired_CAUSE_CLOCK, ticks, skipped, through)}
}

// walk looks at what became due after a moment: which ticks are run, how many are
// not, and how far that decides.
func walk(after time.Time, c Tick) (run []time.Time, skipped uint32, through time.Time) {
	var missed, onTime []time.Time
	var passed time.Time // the newest tick that is skipped
	keep := c.Misfire.keep()
	at, steps := after, 0
	for ; steps < maxWalk && len(onTime) < MaxRuns; steps++ {
		next := c.Spec.Next(at)
		if next.IsZero() || next.After(c.Now) {
			break
		}
		at = next
		if c.Now.Sub(at) <= c.Misfire.Grace {
			onTime = append(onTime, at)
			continue
		}
		if missed = append(missed, at); len(missed) > keep {
			passed, missed = missed[0], missed[1:]
			skipped++
		}
	}
	if steps == maxWalk {
		return nil, skipped, passed // newer ones may come before those that were kept
	}
	if run = slices.Concat(missed, onTime); len(run) > MaxRuns {
		run = run[:MaxRuns]
		at = run[MaxRuns-1]
	}
	return run, skipped, at
}

func (s State) firing(cause eventv1.ScheduleFired_Cause, ticks []time.Time, skipped uint32, through time.Time) *eventv1.Event {
	e := &eventv1.ScheduleFired{Schedule: s.Name, Cause: cause, Skipped: skipped}
	if !through.IsZero() {
		e.Through = timestamppb.New(through)
	}
	for _, t := range ticks {
		e.Runs = append(e.Runs, &eventv1.Firing{Tick: timestamppb.New(t), Run: runOf(Identity(s.Name, t))})
	}
	return &eventv1.Event{Kind: &eventv1.Event_ScheduleFired{ScheduleFired: e}}
}

func (s State) trigger(c Trigger) []*eventv1.Event {
	run := runOf(TriggerIdentity(s.Name, c.Key))
	if s.remembers(run) {
		return nil
	}
	return []*eventv1.Event{{Kind: &eventv1.Event_ScheduleFired{ScheduleFired: &eventv1.ScheduleFired{
		Schedule: s.Name, Cause: eventv1.ScheduleFired_CAUSE_TRIGGERED,
		Runs: []*eventv1.Firing{{Tick: timestamppb.New(c.Now), Run: run}},
	}}}}
}

func (s State) remembers(run string) bool {
	return slices.ContainsFunc(s.Recent, func(f Firing) bool { return f.Run == run })
}

func (s State) backfill(c Backfill) ([]*eventv1.Event, error) {
	switch {
	case s.Spec != c.Spec.Text():
		return nil, ErrAbsent // the configuration is newer than what counts, or older
	case !c.Since.Before(c.Until):
		return nil, ErrRange
	case c.Until.After(c.Now):
		return nil, ErrFuture
	}
	var ticks []time.Time
	at := c.Spec.Next(c.Since.Add(-time.Nanosecond))
	for n := 0; !at.IsZero() && at.Before(c.Until); n++ {
		if n == MaxRuns {
			return nil, ErrMany
		}
		if run := runOf(Identity(s.Name, at)); !s.remembers(run) && !c.Ran(run) {
			ticks = append(ticks, at)
		}
		at = c.Spec.Next(at)
	}
	if len(ticks) == 0 {
		return nil, nil
	}
	return []*eventv1.Event{s.firing(eventv1.ScheduleFired_CAUSE_BACKFILL, ticks, 0, time.Time{})}, nil
}
