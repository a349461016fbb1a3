package topology

import (
	"context"
	"fmt"

	"github.com/nats-io/nats.go/jetstream"
)

// Leases opens the bucket of leases; jetstream.ErrBucketNotFound when a single
// server has forgotten it (EnsureLeases).
func Leases(ctx context.Context, js jetstream.JetStream) (jetstream.KeyValue, error) {
	return openBucket(ctx, js, BucketLeases)
}

// Cards opens the bucket of cards.
func Cards(ctx context.Context, js jetstream.JetStream) (jetstream.KeyValue, error) {
	return openBucket(ctx, js, BucketCards)
}

// Objects opens the object store.
func Objects(ctx context.Context, js jetstream.JetStream) (jetstream.ObjectStore, error) {
	store, err := js.ObjectStore(ctx, BucketObjects)
	if err != nil {
		return nil, fmt.Errorf("open the object store: %w", err)
	}
	return store, nil
}

func openBucket(ctx context.Context, js jetstream.JetStream, name string) (jetstream.KeyValue, error) {
	kv, err := js.KeyValue(ctx, name)
	if err != nil {
		return nil, fmt.Errorf("open the bucket %s: %w", name, err)
	}
	return kv, nil
}

// InboxHandled returns the sequence up to which every request is handled, and
// how many above it were delivered and not acknowledged yet.
func InboxHandled(ctx context.Context, js jetstream.JetStream) (handled uint64, open int, err error) {
	consumer, err := js.Consumer(ctx, StreamInbox, ConsumerIntake)
	if err != nil {
		return 0, 0, fmt.Errorf("look up the consumer %s: %w", ConsumerIntake, err)
	}
	info := consumer.CachedInfo()
	return info.AckFloor.Stream, info.NumAckPending, nil
}

// InboxStalled is how long no request may stay unacknowledged before the consumer
// is not trusted to deliver it again: three times as long as it should take.
const InboxStalled = 3 * intakeAckWait

// RedeliverInbox lets every request above the last handled one be delivered
// again, whatever the consumer remembers of it.
func RedeliverInbox(ctx context.Context, js jetstream.JetStream) error {
	if _, err := js.ResetConsumer(ctx, StreamInbox, ConsumerIntake); err != nil {
		return fmt.Errorf("reset the consumer %s: %w", ConsumerIntake, err)
	}
	return nil
}

// PurgeInbox removes the requests up to and including the sequence handled. A
// janitor passes what InboxHandled told one DedupeWindow ago: younger messages
// are still needed to recognise repeats after a restart of the server.
func PurgeInbox(ctx context.Context, js jetstream.JetStream, handled uint64) error {
	if handled == 0 {
		return nil
	}
	stream, err := js.Stream(ctx, StreamInbox)
	if err != nil {
		return fmt.Errorf("look up the stream %s: %w", StreamInbox, err)
	}
	if err := stream.Purge(ctx, jetstream.WithPurgeSequence(handled+1)); err != nil {
		return fmt.Errorf("purge the stream %s: %w", StreamInbox, err)
	}
	return nil
}
