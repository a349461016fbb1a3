package orchestrator

import (
	"cmp"
	"slices"

	"github.com/slipway-hq/slipway/domain/board"
	"github.com/slipway-hq/slipway/domain/run"
	apiv1 "github.com/slipway-hq/slipway/gen/slipway/api/v1"
)

// activity is what goes on: how much in all, and of each kind the oldest.
type activity struct {
	underWay, waiting int
	runs              []*apiv1.Run // those under way first
}

// activity counts what somebody sees in one pass over everything alive, however
// long the queues are, and shows only what fits an answer.
func (v *view) activity(sees func(*apiv1.Run) bool) (a activity) {
	known := map[sight]bool{}
	visible := func(l *board.Live) bool {
		s := &l.State
		at := sight{s.Namespace, s.Job, s.Plan.GetRestricted()}
		yes, ok := known[at]
		if !ok {
			yes = sees(&apiv1.Run{Namespace: at.namespace, Job: at.job, Restricted: at.restricted})
			known[at] = yes
		}
		return yes
	}
	v.proj.Read(func(b *board.Board) {
		var held, queued []*board.Live
		b.Each(func(l *board.Live) {
			switch status := l.Status(); {
			case status.Ended() || !visible(l):
			case status == run.Queued:
				a.waiting++
				queued = oldest(queued, l)
			default:
				a.underWay++
				held = oldest(held, l)
			}
		})
		w := v.world()
		for _, l := range append(held, queued...)[:min(maxListed, len(held)+len(queued))] {
			a.runs = append(a.runs, liveRun(b, l, w))
		}
	})
	return a
}

// sight is what decides whether somebody sees a run.
type sight struct {
	namespace, job string
	restricted     bool
}

// oldest keeps the maxListed oldest, in order.
func oldest(runs []*board.Live, l *board.Live) []*board.Live {
	i, _ := slices.BinarySearchFunc(runs, l, func(a, b *board.Live) int { return cmp.Compare(a.Request, b.Request) })
	if i == maxListed {
		return runs
	}
	runs = slices.Insert(runs, i, l)
	return runs[:min(maxListed, len(runs))]
}

// holds are all that have not ended, lane by lane.
func (v *view) holds() (out []*apiv1.Hold) {
	v.proj.Read(func(b *board.Board) {
		now := v.world().Now
		var names []string
		b.Lanes(func(ln *board.Lane) { names = append(names, ln.Name) })
		slices.Sort(names)
		for _, name := range names {
			ln, _ := b.Lane(name)
			for _, h := range ln.State.Coming(now) {
				out = append(out, apiHold(name, h, now))
			}
		}
	})
	return out
}
