package e2e

import (
	"context"
	"slices"
	"strings"
	"sync"
	"testing"

	apiv1 "github.com/slipway-hq/slipway/gen/slipway/api/v1"
	"github.com/slipway-hq/slipway/sandbox"
	"github.com/slipway-hq/slipway/test/internal/world"
)

// three are three steps that write down what they do.
func three(w *world.World) map[string][]world.Map {
	return map[string][]world.Map{"web": {w.Step("build", "echo building"), w.Step("check", ""), w.Step("ship", "")}}
}

func TestASlashCommandRunsAndItsCardEndsWithAMention(t *testing.T) {
	w := up(t, three)
	d := w.Command("/deploy", "web@v1.2 to staging")
	words, public := w.Words(d)
	for _, want := range []string{"*web*", "*staging*", "v1.2", "accepted", "<@" + sandbox.UserRequester + ">"} {
		if !strings.Contains(words, want) || !public {
			t.Errorf("the answer has no %q, or is private: %s", want, d.Body)
		}
	}
	r := w.Succeeded(w.Get(world.IDIn(d.Body)).GetId())
	if r.GetVersion() != "v1.2" || r.GetRequester() != sandbox.UserRequester || r.GetTraceId() == "" || r.GetLane() != "web/staging" {
		t.Errorf("the run is %v", r)
	}
	card := w.Card(r.GetId(), "Succeeded")
	for _, want := range []string{"web", "staging", "v1.2", "build", "check", "ship", r.GetShortId(), "[Logs]"} {
		if !strings.Contains(card.Visible(), want) {
			t.Errorf("the card has no %q:\n%s", want, card.Visible())
		}
	}
	if strings.Contains(card.Visible(), "[Cancel]") {
		t.Error("a run that has ended can be cancelled")
	}
	w.Reply(card, "<@"+sandbox.UserRequester+">")
	w.JudgeCard(r)
	w.Judge(w.All(), nil)
	if v := w.Slack.Violations(); len(v) > 0 {
		t.Errorf("Slack forgave: %q", v)
	}
	if log := w.Logs(r.GetId(), "build"); log != "building\n" {
		t.Errorf("build printed %q", log)
	}
}

func TestAMentionIsOneRunAndGetsAReaction(t *testing.T) {
	w := up(t, func(w *world.World) map[string][]world.Map {
		all := three(w)
		all["broken"] = []world.Map{w.Step("fail", "exit 1")}
		return all
	}, world.Stand(func(c *sandbox.Config) {
		c.Subscriptions = []string{"app_mention", "message.channels", "message.im"} // one mention, two events
	}))
	inChannel, err := w.Slack.Post(t.Context(), sandbox.UserRequester, sandbox.ChannelGeneral, "<@"+sandbox.BotUserID+"> deploy web@v7 to staging", "")
	if err != nil {
		t.Fatal(err)
	}
	if len(inChannel.Deliveries) != 2 {
		t.Fatalf("the mention was delivered %d times", len(inChannel.Deliveries))
	}
	w.Reacted(sandbox.ChannelGeneral, inChannel.TS, "white_check_mark")
	direct, err := w.Slack.Post(t.Context(), sandbox.UserRequester, sandbox.DM(sandbox.UserRequester), "deploy web to qa", "")
	if err != nil {
		t.Fatal(err)
	}
	w.Reacted(sandbox.DM(sandbox.UserRequester), direct.TS, "white_check_mark")
	bad, err := w.Slack.Post(t.Context(), sandbox.UserRequester, sandbox.ChannelGeneral, "<@"+sandbox.BotUserID+"> deploy broken to qa", "")
	if err != nil {
		t.Fatal(err)
	}
	w.Reacted(sandbox.ChannelGeneral, bad.TS, "x")
	runs := slices.DeleteFunc(w.All(), func(r *apiv1.Run) bool { return r.GetService() == "broken" })
	if len(runs) != 2 {
		t.Fatalf("%d runs, want 2", len(runs))
	}
	for _, r := range runs {
		w.JudgeCard(w.Succeeded(r.GetId()))
	}
}

func TestTheSamePayloadFiftyTimesIsOneRunAndOneCard(t *testing.T) {
	w := up(t, three)
	first := w.Command("/deploy", "web to staging")
	id := w.Get(world.IDIn(first.Body)).GetId()
	again, err := w.Slack.Redeliver(t.Context(), first.ID, 50, true)
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range again {
		if !d.OK() || w.Get(world.IDIn(d.Body)).GetId() != id {
			t.Errorf("a repeat was answered %d %s %s", d.Status, d.Err, d.Body)
		}
	}
	post, err := w.Slack.Post(t.Context(), sandbox.UserRequester, sandbox.ChannelGeneral, "<@"+sandbox.BotUserID+"> deploy web to qa", "")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Slack.Redeliver(t.Context(), post.Deliveries[0].ID, 50, true); err != nil {
		t.Fatal(err)
	}
	w.Reacted(sandbox.ChannelGeneral, post.TS, "white_check_mark")
	runs := w.All()
	if len(runs) != 2 {
		t.Errorf("%d runs, want 2", len(runs))
	}
	for _, r := range runs {
		w.JudgeCard(w.Succeeded(r.GetId()))
	}
	w.Judge(runs, nil)
}

// TestFiftyAtOnceBeforeAnyAnswer delivers all copies before the first is
// decided.
func TestFiftyAtOnceBeforeAnyAnswer(t *testing.T) {
	w := up(t, three)
	body := []byte("team_id=" + sandbox.TeamID + "&channel_id=" + sandbox.ChannelDeploys + "&user_id=" + sandbox.UserRequester +
		"&command=%2Fdeploy&text=web+to+staging&trigger_id=1.2.same&response_url=" + w.Slack.URL() + "/nowhere")
	answers := make(chan sandbox.Delivery, 50)
	var all sync.WaitGroup
	for range cap(answers) {
		all.Go(func() {
			answers <- w.Slack.Raw(context.Background(), "/slack/commands", "application/x-www-form-urlencoded", body)
		})
	}
	all.Wait()
	close(answers)
	ids := map[string]bool{}
	for d := range answers {
		if !d.OK() {
			t.Errorf("answered %d %s", d.Status, d.Err)
		}
		ids[world.IDIn(d.Body)] = true
	}
	if runs := w.All(); len(runs) != 1 || len(ids) != 1 {
		t.Fatalf("%d runs, the answers name %v", len(runs), ids)
	}
	w.JudgeCard(w.Succeeded(w.All()[0].GetId()))
}

func TestSocketModeAloneClosesTheDoors(t *testing.T) {
	const token = "xapp-of-the-test"
	w := up(t, three, world.Unset("SLACK_SIGNING_SECRET"), world.Env("SLACK_APP_TOKEN", token), world.Stand(func(c *sandbox.Config) {
		c.Delivery, c.AppToken = sandbox.Socket, token
	}))
	w.Eventually("a socket", func() bool { return w.Slack.SocketConnections() > 0 })
	d := w.Command("/deploy", "web to staging")
	words, _ := w.Words(d)
	w.JudgeCard(w.Succeeded(w.Get(world.IDIn(words)).GetId()))
	post, err := w.Slack.Post(t.Context(), sandbox.UserRequester, sandbox.ChannelGeneral, "<@"+sandbox.BotUserID+"> deploy web to qa", "")
	if err != nil {
		t.Fatal(err)
	}
	w.Reacted(sandbox.ChannelGeneral, post.TS, "white_check_mark")
	if status, _ := knock(t, w, "/slack/commands", form, "a=b", nil); status != 403 {
		t.Errorf("a closed door answers %d", status)
	}
}
