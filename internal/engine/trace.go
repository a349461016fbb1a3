package engine

import (
	"context"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/propagation"

	eventv1 "github.com/slipway-hq/slipway/gen/slipway/event/v1"
)

// traceOf returns the trace context of ctx as a commit carries it; nil when
// there is none. The global propagator decides the format (W3C).
func traceOf(ctx context.Context) map[string]string {
	carrier := propagation.MapCarrier{}
	otel.GetTextMapPropagator().Inject(ctx, carrier)
	if len(carrier) == 0 {
		return nil
	}
	return carrier
}

// ContextOf returns ctx with the trace that commit carries as its remote parent,
// so that whatever follows from the commit continues the trace of its cause.
func ContextOf(ctx context.Context, commit *eventv1.Commit) context.Context {
	return otel.GetTextMapPropagator().Extract(ctx, propagation.MapCarrier(commit.GetTrace()))
}
