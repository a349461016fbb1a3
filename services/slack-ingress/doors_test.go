package ingress_test

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/alecthomas/kong"
	"go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"

	"github.com/slipway-hq/slipway/domain/grammar"
	"github.com/slipway-hq/slipway/domain/identity"
	commandv1 "github.com/slipway-hq/slipway/gen/slipway/command/v1"
	eventv1 "github.com/slipway-hq/slipway/gen/slipway/event/v1"
	"github.com/slipway-hq/slipway/internal/natsnode/natsnodetest"
	"github.com/slipway-hq/slipway/internal/settings"
	"github.com/slipway-hq/slipway/internal/telemetry"
	"github.com/slipway-hq/slipway/internal/topology"
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

func TestTheSameCommandFiftyTimesIsStoredOnce(t *testing.T) {
	w := newWorld(t, nil)
	w.orchestrate(accepted)
	body := slashForm("1.2.triggersecret", "web to staging")
	var group sync.WaitGroup
	for range 50 {
		group.Go(func() {
			status, answer := w.post("/slack/commands", formType, body, 0, nil)
			if status != 200 || !strings.Contains(answer, `"accepted"`) || !strings.Contains(answer, `"in_channel"`) {
				t.Errorf("%d %q", status, answer)
			}
		})
	}
	group.Wait()
	stored, raw := w.stored()
	if len(stored) != 1 {
		t.Fatalf("%d messages in INBOX, want 1", len(stored))
	}
	for _, hidden := range []string{"triggersecret", "urlsecret", "verification-secret", "secret-of-the-test", "xoxb-"} {
		if bytes.Contains(raw, []byte(hidden)) {
			t.Errorf("%q is in INBOX: %q", hidden, raw)
		}
	}
	if s := stored[0].GetStanding(); !s.GetKnown() || s.GetGuest() || s.GetBot() {
		t.Errorf("standing %v of a member", s)
	}
}

func TestTwoReplicasStoreOneRequestOnce(t *testing.T) {
	w := newWorld(t, nil)
	other, _ := run(t, ingress.Config{SigningSecret: secret(w.slack.SigningSecret())}, ingress.Deps{Conn: natsnodetest.Connect(t, w.node).Conn()})
	second := httptest.NewServer(other.Handler())
	t.Cleanup(second.Close)
	w.orchestrate(accepted)
	body := slashForm("1.2.x", "web to staging")
	var group sync.WaitGroup
	for i := range 20 {
		group.Go(func() {
			status, answer := w.post("/slack/commands", formType, body, 0, func(r *http.Request) {
				if i%2 == 0 {
					r.URL.Host = strings.TrimPrefix(second.URL, "http://")
				}
			})
			if status != 200 || answer == "" {
				t.Errorf("%d %q", status, answer)
			}
		})
	}
	group.Wait()
	if stored, _ := w.stored(); len(stored) != 1 {
		t.Errorf("%d messages in INBOX, want 1", len(stored))
	}
}

func TestGuestsAreMarked(t *testing.T) {
	w := newWorld(t, nil)
	w.orchestrate(accepted)
	d, err := w.slack.SlashCommand(within(t, patience), sandbox.UserGuest, sandbox.ChannelDeploys, "/deploy", "web")
	if err != nil || !d.OK() {
		t.Fatalf("%+v, %v", d, err)
	}
	stored, _ := w.stored()
	if len(stored) != 1 || !stored[0].GetStanding().GetKnown() || !stored[0].GetStanding().GetGuest() {
		t.Errorf("stored %v", stored)
	}
}

func TestBothEventsOfAMentionAreStoredOnceAndAnsweredOnce(t *testing.T) {
	w := newWorld(t, func(s *sandbox.Config, _ *ingress.Config, _ *ingress.Deps) {
		s.Subscriptions = []string{"app_mention", "message.channels", "message.im"}
	})
	w.orchestrate(accepted)
	posted, err := w.slack.Post(within(t, patience), sandbox.UserRequester, sandbox.ChannelDeploys, "@slipway deploy web to staging", "")
	if err != nil || len(posted.Deliveries) != 2 {
		t.Fatalf("%+v, %v", posted, err)
	}
	replies := func() (n int) {
		for _, m := range w.slack.Thread(sandbox.ChannelDeploys, posted.TS) {
			if m.Text == "accepted" {
				n++
			}
		}
		return n
	}
	if err := w.slack.Wait(within(t, patience), func(sandbox.State) bool { return replies() > 0 }); err != nil {
		t.Fatalf("no reply in the thread: %v\n%s", err, w.log)
	}
	for _, d := range posted.Deliveries {
		again, err := w.slack.Redeliver(within(t, patience), d.ID, 5, true)
		if err != nil {
			t.Fatal(err)
		}
		for _, a := range again {
			if a.Status != 200 || a.Body != "" {
				t.Errorf("redelivered: %+v", a)
			}
		}
	}
	stored, _ := w.stored()
	if len(stored) != 1 {
		t.Fatalf("%d messages in INBOX, want 1", len(stored))
	}
	if env := stored[0]; env.GetOrigin().GetMessageTs() != posted.TS || env.GetOrigin().GetDoor() != eventv1.Origin_DOOR_MENTION || env.GetSentence().GetText() != "deploy web to staging" {
		t.Errorf("stored %v", env)
	}
	if err := w.stop(); err != nil { // sends what is queued
		t.Fatal(err)
	}
	if n := replies(); n != 1 {
		t.Errorf("answered %d times", n)
	}
	if v := w.slack.Violations(); len(v) != 0 {
		t.Errorf("violations: %q", v)
	}
}

func TestQueriesAreAnsweredPrivatelyAndNotStored(t *testing.T) {
	w := newWorld(t, nil)
	w.orchestrate(func(*commandv1.Envelope) *commandv1.Answer {
		return &commandv1.Answer{Visibility: commandv1.Answer_VISIBILITY_PRIVATE, Text: "nothing runs"}
	})
	if _, err := w.slack.SlashCommand(within(t, patience), sandbox.UserRequester, sandbox.ChannelDeploys, "/check_status", ""); err != nil {
		t.Fatal(err)
	}
	says := func(text string) func(sandbox.Message) bool {
		return func(m sandbox.Message) bool { return m.Text == text }
	}
	w.sees(sandbox.UserRequester, sandbox.ChannelDeploys, says("nothing runs"))
	if _, err := w.slack.Post(within(t, patience), sandbox.UserApprover, sandbox.ChannelDeploys, "@slipway status", ""); err != nil {
		t.Fatal(err)
	}
	w.sees(sandbox.UserApprover, sandbox.ChannelDeploys, says("nothing runs"))
	if stored, _ := w.stored(); len(stored) != 0 {
		t.Errorf("stored %v", stored)
	}
}

func TestBadTextIsAnsweredPrivately(t *testing.T) {
	w := newWorld(t, nil)
	for _, text := range []string{"frobnicate <!channel>", strings.Repeat("x", 10000), "deploy \x00", "help"} {
		if _, err := w.slack.SlashCommand(within(t, patience), sandbox.UserRequester, sandbox.ChannelGeneral, "/slipway", text); err != nil {
			t.Fatal(err)
		}
	}
	got := w.slack.Ephemerals(sandbox.UserRequester, sandbox.ChannelGeneral)
	if len(got) != 4 {
		t.Fatalf("saw %+v", got)
	}
	for _, m := range got {
		if m.Subtype == "notice" || m.Text == "" || strings.Contains(m.Text, "<!") {
			t.Errorf("saw %+v", m)
		}
	}
	if stored, _ := w.stored(); len(stored) != 0 {
		t.Errorf("stored %v", stored)
	}
}

func pressPayload(action string) string {
	id, value := grammar.EncodePress(grammar.Press{Action: action, Run: "d-abc", Sequence: 3})
	return fmt.Sprintf(`{"type":"block_actions","team":{"id":%q},"user":{"id":%q,"team_id":%q},"trigger_id":"1.triggersecret","container":{"type":"message","message_ts":"5.6","channel_id":%q},`+
		`"channel":{"id":%q},"response_url":"http://127.0.0.1:1/urlsecret","actions":[{"action_id":%q,"block_id":"b","type":"button","value":%q,"action_ts":"7.8"}]}`,
		sandbox.TeamID, sandbox.UserRequester, sandbox.TeamID, sandbox.ChannelDeploys, sandbox.ChannelDeploys, id, value)
}

func TestAPressIsStoredAndAcknowledgedEmpty(t *testing.T) {
	w := newWorld(t, nil)
	status, body := w.post("/slack/interactions", formType, url.Values{"payload": {pressPayload("cancel")}}.Encode(), 0, nil)
	if status != 200 || body != "" {
		t.Errorf("%d %q", status, body)
	}
	stored, raw := w.stored()
	if len(stored) != 1 || stored[0].GetPress().GetAction() != "cancel" || stored[0].GetPress().GetSequence() != 3 {
		t.Fatalf("stored %v", stored)
	}
	if bytes.Contains(raw, []byte("triggersecret")) || bytes.Contains(raw, []byte("urlsecret")) {
		t.Errorf("a secret is in INBOX: %q", raw)
	}
	// Logs are a query: nothing more is stored.
	if status, body := w.post("/slack/interactions", formType, url.Values{"payload": {pressPayload("logs")}}.Encode(), 0, nil); status != 200 || body != "" {
		t.Errorf("%d %q", status, body)
	}
	if stored, _ := w.stored(); len(stored) != 1 {
		t.Errorf("stored %v", stored)
	}
}

func TestAChoiceIsAButtonThatSpeaks(t *testing.T) {
	w := newWorld(t, nil)
	w.orchestrate(func(env *commandv1.Envelope) *commandv1.Answer {
		if env.GetOrigin().GetDoor() == eventv1.Origin_DOOR_BUTTON {
			return &commandv1.Answer{Text: "here: " + env.GetSentence().GetText()}
		}
		return &commandv1.Answer{Text: "which one?", Choices: []*commandv1.Choice{{Label: "web", Sentence: "status web"}}}
	})
	ctx := within(t, patience)
	if _, err := w.slack.SlashCommand(ctx, sandbox.UserRequester, sandbox.ChannelDeploys, "/slipway", "status wb"); err != nil {
		t.Fatal(err)
	}
	shown := w.slack.Ephemerals(sandbox.UserRequester, sandbox.ChannelDeploys)
	if len(shown) != 1 {
		t.Fatalf("saw %+v; violations %q", shown, w.slack.Violations())
	}
	id, _ := grammar.EncodeChoice(0, "")
	if d, err := w.slack.Click(ctx, sandbox.UserRequester, sandbox.ChannelDeploys, shown[0].TS, id); err != nil || !d.OK() {
		t.Fatalf("%+v, %v", d, err)
	}
	w.sees(sandbox.UserRequester, sandbox.ChannelDeploys, func(m sandbox.Message) bool { return m.Text == "here: status web" })
}

// A late answer comes by the response URL, after honest words in time.
func TestALateAnswerFollows(t *testing.T) {
	w := newWorld(t, nil)
	d, err := w.slack.SlashCommand(within(t, patience), sandbox.UserRequester, sandbox.ChannelDeploys, "/deploy", "web to staging")
	if err != nil || !d.OK() || d.Ack > 2500*time.Millisecond {
		t.Fatalf("%+v, %v", d, err)
	}
	stored, _ := w.stored()
	if len(stored) != 1 {
		t.Fatalf("stored %v", stored)
	}
	id := identity.RunID(identity.Deployment, stored[0].GetIdentity())
	w.sees(sandbox.UserRequester, sandbox.ChannelDeploys, func(m sandbox.Message) bool {
		return strings.Contains(m.Text, "stored") && strings.Contains(m.Text, identity.Short(id))
	})
	w.orchestrate(func(*commandv1.Envelope) *commandv1.Answer { return &commandv1.Answer{Text: "late but here"} })
	w.sees(sandbox.UserRequester, sandbox.ChannelDeploys, func(m sandbox.Message) bool { return m.Text == "late but here" })
}

func TestWithoutJetStreamSlackGetsHonestWordsInTime(t *testing.T) {
	w := newWorld(t, nil)
	if err := w.node.Shutdown(within(t, patience)); err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	status, body := w.post("/slack/commands", formType, slashForm("1.2.x", "web to staging"), 0, nil)
	if took := time.Since(began); status != 200 || took > 2800*time.Millisecond {
		t.Errorf("%d after %v", status, took)
	}
	if !strings.Contains(body, "not accepted") && !strings.Contains(body, "not confirm") {
		t.Errorf("answer %q is not honest", body)
	}
	if strings.Contains(body, `"in_channel"`) {
		t.Errorf("answer %q is not private", body)
	}
	began = time.Now()
	d := w.slack.Event(within(t, patience), map[string]any{
		"type": "app_mention", "user": sandbox.UserRequester, "channel": sandbox.ChannelDeploys, "ts": "5.5", "text": "<@" + sandbox.BotUserID + "> deploy web",
	})
	if took := time.Since(began); d.Status < 500 || took > 2800*time.Millisecond {
		t.Errorf("an event gets %d after %v: Slack would not deliver it again", d.Status, took)
	}
	status, body = w.post("/slack/commands", formType, strings.Replace(slashForm("1.3.x", ""), "%2Fdeploy", "%2Fcheck_status", 1), 0, nil)
	if status != 200 || !strings.Contains(body, "cannot reach") {
		t.Errorf("a query gets %d %q", status, body)
	}
	if err := w.svc.Ready(within(t, patience)); err == nil {
		t.Error("ready without JetStream")
	}
}

func TestAFullStoreRefuses(t *testing.T) {
	w := newWorld(t, nil)
	info, err := w.inbox.Info(within(t, patience))
	if err != nil {
		t.Fatal(err)
	}
	cfg := info.Config
	cfg.MaxMsgs = 1
	if _, err := w.js.UpdateStream(within(t, patience), cfg); err != nil {
		t.Fatal(err)
	}
	w.orchestrate(accepted)
	if _, body := w.post("/slack/commands", formType, slashForm("1.1.x", "web"), 0, nil); !strings.Contains(body, "accepted") {
		t.Errorf("first: %q", body)
	}
	status, body := w.post("/slack/commands", formType, slashForm("1.2.x", "web"), 0, nil)
	if status != 200 || !strings.Contains(body, "*not accepted* and nothing was started") {
		t.Errorf("second: %d %q", status, body)
	}
}

func TestOneTraceFromTheRequestOn(t *testing.T) {
	spans := tracetest.NewInMemoryExporter()
	provider := trace.NewTracerProvider(trace.WithSyncer(spans))
	w := newWorld(t, func(_ *sandbox.Config, _ *ingress.Config, d *ingress.Deps) { d.Tracer = provider })
	w.orchestrate(accepted)
	const forged = "00-11111111111111111111111111111111-2222222222222222-01"
	w.post("/slack/commands", formType, slashForm("1.2.x", "web"), 0, func(r *http.Request) { r.Header.Set("Traceparent", forged) })
	stored, _ := w.stored()
	got := spans.GetSpans()
	if len(stored) != 1 || len(got) != 1 || got[0].Name != "slack.request" {
		t.Fatalf("stored %v, spans %v", stored, got)
	}
	id := got[0].SpanContext.TraceID().String()
	if telemetry.TraceID(stored[0].GetTrace()) != id || strings.HasPrefix(id, "1111") {
		t.Errorf("trace %v, span's trace %s", stored[0].GetTrace(), id)
	}
}

func TestConfigurationsThatDoNotStart(t *testing.T) {
	conn := natsnodetest.Connect(t, natsnodetest.One(t)).Conn()
	for name, c := range map[string]struct {
		cfg  ingress.Config
		want error
	}{
		"nothing":              {ingress.Config{}, ingress.ErrNoDoor},
		"only a bot token":     {ingress.Config{BotToken: secret("xoxb-x")}, ingress.ErrNoDoor},
		"empty signing secret": {ingress.Config{SigningSecret: secret("")}, ingress.ErrEmptySecret},
		"blank signing secret": {ingress.Config{SigningSecret: secret(" "), AppToken: secret("xapp-x")}, ingress.ErrEmptySecret},
		"empty second secret":  {ingress.Config{SigningSecret: secret("x"), SecondSigningSecret: secret("")}, ingress.ErrEmptySecret},
		"empty app token":      {ingress.Config{SigningSecret: secret("x"), AppToken: secret("")}, ingress.ErrEmptySecret},
	} {
		if _, err := ingress.New(c.cfg, ingress.Deps{Conn: conn}); !errors.Is(err, c.want) {
			t.Errorf("%s: New = %v, want %v", name, err, c.want)
		}
	}
	if _, err := ingress.New(ingress.Config{SigningSecret: secret("x"), APIURL: "ftp://x"}, ingress.Deps{Conn: conn}); err == nil {
		t.Error("an API URL of another scheme was taken")
	}
}

func TestSettingsComeFromTheEnvironment(t *testing.T) {
	for _, name := range []string{"SLACK_APP_TOKEN", "SLACK_BOT_TOKEN", "SLACK_API_URL"} {
		t.Setenv(name, "http://"+name)
	}
	t.Setenv("SLACK_SIGNING_SECRET", "")
	var cfg ingress.Config
	parser, err := kong.New(&cfg, settings.Options()...)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := parser.Parse(nil); err != nil {
		t.Fatal(err)
	}
	if cfg.SigningSecret == nil || *cfg.SigningSecret != "" || cfg.SecondSigningSecret != nil {
		t.Errorf("set but empty must differ from unset: %v, %v", cfg.SigningSecret, cfg.SecondSigningSecret)
	}
	if *cfg.AppToken != "http://SLACK_APP_TOKEN" || *cfg.BotToken != "http://SLACK_BOT_TOKEN" || cfg.APIURL != "http://SLACK_API_URL" || cfg.DeployCommand != "/deploy" {
		t.Errorf("got %+v", cfg)
	}
	if data, _ := json.Marshal(cfg); bytes.Contains(data, []byte("SLACK_APP_TOKEN")) || strings.Contains(fmt.Sprintf("%+v %v", *cfg.AppToken, *cfg.BotToken), "http") {
		t.Error("a secret shows itself")
	}
}

func TestHandlerIsClosedBeforeAndAfterRunning(t *testing.T) {
	conn := natsnodetest.Connect(t, natsnodetest.One(t)).Conn()
	svc, err := ingress.New(ingress.Config{SigningSecret: secret("x")}, ingress.Deps{Conn: conn})
	if err != nil {
		t.Fatal(err)
	}
	check := func(when string) {
		t.Helper()
		rec := httptest.NewRecorder()
		svc.Handler().ServeHTTP(rec, httptest.NewRequestWithContext(context.Background(), http.MethodPost, "/slack/events", strings.NewReader("{}")))
		if rec.Code != http.StatusServiceUnavailable {
			t.Errorf("%s running: %d", when, rec.Code)
		}
	}
	check("before")
	ctx, cancel := context.WithCancel(context.Background())
	if err := svc.Run(ctx, cancel); err != nil {
		t.Fatal(err)
	}
	check("after")
}

// A listener that never acknowledges stands for a store that hangs. Whoever is
// let in learns that nothing is certain, the rest that nothing was done.
func TestAHangingStoreIsBoundedAndNamedHonestly(t *testing.T) {
	w := newWorld(t, nil)
	if err := w.js.DeleteStream(within(t, patience), topology.StreamInbox); err != nil {
		t.Fatal(err)
	}
	sub, err := w.js.Conn().SubscribeSync(topology.InboxSubject("slash", sandbox.TeamID))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = sub.Unsubscribe() }()
	const crowd = 300 // more than are let in at once
	var (
		group             sync.WaitGroup
		unconfirmed, busy atomic.Int32
	)
	for i := range crowd {
		group.Go(func() {
			began := time.Now()
			status, body := w.post("/slack/commands", formType, slashForm(fmt.Sprintf("%d.x", i), "web to staging"), 0, nil)
			switch {
			case time.Since(began) > 2900*time.Millisecond:
				t.Errorf("answered after %v", time.Since(began))
			case status == http.StatusOK && strings.Contains(body, "*not confirm*") && strings.Contains(body, "d-"):
				unconfirmed.Add(1)
			case status == http.StatusOK && strings.Contains(body, "*not accepted*"), status == http.StatusServiceUnavailable:
				busy.Add(1)
			default:
				t.Errorf("%d %q", status, body)
			}
		})
	}
	group.Wait()
	if unconfirmed.Load() == 0 || busy.Load() == 0 {
		t.Errorf("%d unconfirmed, %d turned away; want both", unconfirmed.Load(), busy.Load())
	}
	t.Logf("%d unconfirmed, %d turned away", unconfirmed.Load(), busy.Load())
}

func TestItRecoversByItselfWhenJetStreamReturns(t *testing.T) {
	w := newWorld(t, nil)
	if err := w.node.Stop(); err != nil {
		t.Fatal(err)
	}
	w.until("not ready", func() bool { return w.svc.Ready(within(t, time.Second)) != nil })
	if err := w.node.Resume(); err != nil {
		t.Fatal(err)
	}
	w.until("ready again", func() bool { return w.svc.Ready(within(t, time.Second)) == nil })
	w.orchestrate(accepted)
	if status, body := w.post("/slack/commands", formType, slashForm("1.2.x", "web to staging"), 0, nil); status != 200 || !strings.Contains(body, `"accepted"`) {
		t.Errorf("%d %q", status, body)
	}
}
