package sandbox_test

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/slack-go/slack"

	"github.com/slipway-hq/slipway/sandbox"
)

// app is a Slack app made for one test: it verifies every request with slack-go and answers what the test wants.
type app struct {
	t      *testing.T
	secret string
	answer func(path string, form map[string]string) (int, string)

	mu       sync.Mutex
	requests []request
}

type request struct {
	path   string
	header http.Header
	body   string
	form   map[string]string
}

func (a *app) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		a.t.Errorf("read: %v", err)
	}
	verifier, err := slack.NewSecretsVerifier(r.Header, a.secret)
	if err != nil {
		a.t.Errorf("verifier: %v", err)
	} else {
		_, _ = verifier.Write(body)
		if err := verifier.Ensure(); err != nil {
			a.t.Errorf("signature: %v", err)
		}
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	form := map[string]string{}
	if r.ParseForm() == nil {
		for k := range r.PostForm {
			form[k] = r.PostForm.Get(k)
		}
	}
	a.mu.Lock()
	a.requests = append(a.requests, request{r.URL.Path, r.Header, string(body), form})
	a.mu.Unlock()
	status, answer := http.StatusOK, ""
	if a.answer != nil {
		status, answer = a.answer(r.URL.Path, form)
	}
	if strings.HasPrefix(answer, "{") {
		w.Header().Set("Content-Type", "application/json")
	}
	w.WriteHeader(status)
	_, _ = io.WriteString(w, answer)
}

func (a *app) seen() []request {
	a.mu.Lock()
	defer a.mu.Unlock()
	return append([]request(nil), a.requests...)
}

// start runs a sandbox with an app behind it and returns both, with a slack-go client.
func start(t *testing.T, cfg sandbox.Config) (*sandbox.Server, *app, *slack.Client) {
	t.Helper()
	s, err := sandbox.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	a := &app{t: t, secret: s.SigningSecret()}
	web := httptest.NewServer(a)
	t.Cleanup(web.Close)
	s.SetTarget(web.URL)
	client := slack.New(s.BotToken(), slack.OptionAPIURL(s.APIURL()), slack.OptionAppLevelToken(s.AppToken()))
	return s, a, client
}

// soon is how long a test waits for something that must happen.
const soon = 10 * time.Second

func wait(t *testing.T, s *sandbox.Server, cond func(sandbox.State) bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), soon)
	defer cancel()
	if err := s.Wait(ctx, cond); err != nil {
		t.Fatal(err)
	}
}

func TestSlashCommandIsSignedAndItsAnswerIsShown(t *testing.T) {
	s, a, _ := start(t, sandbox.Config{})
	a.answer = func(string, map[string]string) (int, string) {
		return 200, `{"response_type":"in_channel","text":"On it"}`
	}
	d, err := s.SlashCommand(t.Context(), sandbox.UserRequester, sandbox.ChannelDeploys, "/deploy", "web to @approver & <b> #general https://x.test/a")
	if err != nil || !d.OK() {
		t.Fatalf("%+v %v", d, err)
	}
	form := a.seen()[0].form
	want := map[string]string{
		"team_id": sandbox.TeamID, "channel_id": sandbox.ChannelDeploys, "channel_name": "deploys", "user_id": sandbox.UserRequester,
		"user_name": "requester", "command": "/deploy", "api_app_id": sandbox.AppID,
		"text": "web to <@U0APPROVE01|approver> &amp; &lt;b&gt; <#C0GENERAL01|general> <https://x.test/a>",
	}
	for k, v := range want {
		if form[k] != v {
			t.Errorf("%s = %q, want %q", k, form[k], v)
		}
	}
	var seen []string
	for _, m := range s.Messages(sandbox.ChannelDeploys) {
		seen = append(seen, m.User+": "+m.Visible())
	}
	if diff := cmp.Diff([]string{
		sandbox.UserRequester + ": /deploy web to <@U0APPROVE01> &amp; &lt;b&gt; <#C0GENERAL01|general> <https://x.test/a>",
		sandbox.BotUserID + ": On it",
	}, seen); diff != "" {
		t.Error(diff)
	}
}

func TestSlashCommandThatFailsIsToldPrivately(t *testing.T) {
	s, a, _ := start(t, sandbox.Config{})
	a.answer = func(string, map[string]string) (int, string) { return 500, "" }
	d, err := s.SlashCommand(t.Context(), sandbox.UserRequester, sandbox.ChannelDeploys, "/deploy", "web")
	if err != nil || d.Err != sandbox.ErrDispatch {
		t.Fatalf("%+v %v", d, err)
	}
	told := s.Ephemerals(sandbox.UserRequester, sandbox.ChannelDeploys)
	if len(told) != 1 || !strings.Contains(told[0].Text, "dispatch_failed") {
		t.Errorf("ephemerals: %+v", told)
	}
	if n := len(a.seen()); n != 1 {
		t.Errorf("a slash command was sent %d times", n)
	}
}

func TestSlashCommandTimesOut(t *testing.T) {
	s, a, _ := start(t, sandbox.Config{AckTimeout: 50 * time.Millisecond})
	hold := make(chan struct{})
	t.Cleanup(func() { close(hold) })
	a.answer = func(string, map[string]string) (int, string) { <-hold; return 200, "" }
	d, err := s.SlashCommand(t.Context(), sandbox.UserRequester, sandbox.ChannelDeploys, "/deploy", "web")
	if err != nil || d.Err != sandbox.ErrTimeout {
		t.Fatalf("%+v %v", d, err)
	}
}

func TestPostUpdateAndHistory(t *testing.T) {
	s, _, client := start(t, sandbox.Config{Strict: true})
	block := slack.NewSectionBlock(slack.NewTextBlockObject(slack.MarkdownType, "*web* to production", false, false), nil, nil)
	channel, ts, err := client.PostMessage(sandbox.ChannelDeploys, slack.MsgOptionText("fallback", false), slack.MsgOptionBlocks(block),
		slack.MsgOptionMetadata(slack.SlackMetadata{EventType: "run", EventPayload: map[string]any{"run": "d-1"}}))
	if err != nil || channel != sandbox.ChannelDeploys {
		t.Fatal(channel, err)
	}
	h, err := client.GetConversationHistory(&slack.GetConversationHistoryParameters{ChannelID: channel, IncludeAllMetadata: true})
	if err != nil || len(h.Messages) != 1 {
		t.Fatalf("%+v %v", h, err)
	}
	m := h.Messages[0]
	if m.Timestamp != ts || m.BotID != sandbox.BotID || m.Metadata.EventPayload["run"] != "d-1" || len(m.Blocks.BlockSet) != 1 {
		t.Errorf("%+v", m)
	}
	// Text without blocks removes the blocks; metadata that is not mentioned stays.
	if _, _, _, err := client.UpdateMessage(channel, ts, slack.MsgOptionText("done", false)); err != nil {
		t.Fatal(err)
	}
	got := s.Messages(channel)[0]
	if got.Text != "done" || got.Blocks != nil || !strings.Contains(string(got.Metadata), "d-1") || got.Edits != 1 {
		t.Errorf("after update: %+v", got)
	}
	_, _, _, err = client.UpdateMessage(channel, ts, slack.MsgOptionText(strings.Repeat("x", 4001), false))
	wantError(t, err, "msg_too_long")
	_, _, _, err = client.UpdateMessage(channel, "1.000001", slack.MsgOptionText("x", false))
	wantError(t, err, "message_not_found")
	if v := s.Violations(); len(v) != 0 {
		t.Errorf("violations: %v", v)
	}
}

func wantError(t *testing.T, err error, code string) {
	t.Helper()
	if err == nil || err.Error() != code {
		t.Errorf("error = %v, want %s", err, code)
	}
}

func TestWhereTheBotMayPost(t *testing.T) {
	s, _, client := start(t, sandbox.Config{})
	for channel, code := range map[string]string{
		sandbox.ChannelRandom: "not_in_channel", sandbox.ChannelArchived: "is_archived", "C0NOWHERE": "channel_not_found",
	} {
		_, _, err := client.PostMessage(channel, slack.MsgOptionText("hello", false))
		wantError(t, err, code)
	}
	if channel, _, err := client.PostMessage(sandbox.UserRequester, slack.MsgOptionText("psst", false)); err != nil || channel != sandbox.DM(sandbox.UserRequester) {
		t.Errorf("direct message: %s %v", channel, err)
	}
	s.Faults().Set(sandbox.Fault{Kind: sandbox.BotKicked, Channel: sandbox.ChannelPrivate})
	_, _, err := client.PostMessage(sandbox.ChannelPrivate, slack.MsgOptionText("hello", false))
	wantError(t, err, "channel_not_found")
	s.Faults().Heal()
	if _, _, err = client.PostMessage(sandbox.ChannelPrivate, slack.MsgOptionText("hello", false)); err != nil {
		t.Error(err)
	}
	_, _, err = client.PostMessage(sandbox.ChannelDeploys, slack.MsgOptionText("", false))
	wantError(t, err, "no_text")
}

func TestMentionArrivesTwiceWhenMessagesAreSubscribed(t *testing.T) {
	s, a, _ := start(t, sandbox.Config{Subscriptions: []string{"app_mention", "message.channels", "message.im"}})
	posted, err := s.Post(t.Context(), sandbox.UserRequester, sandbox.ChannelDeploys, "@slipway deploy web <!channel>", "")
	if err != nil || len(posted.Deliveries) != 2 {
		t.Fatalf("%+v %v", posted, err)
	}
	ids := map[string]bool{}
	for _, r := range a.seen() {
		var e struct {
			EventID string `json:"event_id"`
			Event   struct{ Type, TS, Text, User string }
		}
		if err := json.Unmarshal([]byte(r.body), &e); err != nil {
			t.Fatal(err)
		}
		ids[e.EventID] = true
		if e.Event.TS != posted.TS || e.Event.Text != "<@"+sandbox.BotUserID+"> deploy web &lt;!channel&gt;" {
			t.Errorf("%+v", e)
		}
	}
	if len(ids) != 2 {
		t.Errorf("event ids: %v", ids)
	}
	if posted, err = s.Post(t.Context(), sandbox.UserRequester, sandbox.DM(sandbox.UserRequester), "deploy web", ""); err != nil || len(posted.Deliveries) != 1 {
		t.Errorf("direct message: %+v %v", posted, err)
	}
}

func TestEventIsRetriedWithHeaders(t *testing.T) {
	s, a, _ := start(t, sandbox.Config{EventRetries: []time.Duration{0, time.Millisecond, 2 * time.Millisecond}})
	a.answer = func(string, map[string]string) (int, string) { return 503, "" }
	if _, err := s.Post(t.Context(), sandbox.UserRequester, sandbox.ChannelDeploys, "@slipway status", ""); err != nil {
		t.Fatal(err)
	}
	wait(t, s, func(v sandbox.State) bool { return len(v.Journal()) >= 4 })
	var got []string
	for _, r := range a.seen() {
		got = append(got, r.header.Get("X-Slack-Retry-Num")+" "+r.header.Get("X-Slack-Retry-Reason"))
	}
	if diff := cmp.Diff([]string{" ", "1 http_error", "2 http_error", "3 http_error"}, got); diff != "" {
		t.Error(diff)
	}
}

func TestRedeliverSendsTheSameBytes(t *testing.T) {
	s, a, _ := start(t, sandbox.Config{})
	d, err := s.SlashCommand(t.Context(), sandbox.UserRequester, sandbox.ChannelDeploys, "/deploy", "web")
	if err != nil {
		t.Fatal(err)
	}
	again, err := s.Redeliver(t.Context(), d.ID, 50, true)
	if err != nil || len(again) != 50 {
		t.Fatal(len(again), err)
	}
	seen := a.seen()
	for _, r := range seen[1:] {
		if r.body != seen[0].body || r.header.Get("X-Slack-Signature") != seen[0].header.Get("X-Slack-Signature") {
			t.Fatal("bytes differ")
		}
	}
	if len(seen) != 51 {
		t.Errorf("%d requests", len(seen))
	}
}

func TestClickCarriesTheStoredMessage(t *testing.T) {
	s, a, client := start(t, sandbox.Config{})
	button := slack.NewButtonBlockElement("cancel", "d-1:7", slack.NewTextBlockObject(slack.PlainTextType, "Cancel", false, false))
	_, ts, err := client.PostMessage(sandbox.ChannelDeploys, slack.MsgOptionText("card", false), slack.MsgOptionBlocks(slack.NewActionBlock("", button)))
	if err != nil {
		t.Fatal(err)
	}
	if d, err := s.Click(t.Context(), sandbox.UserApprover, sandbox.ChannelDeploys, ts, "cancel"); err != nil || !d.OK() {
		t.Fatalf("%+v %v", d, err)
	}
	var call slack.InteractionCallback
	if err := json.Unmarshal([]byte(a.seen()[0].form["payload"]), &call); err != nil {
		t.Fatal(err)
	}
	action := call.ActionCallback.BlockActions[0]
	if call.Type != slack.InteractionTypeBlockActions || action.Value != "d-1:7" || action.ActionID != "cancel" || action.BlockID == "" ||
		call.User.ID != sandbox.UserApprover || call.Message.Timestamp != ts || call.Container.ChannelID != sandbox.ChannelDeploys ||
		call.ResponseURL == "" || call.TriggerID == "" {
		t.Errorf("%+v", call)
	}
	if _, err := s.Click(t.Context(), sandbox.UserApprover, sandbox.ChannelDeploys, ts, "nothing"); err == nil {
		t.Error("a button that is not there was pressed")
	}
}
