package orchestrator

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/trace"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	commandv1 "github.com/slipway-hq/slipway/gen/slipway/command/v1"
	"github.com/slipway-hq/slipway/internal/eventlog"
	"github.com/slipway-hq/slipway/internal/telemetry"
	"github.com/slipway-hq/slipway/internal/topology"
)

const (
	// intakeWorkers bounds the requests decided at once in one replica.
	intakeWorkers = 32
	// intakeBatch is how many requests one pull may bring.
	intakeBatch = 64
	// intakeHeartbeat is how often an idle server says that the pull still stands.
	// Killed, it says nothing: twice this later, and not the library's 30 s, a
	// new pull goes to its successor.
	intakeHeartbeat = time.Second
	// decideWait bounds one decision; the message comes again after it.
	decideWait = 8 * time.Second
	// againAfter is the pause before a request that met a failure is delivered
	// again.
	againAfter = time.Second
)

// intake takes requests out of INBOX. All replicas compete; each request is
// acknowledged only after what it caused is in the log.
type intake struct {
	conn    *nats.Conn
	js      jetstream.JetStream
	clerk   *clerk
	logger  *slog.Logger
	metrics *metrics
}

// run consumes until ctx ends, and finishes what it has begun.
func (i *intake) run(ctx context.Context) error {
	for {
		err := i.consume(ctx)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		i.logger.Warn("intake interrupted, it goes on", "error", err)
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(againAfter):
		}
	}
}

func (i *intake) consume(ctx context.Context) error {
	consumer, err := i.js.Consumer(ctx, topology.StreamInbox, topology.ConsumerIntake)
	if err != nil {
		return err
	}
	messages, err := consumer.Messages(jetstream.PullMaxMessages(intakeBatch), jetstream.PullHeartbeat(intakeHeartbeat))
	if err != nil {
		return err
	}
	stop := context.AfterFunc(ctx, messages.Drain)
	defer stop()
	defer messages.Stop()
	var wg sync.WaitGroup
	defer wg.Wait()
	workers := make(chan struct{}, intakeWorkers)
	for {
		m, err := messages.Next()
		if err != nil {
			return err
		}
		workers <- struct{}{}
		wg.Go(func() {
			defer func() { <-workers }()
			i.handle(context.WithoutCancel(ctx), m)
		})
	}
}

func (i *intake) handle(ctx context.Context, m jetstream.Msg) {
	ctx, cancel := context.WithTimeout(ctx, decideWait)
	defer cancel()
	defer i.survive(ctx, m)
	envelope := &commandv1.Envelope{}
	if err := proto.Unmarshal(m.Data(), envelope); err != nil || envelope.GetIdentity() == "" {
		i.bury(ctx, m, "undecodable")
		return
	}
	ctx, span := tracer.Start(telemetry.Extract(ctx, envelope.GetTrace()), "orchestrator.intake", trace.WithSpanKind(trace.SpanKindConsumer))
	defer span.End()
	answer, err := i.clerk.command(ctx, envelope)
	if transient(err) {
		i.again(ctx, m, err)
		return
	}
	i.metrics.request(answer.GetCode()) //nolint:contextcheck // a counter does not wait
	i.say(m, answer)
	if err != nil {
		i.logger.Error("request not handled", "error", err)
		i.bury(ctx, m, "failed")
		return
	}
	if err := m.Ack(); err != nil {
		i.logger.Warn("request not acknowledged, it will come again and change nothing", "error", err)
	}
}

// survive keeps one request that makes us panic from stopping all others: it
// comes again, and after MaxAttempts it is put away for an operator.
func (i *intake) survive(ctx context.Context, m jetstream.Msg) {
	cause := recover()
	if cause == nil {
		return
	}
	i.logger.Error("a request made the intake panic", "subject", m.Subject(), "cause", fmt.Sprint(cause), "stack", string(debug.Stack()))
	if meta, err := m.Metadata(); err == nil && meta.NumDelivered < topology.MaxAttempts {
		i.again(ctx, m, errPanic)
		return
	}
	i.bury(ctx, m, "panic")
}

// errPanic stands for a panic in a log line.
var errPanic = errors.New("it made the intake panic")

// transient failures are the log's; the request stays in INBOX.
func transient(err error) bool {
	return errors.Is(err, eventlog.ErrUnknown) || errors.Is(err, eventlog.ErrUnavailable) || errors.Is(err, eventlog.ErrConflict) ||
		errors.Is(err, eventlog.ErrFull) || errors.Is(err, context.DeadlineExceeded) || errors.Is(err, nats.ErrConnectionClosed)
}

// again leaves the request for later. Only a full store is told at once: the
// person must know, and the request waits for room.
func (i *intake) again(ctx context.Context, m jetstream.Msg, cause error) {
	i.logger.Warn("request not decided yet, it stays in the inbox", "error", cause)
	if errors.Is(cause, eventlog.ErrFull) {
		i.say(m, private("E-LOG-FULL", "Your request is stored, but the log is full, so it cannot start. It starts by itself when an operator has made room (`slipway doctor`)."))
	}
	if err := m.NakWithDelay(againAfter); err != nil && ctx.Err() == nil {
		i.logger.Warn("request not given back, it comes again by itself", "error", err)
	}
}

// say publishes the first answer, if anybody waits for it.
func (i *intake) say(m jetstream.Msg, answer *commandv1.Answer) {
	subject := m.Headers().Get(topology.HeaderAnswer)
	if subject == "" || answer == nil {
		return
	}
	data, err := proto.Marshal(answer)
	if err == nil {
		err = i.conn.Publish(subject, data)
	}
	if err != nil {
		i.logger.Warn("first answer not sent", "error", err)
	}
}

// bury puts a message that cannot be handled into DEAD, then lets go of it.
func (i *intake) bury(ctx context.Context, m jetstream.Msg, reason string) {
	dead, err := proto.Marshal(&commandv1.Dead{Service: "orchestrator", Reason: reason, Subject: m.Subject(), Data: m.Data(), Time: timestamppb.Now()})
	if err == nil {
		_, err = i.js.Publish(ctx, topology.DeadSubject("orchestrator", reason), dead)
	}
	if err != nil {
		i.logger.Error("dead letter not stored, the message stays", "reason", reason, "error", err)
		return
	}
	i.logger.Error("message put into DEAD, see slipway dead list", "reason", reason, "subject", m.Subject())
	if err := m.Ack(); err != nil {
		i.logger.Warn("dead letter not acknowledged", "error", err)
	}
}

// queries answers rpc.query until ctx ends.
func (i *intake) queries(ctx context.Context) error {
	workers := make(chan struct{}, intakeWorkers)
	sub, err := i.conn.QueueSubscribe(topology.SubjectQuery, "orchestrator", func(m *nats.Msg) {
		select {
		case workers <- struct{}{}:
		case <-ctx.Done():
			return
		}
		go func() {
			defer func() { <-workers }()
			i.query(ctx, m)
		}()
	})
	if err != nil {
		return err
	}
	<-ctx.Done()
	return errors.Join(ctx.Err(), sub.Drain())
}

func (i *intake) query(ctx context.Context, m *nats.Msg) {
	defer func() {
		if cause := recover(); cause != nil {
			i.logger.Error("a query made the intake panic", "cause", fmt.Sprint(cause), "stack", string(debug.Stack()))
		}
	}()
	envelope := &commandv1.Envelope{}
	if err := proto.Unmarshal(m.Data, envelope); err != nil {
		i.logger.Warn("undecodable query dropped", "error", err)
		return
	}
	ctx, cancel := context.WithTimeout(telemetry.Extract(ctx, envelope.GetTrace()), decideWait)
	defer cancel()
	ctx, span := tracer.Start(ctx, "orchestrator.query", trace.WithSpanKind(trace.SpanKindServer))
	defer span.End()
	data, err := proto.Marshal(i.clerk.query(ctx, envelope))
	if err == nil {
		err = m.Respond(data)
	}
	if err != nil {
		i.logger.Warn("query not answered", "error", err)
	}
}

var tracer = otel.Tracer("github.com/slipway-hq/slipway/services/orchestrator")
