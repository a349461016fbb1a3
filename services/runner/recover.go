package runner

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/slipway-hq/slipway/domain/run"
	eventv1 "github.com/slipway-hq/slipway/gen/slipway/event/v1"
	"github.com/slipway-hq/slipway/internal/engine"
	"github.com/slipway-hq/slipway/internal/eventlog"
)

const (
	// recoverers bounds how many claims are given back at one time.
	recoverers = 16
	// recoverPause lies between tries while the log cannot be reached.
	recoverPause = 100 * time.Millisecond
	// reasonRestart is what people read of a claim that was given back so.
	reasonRestart = "its runner was restarted"
)

// giveAllBack gives back what earlier incarnations in this data folder claimed, once
// none of their processes live. It returns an error when ctx ends or the
// processes cannot be waited for.
func (r *Runner) giveAllBack(ctx context.Context, incarnation string) error {
	if err := r.await(ctx); err != nil {
		return err
	}
	held := r.journal.Held()
	slots := make(chan struct{}, recoverers)
	var group sync.WaitGroup
	for _, id := range held {
		slots <- struct{}{}
		group.Go(func() {
			defer func() { <-slots }()
			r.giveBack(ctx, id, incarnation)
		})
	}
	group.Wait()
	return ctx.Err()
}

// giveBack releases the claim of a run if it is an earlier incarnation's of this
// runner. It tries until the log answers or ctx ends.
func (r *Runner) giveBack(ctx context.Context, id, incarnation string) {
	for warned := false; ; warned = true {
		fence, err := r.release(ctx, id, incarnation)
		if err == nil || errors.Is(err, eventlog.ErrCorrupt) {
			if err != nil {
				r.log.Error("a run is broken and cannot be given back", "run", id, "error", err)
			}
			if fence != 0 {
				r.log.Info("gave the run of an earlier start back", "run", id, "fence", fence)
			}
			if err := r.journal.Remove(id); err != nil {
				r.log.Error("the journal of claims cannot be written", "run", id, "error", err)
			}
			return
		}
		if !warned {
			r.log.Warn("cannot give the run of an earlier start back, trying again", "run", id, "error", err)
		}
		if pause(ctx, recoverPause) != nil {
			return
		}
	}
}

// release returns the fence of the claim that it gave back; 0 when there was
// none to give back.
func (r *Runner) release(ctx context.Context, id, incarnation string) (fence uint64, err error) {
	handle, err := openRun(ctx, r.deps.Log, id)
	if err != nil {
		return 0, err
	}
	claim := handle.State().Claim
	if claim.Fence == 0 || claim.Runner != r.id || claim.Incarnation == incarnation {
		return 0, nil
	}
	command := run.Release{Fence: claim.Fence, Reason: reasonRestart, Now: time.Now()}
	meta := engine.Meta{CommandID: incarnation + "/recover", Actor: r.actor(), Time: command.Now}
	_, err = handle.Do(ctx, meta, func(s run.State) ([]*eventv1.Event, error) { return run.Decide(s, command) })
	var refusal *run.Refusal
	if errors.As(err, &refusal) {
		return 0, nil // somebody else was quicker
	}
	return claim.Fence, err
}
