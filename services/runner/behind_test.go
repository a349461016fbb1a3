package runner

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/slipway-hq/slipway/domain/run"
	"github.com/slipway-hq/slipway/internal/eventlog"
)

// behind is a log whose first reads of a record do not see it yet, as those of a
// replica that lags (P9).
type behind struct {
	eventlog.Log
	hidden uint64

	mu   sync.Mutex
	left int // reads
}

// behindReads is more than one try takes.
const behindReads = 3

func (b *behind) late() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.left--
	return b.left >= 0
}

func (b *behind) Last(ctx context.Context, subject string) (eventlog.Record, error) {
	rec, err := b.Log.Last(ctx, subject)
	if err == nil && rec.Sequence == b.hidden && b.late() {
		records, err := b.Log.Load(ctx, subject, 0)
		return records[len(records)-2], err
	}
	return rec, err
}

func (b *behind) Load(ctx context.Context, subject string, after uint64) ([]eventlog.Record, error) {
	records, err := b.Log.Load(ctx, subject, after)
	if n := len(records); err == nil && n > 0 && records[n-1].Sequence == b.hidden && b.late() {
		records = records[:n-1]
	}
	return records, err
}

// A run was given back, and the runner that is told so reads it at a server that
// does not know yet. It must not take the run for another's and forget the hint.
func TestARunThatIsReadTooEarlyIsReadAgain(t *testing.T) {
	w, exec := newWorld(t), &script{}
	hint := w.request("d-1", w.plan(shell("a", "x")))
	claimed := w.decide("d-1", run.TakeClaim{Runner: "r-other", Incarnation: "other", GrantSequence: hint.GetGrantSequence(), Now: time.Now()})
	given := w.decide("d-1", run.Release{Fence: claimed.Claim.Fence, Reason: "its runner was restarted", Now: time.Now()})
	w.runner(exec, over(&behind{Log: w.log, hidden: given.Sequence, left: behindReads}))
	hint.RunSequence = given.Sequence
	w.publish(hint)
	if s := w.ended("d-1"); s.Status != run.Succeeded {
		t.Errorf("it is %s", s.Status)
	}
}
