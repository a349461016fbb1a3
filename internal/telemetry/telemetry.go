package telemetry

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"strings"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	otelprometheus "go.opentelemetry.io/otel/exporters/prometheus"
	"go.opentelemetry.io/otel/propagation"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
)

// Telemetry is the traces and metrics of this process.
type Telemetry struct {
	Tracers *sdktrace.TracerProvider
	Meters  *sdkmetric.MeterProvider

	registry *prometheus.Registry
}

// Setup makes the providers for a service and installs them globally. The
// usual OTEL_* variables apply: traces are sent (OTLP over HTTP) only when an
// endpoint is set, OTEL_SDK_DISABLED is not true and OTEL_TRACES_EXPORTER is
// not none. Call Shutdown at the end.
func Setup(ctx context.Context, service, version string, log *slog.Logger) (*Telemetry, error) {
	about, err := describe(ctx, service, version)
	if err != nil {
		return nil, err
	}
	t := &Telemetry{registry: prometheus.NewRegistry()}
	if t.Tracers, err = newTracers(ctx, about); err != nil {
		return nil, err
	}
	if t.Meters, err = newMeters(about, t.registry); err != nil {
		return nil, errors.Join(err, t.Tracers.Shutdown(ctx))
	}
	otel.SetTextMapPropagator(propagation.TraceContext{})
	otel.SetTracerProvider(t.Tracers)
	otel.SetMeterProvider(t.Meters)
	otel.SetErrorHandler(otel.ErrorHandlerFunc(func(err error) { log.Warn("telemetry failed", "error", err) }))
	return t, nil
}

func describe(ctx context.Context, service, version string) (*resource.Resource, error) {
	about, err := resource.New(ctx, // the later wins: OTEL_SERVICE_NAME over ours
		resource.WithAttributes(attribute.String("service.name", service), attribute.String("service.version", version)),
		resource.WithFromEnv(),
	)
	if err != nil {
		return nil, fmt.Errorf("describe the service to OpenTelemetry: %w", err)
	}
	return about, nil
}

// newTracers samples by OTEL_TRACES_SAMPLER, by default everything, so that ids
// exist in every message even when no exporter listens.
func newTracers(ctx context.Context, about *resource.Resource) (*sdktrace.TracerProvider, error) {
	opts := []sdktrace.TracerProviderOption{sdktrace.WithResource(about)}
	if exporting() {
		exporter, err := otlptracehttp.New(ctx)
		if err != nil {
			return nil, fmt.Errorf("set up the export of traces: %w", err)
		}
		opts = append(opts, sdktrace.WithBatcher(exporter))
	}
	return sdktrace.NewTracerProvider(opts...), nil
}

func exporting() bool {
	if strings.EqualFold(os.Getenv("OTEL_SDK_DISABLED"), "true") || os.Getenv("OTEL_TRACES_EXPORTER") == "none" {
		return false
	}
	return os.Getenv("OTEL_EXPORTER_OTLP_ENDPOINT") != "" || os.Getenv("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT") != ""
}

func newMeters(about *resource.Resource, registry *prometheus.Registry) (*sdkmetric.MeterProvider, error) {
	for _, collector := range []prometheus.Collector{
		collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
	} {
		if err := registry.Register(collector); err != nil {
			return nil, fmt.Errorf("set up the metrics of the process: %w", err)
		}
	}
	exporter, err := otelprometheus.New(otelprometheus.WithRegisterer(registry))
	if err != nil {
		return nil, fmt.Errorf("set up the metrics: %w", err)
	}
	return sdkmetric.NewMeterProvider(sdkmetric.WithResource(about), sdkmetric.WithReader(exporter)), nil
}

// Handler serves all metrics in the format of Prometheus.
func (t *Telemetry) Handler() http.Handler {
	return promhttp.HandlerFor(t.registry, promhttp.HandlerOpts{})
}

// Shutdown sends what is still waiting, for as long as ctx lives.
func (t *Telemetry) Shutdown(ctx context.Context) error {
	if err := errors.Join(t.Tracers.Shutdown(ctx), t.Meters.Shutdown(ctx)); err != nil {
		return fmt.Errorf("flush telemetry: %w", err)
	}
	return nil
}
