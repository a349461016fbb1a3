package listen_test

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/slipway-hq/slipway/domain/identity"
	"github.com/slipway-hq/slipway/domain/listen"
	"github.com/slipway-hq/slipway/domain/pipeline"
	"github.com/slipway-hq/slipway/domain/roster"
	eventv1 "github.com/slipway-hq/slipway/gen/slipway/event/v1"
	"github.com/slipway-hq/slipway/internal/story"
)

func TestStories(t *testing.T) {
	story.Run(t, "*.story", func(t *testing.T) func(story.Line) string {
		var s listen.State
		var l listen.Listener
		return func(line story.Line) string {
			switch line.Name {
			case "ask":
				return ask(t, &s, line.Arg("key", ""), runners(line.Arg("alive", "")))
			case "listen":
				l = listener(t, line)
				return "listening to " + l.Called()
			case "hear":
				return hear(l, line)
			}
			t.Fatalf("no command: %s", line.Text)
			return ""
		}
	})
}

func list(text string) []string {
	return slices.DeleteFunc(strings.Split(text, ","), func(s string) bool { return s == "" })
}

func runners(text string) (out []roster.Runner) {
	for _, one := range list(text) {
		id, name, _ := strings.Cut(one, ":")
		out = append(out, roster.Runner{ID: id, Name: name, Incarnation: fmt.Sprint(id, len(out))})
	}
	return out
}

func ask(t interface{ Fatal(...any) }, s *listen.State, key string, alive []roster.Runner) string {
	a := listen.Ask{Event: &eventv1.MessageHeard{Listener: "crew/roll", Key: key, Channel: "C1", MessageTs: "1.2"}, Alive: alive}
	events, err := listen.Decide(*s, a)
	if err != nil {
		return err.Error()
	}
	*s = listen.FoldCommit(*s, &eventv1.Commit{Events: events})
	out := "asked before: "
	if len(events) > 0 {
		out = "asks: "
	}
	for _, r := range s.Of(key).GetRuns() {
		if r.GetRun() != identity.RunID(identity.Job, listen.RunIdentity(key, r.GetRunner())) {
			t.Fatal("the id of a run is not that of its identity")
		}
		out += r.GetRunner() + " as " + r.GetCalled() + ", "
	}
	if len(s.Of(key).GetRuns()) == 0 {
		out += "nobody"
	}
	return strings.TrimSuffix(out, ", ")
}

func listener(t *testing.T, line story.Line) listen.Listener {
	t.Helper()
	yes := func(key string) bool { return line.Arg(key, "") == "yes" }
	rule := pipeline.Listener{
		Match: line.Arg("match", ""), Job: "j", Attachments: yes("attachments"), Edits: yes("edits"), Deletes: yes("deletes"),
		From: pipeline.From{Bots: list(line.Arg("bots", ""))},
	}
	if yes("people") {
		rule.From.People = new(true)
	}
	ears := listen.Ears(pipeline.Config{Namespaces: map[string]pipeline.Namespace{"ns": {Listen: map[string]pipeline.Listener{"l": rule}}}})
	if len(ears) != 1 {
		t.Fatalf("the match %q does not compile", rule.Match)
	}
	return ears[0]
}

func hear(l listen.Listener, line story.Line) string {
	m := listen.Message{
		Text: strings.ReplaceAll(line.Arg("text", ""), `\n`, "\n"), Bot: line.Arg("bot", ""), App: line.Arg("app", ""),
		Edited: line.Arg("edited", "") != "", Deleted: line.Arg("deleted", "") != "", Attachments: list(line.Arg("attachment", "")),
	}
	parts, attachment, ok := l.Hear(m)
	if !ok {
		return "nothing"
	}
	out := "heard"
	if attachment {
		out += " in an attachment"
	}
	for _, name := range slices.Sorted(maps.Keys(parts)) {
		out += fmt.Sprintf(" %s=%q", name, parts[name])
	}
	return out
}

// However often messages are asked, by replicas that see other runners: each asks
// once, and the fold of all commits is the state.
func TestAMessageAsksOnceAndAlwaysTheSame(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var s listen.State
		first := map[string]string{}
		for range rapid.IntRange(1, 30).Draw(t, "deliveries") {
			key := rapid.SampledFrom([]string{"a", "b", "c"}).Draw(t, "key")
			alive := rapid.SliceOfN(rapid.SampledFrom([]string{"r-1:x", "r-2:y", "r-3:x", "r-4:"}), 0, 5).Draw(t, "alive")
			_, after, _ := strings.Cut(ask(t, &s, key, runners(strings.Join(alive, ","))), ": ")
			if before, again := first[key]; again && before != after {
				t.Fatalf("%s asked %q, then %q", key, before, after)
			}
			first[key] = after
			seen := map[string]bool{}
			for _, r := range s.Of(key).GetRuns() {
				if seen[r.GetRunner()] {
					t.Fatalf("%s is asked twice", r.GetRunner())
				}
				seen[r.GetRunner()] = true
			}
		}
	})
}

func TestWhatIsRememberedAndAskedIsBounded(t *testing.T) {
	var s listen.State
	for i := range listen.MaxRemembered + 5 {
		ask(t, &s, fmt.Sprint(i), runners("r-1:x"))
	}
	if len(s.Heard) != listen.MaxRemembered || s.Of("4") != nil || s.Of("5") == nil {
		t.Errorf("%d are remembered", len(s.Heard))
	}
	var many []string
	for i := range listen.MaxRunners + 1 {
		many = append(many, fmt.Sprintf("r-%d:n%d", i, i))
	}
	if said := ask(t, &s, "many", runners(strings.Join(many, ","))); !strings.Contains(said, "more runners than") {
		t.Error(said)
	}
}

// Nothing that is not allowed is heard, whatever it says.
func TestBotsEditsAndRemovalsCountOnlyWhereTheListenerSaysSo(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		flag := rapid.Bool()
		l := pipeline.Listener{Match: ".+", Edits: flag.Draw(t, "edits"), Deletes: flag.Draw(t, "deletes"), Attachments: flag.Draw(t, "attachments")}
		l.From.Bots = rapid.SliceOfN(rapid.SampledFrom([]string{"B1", "A1"}), 0, 2).Draw(t, "bots")
		if flag.Draw(t, "say") {
			l.From.People = new(flag.Draw(t, "people"))
		}
		ears := listen.Ears(pipeline.Config{Namespaces: map[string]pipeline.Namespace{"n": {Listen: map[string]pipeline.Listener{"l": l}}}})
		m := listen.Message{Text: "x", Edited: flag.Draw(t, "edited"), Deleted: flag.Draw(t, "deleted")}
		m.Bot, m.App = rapid.SampledFrom([]string{"", "B1", "B2"}).Draw(t, "bot"), rapid.SampledFrom([]string{"", "A1", "A2"}).Draw(t, "app")
		_, _, ok := ears[0].Hear(m)
		bot := m.Bot != "" || m.App != ""
		listed := slices.Contains(l.From.Bots, m.Bot) || slices.Contains(l.From.Bots, m.App)
		if ok && (bot && !listed || m.Edited && !l.Edits || m.Deleted && !l.Deletes || !bot && !l.From.AcceptsPeople()) {
			t.Fatalf("%+v hears %+v", l, m)
		}
		if !ok && !bot && !m.Edited && !m.Deleted && !l.Deletes && l.From.AcceptsPeople() {
			t.Fatalf("%+v does not hear a person", l)
		}
	})
}
