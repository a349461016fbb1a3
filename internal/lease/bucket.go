package lease

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"google.golang.org/protobuf/proto"

	commandv1 "github.com/slipway-hq/slipway/gen/slipway/command/v1"
	"github.com/slipway-hq/slipway/internal/natsconn"
	"github.com/slipway-hq/slipway/internal/topology"
)

const (
	keyRunner = "runner."
	keyOffice = "office."

	headerExpect = "Nats-Expected-Last-Subject-Sequence"
	headerTTL    = "Nats-TTL"
	headerKVOp   = "KV-Operation"
	opDelete     = "DEL"

	// releaseTTL is how long the mark of a released key stays: longer than a
	// watcher takes to reconnect, short enough that marks do not pile up.
	releaseTTL = time.Minute
)

// errTaken: the key does not have the expected sequence, or is being written.
var errTaken = errors.New("the key was written by somebody else")

// Bucket is the bucket LEASES. It re-creates the bucket when a single server
// has forgotten it.
type Bucket struct {
	js       jetstream.JetStream
	replicas int
	timing   Timing
	log      *slog.Logger
}

// NewBucket uses the bucket through js. replicas is topology.Replicas.
func NewBucket(js jetstream.JetStream, replicas int, timing Timing, log *slog.Logger) *Bucket {
	return &Bucket{js: js, replicas: replicas, timing: timing, log: log}
}

// List returns the live leases of runners as the bucket has them now.
func (b *Bucket) List(ctx context.Context) ([]*commandv1.Lease, error) {
	kv, err := b.open(ctx)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	watcher, err := kv.Watch(ctx, keyRunner+">", jetstream.IgnoreDeletes())
	if err != nil {
		return nil, fmt.Errorf("list leases: %w", err)
	}
	var leases []*commandv1.Lease
	for {
		select {
		case <-ctx.Done():
			return nil, fmt.Errorf("list leases: %w", ctx.Err())
		case entry, ok := <-watcher.Updates():
			if !ok {
				return nil, errors.New("list leases: the watch ended")
			}
			if entry == nil {
				return leases, nil
			}
			if value, err := decode(entry.Value()); err == nil {
				leases = append(leases, value)
			}
		}
	}
}

// open returns the bucket, after creating it when it is absent.
func (b *Bucket) open(ctx context.Context) (jetstream.KeyValue, error) {
	kv, err := topology.Leases(ctx, b.js)
	if !errors.Is(err, jetstream.ErrBucketNotFound) {
		return kv, err
	}
	if err := topology.EnsureLeases(ctx, b.js, b.replicas); err != nil {
		return nil, err
	}
	return topology.Leases(ctx, b.js)
}

// put writes key when its last sequence is expect, to vanish after ttl.
func (b *Bucket) put(ctx context.Context, key string, value []byte, expect uint64, ttl time.Duration) (uint64, error) {
	msg := nats.NewMsg(topology.LeaseSubject(key))
	msg.Data = value
	return b.publish(ctx, msg, expect, ttl)
}

// release marks key as given up, for watchers to see, when holder has it.
// sequence is what the holder believes; a renewal whose answer was lost may
// have moved it.
func (b *Bucket) release(ctx context.Context, key, holder string, sequence uint64) error {
	err := b.mark(ctx, key, sequence)
	if !errors.Is(err, errTaken) {
		return err
	}
	now, err := b.last(ctx, key)
	if err != nil || now.value.GetHolder() != holder {
		return err
	}
	return b.mark(ctx, key, now.sequence)
}

func (b *Bucket) mark(ctx context.Context, key string, expect uint64) error {
	msg := nats.NewMsg(topology.LeaseSubject(key))
	msg.Header.Set(headerKVOp, opDelete)
	_, err := b.publish(ctx, msg, expect, releaseTTL)
	return err
}

func (b *Bucket) publish(ctx context.Context, msg *nats.Msg, expect uint64, ttl time.Duration) (uint64, error) {
	msg.Header.Set(headerExpect, fmt.Sprint(expect))
	msg.Header.Set(headerTTL, ttl.String())
	ctx, stop := natsconn.Until(ctx, b.js.Conn(), msg.Subject)
	defer stop()
	ack, err := b.js.PublishMsg(ctx, msg, jetstream.WithRetryAttempts(0))
	var api *jetstream.APIError
	switch {
	case err == nil:
		return ack.Sequence, nil
	case errors.As(err, &api) && (api.ErrorCode == jetstream.JSErrCodeStreamWrongLastSequence || api.ErrorCode == jetstream.JSErrCodeStreamWrongLastSequenceConstant):
		return 0, errTaken
	default:
		return 0, natsconn.Why(ctx, err)
	}
}

// entry is what a key holds now.
type entry struct {
	sequence uint64 // 0: nothing was ever there
	value    *commandv1.Lease
}

// last reads what key holds, live or not, and creates the bucket when it is
// absent. It may be late; a put that relies on it is then refused.
func (b *Bucket) last(ctx context.Context, key string) (entry, error) {
	stream, err := b.js.Stream(ctx, "KV_"+topology.BucketLeases)
	if errors.Is(err, jetstream.ErrStreamNotFound) {
		return entry{}, topology.EnsureLeases(ctx, b.js, b.replicas)
	}
	if err != nil {
		return entry{}, err
	}
	msg, err := stream.GetLastMsgForSubject(ctx, topology.LeaseSubject(key))
	switch {
	case errors.Is(err, jetstream.ErrMsgNotFound):
		return entry{}, nil
	case err != nil:
		return entry{}, err
	case msg.Header.Get(headerKVOp) != "" || msg.Header.Get(jetstream.MarkerReasonHeader) != "":
		return entry{sequence: msg.Sequence}, nil
	}
	value, err := decode(msg.Data)
	return entry{sequence: msg.Sequence, value: value}, err
}

func decode(data []byte) (*commandv1.Lease, error) {
	value := &commandv1.Lease{}
	if err := proto.Unmarshal(data, value); err != nil {
		return nil, fmt.Errorf("decode a lease: %w", err)
	}
	return value, nil
}

func encode(value *commandv1.Lease) ([]byte, error) {
	data, err := proto.Marshal(value)
	if err != nil {
		return nil, fmt.Errorf("encode a lease: %w", err)
	}
	return data, nil
}
