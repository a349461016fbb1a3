package board

import (
	"cmp"
	"slices"

	"github.com/slipway-hq/slipway/domain/lane"
	"github.com/slipway-hq/slipway/domain/relay"
	"github.com/slipway-hq/slipway/domain/schedule"
	eventv1 "github.com/slipway-hq/slipway/gen/slipway/event/v1"
)

// Image is a board written down, but for its summaries: everything that can
// still change. It shares with the board only what is never changed in place.
type Image struct {
	Sequence  uint64
	Config    Config
	Live      []Live   // by age
	Ended     []string // of Live, oldest end first
	Archived  []uint64 // the summaries of archived runs, a bit each
	Recent    []string // archived last
	Lanes     []LaneImage
	Versions  []Version
	Schedules []Schedule
	Relays    []Relay
}

// LaneImage is a Lane written down.
type LaneImage struct {
	Name        string
	State       lane.State
	Waiting     lane.Waiting
	Settings    *eventv1.LaneSettings
	Active      int
	Quarantined string
}

// Version is what went to a place last.
type Version struct {
	Service, Environment, Version string
	Sequence                      uint64
}

// Schedule is the state of a named schedule.
type Schedule struct {
	Name  string
	State schedule.State
}

// Relay is the state of a named relay.
type Relay struct {
	Name  string
	State relay.State
}

// Image writes down what can still change, the same for boards that are the same.
func (b *Board) Image() Image {
	i := Image{Sequence: b.sequence, Config: b.Config}
	for _, l := range b.live {
		i.Live = append(i.Live, *l)
	}
	slices.SortFunc(i.Live, func(x, y Live) int {
		return cmp.Or(cmp.Compare(x.Request, y.Request), cmp.Compare(x.State.ID, y.State.ID))
	})
	i.Ended = b.inOrder()
	i.Archived, i.Recent = slices.Clone(b.index.archived), slices.Clone(b.index.recent)
	for _, ln := range b.lanes {
		i.Lanes = append(i.Lanes, LaneImage{ln.Name, ln.State, ln.Queue.Image(), ln.Settings, ln.Active, ln.Quarantined})
	}
	slices.SortFunc(i.Lanes, func(x, y LaneImage) int { return cmp.Compare(x.Name, y.Name) })
	for at, last := range b.versions {
		i.Versions = append(i.Versions, Version{at.service, at.environment, last.version, last.sequence})
	}
	slices.SortFunc(i.Versions, func(x, y Version) int {
		return cmp.Or(cmp.Compare(x.Service, y.Service), cmp.Compare(x.Environment, y.Environment))
	})
	for name, s := range b.schedules {
		i.Schedules = append(i.Schedules, Schedule{name, s})
	}
	slices.SortFunc(i.Schedules, func(x, y Schedule) int { return cmp.Compare(x.Name, y.Name) })
	for _, name := range b.Relays() {
		i.Relays = append(i.Relays, Relay{name, b.relays[name]})
	}
	return i
}

// FromImage is the board that was written down: the image, and the segments of
// its summaries in order, each decoded by DecodeSegment.
func FromImage(i Image, segments []*Segment) *Board {
	b := New()
	b.sequence, b.Config = i.Sequence, i.Config
	for n := range i.Live {
		l := i.Live[n]
		b.insert(l.State.ID, &l)
	}
	b.ended = slices.Clone(i.Ended)
	for _, x := range i.Lanes {
		b.lanes[x.Name] = &Lane{Name: x.Name, State: x.State, Queue: lane.QueueOf(x.Waiting), Settings: x.Settings, Active: x.Active, Quarantined: x.Quarantined}
	}
	for _, v := range i.Versions {
		b.versions[place{v.Service, v.Environment}] = placed{v.Version, v.Sequence}
	}
	for _, s := range i.Schedules {
		b.schedules[s.Name] = s.State
	}
	for _, r := range i.Relays {
		b.relays[r.Name] = r.State
	}
	b.index.adopt(segments)
	b.index.archived, b.index.recent = slices.Clone(i.Archived), slices.Clone(i.Recent)
	return b
}

// inOrder are the ended runs that are kept whole, oldest end first.
func (b *Board) inOrder() []string {
	var out []string
	for n := range b.ended {
		out = append(out, b.ended[(b.oldest+n)%len(b.ended)])
	}
	return out
}

// adopt takes over decoded segments, all full but the last.
func (x *index) adopt(segments []*Segment) {
	n := 0
	for _, s := range segments {
		n += len(s.own.rows)
	}
	x.heads = make(map[uint32]int32, n)
	x.count = n
	for _, s := range segments {
		base := int32(len(x.segments)) << segmentBits //nolint:gosec // a process never holds 2^31 runs
		x.segments = append(x.segments, s.own)
		for i := range s.own.rows {
			key := s.keys[i]
			next, ok := x.heads[key]
			if !ok {
				next = -1
			}
			s.own.rows[i].next = next
			x.heads[key] = base + int32(i) //nolint:gosec // as above
		}
	}
	if len(x.segments) > 0 {
		tail := x.segments[len(x.segments)-1]
		x.terms = make(map[string]uint32, len(tail.words))
		for i, word := range tail.words {
			x.terms[word] = uint32(i) //nolint:gosec // bounded by a segment
		}
	}
}
