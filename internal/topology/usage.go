package topology

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/slipway-hq/slipway/internal/natsconn"
)

// WarnPercent is how full a stream may get before people are warned. A full one
// refuses, so the warning has to leave time to act.
const WarnPercent = 80

// Usage is how full a stream is.
type Usage struct {
	Stream   string
	Messages uint64
	Bytes    uint64
	Limit    int64 // bytes
	// Recycles: at its limit the stream drops its oldest messages instead of
	// refusing new ones, so being full is its ordinary state.
	Recycles bool
}

// Percent is how much of the limit is used; 0 without a limit.
func (u Usage) Percent() int {
	if u.Limit <= 0 {
		return 0
	}
	return int(float64(u.Bytes) / float64(u.Limit) * 100)
}

// Warn tells whether somebody should act before the stream refuses.
func (u Usage) Warn() bool { return !u.Recycles && u.Percent() >= WarnPercent }

// UsageOf reports Slipway's streams in the order of their names.
func UsageOf(ctx context.Context, js jetstream.JetStream) ([]Usage, error) {
	infos, err := infosOf(ctx, js)
	if err != nil {
		return nil, err
	}
	var usages []Usage
	for _, cfg := range Topology(1, Limits{}).Streams {
		if info := infos[cfg.Name]; info != nil {
			usages = append(usages, Usage{
				Stream: cfg.Name, Messages: info.State.Msgs, Bytes: info.State.Bytes,
				Limit: info.Config.MaxBytes, Recycles: info.Config.Discard == jetstream.DiscardOld,
			})
		}
	}
	slices.SortFunc(usages, func(a, b Usage) int { return strings.Compare(a.Stream, b.Stream) })
	return usages, nil
}

// Canary writes to disk, for process, and tells whether that got through. A
// full disk answers nothing at all: give ctx a deadline.
func Canary(ctx context.Context, js jetstream.JetStream, process string) error {
	if err := natsconn.Reach(js.Conn()); err != nil {
		return err
	}
	_, err := js.Publish(ctx, prefixCanary+Safe(process), nil, jetstream.WithRetryAttempts(0))
	if err != nil {
		return fmt.Errorf("write to JetStream: %w", err)
	}
	return nil
}
