package board_test

import (
	"cmp"
	"slices"
	"time"

	eventv1 "github.com/slipway-hq/slipway/gen/slipway/event/v1"
)

// model is what the issue says of doubles, delays and holds, in the simplest
// way that is still exact: one list of requests that is searched from the start
// for every answer. It keeps nothing that it could work out.
type model struct {
	requests []*request // by age
	holds    []window
	paused   bool
	limit    int // set at run time; 0: the lane's own
	settings *eventv1.LaneSettings
	turns    []string // namespaces by their last turn, the latest at the end
}

// request is one accepted wish.
type request struct {
	id, namespace, job, key string
	policy                  eventv1.Dedupe_Policy
	priority                int32
	maxDelay                time.Duration
	asked, start            time.Time
	despite                 bool

	slot, started, ended bool
	cancelled            bool // by somebody
	into                 *request
	kind                 eventv1.Absorbed_Kind
	executions           int
}

// window is a hold.
type window struct {
	id, job     string
	from, until time.Time
}

// minute is the model's grain: every moment in it is a whole one.
const minute = time.Minute

// waits tells whether the request is without a slot and on its own.
func (r *request) waits() bool { return !r.ended && !r.slot && r.into == nil }

func (m *model) find(id string) *request {
	for _, r := range m.requests {
		if r.id == id {
			return r
		}
	}
	return nil
}

// groups are the waiting requests, those together that are one execution.
func (m *model) groups() [][]*request {
	var out [][]*request
next:
	for _, r := range m.requests {
		if !r.waits() {
			continue
		}
		for i, g := range out {
			if r.policy != eventv1.Dedupe_POLICY_ALL && g[0].policy == r.policy && g[0].key == r.key {
				out[i] = append(g, r)
				continue next
			}
		}
		out = append(out, []*request{r})
	}
	slices.SortStableFunc(out, func(a, b []*request) int {
		return cmp.Or(cmp.Compare(urgency(a), urgency(b)), place(a).Compare(place(b)))
	})
	return out
}

func urgency(group []*request) int32 {
	return slices.MinFunc(group, func(a, b *request) int { return cmp.Compare(a.priority, b.priority) }).priority
}

// startOf: the newest request's start counts, but requests that keep coming
// cannot put it off beyond the oldest one's limit.
func startOf(group []*request) time.Time {
	oldest, newest := group[0], group[len(group)-1]
	if len(group) == 1 || oldest.maxDelay == 0 {
		return newest.start
	}
	limit := oldest.asked.Add(oldest.maxDelay)
	if oldest.start.After(limit) {
		limit = oldest.start
	}
	if newest.start.After(limit) {
		return limit
	}
	return newest.start
}

// place is since when a group has been able to start.
func place(group []*request) time.Time {
	if start := startOf(group); start.After(group[0].asked) {
		return start
	}
	return group[0].asked
}

// head executes for its group.
func head(group []*request) *request {
	if group[0].policy == eventv1.Dedupe_POLICY_NEWEST {
		return group[len(group)-1]
	}
	return group[0]
}

func despite(group []*request) bool {
	return slices.ContainsFunc(group, func(r *request) bool { return r.despite })
}

// heldUntil walks from minute to minute; now itself when nothing holds the job.
func (m *model) heldUntil(job string, now time.Time) time.Time {
	for slices.ContainsFunc(m.holds, func(w window) bool {
		return (w.job == "" || w.job == job) && !now.Before(w.from) && now.Before(w.until)
	}) {
		now = now.Add(minute)
	}
	return now
}

func (m *model) busy(counts func(*request) bool) int {
	n := 0
	for _, r := range m.requests {
		if r.slot && !r.ended && counts(r) {
			n++
		}
	}
	return n
}

func (m *model) slots() int {
	switch {
	case m.paused:
		return 0
	case m.limit > 0:
		return m.limit
	}
	return int(m.settings.GetConcurrency())
}

// may tells whether a group may start now.
func (m *model) may(group []*request, now time.Time) bool {
	h := head(group)
	if m.busy(func(*request) bool { return true }) >= m.slots() || startOf(group).After(now) {
		return false
	}
	if n := int(m.settings.GetPerJob()); n > 0 && m.busy(func(r *request) bool { return r.job == h.job }) >= n {
		return false
	}
	if n := int(m.settings.GetPerNamespace()); n > 0 && m.busy(func(r *request) bool { return r.namespace == h.namespace }) >= n {
		return false
	}
	return despite(group) || m.heldUntil(h.job, now).Equal(now)
}

// verdict is what a decision on the lane does.
type verdict struct {
	started []string
	yields  map[string]string // who to "KIND whom"
}

func (m *model) yield(v *verdict, r, into *request, kind eventv1.Absorbed_Kind) {
	r.into, r.kind = into, kind
	v.yields[r.id] = kind.String() + " " + into.id
}

// tick decides, and changes the model.
func (m *model) tick(now time.Time) verdict {
	v := verdict{yields: map[string]string{}}
	for _, g := range m.groups() {
		m.settle(&v, g)
	}
	for {
		g := m.next(now)
		if g == nil {
			return v
		}
		h := head(g)
		h.slot = true
		v.started = append(v.started, h.id)
		m.turns = append(slices.DeleteFunc(m.turns, func(n string) bool { return n == h.namespace }), h.namespace)
		if h.policy == eventv1.Dedupe_POLICY_MERGE {
			for _, r := range g[1:] {
				m.yield(&v, r, h, eventv1.Absorbed_KIND_MERGED)
			}
		}
	}
}

// settle lets those yield that need no slot for it.
func (m *model) settle(v *verdict, g []*request) {
	switch g[0].policy {
	case eventv1.Dedupe_POLICY_NEWEST:
		for _, r := range g[:len(g)-1] {
			m.yield(v, r, head(g), eventv1.Absorbed_KIND_SUPERSEDED)
		}
	case eventv1.Dedupe_POLICY_REJECT:
		first := g[0]
		for _, r := range m.requests {
			if r.slot && !r.ended && r.key == first.key {
				first = r
			}
		}
		for _, r := range g {
			if r != first {
				m.yield(v, r, first, eventv1.Absorbed_KIND_REJECTED)
			}
		}
	case eventv1.Dedupe_POLICY_UNSPECIFIED, eventv1.Dedupe_POLICY_ALL, eventv1.Dedupe_POLICY_MERGE:
	}
}

// next is the group that gets the next slot: the first in order, or, where
// namespaces take turns, of the most urgent ones that of the namespace with the
// fewest slots, then with the longest wait for its turn.
func (m *model) next(now time.Time) (best []*request) {
	for _, g := range m.groups() {
		switch {
		case !m.may(g, now):
		case best == nil:
			best = g
		case !m.settings.GetTurns() || urgency(g) > urgency(best):
			return best
		case m.before(head(g).namespace, head(best).namespace):
			best = g
		}
	}
	return best
}

func (m *model) before(a, b string) bool {
	slots := func(namespace string) int {
		return m.busy(func(r *request) bool { return r.namespace == namespace })
	}
	return cmp.Or(cmp.Compare(slots(a), slots(b)), cmp.Compare(slices.Index(m.turns, a), slices.Index(m.turns, b))) < 0
}

// end ends a request; those for which it was to execute wait again when it
// never started.
func (m *model) end(r *request) {
	r.ended = true
	for _, other := range m.requests {
		if other.into == r && other.kind == eventv1.Absorbed_KIND_MERGED && !r.started && !other.ended {
			other.into = nil
		}
	}
}
