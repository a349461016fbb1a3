package runner

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/slipway-hq/slipway/domain/run"
	commandv1 "github.com/slipway-hq/slipway/gen/slipway/command/v1"
	"github.com/slipway-hq/slipway/internal/eventlog"
	"github.com/slipway-hq/slipway/internal/topology"
	"github.com/slipway-hq/slipway/services/runner/internal/hints"
)

const (
	// releaseWait is how long an overdue drain still tries to give claims back
	// after it has killed the processes; later the lapse of the lease does it.
	releaseWait = 5 * time.Second
	// lagDelay is when a hint comes back whose run or grant could not be read
	// yet: a follower lags by milliseconds.
	lagDelay = 50 * time.Millisecond
	// lagTries is how often that is believed.
	lagTries = 5
	// retryDelay is when a hint comes back whose claim failed for another reason.
	retryDelay = time.Second
)

// sayDraining is logged once claims are given back at boundaries.
const sayDraining = "runner is draining"

// incarnation is a runner from one lease to its end. It never comes back: after
// the loss of its lease the runner starts another one.
type incarnation struct {
	*Runner
	id       string
	room     *room
	lanes    *lanes
	lease    leaseholder
	draining chan struct{} // closed when claims are to be given back at a boundary
	overdue  chan struct{} // closed when they are to be given back at once
	dead     atomic.Bool   // the lease was lost, for ever
	fenced   atomic.Bool   // a claim was taken away: the log has ended this incarnation
	group    sync.WaitGroup

	mu   sync.Mutex
	held map[string]*hold // nil while the claim is under way
}

// live is one incarnation. It returns nil when ctx ended and everything was
// given back, or why the incarnation lost its right to work.
func (r *Runner) live(ctx context.Context, ready func()) error {
	i := &incarnation{
		Runner: r, id: rand.Text(), room: newRoom(r.cfg.Capacity), lanes: newLanes(), held: map[string]*hold{},
		draining: make(chan struct{}), overdue: make(chan struct{}),
	}
	if err := r.giveAllBack(ctx, i.id); err != nil {
		return err
	}
	nudges, err := r.deps.Conn.Subscribe(topology.NudgeSubject(i.id), func(m *nats.Msg) { i.nudge(string(m.Data)) })
	if err != nil {
		return fmt.Errorf("listen for nudges: %w", err)
	}
	defer func() { _ = nudges.Unsubscribe() }()                            // it only fails on a closed connection
	offered, err := r.deps.Conn.SubscribeSync(topology.OfferSubject(i.id)) // before its lease shows it to whoever offers
	if err != nil {
		return fmt.Errorf("listen for offers: %w", err)
	}
	defer func() { _ = offered.Unsubscribe() }() // as above
	work, abandon := context.WithCancelCause(context.WithoutCancel(ctx))
	defer abandon(nil)
	i.lease = r.join(i.id, i.describe, func() bool { return !i.fenced.Load() })
	leave := i.keepLease(work, abandon)
	i.serve(ctx, work, offered, ready)
	i.finish(ctx, abandon)
	return leave()
}

// keepLease renews the lease, and abandons the work as soon as it is lost. The
// returned function ends the lease and returns why it was lost, if it was.
func (i *incarnation) keepLease(work context.Context, abandon context.CancelCauseFunc) (leave func() error) {
	ctx, cancel := context.WithCancel(context.WithoutCancel(work))
	lose := func(err error) {
		i.dead.Store(true)
		abandon(fmt.Errorf("%w: %w", ErrAbandon, err))
	}
	var group sync.WaitGroup
	group.Go(func() {
		if err := i.lease.Run(ctx); err != nil && ctx.Err() == nil {
			lose(err)
		}
	})
	group.Go(func() {
		select {
		case <-i.crash:
			lose(errors.New("it was told to crash"))
		case <-ctx.Done():
		}
	})
	group.Go(func() {
		if i.outlive(ctx) {
			lose(errors.New("the lease was not renewed in time"))
		}
	})
	return func() error {
		cancel()
		group.Wait()
		if i.dead.Load() {
			return context.Cause(work)
		}
		ctx, cancel := context.WithTimeout(context.WithoutCancel(work), releaseWait)
		defer cancel()
		if err := i.lease.Release(ctx); err != nil {
			i.log.Warn("the lease could not be released and will lapse", "incarnation", i.id, "error", err)
		}
		return nil
	}
}

// outlive returns true when the lease has not been renewed in time, false when
// ctx ended before.
func (i *incarnation) outlive(ctx context.Context) bool {
	select {
	case <-ctx.Done():
		return false
	case <-i.lease.Ready():
	}
	for {
		left := i.lease.Remaining()
		if left <= 0 {
			return ctx.Err() == nil
		}
		if pause(ctx, left) != nil {
			return false
		}
	}
}

// alive tells whether the incarnation may go on working. It never waits.
func (i *incarnation) alive() bool { return !i.dead.Load() && i.lease.Remaining() > 0 }

// serve takes hints and offers from when the lease is held until ctx or work ends.
func (i *incarnation) serve(ctx, work context.Context, offered *nats.Subscription, ready func()) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(work, cancel)()
	select {
	case <-ctx.Done():
		return
	case <-i.lease.Ready():
	}
	i.log.Info("runner ready", "runner", i.Runner.id, "incarnation", i.id, "pools", i.cfg.Pools, "capacity", i.cfg.Capacity)
	var offers sync.WaitGroup
	defer func() {
		cancel()
		offers.Wait()
	}()
	offers.Go(func() { i.offers(ctx, work, offered) })
	source := hints.New(i.deps.Conn, i.js, i.cfg.Pools, i.deps.Replicas, i.log)
	source.Run(ctx, i.room, ready, func(hint hints.Hint) {
		i.group.Go(func() { i.handle(work, hint) })
	})
}

// finish waits for all runs that are held. When ctx has ended it drains.
func (i *incarnation) finish(ctx context.Context, abandon context.CancelCauseFunc) {
	done := make(chan struct{})
	go func() {
		i.group.Wait()
		close(done)
	}()
	if ctx.Err() == nil { // the lease was lost: the work is abandoned already
		<-done
		return
	}
	close(i.draining)
	i.log.Info(sayDraining, "runner", i.Runner.id, "runs", i.room.Taken())
	if within(done, i.cfg.DrainTimeout) {
		return
	}
	i.log.Warn("steps are still running at the end of the drain and are stopped", "runs", i.room.Taken())
	close(i.overdue)
	if within(done, releaseWait) {
		return
	}
	abandon(fmt.Errorf("%w: the drain is over", ErrAbandon))
	<-done
}

func within(done <-chan struct{}, limit time.Duration) bool {
	timer := time.NewTimer(limit)
	defer timer.Stop()
	select {
	case <-done:
		return true
	case <-timer.C:
		return false
	}
}

// describe is what the lease says of this runner.
func (i *incarnation) describe() *commandv1.Lease {
	return &commandv1.Lease{
		Runner: i.Runner.id, Name: i.cfg.Name, Host: i.host, Labels: i.labels, Pools: i.cfg.Pools, Capacity: uint32(i.cfg.Capacity), //nolint:gosec // a small number
		Running: uint32(i.room.Taken()), Draining: isClosed(i.draining), Version: i.deps.Version, //nolint:gosec // as above
	}
}

func isClosed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

// nudge makes the holder of a run look at the log. A lost nudge costs a second.
func (i *incarnation) nudge(run string) {
	i.mu.Lock()
	defer i.mu.Unlock()
	if h := i.held[run]; h != nil {
		select {
		case h.nudged <- struct{}{}:
		default:
		}
	}
}

// reserve notes that this incarnation works on run; false when it does already.
func (i *incarnation) reserve(run string) bool {
	i.mu.Lock()
	defer i.mu.Unlock()
	if _, known := i.held[run]; known {
		return false
	}
	i.held[run] = nil
	return true
}

func (i *incarnation) unreserve(run string) {
	i.mu.Lock()
	defer i.mu.Unlock()
	delete(i.held, run)
}

// handle works on one hint, for which room was taken: it claims the run and
// executes it for as long as it is held.
func (i *incarnation) handle(ctx context.Context, hint hints.Hint) {
	free := sync.OnceFunc(i.room.Free)
	defer free()
	if !i.reserve(hint.GetRun()) {
		i.repeated(hint)
		return
	}
	defer i.unreserve(hint.GetRun())
	h, err := i.claim(ctx, hint)
	if err != nil {
		i.refused(ctx, hint, err)
		return
	}
	hint.Ack()
	i.metrics.claim(ctx, outcomeClaimed)
	i.metrics.hold(ctx, 1)
	end := i.hold(ctx, h)
	i.metrics.hold(ctx, -1)
	free() // before what remains to be tidied
	i.leave(ctx, h.lane())
	i.settle(ctx, h, end)
}

// repeated follows a hint for a run that is held here already: either it is of no
// use, or the claim was taken away and its holder has not noticed yet.
func (i *incarnation) repeated(hint hints.Hint) {
	i.nudge(hint.GetRun())
	if hint.Tries() < lagTries {
		hint.Nak(retryDelay)
		return
	}
	hint.Ack()
}

// hold lets nudges reach h while it works.
func (i *incarnation) hold(ctx context.Context, h *hold) ending {
	i.mu.Lock()
	i.held[h.run] = h
	i.mu.Unlock()
	return h.work(ctx)
}

// settle tidies up after a run that is held no more. One that was dropped stays
// in the journal: the next incarnation gives it back.
func (i *incarnation) settle(ctx context.Context, h *hold, end ending) {
	i.metrics.ended.Add(ctx, 1, end.metric())
	switch end {
	case dropped:
		return
	case lost:
		i.fenced.Store(true)
	case ended:
		if f, ok := i.exec.(Forgetter); ok {
			f.Forget(h.run)
		}
	case released:
	}
	i.forget(h.run)
}

func (i *incarnation) forget(run string) {
	if err := i.journal.Remove(run); err != nil {
		i.log.Error("the journal of claims cannot be written", "run", run, "error", err)
	}
}

// refused says what becomes of a hint whose run could not be claimed.
func (i *incarnation) refused(ctx context.Context, hint hints.Hint, err error) {
	var refusal *run.Refusal
	switch {
	case errors.Is(err, errLaneFull):
		i.metrics.claim(ctx, outcomeLaneFull)
		hint.Nak(laneDelay(hint.Tries()))
		return
	case errors.Is(err, run.ErrMisfit): // for another: whoever offered it to all of us is of an older version
		i.metrics.claim(ctx, outcomeMisfit)
		hint.Nak(laneDelay(hint.Tries()))
	case errors.Is(err, run.ErrAbsent), errors.Is(err, errNoGrant), errors.Is(err, errEarly), errors.Is(err, eventlog.ErrNotFound):
		i.metrics.claim(ctx, outcomeNoGrant)
		if hint.Tries() < lagTries {
			hint.Nak(lagDelay)
			break
		}
		i.log.Warn("a hint does not match the log and was dropped", "run", hint.GetRun(), "error", err)
		hint.Ack()
	case errors.As(err, &refusal):
		i.metrics.claim(ctx, outcomeConflict) // claimed by another, or ended
		hint.Ack()
	case ctx.Err() != nil:
		hint.Nak(lagDelay)
		return // nobody knows what became of the claim: it stays in the journal
	case errors.Is(err, eventlog.ErrCorrupt):
		i.log.Error("a run cannot be read and was not claimed", "run", hint.GetRun(), "error", err)
		hint.Ack()
	default:
		i.metrics.claim(ctx, outcomeFailed)
		i.log.Warn("a run could not be claimed, trying again", "run", hint.GetRun(), "error", err)
		hint.Nak(retryDelay)
	}
	i.forget(hint.GetRun())
}
