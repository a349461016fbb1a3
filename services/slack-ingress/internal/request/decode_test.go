package request_test

import (
	"bytes"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/slipway-hq/slipway/domain/grammar"
	"github.com/slipway-hq/slipway/services/slack-ingress/internal/request"
)

const (
	formType = "application/x-www-form-urlencoded"
	jsonType = "application/json"
)

var (
	received = time.Unix(1700000000, 0)
	names    = request.Names{"/deploy": "/deploy", "/check_status": "/check_status", "/ship": "/slipway"}
)

func decode(t *testing.T, contentType, body string) request.Delivery {
	t.Helper()
	d, err := request.Decode(contentType, []byte(body), names, received)
	if err != nil {
		t.Fatalf("Decode(%.80q) = %v", body, err)
	}
	return d
}

func slashForm(fields ...string) string {
	form := url.Values{
		"token": {"verification-secret"}, "team_id": {"T1"}, "channel_id": {"C1"}, "user_id": {"U1"}, "command": {"/deploy"},
		"text": {"web to staging"}, "response_url": {"https://hooks.slack.com/commands/T1/1/urlsecret"}, "trigger_id": {"1.2.triggersecret"},
	}
	for i := 0; i < len(fields); i += 2 {
		form.Set(fields[i], fields[i+1])
	}
	return form.Encode()
}

// secrets of the test payloads; none may appear in an Envelope.
var secrets = []string{"verification-secret", "urlsecret", "triggersecret"}

func assertNoSecret(t *testing.T, req *request.Request) {
	t.Helper()
	data, err := proto.Marshal(req.Envelope)
	if err != nil {
		t.Fatal(err)
	}
	for _, secret := range secrets {
		if bytes.Contains(data, []byte(secret)) {
			t.Errorf("%q is in the envelope %q", secret, data)
		}
	}
}

func TestSlashCommandBecomesARequest(t *testing.T) {
	req := decode(t, formType, slashForm()).Request
	if req == nil || req.Kind != request.Slash {
		t.Fatalf("got %+v, want a slash command", req)
	}
	env := req.Envelope
	if env.GetSentence().GetCommand() != "/deploy" || env.GetSentence().GetText() != "web to staging" {
		t.Errorf("sentence %v", env.GetSentence())
	}
	if env.GetPrincipal().GetTeam() != "T1" || env.GetPrincipal().GetUser() != "U1" || env.GetOrigin().GetChannel() != "C1" {
		t.Errorf("principal %v, origin %v", env.GetPrincipal(), env.GetOrigin())
	}
	if req.Reply.ResponseURL == "" || !strings.HasPrefix(env.GetIdentity(), "slash|T1|") {
		t.Errorf("reply %+v, identity %q", req.Reply, env.GetIdentity())
	}
	assertNoSecret(t, req)
}

func TestSlashCommandsAreToldApartByTriggerAlone(t *testing.T) {
	one := decode(t, formType, slashForm()).Request.Envelope.GetIdentity()
	again := decode(t, formType, slashForm("text", "other", "channel_id", "C2")).Request.Envelope.GetIdentity()
	other := decode(t, formType, slashForm("trigger_id", "9.9.x")).Request.Envelope.GetIdentity()
	if one != again || one == other {
		t.Errorf("identities %q, %q, %q", one, again, other)
	}
}

func TestRenamedCommandsAreCanonical(t *testing.T) {
	if got := decode(t, formType, slashForm("command", "/ship")).Request.Envelope.GetSentence().GetCommand(); got != "/slipway" {
		t.Errorf("command %q, want /slipway", got)
	}
	if got := decode(t, formType, slashForm("command", "/slipway")).Ignored; got != request.UnknownCommand {
		t.Errorf("ignored %q, want an unknown command", got)
	}
}

func TestInvalidTextIsStillStorable(t *testing.T) {
	req := decode(t, formType, slashForm("text", "a\xff\x00<!channel>")).Request
	assertNoSecret(t, req)
	if got := req.Envelope.GetSentence().GetText(); got != "a\uFFFD\x00<!channel>" {
		t.Errorf("text %q", got)
	}
}

func TestBodiesThatAreMalformed(t *testing.T) {
	for _, c := range [][2]string{
		{jsonType, `{"type":`}, {jsonType, ""}, {jsonType, "not json"}, {jsonType, `{"type":"event_callback"} trailing`},
		{formType, ""}, {formType, "%zz"}, {formType, "a=b"}, {formType, "payload={"}, {formType, "payload=%7B%7D&payload=%7B%7D"},
		{formType, "payload="}, {formType, slashForm("trigger_id", "")}, {formType, slashForm("team_id", "")}, {formType, slashForm("user_id", "")},
		{formType, slashForm() + "&payload=%7B%7D&payload=x"}, {"", "garbage"},
	} {
		if d, err := request.Decode(c[0], []byte(c[1]), names, received); !errors.Is(err, request.ErrMalformed) {
			t.Errorf("Decode(%q, %.60q) = %+v, %v; want ErrMalformed", c[0], c[1], d, err)
		}
	}
}

func TestOnlyAnUnconcernedFormIsAProbe(t *testing.T) {
	for _, c := range []struct {
		contentType, body string
		want              bool
	}{
		{formType, "ssl_check=1&token=x", true}, {formType, "ssl_check=0", false}, {formType, "", false}, {formType, "text=ssl_check%3D1", false},
		{jsonType, `{"ssl_check":1}`, false}, {jsonType, "ssl_check=1", false},
	} {
		if got := request.IsProbe(c.contentType, []byte(c.body)); got != c.want {
			t.Errorf("IsProbe(%q, %q) = %v", c.contentType, c.body, got)
		}
	}
}

func eventBody(event string) string {
	return `{"token":"verification-secret","type":"event_callback","team_id":"T1","api_app_id":"A1","event_id":"Ev1","event":` + event +
		`,"authorizations":[{"enterprise_id":null,"team_id":"T1","user_id":"UBOT","is_bot":true,"is_enterprise_install":false}]}`
}

const mention = `{"type":"app_mention","user":"U1","text":"<@UBOT> deploy web to staging","ts":"1.2","channel":"C1","team":"T1","event_ts":"1.2"}`

func TestMentionBecomesARequest(t *testing.T) {
	req := decode(t, jsonType, eventBody(mention)).Request
	if req == nil || req.Kind != request.Mention {
		t.Fatalf("got %+v, want a mention", req)
	}
	env := req.Envelope
	if env.GetIdentity() != "message|T1|C1|1.2" {
		t.Errorf("identity %q", env.GetIdentity())
	}
	if env.GetSentence().GetCommand() != "@" || env.GetSentence().GetText() != "deploy web to staging" {
		t.Errorf("sentence %v", env.GetSentence())
	}
	if env.GetOrigin().GetMessageTs() != "1.2" || env.GetOrigin().GetThreadTs() != "" || req.Reply.Thread != "1.2" || req.Reply.AskedIn != "" {
		t.Errorf("origin %v, reply %+v", env.GetOrigin(), req.Reply)
	}
	assertNoSecret(t, req)
}

func TestBothEventsOfOneMentionAreOneRequest(t *testing.T) {
	a := decode(t, jsonType, eventBody(mention)).Request
	b := decode(t, jsonType, strings.Replace(eventBody(strings.Replace(mention, "app_mention", "message", 1)), "Ev1", "Ev2", 1)).Request
	if !proto.Equal(a.Envelope, b.Envelope) {
		t.Errorf("the two differ:\n%v\n%v", a.Envelope, b.Envelope)
	}
}

func TestDirectMessageNeedsNoName(t *testing.T) {
	req := decode(t, jsonType, eventBody(`{"type":"message","channel_type":"im","user":"U1","text":"status","ts":"1.2","channel":"D1"}`)).Request
	if req == nil || req.Envelope.GetSentence().GetText() != "status" || req.Envelope.GetPrincipal().GetTeam() != "T1" {
		t.Errorf("got %+v", req)
	}
}

func TestMentionInAThreadStaysThere(t *testing.T) {
	req := decode(t, jsonType, eventBody(strings.Replace(mention, `"ts":"1.2"`, `"ts":"1.2","thread_ts":"1.1"`, 1))).Request
	if req.Envelope.GetOrigin().GetThreadTs() != "1.1" || req.Reply.Thread != "1.1" || req.Reply.AskedIn != "1.1" {
		t.Errorf("origin %v, reply %+v", req.Envelope.GetOrigin(), req.Reply)
	}
}

func TestStrangersKeepTheirOwnTeam(t *testing.T) {
	foreign := strings.Replace(mention, `"team":"T1"`, `"team":"T1","user_team":"T9"`, 1)
	shared := func(event string) string {
		return strings.Replace(eventBody(event), `"api_app_id"`, `"is_ext_shared_channel":true,"api_app_id"`, 1)
	}
	for name, c := range map[string][2]string{
		"named":            {eventBody(foreign), "T9"},
		"unnamed, shared":  {shared(strings.Replace(mention, `"team":"T1",`, "", 1)), ""},
		"unnamed, private": {eventBody(strings.Replace(mention, `"team":"T1",`, "", 1)), "T1"},
	} {
		env := decode(t, jsonType, c[0]).Request.Envelope
		if env.GetPrincipal().GetTeam() != c[1] || env.GetOrigin().GetTeam() != "T1" {
			t.Errorf("%s: principal %v, origin %v; want team %q", name, env.GetPrincipal(), env.GetOrigin(), c[1])
		}
	}
}

func TestDeliveriesWithoutEffect(t *testing.T) {
	with := func(field string) string { return eventBody(strings.Replace(mention, `{`, "{"+field+",", 1)) }
	for name, body := range map[string]string{
		"rate limited":       `{"token":"x","type":"app_rate_limited","team_id":"T1","minute_rate_limited":1,"api_app_id":"A1"}`,
		"null event":         eventBody("null"),
		"no event":           `{"type":"event_callback","team_id":"T1"}`,
		"event a string":     eventBody(`"x"`),
		"event a list":       eventBody(`[1]`),
		"text a number":      eventBody(strings.Replace(mention, `"<@UBOT> deploy web to staging"`, "5", 1)),
		"unknown type":       eventBody(`{"type":"something_of_tomorrow","user":"U1","ts":"1.2","channel":"C1"}`),
		"app home":           eventBody(`{"type":"app_home_opened","user":"U1","channel":"D1","tab":"home"}`),
		"changed":            with(`"subtype":"message_changed"`),
		"deleted":            with(`"subtype":"message_deleted"`),
		"broadcast":          with(`"subtype":"thread_broadcast"`),
		"bot subtype":        with(`"subtype":"bot_message"`),
		"bot id":             with(`"bot_id":"B1"`),
		"app id":             with(`"app_id":"A1"`),
		"edited":             with(`"edited":{"user":"U1","ts":"1.3"}`),
		"ourselves":          eventBody(strings.Replace(mention, `"U1"`, `"UBOT"`, 1)),
		"slackbot":           eventBody(strings.Replace(mention, `"U1"`, `"USLACKBOT"`, 1)),
		"nobody":             eventBody(strings.Replace(mention, `"user":"U1",`, "", 1)),
		"no channel":         eventBody(strings.Replace(mention, `"channel":"C1",`, "", 1)),
		"talk":               eventBody(`{"type":"message","user":"U1","text":"deploy web","ts":"1.2","channel":"C1","channel_type":"channel"}`),
		"talk about us":      eventBody(`{"type":"message","user":"U1","text":"ask <@UBOT> deploy","ts":"1.2","channel":"C1","channel_type":"channel"}`),
		"empty challenge":    `{"type":"url_verification"}`,
		"a list":             `[]`,
		"null":               `null`,
		"a number":           `5`,
		"envelope odd types": `{"type":5,"event":{}}`,
	} {
		d, err := request.Decode(jsonType, []byte(body), names, received)
		if err != nil || d.Ignored == "" || d.Request != nil {
			t.Errorf("%s: %+v, %v; want it ignored", name, d, err)
		}
	}
}

func TestFileWithTextIsAMessage(t *testing.T) {
	body := eventBody(strings.Replace(mention, `{`, `{"subtype":"file_share","files":[{"id":"F1"}],`, 1))
	if decode(t, jsonType, body).Request == nil {
		t.Error("a text beside a file was dropped")
	}
}

func TestChallengeIsEchoed(t *testing.T) {
	if got := decode(t, jsonType, `{"token":"x","challenge":"abc","type":"url_verification"}`).Challenge; got != "abc" {
		t.Errorf("challenge %q", got)
	}
}

func interactionBody(kind, actions string) string {
	return `{"type":"` + kind + `","token":"verification-secret","trigger_id":"1.2.triggersecret","team":{"id":"T1","domain":"x"},"user":{"id":"U1","team_id":"T1"},` +
		`"container":{"type":"message","message_ts":"5.6","channel_id":"C1"},"channel":{"id":"C1"},"message":{"ts":"5.6","thread_ts":"5.5"},` +
		`"response_url":"https://hooks.slack.com/actions/T1/1/urlsecret","state":{"values":{}},"actions":` + actions + `}`
}

func button(id, value string) string {
	return fmt.Sprintf(`[{"action_id":%q,"block_id":"b","type":"button","value":%q,"action_ts":"7.8"}]`, id, value)
}

func TestPressBecomesARequest(t *testing.T) {
	id, value := grammar.EncodePress(grammar.Press{Action: "cancel", Run: "d-abc", Sequence: 12, Extra: "x"})
	req := decode(t, formType, url.Values{"payload": {interactionBody("block_actions", button(id, value))}}.Encode()).Request
	if req == nil || req.Kind != request.Press {
		t.Fatalf("got %+v, want a press", req)
	}
	p := req.Envelope.GetPress()
	if p.GetAction() != "cancel" || p.GetRun() != "d-abc" || p.GetSequence() != 12 || p.GetValue() != "x" {
		t.Errorf("press %v", p)
	}
	if got := req.Envelope.GetIdentity(); got != "press|T1|C1|5.6|slipway:cancel|7.8|U1" {
		t.Errorf("identity %q", got)
	}
	if o := req.Envelope.GetOrigin(); o.GetMessageTs() != "" || o.GetThreadTs() != "5.5" || req.Reply.Thread != "5.5" {
		t.Errorf("origin %v, reply %+v", o, req.Reply)
	}
	assertNoSecret(t, req)
}

func TestChoiceBecomesASentence(t *testing.T) {
	id, value := grammar.EncodeChoice(0, "deploy web to staging")
	req := decode(t, formType, url.Values{"payload": {interactionBody("block_actions", button(id, value))}}.Encode()).Request
	if req == nil || req.Envelope.GetSentence().GetCommand() != "/slipway" || req.Envelope.GetSentence().GetText() != "deploy web to staging" {
		t.Errorf("got %+v", req)
	}
}

func TestPressOfAStrangerShows(t *testing.T) {
	id, value := grammar.EncodePress(grammar.Press{Action: "cancel", Run: "d-abc"})
	body := strings.Replace(interactionBody("block_actions", button(id, value)), `"team_id":"T1"`, `"team_id":"T9"`, 1)
	env := decode(t, formType, url.Values{"payload": {body}}.Encode()).Request.Envelope
	if env.GetPrincipal().GetTeam() != "T9" || env.GetOrigin().GetTeam() != "T1" {
		t.Errorf("principal %v, origin %v", env.GetPrincipal(), env.GetOrigin())
	}
}

func TestInteractionsWithoutEffect(t *testing.T) {
	for name, payload := range map[string]string{
		"foreign button":  interactionBody("block_actions", button("a", "b")),
		"mangled value":   interactionBody("block_actions", button("slipway:cancel", "d-abc")),
		"no actions":      interactionBody("block_actions", "[]"),
		"null actions":    interactionBody("block_actions", "null"),
		"view submission": interactionBody("view_submission", "[]"),
		"view closed":     interactionBody("view_closed", "[]"),
		"shortcut":        interactionBody("shortcut", "[]"),
		"message action":  interactionBody("message_action", "[]"),
		"of tomorrow":     interactionBody("something_new", "[]"),
		"no action_ts":    interactionBody("block_actions", `[{"action_id":"slipway:cancel","value":"d-abc|1|"}]`),
		"odd types":       `{"type":5}`,
	} {
		d, err := request.Decode(formType, []byte(url.Values{"payload": {payload}}.Encode()), names, received)
		if err != nil || d.Ignored == "" {
			t.Errorf("%s: %+v, %v; want it ignored", name, d, err)
		}
	}
	if d := decode(t, formType, url.Values{"payload": {interactionBody("block_suggestion", "[]")}}.Encode()); !d.Suggestion {
		t.Errorf("suggestion: %+v", d)
	}
}

func FuzzDecodeNeverPanics(f *testing.F) {
	f.Add(jsonType, []byte(eventBody(mention)))
	f.Add(formType, []byte(slashForm()))
	f.Add(formType, []byte(url.Values{"payload": {interactionBody("block_actions", button("slipway:cancel", "d|1|"))}}.Encode()))
	f.Fuzz(func(t *testing.T, contentType string, body []byte) {
		d, err := request.Decode(contentType, body, names, received)
		if err == nil && d.Request != nil {
			request.Judge(d.Request.Envelope)
			if _, err := proto.Marshal(d.Request.Envelope); err != nil {
				t.Errorf("not storable: %v", err)
			}
		}
	})
}
