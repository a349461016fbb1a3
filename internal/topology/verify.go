package topology

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/nats-io/nats.go/jetstream"
)

// Drift is one way in which the server differs from what Slipway relies on.
type Drift struct {
	Where    string // "stream EVENTS"
	Sentence string // "storage is memory, it has to be file"
}

// String is the drift as one sentence.
func (d Drift) String() string { return d.Where + ": " + d.Sentence }

// Verify compares what exists with spec. Sizes are the operator's choice, so
// that they only have to be limited; a memory stream that is absent, or has fewer
// copies because servers are away, is no drift.
func Verify(ctx context.Context, js jetstream.JetStream, spec Spec) ([]Drift, error) {
	if err := CheckServer(ctx, js); err != nil {
		return nil, err
	}
	var drifts []Drift
	missing := map[string]bool{}
	for _, want := range spec.Streams {
		where := "stream " + want.Name
		stream, err := js.Stream(ctx, want.Name)
		switch {
		case errors.Is(err, jetstream.ErrStreamNotFound):
			missing[want.Name] = true
			if !volatile(want) {
				drifts = append(drifts, Drift{where, "it is missing; `slipway bootstrap` creates it"})
			}
		case err != nil:
			return nil, fmt.Errorf("look up the %s: %w", where, err)
		default:
			have := stream.CachedInfo().Config
			if volatile(want) {
				want.Replicas = min(want.Replicas, have.Replicas)
			}
			drifts = append(drifts, compare(where, streamSettings(want), streamSettings(have))...)
		}
	}
	for _, want := range spec.Consumers {
		if missing[want.Stream] {
			continue
		}
		found, err := verifyConsumer(ctx, js, want)
		if err != nil {
			return nil, err
		}
		drifts = append(drifts, found...)
	}
	return drifts, nil
}

func verifyConsumer(ctx context.Context, js jetstream.JetStream, want Consumer) ([]Drift, error) {
	where := "consumer " + want.Config.Durable + " of " + want.Stream
	consumer, err := js.Consumer(ctx, want.Stream, want.Config.Durable)
	switch {
	case errors.Is(err, jetstream.ErrConsumerNotFound) && want.Config.MemoryStorage:
		return nil, nil
	case errors.Is(err, jetstream.ErrConsumerNotFound):
		return []Drift{{where, "it is missing; `slipway bootstrap` creates it"}}, nil
	case err != nil:
		return nil, fmt.Errorf("look up the %s: %w", where, err)
	}
	return compare(where, consumerSettings(want.Config), consumerSettings(consumer.CachedInfo().Config)), nil
}

// setting is one named value, printed for people.
type setting struct{ name, value string }

func set(name string, value any) setting { return setting{name, fmt.Sprint(value)} }

// streamSettings are those that Slipway relies on; every one that could lose or
// alter messages behind its back is among them.
func streamSettings(c jetstream.StreamConfig) []setting {
	subjects := slices.Clone(c.Subjects)
	slices.Sort(subjects)
	return []setting{
		set("the list of subjects", subjects),
		set("storage", c.Storage),
		set("retention", c.Retention),
		set("the policy when full", c.Discard),
		set("having a size limit", c.MaxBytes > 0),
		set("the number of replicas", max(c.Replicas, 1)),
		set("the limit of messages", max(c.MaxMsgs, 0)),
		set("the limit of messages per subject", max(c.MaxMsgsPerSubject, 0)),
		set("the largest message", max(c.MaxMsgSize, 0)),
		set("the greatest age", c.MaxAge),
		set("direct reading", c.AllowDirect),
		set("direct reading from a mirror", c.MirrorDirect),
		set("atomic publishing", c.AllowAtomicPublish),
		set("roll-up", c.AllowRollup),
		set("lifetimes of single messages", c.AllowMsgTTL),
		set("scheduling", c.AllowMsgSchedules),
		set("refusing deletes", c.DenyDelete),
		set("refusing purges", c.DenyPurge),
		set("acknowledging", !c.NoAck),
		set("sealing", c.Sealed),
		set("being a mirror or having sources", c.Mirror != nil || len(c.Sources) > 0),
		set("flushing", c.PersistMode),
	}
}

func consumerSettings(c jetstream.ConsumerConfig) []setting {
	return []setting{
		set("the filter", c.FilterSubject),
		set("the acknowledgement policy", c.AckPolicy),
		set("the delivery policy", c.DeliverPolicy),
		set("the acknowledgement wait", c.AckWait),
		set("the limit of unacknowledged messages", c.MaxAckPending),
		set("the limit of deliveries", max(c.MaxDeliver, 0)),
		set("the pause", c.PauseUntil != nil),
	}
}

func compare(where string, want, have []setting) []Drift {
	var drifts []Drift
	for i, w := range want {
		if have[i].value != w.value {
			drifts = append(drifts, Drift{where, fmt.Sprintf("%s is %s, it has to be %s", w.name, have[i].value, w.value)})
		}
	}
	return drifts
}
