package lease

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	commandv1 "github.com/slipway-hq/slipway/gen/slipway/command/v1"
	"github.com/slipway-hq/slipway/internal/topology"
)

// ErrLost: the lease is gone and may not be taken again, because the claims
// under it are no longer ours.
var ErrLost = errors.New("the lease is lost")

// Lease is the sign of life of one runner incarnation.
type Lease struct {
	bucket      *Bucket
	incarnation string
	key         string
	describe    func() *commandv1.Lease
	may         func() bool
	log         *slog.Logger
	ready       chan struct{}

	mu       sync.Mutex
	sequence uint64        // of the key, as far as we know
	taken    bool          // we had it at least once
	renewed  time.Duration // boot time at which the last successful renewal began
}

// Lease makes the lease of an incarnation, which no other process ever uses.
// describe says what is stored beside holder and time. may tells whether the
// incarnation may take a lease again that is missing: whether its fence is
// still the current one in the log, or it holds no claim at all.
func (b *Bucket) Lease(incarnation string, describe func() *commandv1.Lease, may func() bool) *Lease {
	return &Lease{
		bucket: b, incarnation: incarnation, key: keyRunner + topology.Safe(incarnation),
		describe: describe, may: may, log: b.log, ready: make(chan struct{}),
	}
}

// Run renews the lease until ctx ends (nil) or it is lost (ErrLost). Failures
// in between are tried again, while Alive tells how long that is good for.
// It does not release: see Release.
func (l *Lease) Run(ctx context.Context) error {
	failing := false
	for {
		err := l.renew(ctx)
		wait := l.bucket.timing.RenewEvery
		switch {
		case ctx.Err() != nil:
			return nil
		case errors.Is(err, ErrLost):
			return err
		case err != nil:
			wait = l.bucket.timing.retry()
			if !failing {
				l.log.Warn("cannot renew the lease", "incarnation", l.incarnation, "error", err)
			}
		case failing:
			l.log.Info("the lease is renewed again", "incarnation", l.incarnation)
		}
		failing = err != nil
		if !pause(ctx, wait) {
			return nil
		}
	}
}

// Ready is closed when the lease was stored for the first time.
func (l *Lease) Ready() <-chan struct{} { return l.ready }

// Alive tells whether the incarnation may go on working: whether a renewal
// succeeded within the last SelfKillAfter, suspended time included. It can
// become true again: who gave up at the first false has to remember that.
func (l *Lease) Alive() bool { return l.Remaining() > 0 }

// Remaining is how long Alive stays true without another renewal.
func (l *Lease) Remaining() time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.taken {
		return 0
	}
	return max(0, l.renewed+l.bucket.timing.SelfKillAfter-bootTime())
}

// Release tells watchers at once that nothing of this incarnation lives any
// more. Call it when all its processes are dead and Run has returned.
func (l *Lease) Release(ctx context.Context) error {
	l.mu.Lock()
	sequence, taken := l.sequence, l.taken
	l.taken = false
	l.mu.Unlock()
	if !taken {
		return nil
	}
	if err := l.bucket.release(ctx, l.key, l.incarnation, sequence); err != nil {
		return fmt.Errorf("release the lease of %s: %w", l.incarnation, err)
	}
	return nil
}

func (l *Lease) renew(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, l.bucket.timing.attempt())
	defer cancel()
	began := bootTime()
	value, err := l.value()
	if err != nil {
		return err
	}
	l.mu.Lock()
	expect := l.sequence
	l.mu.Unlock()
	sequence, err := l.bucket.put(ctx, l.key, value, expect, l.bucket.timing.LeaseTTL)
	if err != nil {
		return l.reload(ctx, err)
	}
	l.stored(sequence, began)
	return nil
}

// reload learns what the key holds after a renewal that failed with cause: our
// own value (the renewal got through unnoticed), or nothing any more. The next
// renewal follows soon.
func (l *Lease) reload(ctx context.Context, cause error) error {
	now, err := l.bucket.last(ctx, l.key)
	if err != nil {
		return errors.Join(cause, err)
	}
	l.mu.Lock()
	taken := l.taken
	l.mu.Unlock()
	if now.value == nil && taken && !l.may() {
		return fmt.Errorf("incarnation %s: %w", l.incarnation, ErrLost)
	}
	l.mu.Lock()
	l.sequence = now.sequence
	l.mu.Unlock()
	return cause
}

func (l *Lease) stored(sequence uint64, began time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.sequence, l.renewed = sequence, began
	if !l.taken {
		l.taken = true
		select {
		case <-l.ready:
		default:
			close(l.ready)
		}
	}
}

func (l *Lease) value() ([]byte, error) {
	value := l.describe()
	value.Holder, value.Renewed = l.incarnation, timestamppb.Now()
	return encode(value)
}

// pause waits and tells whether ctx still lives.
func pause(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}
