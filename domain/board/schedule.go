package board

import (
	"reflect"

	"google.golang.org/protobuf/proto"

	"github.com/slipway-hq/slipway/domain/schedule"
	eventv1 "github.com/slipway-hq/slipway/gen/slipway/event/v1"
)

// FoldSchedule folds a commit of a schedule's subject, and returns the
// schedule's name: empty when the commit has only events that this version does
// not know.
func (b *Board) FoldSchedule(sequence uint64, c *eventv1.Commit) string {
	b.sequence = max(b.sequence, sequence)
	name := scheduleOf(c)
	if name != "" {
		b.schedules[name] = schedule.FoldCommit(b.schedules[name], sequence, c)
	}
	return name
}

func scheduleOf(c *eventv1.Commit) string {
	for _, e := range c.GetEvents() {
		for _, named := range []interface{ GetSchedule() string }{e.GetScheduleArmed(), e.GetScheduleFired(), e.GetSchedulePaused(), e.GetScheduleResumed()} {
			if name := named.GetSchedule(); name != "" {
				return name
			}
		}
	}
	return ""
}

// Schedule returns the state of a schedule by name, "NAMESPACE/NAME"; false when
// it was never armed.
func (b *Board) Schedule(name string) (schedule.State, bool) {
	s, ok := b.schedules[name]
	return s, ok
}

// Schedules calls f with every schedule that was ever armed, in no order.
func (b *Board) Schedules(f func(name string, s schedule.State)) {
	for name, s := range b.schedules {
		f(name, s)
	}
}

// sameSchedule compares field by field; protobuf messages by their meaning.
func sameSchedule(a, b schedule.State) bool {
	if (a.Paused == nil) != (b.Paused == nil) || len(a.Recent) != len(b.Recent) {
		return false
	}
	if a.Paused != nil && (!proto.Equal(a.Paused.By, b.Paused.By) || a.Paused.Reason != b.Paused.Reason || !a.Paused.At.Equal(b.Paused.At)) {
		return false
	}
	for i := range a.Recent {
		if !sameFiring(a.Recent[i], b.Recent[i]) {
			return false
		}
	}
	if (a.Last == nil) != (b.Last == nil) || a.Last != nil && !sameFiring(*a.Last, *b.Last) {
		return false
	}
	a.Paused, a.Recent, a.Last, b.Paused, b.Recent, b.Last = nil, nil, nil, nil, nil, nil
	return reflect.DeepEqual(a, b)
}

func sameFiring(a, b schedule.Firing) bool {
	same := proto.Equal(a.By, b.By)
	a.By, b.By = nil, nil
	return same && a == b
}
