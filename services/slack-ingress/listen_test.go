package ingress_test

import (
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	commandv1 "github.com/slipway-hq/slipway/gen/slipway/command/v1"
	eventv1 "github.com/slipway-hq/slipway/gen/slipway/event/v1"
	"github.com/slipway-hq/slipway/sandbox"
	ingress "github.com/slipway-hq/slipway/services/slack-ingress"
)

const listenersConfig = `
namespaces:
  crew:
    jobs:
      answer: { run: "true" }
      update: { run: "true {build}", params: { build: { default: none } } }
    listen:
      roll-call: { match: roll call, job: answer }
      here: { match: here, job: answer, channels: ["#general"] }
      edits: { match: 'now (?P<build>\w+)', job: update, edits: true }
      gone: { match: never mind, job: answer, deletes: true }
      green: { match: '.*#(?P<build>\d+) passed.*', job: update, attachments: true, from: { bots: [B0CI, A0CI] } }
`

func newListeners(t *testing.T) *world {
	t.Helper()
	config := filepath.Join(t.TempDir(), "slipway.yaml")
	write(t, config, listenersConfig)
	w := newWorld(t, func(stand *sandbox.Config, cfg *ingress.Config, _ *ingress.Deps) {
		cfg.File = config
		stand.Subscriptions = []string{"app_mention", "message.im", "message.channels"}
	})
	w.until("listed", func() bool { return strings.Contains(w.log.String(), "channels listed") })
	return w
}

// caught returns what is stored for listeners: which, and the parts of the match.
func (w *world) caught() (out []string) {
	w.t.Helper()
	envelopes, raw := w.stored()
	for _, e := range envelopes {
		if c := e.GetCaught(); c != nil {
			out = append(out, e.GetIdentity()+" "+c.GetParts()["build"])
		}
	}
	if strings.Contains(string(raw), "secret sauce") {
		w.t.Error("the text of a message is stored")
	}
	return out
}

func TestMessagesThatFitAreStoredOnceForTheirListener(t *testing.T) {
	w := newListeners(t)
	const in = sandbox.ChannelDeploys
	ts := w.says(sandbox.UserRequester, in, "Roll Call")
	w.says(sandbox.UserRequester, in, "a roll call is when everybody answers")
	w.says(sandbox.UserRequester, in, "here")
	there := w.says(sandbox.UserGuest, sandbox.ChannelGeneral, "here")
	w.says(sandbox.UserRequester, in, "<@"+sandbox.BotUserID+"> roll call")
	want := []string{"listen|" + sandbox.TeamID + "|" + in + "|" + ts + "|crew/roll-call ", "listen|" + sandbox.TeamID + "|" + sandbox.ChannelGeneral + "|" + there + "|crew/here "}
	if got := w.caught(); !slices.Equal(got, want) {
		t.Fatalf("caught %q, want %q", got, want)
	}
	envelopes, _ := w.stored()
	e := envelopes[0]
	if e.GetOrigin().GetDoor() != eventv1.Origin_DOOR_LISTEN || e.GetOrigin().GetMessageTs() != ts || e.GetPrincipal().GetUser() != sandbox.UserRequester || !e.GetStanding().GetKnown() {
		t.Errorf("stored %v", e)
	}
	if guest := envelopes[1].GetStanding(); !guest.GetGuest() {
		t.Errorf("a guest is stored as %v", guest)
	}
}

func TestEditsAndRemovalsCountWhereTheListenerSaysSo(t *testing.T) {
	w := newListeners(t)
	const in = sandbox.ChannelDeploys
	plain := w.says(sandbox.UserRequester, in, "something")
	edit := func(ts, text string) {
		t.Helper()
		if _, err := w.slack.Edit(within(t, patience), sandbox.UserRequester, in, ts, text); err != nil {
			t.Fatal(err)
		}
	}
	edit(plain, "roll call") // its listener takes no edits
	edit(plain, "now blue")
	edit(plain, "now green")
	edit(plain, "not any more")
	mind := w.says(sandbox.UserRequester, in, "never mind")
	if _, err := w.slack.Delete(within(t, patience), sandbox.UserRequester, in, mind); err != nil {
		t.Fatal(err)
	}
	gone := w.says(sandbox.UserRequester, in, "roll call")
	if _, err := w.slack.Delete(within(t, patience), sandbox.UserRequester, in, gone); err != nil {
		t.Fatal(err)
	}
	got := w.caught()
	if len(got) != 4 || !strings.HasSuffix(got[0], "|crew/edits blue") || !strings.HasSuffix(got[1], "|crew/edits green") || got[0] == got[1] ||
		!strings.HasSuffix(got[2], mind+"|deleted|crew/gone ") || !strings.HasSuffix(got[3], gone+"|crew/roll-call ") {
		t.Errorf("caught %q", got)
	}
}

func TestPostsOfBotsCountByIDAlone(t *testing.T) {
	w := newListeners(t)
	post := func(ts string, more map[string]any) map[string]any {
		event := map[string]any{"type": "message", "subtype": "bot_message", "channel": sandbox.ChannelDeploys, "channel_type": "channel", "ts": ts, "text": "", "bot_id": "B0CI", "username": "ci"}
		for key, value := range more {
			event[key] = value
		}
		return event
	}
	passed := []map[string]any{{"fallback": "[acme/web] build #41 passed, secret sauce", "title": "build #41 passed"}}
	for _, event := range []map[string]any{
		post("1.1", map[string]any{"attachments": passed}),
		post("1.2", map[string]any{"text": "build #42 passed"}),
		post("1.3", map[string]any{"subtype": "", "user": "U0CIBOT", "bot_id": "B0NEW", "app_id": "A0CI", "text": "build #43 passed"}),
		post("1.4", map[string]any{"bot_id": "B0LIKE", "text": "build #44 passed"}),                                         // takes its name, not its id
		post("1.5", map[string]any{"bot_id": "", "subtype": "", "user": sandbox.UserRequester, "text": "build #45 passed"}), // a person
		post("1.6", map[string]any{"text": "build #46 failed"}),                                                             // something else
		post("1.7", map[string]any{"subtype": "", "user": sandbox.BotUserID, "text": "build #47 passed"}),                   // ourselves
		post("1.8", map[string]any{"channel": "D1", "channel_type": "im", "text": "build #48 passed"}),                      // in private
		post("1.9", map[string]any{"subtype": "channel_topic", "text": "build #49 passed"}),                                 // no message
		post("2.0", map[string]any{"bot_id": "B01", "user": "USLACKBOT", "text": "build #50 passed"}),                       // Slackbot speaks for anybody
		post("1.1", map[string]any{"attachments": passed}),                                                                  // again
	} {
		if d := w.slack.Event(within(t, patience), event); d.Status != http.StatusOK {
			t.Errorf("%v: %+v", event, d)
		}
	}
	id := "listen|" + sandbox.TeamID + "|" + sandbox.ChannelDeploys + "|"
	want := []string{id + "1.1|crew/green 41", id + "1.2|crew/green 42", id + "1.3|crew/green 43"}
	if got := w.caught(); !slices.Equal(got, want) {
		t.Errorf("caught %q, want %q", got, want)
	}
	envelopes, _ := w.stored()
	e := envelopes[0]
	if !e.GetCaught().GetAttachment() || e.GetOrigin().GetBot() != "B0CI" || e.GetPrincipal().GetKind() != eventv1.Principal_KIND_SYSTEM || e.GetPrincipal().GetUser() != "" {
		t.Errorf("stored %v", e)
	}
}

// A reply that is sent to the channel as well comes as an event of its own and as a
// change of itself, which nobody made.
func TestABroadcastReplyIsOneMessage(t *testing.T) {
	w := newListeners(t)
	reply := map[string]any{
		"type": "message", "subtype": "thread_broadcast", "user": sandbox.UserRequester, "channel": sandbox.ChannelDeploys, "channel_type": "channel",
		"ts": "3.1", "thread_ts": "2.9", "text": "now blue",
	}
	changed := map[string]any{
		"type": "message", "subtype": "message_changed", "channel": sandbox.ChannelDeploys, "channel_type": "channel", "ts": "3.2", "message": reply, "previous_message": reply,
	}
	plain := map[string]any{
		"type": "message", "user": sandbox.UserRequester, "channel": sandbox.ChannelDeploys, "channel_type": "channel", "ts": "3.1", "thread_ts": "2.9", "text": "now blue",
	}
	for _, event := range []map[string]any{reply, changed, plain, reply} {
		if d := w.slack.Event(within(t, patience), event); d.Status != http.StatusOK {
			t.Errorf("%v: %+v", event, d)
		}
	}
	if got, want := w.caught(), []string{"listen|" + sandbox.TeamID + "|" + sandbox.ChannelDeploys + "|3.1|crew/edits blue"}; !slices.Equal(got, want) {
		t.Errorf("caught %q, want %q", got, want)
	}
}

// What the orchestrator refuses is told to who wrote it, and nobody else.
func TestARefusalOfAListenerIsPrivate(t *testing.T) {
	w := newListeners(t)
	w.orchestrate(func(e *commandv1.Envelope) *commandv1.Answer {
		if e.GetCaught() == nil {
			return nil
		}
		return &commandv1.Answer{Visibility: commandv1.Answer_VISIBILITY_PRIVATE, Text: "You may not.", Code: "E-POLICY-JOB"}
	})
	w.says(sandbox.UserRequester, sandbox.ChannelDeploys, "roll call")
	w.until("told", func() bool {
		return slices.ContainsFunc(w.slack.Journal(), func(e sandbox.Entry) bool { return e.Name == "chat.postEphemeral" })
	})
}
