package engine_test

import (
	"context"
	"testing"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"

	"github.com/slipway-hq/slipway/internal/engine"
	"github.com/slipway-hq/slipway/internal/eventlog/eventlogtest"
	"github.com/slipway-hq/slipway/internal/eventlog/memlog"
)

func TestACommitCarriesTheTraceOfItsCause(t *testing.T) {
	before := otel.GetTextMapPropagator()
	otel.SetTextMapPropagator(propagation.TraceContext{})
	t.Cleanup(func() { otel.SetTextMapPropagator(before) })
	cause := trace.NewSpanContext(trace.SpanContextConfig{TraceID: trace.TraceID{1}, SpanID: trace.SpanID{2}, TraceFlags: trace.FlagsSampled})
	log := memlog.New()
	if _, err := do(trace.ContextWithSpanContext(t.Context(), cause), fresh(log), "one"); err != nil {
		t.Fatal(err)
	}
	stored := eventlogtest.Whole(t, log, subject)[0].Commit
	parent := trace.SpanContextFromContext(engine.ContextOf(context.Background(), stored))
	if parent.TraceID() != cause.TraceID() || parent.SpanID() != cause.SpanID() || !parent.IsRemote() {
		t.Errorf("got %+v", parent)
	}
}
