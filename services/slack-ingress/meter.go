package ingress

import (
	"context"
	"fmt"
	"time"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/trace"

	commandv1 "github.com/slipway-hq/slipway/gen/slipway/command/v1"
	"github.com/slipway-hq/slipway/internal/telemetry"
)

const scope = "github.com/slipway-hq/slipway/services/slack-ingress"

// ackBuckets, in seconds: fine where an idle store answers, and with an edge at
// Slack's three seconds.
var ackBuckets = []float64{.001, .002, .003, .005, .01, .025, .05, .1, .25, .5, 1, 1.5, 2, 2.5, 3}

type meter struct {
	requests, replies, deliveries metric.Int64Counter
	ack, took                     metric.Float64Histogram
}

func (s *Service) observe(deps Deps) error {
	tracers, meters := deps.Tracer, deps.Meter
	if tracers == nil {
		tracers = otel.GetTracerProvider()
	}
	if meters == nil {
		meters = otel.GetMeterProvider()
	}
	s.tracer = tracers.Tracer(scope)
	m := meters.Meter(scope)
	var err error
	if s.meter.requests, err = m.Int64Counter("slipway.slack.requests", metric.WithDescription("Requests from Slack by kind and outcome.")); err != nil {
		return fmt.Errorf("make an instrument: %w", err)
	}
	if s.meter.replies, err = m.Int64Counter("slipway.slack.replies", metric.WithDescription("Answers outside of an acknowledgement, by outcome.")); err != nil {
		return fmt.Errorf("make an instrument: %w", err)
	}
	s.meter.ack, err = m.Float64Histogram("slipway.slack.ack", metric.WithUnit("s"),
		metric.WithDescription("Time from receiving a request to acknowledging it."), metric.WithExplicitBucketBoundaries(ackBuckets...))
	if err != nil {
		return fmt.Errorf("make an instrument: %w", err)
	}
	if s.meter.deliveries, err = m.Int64Counter("slipway.webhook.deliveries", metric.WithDescription("Deliveries of webhooks and of jobs that speak, by kind and outcome.")); err != nil {
		return fmt.Errorf("make an instrument: %w", err)
	}
	s.meter.took, err = m.Float64Histogram("slipway.webhook.took", metric.WithUnit("s"),
		metric.WithDescription("Time from a delivery's headers to its answer."), metric.WithExplicitBucketBoundaries(ackBuckets...))
	if err != nil {
		return fmt.Errorf("make an instrument: %w", err)
	}
	return nil
}

// hook counts a delivery. Who sent it is no label: unknown senders would be.
func (m meter) hook(ctx context.Context, kind, outcome string, took time.Duration) {
	m.deliveries.Add(ctx, 1, metric.WithAttributes(attribute.String("kind", kind), attribute.String("outcome", outcome)))
	m.took.Record(ctx, took.Seconds(), metric.WithAttributes(attribute.String("kind", kind)))
}

func (m meter) request(ctx context.Context, kind, outcome string, took time.Duration) {
	attrs := metric.WithAttributes(attribute.String("kind", kind), attribute.String("outcome", outcome))
	m.requests.Add(ctx, 1, attrs)
	m.ack.Record(ctx, took.Seconds(), metric.WithAttributes(attribute.String("kind", kind)))
}

func (m meter) reply(outcome string) {
	m.replies.Add(context.Background(), 1, metric.WithAttributes(attribute.String("outcome", outcome)))
}

// traced puts the span of ctx into the envelope, so that all that follows from
// the request is one trace.
func traced(ctx context.Context, env *commandv1.Envelope) {
	env.Trace = telemetry.Inject(ctx)
}

// begin starts the root span of a request. What Slack's side sends as trace
// context is not believed: it would be the first thing to be forged.
func (s *Service) begin(ctx context.Context, door string) (context.Context, trace.Span) {
	return s.tracer.Start(ctx, "slack.request", trace.WithNewRoot(), trace.WithSpanKind(trace.SpanKindServer),
		trace.WithAttributes(attribute.String("slipway.door", door)))
}
