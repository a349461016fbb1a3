package topology

import (
	"context"
	"errors"
	"fmt"

	"github.com/nats-io/nats.go/jetstream"
)

// Ensure creates what is missing. What exists stays as it is: Verify tells
// whether that is right. It refuses a server that is too old (ErrServerTooOld).
func Ensure(ctx context.Context, js jetstream.JetStream, spec Spec) error {
	if err := CheckServer(ctx, js); err != nil {
		return err
	}
	return spec.create(ctx, js, func(jetstream.StreamConfig) bool { return true })
}

// EnsureVolatile creates the memory streams, and their consumers, that a single
// server forgets when it restarts. It costs one round trip for each and changes
// nothing when all is there, so it may be called often and by everybody.
func EnsureVolatile(ctx context.Context, js jetstream.JetStream, spec Spec) error {
	return spec.create(ctx, js, volatile)
}

// EnsurePool creates the consumer of a pool, and WORK itself when it is absent.
func EnsurePool(ctx context.Context, js jetstream.JetStream, replicas int, pool string) error {
	stream := work()
	stream.Replicas = replicas
	spec := Spec{Streams: []jetstream.StreamConfig{stream}, Consumers: []Consumer{{Stream: StreamWork, Config: poolConsumer(pool)}}}
	return EnsureVolatile(ctx, js, spec)
}

// EnsureLeases creates the bucket of leases when it is absent.
func EnsureLeases(ctx context.Context, js jetstream.JetStream, replicas int) error {
	cfg := leases()
	cfg.Replicas = replicas
	return EnsureVolatile(ctx, js, Spec{Streams: []jetstream.StreamConfig{cfg}})
}

func (s Spec) create(ctx context.Context, js jetstream.JetStream, wanted func(jetstream.StreamConfig) bool) error {
	chosen := map[string]bool{}
	for _, cfg := range s.Streams {
		if chosen[cfg.Name] = wanted(cfg); !chosen[cfg.Name] {
			continue
		}
		if err := createStream(ctx, js, cfg); err != nil {
			return fmt.Errorf("create the stream %s: %w", cfg.Name, err)
		}
	}
	for _, consumer := range s.Consumers {
		if !chosen[consumer.Stream] {
			continue
		}
		if err := createConsumer(ctx, js, consumer); err != nil {
			return fmt.Errorf("create the consumer %s of %s: %w", consumer.Config.Durable, consumer.Stream, err)
		}
	}
	return nil
}

// createConsumer looks first: most services may not create what they need, which
// is bootstrap's right. Another process may create the same one meanwhile.
func createConsumer(ctx context.Context, js jetstream.JetStream, consumer Consumer) error {
	_, err := js.Consumer(ctx, consumer.Stream, consumer.Config.Durable)
	if !errors.Is(err, jetstream.ErrConsumerNotFound) {
		return err
	}
	_, err = js.CreateConsumer(ctx, consumer.Stream, consumer.Config)
	if errors.Is(err, jetstream.ErrConsumerExists) {
		return nil
	}
	return err
}

// createStream looks first: the server counts the reservation of a stream that
// exists a second time and would refuse for lack of room. Another process may
// create the same one meanwhile.
func createStream(ctx context.Context, js jetstream.JetStream, cfg jetstream.StreamConfig) error {
	_, err := js.Stream(ctx, cfg.Name)
	if !errors.Is(err, jetstream.ErrStreamNotFound) {
		return err
	}
	created := placeStream(ctx, js, cfg)
	if created == nil {
		return nil
	}
	if _, err := js.Stream(ctx, cfg.Name); err != nil {
		return created
	}
	return nil
}

// noPeers refuses a stream of more copies than servers are known to be there.
const noPeers jetstream.ErrorCode = 10005

// placeStream creates a stream. One in memory has a single copy where there are
// too few servers for all: what is in it is disposable, and Grow sees to the rest.
func placeStream(ctx context.Context, js jetstream.JetStream, cfg jetstream.StreamConfig) error {
	_, err := js.CreateStream(ctx, cfg)
	if volatile(cfg) && cfg.Replicas > 1 && tooFew(err) {
		cfg.Replicas = 1
		_, err = js.CreateStream(ctx, cfg)
	}
	return err
}

func tooFew(err error) bool {
	var api *jetstream.APIError
	return errors.As(err, &api) && api.ErrorCode == noPeers
}
