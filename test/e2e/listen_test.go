package e2e

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/slipway-hq/slipway/examples"
	apiv1 "github.com/slipway-hq/slipway/gen/slipway/api/v1"
	"github.com/slipway-hq/slipway/sandbox"
	"github.com/slipway-hq/slipway/test/internal/world"
)

const ciBot = "B0CIBOT001"

// hearing lets the app hear what is said in channels.
var hearing = world.Stand(func(c *sandbox.Config) {
	c.Subscriptions = []string{"app_mention", "message.im", "message.channels"}
})

// listening is a namespace whose listeners ask every runner, any, or a named one.
func listening(*world.World) world.Map {
	tell := `echo "$SLIPWAY_RUNNER on $SLIPWAY_HOST runs $SLIPWAY_RUNNER_VERSION"`
	report := world.Map{"stdout": true}
	config := world.Namespace(world.Map{
		"answer": world.Map{"run": tell, "report": report},
		"tell":   world.Map{"run": tell, "report": report, "dedupe": world.Map{"policy": "all"}},
		"update": world.Map{"run": "echo updated to {build}", "params": world.Map{"build": world.Map{}}, "report": report, "dedupe": world.Map{"policy": "all"}},
	}, nil, world.Map{"listen": world.Map{
		"roll-call": world.Map{"match": "roll call", "job": "answer", "runners": "every"},
		"anybody":   world.Map{"match": "anybody there", "job": "tell"},
		"who":       world.Map{"match": `are you there, (?P<who>\S+)\?`, "job": "tell", "runners": "{who}"},
		"green":     world.Map{"match": `.*#(?P<build>\d+) passed.*`, "job": "update", "attachments": true, "from": world.Map{"bots": []string{ciBot}}},
	}})
	config["lanes"] = world.Map{"test:answer": world.Map{"concurrency": 20}, "test:tell": world.Map{"concurrency": 20}}
	return config
}

// crew is a world with two doors and three runners.
func crew(t *testing.T) (w *world.World, doors []string, names []string) {
	t.Helper()
	w = world.New(t, hearing)
	w.Configure(listening(w))
	w.NATS()
	w.Service(world.Orchestrator)
	w.Service(world.Notifier)
	for range 2 {
		doors = append(doors, w.Service(world.Ingress).URL())
	}
	names = []string{"anvil", "forge", "kiln"}
	for _, name := range names {
		w.Service(world.Runner, "--data", filepath.Join(w.Dir, name), "--runner-name", name)
	}
	w.Eventually("three runners", func() bool {
		_, said := w.CLI("runners")
		return strings.Contains(said, "anvil") && strings.Contains(said, "forge") && strings.Contains(said, "kiln")
	})
	return w, doors, names
}

// everywhere delivers an event many times to each door, each time as another
// delivery.
func everywhere(t *testing.T, w *world.World, doors []string, event world.Map) {
	t.Helper()
	var all sync.WaitGroup
	for n := range 10 {
		all.Go(func() {
			body, err := json.Marshal(world.Map{
				"type": "event_callback", "team_id": sandbox.TeamID, "api_app_id": "A0ANOTHER01", "event_id": fmt.Sprint("Ev", n), "event": event,
				"authorizations": []world.Map{{"team_id": sandbox.TeamID, "user_id": sandbox.BotUserID, "is_bot": true}},
			})
			if err != nil {
				t.Error(err)
				return
			}
			signed(t, w, doors[n%len(doors)], body)
		})
	}
	all.Wait()
}

func signed(t *testing.T, w *world.World, door string, body []byte) {
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, door+"/slack/events", strings.NewReader(string(body)))
	if err != nil {
		t.Error(err)
		return
	}
	stamp := strconv.FormatInt(time.Now().Unix(), 10)
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("X-Slack-Request-Timestamp", stamp)
	req.Header.Set("X-Slack-Signature", sandbox.Sign(w.Slack.SigningSecret(), stamp, body))
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Error(err)
		return
	}
	_ = resp.Body.Close() // read no further
	if resp.StatusCode != http.StatusOK {
		t.Errorf("%s answers %d", door, resp.StatusCode)
	}
}

// asPosted is the event of a message as Slack repeats it.
func asPosted(ts, text string) world.Map {
	return world.Map{"type": "message", "channel_type": "channel", "channel": sandbox.ChannelDeploys, "user": sandbox.UserRequester, "ts": ts, "text": text}
}

// TestSayingRollCallMakesEachRunnerAnswer is T02 and T05: one message, delivered
// many times to two doors, starts one run on each of three runners, on exactly one,
// or on the named one; and what is edited or removed starts nothing.
func TestSayingRollCallMakesEachRunnerAnswer(t *testing.T) {
	t.Parallel()
	w, doors, names := crew(t)
	say := func(text string) string {
		ts := w.Say(sandbox.UserRequester, sandbox.ChannelDeploys, text, "")
		everywhere(t, w, doors, asPosted(ts, text))
		return ts
	}
	ts := say("Roll call")
	for _, name := range names {
		w.Heard(sandbox.ChannelDeploys, "", name+" on ")
	}
	w.Reacted(sandbox.ChannelDeploys, ts, "white_check_mark")
	runs := w.JobsOf("answer")
	asked := map[string]*apiv1.Run{}
	for _, r := range runs {
		w.Succeeded(r.GetId())
		asked[r.GetOnlyRunner()] = r
		if who := runnerName(w, r.GetId()); who != r.GetOnlyRunner() {
			t.Errorf("the run for %s ran on %s", r.GetOnlyRunner(), who)
		}
	}
	if got := slices.Sorted(maps.Keys(asked)); len(runs) != 3 || !slices.Equal(got, names) {
		t.Fatalf("%d runs, for %v", len(runs), got)
	}
	say("anybody there")
	w.Eventually("one run", func() bool { return len(w.JobsOf("tell")) == 1 })
	w.Succeeded(w.JobsOf("tell")[0].GetId())
	say("are you there, Kiln?")
	w.Eventually("another", func() bool { return len(w.JobsOf("tell")) == 2 })
	named := w.JobsOf("tell")[0]
	if w.Succeeded(named.GetId()); named.GetOnlyRunner() != "kiln" || runnerName(w, named.GetId()) != "kiln" {
		t.Errorf("the run for kiln ran on %s", runnerName(w, named.GetId()))
	}
	say("are you there, klin?")
	w.Private(sandbox.UserRequester, sandbox.ChannelDeploys, "No runner `klin` is connected. Did you mean `kiln`?")
	other := w.Say(sandbox.UserRequester, sandbox.ChannelDeploys, "something else", "")
	if _, err := w.Slack.Edit(t.Context(), sandbox.UserRequester, sandbox.ChannelDeploys, other, "roll call"); err != nil {
		t.Fatal(err)
	}
	if _, err := w.Slack.Delete(t.Context(), sandbox.UserRequester, sandbox.ChannelDeploys, other); err != nil {
		t.Fatal(err)
	}
	w.Say(sandbox.UserRequester, sandbox.ChannelDeploys, world.Mention+"help", "") // behind it
	if a, b := len(w.JobsOf("answer")), len(w.JobsOf("tell")); a != 3 || b != 2 {
		t.Errorf("%d and %d runs at the end, want 3 and 2", a, b)
	}
}

// runnerName is the name of the runner that claimed a run first.
func runnerName(w *world.World, id string) string {
	for _, e := range w.Events(id) {
		if _, after, ok := strings.Cut(e.GetSentence(), " on "); ok && e.GetName() == "RunClaimed" {
			name, _, _ := strings.Cut(after, " ")
			return name
		}
	}
	return ""
}

// TestACIBotsPostStartsOneRunWhicheverReplicaHears is T06: the post of a bot that is
// named by its id, by the text of its attachment; nobody else's.
func TestACIBotsPostStartsOneRunWhicheverReplicaHears(t *testing.T) {
	t.Parallel()
	w, doors, _ := crew(t)
	post := func(ts, bot, build string) world.Map {
		return world.Map{
			"type": "message", "subtype": "bot_message", "channel_type": "channel", "channel": sandbox.ChannelDeploys, "ts": ts, "bot_id": bot, "username": "ci", "text": "",
			"attachments": []world.Map{{"fallback": "acme/web: build #" + build + " passed in 1 min", "color": "good"}},
		}
	}
	everywhere(t, w, doors, post("1700000000.000100", "B0LOOKALIK", "40"))
	everywhere(t, w, doors, asPosted("1700000000.000150", "build #39 passed"))
	everywhere(t, w, doors, post("1700000000.000200", ciBot, "41"))
	everywhere(t, w, doors, post("1700000000.000300", ciBot, "42"))
	w.Heard(sandbox.ChannelDeploys, "", "updated to 41")
	w.Heard(sandbox.ChannelDeploys, "", "updated to 42")
	var builds []string
	for _, r := range w.JobsOf("update") {
		builds = append(builds, r.GetParameters()["build"])
		if r.GetRequester() != "bot:"+ciBot {
			t.Errorf("asked for by %s", r.GetRequester())
		}
	}
	slices.Sort(builds)
	if !slices.Equal(builds, []string{"41", "42"}) {
		t.Errorf("runs for builds %v", builds)
	}
}

// TestTheExampleAnswersARollCall: what a newcomer types first.
func TestTheExampleAnswersARollCall(t *testing.T) {
	t.Parallel()
	w := world.New(t, hearing)
	config, err := examples.Materialise(filepath.Join(w.Dir, "example"))
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(config)
	if err != nil {
		t.Fatal(err)
	}
	w.ConfigureText(string(text))
	w.Up("--runner-name", "anvil")
	w.Say(sandbox.UserRequester, sandbox.ChannelDeploys, "roll call", "")
	w.Heard(sandbox.ChannelDeploys, "", "anvil on ")
}
