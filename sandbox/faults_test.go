package sandbox_test

import (
	"bytes"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/slack-go/slack"

	"github.com/slipway-hq/slipway/sandbox"
)

func TestFaultsOfTheWebAPI(t *testing.T) {
	for _, c := range []struct {
		fault  sandbox.Fault
		posted int // messages that exist after the failed call
		check  func(error) bool
	}{
		{sandbox.Fault{Kind: sandbox.RateLimited, RetryAfter: 7}, 0, func(err error) bool {
			var limited *slack.RateLimitedError
			return errors.As(err, &limited) && limited.RetryAfter == 7*time.Second
		}},
		{sandbox.Fault{Kind: sandbox.RateLimitedBare}, 0, func(err error) bool { return err != nil }},
		{sandbox.Fault{Kind: sandbox.ServerError}, 0, func(err error) bool {
			var status slack.StatusCodeError
			return errors.As(err, &status) && status.Code == http.StatusServiceUnavailable
		}},
		{sandbox.Fault{Kind: sandbox.HTMLBody}, 0, func(err error) bool { return err != nil }},
		{sandbox.Fault{Kind: sandbox.LostBefore}, 0, func(err error) bool { return err != nil }},
		{sandbox.Fault{Kind: sandbox.LostAfter}, 1, func(err error) bool { return err != nil }},
		{sandbox.Fault{Kind: sandbox.APIError, Code: "fatal_error"}, 0, func(err error) bool { return err.Error() == "fatal_error" }},
		{sandbox.Fault{Kind: sandbox.TokenRevoked}, 0, func(err error) bool { return err.Error() == "token_revoked" }},
		{sandbox.Fault{Kind: sandbox.Latency, Delay: time.Millisecond}, 1, func(err error) bool { return err == nil }},
	} {
		t.Run(string(c.fault.Kind), func(t *testing.T) {
			s, _, client := start(t, sandbox.Config{})
			c.fault.Method = "chat.postMessage"
			s.Faults().Set(c.fault)
			_, _, err := client.PostMessage(sandbox.ChannelDeploys, slack.MsgOptionText("x", false))
			if !c.check(err) {
				t.Errorf("error: %v", err)
			}
			if n := len(s.Messages(sandbox.ChannelDeploys)); n != c.posted {
				t.Errorf("%d messages, want %d", n, c.posted)
			}
			s.Faults().Heal()
			if _, _, err := client.PostMessage(sandbox.ChannelDeploys, slack.MsgOptionText("x", false)); err != nil {
				t.Errorf("after healing: %v", err)
			}
		})
	}
}

func TestFaultLastsForNCallsOfOneMethod(t *testing.T) {
	s, _, client := start(t, sandbox.Config{})
	s.Faults().Set(sandbox.Fault{Kind: sandbox.ServerError, Method: "chat.postMessage", Skip: 1, Times: 2})
	var got []bool
	for range 4 {
		_, _, err := client.PostMessage(sandbox.ChannelDeploys, slack.MsgOptionText("x", false))
		got = append(got, err == nil)
		if _, err := client.AuthTest(); err != nil {
			t.Error("another method was hit:", err)
		}
	}
	if want := []bool{true, false, false, true}; !equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
	if s.Faults().Hits() != 2 || len(s.Faults().Active()) != 0 {
		t.Errorf("%d hits, %v", s.Faults().Hits(), s.Faults().Active())
	}
}

func equal(a, b []bool) bool {
	for i := range a {
		if len(a) != len(b) || a[i] != b[i] {
			return false
		}
	}
	return true
}

func TestProbabilityIsRepeatable(t *testing.T) {
	run := func() (out []bool) {
		s, _, client := start(t, sandbox.Config{Seed: 7, NoRateLimits: true})
		s.Faults().Set(sandbox.Fault{Kind: sandbox.ServerError, Probability: 0.5})
		for range 20 {
			_, err := client.AuthTest()
			out = append(out, err == nil)
		}
		return out
	}
	if a, b := run(), run(); !equal(a, b) {
		t.Errorf("%v\n%v", a, b)
	}
}

func TestHiddenHistory(t *testing.T) {
	s, _, client := start(t, sandbox.Config{})
	if _, _, err := client.PostMessage(sandbox.ChannelDeploys, slack.MsgOptionText("x", false)); err != nil {
		t.Fatal(err)
	}
	s.Faults().Set(sandbox.Fault{Kind: sandbox.HistoryHidden, Times: 1})
	for _, want := range []int{0, 1} {
		h, err := client.GetConversationHistory(&slack.GetConversationHistoryParameters{ChannelID: sandbox.ChannelDeploys})
		if err != nil || len(h.Messages) != want {
			t.Errorf("%d messages, want %d (%v)", len(h.Messages), want, err)
		}
	}
}

func TestDuplicateDelivery(t *testing.T) {
	s, a, _ := start(t, sandbox.Config{})
	s.Faults().Set(sandbox.Fault{Kind: sandbox.Duplicate, Method: sandbox.DeliverCommand, Times: 1})
	if _, err := s.SlashCommand(t.Context(), sandbox.UserRequester, sandbox.ChannelDeploys, "/deploy", "web"); err != nil {
		t.Fatal(err)
	}
	wait(t, s, func(v sandbox.State) bool { return len(v.Journal()) == 2 })
	seen := a.seen()
	if len(seen) != 2 || seen[0].body != seen[1].body {
		t.Errorf("%d requests", len(seen))
	}
}

// hookPost posts to a response URL and returns the status and the text.
func hookPost(t *testing.T, hook, body string) (int, string) {
	t.Helper()
	resp, err := http.Post(hook, "application/json", strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	var text bytes.Buffer
	if _, err := text.ReadFrom(resp.Body); err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, text.String()
}

func TestResponseURLFiveTimes(t *testing.T) {
	s, _, _ := start(t, sandbox.Config{NoRateLimits: true})
	d, err := s.SlashCommand(t.Context(), sandbox.UserRequester, sandbox.ChannelRandom, "/deploy", "web")
	if err != nil {
		t.Fatal(err)
	}
	for i, body := range []string{
		`{"text":"one"}`, `{"text":"two","response_type":"in_channel"}`, `{"text":"three","replace_original":true}`, `{"delete_original":true}`, `{"text":"five"}`,
	} {
		if status, text := hookPost(t, d.ResponseURL, body); status != 200 || text != "ok" {
			t.Errorf("use %d: %d %s", i+1, status, text)
		}
	}
	if status, text := hookPost(t, d.ResponseURL, `{"text":"six"}`); status != 404 || text != "used_url" {
		t.Errorf("sixth use: %d %s", status, text)
	}
	private, public := s.Ephemerals(sandbox.UserRequester, sandbox.ChannelRandom), s.Messages(sandbox.ChannelRandom)
	if len(private) != 1 || private[0].Text != "five" || len(public) != 1 || public[0].Text != "two" {
		t.Errorf("%+v\n%+v", private, public)
	}
}

func TestResponseURLExpires(t *testing.T) {
	now := time.Now()
	s, _, _ := start(t, sandbox.Config{Clock: func() time.Time { return now }})
	d, err := s.SlashCommand(t.Context(), sandbox.UserRequester, sandbox.ChannelDeploys, "/deploy", "web")
	if err != nil {
		t.Fatal(err)
	}
	now = now.Add(31 * time.Minute)
	if status, text := hookPost(t, d.ResponseURL, `{"text":"late"}`); status != 404 || text != "expired_url" {
		t.Errorf("%d %s", status, text)
	}
}

func TestNoSecretReachesTheJournal(t *testing.T) {
	s, _, client := start(t, sandbox.Config{})
	d, err := s.SlashCommand(t.Context(), sandbox.UserRequester, sandbox.ChannelDeploys, "/deploy", "web")
	if err != nil {
		t.Fatal(err)
	}
	hookPost(t, d.ResponseURL, `{"text":"`+s.BotToken()+` `+d.ResponseURL+`"}`)
	if _, _, err := client.PostMessage(sandbox.ChannelDeploys, slack.MsgOptionText("x", false)); err != nil {
		t.Fatal(err)
	}
	if _, _, err := client.StartSocketModeContext(t.Context()); err != nil {
		t.Fatal(err)
	}
	secret := d.ResponseURL[strings.LastIndex(d.ResponseURL, "/")+1:]
	_, body := get(t, s.URL()+"/sandbox/journal")
	for name, value := range map[string]string{"bot token": s.BotToken(), "app token": s.AppToken(), "signing secret": s.SigningSecret(), "trigger": d.TriggerID, "response URL": secret, "ticket": "ticket=" + s.AppToken()[:1]} {
		if strings.Contains(body, value) {
			t.Errorf("the journal shows the %s", name)
		}
	}
	if !strings.Contains(body, "chat.postMessage") {
		t.Error("the journal is empty")
	}
}

func get(t *testing.T, address string) (int, string) {
	t.Helper()
	resp, err := http.Get(address)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	var text bytes.Buffer
	if _, err := text.ReadFrom(resp.Body); err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, text.String()
}
