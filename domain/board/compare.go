package board

import (
	"fmt"
	"reflect"
	"slices"

	"google.golang.org/protobuf/proto"

	"github.com/slipway-hq/slipway/domain/lane"
	"github.com/slipway-hq/slipway/domain/run"
	eventv1 "github.com/slipway-hq/slipway/gen/slipway/event/v1"
)

// Compare lists, in at most limit sentences, what two folds of the same log say
// differently. A run or lane that moved on in one of them is left out: it is
// later, not different.
func Compare(a, b *Board, limit int) []string {
	var out []string
	say := func(format string, args ...any) {
		if len(out) < limit {
			out = append(out, fmt.Sprintf(format, args...))
		}
	}
	for id, x := range a.live {
		y, ok := b.live[id]
		switch {
		case !ok && (b.index.has(id) || x.Request > b.sequence):
		case !ok:
			say("run %s is missing in the refold", id)
		case x.State.Sequence == y.State.Sequence && !sameState(x.State, y.State):
			say("run %s differs at sequence %d", id, x.State.Sequence)
		case x.State.Sequence == y.State.Sequence && a.sequence == b.sequence && x.Into != y.Into:
			say("run %s yields to %q in one fold and to %q in the other", id, x.Into, y.Into)
		case x.State.Sequence == y.State.Sequence && x.Quarantined != y.Quarantined:
			say("run %s is quarantined in one fold only", id)
		}
	}
	a.Summaries(func(x Summary) bool {
		y, ok := b.index.get(x.ID())
		switch {
		case !ok && x.Sequence() > b.sequence:
		case !ok:
			say("ended run %s is missing in the refold", x.ID())
		case !x.same(y):
			say("ended run %s differs", x.ID())
		}
		return len(out) < limit
	})
	for name, x := range a.lanes {
		y, ok := b.lanes[name]
		if ok && x.State.Sequence == y.State.Sequence && !sameLane(x.State, y.State) {
			say("lane %s differs", name)
		}
	}
	for name, x := range a.schedules {
		if y, ok := b.schedules[name]; ok && x.Sequence == y.Sequence && !sameSchedule(x, y) {
			say("schedule %s differs at sequence %d", name, x.Sequence)
		}
	}
	for name, x := range a.relays {
		if y, ok := b.relays[name]; ok && x.Sequence == y.Sequence && !sameRelay(x, y) {
			say("relay %s differs at sequence %d", name, x.Sequence)
		}
	}
	return out
}

// sameLane compares all but who set what: that follows from the sequences.
func sameLane(a, b lane.State) bool {
	sameHolds := slices.EqualFunc(a.Holds, b.Holds, func(x, y lane.Hold) bool {
		x.By, y.By = nil, nil
		return reflect.DeepEqual(x, y)
	})
	a.Holds, b.Holds, a.Change.By, b.Change.By = nil, nil, nil, nil
	return sameHolds && reflect.DeepEqual(a, b)
}

// sameState compares field by field; protobuf messages by their meaning.
func sameState(a, b run.State) bool {
	if !proto.Equal(a.Plan, b.Plan) || !proto.Equal(a.Requester, b.Requester) || !proto.Equal(a.Origin, b.Origin) || !sameCancel(a.Cancel, b.Cancel) || !sameSteps(a.Steps, b.Steps) {
		return false
	}
	a.Plan, a.Requester, a.Origin, a.Cancel, a.Steps = nil, nil, nil, nil, nil
	b.Plan, b.Requester, b.Origin, b.Cancel, b.Steps = nil, nil, nil, nil, nil
	return reflect.DeepEqual(a, b)
}

func sameCancel(a, b *run.Cancel) bool {
	if a == nil || b == nil {
		return a == b
	}
	return proto.Equal(a.By, b.By) && a.Reason == b.Reason && a.At.Equal(b.At)
}

func sameSteps(a, b []run.Step) bool {
	return slices.EqualFunc(a, b, func(x, y run.Step) bool {
		same := slices.EqualFunc(x.Artefacts, y.Artefacts, func(p, q *eventv1.Artefact) bool { return proto.Equal(p, q) })
		x.Artefacts, y.Artefacts = nil, nil
		return same && reflect.DeepEqual(x, y)
	})
}
