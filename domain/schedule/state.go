package schedule

import (
	"slices"
	"time"

	"github.com/slipway-hq/slipway/domain/identity"
	eventv1 "github.com/slipway-hq/slipway/gen/slipway/event/v1"
)

const (
	// KeepFirings bounds the newest firings that a state remembers: those of two
	// full commits, so that one can be decided while the runs of another start.
	KeepFirings = 2 * MaxRuns
	// KeepFor bounds their age. A firing whose run was not started by then, since
	// nobody was there all the time, is not started any more: its run's history may
	// be archived, and nobody expects it.
	KeepFor = 7 * 24 * time.Hour
	// keepCommands bounds the pauses and resumptions that are known again when they
	// are delivered twice: more than people say while one is under way.
	keepCommands = 8
)

// State is what the events of one schedule say. Slices are replaced, never
// changed.
type State struct {
	// Name is "NAMESPACE/NAME".
	Name string
	// Spec is the text of the times that count; empty: none do, because the
	// schedule is not in the configuration.
	Spec string
	// ConfigSequence is of the configuration that Spec is from.
	ConfigSequence uint64
	// After is when counting began.
	After time.Time
	// Through: every tick up to here is decided.
	Through time.Time
	// Paused is nil while the clock counts.
	Paused *Pause
	// Commands are the ids of the newest requests to pause and to resume.
	Commands []string
	// Last is the newest tick that became a run; nil before the first.
	Last *Firing
	// Skipped counts ticks that were missed and not run, since the beginning.
	Skipped uint64
	// Recent are the newest firings, oldest first: their runs are to be started.
	Recent []Firing
	// Sequence is of the newest commit.
	Sequence uint64
}

// Pause is why the clock does not count.
type Pause struct {
	By     *eventv1.Principal
	Reason string
	At     time.Time
}

// Firing is a run that was decided on.
type Firing struct {
	Tick time.Time
	// Run is its full id.
	Run   string
	Cause eventv1.ScheduleFired_Cause
	// Key is of the person's request, when one triggered it.
	Key string
	// By is who decided, and At when.
	By *eventv1.Principal
	At time.Time
}

// Armed tells whether the schedule is in the configuration.
func (s State) Armed() bool { return s.Spec != "" }

// Due is when the clock ticks next, or when it did first if that is not decided
// yet; zero while it does not count, or when spec is not what was armed.
func (s State) Due(spec Spec) time.Time {
	if !s.Armed() || s.Spec != spec.Text() || s.Paused != nil {
		return time.Time{}
	}
	return spec.Next(s.Through)
}

// Identity is the request identity of the run of a tick.
func Identity(schedule string, tick time.Time) string {
	return "schedule|" + schedule + "|" + tick.UTC().Format(time.RFC3339)
}

// TriggerIdentity is that of a run that a person asked for.
func TriggerIdentity(schedule, key string) string {
	return "schedule|" + schedule + "|trigger|" + key
}

// Identity is the request identity of the firing's run.
func (f Firing) Identity(schedule string) string {
	if f.Cause == eventv1.ScheduleFired_CAUSE_TRIGGERED {
		return TriggerIdentity(schedule, f.Key)
	}
	return Identity(schedule, f.Tick)
}

func runOf(identityText string) string { return identity.RunID(identity.Job, identityText) }

// FoldCommit adds one commit of the schedule's subject.
func FoldCommit(s State, sequence uint64, c *eventv1.Commit) State {
	for _, e := range c.GetEvents() {
		s = Fold(s, c, e)
	}
	s.Sequence = sequence
	return s
}

// Fold adds one event of a commit. Unknown kinds change nothing.
func Fold(s State, c *eventv1.Commit, e *eventv1.Event) State {
	switch k := e.GetKind().(type) {
	case *eventv1.Event_ScheduleArmed:
		return s.armed(k.ScheduleArmed)
	case *eventv1.Event_ScheduleFired:
		return s.fired(c, k.ScheduleFired)
	case *eventv1.Event_SchedulePaused:
		s.Paused = &Pause{By: c.GetActor(), Reason: k.SchedulePaused.GetReason(), At: c.GetTime().AsTime()}
		s.Commands = remember(s.Commands, c.GetCommandId())
	case *eventv1.Event_ScheduleResumed:
		s.Paused = nil
		s.Commands = remember(s.Commands, c.GetCommandId())
	}
	return s
}

func remember(ids []string, id string) []string {
	if id == "" {
		return ids
	}
	ids = append(slices.Clone(ids), id)
	return ids[max(0, len(ids)-keepCommands):]
}

// heard tells whether a request was decided on.
func (s State) heard(command string) bool {
	return command != "" && slices.Contains(s.Commands, command)
}

func (s State) armed(e *eventv1.ScheduleArmed) State {
	s.Name, s.Spec, s.ConfigSequence = e.GetSchedule(), e.GetSpec(), e.GetConfigSequence()
	s.After = e.GetAfter().AsTime()
	s.Through = s.After
	if s.Spec == "" {
		s.Paused = nil // should it come back it is a new one
	}
	return s
}

func (s State) fired(c *eventv1.Commit, e *eventv1.ScheduleFired) State {
	at := c.GetTime().AsTime()
	recent := slices.DeleteFunc(slices.Clone(s.Recent), func(f Firing) bool { return at.Sub(f.At) > KeepFor })
	for _, r := range e.GetRuns() {
		f := Firing{Tick: r.GetTick().AsTime(), Run: r.GetRun(), Cause: e.GetCause(), By: c.GetActor(), At: at}
		if f.Cause == eventv1.ScheduleFired_CAUSE_TRIGGERED {
			f.Key = c.GetCommandId()
		}
		recent = append(recent, f)
		if s.Last == nil || f.Tick.After(s.Last.Tick) {
			s.Last = &f
		}
	}
	s.Recent = recent[max(0, len(recent)-KeepFirings):]
	if e.GetThrough() != nil {
		s.Through = e.GetThrough().AsTime()
	}
	s.Skipped += uint64(e.GetSkipped())
	return s
}
