package board

import (
	"fmt"
	"time"

	"github.com/slipway-hq/slipway/domain/lane"
	"github.com/slipway-hq/slipway/domain/roster"
	"github.com/slipway-hq/slipway/domain/run"
	eventv1 "github.com/slipway-hq/slipway/gen/slipway/event/v1"
)

// World is what a reason depends on beside the log.
type World struct {
	Now time.Time
	// Runners says who is alive, if that is known; nil: it is not.
	Runners func() (alive []roster.Runner, known bool)
	// Settings are those of a lane by the configuration in force; nil: the
	// plan's own.
	Settings func(lane string) *eventv1.LaneSettings
}

// Shown is a run as people see it.
type Shown struct {
	Status   run.Status
	Reason   string
	Position int // in the queue, from 1; 0 when not queued
	// Hold is what keeps a queued run from starting, until HeldUntil; nil: none.
	Hold      *lane.Hold
	HeldUntil time.Time
	// StartAfter is when a queued run may start at the earliest, if that is to come.
	StartAfter time.Time
	// With is the run that executes, or will, for this one as well.
	With string
}

// Status is where a run is, as Show says it.
func (l *Live) Status() run.Status {
	switch s := &l.State; {
	case s.Status.Ended():
		return s.Status
	case l.Quarantined != "":
		return run.Waiting
	case s.Claimed():
		return s.Status
	case l.Grant != 0:
		return run.Waiting
	}
	return run.Queued
}

// Show derives status, place and the one reason of a run that is kept whole.
func (b *Board) Show(l *Live, w World) Shown {
	s, status := &l.State, l.Status()
	switch {
	case s.Status.Ended():
		return Shown{Status: status, Reason: s.Reason}
	case l.Quarantined != "":
		return Shown{Status: status, Reason: "quarantined: " + l.Quarantined + slotWord(l)}
	case s.Claimed():
		return Shown{Status: status, Reason: held(s)}
	case l.Grant != 0:
		return Shown{Status: status, Reason: runnerReason(s, w)}
	}
	return b.queued(l, w)
}

// slotWord says what a quarantined run still keeps from others.
func slotWord(l *Live) string {
	switch {
	case l.Grant == 0:
		return ". It holds no slot"
	case l.Released:
		return ". Its slot was given to others"
	}
	return ". It keeps its slot until an operator releases it (slipway release)"
}

// held is why a claimed run does not run, or what else is to be said of it.
func held(s *run.State) string {
	at := s.Current()
	switch {
	case s.Cancel != nil:
		return "being cancelled: its processes are being stopped"
	case !s.Deadline.IsZero():
		return "its time limit passed: its processes are being stopped"
	case s.Question != nil:
		return s.Question.Text + " Answer repeat, done or fail"
	case s.Status == run.Waiting && int(at) < len(s.Steps):
		st := &s.Steps[at]
		return fmt.Sprintf("step %s failed (%s); attempt %d of %d starts at %s", st.Name, st.Error, st.Attempts+1,
			run.MaxAttempts(s.Plan.GetSteps()[at]), st.RetryAt.UTC().Format("15:04:05 MST"))
	}
	return ""
}

func runnerReason(s *run.State, w World) string {
	needs := roster.Of(s.Plan)
	lost := ""
	if !s.Started.IsZero() {
		lost = "its runner went away; "
	}
	if why := missing(needs, w); why != "" {
		return lost + why
	}
	if needs.Runner != "" {
		return fmt.Sprintf("%swaiting for room on %s", lost, needs)
	}
	return fmt.Sprintf("%swaiting for a free runner of %s", lost, needs)
}

// missing is why nobody who is alive will take a run, and what to do about it.
func missing(needs roster.Needs, w World) string {
	if w.Runners == nil {
		return ""
	}
	alive, known := w.Runners()
	why := roster.Missing(needs, alive)
	switch {
	case !known || why == "":
		return ""
	case needs.Runner != "":
		return why + ": slipway runners shows who is"
	case len(needs.Labels) > 0:
		return why + ": start one with them"
	case needs.Pool == roster.AnyPool:
		return why + ": start one"
	}
	return why + ": start one with that pool"
}

func (b *Board) queued(l *Live, w World) Shown {
	ln := b.lane(l.State.Plan.GetLane())
	shown := Shown{Status: run.Queued}
	switch {
	case ln == nil:
		shown.Reason = "it names no lane"
		return shown
	case l.Into != "":
		return b.yielding(l)
	}
	unit, i, ok := ln.Queue.Find(l.State.ID)
	if !ok {
		shown.Reason = "about to end"
		return shown
	}
	settings := SettingsOf(ln, w)
	change := ln.State.Change
	at := w.Now // when it could start at the earliest: what holds it then is what it waits for
	if unit.Start.After(at) {
		at = unit.Start
	}
	hold, until, held := ln.State.Held(unit.Head().Job, at)
	switch {
	case ln.Quarantined != "":
		shown.Reason = fmt.Sprintf("lane %s is quarantined: %s", ln.Name, ln.Quarantined)
	case change.Paused:
		shown.Reason = fmt.Sprintf("lane %s is paused by %s%s", ln.Name, Who(change.By), because(change.Reason))
	case held && !unit.Despite():
		shown.Hold, shown.HeldUntil = &hold, until
		shown.Reason = fmt.Sprintf("held until %s by %s%s", clock(until, w.Now), Who(hold.By), because(hold.Reason))
	case unit.Start.After(w.Now):
		shown.StartAfter = unit.Start
		shown.Reason = fmt.Sprintf("starts at %s, unless it is cancelled", clock(unit.Start, w.Now))
	default:
		shown.Position = i + 1
		shown.Reason = b.inLine(ln, unit, i, settings, w)
	}
	if head := unit.Head().Run; head != l.State.ID {
		shown.With = head
		shown.Reason = fmt.Sprintf("one execution with %s, the same job and arguments; %s", b.Short(head), shown.Reason)
	}
	return shown
}

// yielding is why a run has no place any more.
func (b *Board) yielding(l *Live) Shown {
	shown := Shown{Status: run.Queued, With: l.Into, Reason: fmt.Sprintf("%s executes for it, too", b.Short(l.Into))}
	into, known := b.live[l.Into]
	switch {
	case l.Kind != eventv1.Absorbed_KIND_MERGED:
		shown.Reason = fmt.Sprintf("ends, because of %s", b.Short(l.Into))
	case known && into.Quarantined != "":
		shown.Reason = fmt.Sprintf("%s was to execute for it, too, and is quarantined: %s%s", b.Short(l.Into), into.Quarantined, slotWord(into))
	}
	return shown
}

// inLine is why a unit that may start has not.
func (b *Board) inLine(ln *Lane, unit lane.Unit, i int, settings *eventv1.LaneSettings, w World) string {
	limit := ln.State.Limit(settings)
	head := unit.Head()
	turns := ""
	if settings.GetTurns() {
		turns = "; namespaces take turns"
	}
	switch {
	case i > 0 && ln.Active >= limit:
		return fmt.Sprintf("number %d in lane %s, behind %s%s", i+1, ln.Name, b.Short(ln.Queue.At(i-1).Head().Run), turns)
	case ln.Active >= limit:
		behind, _ := b.holders(ln, func(*Live) bool { return true })
		return fmt.Sprintf("next in lane %s, behind %s%s", ln.Name, behind, turns)
	}
	if at := ln.State.NextStart(settings, w.Now); at.After(w.Now) {
		return fmt.Sprintf("lane %s may start %d in %s; the next at %s", ln.Name, settings.GetRateLimit(), settings.GetRatePeriod().AsDuration(), at.UTC().Format("15:04:05 MST"))
	}
	if n := settings.GetPerJob(); n > 0 && head.Job != "" {
		if others, busy := b.holders(ln, func(l *Live) bool { return l.candidate().Job == head.Job }); busy >= int(n) {
			return fmt.Sprintf("lane %s runs %d of %s at once; behind %s", ln.Name, n, head.Job, others)
		}
	}
	if n := settings.GetPerNamespace(); n > 0 && head.Namespace != "" {
		if others, busy := b.holders(ln, func(l *Live) bool { return l.State.Namespace == head.Namespace }); busy >= int(n) {
			return fmt.Sprintf("lane %s runs %d of namespace %s at once; behind %s", ln.Name, n, head.Namespace, others)
		}
	}
	return "about to start"
}

// clock is a moment as people say it: with its day only when that is not today.
func clock(at, now time.Time) string {
	at, now = at.UTC(), now.UTC()
	if at.YearDay() == now.YearDay() && at.Year() == now.Year() {
		return at.Format("15:04:05 MST")
	}
	return at.Format("2006-01-02 15:04 MST")
}

func because(reason string) string {
	if reason == "" {
		return ""
	}
	return ": " + reason
}

// Who names a principal to people: a Slack user id, "api:NAME", or a part of
// Slipway.
func Who(p *eventv1.Principal) string {
	switch {
	case p.GetUser() != "":
		return p.GetUser()
	case p.GetKind() == eventv1.Principal_KIND_API:
		return "api:" + p.GetName()
	case p.GetName() != "":
		return p.GetName()
	}
	return "somebody"
}

// SettingsOf are the lane's limits in force.
func SettingsOf(ln *Lane, w World) *eventv1.LaneSettings {
	if w.Settings != nil {
		if s := w.Settings(ln.Name); s != nil {
			return s
		}
	}
	return ln.Settings
}

// holders names the runs that occupy a lane and count, at most two of them, and says how many there are.
func (b *Board) holders(ln *Lane, counts func(*Live) bool) (text string, n int) {
	for _, slot := range ln.State.Slots {
		l := b.live[slot.Run]
		if l == nil || l.State.Status.Ended() || !counts(l) {
			continue
		}
		if n++; n <= 2 {
			if text != "" {
				text += " and "
			}
			text += b.Short(slot.Run)
			if l.Quarantined != "" {
				text += " (quarantined)"
			}
		}
	}
	if n > 2 {
		text = fmt.Sprintf("%s and %d more", text, n-2)
	}
	return text, n
}
