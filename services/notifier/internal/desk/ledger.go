package desk

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"google.golang.org/protobuf/proto"

	commandv1 "github.com/slipway-hq/slipway/gen/slipway/command/v1"
	"github.com/slipway-hq/slipway/internal/topology"
	"github.com/slipway-hq/slipway/services/notifier/internal/card"
)

// ErrConflict: another desk wrote the key first.
var ErrConflict = errors.New("another notifier wrote the card first")

// Ledger is CARDS: what was posted where. Keys are run id and milestone.
type Ledger interface {
	// Get returns a card and its revision; nil and 0 when there is none.
	Get(ctx context.Context, run, milestone string) (*commandv1.Card, uint64, error)
	// Put stores a card by compare-and-set on the revision, and returns the new
	// one or ErrConflict.
	Put(ctx context.Context, c *commandv1.Card, revision uint64) (uint64, error)
	// Each calls f with the card (not the milestones) of every run, and when it
	// was written.
	Each(ctx context.Context, f func(c *commandv1.Card, at time.Time)) error
	// Undelivered calls f with every message, cards and all others, that Slack
	// would not take, and when it was last written.
	Undelivered(ctx context.Context, f func(c *commandv1.Card, at time.Time)) error
	// Forget removes everything about a run.
	Forget(ctx context.Context, run string) error
}

// bucketLedger keeps the ledger in the bucket CARDS.
type bucketLedger struct {
	js jetstream.JetStream
	kv jetstream.KeyValue
}

// OpenLedger opens the bucket CARDS.
func OpenLedger(ctx context.Context, js jetstream.JetStream) (Ledger, error) {
	kv, err := topology.Cards(ctx, js)
	if err != nil {
		return nil, err
	}
	return &bucketLedger{js: js, kv: kv}, nil
}

func key(run, milestone string) string { return run + "." + milestone }

func (l *bucketLedger) Get(ctx context.Context, run, milestone string) (*commandv1.Card, uint64, error) {
	entry, err := l.kv.Get(ctx, key(run, milestone))
	if errors.Is(err, jetstream.ErrKeyNotFound) {
		return nil, 0, nil
	}
	if err != nil {
		return nil, 0, fmt.Errorf("read card %s of %s: %w", milestone, run, err)
	}
	c := &commandv1.Card{}
	if err := proto.Unmarshal(entry.Value(), c); err != nil {
		return nil, 0, fmt.Errorf("decode card %s of %s: %w", milestone, run, err)
	}
	return c, entry.Revision(), nil
}

func (l *bucketLedger) Put(ctx context.Context, c *commandv1.Card, revision uint64) (uint64, error) {
	data, err := proto.Marshal(c)
	if err != nil {
		return 0, fmt.Errorf("encode card %s of %s: %w", c.GetMilestone(), c.GetRun(), err)
	}
	var next uint64
	if revision == 0 {
		next, err = l.kv.Create(ctx, key(c.GetRun(), c.GetMilestone()), data)
	} else {
		next, err = l.kv.Update(ctx, key(c.GetRun(), c.GetMilestone()), data, revision)
	}
	switch {
	case conflict(err):
		return 0, fmt.Errorf("write card %s of %s: %w", c.GetMilestone(), c.GetRun(), ErrConflict)
	case err != nil:
		return 0, fmt.Errorf("write card %s of %s: %w", c.GetMilestone(), c.GetRun(), err)
	}
	return next, nil
}

// wrongLastSequence is what the server answers to a lost compare-and-set; the
// second code is the same while another write of the key is in flight.
const (
	wrongLastSequence         = 10071
	wrongLastSequenceInFlight = 10164
)

func conflict(err error) bool {
	var api *jetstream.APIError
	if errors.As(err, &api) && (api.ErrorCode == wrongLastSequence || api.ErrorCode == wrongLastSequenceInFlight) {
		return true
	}
	return errors.Is(err, jetstream.ErrKeyExists)
}

func (l *bucketLedger) Each(ctx context.Context, f func(*commandv1.Card, time.Time)) error {
	return l.scan(ctx, "*."+card.NameCard, func(c *commandv1.Card, entry jetstream.KeyValueEntry) {
		if c == nil || c.GetRun() == "" {
			c = &commandv1.Card{Run: strings.TrimSuffix(entry.Key(), "."+card.NameCard)} // looked at, and reported, one by one
		}
		f(c, entry.Created())
	})
}

func (l *bucketLedger) Undelivered(ctx context.Context, f func(*commandv1.Card, time.Time)) error {
	return l.scan(ctx, ">", func(c *commandv1.Card, entry jetstream.KeyValueEntry) {
		if c.GetState() == commandv1.Card_STATE_UNDELIVERED {
			f(c, entry.Created())
		}
	})
}

// scan calls f with every entry whose key fits; nil is one that cannot be read.
func (l *bucketLedger) scan(ctx context.Context, keys string, f func(*commandv1.Card, jetstream.KeyValueEntry)) error {
	watch, err := l.kv.Watch(ctx, keys, jetstream.IgnoreDeletes())
	if err != nil {
		return fmt.Errorf("list the cards: %w", err)
	}
	defer func() { _ = watch.Stop() }() // its consumer is ephemeral
	for {
		select {
		case <-ctx.Done():
			return fmt.Errorf("list the cards: %w", ctx.Err())
		case entry, open := <-watch.Updates():
			if !open {
				return errors.New("list the cards: the connection was lost")
			}
			if entry == nil {
				return nil
			}
			c := &commandv1.Card{}
			if proto.Unmarshal(entry.Value(), c) != nil {
				c = nil
			}
			f(c, entry)
		}
	}
}

// Forget purges the keys: a delete would leave a marker for each.
func (l *bucketLedger) Forget(ctx context.Context, run string) error {
	stream, err := l.js.Stream(ctx, "KV_"+topology.BucketCards)
	if err == nil {
		err = stream.Purge(ctx, jetstream.WithPurgeSubject("$KV."+topology.BucketCards+"."+run+".*"))
	}
	if err != nil {
		return fmt.Errorf("forget the cards of %s: %w", run, err)
	}
	return nil
}
