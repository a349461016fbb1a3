package runner

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/slipway-hq/slipway/domain/run"
	"github.com/slipway-hq/slipway/internal/eventlog"
	"github.com/slipway-hq/slipway/internal/topology"
)

// usurped is a log that stores a claim without confirming it, and only after
// that claim has lapsed and another runner has made its own.
type usurped struct {
	eventlog.Log
	meanwhile func()
	once      sync.Once
}

func (u *usurped) Append(ctx context.Context, subject string, expect uint64, data []byte) (uint64, error) {
	at, err := u.Log.Append(ctx, subject, expect, data)
	u.once.Do(func() {
		u.meanwhile()
		at, err = 0, eventlog.ErrUnknown
	})
	return at, err
}

func TestAnotherRunnersClaimIsNotTakenForOnesOwn(t *testing.T) {
	w, exec := newWorld(t), &script{}
	taken := make(chan struct{})
	log := &usurped{Log: w.log, meanwhile: func() {
		s := w.decide("d-1", run.Expire{})
		w.decide("d-1", run.Lapse{Fence: s.Claim.Fence, Now: time.Now()})
		w.decide("d-1", run.TakeClaim{Runner: "r-other", Incarnation: "other", GrantSequence: s.Claim.GrantSequence, Now: time.Now()})
		close(taken)
	}}
	first := w.runner(exec, over(log))
	w.start("d-1", w.plan(shell("a", "x")))
	<-taken
	first.stop()
	if log := exec.log(); len(log) > 0 {
		t.Errorf("it worked under the other's fence: %v", log)
	}
	if last, err := w.log.Last(t.Context(), topology.RunSubject("d-1")); err != nil || last.Commit.GetVersion() != 4 {
		t.Errorf("it committed under the other's fence: %v, %v", last.Commit, err)
	}
}
