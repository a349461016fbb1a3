package e2e

import (
	"strings"
	"testing"

	apiv1 "github.com/slipway-hq/slipway/gen/slipway/api/v1"
	"github.com/slipway-hq/slipway/sandbox"
	"github.com/slipway-hq/slipway/test/internal/world"
)

func TestAProtectedEnvironmentIsForThoseWhoAreNamed(t *testing.T) {
	w := up(t, three)
	d := w.Command("/deploy", "web to production")
	words, public := w.Words(d)
	if public || !strings.Contains(words, "production") {
		t.Errorf("the refusal is %s", d.Body)
	}
	again, err := w.Slack.Redeliver(t.Context(), d.ID, 3, true)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range again {
		if r.Body != d.Body {
			t.Errorf("a repeat was answered %s, not %s", r.Body, d.Body)
		}
	}
	runs := w.All()
	if len(runs) != 1 || runs[0].GetStatus() != apiv1.RunStatus_RUN_STATUS_REFUSED {
		t.Fatalf("stored is %v", runs)
	}
	// The guest and the stranger are named in the rule, and refused all the same.
	for _, user := range []string{sandbox.UserGuest, sandbox.UserStranger} {
		channel := sandbox.ChannelDeploys
		if user == sandbox.UserStranger {
			channel = sandbox.ChannelShared
		}
		for _, where := range []string{"production", "staging"} {
			d, err := w.Slack.SlashCommand(t.Context(), user, channel, "/deploy", "web to "+where)
			if err != nil {
				t.Fatal(err)
			}
			if words, public := w.Words(d); public || world.IDIn(words) != "" {
				t.Errorf("%s to %s: %s", user, where, words)
			}
		}
	}
	for _, r := range w.All() {
		if r.GetStatus() != apiv1.RunStatus_RUN_STATUS_REFUSED {
			t.Errorf("%s is %s", r.GetId(), r.GetStatus())
		}
	}
	if len(w.Effects()) > 0 {
		t.Error("a refused run did something")
	}
	d = w.CommandAs(sandbox.UserApprover, "/deploy", "web to production")
	r := w.Succeeded(w.Get(world.IDIn(d.Body)).GetId())
	w.JudgeCard(r)
	// A button is for everybody to see, and not for everybody to press.
	card := w.Card(r.GetId(), "Succeeded")
	if _, err := w.Slack.Click(t.Context(), sandbox.UserGuest, card.Channel, card.TS, "slipway:logs"); err == nil {
		w.Private(sandbox.UserGuest, card.Channel, "Guests")
	}
}

func TestABotStartsNothing(t *testing.T) {
	w := up(t, three)
	w.Slack.Event(t.Context(), map[string]any{
		"type": "app_mention", "channel": sandbox.ChannelGeneral, "user": sandbox.UserOtherBot, "bot_id": "B0ROBOT0001",
		"text": "<@" + sandbox.BotUserID + "> deploy web to staging", "ts": "1.000100",
	})
	for _, subtype := range []string{"message_changed", "bot_message", "channel_join", "thread_broadcast"} {
		w.Slack.Event(t.Context(), map[string]any{
			"type": "message", "channel_type": "im", "subtype": subtype, "channel": sandbox.DM(sandbox.UserRequester),
			"user": sandbox.UserRequester, "text": "deploy web to staging", "ts": "1.000" + subtype[:1],
		})
	}
	w.Succeeded(w.Ask("web to staging")) // by now the others would be there
	if runs := w.All(); len(runs) != 1 {
		t.Errorf("%d runs", len(runs))
	}
}

func TestUnknownNamesAreGuessed(t *testing.T) {
	w := up(t, three)
	for text, want := range map[string]string{
		"wbe to staging": "web", "web to stagign": "staging", "web to": "ENVIRONMENT", "": "web", "web@v1 to staging X=1": "X",
	} {
		words, public := w.Words(w.Command("/deploy", text))
		if public || !strings.Contains(words, want) {
			t.Errorf("/deploy %s is answered, public %v: %s", text, public, words)
		}
	}
	words, public := w.Words(w.Command("/slipway", "dpeloy web"))
	if public || !strings.Contains(words, "deploy") {
		t.Errorf("a misspelt verb is answered: %s", words)
	}
	words, public = w.Words(w.Command("/check_status", "d-nothere"))
	if public || !strings.Contains(words, "d-nothere") {
		t.Errorf("the status of nothing is answered: %s", words)
	}
	if _, err := w.TryDeploy("wbe", "staging", "", ""); err == nil || !strings.Contains(err.Error(), "web") {
		t.Errorf("the API says %v", err)
	}
}

func TestHostileTextIsShownAsItStandsAndPingsNobody(t *testing.T) {
	w := up(t, func(w *world.World) map[string][]world.Map {
		return map[string][]world.Map{"web": {w.Step("fail", `printf '<!channel> <@U0APPROVE01> %s \000 *bold*\n' "$SLIPWAY_VERSION"; exit 1`)}}
	}, world.Stand(func(c *sandbox.Config) { c.PlainCommands = true }))
	for _, version := range []string{"<!channel>", "`rm`", "$(touch${IFS}x)", "v1;id", "🚀", "<!here|x>", strings.Repeat("a", 200)} {
		r, err := w.TryDeploy("web", "staging", version, "")
		if err != nil {
			continue // refused is as good
		}
		if r = w.Ended(r.GetId(), apiv1.RunStatus_RUN_STATUS_FAILED); r.GetVersion() != version {
			t.Errorf("%q became %q", version, r.GetVersion())
		}
	}
	for _, text := range []string{
		"web@<!channel> to staging", "web@`x` to staging", "<!everyone>", "web\x00 to staging", "web@v1 to <!here>",
		"web@" + strings.Repeat("x", 10000) + " to staging", strings.Repeat("<!channel> ", 900), "web to staging \u202e\u0007",
	} {
		w.Command("/deploy", text)
		if _, err := w.Slack.Post(t.Context(), sandbox.UserRequester, sandbox.DM(sandbox.UserRequester), "deploy "+text, ""); err != nil {
			t.Fatal(err)
		}
	}
	for _, r := range w.All() {
		if r.GetStatus() != apiv1.RunStatus_RUN_STATUS_REFUSED {
			w.Await(r.GetId(), "its end", func(r *apiv1.Run) bool { return world.Terminal(r.GetStatus()) })
			if strings.HasPrefix(r.GetRequester(), "api:") {
				continue
			}
			w.JudgeCard(w.Get(r.GetId()))
		}
	}
	for _, e := range w.Slack.Journal() {
		said := e.Answer
		if e.Kind == sandbox.KindAPI || e.Kind == sandbox.KindHook {
			said = e.Body
			for _, v := range e.Args {
				said += v
			}
		}
		for _, ping := range []string{"<!channel", "<!here", "<!everyone", `\u003c!channel`, `\u003c!here`, `\u003c!everyone`, "<@U0APPROVE01>"} {
			if strings.Contains(said, ping) {
				t.Errorf("%s %s pings: %s", e.Kind, e.Name, said)
			}
		}
	}
}
