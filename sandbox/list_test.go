package sandbox_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/slack-go/slack"

	"github.com/slipway-hq/slipway/sandbox"
)

func TestListsArePaged(t *testing.T) {
	s, _, client := start(t, sandbox.Config{NoRateLimits: true})
	var channels []string
	params := slack.GetConversationsParameters{Limit: 3, ExcludeArchived: true, Types: []string{"public_channel", "private_channel"}}
	for pages := 1; ; pages++ {
		part, next, err := client.GetConversations(&params)
		if err != nil || len(part) > 3 {
			t.Fatal(len(part), err)
		}
		for _, c := range part {
			channels = append(channels, c.Name)
		}
		if params.Cursor = next; next == "" {
			if pages != 3 {
				t.Errorf("%d pages", pages)
			}
			break
		}
	}
	slices.Sort(channels)
	if got := strings.Join(channels, " "); got != "deploys general logs ops partners random release-crew tech-support" {
		t.Error(got)
	}
	var members []string
	cursor := ""
	for {
		part, next, err := client.GetUsersInConversation(&slack.GetUsersInConversationParameters{ChannelID: sandbox.ChannelGeneral, Limit: 2, Cursor: cursor})
		if err != nil {
			t.Fatal(err)
		}
		members = append(members, part...)
		if cursor = next; next == "" {
			break
		}
	}
	if !slices.Contains(members, sandbox.BotUserID) || len(members) != 5 {
		t.Error(members)
	}
	users, err := client.GetUsers(slack.GetUsersOptionLimit(2))
	if err != nil || !slices.ContainsFunc(users, func(u slack.User) bool { return u.Deleted }) || !slices.ContainsFunc(users, func(u slack.User) bool { return u.IsUltraRestricted }) {
		t.Errorf("%d people, %v", len(users), err)
	}
	for _, c := range []struct{ method, name, value, want string }{
		{"conversations.list", "limit", "-1", "invalid_limit"}, {"conversations.list", "limit", "2000", "invalid_limit"},
		{"conversations.list", "cursor", "nonsense", "invalid_cursor"}, {"conversations.list", "types", "secret_channel", "invalid_types"},
		{"users.list", "cursor", "bmV4dF90czpVMEdPTkU=", "invalid_cursor"},
	} {
		if got, _ := form(t, s, c.method, map[string]string{c.name: c.value}); got["error"] != c.want {
			t.Errorf("%+v: %v", c, got)
		}
	}
}

func TestOnlyEmojiThatExistAreReactions(t *testing.T) {
	s, _, client := start(t, sandbox.Config{Emoji: []string{"kuai-kuai-green"}})
	said, err := s.Post(t.Context(), sandbox.UserRequester, sandbox.ChannelOps, "hello", "")
	if err != nil {
		t.Fatal(err)
	}
	item := slack.NewRefToMessage(sandbox.ChannelOps, said.TS)
	for _, name := range []string{"white_check_mark", "x", "sos", "flamingo", "+1", "thumbsup::skin-tone-3", "hash", "hourglass_flowing_sand", "kuai-kuai-green"} {
		if err := client.AddReaction(name, item); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	for _, name := range []string{"kuai-kuai-blue", "checkmark", "#", "White_Check_Mark", "✅"} {
		wantError(t, client.AddReaction(name, item), "invalid_name")
	}
	got, err := client.GetReactions(item, slack.GetReactionsParameters{})
	if err != nil || len(got.Reactions) != 9 {
		t.Errorf("%+v %v", got, err)
	}
}

func TestAPermalinkLeadsToItsMessage(t *testing.T) {
	s, _, client := start(t, sandbox.Config{})
	top, err := s.Post(t.Context(), sandbox.UserRequester, sandbox.ChannelOps, "hello", "")
	if err != nil {
		t.Fatal(err)
	}
	_, reply, err := client.PostMessage(sandbox.ChannelOps, slack.MsgOptionText("x", false), slack.MsgOptionTS(top.TS))
	if err != nil {
		t.Fatal(err)
	}
	link, err := client.GetPermalink(&slack.PermalinkParameters{Channel: sandbox.ChannelOps, Ts: reply})
	if err != nil || link != s.URL()+"/archives/"+sandbox.ChannelOps+"/p"+strings.ReplaceAll(reply, ".", "")+"?thread_ts="+top.TS+"&cid="+sandbox.ChannelOps {
		t.Errorf("%s %v", link, err)
	}
	if status, page := get(t, link); status != 200 || !strings.Contains(page, "timeline") {
		t.Error(status)
	}
	_, err = client.GetPermalink(&slack.PermalinkParameters{Channel: sandbox.ChannelOps, Ts: "1.000001"})
	wantError(t, err, "message_not_found")
}
