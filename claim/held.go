package claim

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"
)

// errEnded is why a claim is over that was done or released.
var errEnded = errors.New("the claim was done or released")

// Held is a claim that this replica holds, or held. Its methods may be called
// from any goroutine.
type Held struct {
	guard      *Guard
	token, key string
	id         string
	fence      uint64
	alive      context.Context
	end        context.CancelCauseFunc
	writing    chan struct{} // holds a token while something is written
	last       uint64        // sequence of our last write; guarded by writing
	done       bool          // guarded by writing
	released   bool          // or tried to; guarded by writing

	mu      sync.Mutex
	renewed reading // when the last write that succeeded began
	timer   *time.Timer
}

// hold begins to keep a claim that was written.
func (g *Guard) hold(token string, now entry, began reading) *Held {
	h := &Held{
		guard: g, token: token, key: now.Key, id: now.Claim, fence: now.fence(),
		writing: make(chan struct{}, 1), last: now.sequence, renewed: began,
	}
	h.alive, h.end = context.WithCancelCause(context.Background())
	h.mu.Lock()
	h.timer = time.AfterFunc(g.check(), h.expire)
	h.mu.Unlock()
	go h.keep(h.due())
	return h
}

// keeps is how long a holder trusts a renewal. The third of the lease that it
// leaves is for the rates of two clocks and the time to stop.
func (g *Guard) keeps() time.Duration { return g.opts.Lease * 2 / 3 }

// check is how often a holder looks at the clock, so that it soon notices that
// its machine was suspended.
func (g *Guard) check() time.Duration { return g.opts.Lease / 30 }

// Key is what was claimed.
func (h *Held) Key() string { return h.key }

// Fence is higher than that of any earlier claim in the bucket. Hand it to what
// the work changes, which then refuses work under a lower one.
func (h *Held) Fence() uint64 { return h.fence }

// Lost is closed as soon as the claim may become somebody else's, and by Done and
// Release. Work has to have stopped within a third of the lease after that.
func (h *Held) Lost() <-chan struct{} { return h.alive.Done() }

// Context returns a context that also ends when Lost is closed, then with a cause
// that is ErrLost, unless the claim was done or released.
func (h *Held) Context(parent context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancelCause(parent)
	stop := context.AfterFunc(h.alive, func() { cancel(context.Cause(h.alive)) })
	return ctx, func() {
		stop()
		cancel(context.Canceled)
	}
}

// cause is why the claim is over.
func (h *Held) cause() error { return context.Cause(h.alive) }

// expire ends the claim when its last renewal is too long ago.
func (h *Held) expire() {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.alive.Err() != nil {
		return
	}
	if left := h.left(); left > 0 {
		h.timer.Reset(min(left, h.guard.check()))
		return
	}
	h.over(ErrLost)
}

// left is how long the claim is good for. The caller holds h.mu.
func (h *Held) left() time.Duration {
	return h.guard.keeps() - h.guard.clock().since(h.renewed)
}

// over closes Lost, and only then forgets the claim, so that this Guard, too, may
// claim the key again.
func (h *Held) over(cause error) {
	h.end(cause)
	h.guard.leave(h.id)
}

// keep renews after wait, and so on until the claim is over. Each renewal is tried
// until it succeeds.
func (h *Held) keep(wait time.Duration) {
	for pause(h.alive, wait) {
		err := h.Renew(h.alive)
		if wait = h.due(); err != nil { // shows in Lost, if it stays so
			wait = h.guard.check()
		}
	}
}

// due is how long the next renewal has time: four fit into what a holder keeps.
func (h *Held) due() time.Duration {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.guard.opts.Lease/6 - h.guard.clock().since(h.renewed)
}

// Renew proves that the claim is still ours, and extends it: to be called before
// a step that cannot be taken back. The background does the same by itself. An
// error that is not ErrLost leaves the claim as it is, until Lost is closed.
func (h *Held) Renew(ctx context.Context) error {
	ctx, cancel := h.Context(ctx)
	defer cancel()
	if !h.begin(ctx) {
		return h.failed("renew", context.Cause(ctx))
	}
	defer h.finish()
	if !h.timely() {
		return h.failed("renew", ErrLost)
	}
	began, err := h.store(ctx, stateHeld, abandoned)
	switch {
	case errors.Is(err, ErrFenced):
		h.over(ErrLost)
		return h.failed("renew", ErrLost)
	case err != nil:
		return h.failed("renew", err)
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.renewed = began
	if h.alive.Err() != nil {
		return h.failed("renew", h.cause())
	}
	return nil
}

// timely tells whether the claim is good, and ends it when it is not.
func (h *Held) timely() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.alive.Err() == nil && h.left() <= 0 {
		h.over(ErrLost)
	}
	return h.alive.Err() == nil
}

// Done records that the work is done: for Options.Remember, who claims the key
// gets ErrDone. It may be called again after a failure, and also after Lost: it is
// refused, with ErrFenced, only after Release and when there is a newer claim. It tries for a third
// of the lease at most.
func (h *Held) Done(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, h.guard.opts.Lease/3)
	defer cancel()
	if !h.begin(ctx) {
		return h.failed("finish", ctx.Err())
	}
	defer h.finish()
	switch {
	case h.done:
		return nil
	case h.released:
		return h.failed("finish", ErrFenced)
	}
	_, err := h.store(ctx, stateDone, h.guard.opts.Remember)
	switch {
	case errors.Is(err, ErrFenced):
		h.over(ErrLost)
		return h.failed("finish", err)
	case err != nil:
		return h.failed("finish", err)
	}
	h.done = true
	h.over(errEnded)
	return nil
}

// Release gives the claim up undone, for others to take at once. Lost is closed
// first, so the work has to have stopped before. Releasing what is not held any
// more is no error. It tries for a third of the lease at most; when it fails, the
// lease frees the key.
func (h *Held) Release(ctx context.Context) error {
	h.over(errEnded)
	ctx, cancel := context.WithTimeout(ctx, h.guard.opts.Lease/3)
	defer cancel()
	if !h.begin(ctx) {
		return h.failed("release", ctx.Err())
	}
	defer h.finish()
	if h.done {
		return nil
	}
	h.released = true
	if _, err := h.store(ctx, stateReleased, releasedFor); err != nil && !errors.Is(err, ErrFenced) {
		return h.failed("release", err)
	}
	return nil
}

// store writes our next record. An earlier write of ours whose answer got lost may
// have moved the sequence; anything else that did is a newer claim: ErrFenced.
func (h *Held) store(ctx context.Context, state string, ttl time.Duration) (began reading, err error) {
	g := h.guard
	next := record{State: state, Key: h.key, Holder: g.opts.Holder, Fence: h.fence, Lease: g.opts.Lease, Guard: g.id, Claim: h.id}
	for {
		now, began, err := g.store.write(ctx, h.token, next, h.last, ttl)
		switch ours := now.Claim == h.id && now.Guard == g.id; {
		case err == nil:
			h.last = now.sequence
			return began, nil
		case !errors.Is(err, errConflict):
			return reading{}, err
		case ours && now.State == state && state != stateHeld:
			return began, nil // an earlier Done or Release got through
		case ours && now.State == stateHeld:
			h.last = now.sequence
		default:
			return reading{}, ErrFenced
		}
	}
}

// begin waits for its turn to write; finish ends the turn.
func (h *Held) begin(ctx context.Context) bool {
	select {
	case h.writing <- struct{}{}:
		return true
	case <-ctx.Done():
		return false
	}
}

func (h *Held) finish() { <-h.writing }

func (h *Held) failed(what string, err error) error {
	return fmt.Errorf("%s the claim on %q (fence %d): %w", what, h.key, h.fence, err)
}
