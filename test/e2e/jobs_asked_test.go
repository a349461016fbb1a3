package e2e

import (
	"strings"
	"testing"

	"github.com/slipway-hq/slipway/sandbox"
	"github.com/slipway-hq/slipway/test/internal/world"
)

// greeting is a job that keeps its argument and says it.
func greeting(w *world.World) world.Map {
	return world.Namespace(world.Map{"hello": world.Map{
		"run": w.Keep("{name}") + `; printf 'Hello %s!\n' {name}`, "params": world.Map{"name": world.Map{}},
		"report": world.Map{"stdout": true}, "lane": "hello", "dedupe": world.Map{"policy": "all"},
	}}, []world.Map{{"match": "say hello to [name]", "job": "hello", "help": "greets [name]"}}, world.Map{"reminders": true})
}

// TestHoweverAPersonAsksTheJobGetsTheArgument is B02, B03, B05, B07, B08, B10,
// B11, W24 and A27: every way of asking, the exact argument, the reply in the
// thread exactly when asked in one, 👀, and ✅ before the report.
func TestHoweverAPersonAsksTheJobGetsTheArgument(t *testing.T) {
	t.Parallel()
	w, _ := world.Jobs(t, greeting)
	dm, channel := sandbox.DM(sandbox.UserRequester), sandbox.ChannelGeneral
	root := w.Say(sandbox.UserRequester, channel, world.Mention+"help", "")
	var asked []func()
	for name, c := range map[string]struct{ channel, thread, text, want string }{
		"in a channel":            {channel, "", world.Mention + "test say hello to Ada", "Ada"},
		"in a thread":             {channel, root, world.Mention + "test say hello to Bea", "Bea"},
		"in a DM":                 {dm, "", "test say hello to Cyd", "Cyd"},
		"in a DM, with a mention": {dm, "", world.Mention + "test say hello to Dot", "Dot"},
		"text before":             {sandbox.ChannelPrivate, "", "please, " + world.Mention + "test say hello to Eve", "Eve"},
		"a full stop":             {channel, "", world.Mention + "test say hello to Flo...", "Flo"},
		"spaces":                  {sandbox.ChannelDeploys, "", world.Mention + "  test   say  hello to   Gil   and Hal ", "Gil and Hal"},
		"an address":              {channel, "", world.Mention + "test say hello to https://example.org/a?b=1&c=2", "https://example.org/a?b=1&c=2"},
	} {
		ts := w.Say(sandbox.UserRequester, c.channel, c.text, c.thread)
		asked = append(asked, func() { greeted(w, name, c.channel, c.thread, ts, c.want) })
	}
	words, public := w.Words(w.Command("/slipway", "test say hello to Jan"))
	if !public || world.IDIn(words) == "" {
		t.Errorf("the answer names no run, or is private: %s", words)
	}
	posted, err := w.Slack.Remind(t.Context(), sandbox.ChannelOps, world.Mention+"test say hello to https://example.org/report.py")
	if err != nil {
		t.Fatal(err)
	}
	asked = append(asked, func() {
		greeted(w, "a slash command", sandbox.ChannelDeploys, "", "", "Jan")
		greeted(w, "a reminder with an address", sandbox.ChannelOps, "", posted.TS, "https://example.org/report.py")
	})
	for _, answered := range asked {
		answered()
	}
	if v := w.Slack.Violations(); len(v) > 0 {
		t.Errorf("Slack forgave: %q", v)
	}
}

// greeted checks everything that somebody sees who asked for a greeting in the
// message ts; a slash command has none.
func greeted(w *world.World, how, channel, thread, ts, name string) {
	w.T.Helper()
	r := w.Succeeded(w.RunOf("hello", "name", name).GetId())
	if got := w.Kept(r.GetId()); got != name {
		w.T.Errorf("%s: the command got %q, not %q", how, got, name)
	}
	report := w.Heard(channel, thread, "Hello "+name+"!")
	if report.ThreadTS != thread {
		w.T.Errorf("%s: the report is in thread %q, not %q", how, report.ThreadTS, thread)
	}
	if ts == "" {
		return
	}
	if reactions := w.Slack.Reactions(channel, ts); len(reactions["eyes"]) != 1 || len(reactions["white_check_mark"]) != 1 {
		w.T.Errorf("%s: the reactions are %v", how, reactions)
	}
	reacted := w.Call("reactions.add", func(e sandbox.Entry) bool {
		return e.Args["timestamp"] == ts && e.Args["name"] == "white_check_mark"
	})
	reported := w.Call("chat.postMessage", func(e sandbox.Entry) bool { return strings.Contains(e.Answer, report.TS) })
	if reported.Seq < reacted.Seq {
		w.T.Errorf("%s: the sign of success is call %d, the report %d", how, reacted.Seq, reported.Seq)
	}
}

// TestLinesAfterTheMentionAreRefusedAloud is B04: the rest is not dropped in
// silence.
func TestLinesAfterTheMentionAreRefusedAloud(t *testing.T) {
	t.Parallel()
	w, _ := world.Jobs(t, greeting)
	w.Say(sandbox.UserRequester, sandbox.ChannelGeneral, world.Mention+"test say hello to Ada\nand to Bea", "")
	w.Private(sandbox.UserRequester, sandbox.ChannelGeneral, "line")
	w.Say(sandbox.UserRequester, sandbox.ChannelGeneral, "first a line\n"+world.Mention+"test say hello to Cyd", "")
	w.Heard(sandbox.ChannelGeneral, "", "Hello Cyd!")
	if runs := w.JobsOf("hello"); len(runs) != 1 {
		t.Errorf("%d runs, want the one", len(runs))
	}
}
