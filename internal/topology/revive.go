package topology

import (
	"context"
	"fmt"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// Leaderless is how long a memory stream may have no leader before it is made
// again: longer than an election takes (4 to 9 s were seen), and so short that
// no runner has given up its steps for want of a lease (20 s) before it is back.
const Leaderless = 10 * time.Second

// Keeper remembers since when a memory stream has no leader. The zero value
// knows of none. One goroutine may use it.
type Keeper struct {
	since map[incarnation]time.Time
}

// incarnation tells a stream from the one that was made again under its name.
type incarnation struct {
	name    string
	created int64
}

// Revive makes memory streams again that have had no leader for longer than
// Leaderless, and returns their names. A server that restarts comes back without
// what it had in memory and may then vote for nobody: with another one away, the
// one copy that is left is no majority until all three are up, although two of
// them can store everything else. What is in these streams is disposable.
func (k *Keeper) Revive(ctx context.Context, js jetstream.JetStream, spec Spec) (made []string, err error) {
	late, err := k.late(ctx, js, spec)
	if err != nil {
		return nil, err
	}
	for _, name := range late {
		if err := js.DeleteStream(ctx, name); err != nil {
			return made, fmt.Errorf("delete the stream %s, which has no leader: %w", name, err)
		}
		made = append(made, name)
	}
	if len(made) == 0 {
		return nil, nil
	}
	return made, EnsureVolatile(ctx, js, spec)
}

// Grow gives memory streams the copies that they lack because too few servers
// were there when they were made, and returns the names of those that it could. It
// is no error that there still are too few.
func Grow(ctx context.Context, js jetstream.JetStream, spec Spec) (grown []string, err error) {
	for _, cfg := range spec.Streams {
		if !volatile(cfg) || cfg.Replicas < 2 {
			continue
		}
		stream, err := js.Stream(ctx, cfg.Name)
		if err != nil {
			return grown, fmt.Errorf("look up the stream %s: %w", cfg.Name, err)
		}
		cfg.MaxBytes = stream.CachedInfo().Config.MaxBytes
		if stream.CachedInfo().Config.Replicas >= cfg.Replicas {
			continue
		}
		if _, err := js.UpdateStream(ctx, cfg); err != nil && !tooFew(err) {
			return grown, fmt.Errorf("copy the stream %s to the other servers: %w", cfg.Name, err)
		} else if err == nil {
			grown = append(grown, cfg.Name)
		}
	}
	return grown, nil
}

// late are the memory streams that have waited for a leader long enough.
func (k *Keeper) late(ctx context.Context, js jetstream.JetStream, spec Spec) (names []string, err error) {
	found, err := infosOf(ctx, js)
	if err != nil {
		return nil, err
	}
	since, now := map[incarnation]time.Time{}, time.Now()
	for _, cfg := range spec.Streams {
		info := found[cfg.Name]
		if info == nil || !volatile(cfg) || info.Cluster == nil || info.Cluster.Leader != "" {
			continue
		}
		this := incarnation{cfg.Name, info.Created.UnixNano()}
		begin, known := k.since[this]
		if !known {
			begin = now
		}
		since[this] = begin
		if now.Sub(begin) >= Leaderless {
			names = append(names, cfg.Name)
		}
	}
	k.since = since
	return names, nil
}
