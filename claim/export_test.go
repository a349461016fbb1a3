package claim

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// Die ends a claim as the death of its process does: nothing of it is written any
// more. Its Guard is not told.
func (h *Held) Die() { h.end(ErrLost) }

// Clock is a clock that goes when it is told to.
type Clock struct{ mono, wall atomic.Int64 }

// Advance moves both clocks, as time does.
func (c *Clock) Advance(d time.Duration) { c.mono.Add(int64(d)); c.wall.Add(int64(d)) }

// Jump sets the wall clock alone.
func (c *Clock) Jump(d time.Duration) { c.wall.Add(int64(d)) }

// OpenAt is Open on another clock.
func OpenAt(ctx context.Context, js jetstream.JetStream, opts Options, clock *Clock) (*Guard, error) {
	return open(ctx, js, opts, func() reading {
		return reading{mono: time.Duration(clock.mono.Load()), wall: time.Duration(clock.wall.Load())}
	})
}

// Encode is the name of a key in the bucket.
func Encode(key string) (string, error) { return encode("key", key) }
