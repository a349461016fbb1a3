package lifecycle_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/slipway-hq/slipway/internal/lifecycle"
)

func get(h *lifecycle.Health, path string) (int, string) {
	mux := http.NewServeMux()
	h.Register(mux)
	rec := httptest.NewRecorder()
	mux.ServeHTTP(rec, httptest.NewRequest(http.MethodGet, path, nil))
	return rec.Code, strings.TrimSpace(rec.Body.String())
}

func TestReadinessSaysWhyNot(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := lifecycle.NewHealth()
		var broken error
		h.Add("jetstream", func(context.Context) error { return broken })
		h.Add("slack", func(context.Context) error { return nil })
		want := func(status int, body string) {
			t.Helper()
			if gotStatus, gotBody := get(h, "/readyz"); gotStatus != status || gotBody != body {
				t.Errorf("/readyz: %d %s", gotStatus, gotBody)
			}
			if alive, _ := get(h, "/healthz"); alive != http.StatusOK {
				t.Errorf("/healthz: %d", alive)
			}
		}
		want(503, `{"ready":false,"reasons":[{"check":"process","reason":"starting"}]}`)
		h.Started()
		want(200, `{"ready":true,"reasons":[]}`)
		broken = errors.New("no response")
		time.Sleep(2 * time.Second)
		want(503, `{"ready":false,"reasons":[{"check":"jetstream","reason":"no response"}]}`)
		broken = nil
		time.Sleep(2 * time.Second)
		want(200, `{"ready":true,"reasons":[]}`)
		h.Draining()
		want(503, `{"ready":false,"reasons":[{"check":"process","reason":"draining"}]}`)
	})
}

func TestHangingCheckIsBoundedAndNotStartedTwice(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := lifecycle.NewHealth()
		h.Started()
		var calls atomic.Int32
		release := make(chan struct{})
		h.Add("stuck", func(context.Context) error { calls.Add(1); <-release; return nil })
		for range 3 {
			begin := time.Now()
			if status, body := get(h, "/readyz"); status != 503 || !strings.Contains(body, "no answer within 2s") {
				t.Errorf("%d %s", status, body)
			}
			if took := time.Since(begin); took > 2*time.Second {
				t.Errorf("took %s", took)
			}
			time.Sleep(2 * time.Second)
		}
		if n := calls.Load(); n != 1 {
			t.Errorf("%d calls", n)
		}
		close(release)
		synctest.Wait()
		if status, body := get(h, "/readyz"); status != 200 {
			t.Errorf("%d %s", status, body)
		}
	})
}

func TestManyProbesCostOneCheck(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := lifecycle.NewHealth()
		h.Started()
		probed, written := 0, 0
		h.Add("cheap", func(context.Context) error { probed++; return nil })
		h.Add("canary", lifecycle.Every(10*time.Second, func(context.Context) error { written++; return nil }))
		for range 300 { // half a minute
			get(h, "/readyz")
			time.Sleep(100 * time.Millisecond)
		}
		if probed > 30 || written > 3 {
			t.Errorf("%d probes, %d writes", probed, written)
		}
	})
}
