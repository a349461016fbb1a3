package pipeline_test

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/encoding/prototext"
	"pgregory.net/rapid"

	"github.com/slipway-hq/slipway/domain/grammar"
	"github.com/slipway-hq/slipway/domain/pipeline"
	eventv1 "github.com/slipway-hq/slipway/gen/slipway/event/v1"
)

// yard is a configuration with one of everything that belongs to jobs.
func yard() pipeline.Config {
	low, no := 5, false
	return pipeline.Config{
		Namespaces: map[string]pipeline.Namespace{
			"op": {
				Description: "OpenPrescribing", DefaultChannel: "#team-op", Env: map[string]string{"REGION": "eu", "TIER": "low"},
				Source: pipeline.JobSource{Git: &pipeline.Git{URL: "https://git.example/op", Ref: "main"}, OnFailure: pipeline.OnFailureLastGood},
				Jobs: map[string]pipeline.Job{
					"deploy": {
						Shell: "./deploy {branch} --token {api-token} > {job}.log", Timeout: 10 * time.Minute, QueueTimeout: time.Hour, Priority: &low,
						Params: map[string]pipeline.Param{
							"branch":    {Parameter: pipeline.Parameter{Default: new("main")}},
							"api-token": {Parameter: pipeline.Parameter{Type: pipeline.TypeSecret}, Secret: pipeline.Secret{Env: "OP_TOKEN"}},
						},
						Env: map[string]string{"TIER": "{branch}-high"}, Retry: pipeline.Retry{Attempts: 2}, Secrets: map[string]pipeline.Secret{"KEY": {File: "/run/key"}},
					},
					"count": {
						Argv: []string{"./count", "--from={from}", "{what}"}, Report: pipeline.Report{Stdout: true, Format: pipeline.FormatCode, Success: &no, Escalate: &no, LogsChannel: new("")},
						Params: map[string]pipeline.Param{
							"from": {Parameter: pipeline.Parameter{Type: pipeline.TypeInt}},
							"what": {Parameter: pipeline.Parameter{Type: pipeline.TypeEnum, Values: []string{"pills", "pots"}, Default: new("pills")}},
						},
						Dedupe: pipeline.Dedupe{Policy: pipeline.DedupeNewest}, Source: &pipeline.JobSource{Fabfile: "https://files.example/fab.py", SHA256: strings.Repeat("AB", 32)},
					},
				},
				Commands: []pipeline.Command{
					{Match: "deploy", Job: "deploy", Delay: time.Minute, Aliases: []string{"ship it"}},
					{Match: "deploy now", Job: "deploy"},
					{Match: "deploy branch [branch]", Job: "deploy"},
					{Match: "deploy hold [start] [end]", Job: "deploy", Action: pipeline.ActionHold},
					{Match: "deploy release", Job: "deploy", Action: pipeline.ActionRelease},
					{Match: "deploy cancel", Job: "deploy", Action: pipeline.ActionCancel},
					{Match: "count pills since [from]", Job: "count", Values: map[string]string{"what": "pills"}},
				},
			},
			"vault": {Restricted: true, Pool: "safe", Jobs: map[string]pipeline.Job{
				"open": {Lane: "vault", Steps: []pipeline.Step{{Name: "a", Shell: "./a {namespace}"}, {Name: "b", Shell: "./b", Env: map[string]string{"WHO": "b"}}}, Env: map[string]string{"WHO": "all"}},
			}},
		},
		Lanes: map[string]pipeline.Lane{"op:*": {Concurrency: 3, PerRunner: 1, PerJob: 2, PerNamespace: 3, Turns: true, Priority: 9}},
		Pools: map[string]pipeline.Pool{"safe": {}},
		Slack: pipeline.Slack{LogsChannel: "#logs", SupportChannel: "#support"},
	}
}

func ExampleResolveJob() {
	plan, target, err := pipeline.ResolveJob(yard(), pipeline.JobRequest{Namespace: "OP", Job: "deploy", Params: map[string]string{"branch": "it's"}})
	fmt.Println(target.Namespace, target.Job, target.Params, plan.GetLane(), err)
	fmt.Println(plan.GetSteps()[0].GetShell())
	// Output:
	// op deploy map[branch:it's] op:deploy <nil>
	// ./deploy 'it'\''s' --token "${SLIPWAY_SECRET_API_TOKEN}" > 'deploy'.log
}

func planJob(t *testing.T, c pipeline.Config, r pipeline.JobRequest) *eventv1.Plan {
	t.Helper()
	plan, _, err := pipeline.ResolveJob(c, r)
	if err != nil {
		t.Fatal(err)
	}
	return plan
}

func TestAPlanOfAJobIsPinnedWhole(t *testing.T) {
	plan := planJob(t, yard(), pipeline.JobRequest{Namespace: "op", Job: "deploy", Delay: time.Minute})
	step := plan.GetSteps()[0]
	if d := cmp.Diff(map[string]string{"REGION": "eu", "TIER": "main-high"}, step.GetEnv()); d != "" {
		t.Error(d)
	}
	if step.GetName() != "run" || len(step.GetSecrets()) != 2 || step.GetSecrets()["SLIPWAY_SECRET_API_TOKEN"].GetEnv() != "OP_TOKEN" || step.GetSecrets()["KEY"].GetFile() != "/run/key" || step.GetRetry().GetAttempts() != 2 {
		t.Error(prototext.Format(step))
	}
	if plan.GetPipeline() != "op/deploy" || plan.GetPriority() != 5 || plan.GetPool() != "default" || plan.GetRestricted() || plan.GetDelay().AsDuration() != time.Minute ||
		plan.GetTimeout().AsDuration() != 10*time.Minute || plan.GetQueueTimeout().AsDuration() != time.Hour ||
		plan.GetSource().GetGit().GetRef() != "main" || !plan.GetSource().GetLastGood() {
		t.Error(prototext.Format(plan))
	}
	if d := plan.GetDedupe(); d.GetPolicy() != eventv1.Dedupe_POLICY_MERGE || d.GetMaxDelay().AsDuration() != time.Hour || len(d.GetKey()) != 64 {
		t.Error(prototext.Format(d))
	}
	if s := plan.GetLaneSettings(); s.GetConcurrency() != 3 || s.GetPerRunner() != 1 || s.GetPerJob() != 2 || s.GetPerNamespace() != 3 || !s.GetTurns() {
		t.Error(prototext.Format(s))
	}
	if r := plan.GetReport(); r.GetStdout() || !r.GetSuccess() || r.GetFormat() != eventv1.Report_FORMAT_TEXT || r.GetLogsChannel() != "#logs" || !r.GetEscalate() ||
		r.GetSupportChannel() != "#support" || r.GetCard() != eventv1.Report_CARD_AUTO || r.GetAccepted() != "eyes" {
		t.Error(prototext.Format(r))
	}
}

func TestWhatAJobSaysWinsOverTheDefaults(t *testing.T) {
	c := yard()
	plan := planJob(t, c, pipeline.JobRequest{Namespace: "op", Job: "count", Params: map[string]string{"from": "007"}})
	if d := cmp.Diff([]string{"./count", "--from=7", "pills"}, plan.GetSteps()[0].GetArgv()); d != "" {
		t.Error(d)
	}
	if u := plan.GetSource().GetUrl(); u.GetUrl() != "https://files.example/fab.py" || u.GetPath() != "fabfile.py" || u.GetSha256() != strings.Repeat("ab", 32) || plan.GetSource().GetLastGood() {
		t.Error(prototext.Format(u))
	}
	if r := plan.GetReport(); !r.GetStdout() || r.GetSuccess() || r.GetFormat() != eventv1.Report_FORMAT_CODE || r.GetLogsChannel() != "" || r.GetEscalate() || r.GetSupportChannel() != "" {
		t.Error(prototext.Format(r))
	}
	if d := plan.GetDedupe(); d.GetPolicy() != eventv1.Dedupe_POLICY_NEWEST || d.GetMaxDelay().AsDuration() != time.Hour {
		t.Error(prototext.Format(d))
	}
	plan = planJob(t, c, pipeline.JobRequest{Namespace: "vault", Job: "open"})
	if plan.GetLane() != "vault" || plan.GetPool() != "safe" || !plan.GetRestricted() || len(plan.GetSteps()) != 2 || plan.GetSteps()[0].GetShell() != "./a 'vault'" ||
		plan.GetSteps()[0].GetEnv()["WHO"] != "all" || plan.GetSteps()[1].GetEnv()["WHO"] != "b" || plan.GetSource() != nil || plan.GetDelay() != nil {
		t.Error(prototext.Format(plan))
	}
	if got := c.JobLane("op", "count"); got != "op:count" {
		t.Error(got)
	}
	if d := cmp.Diff([]pipeline.JobName{{"op", "count"}, {"op", "deploy"}, {"vault", "open"}}, c.Jobs()); d != "" {
		t.Error(d)
	}
	if c.JobRestricted("op", "count") || !c.JobRestricted("vault", "open") {
		t.Error("restriction is not the namespace's")
	}
}

func TestRefusalsOfJobs(t *testing.T) {
	type R = pipeline.JobRequest
	for _, story := range []struct {
		name, code, says string
		change           func(*pipeline.Config)
		ask              R
	}{
		{"a misspelt namespace", pipeline.CodeNamespaceUnknown, "I do not know the namespace `valt`. Did you mean *vault*?", nil, R{Namespace: "valt"}},
		{"a strange namespace", pipeline.CodeNamespaceUnknown, "I know *op*, *vault*.", nil, R{Namespace: "<!channel>"}},
		{"no namespaces", pipeline.CodeNamespaceUnknown, "has no namespaces", func(c *pipeline.Config) { c.Namespaces = nil }, R{Namespace: "op"}},
		{"a misspelt job", pipeline.CodeJobUnknown, "*op* has no job `deplyo`. Did you mean *deploy*?", nil, R{Namespace: "op", Job: "deplyo"}},
		{"a strange job", pipeline.CodeJobUnknown, "*op* has no job `xyzzy`. It has *count*, *deploy*.", nil, R{Namespace: "op", Job: "xyzzy"}},
		{"an unknown parameter", pipeline.CodeParameterUnknown, "*op deploy* has no parameter `brunch`. Did you mean *branch*?", nil, R{Namespace: "op", Job: "deploy", Params: map[string]string{"brunch": "x"}}},
		{"a missing parameter", pipeline.CodeParameterMissing, "*op count* needs from=…", nil, R{Namespace: "op", Job: "count"}},
		{"a secret is given", pipeline.CodeParameterInvalid, "only the runner knows", nil, R{Namespace: "op", Job: "deploy", Params: map[string]string{"api-token": "x"}}},
		{"not in the enum", pipeline.CodeParameterInvalid, "it must be one of *pills*, *pots*", nil, R{Namespace: "op", Job: "count", Params: map[string]string{"from": "1", "what": "x"}}},
		{"a secret in an argument", pipeline.CodeConfiguration, "is a secret, which can stand in a shell line only", func(c *pipeline.Config) {
			j := c.Namespaces["op"].Jobs["deploy"]
			j.Shell, j.Argv = "", []string{"x", "{api-token}"}
			c.Namespaces["op"].Jobs["deploy"] = j
		}, R{Namespace: "op", Job: "deploy"}},
	} {
		t.Run(story.name, func(t *testing.T) {
			c := yard()
			if story.change != nil {
				story.change(&c)
			}
			plan, _, err := pipeline.ResolveJob(c, story.ask)
			var r *pipeline.Refusal
			if !errors.As(err, &r) {
				t.Fatalf("planned: %v, error %v", plan, err)
			}
			if r.Code != story.code || !strings.Contains(r.Sentence, story.says) {
				t.Errorf("%s: %s", r.Code, r.Sentence)
			}
		})
	}
}

// echo is a configuration whose one job has a line and the parameters a and b.
func echo(line string) pipeline.Config {
	text := pipeline.Param{Parameter: pipeline.Parameter{Default: new("")}}
	return pipeline.Config{Namespaces: map[string]pipeline.Namespace{"n": {Jobs: map[string]pipeline.Job{"j": {
		Shell: line, Params: map[string]pipeline.Param{"a": text, "b": text, "s": {Parameter: pipeline.Parameter{Type: pipeline.TypeSecret}, Secret: pipeline.Secret{Env: "TOKEN"}}},
	}}}}}
}

// TestArgumentsOfJobsReachARealShellLiterally: each value, and the secret, is
// exactly one argument of the command, whatever it holds.
func TestArgumentsOfJobsReachARealShellLiterally(t *testing.T) {
	dir := t.TempDir()
	c := echo(`printf '%s\0' {a} x{b} {s} {namespace}`)
	hostile := rapid.Map(rapid.SliceOfN(rapid.OneOf(rapid.SampledFrom(nasty), rapid.StringMatching(`[ -~\n]{0,6}`)), 0, 6), func(s []string) string { return strings.Join(s, "") })
	rapid.Check(t, func(t *rapid.T) {
		a, b, secret := hostile.Draw(t, "a"), hostile.Draw(t, "b"), hostile.Draw(t, "secret")
		plan, _, err := pipeline.ResolveJob(c, pipeline.JobRequest{Namespace: "n", Job: "j", Params: map[string]string{"a": a, "b": b}})
		if err != nil {
			t.Fatal(err)
		}
		cmd := exec.Command("/bin/sh", "-c", plan.GetSteps()[0].GetShell())
		cmd.Dir, cmd.Env = dir, []string{"SLIPWAY_SECRET_S=" + secret}
		out, err := cmd.Output()
		if err != nil {
			t.Fatalf("%s: %v", cmd.Args[2], err)
		}
		if want := strings.Join([]string{a, "x" + b, secret, "n", ""}, "\x00"); string(out) != want {
			t.Fatalf("%s printed %q, want %q", cmd.Args[2], out, want)
		}
		if left, _ := os.ReadDir(dir); len(left) > 0 {
			t.Fatalf("%s made %v", cmd.Args[2], left)
		}
	})
}

// TestTheDedupeKeyTellsArgumentsApart: equal exactly for the same job and the
// same arguments.
func TestTheDedupeKeyTellsArgumentsApart(t *testing.T) {
	c := echo("echo {a} {b} {s}")
	n := c.Namespaces["n"]
	n.Jobs["jj"] = n.Jobs["j"]
	key := func(t *rapid.T, job string, params map[string]string) string {
		plan, _, err := pipeline.ResolveJob(c, pipeline.JobRequest{Namespace: "n", Job: job, Params: params})
		if err != nil {
			t.Fatal(err)
		}
		return plan.GetDedupe().GetKey()
	}
	texts := rapid.SampledFrom([]string{"", "a", "b", "b=c", "a=b", "=", "\t", "c", "a\nb", "1"})
	jobs := rapid.SampledFrom([]string{"j", "jj"})
	type wish struct{ job, a, b string }
	draw := func(t *rapid.T, label string) wish {
		return wish{jobs.Draw(t, label+" job"), texts.Draw(t, label+" a"), texts.Draw(t, label+" b")}
	}
	given := func(w wish) map[string]string {
		params := map[string]string{"b": w.b, "a": w.a}
		for k, v := range params {
			if v == "" {
				delete(params, k) // left out means the default, which is the same
			}
		}
		return params
	}
	rapid.Check(t, func(t *rapid.T) {
		x, y := draw(t, "x"), draw(t, "y")
		if same := key(t, x.job, given(x)) == key(t, y.job, given(y)); same != (x == y) {
			t.Fatalf("%q and %q: same key %t", x, y, same)
		}
		if key(t, x.job, given(x)) != key(t, x.job, map[string]string{"a": x.a, "b": x.b}) {
			t.Fatalf("%q: the key changes with the form of the request", x)
		}
	})
}

func TestTheConfigurationOfJobsIsGood(t *testing.T) {
	for _, c := range []pipeline.Config{yard(), echo("echo {a} {b} {s}")} {
		if faults := c.Check(); len(faults) > 0 {
			t.Error(faults)
		}
	}
}

// commands is a namespace whose one job needs nothing.
func commands(list ...pipeline.Command) pipeline.Config {
	for i := range list {
		list[i].Job = "j"
	}
	text := pipeline.Param{Parameter: pipeline.Parameter{Default: new("")}}
	return pipeline.Config{Namespaces: map[string]pipeline.Namespace{"n": {
		Jobs:     map[string]pipeline.Job{"j": {Shell: "echo {a} {b}", Params: map[string]pipeline.Param{"a": text, "b": text}}},
		Commands: list,
	}}}
}

func TestOverlappingCommandsMustSayWhichComesFirst(t *testing.T) {
	type C = pipeline.Command
	for name, story := range map[string]struct {
		list []C
		says string
	}{
		"apart":            {[]C{{Match: "show [a]"}, {Match: "list [a]"}}, ""},
		"overlap":          {[]C{{Match: "show [a]"}, {Match: "show all"}}, `"show all" and "show [a]" both fit "show all"`},
		"overridden":       {[]C{{Match: "show [a]"}, {Match: "show all", Overrides: []string{"show [a]"}}}, ""},
		"the wrong way":    {[]C{{Match: "show [a]", Overrides: []string{"show all"}}, {Match: "show all"}}, `"show all" can never be reached`},
		"needless":         {[]C{{Match: "show [a]", Overrides: []string{"list"}}, {Match: "list"}}, "this settles nothing"},
		"unknown":          {[]C{{Match: "show [a]", Overrides: []string{"lst"}}, {Match: "list"}}, `no command with the match "lst"`},
		"itself":           {[]C{{Match: "show [a]", Overrides: []string{"show [a]"}}}, "cannot override itself"},
		"each other":       {[]C{{Match: "[a] x", Overrides: []string{"x [a]"}}, {Match: "x [a]", Overrides: []string{"[a] x"}}}, "override each other"},
		"in a circle":      {[]C{{Match: "[a] y z", Overrides: []string{"x [a] z"}}, {Match: "x [a] z", Overrides: []string{"x y [a]"}}, {Match: "x y [a]", Overrides: []string{"[a] y z"}}}, "by way of others"},
		"other case":       {[]C{{Match: "show"}, {Match: "SHOW"}}, "says the same"},
		"an alias":         {[]C{{Match: "show", Aliases: []string{"list [a]"}}}, "same parameters"},
		"aliases overlap":  {[]C{{Match: "show", Aliases: []string{"list"}}, {Match: "list [a]", Aliases: []string{"list"}}}, "same parameters"},
		"alias and match":  {[]C{{Match: "show", Aliases: []string{"list it"}}, {Match: "list [a]"}}, `both fit "list it"`},
		"alias overridden": {[]C{{Match: "show", Aliases: []string{"list it"}, Overrides: []string{"list [a]"}}, {Match: "list [a]"}}, ""},
		"help":             {[]C{{Match: "Help"}}, "could never be reached"},
		"anything":         {[]C{{Match: "[a]"}}, ""},
		"two spaces":       {[]C{{Match: "say  [a]"}, {Match: "say [b]"}}, "says the same"},
	} {
		t.Run(name, func(t *testing.T) {
			faults := fmt.Sprintf("%q", commands(story.list...).Check())
			faults = strings.ReplaceAll(faults, `\"`, `"`)
			if story.says == "" && faults != "[]" || !strings.Contains(faults, story.says) {
				t.Errorf("got %s, want %q", faults, story.says)
			}
		})
	}
}

// TestQuickComparisonMissesNothing: any two matches that overlap are compared.
func TestQuickComparisonMissesNothing(t *testing.T) {
	word := rapid.SampledFrom([]string{"a", "A", "b", "[p]", "x[q]", "[r]y", "xy"})
	match := rapid.Map(rapid.SliceOfN(word, 1, 4), func(words []string) string { return strings.Join(words, " ") })
	rapid.Check(t, func(t *rapid.T) {
		one, two := match.Draw(t, "one"), match.Draw(t, "two")
		p, err := grammar.CompilePattern(one)
		if err != nil {
			return
		}
		q, err := grammar.CompilePattern(two)
		if err != nil {
			return
		}
		example, both := grammar.Overlap(p, q)
		faults := fmt.Sprint(commands(pipeline.Command{Match: one}, pipeline.Command{Match: two}).Check())
		if said := strings.Contains(faults, "both fit") || strings.Contains(faults, "says the same"); said != both {
			t.Fatalf("%q and %q overlap (%q) %t: %s", one, two, example, both, faults)
		}
	})
}

// TestManyCommandsAreComparedInTime: as many as the bounds allow, all alike.
func TestManyCommandsAreComparedInTime(t *testing.T) {
	var list []pipeline.Command
	for i := range pipeline.MaxCommands {
		list = append(list, pipeline.Command{Match: fmt.Sprintf("please %s [a] and then [b] as number-%03d, thank you", strings.Repeat("very ", 20), i)})
	}
	start := time.Now()
	if faults := commands(list...).Check(); len(faults) > 0 {
		t.Error(faults[0])
	}
	if took := time.Since(start); took > 10*time.Second {
		t.Errorf("took %s", took)
	}
	list = append(list, list...)
	if faults := fmt.Sprint(commands(list...).Check()); !strings.Contains(faults, "at most 200 are allowed") {
		t.Errorf("%.200s", faults)
	}
}

func TestLabelsOfANamespaceAndAJob(t *testing.T) {
	c := yard()
	n := c.Namespaces["op"]
	n.Labels = map[string]string{"arch": "arm64", "zone": "eu-1"}
	j := n.Jobs["deploy"]
	j.Labels, j.Pool = map[string]string{"zone": "eu-2"}, "*"
	n.Jobs["deploy"] = j
	c.Namespaces["op"] = n
	if faults := c.Check(); len(faults) > 0 {
		t.Fatal(faults)
	}
	plan := planJob(t, c, pipeline.JobRequest{Namespace: "op", Job: "deploy"})
	if d := cmp.Diff(map[string]string{"arch": "arm64", "zone": "eu-2"}, plan.GetLabels()); d != "" || plan.GetPool() != "*" {
		t.Errorf("pool %s, labels %s", plan.GetPool(), d)
	}
	plan = planJob(t, c, pipeline.JobRequest{Namespace: "op", Job: "count", Params: map[string]string{"from": "1"}})
	if d := cmp.Diff(n.Labels, plan.GetLabels()); d != "" || plan.GetPool() != "default" {
		t.Errorf("pool %s, labels %s", plan.GetPool(), d)
	}
	for _, bad := range []map[string]string{{"": "x"}, {"a": ""}, {"a b": "c"}, {"-a": "b"}, {"a": "b-"}, {"a": strings.Repeat("x", 64)}} {
		n.Labels = bad
		c.Namespaces["op"] = n
		if len(c.Check()) == 0 {
			t.Errorf("the labels %v are taken", bad)
		}
	}
}

func TestListeners(t *testing.T) {
	check := func(l pipeline.Listener, lane int) string {
		c := yard()
		n := c.Namespaces["op"]
		n.Listen = map[string]pipeline.Listener{"ear": l}
		c.Namespaces["op"] = n
		c.Lanes = map[string]pipeline.Lane{"op:*": {Concurrency: lane}}
		var out []string
		for _, f := range c.Check() {
			out = append(out, strings.TrimSpace(fmt.Sprint(strings.Join(f.Path[2:], "."), ": ", f.Message, " ", f.Suggestion)))
		}
		return strings.Join(out, "; ")
	}
	for _, c := range []struct {
		name string
		l    pipeline.Listener
		want string
	}{
		{"the simplest", pipeline.Listener{Match: "deploy", Job: "deploy"}, ""},
		{"a part", pipeline.Listener{Match: `deploy (?P<branch>\S+)( on (?P<host>\S+))?`, Job: "deploy", Runners: "{host}"}, ""},
		{"values", pipeline.Listener{Match: "count", Job: "count", Values: map[string]string{"from": "1"}}, ""},
		{"everywhere", pipeline.Listener{Match: "deploy", Job: "deploy", Runners: "every"}, ""},
		{"bots", pipeline.Listener{Match: ".+passed", Job: "deploy", From: pipeline.From{Bots: []string{"B012AB", "A9"}}, Attachments: true, Channels: []string{"C012AB", "#ci"}}, ""},
		{"nothing", pipeline.Listener{}, "listen.ear.match: it needs a match: the text to wait for, or a regular expression (RE2)"},
		{"no expression", pipeline.Listener{Match: "a)(b", Job: "deploy"}, "listen.ear.match: it is not a regular expression: error parsing regexp: unexpected ): `a)(b`"},
		{"anything", pipeline.Listener{Match: ".*", Job: "deploy"}, "listen.ear.match: it fits an empty message, and so any"},
		{"twice", pipeline.Listener{Match: "(?P<a>x)(?P<b>y)", Job: "deploy"}, `listen.ear.match: "deploy" has no parameter "a"; listen.ear.match: "deploy" has no parameter "b" branch`},
		{"misspelt part", pipeline.Listener{Match: "(?P<brnach>x)", Job: "deploy"}, `listen.ear.match: "deploy" has no parameter "brnach" branch`},
		{"misspelt job", pipeline.Listener{Match: "x", Job: "delpoy"}, `listen.ear.job: there is no job "delpoy" deploy`},
		{"no job", pipeline.Listener{Match: "x"}, "listen.ear.job: it needs a job to start"},
		{"missing", pipeline.Listener{Match: "x", Job: "count"}, `listen.ear: "count" needs the parameter "from", which is not given`},
		{"given twice", pipeline.Listener{Match: "(?P<branch>x)", Job: "deploy", Values: map[string]string{"branch": "y"}}, `listen.ear.match: the parameter "branch" is given twice: here and under values`},
		{"unknown part", pipeline.Listener{Match: "x (?P<host>y)", Job: "deploy", Runners: "{hots}"}, `listen.ear.runners: there is no named part of the match "hots" host; listen.ear.match: "deploy" has no parameter "host"`},
		{"no runner", pipeline.Listener{Match: "x", Job: "deploy", Runners: "a b"}, `listen.ear.runners: "a b" is none of one, every, the name of a runner, and a named part of the match such as {host}`},
		{"names for ids", pipeline.Listener{Match: "x", Job: "deploy", From: pipeline.From{Bots: []string{"travis", "B01"}}}, `listen.ear.from.bots.0: "travis" is not the id of a bot or an app, such as B012AB3CD or A012AB3CD; names can be taken by anybody, ids cannot; ` +
			`listen.ear.from.bots.1: "B01" is not the id of a bot or an app, such as B012AB3CD or A012AB3CD; names can be taken by anybody, ids cannot`},
		{"nobody", pipeline.Listener{Match: "x", Job: "deploy", From: pipeline.From{People: new(false)}}, "listen.ear.from: nobody is left whose messages count"},
		{"attachments of people", pipeline.Listener{Match: "x", Job: "deploy", Attachments: true}, "listen.ear.attachments: people do not post attachments: name the bots whose posts have them under from, bots"},
		{"both", pipeline.Listener{Match: "x", Job: "deploy", Edits: true, Deletes: true}, "listen.ear.edits: with deletes only what is removed counts; make it two listeners"},
		{"a channel", pipeline.Listener{Match: "x", Job: "deploy", Channels: []string{"general"}}, "listen.ear.channels.0: it must be the id of a channel, such as C012AB3CD, or its #name #general"},
	} {
		if got := check(c.l, 5); got != c.want {
			t.Errorf("%s:\n%s\nwant\n%s", c.name, got, c.want)
		}
	}
	if got := check(pipeline.Listener{Match: "deploy", Job: "deploy", Runners: "every"}, 1); got != `listen.ear.runners: each runner is to run it at the same time, and its lane "op:deploy" allows 1: say how many under lanes, "op:deploy", concurrency` {
		t.Error(got)
	}
	l := pipeline.Listener{Runners: "{host}"}
	if name, byMessage := l.Only(map[string]string{"host": "every"}); name != "every" || !byMessage || l.Every() {
		t.Error("what a message says is the name of a runner, and asks no others")
	}
}

func TestARunForOneRunnerIsLikeNoOther(t *testing.T) {
	plan := func(r pipeline.JobRequest) *eventv1.Plan {
		r.Namespace, r.Job = "vault", "open"
		return planJob(t, yard(), r)
	}
	any, anvil, forge := plan(pipeline.JobRequest{}), plan(pipeline.JobRequest{Runner: "anvil", Wait: time.Minute}), plan(pipeline.JobRequest{Runner: "forge"})
	if anvil.GetRunner() != "anvil" || anvil.GetQueueTimeout().AsDuration() != time.Minute || forge.GetQueueTimeout().AsDuration() != 24*time.Hour {
		t.Error(prototext.Format(anvil))
	}
	if a, b, c := any.GetDedupe().GetKey(), anvil.GetDedupe().GetKey(), forge.GetDedupe().GetKey(); a == b || b == c || a == c {
		t.Error("runs for different runners would be merged")
	}
	if stated := planJob(t, yard(), pipeline.JobRequest{Namespace: "op", Job: "deploy", Wait: time.Minute}); stated.GetQueueTimeout().AsDuration() != time.Hour {
		t.Error("what the job says wins")
	}
}
