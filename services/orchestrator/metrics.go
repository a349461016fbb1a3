package orchestrator

import (
	"context"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
)

// metrics is everything that the orchestrator counts.
type metrics struct {
	requests metric.Int64Counter
	grants   metric.Int64Counter
}

func newMetrics(sequence func() uint64, active func() (queued, occupied int)) (*metrics, error) {
	meter := otel.Meter("github.com/slipway-hq/slipway/services/orchestrator")
	requests, err := meter.Int64Counter("slipway.requests", metric.WithDescription("Requests from INBOX by the code of their answer; empty is accepted."))
	if err != nil {
		return nil, err
	}
	grants, err := meter.Int64Counter("slipway.grants", metric.WithDescription("Slots given to runs."))
	if err != nil {
		return nil, err
	}
	folded, err := meter.Int64ObservableGauge("slipway.view.sequence", metric.WithDescription("Sequence of the last commit folded into the view."))
	if err != nil {
		return nil, err
	}
	runs, err := meter.Int64ObservableGauge("slipway.runs.active", metric.WithDescription("Runs that have not ended, by whether they hold a slot."))
	if err != nil {
		return nil, err
	}
	_, err = meter.RegisterCallback(func(_ context.Context, o metric.Observer) error {
		queued, occupied := active()
		o.ObserveInt64(folded, int64(sequence())) //nolint:gosec // sequences stay far below 2^63
		o.ObserveInt64(runs, int64(queued), metric.WithAttributes(attribute.String("state", "queued")))
		o.ObserveInt64(runs, int64(occupied), metric.WithAttributes(attribute.String("state", "occupied")))
		return nil
	}, folded, runs)
	return &metrics{requests: requests, grants: grants}, err
}

func (m *metrics) request(code string) {
	m.requests.Add(context.Background(), 1, metric.WithAttributes(attribute.String("code", code)))
}

func (m *metrics) granted(n int) { m.grants.Add(context.Background(), int64(n)) }
