package orchestrator

import (
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/slipway-hq/slipway/domain/board"
	"github.com/slipway-hq/slipway/domain/roster"
	"github.com/slipway-hq/slipway/domain/run"
	commandv1 "github.com/slipway-hq/slipway/gen/slipway/command/v1"
	"github.com/slipway-hq/slipway/internal/projection"
)

// offers remembers to whom runs were offered that not every runner of their pool
// may take. Those that any of them may take are handed out by the server. All of
// it may be forgotten: an offer licenses nothing, and what nobody claims is
// offered again.
type offers struct {
	proj   *projection.Projection
	leases func() (live []*commandv1.Lease, known bool)
	now    func() time.Time

	mu      sync.Mutex
	turn    uint64
	open    map[string]offer     // by run, until it is claimed or the offer passed
	offered map[string]uint64    // by incarnation: the turn of its last offer
	passed  map[string]time.Time // by incarnation: its renewal when it let one pass
	waiting map[string]bool      // runs that nobody had room for
	load    map[string]*load     // by incarnation; nil: to be counted again
}

// offer is one that was not answered yet.
type offer struct {
	incarnation, lane string
	at                time.Time
}

// load is what a runner has, offers included.
type load struct {
	all   int
	lanes map[string]int
}

func newOffers(now func() time.Time) *offers {
	return &offers{now: now, open: map[string]offer{}, offered: map[string]uint64{}, passed: map[string]time.Time{}, waiting: map[string]bool{}}
}

// reset forgets everything: another replica may have made offers meanwhile.
func (o *offers) reset() {
	o.mu.Lock()
	defer o.mu.Unlock()
	clear(o.open)
	clear(o.offered)
	clear(o.passed)
	clear(o.waiting)
	o.load = nil
}

// again returns the runs that waited for room, for another try, and makes the
// next choice look at the board anew.
func (o *offers) again() []string {
	o.mu.Lock()
	defer o.mu.Unlock()
	waiting := slices.Sorted(maps.Keys(o.waiting))
	clear(o.waiting)
	o.load = nil
	return waiting
}

// choose says to which incarnation a run is offered now; "": to nobody, since its
// last offer is still open or nobody who fits has room.
func (o *offers) choose(s *run.State) string {
	live, known := o.live()
	o.mu.Lock()
	defer o.mu.Unlock()
	if !known {
		o.waiting[s.ID] = true
		return ""
	}
	o.count(live)
	if _, open := o.open[s.ID]; open {
		return ""
	}
	lane, share := s.Plan.GetLane(), int(s.Plan.GetLaneSettings().GetPerRunner())
	candidates := make([]roster.Candidate, 0, len(live))
	for _, l := range live {
		c := o.candidate(l)
		if has := o.load[l.GetHolder()]; share > 0 && has != nil && has.lanes[lane] >= share {
			c.Room = 0
		}
		candidates = append(candidates, c)
	}
	at := roster.Choose(roster.Of(s.Plan), candidates)
	if at < 0 {
		o.waiting[s.ID] = true
		return ""
	}
	chosen := candidates[at].Incarnation
	o.turn++
	o.open[s.ID], o.offered[chosen] = offer{incarnation: chosen, lane: lane, at: o.now()}, o.turn
	o.add(chosen, lane)
	return chosen
}

func (o *offers) live() (live []*commandv1.Lease, known bool) {
	if o.leases == nil {
		return nil, false
	}
	return o.leases()
}

// candidate is a living runner as it is now; o.mu is held.
func (o *offers) candidate(l *commandv1.Lease) roster.Candidate {
	id := l.GetHolder()
	c := roster.Candidate{Runner: runnerOf(l), Room: int(l.GetCapacity()), Offered: o.offered[id]}
	if has := o.load[id]; has != nil {
		c.Busy = has.all
	}
	if renewal, passed := o.passed[id]; passed {
		c.Passed = renewal.Equal(l.GetRenewed().AsTime())
		if !c.Passed { // it has shown since that it lives
			delete(o.passed, id)
		}
	}
	return c
}

// count looks at the board, once in a round: who holds what, which offers were
// taken, and who let one pass. o.mu is held.
func (o *offers) count(live []*commandv1.Lease) {
	if o.load != nil {
		return
	}
	o.load = map[string]*load{}
	taken := map[string]bool{}
	o.proj.Read(func(b *board.Board) {
		b.Each(func(l *board.Live) {
			if l.State.Claimed() {
				o.add(l.State.Claim.Incarnation, l.State.Plan.GetLane())
			}
		})
		for id := range o.open {
			l, ok := b.Live(id)
			taken[id] = !ok || l.State.Claimed() || l.State.Status.Ended()
		}
	})
	renewed := map[string]time.Time{}
	for _, l := range live {
		renewed[l.GetHolder()] = l.GetRenewed().AsTime()
	}
	for id, of := range o.open {
		switch {
		case taken[id]:
			delete(o.open, id)
		case o.now().Sub(of.at) >= hintAgain:
			delete(o.open, id)
			if at, lives := renewed[of.incarnation]; lives {
				o.passed[of.incarnation] = at
			}
		default:
			o.add(of.incarnation, of.lane)
		}
	}
	gone := func(id string) bool { _, lives := renewed[id]; return !lives }
	maps.DeleteFunc(o.offered, func(id string, _ uint64) bool { return gone(id) })
	maps.DeleteFunc(o.passed, func(id string, _ time.Time) bool { return gone(id) })
}

// add notes one more run of a lane at an incarnation; o.mu is held.
func (o *offers) add(incarnation, lane string) {
	l := o.load[incarnation]
	if l == nil {
		l = &load{lanes: map[string]int{}}
		o.load[incarnation] = l
	}
	l.all++
	l.lanes[lane]++
}
