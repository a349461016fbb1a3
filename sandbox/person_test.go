package sandbox_test

import (
	"encoding/json"
	"path/filepath"
	"strings"
	"testing"

	"github.com/slack-go/slack"

	"github.com/slipway-hq/slipway/sandbox"
)

func TestClickOnAnEphemeralMayReplaceIt(t *testing.T) {
	s, a, _ := start(t, sandbox.Config{})
	a.answer = func(path string, _ map[string]string) (int, string) {
		if path == "/slack/commands" {
			return 200, `{"text":"Which one?","blocks":[{"type":"actions","elements":[{"type":"button","action_id":"pick","value":"web","text":{"type":"plain_text","text":"web"}}]}]}`
		}
		return 200, ""
	}
	if _, err := s.SlashCommand(t.Context(), sandbox.UserRequester, sandbox.ChannelDeploys, "/deploy", ""); err != nil {
		t.Fatal(err)
	}
	asked := s.Ephemerals(sandbox.UserRequester, sandbox.ChannelDeploys)[0]
	if _, err := s.Click(t.Context(), sandbox.UserApprover, sandbox.ChannelDeploys, asked.TS, "pick"); err == nil {
		t.Error("somebody else pressed a private button")
	}
	d, err := s.Click(t.Context(), sandbox.UserRequester, sandbox.ChannelDeploys, asked.TS, "pick")
	if err != nil || !d.OK() {
		t.Fatalf("%+v %v", d, err)
	}
	var payload map[string]any
	if err := json.Unmarshal([]byte(a.seen()[1].form["payload"]), &payload); err != nil {
		t.Fatal(err)
	}
	if payload["message"] != nil || payload["container"].(map[string]any)["is_ephemeral"] != true {
		t.Errorf("%v", payload)
	}
	if status, text := hookPost(t, d.ResponseURL, `{"text":"web it is","replace_original":true}`); status != 200 {
		t.Fatal(text)
	}
	if got := s.Ephemerals(sandbox.UserRequester, sandbox.ChannelDeploys); len(got) != 1 || got[0].Text != "web it is" {
		t.Errorf("%+v", got)
	}
}

func TestAnswerWithBrokenBlocksIsRefused(t *testing.T) {
	s, a, _ := start(t, sandbox.Config{})
	a.answer = func(string, map[string]string) (int, string) {
		return 200, `{"text":"x","blocks":[{"type":"header","text":{"type":"plain_text","text":""}}]}`
	}
	if _, err := s.SlashCommand(t.Context(), sandbox.UserRequester, sandbox.ChannelDeploys, "/deploy", ""); err != nil {
		t.Fatal(err)
	}
	if v := s.Violations(); len(v) != 1 || !strings.Contains(v[0], "invalid_blocks") {
		t.Errorf("%v", v)
	}
}

func TestWhoMayActWhere(t *testing.T) {
	s, _, _ := start(t, sandbox.Config{})
	for _, c := range []struct{ user, channel string }{
		{sandbox.UserGuest, sandbox.ChannelPrivate}, {sandbox.UserGuest, sandbox.DM(sandbox.UserRequester)},
		{sandbox.UserRequester, sandbox.ChannelArchived}, {"U0NOBODY", sandbox.ChannelDeploys}, {sandbox.UserStranger, sandbox.ChannelDeploys},
	} {
		if _, err := s.Post(t.Context(), c.user, c.channel, "hello", ""); err == nil {
			t.Errorf("%s wrote to %s", c.user, c.channel)
		}
	}
	if _, err := s.SlashCommand(t.Context(), sandbox.UserStranger, sandbox.ChannelShared, "/deploy", "web"); err != nil {
		t.Error(err)
	}
}

func TestOwnMessagesComeBackWhenSubscribed(t *testing.T) {
	s, a, client := start(t, sandbox.Config{Subscriptions: []string{"message.channels", "reaction_added"}})
	_, ts, err := client.PostMessage(sandbox.ChannelDeploys, slack.MsgOptionText("me", false))
	if err != nil {
		t.Fatal(err)
	}
	wait(t, s, func(v sandbox.State) bool { return len(a.seen()) == 1 })
	if body := a.seen()[0].body; !strings.Contains(body, sandbox.BotID) || !strings.Contains(body, ts) {
		t.Error(body)
	}
	if err := s.React(t.Context(), sandbox.UserRequester, sandbox.ChannelDeploys, ts, "eyes", true); err != nil {
		t.Fatal(err)
	}
	if seen := a.seen(); len(seen) != 2 || !strings.Contains(seen[1].body, "reaction_added") {
		t.Errorf("%d requests", len(seen))
	}
}

func TestModalIsSubmittedAndClosed(t *testing.T) {
	s, a, client := start(t, sandbox.Config{})
	view := slack.ModalViewRequest{
		Type: slack.VTModal, Title: slack.NewTextBlockObject(slack.PlainTextType, "Why", false, false), NotifyOnClose: true,
		Submit: slack.NewTextBlockObject(slack.PlainTextType, "Go", false, false),
		Blocks: slack.Blocks{BlockSet: []slack.Block{slack.NewInputBlock("why", slack.NewTextBlockObject(slack.PlainTextType, "Why", false, false), nil,
			slack.NewPlainTextInputBlockElement(nil, "text"))}},
	}
	open := func() string {
		d, err := s.SlashCommand(t.Context(), sandbox.UserRequester, sandbox.ChannelDeploys, "/deploy", "")
		if err != nil {
			t.Fatal(err)
		}
		opened, err := client.OpenView(d.TriggerID, view)
		if err != nil {
			t.Fatal(err)
		}
		return opened.ID
	}
	id := open()
	answer := `{"response_action":"errors","errors":{"why":"Say more."}}`
	a.answer = func(path string, _ map[string]string) (int, string) {
		if path == "/slack/interactions" {
			return 200, answer
		}
		return 200, ""
	}
	values := map[string]map[string]any{"why": {"text": map[string]any{"type": "plain_text_input", "value": "because"}}}
	for _, want := range []int{1, 0} {
		if _, err := s.Submit(t.Context(), sandbox.UserRequester, id, values); err != nil {
			t.Fatal(err)
		}
		if n := len(s.Views(sandbox.UserRequester)); n != want {
			t.Errorf("%d open views, want %d", n, want)
		}
		answer = ""
	}
	var call slack.InteractionCallback
	if err := json.Unmarshal([]byte(a.seen()[1].form["payload"]), &call); err != nil || call.View.State.Values["why"]["text"].Value != "because" {
		t.Errorf("%+v %v", call.View.State, err)
	}
	d, err := s.CloseView(t.Context(), sandbox.UserRequester, open())
	if err != nil || !d.OK() || d.Name != "view_closed" || len(s.Views(sandbox.UserRequester)) != 0 {
		t.Errorf("%+v %v", d, err)
	}
}

func TestConversationOutlivesARestart(t *testing.T) {
	file := filepath.Join(t.TempDir(), "sandbox.json")
	first, _, client := start(t, sandbox.Config{StateFile: file})
	_, ts, err := client.PostMessage(sandbox.ChannelDeploys, slack.MsgOptionText("card", false), slack.MsgOptionBlocks(slack.NewDividerBlock()))
	if err != nil {
		t.Fatal(err)
	}
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	second, _, client := start(t, sandbox.Config{StateFile: file})
	if _, _, _, err := client.UpdateMessage(sandbox.ChannelDeploys, ts, slack.MsgOptionText("done", false)); err != nil {
		t.Fatal(err)
	}
	_, next, err := client.PostMessage(sandbox.ChannelDeploys, slack.MsgOptionText("next", false))
	if err != nil || next <= ts {
		t.Errorf("%s after %s: %v", next, ts, err)
	}
	if got := second.Messages(sandbox.ChannelDeploys); len(got) != 2 || got[0].Text != "done" {
		t.Errorf("%+v", got)
	}
}

func TestDeleteAndMetadataRemoval(t *testing.T) {
	s, _, client := start(t, sandbox.Config{})
	meta := slack.MsgOptionMetadata(slack.SlackMetadata{EventType: "run", EventPayload: map[string]any{"run": "d-1"}})
	_, ts, err := client.PostMessage(sandbox.ChannelDeploys, slack.MsgOptionText("x", false), meta)
	if err != nil {
		t.Fatal(err)
	}
	form(t, s, "chat.update", map[string]string{"channel": sandbox.ChannelDeploys, "ts": ts, "text": "y", "metadata": "{}"})
	if got := s.Messages(sandbox.ChannelDeploys)[0]; got.Metadata != nil {
		t.Errorf("%s", got.Metadata)
	}
	for name, metadata := range map[string]string{
		"invalid_metadata_format": `"x"`, "invalid_metadata_schema": `{"event_type":"x"}`,
		"metadata_too_large": `{"event_type":"x","event_payload":{"a":"` + strings.Repeat("x", 9000) + `"}}`,
	} {
		if got, _ := form(t, s, "chat.postMessage", map[string]string{"channel": sandbox.ChannelDeploys, "text": "y", "metadata": metadata}); got["error"] != name {
			t.Errorf("%v, want %s", got, name)
		}
	}
	if _, _, err := client.DeleteMessage(sandbox.ChannelDeploys, ts); err != nil {
		t.Fatal(err)
	}
	_, _, err = client.DeleteMessage(sandbox.ChannelDeploys, ts)
	wantError(t, err, "message_not_found")
	posted, err := s.Post(t.Context(), sandbox.UserRequester, sandbox.ChannelDeploys, "mine", "")
	if err != nil {
		t.Fatal(err)
	}
	_, _, _, err = client.UpdateMessage(sandbox.ChannelDeploys, posted.TS, slack.MsgOptionText("yours", false))
	wantError(t, err, "cant_update_message")
}
