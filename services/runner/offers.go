package runner

import (
	"context"
	"fmt"

	"github.com/nats-io/nats.go"

	"github.com/slipway-hq/slipway/domain/roster"
	"github.com/slipway-hq/slipway/domain/run"
	"github.com/slipway-hq/slipway/services/runner/internal/hints"
)

// offers takes up runs that the dispatcher offers to this incarnation alone,
// until ctx ends. An offer that is not taken up needs no answer: it passes.
func (i *incarnation) offers(ctx, work context.Context, offered *nats.Subscription) {
	for {
		msg, err := offered.NextMsgWithContext(ctx)
		if ctx.Err() != nil {
			return
		}
		if err != nil { // too slow: what was dropped is offered again
			i.log.Warn("offers were missed", "error", err)
			if pause(ctx, lagDelay) != nil {
				return
			}
			continue
		}
		hint, err := hints.Offered(msg.Data)
		if err != nil {
			i.log.Error("an offer cannot be read and was dropped", "error", err)
			continue
		}
		if i.room.Take() { // else it passes
			i.group.Go(func() { i.consider(ctx, work, hint) })
		}
	}
}

// consider handles an offer that there is room for, and again for a while, if
// there still is, when it was too early.
func (i *incarnation) consider(ctx, work context.Context, hint hints.Hint) {
	for {
		i.handle(work, hint)
		delay, again := hint.Again()
		if !again || pause(ctx, delay) != nil || hint.Tries() > lagTries || !i.room.Take() {
			return
		}
	}
}

// fits returns run.ErrMisfit, wrapped, when the run is for another runner.
func (i *incarnation) fits(s *run.State) error {
	needs := roster.Of(s.Plan)
	me := roster.Runner{ID: i.Runner.id, Name: i.cfg.Name, Pools: i.cfg.Pools, Labels: i.labels}
	if s.Status == run.Absent || !needs.Picky() || me.Fits(needs) {
		return nil
	}
	return fmt.Errorf("%w: %s", run.ErrMisfit, needs)
}
