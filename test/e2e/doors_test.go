package e2e

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/slipway-hq/slipway/sandbox"
	"github.com/slipway-hq/slipway/test/internal/world"
)

const form = "application/x-www-form-urlencoded"

// knock sends a request to a door as anybody can; sign adds headers.
func knock(t *testing.T, w *world.World, path, media, body string, sign func(http.Header)) (int, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://"+w.Address()+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", media)
	if sign != nil {
		sign(req.Header)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(text)
}

func TestTheDoorsRefuseWhatIsNotSlacks(t *testing.T) {
	w := up(t, three)
	command := url.Values{
		"team_id": {sandbox.TeamID}, "channel_id": {sandbox.ChannelDeploys}, "user_id": {sandbox.UserRequester},
		"command": {"/deploy"}, "text": {"web to staging"}, "trigger_id": {"1.1.x"},
	}.Encode()
	signed := func(secret string, at time.Time, body string) func(http.Header) {
		return func(h http.Header) {
			stamp := strconv.FormatInt(at.Unix(), 10)
			h.Set("X-Slack-Request-Timestamp", stamp)
			h.Set("X-Slack-Signature", sandbox.Sign(secret, stamp, []byte(body)))
		}
	}
	now, secret := time.Now(), w.Slack.SigningSecret()
	for name, c := range map[string]struct {
		path, media, body string
		sign              func(http.Header)
		want              int
	}{
		"no signature":     {"/slack/commands", form, command, nil, 401},
		"wrong secret":     {"/slack/commands", form, command, signed("wrong", now, command), 401},
		"empty secret":     {"/slack/commands", form, command, signed("", now, command), 401},
		"another body":     {"/slack/commands", form, command + "&x=1", signed(secret, now, command), 401},
		"stale":            {"/slack/commands", form, command, signed(secret, now.Add(-6*time.Minute), command), 401},
		"from the future":  {"/slack/events", form, command, signed(secret, now.Add(6*time.Minute), command), 401},
		"malformed":        {"/slack/commands", form, command, func(h http.Header) { h.Set("X-Slack-Request-Timestamp", "soon"); h.Set("X-Slack-Signature", "v0=zz") }, 401},
		"too large":        {"/slack/events", "application/json", strings.Repeat(" ", 1<<20+1), nil, 413},
		"broken JSON":      {"/slack/events", "application/json", `{"type":`, signed(secret, now, `{"type":`), 400},
		"challenge":        {"/slack/events", "application/json", `{"type":"url_verification","challenge":"abc"}`, signed(secret, now, `{"type":"url_verification","challenge":"abc"}`), 200},
		"unknown event":    {"/slack/events", "application/json", `{"type":"event_callback","event":{"type":"new"}}`, signed(secret, now, `{"type":"event_callback","event":{"type":"new"}}`), 200},
		"null event":       {"/slack/events", "application/json", `{"type":"event_callback","event":null}`, signed(secret, now, `{"type":"event_callback","event":null}`), 200},
		"rate limited":     {"/slack/events", "application/json", `{"type":"app_rate_limited"}`, signed(secret, now, `{"type":"app_rate_limited"}`), 200},
		"ssl_check":        {"/slack/commands", form, "ssl_check=1&token=x", nil, 200},
		"payload in query": {"/slack/interactions?payload=%7B%7D", form, "a=b", signed(secret, now, "a=b"), 400},
	} {
		status, text := knock(t, w, c.path, c.media, c.body, c.sign)
		if status != c.want {
			t.Errorf("%s: %d %s, want %d", name, status, text, c.want)
		}
		if name == "challenge" && !strings.Contains(text, "abc") {
			t.Errorf("the challenge is answered %q", text)
		}
	}
	if runs := w.All(); len(runs) != 0 {
		t.Errorf("%d runs were started", len(runs))
	}
	status, text := knock(t, w, "/slack/events", form, command, signed(secret, now, command))
	if status != http.StatusOK || world.IDIn(text) == "" {
		t.Errorf("the same, signed, at the door for events: %d %s", status, text)
	}
	w.Succeeded(w.All()[0].GetId())
}

func TestSlackAwayHoldsNothingUpAndCardsCatchUp(t *testing.T) {
	w := up(t, three)
	w.Slack.Faults().Set(sandbox.Fault{Kind: sandbox.ServerError})
	var ids []string
	for n := range 3 {
		ids = append(ids, w.Ask(fmt.Sprintf("web@v%d to staging", n)))
	}
	for _, id := range ids {
		w.Succeeded(id)
		if cards := w.Cards(id); len(cards) > 0 {
			t.Errorf("%s has a card while Slack is away", id)
		}
	}
	w.Slack.Faults().Heal()
	for _, id := range ids {
		w.JudgeCard(w.Get(id))
	}
}

func TestAPostWhoseAnswerIsLostIsNotRepeated(t *testing.T) {
	w := up(t, three)
	w.Slack.Faults().Set(sandbox.Fault{Kind: sandbox.LostAfter, Method: "chat.postMessage", Times: 1})
	id := w.Ask("web to staging")
	w.JudgeCard(w.Succeeded(id))
	if w.Slack.Faults().Hits() != 1 {
		t.Errorf("%d posts were struck", w.Slack.Faults().Hits())
	}
}

func TestMetricsAndLogsKnowNoSecret(t *testing.T) {
	t.Parallel()
	w := world.New(t, world.Env("SLIPWAY_LOG_LEVEL", "debug"))
	w.Configure(w.Pipelines(three(w)))
	p := w.Up()
	d := w.Command("/deploy", "web to staging")
	r := w.Succeeded(w.Get(world.IDIn(d.Body)).GetId())
	w.JudgeCard(r)
	resp, err := w.HTTP.Get("http://localhost/metrics")
	if err != nil {
		t.Fatal(err)
	}
	metrics, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	for place, text := range map[string]string{"log": p.Output(), "metrics": string(metrics), "events": eventText(w, r.GetId())} {
		for name, secret := range map[string]string{"token": w.Slack.BotToken(), "signing secret": w.Slack.SigningSecret(), "trigger id": d.TriggerID, "response URL": d.ResponseURL} {
			if secret != "" && strings.Contains(text, secret) {
				t.Errorf("the %s is in the %s", name, place)
			}
		}
	}
	if !bytes.Contains(metrics, []byte("slipway")) {
		t.Error("no metric of ours")
	}
}
