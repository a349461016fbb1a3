package ingress_test

import (
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	commandv1 "github.com/slipway-hq/slipway/gen/slipway/command/v1"
	"github.com/slipway-hq/slipway/sandbox"
	ingress "github.com/slipway-hq/slipway/services/slack-ingress"
)

const relaysConfig = `
namespaces: { web: { jobs: { notify: { run: "true" } } } }
relays:
  support: { keywords: [tech-support], channel: C0SUPPORT01 }
  admin: { keywords: [bennet-admin, bennett-admins], channel: "#general", commands: true }
slack: { join_channels: true }
`

func newRelays(t *testing.T) *world {
	t.Helper()
	config := filepath.Join(t.TempDir(), "slipway.yaml")
	write(t, config, relaysConfig)
	w := newWorld(t, func(stand *sandbox.Config, cfg *ingress.Config, _ *ingress.Deps) {
		cfg.File = config
		stand.Subscriptions = []string{"app_mention", "message.im", "message.channels", "channel_created"}
	})
	// Only then is it known which channel #general is.
	w.until("listed", func() bool { return strings.Contains(w.log.String(), "channels listed") })
	return w
}

// heard returns the identities of what is stored for relays, and which relays.
func (w *world) heard() (out []string) {
	w.t.Helper()
	envelopes, raw := w.stored()
	for _, e := range envelopes {
		if o := e.GetOverheard(); o != nil {
			out = append(out, e.GetOrigin().GetMessageTs()+" "+strings.Join(o.GetRelays(), ","))
		}
	}
	if strings.Contains(string(raw), "tech-support, help") {
		w.t.Error("the text of a message is stored")
	}
	return out
}

func (w *world) says(user, channel, text string) string {
	w.t.Helper()
	posted, err := w.slack.Post(within(w.t, patience), user, channel, text, "")
	if err != nil {
		w.t.Fatal(err)
	}
	for _, d := range posted.Deliveries {
		if !d.OK() {
			w.t.Errorf("%q: %+v", text, d)
		}
	}
	return posted.TS
}

func TestMessagesWithAKeywordAreStoredOnceForTheirRelay(t *testing.T) {
	w := newRelays(t)
	ts := w.says(sandbox.UserRequester, sandbox.ChannelDeploys, "tech-support, help: the site is down")
	w.says(sandbox.UserRequester, sandbox.ChannelDeploys, "nothing of interest")
	w.says(sandbox.UserRequester, sandbox.ChannelDeploys, "see tech-support-docs and <https://a.example/tech-support>")
	if got := w.heard(); !slices.Equal(got, []string{ts + " support"}) {
		t.Fatalf("heard %q", got)
	}
	both := w.says(sandbox.UserGuest, sandbox.ChannelDeploys, "Tech-Support or bennet-admin?")
	edited := w.says(sandbox.UserRequester, sandbox.ChannelDeploys, "hepl")
	for _, text := range []string{"tech-support help", "tech-support helps"} {
		if _, err := w.slack.Edit(within(t, patience), sandbox.UserRequester, sandbox.ChannelDeploys, edited, text); err != nil {
			t.Fatal(err)
		}
	}
	want := []string{ts + " support", both + " admin,support", edited + " support"}
	if got := w.heard(); !slices.Equal(got, want) {
		t.Errorf("heard %q, want %q", got, want)
	}
}

func TestWhatIsNoCallForHelp(t *testing.T) {
	w := newRelays(t)
	w.says(sandbox.UserRequester, sandbox.ChannelGeneral, "bennet-admin: in their own channel")
	for name, event := range map[string]map[string]any{
		"in its own channel": {"type": "message", "user": sandbox.UserRequester, "channel": "C0SUPPORT01", "ts": "9.1", "text": "tech-support"},
		"a bot":              {"type": "message", "bot_id": "B1", "user": "U1", "channel": sandbox.ChannelDeploys, "ts": "9.2", "text": "tech-support"},
		"a bot message":      {"type": "message", "subtype": "bot_message", "channel": sandbox.ChannelDeploys, "ts": "9.3", "text": "tech-support"},
		"Slackbot":           {"type": "message", "user": "USLACKBOT", "channel": sandbox.ChannelDeploys, "ts": "9.4", "text": "tech-support"},
		"a deleted message":  {"type": "message", "subtype": "message_deleted", "channel": sandbox.ChannelDeploys, "ts": "9.5", "previous_message": map[string]any{"text": "tech-support"}},
		"a preview": {"type": "message", "subtype": "message_changed", "channel": sandbox.ChannelDeploys, "ts": "9.6",
			"message": map[string]any{"type": "message", "user": "U1", "text": "tech-support", "ts": "9.0"}},
		"a group talk": {"type": "message", "user": "U1", "channel": "G1", "channel_type": "mpim", "ts": "9.7", "text": "tech-support"},
		"a topic":      {"type": "message", "subtype": "channel_topic", "user": "U1", "channel": sandbox.ChannelDeploys, "ts": "9.8", "text": "set the topic: tech-support"},
	} {
		if d := w.slack.Event(within(t, patience), event); d.Status != http.StatusOK {
			t.Errorf("%s: %+v", name, d)
		}
	}
	if got := w.heard(); len(got) != 0 {
		t.Errorf("heard %q", got)
	}
}

// B51: a message that calls support is never a command; one that calls the
// admins can be.
func TestCallsAreNoCommandsUnlessTheirRelaySaysSo(t *testing.T) {
	w := newRelays(t)
	w.orchestrate(func(*commandv1.Envelope) *commandv1.Answer { return nil })
	never := w.says(sandbox.UserRequester, sandbox.ChannelDeploys, "<@"+sandbox.BotUserID+"> deploy tech-support to staging")
	may := w.says(sandbox.UserRequester, sandbox.ChannelDeploys, "<@"+sandbox.BotUserID+"> deploy bennet-admin to staging")
	var commands []string
	envelopes, _ := w.stored()
	for _, e := range envelopes {
		if e.GetSentence() != nil {
			commands = append(commands, e.GetOrigin().GetMessageTs())
		}
	}
	if !slices.Equal(commands, []string{may}) {
		t.Errorf("commands %q, want that of %s alone", commands, may)
	}
	if got := w.heard(); !slices.Equal(got, []string{never + " support", may + " admin"}) {
		t.Errorf("heard %q", got)
	}
}

func TestACallInPrivateIsRefused(t *testing.T) {
	w := newRelays(t)
	posted, err := w.slack.DirectMessage(within(t, patience), sandbox.UserRequester, "tech-support please")
	if err != nil || len(posted.Deliveries) != 1 || !posted.Deliveries[0].OK() {
		t.Fatalf("%+v, %v", posted, err)
	}
	w.sees(sandbox.UserRequester, sandbox.DM(sandbox.UserRequester), func(m sandbox.Message) bool { return strings.Contains(m.Text, "only from channels") })
	if envelopes, _ := w.stored(); len(envelopes) != 0 {
		t.Errorf("stored %v", envelopes)
	}
}

func TestACallThatCannotBeStoredComesAgain(t *testing.T) {
	w := newRelays(t)
	if err := w.js.DeleteStream(within(t, patience), "INBOX"); err != nil {
		t.Fatal(err)
	}
	d := w.slack.Event(within(t, patience), map[string]any{"type": "message", "user": sandbox.UserRequester, "channel": sandbox.ChannelDeploys, "ts": "9.9", "text": "tech-support"})
	if d.Status != http.StatusServiceUnavailable {
		t.Errorf("%+v: Slack would not deliver it again", d)
	}
}

// B50: every public channel at the start, and each new one; a failure stops nothing.
func TestPublicChannelsAreJoined(t *testing.T) {
	w := newRelays(t)
	joined := func(id string) bool {
		return strings.Contains(w.log.String(), `msg="channel joined" channel=`+id)
	}
	made, err := w.slack.CreateChannel(within(t, patience), sandbox.UserRequester, "brand-new")
	if err != nil {
		t.Fatal(err)
	}
	w.until("joined", func() bool { return joined(made.ID) })
	w.slack.Faults().Set(sandbox.Fault{Kind: sandbox.APIError, Method: "conversations.join", Code: "missing_scope", Times: 1})
	failed, err := w.slack.CreateChannel(within(t, patience), sandbox.UserRequester, "not-this-time")
	if err != nil {
		t.Fatal(err)
	}
	w.until("told", func() bool { return strings.Contains(w.log.String(), "missing_scope") })
	w.until("shown to doctor", func() bool { return len(w.svc.Findings()) == 1 })
	w.slack.Faults().Set(sandbox.Fault{Kind: sandbox.RateLimited, Method: "conversations.join", Times: 1})
	next, err := w.slack.CreateChannel(within(t, patience), sandbox.UserRequester, "next-one")
	if err != nil {
		t.Fatal(err)
	}
	w.until("joined in spite of a rate limit", func() bool { return joined(next.ID) })
	if joined(failed.ID) {
		t.Error("the one that failed is joined")
	}
	if strings.Contains(w.log.String(), "xoxb-") {
		t.Error("a token got out")
	}
}
