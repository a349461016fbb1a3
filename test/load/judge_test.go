package load

import (
	"errors"
	"slices"
	"testing"

	"github.com/slipway-hq/slipway/internal/eventlog"
	"github.com/slipway-hq/slipway/internal/topology"
)

// errAll ends the reading.
var errAll = errors.New("that is all")

// history reads the whole log.
func (s *site) history() []eventlog.Record {
	s.t.Helper()
	head, err := s.log.Head(s.t.Context())
	s.must(err)
	records := make([]eventlog.Record, 0, head)
	err = s.log.Follow(s.t.Context(), 0, func(rec eventlog.Record) error {
		if records = append(records, rec); rec.Sequence >= head {
			return errAll
		}
		return nil
	})
	if !errors.Is(err, errAll) {
		s.t.Fatal(err)
	}
	return records
}

// ledger is what the log says of every run, kept without any code of the product.
type ledger struct {
	t       *testing.T
	kind    map[string]string // "NAMESPACE/JOB"
	space   map[string]string
	lane    map[string]string
	asked   []string // in order
	order   map[string]int
	granted []string
	busy    map[string]map[string]bool // lane to runs with a slot
	into    map[string]string
	ended   map[string]bool
}

// judge folds the log and checks it at every sequence.
func judge(t *testing.T, records []eventlog.Record) {
	t.Helper()
	l := &ledger{
		t: t, kind: map[string]string{}, space: map[string]string{}, lane: map[string]string{}, order: map[string]int{},
		busy: map[string]map[string]bool{}, into: map[string]string{}, ended: map[string]bool{},
	}
	for _, rec := range records {
		id, isRun := topology.ParseRunSubject(rec.Subject)
		for _, e := range rec.Commit.GetEvents() {
			if r := e.GetRunRequested(); r != nil {
				l.order[id] = len(l.asked)
				l.asked = append(l.asked, id)
				l.kind[id], l.space[id], l.lane[id] = r.GetNamespace()+"/"+r.GetJob(), r.GetNamespace(), r.GetPlan().GetLane()
			}
			for _, a := range e.GetLaneGranted().GetAbsorbs() {
				l.into[a.GetRun()] = a.GetInto()
			}
			if g := e.GetLaneGranted(); g != nil {
				l.grant(g.GetLane(), g.GetRuns())
			}
			if end := e.GetRunEnded(); isRun && end != nil {
				if l.ended[id] || end.GetMergedInto() != l.into[id] {
					t.Errorf("%s ended twice, or merged into %q and not %q", id, end.GetMergedInto(), l.into[id])
				}
				l.ended[id] = true
				delete(l.busy[l.lane[id]], id)
			}
		}
	}
	l.account()
	l.fairness()
}

// grant checks the limits at this place in the log.
func (l *ledger) grant(lane string, runs []string) {
	if l.busy[lane] == nil {
		l.busy[lane] = map[string]bool{}
	}
	for _, id := range runs {
		l.busy[lane][id] = true
		l.granted = append(l.granted, id)
	}
	spaces, kinds := map[string]int{}, map[string]int{}
	for id := range l.busy[lane] {
		spaces[l.space[id]]++
		kinds[l.kind[id]]++
	}
	if lane != together {
		if len(l.busy[lane]) > 1 {
			l.t.Errorf("lane %s has %d at once", lane, len(l.busy[lane]))
		}
		return
	}
	if len(l.busy[lane]) > slots {
		l.t.Errorf("lane %s has %d at once", lane, len(l.busy[lane]))
	}
	for space, n := range spaces {
		if n > fair {
			l.t.Errorf("namespace %s has %d at once", space, n)
		}
	}
	for kind, n := range kinds {
		if n > alike {
			l.t.Errorf("%s has %d at once", kind, n)
		}
	}
}

// account checks that everything was executed once or merged, and in order.
func (l *ledger) account() {
	if len(l.asked) != total || len(l.ended) != total {
		l.t.Errorf("%d asked and %d ended, of %d", len(l.asked), len(l.ended), total)
	}
	last, times := map[string]int{}, map[string]int{}
	for _, id := range l.granted {
		times[id]++
		if before, ok := last[l.kind[id]]; ok && before > l.order[id] {
			l.t.Errorf("%s of %s was started before one that was asked earlier", id, l.kind[id])
		}
		last[l.kind[id]] = l.order[id]
	}
	for _, id := range l.asked {
		executor := id
		if into := l.into[id]; into != "" {
			executor = into
		}
		if times[executor] != 1 || executor != id && times[id] != 0 {
			l.t.Errorf("%s was started %d times, and its executing run %d times", id, times[id], times[executor])
		}
	}
	if merged := len(l.into); merged < total/types*types/5/2*9/10 {
		l.t.Errorf("only %d merged", merged)
	}
}

// fairness: in the shared lane, as long as all namespaces have work, none has
// fewer starts than its share but for the slots that others hold.
func (l *ledger) fairness() {
	left := map[string]int{}
	for _, id := range l.granted {
		if l.lane[id] == together {
			left[l.space[id]]++
		}
	}
	starts, n := map[string]int{}, 0
	for _, id := range l.granted {
		if l.lane[id] != together {
			continue
		}
		starts[l.space[id]]++
		if n++; starts[l.space[id]] == left[l.space[id]] { // the first has no work left
			break
		}
	}
	share := n / len(left)
	for space := range left {
		if starts[space] < share*9/10-slots {
			l.t.Errorf("%s had %d of %d starts; its share is %d", space, starts[space], n, share)
		}
	}
	counts := make([]int, 0, len(starts))
	for _, c := range starts {
		counts = append(counts, c)
	}
	slices.Sort(counts)
	l.t.Logf("%d starts in the shared lane until the first of %d namespaces was done: each had %d to %d", n, len(left), counts[0], counts[len(counts)-1])
}
