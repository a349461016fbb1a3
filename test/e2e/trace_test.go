package e2e

import (
	"encoding/hex"
	"io"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"

	collector "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	"google.golang.org/protobuf/proto"

	"github.com/slipway-hq/slipway/test/internal/world"
)

// sink collects spans: trace id to service to names.
type sink struct {
	mu    sync.Mutex
	spans map[string]map[string][]string
}

func (s *sink) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	var req collector.ExportTraceServiceRequest
	if err != nil || proto.Unmarshal(body, &req) != nil {
		http.Error(w, "no spans", http.StatusBadRequest)
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, resource := range req.GetResourceSpans() {
		service := ""
		for _, a := range resource.GetResource().GetAttributes() {
			if a.GetKey() == "service.name" {
				service = a.GetValue().GetStringValue()
			}
		}
		for _, scope := range resource.GetScopeSpans() {
			for _, span := range scope.GetSpans() {
				id := hex.EncodeToString(span.GetTraceId())
				if s.spans[id] == nil {
					s.spans[id] = map[string][]string{}
				}
				s.spans[id][service] = append(s.spans[id][service], span.GetName())
			}
		}
	}
	w.Header().Set("Content-Type", "application/x-protobuf")
}

func (s *sink) of(trace string) map[string][]string {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := map[string][]string{}
	for service, names := range s.spans[trace] {
		out[service] = append([]string(nil), names...)
	}
	return out
}

func TestOneTraceFromTheRequestToTheLastPost(t *testing.T) {
	t.Parallel()
	s := &sink{spans: map[string]map[string][]string{}}
	server := httptest.NewServer(s)
	t.Cleanup(server.Close)
	w := world.New(t, world.Env("OTEL_EXPORTER_OTLP_ENDPOINT", server.URL), world.Env("OTEL_BSP_SCHEDULE_DELAY", "100"))
	w.Configure(w.Pipelines(three(w)))
	w.Split()
	r := w.Succeeded(w.Ask("web to staging"))
	w.JudgeCard(r)
	want := []string{world.Ingress, world.Orchestrator, world.Runner, world.Notifier}
	w.Eventually("spans of all services in the run's trace", func() bool {
		spans := s.of(r.GetTraceId())
		for _, service := range want {
			if len(spans[service]) == 0 {
				return false
			}
		}
		return true
	})
	t.Log(s.of(r.GetTraceId()))
}
