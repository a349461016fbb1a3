package board

import (
	"fmt"
	"slices"
	"time"

	"github.com/slipway-hq/slipway/domain/lane"
	"github.com/slipway-hq/slipway/domain/run"
	eventv1 "github.com/slipway-hq/slipway/gen/slipway/event/v1"
)

// This file is lanes: what is granted, absorbed and held in them, and what a
// decision on one of them needs to know.

// FoldLane folds a commit of a lane's subject.
func (b *Board) FoldLane(sequence uint64, c *eventv1.Commit) {
	b.sequence = max(b.sequence, sequence)
	for _, e := range c.GetEvents() {
		ln := b.lane(lane.NameOf(e))
		if ln == nil {
			continue
		}
		if c := e.GetLaneCheckpoint(); c != nil && ln.State.Sequence != 0 && !lane.Agrees(ln.State, c) {
			b.QuarantineLane(ln.Name, fmt.Sprintf("its checkpoint, record %d, says something else than its records before it", sequence))
		}
		ln.State = lane.Fold(ln.State, lane.At{Sequence: sequence, Time: c.GetTime().AsTime(), Actor: c.GetActor()}, e)
		for _, id := range e.GetLaneGranted().GetFreed() {
			b.freedDamaged(ln, id)
		}
		for _, id := range e.GetLaneGranted().GetRuns() {
			b.grant(ln, id, sequence)
		}
		for _, a := range e.GetLaneGranted().GetAbsorbs() {
			b.absorb(ln, a)
		}
		if r := e.GetSlotReleased(); r != nil {
			b.release(ln, r.GetRun())
		}
	}
}

func (b *Board) grant(ln *Lane, id string, sequence uint64) {
	l := b.live[id]
	if l == nil || l.Grant != 0 {
		return
	}
	l.Grant = sequence
	ln.Queue.Remove(id)
	if !l.State.Status.Ended() {
		ln.Active++
	}
}

// absorb notes that a waiting run yields to another.
func (b *Board) absorb(ln *Lane, a *eventv1.Absorbed) {
	l, into := b.live[a.GetRun()], b.live[a.GetInto()]
	if l == nil || l.State.Status.Ended() || l.Grant != 0 || a.GetKind() == eventv1.Absorbed_KIND_MERGED && b.Void(a.GetInto()) {
		return
	}
	l.Into, l.Kind = a.GetInto(), a.GetKind()
	ln.Queue.Remove(a.GetRun())
	if into != nil && a.GetKind() == eventv1.Absorbed_KIND_MERGED {
		into.Merged = append(slices.Clone(into.Merged), a.GetRun())
	}
}

func (b *Board) release(ln *Lane, id string) {
	if l := b.live[id]; l != nil && l.Grant != 0 && !l.State.Status.Ended() && !l.Released {
		l.Released = true
		ln.Active--
		b.freed(ln, l)
	}
}

// freedDamaged notes that the lane saw a run end whose own history is damaged.
func (b *Board) freedDamaged(ln *Lane, id string) {
	if l := b.live[id]; l != nil && l.Quarantined != "" {
		b.release(ln, id)
	}
}

// QuarantineLane stops all grants of the lane whose name is known.
func (b *Board) QuarantineLane(name, why string) {
	if ln := b.lane(name); ln != nil && ln.Quarantined == "" {
		ln.Quarantined = why
	}
}

func (b *Board) lane(name string) *Lane {
	if name == "" {
		return nil
	}
	ln := b.lanes[name]
	if ln == nil {
		ln = &Lane{Name: name}
		b.lanes[name] = ln
	}
	return ln
}

// Grant prepares a decision on a lane: what may start there now. Its functions
// read the board.
func (b *Board) Grant(ln *Lane, settings *eventv1.LaneSettings, now time.Time) lane.Grant {
	g := lane.Grant{
		Lane: ln.Name, Ended: b.Ended, Void: b.Void, Share: b.Share,
		Settings: settings, ConfigSequence: b.Config.Sequence, Now: now,
	}
	g.Queue = lane.Ready(&ln.Queue, ln.State, g)
	return g
}

// Due tells whether a run that yields may end now, and how.
func (b *Board) Due(l *Live) (run.Yield, bool) {
	if !l.Yielding() {
		return run.Yield{}, false
	}
	y := run.Yield{Into: l.Into, Kind: l.Kind}
	switch l.Kind {
	case eventv1.Absorbed_KIND_SUPERSEDED:
		y.Reason = fmt.Sprintf("superseded by %s", b.Short(l.Into))
		return y, true
	case eventv1.Absorbed_KIND_REJECTED:
		y.Reason = fmt.Sprintf("%s, the same job and arguments, waits or runs already", b.Short(l.Into))
		return y, true
	case eventv1.Absorbed_KIND_UNSPECIFIED, eventv1.Absorbed_KIND_MERGED:
	}
	y.Reason = fmt.Sprintf("%s executes for it, too", b.Short(l.Into))
	return y, b.started(l.Into)
}

// Held is when the last hold, pause or equal request ended to keep a waiting run
// from starting, and whether a hold or pause does now.
func (b *Board) Held(l *Live, now time.Time) (last time.Time, held bool) {
	ln := b.lanes[l.State.Plan.GetLane()]
	if ln == nil {
		return time.Time{}, false
	}
	job := l.candidate().Job
	_, _, held = ln.State.Held(job, now)
	last = ln.State.LastHeld(job, now)
	if u, _, waits := ln.Queue.Find(l.State.ID); waits && u.Start.After(last) {
		last = u.Start // equal requests put it off
	}
	return last, l.Grant == 0 && (held && l.State.DespiteHold == "" || ln.State.Change.Paused)
}

// Equal is a run that waits or holds a slot in the lane under a dedupe key; empty
// when there is none.
func (b *Board) Equal(ln *Lane, key string) string {
	if run := ln.Queue.Equal(key); run != "" {
		return run
	}
	for _, slot := range ln.State.Slots {
		if l := b.live[slot.Run]; l != nil && !l.State.Status.Ended() && l.State.Plan.GetDedupe().GetKey() == key {
			return slot.Run
		}
	}
	return ""
}

// started tells whether a run has started, ended or not.
func (b *Board) started(id string) bool {
	if l := b.live[id]; l != nil {
		return !l.State.Started.IsZero()
	}
	s, ok := b.index.get(id)
	return ok && s.Started() != 0
}

func (ln *Lane) slot(id string) (uint64, bool) {
	i := slices.IndexFunc(ln.State.Slots, func(s lane.Slot) bool { return s.Run == id })
	if i < 0 {
		return 0, false
	}
	return ln.State.Slots[i].Sequence, true
}

// Lanes calls f with every lane that was ever used.
func (b *Board) Lanes(f func(*Lane)) {
	for _, ln := range b.lanes {
		f(ln)
	}
}

// Lane returns a lane by name.
func (b *Board) Lane(name string) (*Lane, bool) {
	ln, ok := b.lanes[name]
	return ln, ok
}
