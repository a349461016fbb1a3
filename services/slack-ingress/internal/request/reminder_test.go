package request_test

import (
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"

	"github.com/slipway-hq/slipway/domain/grammar"
	eventv1 "github.com/slipway-hq/slipway/gen/slipway/event/v1"
)

func messageEvent(fields string) string {
	return `{"ts":"1.2","channel":"C1","event_ts":"1.2",` + fields + `}`
}

// textOf is the sentence that an event becomes, and what the grammar makes of it.
func textOf(t *testing.T, event string) (string, grammar.Sentence, error) {
	t.Helper()
	req := decode(t, jsonType, eventBody(event)).Request
	if req == nil {
		t.Fatalf("%s is no request", event)
	}
	text := req.Envelope.GetSentence().GetText()
	s, err := grammar.Parse(req.Envelope.GetSentence().GetCommand(), text)
	return text, s, err
}

// B02–B04, A25: anything may stand before our name, lines too; nothing on lines
// after it; others may be named behind it.
func TestTheSentenceStandsBehindOurLastName(t *testing.T) {
	for text, want := range map[string]string{
		"<@UBOT> web deploy":                         "deploy",
		"please <@UBOT|slipway>: web deploy.":        "deploy",
		"a line\\n<@U2> and <@UBOT> web tell <@U3>":  "tell @U3",
		"<@UBOT|slipway> web get <https://x.io/a|b>": "get https://x.io/a",
		"<@UBOT> web a <@UBOT> web b":                "b",
	} {
		raw, s, err := textOf(t, messageEvent(`"type":"app_mention","user":"U1","text":"`+text+`"`))
		if err != nil || s.Namespace != "web" || s.Text != want {
			t.Errorf("%q became %q, %+v, %v", text, raw, s, err)
		}
	}
	if _, _, err := textOf(t, messageEvent(`"type":"app_mention","user":"U1","text":"<@UBOT> web deploy\nand more"`)); err == nil || !strings.Contains(err.Error(), "one line") {
		t.Errorf("two lines: %v", err)
	}
}

// B03: in private the name may be left out, and the rest may name others.
func TestDirectMessagesWithAndWithoutOurName(t *testing.T) {
	for _, text := range []string{"web tell <@U3>", "<@UBOT> web tell <@U3>", "so, <@UBOT>, web tell <@U3>"} {
		_, s, err := textOf(t, messageEvent(`"type":"message","channel_type":"im","user":"U1","text":"`+text+`"`))
		if err != nil || s.Text != "tell @U3" {
			t.Errorf("%q: %+v, %v", text, s, err)
		}
	}
}

// B05: Slack's reminder posts run jobs, a URL as argument included.
func TestRemindersAreRequestsOfTheReminder(t *testing.T) {
	const text = `"text":"Reminder: <@UBOT|slipway> web fetch <https://x.io/a?b=1&amp;c=2>."`
	var first *eventv1.Origin
	for _, event := range []string{
		messageEvent(`"type":"message","user":"USLACKBOT",` + text),
		messageEvent(`"type":"message","subtype":"bot_message","user":"USLACKBOT","bot_id":"B01",` + text),
		messageEvent(`"type":"app_mention","subtype":"bot_message","bot_id":"B01","username":"slackbot",` + text),
		messageEvent(`"type":"app_mention","user":"USLACKBOT","team":"T1",` + text),
	} {
		req := decode(t, jsonType, eventBody(event)).Request
		if req == nil {
			t.Fatalf("%s is no request", event)
		}
		env := req.Envelope
		if first == nil {
			first = env.GetOrigin()
		}
		if !env.GetStanding().GetKnown() || !env.GetStanding().GetReminder() || env.GetOrigin().GetDoor() != eventv1.Origin_DOOR_REMINDER ||
			env.GetPrincipal().GetUser() != "USLACKBOT" || env.GetIdentity() != "message|T1|C1|1.2" || !proto.Equal(first, env.GetOrigin()) {
			t.Errorf("%s: %v", event, env)
		}
		if _, s, err := textOf(t, event); err != nil || s.Namespace != "web" || s.Text != "fetch https://x.io/a?b=1&c=2" {
			t.Errorf("%s: %+v, %v", event, s, err)
		}
		assertNoSecret(t, req)
	}
}

// W17: whatever else a bot says, and whoever else says "Reminder", is not one.
func TestOnlySlacksReminderIsOne(t *testing.T) {
	const text = `"text":"Reminder: <@UBOT> web deploy"`
	for _, event := range []string{
		messageEvent(`"type":"message","user":"U9","bot_id":"B9",` + text),
		messageEvent(`"type":"message","subtype":"bot_message","bot_id":"B9","username":"slackbot",` + text),
		messageEvent(`"type":"message","user":"U9","bot_id":"B01",` + text),
		messageEvent(`"type":"message","user":"USLACKBOT","app_id":"A9",` + text),
		messageEvent(`"type":"message","user":"USLACKBOT","subtype":"message_changed",` + text),
		messageEvent(`"type":"message","user":"USLACKBOT","edited":{"user":"U1","ts":"2.0"},` + text),
		messageEvent(`"type":"message","user":"USLACKBOT","text":"<@UBOT> web deploy"`),
		messageEvent(`"type":"message","user":"USLACKBOT","text":"Reminder: web deploy"`),
		messageEvent(`"type":"message","user":"USLACKBOT","text":"Reminder: <@U2> web deploy"`),
	} {
		if d := decode(t, jsonType, eventBody(event)); d.Request != nil || d.Ignored == "" {
			t.Errorf("%s: %+v", event, d.Request.Envelope)
		}
	}
	req := decode(t, jsonType, eventBody(messageEvent(`"type":"app_mention","user":"U1",`+text))).Request
	if req == nil || req.Envelope.GetStanding() != nil || req.Envelope.GetOrigin().GetDoor() != eventv1.Origin_DOOR_MENTION {
		t.Errorf("a person's reminder became %+v", req)
	}
}

func TestAChangedAccountIsToldByItsID(t *testing.T) {
	d := decode(t, jsonType, eventBody(`{"type":"user_change","user":{"id":"U7","is_restricted":true},"event_ts":"1.2"}`))
	if d.Person != "U7" || d.Request != nil || d.Ignored != "" {
		t.Errorf("delivery %+v", d)
	}
	if d := decode(t, jsonType, eventBody(`{"type":"user_change","user":{}}`)); d.Person != "" || d.Ignored == "" {
		t.Errorf("delivery %+v", d)
	}
}
