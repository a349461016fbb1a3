package orchestrator

import (
	"strings"
	"testing"

	apiv1 "github.com/slipway-hq/slipway/gen/slipway/api/v1"
)

func TestPlainJSONNamesEveryField(t *testing.T) {
	c := jsonCodec{"json"}
	data, err := c.Marshal(&apiv1.ListRunsResponse{})
	if err != nil || !strings.Contains(strings.ReplaceAll(string(data), " ", ""), `"runs":[]`) {
		t.Errorf("%s, %v", data, err)
	}
	for _, text := range []string{`{"idempotency_key":"k"}`, `{"idempotencyKey":"k","fromTheFuture":1}`} {
		req := &apiv1.StartRunRequest{}
		if err := c.Unmarshal([]byte(text), req); err != nil || req.GetIdempotencyKey() != "k" {
			t.Errorf("%s: %v, %v", text, req, err)
		}
	}
	if err := c.Unmarshal(nil, &apiv1.StartRunRequest{}); err == nil {
		t.Error("an empty body was taken for an object")
	}
}
