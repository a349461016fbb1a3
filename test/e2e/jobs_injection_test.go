package e2e

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	apiv1 "github.com/slipway-hq/slipway/gen/slipway/api/v1"
	"github.com/slipway-hq/slipway/sandbox"
	"github.com/slipway-hq/slipway/test/internal/world"
)

// hostile are arguments that mean something to a shell, to Slack, to a flag
// parser or to a template; %s is a file that none of them may make.
func hostile(w *world.World) []string {
	mark := filepath.Join(w.Dir, "injected")
	return []string{
		`$(touch ` + mark + `)`, "`touch " + mark + "`", `'; touch ` + mark + `; '`, `"; touch ` + mark + `; "`,
		`' || touch ` + mark + ` #`, `\'; touch ` + mark, `&& touch ` + mark, `| tee ` + mark, `> ` + mark, `${IFS}$HOME`, `$'\x27'`,
		`--despite`, `-rf /`, `--help`, `{name}`, `{{name}}`, `%s%n`, `!!`, `~/*`, `a\nb`, `<!channel>`, `<!here|here>`, `<!everyone>`,
		`*bold* _it_ ~no~`, `&amp; &lt;!channel&gt;`, `ünïcödé 😀 日本語`, "a\u202eb", `it's`, strings.Repeat("x", 3900),
	}
}

// injected is a job that keeps one argument as it arrives and says it aloud, by a
// shell line, by a list of words, and by a variable.
func injected(w *world.World) world.Map {
	more := world.Map{"params": world.Map{"name": world.Map{}}, "report": world.Map{"stdout": true, "card": "always"}, "dedupe": world.Map{"policy": "all"}, "lane": "echo"}
	job := func(extra world.Map) world.Map {
		for k, v := range more {
			extra[k] = v
		}
		return extra
	}
	return world.Namespace(world.Map{
		"line": job(world.Map{"run": w.Keep("{name}") + `; printf 'said %s\n' {name}`}),
		"list": job(world.Map{"run": []string{"sh", "-c", w.Keep(`"$0"`) + `; printf 'said %s\n' "$0"`, "{name}"}}),
		"var":  job(world.Map{"run": w.Keep(`"$NAME"`) + `; printf 'said %s\n' "$NAME"`, "env": world.Map{"NAME": "{name}"}}),
	}, []world.Map{{"match": "line [name]", "job": "line"}, {"match": "list [name]", "job": "list"}, {"match": "var [name]", "job": "var"}},
		world.Map{"webhooks": world.Map{"ci": world.Map{"kind": "generic", "secrets": []world.Map{{"env": "E2E_HOOK"}}, "rules": []world.Map{{
			"job": "line", "params": world.Map{"name": "text"},
		}}}}})
}

// TestHostileArgumentsAreOnlyArgumentsAtEveryDoor is B09, W12 and W13: whatever
// somebody types, at whatever door, the command gets exactly that, nothing of
// it is executed, and nothing of it pings a channel.
func TestHostileArgumentsAreOnlyArgumentsAtEveryDoor(t *testing.T) {
	t.Parallel()
	w, _ := world.Jobs(t, injected, world.Env("E2E_HOOK", hookSecret))
	for i, value := range hostile(w) {
		doors := map[string]string{}
		job := []string{"line", "list", "var"}[i%3]
		r, err := w.Jobs.RunJob(t.Context(), &apiv1.RunJobRequest{Namespace: "test", Job: job, Parameters: map[string]string{"name": value}})
		if err != nil {
			t.Errorf("the API refuses %q: %v", value, err)
			continue
		}
		doors["API"] = r.GetRun().GetId()
		body, err := json.Marshal(map[string]string{"text": value, "salt": fmt.Sprint(i)})
		if err != nil {
			t.Fatal(err)
		}
		if status, answer := w.Deliver("/webhooks/test/ci", hookSecret, string(body)); status == 202 {
			doors["webhook"] = world.IDIn(answer)
		} else {
			t.Errorf("the webhook refuses %q: %d %s", value, status, answer)
		}
		if typable(value) {
			words, _ := w.Words(w.Command("/slipway", "test "+job+" "+value))
			if doors["slash command"] = world.IDIn(words); doors["slash command"] == "" {
				t.Errorf("/slipway refuses %q: %s", value, words)
				continue
			}
			doors["slash command"] = w.Get(doors["slash command"]).GetId()
		}
		for door, id := range doors {
			w.Eventually("the run of "+door, func() bool { return known(w, id) })
			w.Succeeded(id)
			if got := w.Kept(id); got != value {
				t.Errorf("by %s the command got %q, not %q", door, got, value)
			}
		}
	}
	unharmed(t, w)
}

// TestHostileArgumentsInMentionsAndOnTheCommandLine is the same at the doors that
// are slower to knock at.
func TestHostileArgumentsInMentionsAndOnTheCommandLine(t *testing.T) {
	t.Parallel()
	w, _ := world.Jobs(t, injected, world.Env("E2E_HOOK", hookSecret))
	values := hostile(w)
	for i, value := range []string{values[0], values[1], values[2], values[9], values[11], values[14], values[20], values[25]} {
		if code, said := w.CLI("run", "test/list", "name="+value, "--follow"); code != 0 || !strings.Contains(said, "said ") {
			t.Errorf("slipway run refuses %q: %d %s", value, code, said)
		}
		if typable(value) {
			w.Say(sandbox.UserRequester, []string{sandbox.ChannelGeneral, sandbox.ChannelOps}[i%2], world.Mention+"test var "+value, "")
		}
		for _, job := range []string{"list", "var"} {
			if job == "var" && !typable(value) {
				continue
			}
			r := w.Succeeded(w.RunOf(job, "name", value).GetId())
			if got := w.Kept(r.GetId()); got != value {
				t.Errorf("%s got %q, not %q", job, got, value)
			}
		}
	}
	unharmed(t, w)
}

// TestArgumentsThatNoCommandCanTakeAreRefused: bytes that end a C string, and
// more than a value may have.
func TestArgumentsThatNoCommandCanTakeAreRefused(t *testing.T) {
	t.Parallel()
	w, _ := world.Jobs(t, injected, world.Env("E2E_HOOK", hookSecret))
	for name, value := range map[string]string{"NUL": "a\x00b", "too long": strings.Repeat("x", 70<<10)} {
		if r, err := w.Jobs.RunJob(t.Context(), &apiv1.RunJobRequest{Namespace: "test", Job: "line", Parameters: map[string]string{"name": value}}); err == nil {
			t.Errorf("%s: the API takes it: %s", name, r.GetRun().GetId())
		}
	}
	for _, r := range w.All() {
		if r.GetStatus() != apiv1.RunStatus_RUN_STATUS_REFUSED {
			t.Errorf("%s is %s", r.GetId(), r.GetStatus())
		}
	}
	r, err := w.Jobs.RunJob(t.Context(), &apiv1.RunJobRequest{Namespace: "test", Job: "line", Parameters: map[string]string{"name": "two\nlines\tand $(id)"}})
	if err != nil {
		t.Fatal(err)
	}
	w.Succeeded(r.GetRun().GetId())
	if got := w.Kept(r.GetRun().GetId()); got != "two\nlines\tand $(id)" {
		t.Errorf("the command got %q", got)
	}
}

// known tells whether a run is in the view.
func known(w *world.World, id string) bool {
	_, err := w.Runs.GetRun(w.T.Context(), &apiv1.GetRunRequest{Id: id})
	return err == nil
}

// typable tells whether a sentence carries a value as it stands: options at its
// end are for Slipway, full stops are dropped, and spaces are one.
func typable(value string) bool {
	return !strings.HasPrefix(value, "--") && !strings.Contains(value, "\u202e") && !strings.HasPrefix(value, "&amp;")
}

// unharmed checks that nothing was executed, and that nothing in Slack pings a
// channel.
func unharmed(t *testing.T, w *world.World) {
	t.Helper()
	if _, err := os.Stat(filepath.Join(w.Dir, "injected")); err == nil {
		t.Error("an argument was executed")
	}
	for _, e := range w.Slack.Journal() {
		if e.Kind != sandbox.KindAPI && e.Kind != sandbox.KindHook {
			continue
		}
		for _, ping := range []string{"<!channel", "<!here", "<!everyone"} {
			if strings.Contains(e.Args["text"], ping) || strings.Contains(e.Args["blocks"], ping) {
				t.Errorf("%s pings: %s %s", e.Name, e.Args["text"], e.Args["blocks"])
			}
		}
	}
}
