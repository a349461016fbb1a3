package ingress_test

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/slipway-hq/slipway/sandbox"
	ingress "github.com/slipway-hq/slipway/services/slack-ingress"
)

const (
	formType = "application/x-www-form-urlencoded"
	jsonType = "application/json"
)

// post sends a body, signed for now plus skew; adjust may spoil it.
func (w *world) post(path, contentType, body string, skew time.Duration, adjust func(*http.Request)) (int, string) {
	w.t.Helper()
	stamp := strconv.FormatInt(time.Now().Add(skew).Unix(), 10)
	mac := hmac.New(sha256.New, []byte(w.slack.SigningSecret()))
	mac.Write([]byte("v0:" + stamp + ":" + body))
	req, err := http.NewRequestWithContext(within(w.t, patience), http.MethodPost, w.doors.URL+path, strings.NewReader(body))
	if err != nil {
		w.t.Fatal(err)
	}
	req.Header.Set("Content-Type", contentType)
	req.Header.Set("X-Slack-Request-Timestamp", stamp)
	req.Header.Set("X-Slack-Signature", "v0="+hex.EncodeToString(mac.Sum(nil)))
	if adjust != nil {
		adjust(req)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		w.t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	data, err := io.ReadAll(resp.Body)
	if err != nil {
		w.t.Fatal(err)
	}
	return resp.StatusCode, string(data)
}

func slashForm(trigger, text string) string {
	return url.Values{
		"token": {"verification-secret"}, "team_id": {sandbox.TeamID}, "channel_id": {sandbox.ChannelDeploys}, "user_id": {sandbox.UserRequester},
		"command": {"/deploy"}, "text": {text}, "response_url": {"https://192.0.2.1/urlsecret"}, "trigger_id": {trigger},
	}.Encode()
}

func unsigned(r *http.Request) {
	r.Header.Del("X-Slack-Signature")
	r.Header.Del("X-Slack-Request-Timestamp")
}

func TestBadRequestsAreRefusedAndHaveNoEffect(t *testing.T) {
	w := newWorld(t, nil)
	deploy := slashForm("1.2.triggersecret", "web to staging")
	header := func(name, value string) func(*http.Request) {
		return func(r *http.Request) { r.Header.Set(name, value) }
	}
	for name, c := range map[string]struct {
		contentType, body string
		skew              time.Duration
		adjust            func(*http.Request)
		status            int
	}{
		"unsigned":            {formType, deploy, 0, unsigned, 401},
		"wrong signature":     {formType, deploy, 0, header("X-Slack-Signature", "v0="+strings.Repeat("0", 64)), 401},
		"malformed signature": {formType, deploy, 0, header("X-Slack-Signature", "nonsense"), 401},
		"malformed timestamp": {formType, deploy, 0, header("X-Slack-Request-Timestamp", "now"), 401},
		"stale":               {formType, deploy, -6 * time.Minute, nil, 401},
		"from the future":     {formType, deploy, 6 * time.Minute, nil, 401},
		"unsigned challenge":  {jsonType, `{"type":"url_verification","challenge":"x"}`, 0, unsigned, 401},
		"too large":           {formType, "text=" + strings.Repeat("x", 1<<20), 0, nil, 413},
		"too large unsigned":  {formType, "text=" + strings.Repeat("x", 1<<20), 0, unsigned, 413},
		"too large, chunked": {formType, "", 0, func(r *http.Request) {
			r.Body, r.ContentLength = io.NopCloser(bytes.NewReader(make([]byte, 1<<21))), -1
		}, 413},
		"broken json":          {jsonType, `{"type":`, 0, nil, 400},
		"broken payload":       {formType, "payload=%7B", 0, nil, 400},
		"empty form":           {formType, "", 0, nil, 400},
		"payload in the query": {formType, "a=b", 0, func(r *http.Request) { r.URL.RawQuery = "payload=" + url.QueryEscape(pressPayload("cancel")) }, 400},
		"unsigned probe":       {formType, "ssl_check=1&token=x", 0, unsigned, 200},
		"probe with a command": {formType, deploy + "&ssl_check=1", 0, unsigned, 200},
		"rate limited":         {jsonType, `{"type":"app_rate_limited","team_id":"T1","minute_rate_limited":1}`, 0, nil, 200},
		"null event":           {jsonType, `{"type":"event_callback","team_id":"T1","event":null}`, 0, nil, 200},
		"unknown event":        {jsonType, `{"type":"event_callback","team_id":"T1","event":{"type":"of_tomorrow"}}`, 0, nil, 200},
		"unknown command":      {formType, strings.Replace(deploy, "command=%2Fdeploy", "command=%2Fother", 1), 0, nil, 200},
	} {
		for _, path := range []string{"/slack/commands", "/slack/events", "/slack/interactions"} {
			status, body := w.post(path, c.contentType, c.body, c.skew, c.adjust)
			if status != c.status {
				t.Errorf("%s at %s: %d %q, want %d", name, path, status, body, c.status)
			}
		}
	}
	if stored, _ := w.stored(); len(stored) != 0 {
		t.Errorf("stored %v", stored)
	}
	resp, err := http.Get(w.doors.URL + "/slack/events")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	if resp.StatusCode != http.StatusMethodNotAllowed {
		t.Errorf("GET answers %d", resp.StatusCode)
	}
	if log := w.log.String(); strings.Contains(log, "secret-of-the-test") || strings.Contains(log, "triggersecret") || strings.Contains(log, "urlsecret") {
		t.Errorf("a secret is in the log:\n%s", log)
	}
}

func TestTheHandshakeIsAnswered(t *testing.T) {
	w := newWorld(t, nil)
	status, body := w.post("/slack/events", jsonType, `{"token":"x","challenge":"3eZbrw1","type":"url_verification"}`, 0, nil)
	if status != 200 || body != "3eZbrw1" {
		t.Errorf("%d %q", status, body)
	}
}

func TestEitherSigningSecretOpensTheDoors(t *testing.T) {
	w := newWorld(t, func(_ *sandbox.Config, cfg *ingress.Config, _ *ingress.Deps) {
		cfg.SecondSigningSecret = secret("the-old-one")
	})
	const challenge = `{"challenge":"abc","type":"url_verification"}`
	if status, _ := w.post("/slack/events", jsonType, challenge, 0, nil); status != 200 {
		t.Errorf("the first secret: %d", status)
	}
	status, _ := w.post("/slack/events", jsonType, challenge, 0, func(r *http.Request) {
		mac := hmac.New(sha256.New, []byte("the-old-one"))
		mac.Write([]byte("v0:" + r.Header.Get("X-Slack-Request-Timestamp") + ":" + challenge))
		r.Header.Set("X-Slack-Signature", "v0="+hex.EncodeToString(mac.Sum(nil)))
	})
	if status != 200 {
		t.Errorf("the second secret: %d", status)
	}
}
