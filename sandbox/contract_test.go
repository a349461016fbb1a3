package sandbox_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/slack-go/slack"

	"github.com/slipway-hq/slipway/sandbox"
)

// form calls a method without a client library and returns the decoded answer.
func form(t *testing.T, s *sandbox.Server, method string, args map[string]string) (map[string]any, *http.Response) {
	t.Helper()
	values := url.Values{"token": {s.BotToken()}}
	for k, v := range args {
		values.Set(k, v)
	}
	resp, err := http.PostForm(s.APIURL()+method, values)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	var out map[string]any
	if err := json.NewDecoder(resp.Body).Decode(&out); err != nil {
		t.Fatal(err)
	}
	return out, resp
}

func TestAuthTest(t *testing.T) {
	s, _, client := start(t, sandbox.Config{})
	who, err := client.AuthTest()
	if err != nil || who.TeamID != sandbox.TeamID || who.UserID != sandbox.BotUserID || who.BotID != sandbox.BotID {
		t.Errorf("%+v %v", who, err)
	}
	_, resp := form(t, s, "auth.test", nil)
	if !strings.Contains(resp.Header.Get("X-Oauth-Scopes"), "chat:write") || resp.Header.Get("X-Slack-Req-Id") == "" {
		t.Errorf("headers: %v", resp.Header)
	}
}

func TestTokensAndScopes(t *testing.T) {
	s, _, _ := start(t, sandbox.Config{Scopes: []string{"chat:write"}})
	for _, c := range []struct {
		method string
		args   map[string]string
		want   string
	}{
		{"auth.test", map[string]string{"token": ""}, "not_authed"},
		{"auth.test", map[string]string{"token": "xoxb-other"}, "invalid_auth"},
		{"auth.test", map[string]string{"token": s.AppToken()}, "not_allowed_token_type"},
		{"users.info", map[string]string{"user": sandbox.UserGuest}, "missing_scope"},
		{"conversations.history", map[string]string{"channel": sandbox.ChannelPrivate}, "missing_scope"},
		{"chat.postMessage", map[string]string{"text": "x"}, "invalid_arguments"},
		{"chat.invent", nil, "unknown_method"},
		{"apps.connections.open", map[string]string{"token": s.AppToken()}, "not_authed"}, // only the header counts
	} {
		if got, _ := form(t, s, c.method, c.args); got["error"] != c.want {
			t.Errorf("%s: %v, want %s", c.method, got, c.want)
		}
	}
	got, _ := form(t, s, "conversations.history", map[string]string{"channel": sandbox.ChannelPrivate})
	if got["needed"] != "groups:history" || got["provided"] != "chat:write" {
		t.Errorf("%v", got)
	}
}

func TestStrictModeNotesUndeclaredArguments(t *testing.T) {
	s, _, _ := start(t, sandbox.Config{Strict: true})
	form(t, s, "chat.postMessage", map[string]string{"channel": sandbox.ChannelDeploys, "text": "x", "colour": "red"})
	if diff := cmp.Diff([]string{"chat.postMessage: undeclared argument colour"}, s.Violations()); diff != "" {
		t.Error(diff)
	}
}

func TestJSONBodiesAndEscapedSlashes(t *testing.T) {
	s, _, _ := start(t, sandbox.Config{})
	body := `{"channel":"` + sandbox.ChannelDeploys + `","text":"a/b","blocks":[{"type":"divider"}]}`
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.APIURL()+"chat.postMessage", strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json; charset=utf-8")
	req.Header.Set("Authorization", "Bearer "+s.BotToken())
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	raw, err := io.ReadAll(resp.Body)
	if err != nil || !strings.Contains(string(raw), `"ok":true`) || !strings.Contains(string(raw), `a\/b`) {
		t.Errorf("%s %v", raw, err)
	}
}

func TestHistoryPagesAndThreads(t *testing.T) {
	s, _, client := start(t, sandbox.Config{})
	var stamps []string
	for i := range 5 {
		_, ts, err := client.PostMessage(sandbox.ChannelDeploys, slack.MsgOptionText(fmt.Sprint(i), false))
		if err != nil {
			t.Fatal(err)
		}
		stamps = append(stamps, ts)
	}
	for i, option := range []slack.MsgOption{slack.MsgOptionTS(stamps[0]), slack.MsgOptionBroadcast()} {
		if _, _, err := client.PostMessage(sandbox.ChannelDeploys, slack.MsgOptionText(fmt.Sprint("reply ", i), false), slack.MsgOptionTS(stamps[0]), option); err != nil {
			t.Fatal(err)
		}
	}
	var texts []string
	params := slack.GetConversationHistoryParameters{ChannelID: sandbox.ChannelDeploys, Limit: 2}
	for {
		h, err := client.GetConversationHistory(&params)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range h.Messages {
			texts = append(texts, m.Text)
		}
		if !h.HasMore {
			break
		}
		params.Cursor = h.ResponseMetaData.NextCursor
	}
	if diff := cmp.Diff([]string{"reply 1", "4", "3", "2", "1", "0"}, texts); diff != "" {
		t.Error(diff)
	}
	replies, _, _, err := client.GetConversationReplies(&slack.GetConversationRepliesParameters{ChannelID: sandbox.ChannelDeploys, Timestamp: stamps[0]})
	if err != nil || len(replies) != 3 || replies[0].ReplyCount != 2 {
		t.Errorf("%+v %v", replies, err)
	}
	h, err := client.GetConversationHistory(&slack.GetConversationHistoryParameters{ChannelID: sandbox.ChannelDeploys, Oldest: stamps[2], Latest: stamps[3], Inclusive: true})
	if err != nil || len(h.Messages) != 2 {
		t.Errorf("%+v %v", h, err)
	}
	if n := len(s.Thread(sandbox.ChannelDeploys, stamps[0])); n != 3 {
		t.Errorf("thread of %d", n)
	}
}

func TestReactionsPinsAndPermalink(t *testing.T) {
	s, _, client := start(t, sandbox.Config{})
	_, ts, err := client.PostMessage(sandbox.ChannelDeploys, slack.MsgOptionText("x", false))
	if err != nil {
		t.Fatal(err)
	}
	item := slack.NewRefToMessage(sandbox.ChannelDeploys, ts)
	if err := client.AddReaction("white_check_mark", item); err != nil {
		t.Fatal(err)
	}
	wantError(t, client.AddReaction("white_check_mark", item), "already_reacted")
	if diff := cmp.Diff(map[string][]string{"white_check_mark": {sandbox.BotUserID}}, s.Reactions(sandbox.ChannelDeploys, ts)); diff != "" {
		t.Error(diff)
	}
	if err := client.RemoveReaction("white_check_mark", item); err != nil {
		t.Fatal(err)
	}
	wantError(t, client.RemoveReaction("white_check_mark", item), "no_reaction")
	wantError(t, client.AddReaction("x", slack.NewRefToMessage(sandbox.ChannelDeploys, "1.000001")), "message_not_found")
	if err := client.AddPin(sandbox.ChannelDeploys, item); err != nil {
		t.Error(err)
	}
	wantError(t, client.AddPin(sandbox.ChannelDeploys, item), "already_pinned")
	wantPins(t, s, ts, sandbox.BotUserID)
	if err := client.RemovePin(sandbox.ChannelDeploys, item); err != nil {
		t.Error(err)
	}
	wantError(t, client.RemovePin(sandbox.ChannelDeploys, item), "no_pin")
	if err := s.Pin(t.Context(), sandbox.UserRequester, sandbox.ChannelDeploys, ts, true); err != nil {
		t.Fatal(err)
	}
	wantError(t, client.AddPin(sandbox.ChannelDeploys, item), "already_pinned")
	wantPins(t, s, ts, sandbox.UserRequester)
	if err := client.RemovePin(sandbox.ChannelDeploys, item); err != nil { // anybody's pin, as in Slack
		t.Error(err)
	}
	wantError(t, client.AddPin(sandbox.ChannelDeploys, slack.NewRefToMessage(sandbox.ChannelDeploys, "1.000001")), "message_not_found")
	link, err := client.GetPermalink(&slack.PermalinkParameters{Channel: sandbox.ChannelDeploys, Ts: ts})
	if err != nil || !strings.HasPrefix(link, s.URL()) {
		t.Errorf("%s %v", link, err)
	}
}

// wantPins fails the test unless the one pinned message is ts, by user.
func wantPins(t *testing.T, s *sandbox.Server, ts, user string) {
	t.Helper()
	answer, _ := form(t, s, "pins.list", map[string]string{"channel": sandbox.ChannelDeploys})
	items, _ := answer["items"].([]any)
	if len(items) != 1 {
		t.Fatalf("pins: %v", answer)
	}
	item, _ := items[0].(map[string]any)
	message, _ := item["message"].(map[string]any)
	if item["created_by"] != user || message["ts"] != ts || s.PinnedBy(sandbox.ChannelDeploys, ts) != user {
		t.Errorf("pinned: %v", item)
	}
}

func TestAChannelPinsAHundredMessages(t *testing.T) {
	s, _, client := start(t, sandbox.Config{NoRateLimits: true})
	pin := func() error {
		_, ts, err := client.PostMessage(sandbox.ChannelDeploys, slack.MsgOptionText("x", false))
		if err != nil {
			t.Fatal(err)
		}
		return client.AddPin(sandbox.ChannelDeploys, slack.NewRefToMessage(sandbox.ChannelDeploys, ts))
	}
	for range 100 {
		if err := pin(); err != nil {
			t.Fatal(err)
		}
	}
	wantError(t, pin(), "too_many_pins")
	if err := s.Pin(t.Context(), sandbox.UserRequester, sandbox.ChannelDeploys, s.Messages(sandbox.ChannelDeploys)[0].TS, false); err != nil {
		t.Fatal(err)
	}
	if err := pin(); err != nil {
		t.Error(err)
	}
}

func TestEphemeralsStayOutOfHistory(t *testing.T) {
	s, _, client := start(t, sandbox.Config{})
	if _, err := client.PostEphemeral(sandbox.ChannelDeploys, sandbox.UserGuest, slack.MsgOptionText("only you", false)); err != nil {
		t.Fatal(err)
	}
	_, err := client.PostEphemeral(sandbox.ChannelDeploys, sandbox.UserStranger, slack.MsgOptionText("x", false))
	wantError(t, err, "user_not_in_channel")
	h, err := client.GetConversationHistory(&slack.GetConversationHistoryParameters{ChannelID: sandbox.ChannelDeploys})
	if err != nil || len(h.Messages) != 0 {
		t.Errorf("%+v %v", h, err)
	}
	if got := s.Ephemerals(sandbox.UserGuest, sandbox.ChannelDeploys); len(got) != 1 || got[0].Text != "only you" {
		t.Errorf("%+v", got)
	}
}

func TestUsersAndGroups(t *testing.T) {
	_, _, client := start(t, sandbox.Config{})
	for id, check := range map[string]func(*slack.User) bool{
		sandbox.UserGuest:     func(u *slack.User) bool { return u.IsRestricted },
		sandbox.UserOtherBot:  func(u *slack.User) bool { return u.IsBot },
		sandbox.UserStranger:  func(u *slack.User) bool { return u.IsStranger && u.TeamID == sandbox.OtherTeamID },
		sandbox.UserRequester: func(u *slack.User) bool { return !u.IsBot && !u.IsRestricted && u.TZ != "" },
	} {
		if u, err := client.GetUserInfo(id); err != nil || !check(u) {
			t.Errorf("%s: %+v %v", id, u, err)
		}
	}
	_, err := client.GetUserInfo("U0NOBODY")
	wantError(t, err, "user_not_found")
	groups, err := client.GetUserGroups()
	if err != nil || len(groups) != 1 || groups[0].Handle != "approvers" {
		t.Errorf("%+v %v", groups, err)
	}
	members, err := client.GetUserGroupMembers(sandbox.GroupApprovers)
	if err != nil || len(members) != 2 {
		t.Errorf("%v %v", members, err)
	}
	info, err := client.GetConversationInfo(&slack.GetConversationInfoInput{ChannelID: sandbox.ChannelRandom})
	if err != nil || info.IsMember {
		t.Errorf("%+v %v", info, err)
	}
	channels, _, err := client.GetConversations(&slack.GetConversationsParameters{Types: []string{"public_channel", "private_channel"}, ExcludeArchived: true})
	if err != nil || len(channels) != 8 {
		t.Errorf("%d channels, %v", len(channels), err)
	}
	im, _, _, err := client.OpenConversation(&slack.OpenConversationParameters{Users: []string{sandbox.UserGuest}})
	if err != nil || im.ID != sandbox.DM(sandbox.UserGuest) {
		t.Errorf("%+v %v", im, err)
	}
}

func TestFileUpload(t *testing.T) {
	s, _, client := start(t, sandbox.Config{})
	_, ts, err := client.PostMessage(sandbox.ChannelDeploys, slack.MsgOptionText("card", false))
	if err != nil {
		t.Fatal(err)
	}
	const log = "line 1\nline 2\n"
	f, err := client.UploadFile(slack.UploadFileParameters{
		Channel: sandbox.ChannelDeploys, ThreadTimestamp: ts, Filename: "build.log", FileSize: len(log), Reader: strings.NewReader(log), InitialComment: "The log",
	})
	if err != nil {
		t.Fatal(err)
	}
	if got, ok := s.FileContent(f.ID); !ok || string(got) != log {
		t.Errorf("%q %v", got, ok)
	}
	thread := s.Thread(sandbox.ChannelDeploys, ts)
	if len(thread) != 2 || len(thread[1].Files) != 1 || thread[1].Text != "The log" {
		t.Errorf("%+v", thread)
	}
}

func TestRateLimits(t *testing.T) {
	now := time.Unix(1_700_000_000, 0)
	s, _, client := start(t, sandbox.Config{Clock: func() time.Time { return now }})
	var limited *slack.RateLimitedError
	posted := 0
	for range 20 {
		_, _, err := client.PostMessage(sandbox.ChannelDeploys, slack.MsgOptionText("x", false))
		if errors.As(err, &limited) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		posted++
	}
	if limited == nil || limited.RetryAfter != time.Second || posted != 10 {
		t.Errorf("%d posted, then %v", posted, limited)
	}
	if _, _, err := client.PostMessage(sandbox.ChannelGeneral, slack.MsgOptionText("x", false)); err != nil {
		t.Errorf("another channel: %v", err)
	}
	if n := len(s.Messages(sandbox.ChannelDeploys)); n != posted {
		t.Errorf("%d messages", n)
	}
}

func TestTimestampsRiseEvenWhenTheClockStands(t *testing.T) {
	now := time.Unix(1_700_000_000, 0)
	s, _, client := start(t, sandbox.Config{Clock: func() time.Time { return now }, NoRateLimits: true})
	last := ""
	for range 20 {
		_, ts, err := client.PostMessage(sandbox.ChannelDeploys, slack.MsgOptionText("x", false))
		if err != nil || ts <= last {
			t.Fatalf("%s after %s: %v", ts, last, err)
		}
		last = ts
	}
	if n := len(s.Messages(sandbox.ChannelDeploys)); n != 20 {
		t.Error(n)
	}
}

func TestViewsNeedAFreshTrigger(t *testing.T) {
	now := time.Unix(1_700_000_000, 0)
	s, a, client := start(t, sandbox.Config{Clock: func() time.Time { return now }})
	a.answer = func(string, map[string]string) (int, string) { return 200, "" }
	a.secret = s.SigningSecret()
	view := slack.ModalViewRequest{
		Type: slack.VTModal, Title: slack.NewTextBlockObject(slack.PlainTextType, "Deploy", false, false),
		Submit: slack.NewTextBlockObject(slack.PlainTextType, "Go", false, false),
		Blocks: slack.Blocks{BlockSet: []slack.Block{slack.NewDividerBlock()}},
	}
	d := deliverUnchecked(t, s)
	opened, err := client.OpenView(d.TriggerID, view)
	if err != nil {
		t.Fatal(err)
	}
	_, err = client.OpenView(d.TriggerID, view)
	wantError(t, err, "exchanged_trigger_id")
	_, err = client.UpdateView(view, "", "stale", opened.ID)
	wantError(t, err, "hash_conflict")
	if _, err = client.UpdateView(view, "", opened.Hash, opened.ID); err != nil {
		t.Error(err)
	}
	late := deliverUnchecked(t, s)
	now = now.Add(4 * time.Second)
	_, err = client.OpenView(late.TriggerID, view)
	wantError(t, err, "expired_trigger_id")
	view.Title.Text = strings.Repeat("long", 10)
	_, err = client.OpenView(deliverUnchecked(t, s).TriggerID, view)
	if err == nil || !strings.HasPrefix(err.Error(), "invalid_arguments") {
		t.Error(err)
	}
	if views := s.Views(sandbox.UserRequester); len(views) != 1 {
		t.Errorf("%+v", views)
	}
}

// deliverUnchecked issues a trigger while the clock of the test is not the verifier's: the app behind it does not matter.
func deliverUnchecked(t *testing.T, s *sandbox.Server) sandbox.Delivery {
	t.Helper()
	s.SetTarget("http://127.0.0.1:1")
	d, err := s.SlashCommand(t.Context(), sandbox.UserRequester, sandbox.ChannelDeploys, "/deploy", "")
	if err != nil || d.TriggerID == "" {
		t.Fatalf("%+v %v", d, err)
	}
	return d
}
