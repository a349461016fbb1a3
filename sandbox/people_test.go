package sandbox_test

import (
	"encoding/json"
	"errors"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/slack-go/slack"

	"github.com/slipway-hq/slipway/sandbox"
)

// everything is what an app hears that listens to everybody.
var everything = []string{
	"app_mention", "message.channels", "message.groups", "message.im", "user_change", "channel_created", "member_joined_channel",
}

// inner decodes the event of a request.
func inner(t *testing.T, r request) map[string]any {
	t.Helper()
	var envelope struct{ Event map[string]any }
	if err := json.Unmarshal([]byte(r.body), &envelope); err != nil {
		t.Fatal(err)
	}
	return envelope.Event
}

func TestAMentionInAThread(t *testing.T) {
	s, a, _ := start(t, sandbox.Config{})
	top, err := s.Post(t.Context(), sandbox.UserRequester, sandbox.ChannelOps, "what about the report?", "")
	if err != nil {
		t.Fatal(err)
	}
	said, err := s.SayInThread(t.Context(), sandbox.UserApprover, sandbox.ChannelOps, top.TS, "@slipway test say hello")
	if err != nil || len(said.Deliveries) != 1 {
		t.Fatalf("%+v %v", said, err)
	}
	e := inner(t, a.seen()[0])
	if e["type"] != "app_mention" || e["thread_ts"] != top.TS || e["ts"] != said.TS || e["user"] != sandbox.UserApprover {
		t.Errorf("%v", e)
	}
	if n := len(s.Thread(sandbox.ChannelOps, top.TS)); n != 2 {
		t.Errorf("a thread of %d", n)
	}
	if _, err := s.SayInThread(t.Context(), sandbox.UserApprover, sandbox.ChannelOps, "1.000001", "hello?"); !errors.Is(err, sandbox.ErrNoMessage) {
		t.Error(err)
	}
}

func TestADirectMessageNeedsNoMention(t *testing.T) {
	s, a, _ := start(t, sandbox.Config{})
	if _, err := s.DirectMessage(t.Context(), sandbox.UserRequester, "test say hello"); err != nil {
		t.Fatal(err)
	}
	e := inner(t, a.seen()[0])
	if e["type"] != "message" || e["channel_type"] != "im" || e["channel"] != sandbox.DM(sandbox.UserRequester) || e["text"] != "test say hello" {
		t.Errorf("%v", e)
	}
}

func TestAReminderIsSlackbots(t *testing.T) {
	s, a, client := start(t, sandbox.Config{})
	said, err := s.Remind(t.Context(), sandbox.ChannelOps, "@slipway test fetch https://x.test/a?b=1")
	if err != nil || len(said.Deliveries) != 1 {
		t.Fatalf("%+v %v", said, err)
	}
	e := inner(t, a.seen()[0])
	if e["type"] != "app_mention" || e["user"] != "USLACKBOT" || e["bot_id"] != nil ||
		e["text"] != "Reminder: <@"+sandbox.BotUserID+"|slipway> test fetch <https://x.test/a?b=1>." {
		t.Errorf("%v", e)
	}
	if u, err := client.GetUserInfo(sandbox.UserSlackbot); err != nil || u.IsBot || u.Name != "slackbot" {
		t.Errorf("%+v %v", u, err)
	}
	if _, err := s.Remind(t.Context(), sandbox.ChannelArchived, "x"); !errors.Is(err, sandbox.ErrNoChannel) {
		t.Error(err)
	}
}

func TestEditsAndRemovalsAreHeard(t *testing.T) {
	s, a, _ := start(t, sandbox.Config{Subscriptions: everything})
	said, err := s.Post(t.Context(), sandbox.UserRequester, sandbox.ChannelOps, "helo", "")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Edit(t.Context(), sandbox.UserApprover, sandbox.ChannelOps, said.TS, "not mine"); !errors.Is(err, sandbox.ErrNotYours) {
		t.Error(err)
	}
	if _, err := s.Edit(t.Context(), sandbox.UserRequester, sandbox.ChannelOps, said.TS, "hello tech-support"); err != nil {
		t.Fatal(err)
	}
	e := inner(t, a.seen()[1])
	now, before := e["message"].(map[string]any), e["previous_message"].(map[string]any)
	if e["subtype"] != "message_changed" || e["hidden"] != true || e["channel_type"] != "channel" || e["ts"] == said.TS ||
		now["text"] != "hello tech-support" || now["ts"] != said.TS || now["edited"] == nil || before["text"] != "helo" || before["edited"] != nil {
		t.Errorf("%v", e)
	}
	if m := s.Messages(sandbox.ChannelOps)[0]; m.Text != "hello tech-support" || m.Edits != 1 {
		t.Errorf("%+v", m)
	}
	if _, err := s.Delete(t.Context(), sandbox.UserRequester, sandbox.ChannelOps, said.TS); err != nil {
		t.Fatal(err)
	}
	if e := inner(t, a.seen()[2]); e["subtype"] != "message_deleted" || e["deleted_ts"] != said.TS {
		t.Errorf("%v", e)
	}
	if n := len(s.Messages(sandbox.ChannelOps)); n != 0 {
		t.Errorf("%d messages are left", n)
	}
}

func TestTheAppHearsOfChangesToItsOwnMessages(t *testing.T) {
	s, a, client := start(t, sandbox.Config{Subscriptions: []string{"message.channels"}})
	_, ts, err := client.PostMessage(sandbox.ChannelOps, slack.MsgOptionText("one", false))
	if err != nil {
		t.Fatal(err)
	}
	if _, _, _, err := client.UpdateMessage(sandbox.ChannelOps, ts, slack.MsgOptionText("two", false)); err != nil {
		t.Fatal(err)
	}
	wait(t, s, func(sandbox.State) bool { return len(a.seen()) == 2 })
	for _, r := range a.seen() {
		if e := inner(t, r); e["subtype"] == "message_changed" && e["message"].(map[string]any)["bot_id"] == sandbox.BotID {
			return
		}
	}
	t.Errorf("no change was delivered: %+v", a.seen())
}

func TestSomebodyBecomesAGuest(t *testing.T) {
	s, a, client := start(t, sandbox.Config{Subscriptions: everything})
	for standing, check := range map[sandbox.Standing]func(*slack.User) bool{
		sandbox.MultiGuest:   func(u *slack.User) bool { return u.IsRestricted && !u.IsUltraRestricted },
		sandbox.SingleGuest:  func(u *slack.User) bool { return u.IsRestricted && u.IsUltraRestricted },
		sandbox.Deactivated:  func(u *slack.User) bool { return u.Deleted && u.TZ == "" },
		sandbox.OtherCompany: func(u *slack.User) bool { return u.TeamID == sandbox.OtherTeamID },
		sandbox.FullMember:   func(u *slack.User) bool { return !u.IsRestricted && !u.Deleted && u.TZ != "" },
	} {
		if err := s.SetStanding(t.Context(), sandbox.UserRequester, standing); err != nil {
			t.Fatal(err)
		}
		if u, err := client.GetUserInfo(sandbox.UserRequester); err != nil || !check(u) {
			t.Errorf("%s: %+v %v", standing, u, err)
		}
		seen := a.seen()
		e := inner(t, seen[len(seen)-1])
		if u := e["user"].(map[string]any); e["type"] != "user_change" || u["id"] != sandbox.UserRequester || u["deleted"] != (standing == sandbox.Deactivated) {
			t.Errorf("%s: %v", standing, e)
		}
	}
	if err := s.SetStanding(t.Context(), sandbox.UserRequester, sandbox.Deactivated); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Post(t.Context(), sandbox.UserRequester, sandbox.ChannelOps, "hello", ""); !errors.Is(err, sandbox.ErrGone) {
		t.Error(err)
	}
	if err := s.SetGuest(t.Context(), sandbox.UserRequester, false); err != nil {
		t.Error(err)
	}
	if err := s.SetStanding(t.Context(), sandbox.UserRequester, "emperor"); err == nil {
		t.Error("somebody became emperor")
	}
}

func TestWhoIsWhoInTheWorld(t *testing.T) {
	_, _, client := start(t, sandbox.Config{})
	want := map[string]string{
		sandbox.UserRequester: "member", sandbox.UserGuest: "guest", sandbox.UserSingleGuest: "guest of one channel", sandbox.UserGone: "deactivated",
		sandbox.UserAdmin: "admin", sandbox.UserOtherBot: "bot", sandbox.UserStranger: "stranger",
	}
	got := map[string]string{}
	for id := range want {
		u, err := client.GetUserInfo(id)
		if err != nil {
			t.Fatal(err)
		}
		switch {
		case u.Deleted:
			got[id] = "deactivated"
		case u.TeamID != sandbox.TeamID:
			got[id] = "stranger"
		case u.IsBot:
			got[id] = "bot"
		case u.IsUltraRestricted:
			got[id] = "guest of one channel"
		case u.IsRestricted:
			got[id] = "guest"
		case u.IsAdmin:
			got[id] = "admin"
		default:
			got[id] = "member"
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestANewChannelIsAnnouncedAndJoined(t *testing.T) {
	s, a, client := start(t, sandbox.Config{Subscriptions: everything})
	c, err := s.CreateChannel(t.Context(), sandbox.UserRequester, "incident-7")
	if err != nil {
		t.Fatal(err)
	}
	e := inner(t, a.seen()[0])
	if told := e["channel"].(map[string]any); e["type"] != "channel_created" || told["id"] != c.ID || told["name"] != "incident-7" || told["creator"] != sandbox.UserRequester {
		t.Errorf("%v", e)
	}
	_, _, err = client.PostMessage(c.ID, slack.MsgOptionText("hello", false))
	wantError(t, err, "not_in_channel")
	if _, _, _, err := client.JoinConversation(c.ID); err != nil {
		t.Fatal(err)
	}
	wait(t, s, func(sandbox.State) bool { return len(a.seen()) == 2 })
	if e := inner(t, a.seen()[1]); e["type"] != "member_joined_channel" || e["user"] != sandbox.BotUserID {
		t.Errorf("%v", e)
	}
	if _, warning, _, err := client.JoinConversation(c.ID); err != nil || warning != "already_in_channel" {
		t.Errorf("%q %v", warning, err)
	}
	if _, _, err := client.PostMessage(c.ID, slack.MsgOptionText("hello", false)); err != nil {
		t.Error(err)
	}
	for _, name := range []string{"incident-7", "", "With Spaces"} {
		if _, err := s.CreateChannel(t.Context(), sandbox.UserRequester, name); !errors.Is(err, sandbox.ErrName) {
			t.Errorf("%q: %v", name, err)
		}
	}
	for channel, code := range map[string]string{
		sandbox.ChannelArchived: "is_archived", sandbox.ChannelPrivate: "method_not_supported_for_channel_type", "C0NOWHERE": "channel_not_found",
	} {
		_, _, _, err := client.JoinConversation(channel)
		wantError(t, err, code)
	}
}

func TestAnInvitationIsHeard(t *testing.T) {
	s, a, client := start(t, sandbox.Config{Subscriptions: everything})
	if err := s.Invite(t.Context(), sandbox.UserRequester, sandbox.ChannelRandom, sandbox.BotUserID); err != nil {
		t.Fatal(err)
	}
	if e := inner(t, a.seen()[0]); e["type"] != "member_joined_channel" || e["inviter"] != sandbox.UserRequester {
		t.Errorf("%v", e)
	}
	if _, _, err := client.PostMessage(sandbox.ChannelRandom, slack.MsgOptionText("here", false)); err != nil {
		t.Error(err)
	}
}

func TestWhatPeopleChangedOutlivesARestart(t *testing.T) {
	file := filepath.Join(t.TempDir(), "sandbox.json")
	first, _, _ := start(t, sandbox.Config{StateFile: file})
	c, err := first.CreateChannel(t.Context(), sandbox.UserRequester, "incident-7")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := first.Post(t.Context(), sandbox.UserRequester, c.ID, "it burns", ""); err != nil {
		t.Fatal(err)
	}
	if err := first.SetGuest(t.Context(), sandbox.UserApprover, true); err != nil {
		t.Fatal(err)
	}
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	second, _, client := start(t, sandbox.Config{StateFile: file})
	if got := second.Messages(c.ID); len(got) != 1 || got[0].Text != "it burns" {
		t.Errorf("%+v", got)
	}
	if u, err := client.GetUserInfo(sandbox.UserApprover); err != nil || !u.IsRestricted {
		t.Errorf("%+v %v", u, err)
	}
}

func TestTheControlAPIMovesTheWorld(t *testing.T) {
	s, a, _ := start(t, sandbox.Config{Subscriptions: everything, Hints: func() []string { return []string{"@slipway test say hello to Bob"} }})
	said, err := s.Post(t.Context(), sandbox.UserRequester, sandbox.ChannelOps, "helo", "")
	if err != nil {
		t.Fatal(err)
	}
	mine := `{"user":"U0REQUEST01","channel":"C0OPS000001","ts":"` + said.TS + `"`
	for _, c := range []struct {
		path, body string
		want       int
	}{
		{"/sandbox/edit", mine + `,"text":"hello"}`, 200},
		{"/sandbox/edit", strings.Replace(mine, "U0REQUEST01", "U0APPROVE01", 1) + `,"text":"hello"}`, 409},
		{"/sandbox/react", mine + `,"name":"kuai-kuai-green"}`, 404},
		{"/sandbox/remind", `{"channel":"C0OPS000001","text":"@slipway test say hello"}`, 200},
		{"/sandbox/channel", `{"user":"U0REQUEST01","name":"incident-7"}`, 200},
		{"/sandbox/standing", `{"user":"U0REQUEST01","value":"guest"}`, 200},
		{"/sandbox/delete", mine + `}`, 200},
	} {
		if status, out := order(t, s, c.path, c.body, nil); status != c.want {
			t.Errorf("%s %s: %d %v", c.path, c.body, status, out)
		}
	}
	if n := len(a.seen()); n != 7 { // the post, the edit, the reminder twice, the channel, the standing, the removal
		t.Errorf("%d events", n)
	}
	if _, config := get(t, s.URL()+"/sandbox/config"); !strings.Contains(config, "say hello to Bob") {
		t.Error(config)
	}
}
