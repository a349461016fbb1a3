package runner

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/slipway-hq/slipway/domain/run"
	commandv1 "github.com/slipway-hq/slipway/gen/slipway/command/v1"
	eventv1 "github.com/slipway-hq/slipway/gen/slipway/event/v1"
	"github.com/slipway-hq/slipway/services/runner/internal/hints"
)

// gate is an executor whose attempts wait to be let go, and which knows how many
// it runs at one time.
type gate struct {
	pass chan struct{}

	mu        sync.Mutex
	now, most int
	all       int
}

func newGate() *gate { return &gate{pass: make(chan struct{})} }

func (g *gate) count(by int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.now += by
	g.most = max(g.most, g.now)
	if by > 0 {
		g.all++
	}
}

func (g *gate) Execute(ctx context.Context, _ Attempt, _ Sink) (Result, error) {
	g.count(1)
	defer g.count(-1)
	select {
	case <-g.pass:
		return Result{}, nil
	case <-ctx.Done():
		return untilStopped(ctx)
	}
}

func (g *gate) seen() (now, most, all int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.now, g.most, g.all
}

// limited is a plan in a lane of which a runner may hold n.
func (w *world) limited(n uint32) *eventv1.Plan {
	plan := w.plan(shell("a", "true"))
	plan.LaneSettings = &eventv1.LaneSettings{Concurrency: 100, PerRunner: n}
	return plan
}

// eventually waits for a condition.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	for !ok() {
		if pause(ctx, time.Millisecond) != nil {
			t.Fatalf("waited for %s", what)
		}
	}
}

func TestARunnerTakesNoMoreOfALaneThanItMay(t *testing.T) {
	w := newWorld(t)
	first, second := newGate(), newGate()
	w.runner(first)
	w.runner(second)
	const runs = 6
	for i := range runs {
		w.start(fmt.Sprintf("j-%d", i), w.limited(1))
	}
	eventually(t, "one run on each", func() bool {
		a, _, _ := first.seen()
		b, _, _ := second.seen()
		return a == 1 && b == 1
	})
	close(first.pass)
	close(second.pass)
	for i := range runs {
		if s := w.ended(fmt.Sprintf("j-%d", i)); s.Status != run.Succeeded {
			t.Errorf("j-%d %s: %s", i, s.Status, s.Reason)
		}
	}
	_, mostFirst, byFirst := first.seen()
	_, mostSecond, bySecond := second.seen()
	if mostFirst != 1 || mostSecond != 1 {
		t.Errorf("at one time %d and %d, want 1 each", mostFirst, mostSecond)
	}
	if byFirst+bySecond != runs {
		t.Errorf("%d and %d attempts, want %d in all", byFirst, bySecond, runs)
	}
}

// TestAFullLaneHoldsNoOtherUp: what waits for a place of its lane waits alone.
func TestAFullLaneHoldsNoOtherUp(t *testing.T) {
	w := newWorld(t)
	g := newGate()
	w.runner(g)
	w.start("j-1", w.limited(1))
	eventually(t, "the first", func() bool { now, _, _ := g.seen(); return now == 1 })
	w.start("j-2", w.limited(1))
	w.lane = "another"
	w.start("j-3", w.limited(1))
	eventually(t, "one of each lane", func() bool { now, _, _ := g.seen(); return now == 2 })
	if s := w.until("j-2", "the request", func(s run.State) bool { return s.Status != run.Absent }); s.Claimed() {
		t.Error("the second was claimed although its lane is full here")
	}
	close(g.pass)
	for _, id := range []string{"j-1", "j-2", "j-3"} {
		w.ended(id)
	}
	if _, most, _ := g.seen(); most != 2 {
		t.Errorf("%d at one time, want 2", most)
	}
}

// TestAFreedPlaceGoesToWhoWaitedLongest: without waiting for the stream.
func TestAFreedPlaceGoesToWhoWaitedLongest(t *testing.T) {
	l := newLanes()
	hint := func(run string) hints.Hint { return hints.Hint{Hint: &commandv1.Hint{Run: run}} }
	l.enter("a", 1)
	for _, id := range []string{"j-1", "j-2", "j-1"} { // hints come more than once
		l.park("a", hint(id))
	}
	for _, want := range []string{"j-1", "j-2", ""} {
		next, ok := l.leave("a")
		if ok != (want != "") || next.GetRun() != want {
			t.Errorf("got %q, want %q", next.GetRun(), want)
		}
		l.enter("a", 1)
	}
	for i := range 2 * maxParked {
		l.park("a", hint(fmt.Sprint("j-", i)))
	}
	if n := len(l.parked["a"]); n != maxParked {
		t.Errorf("%d hints are remembered, want at most %d", n, maxParked)
	}
}

func TestPlacesInALaneAreCounted(t *testing.T) {
	l := newLanes()
	if !l.enter("a", 1) || l.enter("a", 1) || !l.enter("a", 2) || !l.enter("b", 1) || !l.enter("a", 0) {
		t.Error("wrongly counted")
	}
	for range 3 {
		if _, ok := l.leave("a"); ok {
			t.Error("nobody waited")
		}
	}
	l.leave("b")
	if len(l.held) != 0 || len(l.parked) != 0 {
		t.Errorf("something is left: %v, %v", l.held, l.parked)
	}
}

func TestAHintComesBackLaterEachTime(t *testing.T) {
	if got := laneDelay(1); got != minLaneDelay {
		t.Errorf("at first %s", got)
	}
	for tries, last := uint64(1), time.Duration(0); tries < 200; tries++ {
		got := laneDelay(tries)
		if got < last || got > maxLaneDelay || got <= 0 {
			t.Fatalf("after %d deliveries %s, before %s", tries, got, last)
		}
		last = got
	}
}
