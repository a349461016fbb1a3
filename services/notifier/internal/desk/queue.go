package desk

import (
	"container/heap"
	"time"
)

// class orders what is due at one time: lower first.
type class uint8

// Final states first, then what a person waits for, then progress, then places
// in a queue; marks that only mirror what cards say come last.
const (
	classFinal class = iota
	classPerson
	classProgress
	classPlace
	classMirror
)

// queue is a heap of tracks. Each track is in at most one.
type queue struct {
	tracks []*track
	less   func(a, b *track) bool
}

func (q *queue) Len() int           { return len(q.tracks) }
func (q *queue) Less(i, j int) bool { return q.less(q.tracks[i], q.tracks[j]) }
func (q *queue) Swap(i, j int) {
	q.tracks[i], q.tracks[j] = q.tracks[j], q.tracks[i]
	q.tracks[i].position, q.tracks[j].position = i, j
}

// Push and Pop are for container/heap.
func (q *queue) Push(x any) {
	t, ok := x.(*track)
	if !ok {
		return
	}
	t.position, t.in = len(q.tracks), q
	q.tracks = append(q.tracks, t)
}

// Pop is for container/heap.
func (q *queue) Pop() any {
	last := len(q.tracks) - 1
	t := q.tracks[last]
	q.tracks[last] = nil
	q.tracks = q.tracks[:last]
	t.in = nil
	return t
}

// agenda says which track is looked at next.
type agenda struct {
	ready, later queue
	order        uint64
}

func newAgenda() agenda {
	return agenda{
		ready: queue{less: func(a, b *track) bool {
			if a.class != b.class {
				return a.class < b.class
			}
			return a.order < b.order
		}},
		later: queue{less: func(a, b *track) bool {
			if !a.due.Equal(b.due) {
				return a.due.Before(b.due)
			}
			return a.order < b.order
		}},
	}
}

// remove takes the track off the agenda.
func (a *agenda) remove(t *track) {
	if t.in != nil {
		heap.Remove(t.in, t.position)
	}
}

// at puts the track on the agenda for a time, instead of where it stood.
func (a *agenda) at(t *track, due time.Time) {
	a.remove(t)
	t.due = due
	heap.Push(&a.later, t)
}

// now puts the track on the agenda at once: behind the others of its class when
// it was not on it, else where it stood among them.
func (a *agenda) now(t *track) {
	if t.in == &a.ready {
		heap.Fix(&a.ready, t.position)
		return
	}
	if t.in == nil {
		a.order++
		t.order = a.order
	}
	a.remove(t)
	heap.Push(&a.ready, t)
}

// next returns the most urgent track that is due and takes it off, or nil and
// the time of the first one (zero: there is none).
func (a *agenda) next(now time.Time) (*track, time.Time) {
	for a.later.Len() > 0 && !a.later.tracks[0].due.After(now) {
		a.now(a.later.tracks[0])
	}
	if a.ready.Len() > 0 {
		t, _ := heap.Pop(&a.ready).(*track)
		return t, time.Time{}
	}
	if a.later.Len() > 0 {
		return nil, a.later.tracks[0].due
	}
	return nil, time.Time{}
}
