package schedule_test

import (
	"fmt"
	"strings"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/slipway-hq/slipway/domain/schedule"
	eventv1 "github.com/slipway-hq/slipway/gen/slipway/event/v1"
)

const name = "ops/nightly"

// world is one schedule and its log, with a clock that moves only when told.
type world struct {
	state    schedule.State
	now      time.Time
	spec     schedule.Spec
	misfire  schedule.Misfire
	history  []*eventv1.Commit
	runs     map[string]bool // that are known
	sequence uint64
}

func newWorld() *world {
	return &world{now: time.Date(2026, 1, 2, 10, 0, 0, 0, time.UTC), misfire: schedule.Misfire{Grace: time.Minute, Limit: 100}, runs: map[string]bool{}, sequence: 100}
}

// do decides and, if anything happened, commits.
func (w *world) do(c schedule.Command) ([]*eventv1.Event, error) {
	events, err := schedule.Decide(w.state, c)
	if err != nil || len(events) == 0 {
		return nil, err
	}
	w.sequence++
	commit := &eventv1.Commit{Events: events, Time: timestamppb.New(w.now), Actor: &eventv1.Principal{Kind: eventv1.Principal_KIND_SLACK_USER, User: "U1"}}
	switch c := c.(type) {
	case schedule.Trigger:
		commit.CommandId = c.Key
	case schedule.Pausing:
		commit.CommandId = c.Command
	case schedule.Resuming:
		commit.CommandId = c.Command
	}
	w.history = append(w.history, commit)
	w.state = schedule.FoldCommit(w.state, w.sequence, commit)
	return events, nil
}

func narrate(events []*eventv1.Event) string {
	var lines []string
	for _, e := range events {
		m := e.ProtoReflect()
		kind := string(m.Get(m.WhichOneof(m.Descriptor().Oneofs().ByName("kind"))).Message().Descriptor().Name())
		lines = append(lines, "  "+kind+detail(e))
	}
	return strings.Join(lines, "\n")
}

func detail(e *eventv1.Event) string {
	switch k := e.GetKind().(type) {
	case *eventv1.Event_ScheduleArmed:
		return fmt.Sprintf(" %q after %s", k.ScheduleArmed.GetSpec(), stamp(k.ScheduleArmed.GetAfter()))
	case *eventv1.Event_SchedulePaused:
		return ": " + k.SchedulePaused.GetReason()
	case *eventv1.Event_ScheduleResumed:
		return ": " + k.ScheduleResumed.GetReason()
	case *eventv1.Event_ScheduleFired:
		f := k.ScheduleFired
		text := " " + strings.ToLower(strings.TrimPrefix(f.GetCause().String(), "CAUSE_"))
		if f.GetThrough() != nil {
			text += " through " + stamp(f.GetThrough())
		}
		if f.GetSkipped() > 0 {
			text += fmt.Sprintf(", %d skipped", f.GetSkipped())
		}
		const shown = 3
		for i, r := range f.GetRuns() {
			if i < shown || i == len(f.GetRuns())-1 {
				text += fmt.Sprintf("\n    %s of %s", r.GetRun()[:7], stamp(r.GetTick()))
			} else if i == shown {
				text += fmt.Sprintf("\n    and %d more, to", len(f.GetRuns())-shown-1)
			}
		}
		return text
	}
	return ""
}

func stamp(t *timestamppb.Timestamp) string { return t.AsTime().Format("01-02 15:04:05") }
