package lane

import (
	"cmp"
	"iter"
	"slices"
	"time"

	eventv1 "github.com/slipway-hq/slipway/gen/slipway/event/v1"
)

// Candidate is a waiting run.
type Candidate struct {
	Run      string
	Priority int32
	Sequence uint64 // of the request: the age
	// Asked is when, as its commit says; a queue's clock never runs backwards.
	Asked time.Time
	// Start is before when it gets no slot; zero: at once.
	Start time.Time
	// Namespace and Job of a job, the latter as "NAMESPACE/JOB".
	Namespace, Job string
	// Despite: holds do not stop it.
	Despite bool
	// Policy, Key and MaxDelay are its plan's dedupe.
	Policy   eventv1.Dedupe_Policy
	Key      string
	MaxDelay time.Duration
}

// double is the key under which equal candidates meet; empty: never.
func (c Candidate) double() string {
	switch c.Policy {
	case eventv1.Dedupe_POLICY_MERGE, eventv1.Dedupe_POLICY_REJECT, eventv1.Dedupe_POLICY_NEWEST:
		return c.Key
	case eventv1.Dedupe_POLICY_UNSPECIFIED, eventv1.Dedupe_POLICY_ALL:
	}
	return ""
}

// Unit is what gets one slot: a waiting run, or equal ones that wait together.
type Unit struct {
	// Members, oldest first. The slice is replaced, never changed.
	Members []Candidate
	// Priority is the most urgent member's.
	Priority int32
	// Start is when it may get a slot; zero: at once. The newest member says
	// so, but none later than the oldest one's limit.
	Start time.Time
	// order is its place among units of one priority, and then age.
	order time.Time
	age   uint64
}

// Head is the member that executes: the oldest, or the newest where newer
// requests take the place of older ones.
func (u Unit) Head() Candidate {
	if u.Members[0].Policy == eventv1.Dedupe_POLICY_NEWEST {
		return u.Members[len(u.Members)-1]
	}
	return u.Members[0]
}

// together are the members whose wishes count: all where they merge, else those
// of the one that stays.
func (u Unit) together() []Candidate {
	switch u.Members[0].Policy {
	case eventv1.Dedupe_POLICY_NEWEST:
		return u.Members[len(u.Members)-1:]
	case eventv1.Dedupe_POLICY_REJECT:
		return u.Members[:1]
	case eventv1.Dedupe_POLICY_UNSPECIFIED, eventv1.Dedupe_POLICY_ALL, eventv1.Dedupe_POLICY_MERGE:
	}
	return u.Members
}

// Despite tells whether a member that counts is exempt from holds.
func (u Unit) Despite() bool {
	return slices.ContainsFunc(u.together(), func(c Candidate) bool { return c.Despite })
}

func unitOf(members []Candidate) Unit {
	u := Unit{Members: members}
	count := u.together()
	oldest, newest := count[0], count[len(count)-1]
	u.Priority, u.Start, u.order, u.age = oldest.Priority, newest.Start, oldest.Asked, oldest.Sequence
	for _, c := range count {
		u.Priority = min(u.Priority, c.Priority)
	}
	if limit := oldest.Asked.Add(oldest.MaxDelay); len(count) > 1 && oldest.MaxDelay > 0 && u.Start.After(limit) {
		u.Start = limit
		if oldest.Start.After(limit) { // its own wish was later, and nobody pushed it off
			u.Start = minTime(oldest.Start, newest.Start)
		}
	}
	if u.Start.After(u.order) {
		u.order = u.Start
	}
	return u
}

func latest(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}

func minTime(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}

// before says which of two units goes first: the lower priority number, the
// earlier start, the older request.
func before(a, b *Unit) int {
	return cmp.Or(cmp.Compare(a.Priority, b.Priority), a.order.Compare(b.order), cmp.Compare(a.age, b.age))
}

// Queue is what waits in a lane, in order. The zero value is empty.
type Queue struct {
	units []*Unit
	byRun map[string]*Unit
	byKey map[string]*Unit
	clock time.Time // of the newest request
	last  uint64    // its sequence
	// settling counts units of which members may yield without a slot.
	settling int
}

// Len is how many runs wait.
func (q *Queue) Len() int { return len(q.byRun) }

// Units yields the units in order, each with its place from 0.
func (q *Queue) Units() iter.Seq2[int, Unit] {
	return func(yield func(int, Unit) bool) {
		for i, u := range q.units {
			if !yield(i, *u) {
				return
			}
		}
	}
}

// Runs yields the ids of the waiting runs in order.
func (q *Queue) Runs() iter.Seq[string] {
	return func(yield func(string) bool) {
		for _, u := range q.units {
			for _, c := range u.Members {
				if !yield(c.Run) {
					return
				}
			}
		}
	}
}

// Find returns the unit that a run waits in, and its place from 0.
func (q *Queue) Find(run string) (Unit, int, bool) {
	u := q.byRun[run]
	if u == nil {
		return Unit{}, 0, false
	}
	i, _ := slices.BinarySearchFunc(q.units, u, before)
	return *u, i, true
}

// Equal is the head of the unit that waits under a key; empty when none does.
func (q *Queue) Equal(key string) string {
	if u := q.byKey[key]; u != nil {
		return u.Head().Run
	}
	return ""
}

// At returns the unit at a place.
func (q *Queue) At(i int) Unit { return *q.units[i] }

// Waiting is a queue written down.
type Waiting struct {
	Candidates []Candidate // by age
	Clock      time.Time
	Last       uint64
}

// Image writes the queue down.
func (q *Queue) Image() Waiting {
	w := Waiting{Clock: q.clock, Last: q.last}
	for _, u := range q.units {
		w.Candidates = append(w.Candidates, u.Members...)
	}
	slices.SortFunc(w.Candidates, func(a, b Candidate) int { return cmp.Compare(a.Sequence, b.Sequence) })
	return w
}

// QueueOf is the queue that Image wrote down.
func QueueOf(w Waiting) Queue {
	q := Queue{clock: w.Clock, last: w.Last}
	for _, c := range w.Candidates {
		q.Add(c)
	}
	return q
}

// Add puts a run in; one that is there already changes nothing.
func (q *Queue) Add(c Candidate) {
	if q.byRun == nil {
		q.byRun, q.byKey = map[string]*Unit{}, map[string]*Unit{}
	}
	if q.byRun[c.Run] != nil {
		return
	}
	if c.Sequence > q.last { // else it waits again, at its age
		c.Asked = latest(c.Asked, q.clock)
		q.clock, q.last = c.Asked, c.Sequence
	}
	var members []Candidate
	key := c.double()
	if u := q.byKey[key]; key != "" && u != nil {
		q.cut(u)
		members = u.Members
	}
	at, _ := slices.BinarySearchFunc(members, c.Sequence, func(m Candidate, s uint64) int { return cmp.Compare(m.Sequence, s) })
	q.put(slices.Insert(slices.Clone(members), at, c))
}

// Remove takes a run out, wherever it is.
func (q *Queue) Remove(run string) {
	u := q.byRun[run]
	if u == nil {
		return
	}
	q.cut(u)
	delete(q.byRun, run)
	if rest := slices.DeleteFunc(slices.Clone(u.Members), func(c Candidate) bool { return c.Run == run }); len(rest) > 0 {
		q.put(rest)
	}
}

// put inserts the unit of members at its place.
func (q *Queue) put(members []Candidate) {
	u := unitOf(members)
	i, _ := slices.BinarySearchFunc(q.units, &u, before)
	q.units = slices.Insert(q.units, i, &u)
	for _, c := range members {
		q.byRun[c.Run] = &u
	}
	if key := members[0].double(); key != "" {
		q.byKey[key] = &u
	}
	if u.settles() {
		q.settling++
	}
}

// settles tells whether members may yield although no slot is free.
func (u *Unit) settles() bool {
	policy := u.Members[0].Policy
	return policy == eventv1.Dedupe_POLICY_REJECT || policy == eventv1.Dedupe_POLICY_NEWEST && len(u.Members) > 1
}

// cut takes a unit out of the order.
func (q *Queue) cut(u *Unit) {
	if key := u.Members[0].double(); key != "" {
		delete(q.byKey, key)
	}
	if u.settles() {
		q.settling--
	}
	switch i, ok := slices.BinarySearchFunc(q.units, u, before); {
	case !ok:
	case i == 0:
		q.units = q.units[1:] // the usual case: no copying
	default:
		q.units = slices.Delete(q.units, i, i+1)
	}
}
