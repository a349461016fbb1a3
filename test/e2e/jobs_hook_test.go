package e2e

import (
	"fmt"
	"strings"
	"testing"
	"time"

	apiv1 "github.com/slipway-hq/slipway/gen/slipway/api/v1"
	"github.com/slipway-hq/slipway/sandbox"
	"github.com/slipway-hq/slipway/test/internal/world"
)

const hookSecret = "a-secret-between-us"

// hooked is a namespace with a GitHub webhook for two kinds of event and a
// generic one.
func hooked(delay string) func(*world.World) world.Map {
	return func(w *world.World) world.Map {
		secrets := []world.Map{{"env": "E2E_HOOK"}}
		keep := func(param string) world.Map {
			return world.Map{"run": w.Keep("{"+param+"}") + "; echo did {" + param + "}", "params": world.Map{param: world.Map{}}, "report": world.Map{"stdout": true}}
		}
		return world.Namespace(world.Map{"deploy": keep("title"), "docs": keep("branch"), "build": keep("what")},
			[]world.Map{{"match": "deploy [title]", "job": "deploy"}},
			world.Map{"webhooks": world.Map{
				"web": world.Map{"project": "website", "secrets": secrets, "rules": []world.Map{
					{
						"events": []string{"pull_request"}, "actions": []string{"closed"}, "merged": true, "branches": []string{"main"},
						"job": "deploy", "delay": delay, "params": world.Map{"title": "pull_request.title"},
					},
					{"events": []string{"push"}, "paths": []string{"docs/*"}, "branches": []string{"main"}, "job": "docs", "params": world.Map{"branch": "@branch"}},
				}},
				"ci": world.Map{"kind": "generic", "secrets": secrets, "rules": []world.Map{{"events": []string{"built"}, "job": "build", "params": world.Map{"what": "artefact.name"}}}},
			}})
	}
}

func merged(title string) string {
	return fmt.Sprintf(`{"action":"closed","pull_request":{"merged":true,"title":%q,"html_url":"https://github.example/pull/7","base":{"ref":"main"}},"repository":{"full_name":"ours/website"}}`, title)
}

// TestAMergedPullRequestRunsItsJobOnceAfterItsDelay is B32, B33 and W14: the rule decides,
// the default channel hears of it, a redelivery is the same run, and what is
// unsigned, unknown or irrelevant starts nothing and says so.
func TestAMergedPullRequestRunsItsJobOnceAfterItsDelay(t *testing.T) {
	t.Parallel()
	w, p := world.Jobs(t, hooked("1500ms"), world.Env("E2E_HOOK", hookSecret))
	github := func(path, secret, event, id, body string) (int, string) {
		return w.Deliver(path, secret, body, "X-GitHub-Event", event, "X-GitHub-Delivery", id)
	}
	for name, c := range map[string]struct {
		path, secret, event, body string
		status                    int
		want                      string
	}{
		"a wrong secret":    {"/webhooks/github/website", "wrong", "pull_request", merged("x"), 403, ""},
		"an empty secret":   {"/webhooks/github/website", "", "pull_request", merged("x"), 403, ""},
		"unknown":           {"/webhooks/github/elsewhere", hookSecret, "pull_request", merged("x"), 400, "elsewhere"},
		"not merged":        {"/github/website/", hookSecret, "pull_request", `{"action":"closed","pull_request":{"merged":false,"title":"x","base":{"ref":"main"}}}`, 200, "ignored"},
		"another branch":    {"/github/website/", hookSecret, "pull_request", strings.ReplaceAll(merged("x"), `"main"`, `"side"`), 200, "ignored"},
		"opened":            {"/github/website/", hookSecret, "pull_request", `{"action":"opened"}`, 200, "ignored"},
		"another path":      {"/github/website", hookSecret, "push", `{"ref":"refs/heads/main","commits":[{"added":[],"modified":["src/a"],"removed":[]}]}`, 200, "ignored"},
		"a push elsewhere":  {"/github/website", hookSecret, "push", `{"ref":"refs/heads/side","commits":[{"added":["docs/a"]}]}`, 200, "ignored"},
		"ping":              {"/github/website/", hookSecret, "ping", `{"zen":"x"}`, 200, "pong"},
		"no JSON":           {"/github/website/", hookSecret, "pull_request", `{"action":`, 400, ""},
		"a generic unknown": {"/webhooks/test/nothing", hookSecret, "", `{"event":"built"}`, 400, ""},
	} {
		if status, answer := github(c.path, c.secret, c.event, "d-"+strings.ReplaceAll(name, " ", "-"), c.body); status != c.status || !strings.Contains(answer, c.want) {
			t.Errorf("%s: %d %s", name, status, answer)
		}
	}
	if runs := w.All(); len(runs) > 0 {
		t.Fatalf("something was started: %v", runs)
	}
	began := time.Now()
	status, answer := github("/github/website/", hookSecret, "pull_request", "one", merged("Fix $(id) & 'all'"))
	id := world.IDIn(answer)
	if status != 202 || id == "" {
		t.Fatalf("the delivery is answered %d %s", status, answer)
	}
	for _, path := range []string{"/github/website/", "/webhooks/github/website"} {
		if status, again := github(path, hookSecret, "pull_request", "one", merged("Fix $(id) & 'all'")); status != 202 || world.IDIn(again) != id {
			t.Errorf("a redelivery is answered %d %s", status, again)
		}
	}
	w.Eventually("the run", func() bool { return len(w.All()) > 0 })
	r := w.Succeeded(id)
	if took := r.GetStarted().AsTime().Sub(began); took < time.Second {
		t.Errorf("it started after %s", took)
	}
	if got := w.Kept(r.GetId()); got != "Fix $(id) & 'all'" {
		t.Errorf("the command got %q", got)
	}
	if report := w.Heard(sandbox.ChannelDeploys, "", "did Fix"); report.ThreadTS != "" {
		t.Errorf("the report is in the thread %s", report.ThreadTS)
	}
	card := w.Card(r.GetId(), "Succeeded")
	if !strings.Contains(card.Visible()+card.Text+string(card.Blocks), "https://github.example/pull/7") {
		t.Errorf("the card has no link to the pull request: %s", card.Blocks)
	}
	status, answer = github("/github/website", hookSecret, "push", "two", `{"ref":"refs/heads/main","commits":[{"added":["docs/a.md"],"modified":["src/a"],"removed":[]}]}`)
	if status != 202 {
		t.Fatalf("the push is answered %d %s", status, answer)
	}
	w.Heard(sandbox.ChannelDeploys, "", "did main")
	status, answer = w.Deliver("/webhooks/test/ci", hookSecret, `{"event":"built","artefact":{"name":"web 1.2"}}`)
	again, same := w.Deliver("/webhooks/test/ci", hookSecret, `{"event":"built","artefact":{"name":"web 1.2"}}`)
	if status != 202 || again != 202 || answer != same {
		t.Errorf("the generic delivery is answered %d %s, then %d %s", status, answer, again, same)
	}
	w.Heard(sandbox.ChannelDeploys, "", "did web 1.2")
	if runs := w.All(); len(runs) != 3 {
		t.Errorf("%d runs, want 3", len(runs))
	}
	if strings.Contains(p.Output(), hookSecret) {
		t.Error("the log knows the secret")
	}
}

// TestAWebhookDuringAHoldSaysHowToOverrideIt is B34 and A24.
func TestAWebhookDuringAHoldSaysHowToOverrideIt(t *testing.T) {
	t.Parallel()
	w, _ := world.Jobs(t, hooked("100ms"), world.Env("E2E_HOOK", hookSecret))
	if words, public := w.Words(w.Command("/slipway", "hold test/deploy for 1h because the press is here")); !public {
		t.Fatalf("hold is answered %s", words)
	}
	_, answer := w.Deliver("/github/website/", hookSecret, merged("new"), "X-GitHub-Event", "pull_request", "X-GitHub-Delivery", "one")
	said := w.Heard(sandbox.ChannelDeploys, "", "Held until")
	if !strings.Contains(said.Visible(), "/slipway release test/deploy") || !strings.Contains(said.Visible(), "the press is here") {
		t.Errorf("the channel hears %s", said.Visible())
	}
	r := w.RunOf("deploy")
	if r.GetId() != w.Get(world.IDIn(answer)).GetId() || r.GetStatus() != apiv1.RunStatus_RUN_STATUS_QUEUED {
		t.Errorf("the run is %v, the answer %s", r, answer)
	}
	w.Command("/slipway", "release test/deploy")
	w.Succeeded(r.GetId())
	w.Heard(sandbox.ChannelDeploys, "", "did new")
}

// TestARelayPassesAKeywordOnAndSaysWhenNobodyIsThere is B51, B53 and W23: 🆘 and a
// permalink in the channel, for edits too; a keyword in a link or a longer word
// is none; the notice of absence; the refusal in private; no command.
func TestARelayPassesAKeywordOnAndSaysWhenNobodyIsThere(t *testing.T) {
	t.Parallel()
	w, _ := world.Jobs(t, func(w *world.World) world.Map {
		config := greeting(w)
		config["relays"] = world.Map{"tech": world.Map{"keywords": []string{"tech-support"}, "channel": "#tech-support"}}
		return config
	}, world.Stand(func(c *sandbox.Config) {
		c.Subscriptions = []string{"app_mention", "message.im", "message.channels", "message.groups"}
	}))
	passed := func(channel, ts string) {
		t.Helper()
		w.Reacted(channel, ts, "sos")
		w.Heard(sandbox.ChannelSupport, "", "/archives/"+channel+"/p"+strings.ReplaceAll(ts, ".", ""))
	}
	ts := w.Say(sandbox.UserRequester, sandbox.ChannelGeneral, "Could Tech-Support have a look, please?", "")
	passed(sandbox.ChannelGeneral, ts)
	var not []string
	for _, text := range []string{"see https://example.org/tech-support", "our tech-support-rota is new", "nothing"} {
		not = append(not, w.Say(sandbox.UserRequester, sandbox.ChannelGeneral, text, ""))
	}
	if _, err := w.Slack.Edit(t.Context(), sandbox.UserRequester, sandbox.ChannelGeneral, not[2], "now for tech-support"); err != nil {
		t.Fatal(err)
	}
	passed(sandbox.ChannelGeneral, not[2])
	day := func(in time.Duration) string { return time.Now().UTC().Add(in).Format(time.DateOnly) }
	on := fmt.Sprintf("ooo on from %s to %s", day(-24*time.Hour), day(24*time.Hour))
	if words, public := w.Words(w.Command("/slipway", on)); !public {
		t.Fatalf("%s is answered %s", on, words)
	}
	if words, _ := w.Words(w.Command("/slipway", "ooo status")); !strings.Contains(words, day(24*time.Hour)) {
		t.Errorf("ooo status: %s", words)
	}
	if words, public := w.Words(w.Command("/slipway", fmt.Sprintf("ooo on from %s to %s", day(0), day(-48*time.Hour)))); public {
		t.Errorf("reversed days are answered %s", words)
	}
	away := w.Say(sandbox.UserRequester, sandbox.ChannelOps, world.Mention+"test say hello to tech-support", "")
	passed(sandbox.ChannelOps, away)
	w.Heard(sandbox.ChannelOps, away, day(24*time.Hour))
	w.Say(sandbox.UserRequester, sandbox.DM(sandbox.UserRequester), "tech-support?", "")
	w.Private(sandbox.UserRequester, sandbox.DM(sandbox.UserRequester), "or in #tech-support")
	w.Command("/slipway", "ooo off")
	last := w.Say(sandbox.UserRequester, sandbox.ChannelOps, "tech-support again", "")
	passed(sandbox.ChannelOps, last)
	if there := w.Slack.Thread(sandbox.ChannelOps, last); len(there) > 1 {
		t.Errorf("there is a notice: %s", there[1].Visible())
	}
	for _, ts := range not[:2] {
		if marks := w.Slack.Reactions(sandbox.ChannelGeneral, ts); len(marks) > 0 {
			t.Errorf("no keyword has %v", marks)
		}
	}
	if runs := w.All(); len(runs) > 0 {
		t.Errorf("a call for people started %v", runs)
	}
	if links := w.Said(sandbox.ChannelSupport, "/archives/"); len(links) != 4 {
		t.Errorf("%d messages were passed on, want 4", len(links))
	}
}

// TestAJobSpeaksWhileItRuns is B57: what it posts to $SLIPWAY_CALLBACK is a
// message where the person asked, once; a changed address and one of a run that
// has ended are refused, and the address is told to nobody.
func TestAJobSpeaksWhileItRuns(t *testing.T) {
	t.Parallel()
	w, p := world.Jobs(t, func(w *world.World) world.Map {
		say := `curl -sS -o ` + w.Dir + `/answer -w '%{{http_code}}' `
		return world.Namespace(world.Map{"talk": world.Map{
			"run": say + `--data-binary 'half way <!channel>' "$SLIPWAY_CALLBACK" && ` +
				say + `-H 'Content-Type: application/json' --data-binary '{"blocks":[{"type":"header","text":{"type":"plain_text","text":"Nearly"}}],"id":"2"}' "$SLIPWAY_CALLBACK" && ` +
				say + `--data-binary x "${SLIPWAY_CALLBACK%?}1" && printf %s "$SLIPWAY_CALLBACK" >` + w.Dir + `/address; ` + w.Hold("go"),
			"report": world.Map{"stdout": true},
		}}, []world.Map{{"match": "talk", "job": "talk"}})
	}, world.Env("SLIPWAY_LOG_LEVEL", "debug"))
	root := w.Say(sandbox.UserRequester, sandbox.ChannelGeneral, world.Mention+"help", "")
	w.Say(sandbox.UserRequester, sandbox.ChannelGeneral, world.Mention+"test talk", root)
	note := w.Heard(sandbox.ChannelGeneral, root, "half way")
	if strings.Contains(note.Text+string(note.Blocks), "<!channel>") {
		t.Errorf("a note pings the channel: %s", note.Text)
	}
	if blocks := w.Heard(sandbox.ChannelGeneral, root, "Nearly"); !strings.Contains(string(blocks.Blocks), "header") {
		t.Errorf("the blocks are %s", blocks.Blocks)
	}
	r := w.RunOf("talk")
	if r.GetStatus() != apiv1.RunStatus_RUN_STATUS_RUNNING {
		t.Errorf("it spoke and is %s", r.GetStatus())
	}
	var address string
	w.Eventually("the address", func() bool { address = w.File("address"); return address != "" })
	w.Open("go")
	w.Succeeded(r.GetId())
	w.Heard(sandbox.ChannelGeneral, root, "202202403")
	path := strings.TrimPrefix(address, "http://"+w.Address())
	status, answer := w.Deliver(path, "", "too late")
	w.Say(sandbox.UserRequester, sandbox.ChannelGeneral, world.Mention+"test talk", root)
	w.Eventually("the second run", func() bool {
		return len(w.JobsOf("talk")) == 2 && w.JobsOf("talk")[0].GetStatus() == apiv1.RunStatus_RUN_STATUS_SUCCEEDED
	})
	if late := w.Said(sandbox.ChannelGeneral, "too late"); len(late) > 0 {
		t.Errorf("after the end, %d %s: %q", status, answer, late[0].Visible())
	}
	if status, answer := w.Deliver("/callback/nonsense", "", "x"); status != 400 {
		t.Errorf("a malformed address is answered %d %s", status, answer)
	}
	for place, text := range map[string]string{"log": p.Output(), "events": eventText(w, r.GetId()), "Slack": journal(w)} {
		if strings.Contains(text, path) {
			t.Errorf("the address is in the %s", place)
		}
	}
}
