package audit

import (
	"slices"
	"time"

	eventv1 "github.com/slipway-hq/slipway/gen/slipway/event/v1"
	"github.com/slipway-hq/slipway/internal/eventlog"
)

// queue is one lane.
type queue struct {
	granted     []*entry
	starts      []time.Time
	holds       map[string]window
	paused      bool
	concurrency int // set at run time; 0: by configuration
}

// window is a hold.
type window struct {
	job         string
	from, until time.Time
}

func (w window) covers(job string, at time.Time) bool {
	return (w.job == "" || w.job == job) && !at.Before(w.from) && at.Before(w.until)
}

func (b *book) lane(name string) *queue {
	if b.lanes[name] == nil {
		b.lanes[name] = &queue{holds: map[string]window{}}
	}
	return b.lanes[name]
}

func (b *book) readLane(rec eventlog.Record, e *eventv1.Event) {
	at := rec.Commit.GetTime().AsTime()
	switch k := e.GetKind().(type) {
	case *eventv1.Event_LaneGranted:
		b.granted(rec, k.LaneGranted, at)
	case *eventv1.Event_SlotReleased:
		if r := b.runs[k.SlotReleased.GetRun()]; r != nil {
			r.released = true
		}
	case *eventv1.Event_LaneHeld:
		h := k.LaneHeld
		b.holds[h.GetHold()] = true
		w := window{h.GetJob(), h.GetFrom().AsTime(), h.GetUntil().AsTime()}
		if !at.Before(w.from) { // in force from here on, whatever time the next writer believes it is
			w.from = time.Time{}
		}
		b.lane(h.GetLane()).holds[h.GetHold()] = w
	case *eventv1.Event_HoldReleased:
		holds := b.lane(k.HoldReleased.GetLane()).holds
		for _, id := range k.HoldReleased.GetHolds() {
			if w, ok := holds[id]; ok && at.Before(w.until) {
				w.until = at
				holds[id] = w
			}
		}
	case *eventv1.Event_LaneCheckpoint:
		b.restored(rec, k.LaneCheckpoint)
	case *eventv1.Event_LaneChanged:
		q := b.lane(k.LaneChanged.GetLane())
		q.paused, q.concurrency = k.LaneChanged.GetPaused(), int(k.LaneChanged.GetConcurrency())
	}
}

// restored takes over what a lane was when the records before its checkpoint are
// gone.
func (b *book) restored(rec eventlog.Record, e *eventv1.LaneCheckpoint) {
	if b.lanes[e.GetLane()] != nil {
		return
	}
	q := b.lane(e.GetLane())
	q.paused, q.concurrency = e.GetChange().GetPaused(), int(e.GetChange().GetConcurrency())
	for _, s := range e.GetSlots() {
		if r := b.runs[s.GetRun()]; r != nil {
			r.grant = s.GetSequence()
			q.granted = append(q.granted, r)
		} else if !b.gone[s.GetRun()] {
			b.fault("lane", "record %d says that %s has a slot, which nobody asked for", rec.Sequence, s.GetRun())
		}
	}
	last := int64(0)
	for _, step := range e.GetStarts() {
		last += step
		q.starts = append(q.starts, time.Unix(0, last))
	}
	for _, h := range e.GetHolds() {
		w := window{h.GetHeld().GetJob(), h.GetHeld().GetFrom().AsTime(), h.GetHeld().GetUntil().AsTime()}
		if h.GetBegun() {
			w.from = time.Time{}
		}
		b.holds[h.GetHeld().GetHold()] = true
		q.holds[h.GetHeld().GetHold()] = w
	}
}

func (b *book) granted(rec eventlog.Record, e *eventv1.LaneGranted, at time.Time) {
	q := b.lane(e.GetLane())
	for _, id := range e.GetFreed() {
		if r := b.runs[id]; !b.gone[id] && (r == nil || !r.ended) {
			b.fault("lane", "record %d frees the slot of %s, which has not ended", rec.Sequence, id)
		}
	}
	for _, a := range e.GetAbsorbs() {
		b.absorbed(rec, a)
	}
	if len(e.GetRuns()) == 0 {
		return
	}
	if q.paused {
		b.fault("pause", "record %d starts %v in lane %s, which is paused", rec.Sequence, e.GetRuns(), e.GetLane())
	}
	for _, id := range e.GetRuns() {
		r := b.runs[id]
		if b.gone[id] {
			continue
		}
		if r == nil {
			b.fault("lane", "record %d starts %s, which nobody asked for", rec.Sequence, id)
			continue
		}
		b.start(rec, q, r, e, at)
	}
	b.limits(rec, q, e.GetLane())
}

// absorbed checks that equal requests of one lane meet, and notes it.
func (b *book) absorbed(rec eventlog.Record, a *eventv1.Absorbed) {
	r, into := b.runs[a.GetRun()], b.runs[a.GetInto()]
	switch {
	case b.gone[a.GetRun()] || b.gone[a.GetInto()]:
		return
	case r == nil || into == nil || r == into:
		b.fault("merge", "record %d lets %s yield to %s", rec.Sequence, a.GetRun(), a.GetInto())
		return
	case r.request.GetPlan().GetDedupe().GetKey() != into.request.GetPlan().GetDedupe().GetKey() || r.request.GetPlan().GetLane() != into.request.GetPlan().GetLane():
		b.fault("merge", "record %d lets %s yield to %s, which is another job or has other arguments", rec.Sequence, r.id, into.id)
	case r.grant != 0:
		b.fault("merge", "record %d lets %s yield, which has a slot", rec.Sequence, r.id)
	}
	r.yield = a
}

// start checks one run that gets a slot.
func (b *book) start(rec eventlog.Record, q *queue, r *entry, e *eventv1.LaneGranted, at time.Time) {
	group := []*entry{r}
	for _, a := range e.GetAbsorbs() {
		if other := b.runs[a.GetRun()]; a.GetInto() == r.id && a.GetKind() == eventv1.Absorbed_KIND_MERGED && other != nil {
			group = append(group, other)
		}
	}
	switch {
	case r.grant != 0:
		b.fault("lane", "record %d gives %s a second slot", rec.Sequence, r.id)
	case r.request.GetPlan().GetLane() != e.GetLane():
		b.fault("lane", "record %d gives %s a slot in lane %s; it asked for %s", rec.Sequence, r.id, e.GetLane(), r.request.GetPlan().GetLane())
	case r.yield != nil && !b.void(r.yield):
		b.fault("merge", "record %d starts %s, for which %s executes", rec.Sequence, r.id, r.yield.GetInto())
	}
	for id, w := range q.holds {
		if w.covers(r.job(), at) && !slices.ContainsFunc(group, func(r *entry) bool { return r.request.GetDespiteHold() != "" }) {
			b.fault("hold", "record %d starts %s at %s, which hold %s forbids until %s", rec.Sequence, r.id, at, id, w.until)
		}
	}
	if due := earliest(group); at.Before(due) {
		b.fault("delay", "record %d starts %s at %s, before %s", rec.Sequence, r.id, at, due)
	}
	r.grant = rec.Sequence
	q.granted = append(q.granted, r)
	if n := len(q.starts); n > 0 && at.Before(q.starts[n-1]) {
		at = q.starts[n-1] // a lane's clock never runs backwards
	}
	q.starts = append(q.starts, at)
}

func (r *entry) job() string {
	if r.request.GetJob() == "" {
		return ""
	}
	return r.request.GetNamespace() + "/" + r.request.GetJob()
}

// void tells whether a run that was to execute for another never will.
func (b *book) void(a *eventv1.Absorbed) bool {
	into := b.runs[a.GetInto()]
	return a.GetKind() == eventv1.Absorbed_KIND_MERGED && !into.started && (into.ended || into.released)
}

// earliest is a moment before which a group never starts: the first of those
// that its members asked for. How far they can push each other off is the lane's
// own affair.
func earliest(group []*entry) time.Time {
	start := group[0].request.GetStartAfter().AsTime()
	for _, r := range group[1:] {
		if at := r.request.GetStartAfter().AsTime(); at.Before(start) {
			start = at
		}
	}
	return start
}

// limits counts what occupies the lane now, at this place of the log.
func (b *book) limits(rec eventlog.Record, q *queue, name string) {
	limits := Limits{}
	if b.told.Limits != nil {
		limits = b.told.Limits(name)
	}
	limit := q.concurrency
	if limit == 0 {
		limit = max(1, limits.Concurrency)
	}
	q.granted = slices.DeleteFunc(q.granted, func(r *entry) bool { return !r.occupies() })
	if len(q.granted) > limit {
		b.fault("lane", "record %d: %d at once in lane %s, where %d may", rec.Sequence, len(q.granted), name, limit)
	}
	jobs, namespaces := map[string]int{}, map[string]int{}
	for _, r := range q.granted {
		jobs[r.job()]++
		namespaces[r.request.GetNamespace()]++
		if limits.PerJob > 0 && r.job() != "" && jobs[r.job()] > limits.PerJob {
			b.fault("lane", "record %d: %d of %s at once, where %d may", rec.Sequence, jobs[r.job()], r.job(), limits.PerJob)
		}
		if ns := r.request.GetNamespace(); limits.PerNamespace > 0 && ns != "" && namespaces[ns] > limits.PerNamespace {
			b.fault("lane", "record %d: %d of namespace %s at once, where %d may", rec.Sequence, namespaces[ns], ns, limits.PerNamespace)
		}
	}
	if n := limits.RateLimit; n > 0 && len(q.starts) > n {
		if last, before := q.starts[len(q.starts)-1], q.starts[len(q.starts)-1-n]; last.Sub(before) < limits.RatePeriod {
			b.fault("lane", "record %d: %d starts of lane %s within %s, where %d may in %s", rec.Sequence, n+1, name, last.Sub(before), n, limits.RatePeriod)
		}
	}
}
