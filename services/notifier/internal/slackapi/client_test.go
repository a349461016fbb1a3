package slackapi_test

import (
	"context"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/slipway-hq/slipway/services/notifier/internal/slackapi"
)

const token = "xoxb-not-for-anybody"

func client(t *testing.T, handler http.HandlerFunc) *slackapi.Client {
	t.Helper()
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	c, err := slackapi.New(server.URL+"/api/", token)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func post(t *testing.T, c *slackapi.Client) error {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
	defer cancel()
	_, err := c.Post(ctx, slackapi.Outgoing{Channel: "C1", Text: "hello"})
	if err != nil && strings.Contains(err.Error(), token) {
		t.Errorf("the error holds the token: %v", err)
	}
	return err
}

func TestEveryFailureHasItsMeaning(t *testing.T) {
	t.Parallel()
	answer := func(status int, body string, header ...string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			for i := 0; i+1 < len(header); i += 2 {
				w.Header().Set(header[i], header[i+1])
			}
			w.WriteHeader(status)
			_, _ = w.Write([]byte(body))
		}
	}
	for name, c := range map[string]struct {
		handler http.HandlerFunc
		outcome slackapi.Outcome
		code    string
		after   time.Duration
	}{
		"good":                {answer(200, `{"ok":true,"ts":"1.2","channel":"C1"}`), 0, "", 0},
		"good without a ts":   {answer(200, `{"ok":true}`), slackapi.Unknown, "", 0},
		"refused":             {answer(200, `{"ok":false,"error":"not_in_channel"}`), slackapi.Refused, "not_in_channel", 0},
		"internal error":      {answer(200, `{"ok":false,"error":"internal_error"}`), slackapi.Unknown, "", 0},
		"fatal error":         {answer(200, `{"ok":false,"error":"fatal_error"}`), slackapi.Unknown, "", 0},
		"request timeout":     {answer(200, `{"ok":false,"error":"request_timeout"}`), slackapi.Unknown, "", 0},
		"limited in the body": {answer(200, `{"ok":false,"error":"rate_limited"}`), slackapi.Limited, "", 5 * time.Second},
		"429":                 {answer(429, `{"ok":false}`, "Retry-After", "30"), slackapi.Limited, "", 30 * time.Second},
		"429 for ever":        {answer(429, ``, "Retry-After", "99999999"), slackapi.Limited, "", 10 * time.Minute},
		"429 without a time":  {answer(429, ``), slackapi.Limited, "", 5 * time.Second},
		"503":                 {answer(503, `<html>`), slackapi.Unknown, "", 0},
		"a proxy's 407":       {answer(407, `<html>`), slackapi.Unsent, "", 0},
		"a redirect":          {answer(307, ``, "Location", "http://127.0.0.1:1/"), slackapi.Unsent, "", 0},
		"HTML":                {answer(200, `<html>`), slackapi.Unknown, "", 0},
		"half an answer":      {answer(200, `{"ok":tr`), slackapi.Unknown, "", 0},
		"silence":             {func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }, slackapi.Unknown, "", 0},
		"the connection ends": {func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, slackapi.Unknown, "", 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var calls atomic.Int32
			err := post(t, client(t, func(w http.ResponseWriter, r *http.Request) {
				calls.Add(1)
				_ = r.ParseForm() // so that the server sees the client go
				c.handler(w, r)
			}))
			if slackapi.OutcomeOf(err) != c.outcome || slackapi.CodeOf(err) != c.code || slackapi.AfterOf(err) != c.after {
				t.Errorf("%v: outcome %d, code %q, after %s", err, slackapi.OutcomeOf(err), slackapi.CodeOf(err), slackapi.AfterOf(err))
			}
			if n := calls.Load(); n != 1 {
				t.Errorf("called %d times", n)
			}
		})
	}
}

func TestNobodyThereMeansUnsent(t *testing.T) {
	t.Parallel()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := listener.Addr().String()
	if err := listener.Close(); err != nil {
		t.Fatal(err)
	}
	c, err := slackapi.New("http://"+address, token)
	if err != nil {
		t.Fatal(err)
	}
	if err := post(t, c); slackapi.OutcomeOf(err) != slackapi.Unsent {
		t.Errorf("%v: outcome %d", err, slackapi.OutcomeOf(err))
	}
}

func TestFindTakesTheOldestOfOurOwn(t *testing.T) {
	t.Parallel()
	c := client(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "Bearer "+token || r.PostFormValue("include_all_metadata") != "true" {
			t.Errorf("asked with %v", r.Form)
		}
		if r.PostFormValue("cursor") == "" {
			_, _ = w.Write([]byte(`{"ok":true,"has_more":true,"response_metadata":{"next_cursor":"n"},"messages":[
				{"ts":"5.0","bot_id":"B1","metadata":{"event_type":"slipway_card","event_payload":{"run":"d-1","milestone":"card"}}},
				{"ts":"4.0","bot_id":"B1","metadata":{"event_type":"slipway_card","event_payload":{"run":"d-1","milestone":"ended"}}},
				{"ts":"3.5","bot_id":"B1","metadata":{"event_type":"other","event_payload":["x"]},"blocks":[{"type":"unheard of"}]}]}`))
			return
		}
		_, _ = w.Write([]byte(`{"ok":true,"messages":[
			{"ts":"3.0","bot_id":"B1","metadata":{"event_type":"slipway_card","event_payload":{"run":"d-1","milestone":"card"}}},
			{"ts":"2.0","bot_id":"B2","metadata":{"event_type":"slipway_card","event_payload":{"run":"d-1","milestone":"card"}}}]}`))
	})
	ts, err := c.Find(t.Context(), slackapi.Search{
		Channel: "C1", Oldest: time.Unix(1, 0), Author: slackapi.Identity{Bot: "B1"}, Marker: slackapi.Marker{Run: "d-1", Milestone: "card"},
	})
	if err != nil || ts != "3.0" {
		t.Errorf("found %q, %v", ts, err)
	}
}

func TestMarksThatAreAsWantedAreGood(t *testing.T) {
	t.Parallel()
	answer := ""
	c := client(t, func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(answer)) })
	for code, do := range map[string]func() error{
		"already_reacted": func() error { return c.React(t.Context(), "C1", "1.000001", "eyes") },
		"no_reaction":     func() error { return c.Unreact(t.Context(), "C1", "1.000001", "eyes") },
		"no_pin":          func() error { return c.Unpin(t.Context(), "C1", "1.000001") },
		"not_pinned":      func() error { return c.Unpin(t.Context(), "C1", "1.000001") },
	} {
		answer = `{"ok":false,"error":"` + code + `"}`
		if err := do(); err != nil {
			t.Errorf("%s: %v", code, err)
		}
	}
	answer = `{"ok":false,"error":"already_pinned"}` // by whom nobody knows
	if err := c.Pin(t.Context(), "C1", "1.000001"); slackapi.CodeOf(err) != slackapi.AlreadyPinned {
		t.Error(err)
	}
	answer = `{"ok":true,"items":[{"type":"file","created_by":"U1"},{"type":"message","created_by":"U2","message":{"ts":"1.000001"}},{"type":"message","message":{"ts":"2.000001"}}]}`
	for ts, want := range map[string]string{"1.000001": "U2", "2.000001": "?", "3.000001": ""} {
		if by, err := c.PinnedBy(t.Context(), "C1", ts); err != nil || by != want {
			t.Errorf("%s: %q, %v", ts, by, err)
		}
	}
}
