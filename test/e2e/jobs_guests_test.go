package e2e

import (
	"strings"
	"testing"

	apiv1 "github.com/slipway-hq/slipway/gen/slipway/api/v1"
	"github.com/slipway-hq/slipway/sandbox"
	"github.com/slipway-hq/slipway/test/internal/world"
)

// TestGuestsAreRefusedOnARestrictedNamespaceForEveryVerb is B17, W16 and A26: a
// guest, a stranger and a bot may neither run nor cancel, see, read or hold what
// is restricted, and who becomes a guest is one at once.
func TestGuestsAreRefusedOnARestrictedNamespaceForEveryVerb(t *testing.T) {
	t.Parallel()
	w, _ := world.Jobs(t, func(w *world.World) world.Map {
		job := func(line string) world.Map {
			return world.Map{"run": line, "params": world.Map{"what": world.Map{}}, "report": world.Map{"stdout": true}, "dedupe": world.Map{"policy": "all"}}
		}
		commands := []world.Map{{"match": "report [what]", "job": "report"}}
		return world.Map{"namespaces": world.Map{
			"open":   world.Map{"jobs": world.Map{"report": job("echo open {what}")}, "commands": commands},
			"closed": world.Map{"restricted": true, "jobs": world.Map{"report": job("echo hush-hush {what}; " + w.Hold("go"))}, "commands": commands},
		}}
	}, world.Stand(func(c *sandbox.Config) { c.Subscriptions = []string{"app_mention", "message.im", "user_change"} }))
	_, running := asks(w, sandbox.UserRequester, sandbox.ChannelPrivate, "closed report classified")
	w.Running(running.GetId(), "run")
	refused := func(user, channel string) {
		t.Helper()
		before := len(w.All())
		for _, text := range []string{
			"closed report x", "cancel " + running.GetShortId(), "logs " + running.GetShortId(), "status " + running.GetShortId(), "status", "retry " + running.GetShortId(),
			"hold closed/report for 1h", "release closed/report", "history closed/report", "history", "closed report x --despite-hold because",
		} {
			d, err := w.Slack.SlashCommand(t.Context(), user, channel, "/slipway", text)
			if err != nil {
				t.Fatal(err)
			}
			words, public := w.Words(d)
			if public || strings.Contains(words, "hush-hush") || strings.Contains(words, "classified") {
				t.Errorf("%s: /slipway %s is answered %s", user, text, words)
			}
		}
		for _, r := range w.All()[:len(w.All())-before] {
			if r.GetStatus() != apiv1.RunStatus_RUN_STATUS_REFUSED {
				t.Errorf("%s started %s: %s", user, r.GetId(), r.GetStatus())
			}
		}
		if r := w.Get(running.GetId()); r.GetStatus() != apiv1.RunStatus_RUN_STATUS_RUNNING || r.GetCancelling() {
			t.Fatalf("%s changed it: %v", user, r)
		}
		if _, said := w.CLI("holds"); !strings.Contains(said, "no holds") {
			t.Errorf("%s set a hold: %s", user, said)
		}
	}
	w.Eventually("a member to read the logs", func() bool {
		words, _ := w.Words(w.CommandAs(sandbox.UserApprover, "/slipway", "logs "+running.GetShortId()))
		return strings.Contains(words, "hush-hush")
	})
	refused(sandbox.UserGuest, sandbox.ChannelDeploys)
	refused(sandbox.UserStranger, sandbox.ChannelShared)
	ts := w.Say(sandbox.UserGuest, sandbox.ChannelDeploys, world.Mention+"closed report x", "")
	w.Private(sandbox.UserGuest, sandbox.ChannelDeploys, "closed")
	if marks := w.Slack.Reactions(sandbox.ChannelDeploys, ts); len(marks["eyes"]) > 0 {
		t.Errorf("a refused request has %v", marks)
	}
	w.Say(sandbox.UserGuest, sandbox.ChannelDeploys, world.Mention+"open report for guests", "")
	w.Heard(sandbox.ChannelDeploys, "", "open for guests")

	if err := w.Slack.SetGuest(t.Context(), sandbox.UserApprover, true); err != nil {
		t.Fatal(err)
	}
	refused(sandbox.UserApprover, sandbox.ChannelDeploys)
	if err := w.Slack.SetGuest(t.Context(), sandbox.UserApprover, false); err != nil {
		t.Fatal(err)
	}
	if words, public := w.Words(w.CommandAs(sandbox.UserApprover, "/slipway", "cancel "+running.GetShortId())); !public {
		t.Errorf("a member again is answered %s", words)
	}
	w.Ended(running.GetId(), apiv1.RunStatus_RUN_STATUS_CANCELLED)
}

// TestHelpJobsHistoryAndStatusTellEverything is B12, B14 to B16, W06 and W22: what
// there is to say, the nearest match to what nobody knows, and who asked for
// what, with its end.
func TestHelpJobsHistoryAndStatusTellEverything(t *testing.T) {
	t.Parallel()
	w, _ := world.Jobs(t, func(w *world.World) world.Map {
		config := greeting(w)
		config["namespaces"].(world.Map)["op"] = world.Map{
			"description": "operations", "restricted": true,
			"jobs":     world.Map{"wait": world.Map{"run": w.Hold("go"), "help": "waits"}},
			"commands": []world.Map{{"match": "wait", "job": "wait", "help": "waits for the gate"}},
		}
		return config
	})
	says := func(text string, wants ...string) {
		t.Helper()
		words, _ := w.Words(w.Command("/slipway", text))
		for _, want := range wants {
			if !strings.Contains(words, want) {
				t.Errorf("/slipway %s has no %q: %s", text, want, words)
			}
		}
	}
	says("help", "test", "op* 🔒", "operations", "status", "cancel", "NAMESPACE help")
	says("test help", "say hello to [name]", "greets [name]")
	says("help op", "🔒", "full members", "waits for the gate")
	says("jobs", "test hello", "op wait", "waits", "[name]")
	says("jobs op", "op wait")
	says("test say helo to Ada", "Sorry", "test say hello to [name]", "test help")
	says("tset say hello to Ada", "Sorry", "test", "help")
	says("", "help")
	for text, want := range map[string]string{"dance": "Sorry", "...": "help", "test": "say hello to [name]"} {
		w.Say(sandbox.UserRequester, sandbox.DM(sandbox.UserRequester), text, "")
		w.Private(sandbox.UserRequester, sandbox.DM(sandbox.UserRequester), want)
	}
	says("status", "othing") // nothing runs
	_, done := asks(w, sandbox.UserApprover, sandbox.ChannelGeneral, "test say hello to Ada")
	w.Succeeded(done.GetId())
	_, running := asks(w, sandbox.UserRequester, sandbox.ChannelOps, "op wait")
	_, waiting := asks(w, sandbox.UserApprover, sandbox.ChannelOps, "op wait --in 2h")
	w.Running(running.GetId(), "run")
	says("status", running.GetShortId(), waiting.GetShortId(), "op wait", "<@"+sandbox.UserRequester+">", "<@"+sandbox.UserApprover+">")
	says("status "+done.GetShortId(), "test hello", "name=Ada", "succeeded")
	says("history", done.GetShortId(), "<@"+sandbox.UserApprover+">", "Ada")
	says("history test/hello succeeded", done.GetShortId())
	says("history test/hello by <@"+sandbox.UserApprover+"> since 1h", done.GetShortId())
	for _, none := range []string{"history test/hello failed", "history op/wait", "history by <@" + sandbox.UserRequester + ">"} {
		if words, _ := w.Words(w.Command("/slipway", none)); strings.Contains(words, done.GetShortId()) {
			t.Errorf("/slipway %s tells of %s: %s", none, done.GetShortId(), words)
		}
	}
	code, said := w.CLI("history", "test/hello", "--param", "name=Ada")
	if code != 0 || !strings.Contains(said, done.GetShortId()) {
		t.Errorf("history: %d %s", code, said)
	}
	w.Open("go")
	w.Succeeded(running.GetId())
}
