package lease

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/nats-io/nats.go/jetstream"
	"google.golang.org/protobuf/types/known/timestamppb"

	commandv1 "github.com/slipway-hq/slipway/gen/slipway/command/v1"
	"github.com/slipway-hq/slipway/internal/topology"
)

// releaseTimeout bounds the farewell of a holder that stops.
const releaseTimeout = time.Second

// Office is a role that at most one process holds, as a rule. Two may hold it
// for a moment, when one is frozen: what they do must be safe anyway.
type Office struct {
	bucket *Bucket
	name   string
	key    string
	holder string

	// seen is another's tenure that was found, and when first, by our own clock.
	seen struct {
		sequence uint64
		since    time.Time
	}
}

// Office makes a candidate for the office of this name. holder is for people.
func (b *Bucket) Office(name, holder string) *Office {
	return &Office{bucket: b, name: name, key: keyOffice + topology.Safe(name), holder: holder + "/" + uuid.NewString()[:8]}
}

// Run campaigns for the office and calls serve whenever it holds it. The
// context of serve ends as soon as the office may be somebody else's; serve has
// to return then, and the campaign begins again. Run returns nil when ctx ends,
// and otherwise what serve returned of itself. On return the office is free.
func (o *Office) Run(ctx context.Context, serve func(context.Context) error) error {
	for {
		held, ok := o.campaign(ctx)
		if !ok {
			return nil
		}
		o.bucket.log.Info("office taken", "office", o.name, "holder", o.holder)
		again, err := o.hold(ctx, held, serve)
		if !again {
			return err
		}
		o.bucket.log.Warn("office lost", "office", o.name, "holder", o.holder)
	}
}

// tenure is what a holder knows of its office.
type tenure struct {
	sequence uint64
	until    time.Time // when it may be somebody else's
}

// campaign waits for the office. It is false when ctx ends.
func (o *Office) campaign(ctx context.Context) (tenure, bool) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var changes <-chan jetstream.KeyValueEntry // nil until the watch stands
	tick := time.NewTicker(o.bucket.timing.officeRenew())
	defer tick.Stop()
	for {
		held, err := o.take(ctx)
		switch {
		case err == nil:
			return held, true
		case ctx.Err() != nil:
			return tenure{}, false
		}
		if changes == nil {
			changes = o.watch(ctx)
		}
		if changes = vacancy(ctx, tick.C, changes); ctx.Err() != nil {
			return tenure{}, false
		}
	}
}

// vacancy waits until it is worth looking again: the key is gone, or it is
// time. It returns nil when the watch has ended.
func vacancy(ctx context.Context, tick <-chan time.Time, changes <-chan jetstream.KeyValueEntry) <-chan jetstream.KeyValueEntry {
	for open := changes; ; {
		select {
		case <-ctx.Done():
			return changes
		case <-tick:
			return changes
		case entry, ok := <-open:
			switch {
			case !ok:
				open, changes = nil, nil
			case entry != nil && entry.Operation() != jetstream.KeyValuePut:
				return changes
			}
		}
	}
}

// watch makes the hand-over quick; without it the ticker does it.
func (o *Office) watch(ctx context.Context) <-chan jetstream.KeyValueEntry {
	kv, err := o.bucket.open(ctx)
	if err != nil {
		return nil
	}
	watcher, err := kv.Watch(ctx, o.key, jetstream.UpdatesOnly())
	if err != nil {
		return nil
	}
	return watcher.Updates()
}

// take takes the office when it is vacant, or finds that it is ours already.
func (o *Office) take(ctx context.Context) (tenure, error) {
	ctx, cancel := context.WithTimeout(ctx, o.bucket.timing.OfficeTTL)
	defer cancel()
	now, err := o.bucket.last(ctx, o.key)
	if err != nil {
		return tenure{}, err
	}
	if now.value != nil && now.value.GetHolder() != o.holder && !o.expired(now.sequence) {
		return tenure{}, errTaken
	}
	return o.renew(ctx, now.sequence)
}

// expired tells whether another's tenure has not been renewed for as long as its
// holder trusts it, and longer. The TTL of the key alone would not do: the server
// lets it run by its wall clock, and one that was ahead keeps it for that long.
func (o *Office) expired(sequence uint64) bool {
	if o.seen.sequence != sequence {
		o.seen.sequence, o.seen.since = sequence, time.Now()
	}
	return time.Since(o.seen.since) >= o.bucket.timing.OfficeTTL
}

func (o *Office) renew(ctx context.Context, expect uint64) (tenure, error) {
	began := time.Now()
	value, err := encode(&commandv1.Lease{Holder: o.holder, Renewed: timestamppb.Now()})
	if err != nil {
		return tenure{}, err
	}
	sequence, err := o.bucket.put(ctx, o.key, value, expect, o.bucket.timing.OfficeTTL)
	if err != nil {
		return tenure{}, err
	}
	return tenure{sequence: sequence, until: began.Add(o.bucket.timing.officeHold())}, nil
}

// hold runs serve while the office is held. again: it was lost meanwhile.
func (o *Office) hold(ctx context.Context, held tenure, serve func(context.Context) error) (again bool, err error) {
	serving, cancel := context.WithCancel(ctx)
	defer cancel()
	done := make(chan error, 1)
	go func() { done <- serve(serving) }()
	tick := time.NewTicker(o.bucket.timing.officeRenew())
	defer tick.Stop()
	for {
		select {
		case err := <-done:
			o.release(ctx, held)
			return false, unlessCancelled(ctx, err)
		case <-ctx.Done():
			err := <-done
			o.release(ctx, held)
			return false, unlessCancelled(ctx, err)
		case <-tick.C:
			next, lost := o.extend(ctx, held)
			if !lost {
				held = next
				continue
			}
			cancel()
			if err := <-done; err != nil && !errors.Is(err, context.Canceled) {
				return false, fmt.Errorf("serve the office %s: %w", o.name, err)
			}
			return ctx.Err() == nil, nil
		}
	}
}

// extend renews, as long as the tenure lasts. A refusal may be due to our own
// renewal before, whose answer got lost: then the office is still ours.
func (o *Office) extend(ctx context.Context, held tenure) (next tenure, lost bool) {
	within, cancel := context.WithDeadline(ctx, held.until)
	defer cancel()
	next, err := o.renew(within, held.sequence)
	if err != nil {
		next, err = o.take(within)
	}
	switch {
	case err == nil:
		return next, false
	case errors.Is(err, errTaken):
		return tenure{}, true
	default:
		return held, !time.Now().Before(held.until)
	}
}

// release hands the office over at once; failing that, its TTL does.
func (o *Office) release(ctx context.Context, held tenure) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), releaseTimeout)
	defer cancel()
	if err := o.bucket.release(ctx, o.key, o.holder, held.sequence); err != nil {
		o.bucket.log.Debug("office not released", "office", o.name, "error", err)
	}
}

// unlessCancelled drops the error by which serve reports that ctx ended.
func unlessCancelled(ctx context.Context, err error) error {
	if ctx.Err() != nil && errors.Is(err, ctx.Err()) {
		return nil
	}
	return err
}
