package telemetry_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"go.opentelemetry.io/otel"
	coltracepb "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	"google.golang.org/protobuf/proto"

	"github.com/slipway-hq/slipway/internal/telemetry"
)

func setup(t *testing.T) *telemetry.Telemetry {
	t.Helper()
	tel, err := telemetry.Setup(t.Context(), "orchestrator", "v1", slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	return tel
}

func quiet(t *testing.T) {
	t.Helper()
	for _, name := range []string{"OTEL_SDK_DISABLED", "OTEL_TRACES_EXPORTER", "OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_SERVICE_NAME", "OTEL_TRACES_SAMPLER"} {
		t.Setenv(name, "")
	}
}

func TestOneTraceGoesThroughMessagesWithoutAnExporter(t *testing.T) {
	quiet(t)
	tel := setup(t)
	defer func() { _ = tel.Shutdown(context.Background()) }()
	ctx, first := otel.Tracer("a").Start(t.Context(), "request")
	message := telemetry.Inject(ctx)
	first.End()
	_, second := otel.Tracer("b").Start(telemetry.Extract(context.Background(), message), "claim")
	defer second.End()
	id := first.SpanContext().TraceID().String()
	if got := second.SpanContext().TraceID().String(); got != id || telemetry.TraceID(message) != id {
		t.Errorf("trace %s became %s, the message says %q", id, got, telemetry.TraceID(message))
	}
}

func TestNoTraceIsNoTrace(t *testing.T) {
	if got := telemetry.Inject(context.Background()); got != nil {
		t.Errorf("injected %v", got)
	}
	for _, carried := range []map[string]string{nil, {}, {"traceparent": "nonsense"}} {
		if got := telemetry.TraceID(carried); got != "" {
			t.Errorf("TraceID(%v) = %q", carried, got)
		}
	}
}

// sink is a collector of traces.
func sink(t *testing.T) (url string, received func() []string) {
	t.Helper()
	names := make(chan string, 16)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		req := &coltracepb.ExportTraceServiceRequest{}
		if err := proto.Unmarshal(body, req); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		for _, rs := range req.GetResourceSpans() {
			for _, attr := range rs.GetResource().GetAttributes() {
				if attr.GetKey() == "service.name" {
					names <- attr.GetValue().GetStringValue()
				}
			}
		}
	}))
	t.Cleanup(server.Close)
	return server.URL, func() []string {
		close(names)
		var all []string
		for name := range names {
			all = append(all, name)
		}
		return all
	}
}

func TestTracesAreSentOnlyWhereAnEndpointIsSet(t *testing.T) {
	for name, c := range map[string]struct {
		env  map[string]string
		want string
	}{
		"endpoint":    {map[string]string{}, "orchestrator"},
		"renamed":     {map[string]string{"OTEL_SERVICE_NAME": "other"}, "other"},
		"disabled":    {map[string]string{"OTEL_SDK_DISABLED": "true"}, ""},
		"no exporter": {map[string]string{"OTEL_TRACES_EXPORTER": "none"}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			quiet(t)
			url, received := sink(t)
			t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", url)
			for k, v := range c.env {
				t.Setenv(k, v)
			}
			tel := setup(t)
			_, span := otel.Tracer("x").Start(t.Context(), "y")
			span.End()
			if err := tel.Shutdown(context.Background()); err != nil {
				t.Fatal(err)
			}
			if got := strings.Join(received(), " "); got != c.want {
				t.Errorf("received spans of %q, want %q", got, c.want)
			}
		})
	}
}

func TestMetricsAreServed(t *testing.T) {
	quiet(t)
	tel := setup(t)
	defer func() { _ = tel.Shutdown(context.Background()) }()
	counter, err := otel.Meter("m").Int64Counter("slipway.things")
	if err != nil {
		t.Fatal(err)
	}
	counter.Add(t.Context(), 3)
	rec := httptest.NewRecorder()
	tel.Handler().ServeHTTP(rec, httptest.NewRequest(http.MethodGet, "/metrics", nil))
	for _, want := range []string{"slipway_things_total{", "} 3", "go_goroutines ", "process_"} {
		if !strings.Contains(rec.Body.String(), want) {
			t.Errorf("no %q in the metrics", want)
		}
	}
}

func TestSecretsStayHidden(t *testing.T) {
	const value = "xoxb-very-secret"
	var secret telemetry.Secret
	if err := secret.UnmarshalText([]byte(value)); err != nil || string(secret) != value {
		t.Fatalf("%v", err)
	}
	var out bytes.Buffer
	for _, format := range []string{"text", "json"} {
		log, err := telemetry.NewLogger(&out, format, "info")
		if err != nil {
			t.Fatal(err)
		}
		log.Info("x", "secret", secret, "pointer", &secret, "inside", struct{ S telemetry.Secret }{secret})
	}
	data, err := json.Marshal(map[string]any{"s": secret, "p": &secret})
	if err != nil {
		t.Fatal(err)
	}
	out.Write(data)
	fmt.Fprintf(&out, "%v %s %q %#v %+v %x", secret, secret, secret, secret, struct{ S telemetry.Secret }{secret}, secret)
	_ = fmt.Errorf("%w %v", io.EOF, secret)
	if strings.Contains(out.String(), "very") || strings.Contains(out.String(), fmt.Sprintf("%x", value)) {
		t.Errorf("the secret shows: %s", out.String())
	}
}

func TestLogsCarryTheirTrace(t *testing.T) {
	quiet(t)
	tel := setup(t)
	defer func() { _ = tel.Shutdown(context.Background()) }()
	ctx, span := otel.Tracer("x").Start(t.Context(), "y")
	defer span.End()
	var out bytes.Buffer
	log, err := telemetry.NewLogger(&out, "json", "warn")
	if err != nil {
		t.Fatal(err)
	}
	log.InfoContext(ctx, "too quiet")
	log.With("run", "d-1").WarnContext(ctx, "said")
	var line map[string]string
	if err := json.Unmarshal(out.Bytes(), &line); err != nil {
		t.Fatalf("%v: %s", err, out.String())
	}
	if line["trace_id"] != span.SpanContext().TraceID().String() || line["run"] != "d-1" || line["msg"] != "said" {
		t.Errorf("line %v", line)
	}
}

func TestUnknownLogSettingsAreRefused(t *testing.T) {
	if _, err := telemetry.NewLogger(io.Discard, "xml", "info"); !errors.Is(err, telemetry.ErrFormat) {
		t.Errorf("format: %v", err)
	}
	if _, err := telemetry.NewLogger(io.Discard, "text", "loud"); err == nil {
		t.Error("level accepted")
	}
}
