package runner

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/slipway-hq/slipway/services/runner/internal/hints"
)

const (
	// maxParked bounds the hints that are remembered for one lane until a place of
	// ours in it is free. What finds no room comes back from the stream anyway.
	maxParked = 16
	// minLaneDelay is when a hint that found no place here comes back, to any
	// runner: the server hands it to the next who asks. When none of them has a
	// place, it comes back twice as late each time, up to maxLaneDelay.
	minLaneDelay = 20 * time.Millisecond
	maxLaneDelay = time.Second
)

// errLaneFull: this runner holds as many runs of the lane as it may.
var errLaneFull = errors.New("this runner has no place left in the lane")

// laneDelay is how long a hint stays away that was delivered so often.
func laneDelay(tries uint64) time.Duration {
	return min(maxLaneDelay, minLaneDelay<<min(max(tries, 1)-1, 10))
}

// lanes counts the runs that this incarnation holds of each lane, and remembers
// hints that had to be given back because a lane had no place left on this
// runner. Such a hint is soon offered to others; whoever has a place first
// takes the run, and the log decides.
type lanes struct {
	mu     sync.Mutex
	held   map[string]uint32
	parked map[string][]hints.Hint // oldest first
}

func newLanes() *lanes {
	return &lanes{held: map[string]uint32{}, parked: map[string][]hints.Hint{}}
}

// enter takes a place in a lane of which this runner may hold limit runs, 0 for
// any number; false when there is none.
func (l *lanes) enter(lane string, limit uint32) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if limit > 0 && l.held[lane] >= limit {
		return false
	}
	l.held[lane]++
	return true
}

// leave gives a place back and returns the hint that waited longest for it.
func (l *lanes) leave(lane string) (next hints.Hint, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.held[lane]--; l.held[lane] == 0 {
		delete(l.held, lane)
	}
	waiting := l.parked[lane]
	if len(waiting) == 0 {
		return next, false
	}
	if l.parked[lane] = waiting[1:]; len(waiting) == 1 {
		delete(l.parked, lane)
	}
	return waiting[0], true
}

// park remembers a hint, once.
func (l *lanes) park(lane string, hint hints.Hint) {
	l.mu.Lock()
	defer l.mu.Unlock()
	waiting := l.parked[lane]
	for i := range waiting {
		if waiting[i].GetRun() == hint.GetRun() {
			waiting[i] = hint
			return
		}
	}
	if len(waiting) < maxParked {
		l.parked[lane] = append(waiting, hint)
	}
}

// leave gives the place in a lane back and takes up the hint that waited for it.
func (i *incarnation) leave(ctx context.Context, lane string) {
	hint, ok := i.lanes.leave(lane)
	if !ok || ctx.Err() != nil || isClosed(i.draining) || !i.room.Take() {
		return // the hint comes back from the stream
	}
	i.group.Go(func() { i.handle(ctx, hint) })
}
