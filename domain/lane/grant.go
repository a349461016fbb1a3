package lane

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	eventv1 "github.com/slipway-hq/slipway/gen/slipway/event/v1"
)

// Share says under which limits a run with a slot counts.
type Share struct{ Namespace, Job, Key string }

// Grant asks for slots. What it says of the log may be late: an end is
// irrevocable, so that a late answer errs on the safe side.
type Grant struct {
	Lane string
	// Queue is what may start, in order, as Ready chose it.
	Queue []Unit
	// Ended says of a run whether it has ended, and Void whether it has ended
	// without ever having started.
	Ended, Void func(run string) bool
	// Share says of a run with a slot what it counts for; nil: of no concern.
	Share          func(run string) Share
	Settings       *eventv1.LaneSettings
	ConfigSequence uint64
	Now            time.Time
}

// Decide returns the one LaneGranted event that gives the free slots away and
// lets equal requests yield to each other, or none when nothing changes.
func Decide(s State, g Grant) ([]*eventv1.Event, error) {
	if g.Lane == "" {
		return nil, fmt.Errorf("lane: a grant names no lane")
	}
	d := newDecision(s, g)
	units := d.waiting(g.Queue)
	for i := range units {
		units[i] = d.settle(units[i])
	}
	d.fill(units)
	if len(d.event.GetRuns()) == 0 && len(d.event.GetAbsorbs()) == 0 {
		return nil, nil
	}
	return []*eventv1.Event{{Kind: &eventv1.Event_LaneGranted{LaneGranted: d.event}}}, nil
}

// decision is one grant in the making.
type decision struct {
	state State
	grant Grant
	busy  busy
	turns map[string]uint64 // the last turn of each namespace
	event *eventv1.LaneGranted
	free  int
}

func newDecision(s State, g Grant) *decision {
	freed := s.freed(g.Ended)
	limit := s.Limit(g.Settings)
	d := &decision{state: s, grant: g, busy: s.busy(g.Ended, g.Share), event: &eventv1.LaneGranted{
		Lane: g.Lane, Freed: freed, Limit: uint32(limit), ConfigSequence: g.ConfigSequence, //nolint:gosec // bounded by the configuration
	}}
	d.free = min(limit-(len(s.Slots)-len(freed)), MaxGrants, s.allowance(g.Settings, g.Now))
	if g.Settings.GetTurns() {
		d.free = min(d.free, MaxTurns)
		d.turns = make(map[string]uint64, len(s.Turns))
		for _, t := range s.Turns {
			d.turns[t.Namespace] = t.Number
		}
	}
	if s.Change.Paused {
		d.free = 0
	}
	return d
}

// waiting leaves out what waits no more: the queue may be older than the state.
func (d *decision) waiting(queue []Unit) []Unit {
	gone := make(map[string]bool, len(d.state.Slots)+len(d.state.Yields))
	for _, y := range d.state.Yields {
		gone[y.Run] = y.Kind != eventv1.Absorbed_KIND_MERGED || d.grant.Void == nil || !d.grant.Void(y.Into)
	}
	for _, slot := range d.state.Slots { // last: a run that waited again may have a slot by now
		gone[slot.Run] = true
	}
	out := make([]Unit, 0, len(queue))
	for _, u := range queue {
		if !slices.ContainsFunc(u.Members, func(c Candidate) bool { return gone[c.Run] || d.grant.Ended(c.Run) }) {
			out = append(out, u)
			continue
		}
		rest := slices.DeleteFunc(slices.Clone(u.Members), func(c Candidate) bool { return gone[c.Run] || d.grant.Ended(c.Run) })
		if len(rest) > 0 {
			out = append(out, unitOf(rest))
		}
	}
	return out
}

// settle lets those members yield that need no slot for it, and returns what may
// start then. While some are beyond the bound of one commit nothing may: the next
// commit goes on with them.
func (d *decision) settle(u Unit) Unit {
	head := u.Head()
	into, kind := head.Run, eventv1.Absorbed_KIND_SUPERSEDED
	switch head.Policy {
	case eventv1.Dedupe_POLICY_NEWEST:
	case eventv1.Dedupe_POLICY_REJECT:
		kind = eventv1.Absorbed_KIND_REJECTED
		if running := d.busy.keys[head.Key]; running != "" {
			into = running
		}
	case eventv1.Dedupe_POLICY_UNSPECIFIED, eventv1.Dedupe_POLICY_ALL, eventv1.Dedupe_POLICY_MERGE:
		return u
	}
	if rest := d.yield(u, into, kind); len(rest) == 1 && rest[0].Run == into {
		return unitOf(rest) // its own start counts, not that of those that are gone
	}
	return Unit{}
}

// yield lets the members of a unit yield to a run, and returns those that are
// left: the run itself, if it is a member, and those beyond the bound of one
// commit.
func (d *decision) yield(u Unit, into string, kind eventv1.Absorbed_Kind) (rest []Candidate) {
	for _, c := range u.Members {
		if c.Run == into || d.room() == 0 {
			rest = append(rest, c)
			continue
		}
		d.event.Absorbs = append(d.event.Absorbs, &eventv1.Absorbed{Run: c.Run, Into: into, Kind: kind})
	}
	return rest
}

// room is how many may yield yet in this commit.
func (d *decision) room() int { return MaxAbsorbs - len(d.event.GetAbsorbs()) }

// merge lets the members of a unit merge into its head; false when not all of
// them fit into this commit: then the head gets no slot before the next ones.
func (d *decision) merge(u Unit) bool {
	others := len(u.Members) - 1
	fits := others <= d.room()
	if fits || others > MaxAbsorbs { // what fits into no commit begins with this one
		d.yield(u, u.Head().Run, eventv1.Absorbed_KIND_MERGED)
	}
	return fits
}

// fill gives the free slots away.
func (d *decision) fill(units []Unit) {
	units = slices.DeleteFunc(units, func(u Unit) bool { return len(u.Members) == 0 })
	for len(d.event.GetRuns()) < d.free {
		i := d.next(units)
		if i < 0 {
			return
		}
		u := units[i]
		head := u.Head()
		if head.Policy == eventv1.Dedupe_POLICY_MERGE && !d.merge(u) {
			return // it keeps its turn
		}
		d.event.Runs = append(d.event.Runs, head.Run)
		d.busy.add(Share{head.Namespace, head.Job, head.Key})
		if d.grant.Settings.GetTurns() {
			d.event.Turns = append(d.event.Turns, head.Namespace)
			d.turns[head.Namespace] = d.state.Number + uint64(len(d.event.GetTurns())) //nolint:gosec // at most MaxTurns
		}
		units = slices.Delete(units, i, i+1)
	}
}

// next is the place of the unit that gets the next slot; -1: none may start.
func (d *decision) next(units []Unit) int {
	best := -1
	for i := range units {
		u := &units[i]
		if best >= 0 && (!d.grant.Settings.GetTurns() || u.Priority > units[best].Priority) {
			break
		}
		if !d.state.may(*u, d.grant.Settings, d.busy, d.grant.Now) {
			continue
		}
		if best < 0 || d.turn(u) < d.turn(&units[best]) {
			best = i
		}
	}
	return best
}

// turn orders namespaces: who holds fewest slots, then who had none for longest.
func (d *decision) turn(u *Unit) uint64 {
	namespace := u.Head().Namespace
	const slotsWeigh = 1 << 48                                                  // more than any number of grants
	return uint64(d.busy.namespaces[namespace])*slotsWeigh + d.turns[namespace] //nolint:gosec // at most pipeline.MaxConcurrency
}

// busy counts the slots in use.
type busy struct {
	namespaces, jobs map[string]int
	keys             map[string]string // to the run
}

func (b *busy) add(s Share) {
	b.namespaces[s.Namespace]++
	b.jobs[s.Job]++
}

// busy counts what occupies the lane by its shares.
func (s *State) busy(ended func(string) bool, share func(string) Share) busy {
	b := busy{namespaces: map[string]int{}, jobs: map[string]int{}, keys: map[string]string{}}
	if share == nil {
		return b
	}
	for _, slot := range s.Slots {
		if ended(slot.Run) {
			continue
		}
		of := share(slot.Run)
		b.add(of)
		if of.Key != "" {
			b.keys[of.Key] = slot.Run
		}
	}
	return b
}

// may tells whether nothing but a free slot is missing for a unit to start.
func (s *State) may(u Unit, settings *eventv1.LaneSettings, b busy, now time.Time) bool {
	if u.Start.After(now) {
		return false
	}
	head := u.Head()
	if full(settings.GetPerNamespace(), b.namespaces[head.Namespace], head.Namespace) || full(settings.GetPerJob(), b.jobs[head.Job], head.Job) {
		return false
	}
	if len(s.Holds) == 0 || u.Despite() {
		return true
	}
	_, _, held := s.Held(head.Job, now)
	return !held
}

func full(limit uint32, busy int, what string) bool {
	return limit > 0 && what != "" && busy >= int(limit)
}

// Ready chooses from a queue what Decide needs to see: as many units that may
// start as there are slots, in order, where namespaces take turns as many of
// each; and those with members that yield without a slot.
func Ready(q *Queue, s State, g Grant) []Unit {
	free := min(MaxGrants, s.Limit(g.Settings)-(len(s.Slots)-len(s.freed(g.Ended))))
	if s.Change.Paused {
		free = 0
	}
	c := choice{busy: s.busy(g.Ended, g.Share), chosen: map[string]int{}, free: free, turns: g.Settings.GetTurns()}
	settling := q.settling
	var out []Unit
	for _, u := range q.units {
		if c.enough() && settling == 0 || len(out) >= MaxGrants {
			break
		}
		settles := u.settles()
		if settles {
			settling--
		}
		ends := settles && c.busy.keys[u.Head().Key] != ""
		switch {
		case !ends && c.room(u) && s.may(*u, g.Settings, c.busy, g.Now):
			c.add(u)
			out = append(out, *u)
		case ends, settles && len(u.Members) > 1:
			out = append(out, *u)
		}
	}
	return out
}

// choice counts what would start.
type choice struct {
	busy   busy           // as if it had
	chosen map[string]int // of each namespace
	starts int
	free   int
	turns  bool
}

func (c *choice) enough() bool { return c.free <= 0 || c.starts >= c.free && !c.turns }

// room tells whether another unit of this namespace could get one of the slots.
func (c *choice) room(u *Unit) bool {
	return !c.enough() && (!c.turns || c.chosen[u.Head().Namespace] < c.free)
}

func (c *choice) add(u *Unit) {
	head := u.Head()
	c.starts++
	c.chosen[head.Namespace]++
	c.busy.add(Share{Namespace: head.Namespace, Job: head.Job})
}

// Limit is how many runs may hold a slot at once.
func (s *State) Limit(settings *eventv1.LaneSettings) int {
	return int(cmp.Or(s.Change.Concurrency, settings.GetConcurrency(), DefaultConcurrency))
}
