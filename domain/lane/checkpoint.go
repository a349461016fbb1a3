package lane

import (
	"slices"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	eventv1 "github.com/slipway-hq/slipway/gen/slipway/event/v1"
)

const (
	// maxCheckpoint is in bytes, some less than a commit holds. A lane that
	// remembers more has no checkpoint until it remembers less.
	maxCheckpoint = 56 << 10
	// keepMarks is how many checkpoints a lane remembers: one a day for longer than
	// anybody keeps the records before them.
	keepMarks = 200
)

// Mark is a checkpoint of the lane.
type Mark struct {
	Sequence uint64
	Version  uint64
	Time     time.Time
}

// Checkpoint writes the whole state into one event, so that the records before it
// can go. version is that of the last record that is folded into s. It returns
// none for a lane that nothing happened in, or whose state is too large.
func Checkpoint(s State, version uint64) []*eventv1.Event {
	if s.Sequence == 0 {
		return nil
	}
	e := image(s, version)
	if proto.Size(e) > maxCheckpoint {
		return nil
	}
	return []*eventv1.Event{{Kind: &eventv1.Event_LaneCheckpoint{LaneCheckpoint: e}}}
}

// Agrees tells whether a checkpoint says what the records before it do. A field
// that is added to State must be left out of this where an older version, which
// did not know it, wrote the checkpoint.
func Agrees(s State, e *eventv1.LaneCheckpoint) bool { return proto.Equal(image(s, e.GetVersion()), e) }

func image(s State, version uint64) *eventv1.LaneCheckpoint {
	e := &eventv1.LaneCheckpoint{Lane: s.Name, Number: s.Number, Sequence: s.Sequence, Version: version}
	for _, slot := range s.Slots {
		e.Slots = append(e.Slots, &eventv1.LaneCheckpoint_Slot{Run: slot.Run, Sequence: slot.Sequence})
	}
	last := int64(0)
	for _, at := range s.Starts {
		e.Starts = append(e.Starts, at.UnixNano()-last)
		last = at.UnixNano()
	}
	for _, y := range s.Yields {
		e.Yields = append(e.Yields, &eventv1.Absorbed{Run: y.Run, Into: y.Into, Kind: y.Kind})
	}
	for _, t := range s.Turns {
		e.Turns = append(e.Turns, &eventv1.LaneCheckpoint_Turn{Namespace: t.Namespace, Number: t.Number})
	}
	for _, h := range s.Holds {
		e.Holds = append(e.Holds, &eventv1.LaneCheckpoint_Hold{
			Held:  &eventv1.LaneHeld{Hold: h.ID, Job: h.Job, From: timestamppb.New(h.From), Until: timestamppb.New(h.Until), Reason: h.Reason},
			Begun: h.Begun, By: h.By, Sequence: h.Sequence,
		})
	}
	for _, m := range s.Marks {
		e.Marks = append(e.Marks, &eventv1.LaneCheckpoint_Mark{Sequence: m.Sequence, Version: m.Version, Time: timestamppb.New(m.Time)})
	}
	if c := s.Change; !c.At.IsZero() {
		e.Change = &eventv1.LaneChanged{Paused: c.Paused, Concurrency: c.Concurrency, Reason: c.Reason}
		e.ChangedBy, e.ChangedAt = c.By, timestamppb.New(c.At)
		if !c.Resumed.IsZero() {
			e.Resumed = timestamppb.New(c.Resumed)
		}
	}
	return e
}

// restored is the state that a checkpoint carries.
func restored(e *eventv1.LaneCheckpoint) State {
	s := State{Name: e.GetLane(), Number: e.GetNumber()}
	for _, slot := range e.GetSlots() {
		s.Slots = append(s.Slots, Slot{Run: slot.GetRun(), Sequence: slot.GetSequence()})
	}
	last := int64(0)
	for _, step := range e.GetStarts() {
		last += step
		s.Starts = append(s.Starts, time.Unix(0, last).UTC())
	}
	for _, y := range e.GetYields() {
		s.Yields = append(s.Yields, Yield{y.GetRun(), y.GetInto(), y.GetKind()})
	}
	for _, t := range e.GetTurns() {
		s.Turns = append(s.Turns, Turn{t.GetNamespace(), t.GetNumber()})
	}
	for _, h := range e.GetHolds() {
		s.Holds = append(s.Holds, Hold{
			ID: h.GetHeld().GetHold(), Job: h.GetHeld().GetJob(), From: h.GetHeld().GetFrom().AsTime(), Until: h.GetHeld().GetUntil().AsTime(),
			Begun: h.GetBegun(), Reason: h.GetHeld().GetReason(), By: h.GetBy(), Sequence: h.GetSequence(),
		})
	}
	for _, m := range e.GetMarks() {
		s.Marks = append(s.Marks, Mark{m.GetSequence(), m.GetVersion(), m.GetTime().AsTime()})
	}
	if c := e.GetChange(); c != nil {
		s.Change = Change{Paused: c.GetPaused(), Concurrency: c.GetConcurrency(), Reason: c.GetReason(), By: e.GetChangedBy(), At: e.GetChangedAt().AsTime()}
		if e.GetResumed() != nil {
			s.Change.Resumed = e.GetResumed().AsTime()
		}
	}
	return s
}

// checkpointed folds a checkpoint: the state itself where nothing is before it.
func checkpointed(s State, at At, e *eventv1.LaneCheckpoint, first bool) State {
	if first {
		s = restored(e)
		s.Sequence = at.Sequence
	}
	marks := append(slices.Clone(s.Marks), Mark{Sequence: at.Sequence, Version: e.GetVersion() + 1, Time: at.Time})
	s.Marks = marks[max(0, len(marks)-keepMarks):]
	return s
}
