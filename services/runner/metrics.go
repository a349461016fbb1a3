package runner

import (
	"context"
	"fmt"
	"time"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
)

const scope = "github.com/slipway-hq/slipway/services/runner"

// metrics is what the runner counts. Names follow OpenTelemetry; durations are
// in seconds.
type metrics struct {
	claims  metric.Int64Counter // by outcome
	steps   metric.Float64Histogram
	running metric.Int64UpDownCounter
	ended   metric.Int64Counter // holds, by how they ended
	dropped metric.Int64ObservableCounter
}

func newMetrics() (*metrics, error) {
	meter := otel.Meter(scope)
	m := &metrics{}
	var errs [5]error
	m.claims, errs[0] = meter.Int64Counter("slipway.runner.claims", metric.WithDescription("hints by what became of them"))
	m.steps, errs[1] = meter.Float64Histogram("slipway.runner.step.duration", metric.WithUnit("s"), metric.WithDescription("attempts of steps by outcome"))
	m.running, errs[2] = meter.Int64UpDownCounter("slipway.runner.runs", metric.WithDescription("runs held now"))
	m.ended, errs[3] = meter.Int64Counter("slipway.runner.releases", metric.WithDescription("runs that are held no more, by why"))
	m.dropped, errs[4] = meter.Int64ObservableCounter("slipway.runner.output.dropped", metric.WithDescription("pieces of output that found no place"))
	for _, err := range errs {
		if err != nil {
			return nil, fmt.Errorf("make the runner's metrics: %w", err)
		}
	}
	return m, nil
}

// observe reports what dropped returns until the returned function is called.
func (m *metrics) observe(dropped func() int64) (stop func(), err error) {
	registration, err := otel.Meter(scope).RegisterCallback(func(_ context.Context, o metric.Observer) error {
		o.ObserveInt64(m.dropped, dropped())
		return nil
	}, m.dropped)
	if err != nil {
		return nil, fmt.Errorf("register the runner's metrics: %w", err)
	}
	return func() { _ = registration.Unregister() }, nil // it only fails on a foreign registration
}

// outcomes are made once: attribute sets are not free.
var (
	outcomeClaimed  = outcome("claimed")
	outcomeConflict = outcome("conflict")
	outcomeEnded    = outcome("ended")
	outcomeNoGrant  = outcome("no_grant")
	outcomeLaneFull = outcome("lane_full")
	outcomeMisfit   = outcome("misfit")
	outcomeFailed   = outcome("failed")
	outcomeOK       = outcome("ok")
	outcomeLost     = outcome("lost")
	outcomeReleased = outcome("released")
)

func outcome(name string) metric.MeasurementOption {
	return metric.WithAttributeSet(attribute.NewSet(attribute.String("outcome", name)))
}

func (m *metrics) claim(ctx context.Context, what metric.MeasurementOption) {
	m.claims.Add(ctx, 1, what)
}

func (m *metrics) hold(ctx context.Context, by int64) { m.running.Add(ctx, by) }

func (m *metrics) attempt(ctx context.Context, began time.Time, ok bool) {
	what := outcomeOK
	if !ok {
		what = outcomeFailed
	}
	m.steps.Record(ctx, time.Since(began).Seconds(), what)
}
