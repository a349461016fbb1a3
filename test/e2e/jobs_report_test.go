package e2e

import (
	"fmt"
	"strings"
	"testing"

	apiv1 "github.com/slipway-hq/slipway/gen/slipway/api/v1"
	"github.com/slipway-hq/slipway/sandbox"
	"github.com/slipway-hq/slipway/test/internal/world"
)

// printing makes one job and one command of the same name for each shell line,
// with the report that goes with it.
func printing(lines map[string]string, reports map[string]world.Map) (world.Map, []world.Map) {
	jobs, commands := world.Map{}, []world.Map{}
	for name, line := range lines {
		jobs[name] = world.Map{"run": line, "report": reports[name]}
		commands = append(commands, world.Map{"match": name, "job": name})
	}
	return jobs, commands
}

func stdout(format string) world.Map { return world.Map{"stdout": true, "format": format} }

// TestEveryReportFormatArrivesInSlack is B37 to B39, B42 and W09: what a job
// prints is shown as its format says, and what cannot be is said to be so.
func TestEveryReportFormatArrivesInSlack(t *testing.T) {
	t.Parallel()
	w, _ := world.Jobs(t, func(*world.World) world.Map {
		return world.Namespace(printing(map[string]string{
			"text": `printf '*bold* & <https://example.org|a link> <!channel> <!here|@here>\n'`,
			"blocks": `printf '[{"type":"header","text":{"type":"plain_text","text":"Three parts"}},` +
				`{"type":"section","text":{"type":"mrkdwn","text":"one <!channel>"}}]'`,
			"object": `printf '{"type":"section"}'`, "scraps": `printf 'no JSON at all'`,
			"code": `printf 'if a < b\n'`, "long": `seq 3000`, "file": `printf 'a,b\n1,2\n'`,
			"empty": `:`, "silent": `:`, "latin": `printf 'caf\351 au lait\n'`, "quiet": `echo hidden`, "mute": `echo hidden`,
			"nothing": `printf '[]'`,
		}, map[string]world.Map{
			"text": stdout("text"), "blocks": stdout("blocks"), "object": stdout("blocks"), "scraps": stdout("blocks"), "nothing": stdout("blocks"),
			"code": stdout("code"), "long": stdout("code"), "file": stdout("file"), "empty": stdout("text"), "latin": stdout("text"),
			"silent": {"stdout": true, "suppress_empty": true}, "quiet": {"success": true}, "mute": {"success": false},
		}))
	})
	rooms := []string{sandbox.ChannelDeploys, sandbox.ChannelGeneral, sandbox.ChannelOps, sandbox.ChannelPrivate}
	room, asked := map[string]string{}, map[string]string{}
	for i, name := range []string{"silent", "mute", "text", "blocks", "object", "scraps", "code", "long", "file", "empty", "latin", "quiet", "nothing"} {
		room[name] = rooms[i%len(rooms)]
		asked[name] = w.Say(sandbox.UserRequester, room[name], world.Mention+"test "+name, "")
	}
	short := map[string]string{}
	for name := range room {
		short[name] = w.Succeeded(w.RunOf(name).GetId()).GetShortId()
	}
	for name, want := range map[string]string{
		"text": "*bold* & <https://example.org|a link> @", "blocks": "Three parts", "object": "not a JSON array", "scraps": "no JSON at all",
		"code": "```\nif a &lt; b\n```", "long": "The whole is in the file", "file": short["file"],
		"empty": short["empty"] + "` succeeded and printed nothing", "nothing": short["nothing"] + "` succeeded and printed nothing",
		"latin": "caf\uFFFD au lait", "quiet": "*test quiet* `" + short["quiet"] + "` succeeded",
	} {
		m := w.Heard(room[name], "", want)
		if strings.Contains(string(m.Blocks)+m.Text, "<!") {
			t.Errorf("%s pings a whole channel: %s", name, m.Text)
		}
		if structured := strings.Contains(string(m.Blocks), `"header"`); structured != (name == "blocks") {
			t.Errorf("the report of %s: %s", name, m.Blocks)
		}
	}
	long, csv := uploaded(w, room["long"], "test-long-"), uploaded(w, room["file"], "test-file-")
	if !strings.HasPrefix(long, "1\n2\n") || !strings.HasSuffix(long, "2999\n3000\n") || csv != "a,b\n1,2\n" {
		t.Errorf("the files hold %d bytes and %q", len(long), csv)
	}
	for name, ts := range asked {
		w.Reacted(room[name], ts, "white_check_mark")
	}
	for _, name := range []string{"silent", "mute"} { // asked first, so that a word of theirs would be there
		for _, m := range w.Said(room[name], "") {
			if strings.Contains(m.Visible(), short[name]) || strings.Contains(m.Visible(), "test "+name) || strings.Contains(m.Visible(), "hidden") {
				t.Errorf("%s says %q", name, m.Visible())
			}
		}
	}
}

// uploaded is the content of the file whose name begins so.
func uploaded(w *world.World, channel, prefix string) string {
	w.T.Helper()
	var content []byte
	w.Eventually("a file "+prefix, func() bool {
		for _, f := range w.Slack.Files(channel) {
			if strings.HasPrefix(f.Name, prefix) {
				content, _ = w.Slack.FileContent(f.ID)
				return true
			}
		}
		return false
	})
	return string(content)
}

// TestAFailureIsAlwaysReportedAndCallsSupport is B11, B36, B40, B41 and W10:
// exit code, last lines and the way to the logs, whatever the flags; the support
// channel gets a permalink, but not from a DM; the logs channel hears of starts.
func TestAFailureIsAlwaysReportedAndCallsSupport(t *testing.T) {
	t.Parallel()
	w, _ := world.Jobs(t, func(*world.World) world.Map {
		broken := `echo to stdout; echo first >&2; echo 'boom <!channel>' >&2; exit 3`
		config := world.Namespace(printing(
			map[string]string{"broken": broken, "tolerated": broken},
			map[string]world.Map{"broken": {"success": false}, "tolerated": {"escalate": false}}))
		config["slack"] = world.Map{"support_channel": sandbox.ChannelSupport, "logs_channel": "#" + "logs"}
		return config
	})
	dm := sandbox.DM(sandbox.UserRequester)
	fails := func(channel, job string) (*apiv1.Run, world.Message) {
		known := len(w.JobsOf(job))
		ts := w.Say(sandbox.UserRequester, channel, world.Mention+"test "+job, "")
		w.Eventually("a run of "+job, func() bool { return len(w.JobsOf(job)) > known })
		r := w.Ended(w.JobsOf(job)[0].GetId(), apiv1.RunStatus_RUN_STATUS_FAILED)
		w.Reacted(channel, ts, "x")
		m := w.Heard(channel, "", "`"+r.GetShortId()+"`")
		for _, want := range []string{"failed", "exit code 3", "boom", "/slipway logs " + r.GetShortId(), "<@" + sandbox.UserRequester + ">"} {
			if !strings.Contains(m.Visible(), want) {
				t.Errorf("the failure of %s has no %q: %s", job, want, m.Visible())
			}
		}
		if strings.Contains(m.Text+string(m.Blocks), "<!channel>") {
			t.Errorf("a failure pings the channel: %s", m.Text)
		}
		return r, m
	}
	private, _ := fails(dm, "broken")
	tolerated, _ := fails(sandbox.ChannelOps, "tolerated")
	loud, m := fails(sandbox.ChannelGeneral, "broken")
	call := w.Heard(sandbox.ChannelSupport, "", loud.GetShortId())
	if !strings.Contains(call.Visible(), "/archives/"+sandbox.ChannelGeneral+"/p"+strings.ReplaceAll(m.TS, ".", "")) {
		t.Errorf("support is called with %s", call.Visible())
	}
	if calls := w.Said(sandbox.ChannelSupport, ""); len(calls) != 1 {
		t.Errorf("support was called %d times, also for %s or %s", len(calls), private.GetShortId(), tolerated.GetShortId())
	}
	for _, r := range []*apiv1.Run{private, tolerated, loud} {
		w.Heard(sandbox.ChannelLogs, "", r.GetShortId())
	}
}

// TestAJobSucceedsWhenSlackRefusesItsReport is B43, W05, W11 and A23: the result
// does not depend on Slack; what it refuses is kept and shown by doctor.
func TestAJobSucceedsWhenSlackRefusesItsReport(t *testing.T) {
	t.Parallel()
	w, _ := world.Jobs(t, greeting)
	w.Slack.Faults().Set(sandbox.Fault{Kind: sandbox.APIError, Code: "restricted_action", Method: "chat.postMessage", Channel: sandbox.ChannelOps})
	ts := w.Say(sandbox.UserRequester, sandbox.ChannelOps, world.Mention+"test say hello to Ada", "")
	r := w.Succeeded(w.RunOf("hello").GetId())
	w.Reacted(sandbox.ChannelOps, ts, "white_check_mark")
	w.Eventually("doctor to show what Slack refused", func() bool {
		_, said := w.CLI("doctor")
		return strings.Contains(said, "Slack refused 1") && strings.Contains(said, r.GetId())
	})
	code, said := w.CLI("logs", r.GetId())
	if code != 0 || !strings.Contains(said, "Hello Ada!") {
		t.Errorf("the logs are %d %s", code, said)
	}
	w.Slack.Faults().Heal()
	w.Slack.Faults().Set(sandbox.Fault{Kind: sandbox.RateLimited, Method: "chat.postMessage", Times: 2})
	w.Say(sandbox.UserRequester, sandbox.ChannelOps, world.Mention+"test say hello to Bea", "")
	w.Heard(sandbox.ChannelOps, "", "Hello Bea!")
	if again := w.Said(sandbox.ChannelOps, "Hello Bea!"); len(again) != 1 {
		t.Errorf("the report is there %d times", len(again))
	}
}

// TestASecretOfAJobIsMaskedEverywhere is W17: it reaches the command and nothing
// else.
func TestASecretOfAJobIsMaskedEverywhere(t *testing.T) {
	t.Parallel()
	const secret = "s3cr3t-of-a-job-7f6e5d"
	w, p := world.Jobs(t, func(w *world.World) world.Map {
		tell := `echo "out $TOKEN"; echo "err $TOKEN" >&2; seq 30; `
		return world.Namespace(world.Map{
			"good": world.Map{
				"run": tell + w.Keep(`"$TOKEN"`), "secrets": world.Map{"TOKEN": world.Map{"env": "E2E_TOKEN"}},
				"report": world.Map{"stdout": true},
			},
			"bad": world.Map{
				"run":    `printf 'because %s\n' {pass} >&2; exit 4`,
				"params": world.Map{"pass": world.Map{"type": "secret", "env": "E2E_TOKEN"}},
			},
		}, []world.Map{{"match": "good", "job": "good"}, {"match": "bad", "job": "bad"}})
	}, world.Env("E2E_TOKEN", secret), world.Env("SLIPWAY_LOG_LEVEL", "debug"))
	w.Say(sandbox.UserRequester, sandbox.ChannelGeneral, world.Mention+"test good", "")
	w.Say(sandbox.UserRequester, sandbox.ChannelOps, world.Mention+"test bad", "")
	good := w.Succeeded(w.RunOf("good").GetId())
	bad := w.Ended(w.RunOf("bad").GetId(), apiv1.RunStatus_RUN_STATUS_FAILED)
	if got := w.Kept(good.GetId()); got != secret {
		t.Errorf("the command got %q", got)
	}
	w.Heard(sandbox.ChannelGeneral, "", "out ")
	w.Heard(sandbox.ChannelOps, "", bad.GetShortId())
	var all strings.Builder
	for _, r := range []*apiv1.Run{good, bad} {
		fmt.Fprintln(&all, r, eventText(w, r.GetId()), w.Logs(r.GetId(), ""))
		for _, stream := range []string{"stdout", "stderr"} {
			words, _ := w.Words(w.Command("/slipway", "logs "+r.GetShortId()+" all "+stream))
			_, said := w.CLI("logs", r.GetId(), "--stream", stream)
			fmt.Fprintln(&all, words, said)
		}
	}
	for _, e := range w.Slack.Journal() {
		fmt.Fprintln(&all, e.Body, e.Args, e.Answer)
	}
	all.WriteString(p.Output())
	if at := strings.Index(all.String(), secret); at >= 0 {
		t.Errorf("the secret is in …%s", all.String()[max(0, at-300):at])
	}
	for _, want := range []string{"out ", "err ", "30"} {
		if !strings.Contains(w.Logs(good.GetId(), ""), want) {
			t.Errorf("the logs have no %q", want)
		}
	}
}

// TestLogsAreReadHeadAndTailOfEitherStream is B45 and A28.
func TestLogsAreReadHeadAndTailOfEitherStream(t *testing.T) {
	t.Parallel()
	w, _ := world.Jobs(t, func(*world.World) world.Map {
		return world.Namespace(printing(map[string]string{"count": `seq 100; seq 1001 1100 >&2`}, nil))
	})
	words, _ := w.Words(w.Command("/slipway", "test count"))
	r := w.Succeeded(w.Get(world.IDIn(words)).GetId())
	lines := func(text string) map[string]bool {
		out := map[string]bool{}
		for line := range strings.Lines(text) {
			out[strings.TrimSpace(line)] = true
		}
		return out
	}
	for ask, want := range map[string][2]string{ // what is there, and what is not
		"head stdout": {"1", "100"}, "tail stdout": {"100", "1"}, "all stdout": {"50", "1050"},
		"head stderr": {"1001", "1100"}, "tail stderr": {"1100", "1001"}, "stderr": {"1100", "100"},
	} {
		words, public := w.Words(w.Command("/slipway", "logs "+r.GetShortId()+" "+ask))
		if said := lines(words); public || !said[want[0]] || said[want[1]] {
			t.Errorf("logs %s: %s", ask, words)
		}
	}
	for _, c := range []struct {
		args       []string
		with, none string
	}{
		{[]string{"--stream", "stdout", "--head", "3"}, "1", "100"},
		{[]string{"--stream", "stderr", "--tail", "2"}, "1100", "1001"},
	} {
		code, said := w.CLI(append([]string{"logs", r.GetId()}, c.args...)...)
		if got := lines(said); code != 0 || !got[c.with] || got[c.none] {
			t.Errorf("logs %q: %d %s", c.args, code, said)
		}
	}
}
