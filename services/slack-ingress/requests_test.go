package ingress_test

import (
	"bytes"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"

	"github.com/slipway-hq/slipway/domain/grammar"
	"github.com/slipway-hq/slipway/domain/identity"
	commandv1 "github.com/slipway-hq/slipway/gen/slipway/command/v1"
	eventv1 "github.com/slipway-hq/slipway/gen/slipway/event/v1"
	"github.com/slipway-hq/slipway/internal/natsnode/natsnodetest"
	"github.com/slipway-hq/slipway/internal/telemetry"
	"github.com/slipway-hq/slipway/sandbox"
	ingress "github.com/slipway-hq/slipway/services/slack-ingress"
)

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

func TestGuestsWhoOnlyAskAreMarkedToo(t *testing.T) {
	w := newWorld(t, nil)
	asked := make(chan *commandv1.Envelope, 1)
	w.orchestrate(func(env *commandv1.Envelope) *commandv1.Answer {
		asked <- env
		return &commandv1.Answer{Visibility: commandv1.Answer_VISIBILITY_PRIVATE, Text: "nothing runs"}
	})
	if _, err := w.slack.SlashCommand(within(t, patience), sandbox.UserGuest, sandbox.ChannelDeploys, "/check_status", ""); err != nil {
		t.Fatal(err)
	}
	if s := (<-asked).GetStanding(); !s.GetKnown() || !s.GetGuest() {
		t.Errorf("asked as %v", s)
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
	for _, text := range []string{"frobnicate! <!channel>", strings.Repeat("x", 10000), "deploy \x00", "help"} {
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

// A reminder speaks for nobody whom Slack could be asked about, or who could be
// answered in private: its standing stays, and the answer is public.
func TestAReminderIsStoredAsOneAndAnsweredInPublic(t *testing.T) {
	w := newWorld(t, nil)
	w.orchestrate(func(*commandv1.Envelope) *commandv1.Answer {
		return &commandv1.Answer{Visibility: commandv1.Answer_VISIBILITY_PRIVATE, Text: "not like that"}
	})
	said, err := w.slack.Post(within(t, patience), sandbox.UserRequester, sandbox.ChannelDeploys, "something to answer under", "")
	if err != nil {
		t.Fatal(err)
	}
	body := fmt.Sprintf(`{"type":"event_callback","team_id":%q,"event_id":"Ev1","authorizations":[{"team_id":%q,"user_id":"UBOT","is_bot":true}],`+
		`"event":{"type":"message","user":"USLACKBOT","text":"Reminder: <@UBOT|slipway> web fetch <https://x.io/>.","ts":%q,"channel":%q}}`,
		sandbox.TeamID, sandbox.TeamID, said.TS, sandbox.ChannelDeploys)
	if status, answer := w.post("/slack/events", "application/json", body, 0, nil); status != 200 {
		t.Fatalf("%d %q", status, answer)
	}
	w.until("answered in its thread", func() bool {
		return slices.ContainsFunc(w.slack.Thread(sandbox.ChannelDeploys, said.TS), func(m sandbox.Message) bool { return m.Text == "not like that" })
	})
	stored, _ := w.stored()
	if len(stored) != 1 || !stored[0].GetStanding().GetReminder() || stored[0].GetOrigin().GetDoor() != eventv1.Origin_DOOR_REMINDER {
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
