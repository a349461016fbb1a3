package board

import (
	"fmt"
	"slices"
	"time"

	"github.com/slipway-hq/slipway/domain/lane"
	"github.com/slipway-hq/slipway/domain/run"
	eventv1 "github.com/slipway-hq/slipway/gen/slipway/event/v1"
)

// World is what a reason depends on beside the log.
type World struct {
	Now time.Time
	// Runners says how many runners of a pool are alive; nil or -1: not known.
	Runners func(pool string) int
	// Settings are those of a lane by the configuration in force; nil: the
	// plan's own.
	Settings func(lane string) *eventv1.LaneSettings
}

// Shown is a run as people see it.
type Shown struct {
	Status   run.Status
	Reason   string
	Position int // in the queue, from 1; 0 when not queued
}

// Show derives status, place and the one reason of a run that is kept whole.
func (b *Board) Show(l *Live, w World) Shown {
	s := &l.State
	switch {
	case s.Status.Ended():
		return Shown{Status: s.Status, Reason: s.Reason}
	case l.Quarantined != "":
		return Shown{Status: run.Waiting, Reason: "quarantined: " + l.Quarantined + slotWord(l)}
	case s.Claimed():
		return Shown{Status: s.Status, Reason: held(s)}
	case l.Grant != 0:
		return Shown{Status: run.Waiting, Reason: runnerReason(s, w)}
	}
	return b.queued(l, w)
}

// slotWord says what a quarantined run still keeps from others.
func slotWord(l *Live) string {
	switch {
	case l.Grant == 0:
		return ". It holds no slot"
	case l.Released:
		return ". An operator has released its slot"
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
	pool := s.Plan.GetPool()
	lost := ""
	if !s.Started.IsZero() {
		lost = "its runner went away; "
	}
	if w.Runners != nil && w.Runners(pool) == 0 {
		return fmt.Sprintf("%sno runner of pool %s is connected: start one with that pool", lost, pool)
	}
	return fmt.Sprintf("%swaiting for a free runner of pool %s", lost, pool)
}

func (b *Board) queued(l *Live, w World) Shown {
	ln := b.lane(l.State.Plan.GetLane())
	shown := Shown{Status: run.Queued}
	if ln == nil {
		shown.Reason = "it names no lane"
		return shown
	}
	if i, ok := slices.BinarySearchFunc(ln.Queue, l.candidate(), lane.Before); ok {
		shown.Position = i + 1
	}
	settings := SettingsOf(ln, w)
	switch {
	case ln.Quarantined != "":
		shown.Reason = fmt.Sprintf("lane %s is quarantined: %s", ln.Name, ln.Quarantined)
	case shown.Position > 1:
		shown.Reason = fmt.Sprintf("number %d in lane %s, behind %s", shown.Position, ln.Name, b.Short(ln.Queue[shown.Position-2].Run))
	case ln.Active >= lane.Limit(settings):
		shown.Reason = fmt.Sprintf("next in lane %s, behind %s", ln.Name, b.holders(ln))
	default:
		if at := ln.State.NextStart(settings, w.Now); at.After(w.Now) {
			shown.Reason = fmt.Sprintf("lane %s may start %d in %s; the next at %s", ln.Name, settings.GetRateLimit(),
				settings.GetRatePeriod().AsDuration(), at.UTC().Format("15:04:05 MST"))
			break
		}
		shown.Reason = "about to start"
	}
	return shown
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

// holders names the runs that occupy a lane, at most two of them.
func (b *Board) holders(ln *Lane) string {
	text, n := "", 0
	for _, slot := range ln.State.Slots {
		l := b.live[slot.Run]
		if l == nil || l.State.Status.Ended() {
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
	return text
}
