package inbox

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	mathrand "math/rand/v2"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"google.golang.org/protobuf/proto"

	commandv1 "github.com/slipway-hq/slipway/gen/slipway/command/v1"
	"github.com/slipway-hq/slipway/internal/natsconn"
	"github.com/slipway-hq/slipway/internal/topology"
)

const (
	// blips of leadership pass in milliseconds; longer ones are answered.
	publishRetries   = 2
	publishRetryWait = 60 * time.Millisecond
	// conflictWait is the longest pause before a publish is repeated that met
	// its own twin, which another replica of ours has in flight (P2).
	conflictWait = 40 * time.Millisecond
	// codeTwinInFlight is JetStream's "duplicate message id is in process".
	codeTwinInFlight = 10158
	nonceBytes       = 16
)

// refusals are the answers of JetStream that prove that it kept nothing:
// insufficient resources, storage exceeded, message too large, stream full.
var refusals = map[jetstream.ErrorCode]bool{10023: true, 10047: true, 10054: true, 10077: true}

var (
	// ErrRefused says that the request was certainly not stored.
	ErrRefused = errors.New("request not stored")
	// ErrUnknown says that the request may or may not be stored.
	ErrUnknown = errors.New("storing of unknown outcome")
	// ErrNobody says that nobody answered a query.
	ErrNobody = errors.New("nobody answers queries")
)

// Inbox stores requests and collects first answers. Its methods may be called
// from any goroutine.
type Inbox struct {
	nc *nats.Conn
	js jetstream.JetStream
	id string // names this process in answer subjects

	mu      sync.Mutex
	flights flights
	sub     *nats.Subscription
}

// New prepares an Inbox on a connection that stays the caller's.
func New(nc *nats.Conn) (*Inbox, error) {
	js, err := jetstream.New(nc)
	if err != nil {
		return nil, fmt.Errorf("use JetStream: %w", err)
	}
	return &Inbox{nc: nc, js: js, id: nonce(), flights: newFlights()}, nil
}

// Start begins to listen for answers; Stop ends it.
func (b *Inbox) Start() error {
	sub, err := b.nc.Subscribe(topology.AnswerSubject(b.id, "*"), b.receive)
	if err != nil {
		return fmt.Errorf("listen for answers: %w", err)
	}
	b.sub = sub
	return nil
}

// Stop ends listening. Answers that come later are lost, not their requests.
func (b *Inbox) Stop() {
	if b.sub != nil {
		_ = b.sub.Unsubscribe() // the connection may be gone already
	}
}

// Ready tells whether INBOX can be reached.
func (b *Inbox) Ready(ctx context.Context) error {
	if !b.nc.IsConnected() {
		return errors.New("no connection to NATS")
	}
	if _, err := b.js.Stream(ctx, topology.StreamInbox); err != nil {
		return fmt.Errorf("reach the stream %s: %w", topology.StreamInbox, err)
	}
	return nil
}

// Submit stores env under a kind and returns when it is durable. Submitting
// one identity several times at once stores it once and gives all the same
// outcome. The error wraps ErrRefused or ErrUnknown; with the latter, the
// ticket still hears of a late answer.
func (b *Inbox) Submit(ctx context.Context, kind string, env *commandv1.Envelope) (*Ticket, error) {
	flight, first := b.join(env.GetIdentity())
	ticket := &Ticket{inbox: b, flight: flight, First: first}
	if first {
		duplicate, err := b.store(ctx, kind, env, flight.nonce)
		b.settle(flight, duplicate, err)
	}
	select {
	case <-flight.stored:
		ticket.First = first && !flight.duplicate
		return ticket, flight.err
	case <-ctx.Done():
		return ticket, fmt.Errorf("wait for the twin of a request: %w: %w", ErrUnknown, ctx.Err())
	}
}

func (b *Inbox) store(ctx context.Context, kind string, env *commandv1.Envelope, nonce string) (duplicate bool, err error) {
	data, err := proto.Marshal(env)
	if err != nil {
		return false, fmt.Errorf("encode a request: %w: %w", ErrRefused, err)
	}
	if len(data) > topology.MaxRequest {
		return false, fmt.Errorf("a request of %d bytes: %w", len(data), ErrRefused)
	}
	if !b.nc.IsConnected() {
		return false, fmt.Errorf("no connection to NATS: %w", ErrRefused)
	}
	msg := nats.NewMsg(topology.InboxSubject(kind, env.GetOrigin().GetTeam()))
	msg.Data = data
	msg.Header.Set(topology.HeaderAnswer, topology.AnswerSubject(b.id, nonce))
	return b.publish(ctx, msg, topology.Token(env.GetIdentity()))
}

// publish repeats only what has certainly not happened, or what the Msg-Id
// makes harmless.
func (b *Inbox) publish(ctx context.Context, msg *nats.Msg, id string) (bool, error) {
	ctx, stop := natsconn.Until(ctx, b.nc, msg.Subject)
	defer stop()
	for {
		ack, err := b.js.PublishMsg(ctx, msg, jetstream.WithMsgID(id), jetstream.WithRetryAttempts(publishRetries), jetstream.WithRetryWait(publishRetryWait))
		if err == nil {
			return ack.Duplicate, nil
		}
		err = natsconn.Why(ctx, err)
		if code(err) != codeTwinInFlight {
			return false, fmt.Errorf("publish to %s: %w: %w", msg.Subject, certainty(err), err)
		}
		select {
		case <-time.After(time.Duration(mathrand.Int64N(int64(conflictWait)))): //nolint:gosec // jitter is no secret
		case <-ctx.Done():
			return false, fmt.Errorf("publish to %s: %w: %w", msg.Subject, ErrUnknown, ctx.Err())
		}
	}
}

// certainty tells a refusal from an unknown outcome: when nobody listened,
// nothing was sent, or JetStream itself said no, the request is not there and
// will not appear.
func certainty(err error) error {
	switch {
	case errors.Is(err, natsconn.ErrRefused), errors.Is(err, jetstream.ErrNoStreamResponse), errors.Is(err, nats.ErrReconnectBufExceeded), refusals[code(err)]:
		return ErrRefused
	default:
		return ErrUnknown
	}
}

func code(err error) jetstream.ErrorCode {
	var api *jetstream.APIError
	if errors.As(err, &api) {
		return api.ErrorCode
	}
	return 0
}

// Ask sends a query and waits for its answer as long as ctx lasts. The error
// wraps ErrNobody.
func (b *Inbox) Ask(ctx context.Context, env *commandv1.Envelope) (*commandv1.Answer, error) {
	data, err := proto.Marshal(env)
	if err != nil {
		return nil, fmt.Errorf("encode a query: %w: %w", ErrNobody, err)
	}
	ctx, stop := natsconn.Until(ctx, b.nc, topology.SubjectQuery)
	defer stop()
	msg, err := b.nc.RequestWithContext(ctx, topology.SubjectQuery, data)
	if err = natsconn.Why(ctx, err); err != nil {
		return nil, fmt.Errorf("request %s: %w: %w", topology.SubjectQuery, ErrNobody, err)
	}
	answer := &commandv1.Answer{}
	if err := proto.Unmarshal(msg.Data, answer); err != nil {
		return nil, fmt.Errorf("decode an answer: %w: %w", ErrNobody, err)
	}
	return answer, nil
}

func nonce() string {
	b := make([]byte, nonceBytes)
	_, _ = rand.Read(b) // never fails, by its documentation
	return hex.EncodeToString(b)
}
