package telemetry

import (
	"context"

	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"
)

// Inject returns the trace context of ctx for a message (W3C names); nil when
// ctx has none.
func Inject(ctx context.Context) map[string]string {
	carrier := propagation.MapCarrier{}
	propagation.TraceContext{}.Inject(ctx, carrier)
	if len(carrier) == 0 {
		return nil
	}
	return carrier
}

// Extract returns ctx within the trace that a message carries; ctx itself when
// the message carries none.
func Extract(ctx context.Context, carried map[string]string) context.Context {
	return propagation.TraceContext{}.Extract(ctx, propagation.MapCarrier(carried))
}

// TraceID returns the id of the trace that a message carries, or "".
func TraceID(carried map[string]string) string {
	span := trace.SpanContextFromContext(Extract(context.Background(), carried))
	if !span.HasTraceID() {
		return ""
	}
	return span.TraceID().String()
}
