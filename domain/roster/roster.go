// Package roster is about the runners that are alive: which of them may take a
// run, and which one of those a run is offered to.
//
// It is not for whether a run may start at all (domain/lane) nor for who lives
// (internal/lease). The dispatcher offers with it, a runner checks itself with it
// before it claims, domain/run refuses a claim by it, and domain/board says with
// it what a run waits for.
//
// Invariants: a run that asks for labels or for one runner is offered to nobody
// else; among equals the least busy comes first and the one that waited longest
// for an offer next, so that no two of them differ by more than one; who let an
// offer pass comes last until it proves to be alive.
package roster

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	eventv1 "github.com/slipway-hq/slipway/gen/slipway/event/v1"
)

// AnyPool, as the pool of a plan, stands for all of them.
const AnyPool = "*"

// Needs is what a run asks of its runner.
type Needs struct {
	Pool string
	// Labels that the runner must have.
	Labels map[string]string
	// Runner is the id or the name of the only one that may take it; empty: any.
	Runner string
}

// Of returns what a plan asks for.
func Of(p *eventv1.Plan) Needs {
	return Needs{Pool: p.GetPool(), Labels: p.GetLabels(), Runner: p.GetRunner()}
}

// Picky tells whether not every runner of the pool will do: then the run is
// offered to one after the other, instead of to the pool.
func (n Needs) Picky() bool { return n.Pool == AnyPool || len(n.Labels) > 0 || n.Runner != "" }

// String names what is asked for: "pool build with labels arch=arm64".
func (n Needs) String() string {
	if n.Runner != "" {
		return "runner " + n.Runner
	}
	out := "pool " + n.Pool
	if n.Pool == AnyPool {
		out = "any pool"
	}
	switch len(n.Labels) {
	case 0:
		return out
	case 1:
		return out + " with the label " + Text(n.Labels)
	}
	return out + " with labels " + Text(n.Labels)
}

// Text writes labels as people do: "arch=arm64 gpu=yes", sorted.
func Text(labels map[string]string) string {
	var out []string
	for _, key := range slices.Sorted(maps.Keys(labels)) {
		out = append(out, key+"="+labels[key])
	}
	return strings.Join(out, " ")
}

// Runner is one that is alive.
type Runner struct {
	Incarnation string
	// ID stays the same over incarnations; Name is what people call it.
	ID, Name string
	Pools    []string
	Labels   map[string]string
	Draining bool
}

// Called tells whether a name or id means this runner; upper and lower case do
// not count in names.
func (r Runner) Called(name string) bool {
	return name != "" && (r.ID == name || strings.EqualFold(r.Name, name))
}

// Fits tells whether the runner may take a run with these needs.
func (r Runner) Fits(n Needs) bool {
	if n.Pool != AnyPool && !slices.Contains(r.Pools, n.Pool) {
		return false
	}
	if n.Runner != "" && !r.Called(n.Runner) {
		return false
	}
	for key, value := range n.Labels {
		if got, ok := r.Labels[key]; !ok || got != value {
			return false
		}
	}
	return true
}

// Missing is why nobody of these runners will ever take a run with these needs;
// empty: somebody fits. It is a sentence without its full stop.
func Missing(n Needs, runners []Runner) string {
	fits := func(n Needs) bool {
		return slices.ContainsFunc(runners, func(r Runner) bool { return !r.Draining && r.Fits(n) })
	}
	switch {
	case fits(n):
		return ""
	case n.Runner == "":
		return fmt.Sprintf("no runner of %s is connected", n)
	case !fits(Needs{Pool: AnyPool, Runner: n.Runner}):
		return fmt.Sprintf("runner %s is not connected", n.Runner)
	}
	others := n
	others.Runner = ""
	return fmt.Sprintf("runner %s is not one of %s", n.Runner, others)
}

// Candidate is a runner as whoever offers sees it.
type Candidate struct {
	Runner
	// Room is how many runs it can have; Busy how many it has, offers that were
	// not answered yet included.
	Room, Busy int
	// Offered is when it got its last offer, by a count that grows; 0: never.
	Offered uint64
	// Passed: it let an offer pass, and has not shown since that it lives.
	Passed bool
}

// Choose returns the index of the candidate that a run is offered to; -1: nobody
// fits and has room.
func Choose(n Needs, candidates []Candidate) int {
	best := -1
	for i := range candidates {
		c := &candidates[i]
		if c.Draining || c.Busy >= c.Room || !c.Fits(n) {
			continue
		}
		if best < 0 || before(c, &candidates[best]) {
			best = i
		}
	}
	return best
}

// before tells whether a gets an offer rather than b.
func before(a, b *Candidate) bool {
	switch busyA, busyB := a.Busy*b.Room, b.Busy*a.Room; {
	case a.Passed != b.Passed:
		return b.Passed
	case busyA != busyB: // the share that is taken
		return busyA < busyB
	}
	return a.Offered < b.Offered
}
