package sandbox_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/slack-go/slack"

	"github.com/slipway-hq/slipway/sandbox"
)

// order posts JSON to the control API.
func order(t *testing.T, s *sandbox.Server, path, body string, headers map[string]string) (int, map[string]any) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.URL()+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	for k, v := range headers {
		if k == "Host" {
			req.Host = v
		}
		req.Header.Set(k, v)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	var out map[string]any
	_ = json.NewDecoder(resp.Body).Decode(&out) // refusals are not always JSON
	return resp.StatusCode, out
}

func TestControlAPIDrivesThePerson(t *testing.T) {
	s, a, _ := start(t, sandbox.Config{})
	a.answer = func(string, map[string]string) (int, string) { return 200, "hello" }
	status, d := order(t, s, "/sandbox/command", `{"user":"U0REQUEST01","channel":"C0DEPLOYS01","command":"/deploy","text":"web"}`, nil)
	if status != 200 || d["status"] != float64(200) {
		t.Fatalf("%d %v", status, d)
	}
	if status, _ := order(t, s, "/sandbox/redeliver", `{"id":"`+d["id"].(string)+`","times":3,"parallel":true}`, nil); status != 200 {
		t.Error(status)
	}
	if n := len(a.seen()); n != 4 {
		t.Errorf("%d requests", n)
	}
	if status, _ := order(t, s, "/sandbox/command", `{"user":"U0NOBODY","channel":"C0DEPLOYS01","command":"/deploy"}`, nil); status != 404 {
		t.Error(status)
	}
	if status, _ := order(t, s, "/sandbox/faults", `{"set":{"kind":"server_error"}}`, nil); status != 200 || len(s.Faults().Active()) != 1 {
		t.Error(status)
	}
	if status, _ := order(t, s, "/sandbox/faults", `{"heal":true}`, nil); status != 200 || len(s.Faults().Active()) != 0 {
		t.Error(status)
	}
	_, state := get(t, s.URL()+"/sandbox/state")
	if !strings.Contains(state, `"hello"`) || strings.Contains(state, s.BotToken()) {
		t.Errorf("state: %.200s", state)
	}
}

func TestForeignPagesAreKeptOut(t *testing.T) {
	s, _, _ := start(t, sandbox.Config{ExposeSecrets: true})
	for name, headers := range map[string]map[string]string{
		"rebinding":  {"Host": "evil.example"},
		"origin":     {"Origin": "https://evil.example"},
		"null":       {"Origin": "null"},
		"other port": {"Origin": "http://127.0.0.1:1"},
		"cross-site": {"Sec-Fetch-Site": "cross-site"},
	} {
		for _, path := range []string{"/sandbox/secrets", "/sandbox/post"} {
			if status, out := order(t, s, path, `{}`, headers); status != http.StatusForbidden {
				t.Errorf("%s %s: %d %v", name, path, status, out)
			}
		}
	}
	if status, out := order(t, s, "/sandbox/secrets", "", map[string]string{"Origin": s.URL()}); status != 200 || out["bot_token"] != s.BotToken() {
		t.Errorf("%d %v", status, out)
	}
	closed, _, _ := start(t, sandbox.Config{})
	if status, _ := order(t, closed, "/sandbox/secrets", "", nil); status != http.StatusForbidden {
		t.Error("secrets without being asked to expose them")
	}
}

func TestEventStreamResumes(t *testing.T) {
	s, _, client := start(t, sandbox.Config{})
	_, body := get(t, s.URL()+"/sandbox/state")
	var state struct{ Version int }
	if err := json.Unmarshal([]byte(body), &state); err != nil {
		t.Fatal(err)
	}
	if _, _, err := client.PostMessage(sandbox.ChannelDeploys, slack.MsgOptionText("first", false)); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, fmt.Sprintf("%s/sandbox/events?since=%d", s.URL(), state.Version), nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	lines := bufio.NewScanner(resp.Body)
	until := func(want string) {
		for lines.Scan() {
			if strings.Contains(lines.Text(), want) {
				return
			}
		}
		t.Fatalf("the stream ended before %q", want)
	}
	until("first")
	if _, _, err := client.PostMessage(sandbox.ChannelDeploys, slack.MsgOptionText("second", false)); err != nil {
		t.Fatal(err)
	}
	until("second")
	if _, stale := get(t, s.URL()+"/sandbox/events?since=1"); !strings.Contains(stale, "event: reset") {
		t.Errorf("a page of another process was told %q", stale)
	}
}
