package claim

import (
	"context"
	"errors"
	"time"
)

// Do runs work under a claim on key, on one of the replicas that call it with the
// same key, and returns nil when it is done, here or elsewhere. The context of work
// ends before anybody else may have the claim. When the holder dies, one of those
// that wait in Do takes over. An error of work is returned, and the key released:
// whoever waits tries next. While the broker is away, Do waits for it until ctx ends.
func (g *Guard) Do(ctx context.Context, key string, work func(context.Context, *Held) error) error {
	for {
		held, err := g.await(ctx, "key", key)
		if errors.Is(err, ErrDone) {
			return nil
		}
		if err != nil {
			return err
		}
		err = held.run(ctx, work)
		if err == nil {
			err = held.settle(ctx)
		} else if held.interrupted(ctx, err) {
			err = ErrFenced
		}
		if errors.Is(err, ErrFenced) {
			continue // somebody else takes over, and may have done it as well
		}
		return errors.Join(err, held.giveUp(ctx))
	}
}

// Role runs serve on one of the replicas that call it with the same name: the
// first one, and when it ends or dies another. The context of serve ends before
// another can start, and serve has to return within a third of the lease then;
// where it was the claim that was lost, Role stands for the role again. Role
// returns what serve returned of itself, after freeing the role; nil when ctx ended.
func (g *Guard) Role(ctx context.Context, name string, serve func(context.Context) error) error {
	for {
		held, err := g.await(ctx, "role", name)
		if err != nil {
			return unlessOver(ctx, err)
		}
		err = held.run(ctx, func(ctx context.Context, _ *Held) error { return serve(ctx) })
		if held.interrupted(ctx, err) {
			continue
		}
		_ = held.giveUp(ctx) // failing that, the lease frees the role
		return unlessOver(ctx, err)
	}
}

func unlessOver(ctx context.Context, err error) error {
	if ctx.Err() != nil && errors.Is(err, ctx.Err()) {
		return nil
	}
	return err
}

func (h *Held) run(ctx context.Context, work func(context.Context, *Held) error) error {
	ctx, cancel := h.Context(ctx)
	defer cancel()
	return work(ctx, h)
}

// settle records that the work is done, also when ctx has just ended, and until
// then tries again.
func (h *Held) settle(ctx context.Context) error {
	return retry(ctx, func() error {
		err := h.Done(context.WithoutCancel(ctx))
		if errors.Is(err, ErrFenced) {
			return definite{err} // no repetition changes that
		}
		return err
	})
}

// interrupted tells whether work returned err because the claim was lost.
func (h *Held) interrupted(ctx context.Context, err error) bool {
	lost := errors.Is(h.cause(), ErrLost)
	return lost && ctx.Err() == nil && (err == nil || errors.Is(err, context.Canceled) || errors.Is(err, ErrLost))
}

// giveUp releases also when ctx has ended.
func (h *Held) giveUp(ctx context.Context) error {
	return h.Release(context.WithoutCancel(ctx))
}

// await claims as soon as the key is free. It waits for others and for the broker.
func (g *Guard) await(ctx context.Context, kind, key string) (*Held, error) {
	for {
		held, err := g.claim(ctx, kind, key)
		if err == nil || errors.Is(err, ErrDone) || errors.As(err, new(definite)) {
			return held, err
		}
		wait := g.opts.Lease / 10
		if taken := (*TakenError)(nil); errors.As(err, &taken) {
			wait = min(wait, max(time.Until(taken.Until), pauseMin))
		}
		if !pause(ctx, wait) {
			return nil, errors.Join(err, context.Cause(ctx))
		}
	}
}
