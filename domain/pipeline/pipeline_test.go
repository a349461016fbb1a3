package pipeline_test

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/encoding/prototext"
	"pgregory.net/rapid"

	"github.com/slipway-hq/slipway/domain/pipeline"
	eventv1 "github.com/slipway-hq/slipway/gen/slipway/event/v1"
)

// shop is a configuration with one of everything.
func shop() pipeline.Config {
	one, low := "1", 5
	return pipeline.Config{
		Defaults: pipeline.Defaults{Service: "hello", Environment: "staging"},
		Services: map[string]pipeline.Service{
			"hello": {Pipeline: "deploy", Source: pipeline.Source{Path: "/srv/hello"}, Aliases: []string{"hi"}, Parameters: map[string]pipeline.Parameter{
				"COUNT": {Type: pipeline.TypeInt, Default: &one},
				"DRY":   {Type: pipeline.TypeBool, Default: new("no")},
				"WHERE": {Type: pipeline.TypeEnum, Values: []string{"eu", "us"}, Default: new("eu")},
				"NOTE":  {Type: pipeline.TypeString, Pattern: "[a-z' ]*"},
			}},
			"checkout": {
				Source: pipeline.Source{Git: &pipeline.Git{URL: "https://git.example/checkout", Ref: "main"}}, Environments: []string{"production"},
				Parameters: map[string]pipeline.Parameter{"TICKET": {Type: pipeline.TypeString, Required: true, Help: "the change's ticket"}},
				Inline:     &pipeline.Pipeline{Lane: "global", Pool: "gpu", Priority: &low, Steps: []pipeline.Step{{Name: "go", Argv: []string{"./go", "{version}", "t={TICKET}"}}}},
			},
		},
		Environments: map[string]pipeline.Environment{
			"staging":    {Variables: map[string]string{"REGION": "eu", "TIER": "low"}},
			"production": {Protected: true, Allow: pipeline.Allow{Users: []string{"U1"}}},
		},
		Pipelines: map[string]pipeline.Pipeline{
			"deploy": {Timeout: 30 * time.Minute, Steps: []pipeline.Step{
				{Name: "build", Shell: `make -C {service} "V=$V" && echo {{x}} ${HOME} '{ a: 1 }' {NOTE}`, Env: map[string]string{"V": "v-{version}", "TIER": "{COUNT}"}},
				{
					Name: "ship", Argv: []string{"./ship", "--to", "{environment}", "--dry={DRY}", "${version}"}, Resume: pipeline.ResumeProbe, Probe: "test -e {WHERE}",
					Retry: pipeline.Retry{Attempts: 3}, Secrets: map[string]pipeline.Secret{"KEY": {File: "/run/key"}},
				},
			}},
		},
		Lanes: map[string]pipeline.Lane{"*/staging": {Concurrency: 2, Priority: 7}, "global": {RateLimit: 3, RatePeriod: time.Hour}},
		Pools: map[string]pipeline.Pool{"gpu": {}},
	}
}

func ExampleResolve() {
	plan, target, err := pipeline.Resolve(shop(), pipeline.Request{Service: "HI", Version: "v2", Parameters: map[string]string{"NOTE": "it's me"}})
	fmt.Println(target.Service, target.Environment, target.Version, plan.GetLane(), err)
	fmt.Println(plan.GetSteps()[0].GetShell())
	// Output:
	// hello staging v2 hello/staging <nil>
	// make -C 'hello' "V=$V" && echo {x} ${HOME} '{ a: 1 }' 'it'\''s me'
}

func TestTheConfigurationOfTheseTestsIsGood(t *testing.T) {
	if faults := shop().Check(); len(faults) > 0 {
		t.Fatal(faults)
	}
}

func TestAPlanIsPinnedWhole(t *testing.T) {
	plan, target, err := pipeline.Resolve(shop(), pipeline.Request{Version: "v1", Parameters: map[string]string{"DRY": "YES"}})
	if err != nil {
		t.Fatal(err)
	}
	want := pipeline.Target{Service: "hello", Environment: "staging", Version: "v1", Parameters: map[string]string{"COUNT": "1", "DRY": "true", "WHERE": "eu", "NOTE": ""}}
	if d := cmp.Diff(want, target); d != "" {
		t.Error(d)
	}
	build, ship := plan.GetSteps()[0], plan.GetSteps()[1]
	if d := cmp.Diff(map[string]string{"V": "v-v1", "TIER": "1", "REGION": "eu"}, build.GetEnv()); d != "" {
		t.Error(d)
	}
	if d := cmp.Diff([]string{"./ship", "--to", "staging", "--dry=true", "${version}"}, ship.GetArgv()); d != "" {
		t.Error(d)
	}
	if ship.GetProbe() != "test -e 'eu'" || ship.GetResume() != eventv1.Step_RESUME_PROBE || ship.GetSecrets()["KEY"].GetFile() != "/run/key" {
		t.Error(prototext.Format(ship))
	}
	if r := ship.GetRetry(); r.GetAttempts() != 3 || r.GetDelay().AsDuration() != time.Second || r.GetBackoff() != 2 || r.GetMaxDelay().AsDuration() != time.Minute {
		t.Error(prototext.Format(r))
	}
	if plan.GetPriority() != 7 || plan.GetLaneSettings().GetConcurrency() != 2 || plan.GetPool() != "default" || plan.GetProtected() ||
		plan.GetTimeout().AsDuration() != 30*time.Minute || plan.GetQueueTimeout().AsDuration() != 24*time.Hour || plan.GetSource().GetPath().GetPath() != "/srv/hello" {
		t.Error(prototext.Format(plan))
	}
}

func TestAGitSourceIsCheckedOutAtTheVersionAskedFor(t *testing.T) {
	for version, ref := range map[string]string{"": "main", "v9": "v9"} {
		plan, target, err := pipeline.Resolve(shop(), pipeline.Request{Service: "checkout", Environment: "production", Version: version, Parameters: map[string]string{"TICKET": "T-1"}})
		if err != nil {
			t.Fatal(err)
		}
		if plan.GetSource().GetGit().GetRef() != ref || target.Version != ref || plan.GetSteps()[0].GetArgv()[1] != ref {
			t.Errorf("%q: %s", version, prototext.Format(plan))
		}
		if !plan.GetProtected() || plan.GetLane() != "global" || plan.GetPriority() != 5 || plan.GetPool() != "gpu" || plan.GetLaneSettings().GetRateLimit() != 3 {
			t.Error(prototext.Format(plan))
		}
	}
}

func TestRefusals(t *testing.T) {
	type R = pipeline.Request
	for _, story := range []struct {
		name, code, says string
		change           func(*pipeline.Config)
		ask              R
	}{
		{"a misspelt service", pipeline.CodeServiceUnknown, "I do not know `chekout`. Did you mean *checkout*?", nil, R{Service: "chekout"}},
		{"a strange service", pipeline.CodeServiceUnknown, "I do not know `<!channel> ˋ`. I know *checkout*, *hello*.", nil, R{Service: "<!channel>\n`"}},
		{"no service and no default", pipeline.CodeServiceMissing, "What should I deploy? I know *checkout*, *hello*.", func(c *pipeline.Config) { c.Defaults.Service = "" }, R{}},
		{"nothing to deploy", pipeline.CodeServiceMissing, "Nothing can be deployed yet", func(c *pipeline.Config) { *c = pipeline.Config{} }, R{}},
		{"a misspelt environment", pipeline.CodeEnvironmentUnknown, "I do not know the environment `stagin`. Did you mean *staging*? *hello* can go to *production*, *staging*.", nil, R{Environment: "stagin"}},
		{"an environment it does not go to", pipeline.CodeEnvironmentUnknown, "*checkout* does not go to *staging*. It can go to *production*.", nil, R{Service: "checkout", Environment: "staging"}},
		{"a default it does not go to", pipeline.CodeEnvironmentMissing, "Where to? *checkout* can go to *production*.", nil, R{Service: "checkout"}},
		{"no default environment", pipeline.CodeEnvironmentMissing, "Where to? *hello* can go to *production*, *staging*.", func(c *pipeline.Config) { c.Defaults.Environment = "" }, R{}},
		{"a protected default", pipeline.CodeEnvironmentProtected, "*production* is protected and must be named", func(c *pipeline.Config) { c.Defaults.Environment = "production" }, R{}},
		{"a version that is an option", pipeline.CodeVersion, "starts with a dash", nil, R{Version: "--upload-pack=x"}},
		{"an unknown parameter", pipeline.CodeParameterUnknown, "*hello* has no parameter `COUNTS`. Did you mean *COUNT*?", nil, R{Parameters: map[string]string{"COUNTS": "1"}}},
		{"a missing parameter", pipeline.CodeParameterMissing, "*checkout* needs TICKET=… (the change's ticket).", nil, R{Service: "checkout", Environment: "production"}},
		{"not a number", pipeline.CodeParameterInvalid, "COUNT cannot be `x`: it must be a whole number.", nil, R{Parameters: map[string]string{"COUNT": "x"}}},
		{"not in the enum", pipeline.CodeParameterInvalid, "it must be one of *eu*, *us*", nil, R{Parameters: map[string]string{"WHERE": "moon"}}},
		{"not a truth", pipeline.CodeParameterInvalid, "*true* or *false*", nil, R{Parameters: map[string]string{"DRY": "perhaps"}}},
		{"not the pattern", pipeline.CodeParameterInvalid, "it must match `[a-z' ]*`", nil, R{Parameters: map[string]string{"NOTE": "a;b"}}},
		{"a NUL", pipeline.CodeParameterInvalid, "invisible", nil, R{Parameters: map[string]string{"NOTE": "a\x00"}}},
		{"too large", pipeline.CodePlanTooLarge, "may be 32768", func(c *pipeline.Config) {
			p := c.Pipelines["deploy"]
			for i := range 10 {
				p.Steps = append(p.Steps, pipeline.Step{Name: fmt.Sprint("s", i), Shell: "echo " + strings.Repeat("x", 5000)})
			}
			c.Pipelines["deploy"] = p
		}, R{}},
		{"an unchecked template", pipeline.CodeConfiguration, "cannot be prepared", func(c *pipeline.Config) {
			c.Pipelines["deploy"] = pipeline.Pipeline{Steps: []pipeline.Step{{Name: "bad", Shell: `echo "{version}"`}}}
		}, R{}},
	} {
		t.Run(story.name, func(t *testing.T) {
			c := shop()
			if story.change != nil {
				story.change(&c)
			}
			plan, _, err := pipeline.Resolve(c, story.ask)
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

func TestLaneSettingsComeFromTheNearestPattern(t *testing.T) {
	c := pipeline.Config{Lanes: map[string]pipeline.Lane{"*/production": {Concurrency: 2}, "web/*": {Concurrency: 3}, "web/production": {Concurrency: 4}, "*/*": {Concurrency: 5}}}
	for lane, want := range map[string]uint32{"a/production": 2, "web/staging": 3, "web/production": 4, "x/y": 5, "global": 1} {
		if got := c.LaneSettings(lane).GetConcurrency(); got != want {
			t.Errorf("%s: %d, want %d", lane, got, want)
		}
	}
}

// one is a configuration whose one step is a shell line with the parameter P.
func one(line string) pipeline.Config {
	return pipeline.Config{
		Services:     map[string]pipeline.Service{"s": {Pipeline: "p", Parameters: map[string]pipeline.Parameter{"P": {Type: pipeline.TypeString}}}},
		Environments: map[string]pipeline.Environment{"e": {}},
		Pipelines:    map[string]pipeline.Pipeline{"p": {Steps: []pipeline.Step{{Name: "x", Shell: line}}}},
	}
}

func TestWhereAPlaceholderMayStand(t *testing.T) {
	for line, why := range map[string]string{
		`echo {P}`: "", `echo a-{P}.tar.gz`: "", `X={P} env`: "", `X={P} Y={P} make`: "", `if test {P} = x; then echo {P}; fi`: "",
		`make >{P}.log 2>&1`: "", `2>{P} make`: "", `make 2>&1 {P}`: "", `make >&2 >{P}`: "", `echo "$(date)" {P}`: "", `echo $(date) ${X} $X $$ $? {P}`: "", `echo '"' {P}`: "", `echo \" {P}`: "", `echo 'it'\''s' {P}`: "",
		`(cd x && make {P})`: "", `./bin/{service}-{environment} {P}`: "", `echo a#b {P}`: "", `echo ${#X} {P}`: "", `echo $((1 + 2)) {P}`: "", "a \\\n {P}": "",
		`echo {{P}} "{{P}}" '{{P}}' {{{P}}}`: "", `find . -exec ls {} +`: "", `awk '{print $1}'`: "", `echo "${P}" ${P} {a,b} '{"k": {"x":1}}'`: "", `docker ps --format '{{.ID}}'`: "",
		`sh -c 'echo "$1"' _ {P}`: "", `[ {P} = {P} ]`: "", `test -n {P}`: "", `printf '%s %s' {P} {P}`: "", `test {P} -eq 1 && printf %s {P}`: "", `python3 count.py {P}`: "", `sync -c {P}`: "", `for x in {P}; do echo $x; done`: "", `case {P} in a) echo {P};; esac`: "",

		`echo "{P}"`: "inside double quotes", `echo '{P}'`: "inside single quotes", "echo `ls {P}`": "inside `…`", `echo $(ls {P})`: "inside $(…)", `echo "$(ls {P})"`: "inside $(…)",
		`echo ${X:-{P}}`: "inside ${…}", `echo $((1+{P}))`: "inside $((…))", `make # {P}`: "in a comment", "cat <<E\n{P}\nE": "here-document", `cat <<< {P}`: "here-document",
		`echo \{P}`: "after a backslash", `((x={P}))`: "after ((", `echo $'a' {P}`: "after $'…'", "echo `date \"+%s\"` {P}": "after `…` with quotes", `echo "${X:-"a"}" {P}`: "after an expansion with quotes",
		`make >&{P}`: "after >&", `make 2>& x{P}`: "after >&", `eval {P}`: "evaluate", `eval "x" {P}`: "evaluate", `"eval" {P}`: "evaluate", `\eval {P}`: "evaluate", `A=1 eval {P}`: "evaluate", `sudo eval {P}`: "evaluate", `sh -c {P}`: "evaluate", `/bin/bash -ec {P}`: "evaluate", `trap {P} EXIT`: "evaluate", `test -v {P}`: "evaluate", `[ -v {P} ]`: "evaluate", `test x -a "-v" {P}`: "evaluate", `[ {P} {P} ]`: "evaluate", `[ -{P} {P} ]`: "evaluate", `printf -v {P} x`: "evaluate", `printf {P} {P}`: "evaluate", `read {P}`: "evaluate", `local {P}`: "evaluate",
		`timeout 5 sh -c {P}`: "evaluate", `find . -exec /bin/bash -c {P} ';'`: "evaluate", `ssh host ls {P}`: "evaluate", `python3 -c {P}`: "evaluate", `perl -ne {P}`: "evaluate", `[[ {P} -eq 1 ]]`: "evaluate", `. {P}`: "evaluate",
		`{P}`: "part of the command's own name", `make; {P} x`: "command's own name", `if {P}; then`: "command's own name", `exec {P}`: "command's own name", `./{P}.sh`: "command's own name", `A=1 {version} x`: "command's own name", `{P}=1 make`: "command's own name", `echo | {P}`: "command's own name", "make\n{P}": "command's own name", `echo $(case x in x) echo; esac) {P}`: "after case inside $(…)",
		`echo {Q}`: "neither a declared parameter", `awk '{print}'`: "for literal braces write {{print}}", `echo {run}`: "$SLIPWAY_RUN",
		`echo "x`: "a double quote is opened", `echo 'x`: "a single quote is opened", `echo $(x`: "is opened and never closed", `echo ${x`: "is opened and never closed", "echo `x": "a backtick is opened",
		"echo a\rb": "invisible",
	} {
		faults := one(line).Check()
		switch {
		case why == "" && len(faults) > 0:
			t.Errorf("%s: %s", line, faults[0].Message)
		case why != "" && (len(faults) == 0 || !strings.Contains(fmt.Sprint(faults), why)):
			t.Errorf("%s: got %v, want %q", line, faults, why)
		}
	}
}

// nasty texts try to leave their quotes.
var nasty = []string{
	"'", `"`, "`touch pwned`", "$(touch pwned)", ";touch pwned;", "\ntouch pwned\n", "&& touch pwned", "| touch pwned", "'; touch pwned; '", `\`, `\'`, "${HOME}", "$HOME",
	"*", "~", " ", "\t", "#", "!", "{P}", "{version}", "{{P}}", "-n", "--", "ü🚀", "<!channel>", "%s", ">pwned", "a[$(touch pwned)]",
}

// TestValuesReachARealShellLiterally runs lines that Check accepts with
// hostile values: every value must arrive as one argument, and nothing else
// may run.
func TestValuesReachARealShellLiterally(t *testing.T) {
	dir := t.TempDir()
	lines := []struct{ line, before, after string }{
		{`printf %s {P}`, "", ""},
		{`printf %s pre-{P}.post`, "pre-", ".post"},
		{`X={P}; printf %s "$X"`, "", ""},
		{`echo "$(date) $((1 + 2)) it's" '"' >/dev/null && (printf %s {P})`, "", ""},
		{`if true; then sh -c 'printf %s "$1"' _ {P}; fi`, "", ""},
		{"printf %s \\\n{P} # it's a \"comment", "", ""},
		{`for x in {P}; do printf %s "$x"; done`, "", ""},
		{`case {P} in *) printf %s {P};; esac`, "", ""},
		{`test -n {P} -o x = {P}; [ x = {P} ]; printf %s {P}`, "", ""},
	}
	shells := []string{"sh"}
	if _, err := exec.LookPath("bash"); err == nil {
		shells = append(shells, "bash")
	}
	rapid.Check(t, func(t *rapid.T) {
		story := rapid.SampledFrom(lines).Draw(t, "line")
		value := strings.Join(rapid.SliceOfN(rapid.OneOf(rapid.SampledFrom(nasty), rapid.StringMatching(`[ -~\n]{0,6}`)), 1, 6).Draw(t, "value"), "")
		c := one(story.line)
		if faults := c.Check(); len(faults) > 0 {
			t.Fatal(faults)
		}
		plan, _, err := pipeline.Resolve(c, pipeline.Request{Service: "s", Environment: "e", Parameters: map[string]string{"P": value}})
		if err != nil {
			t.Fatal(err)
		}
		cmd := exec.Command(rapid.SampledFrom(shells).Draw(t, "shell"), "-c", plan.GetSteps()[0].GetShell())
		cmd.Dir, cmd.Env = dir, []string{"PATH=" + os.Getenv("PATH"), "HOME=" + dir}
		out, err := cmd.Output()
		if err != nil {
			t.Fatalf("%s: %v", cmd.Args[2], err)
		}
		if string(out) != story.before+value+story.after {
			t.Fatalf("%s printed %q, want %q", cmd.Args[2], out, value)
		}
		if left, _ := filepath.Glob(filepath.Join(dir, "*")); len(left) > 0 {
			t.Fatalf("%s made %v", cmd.Args[2], left)
		}
	})
}

// TestNoAcceptedLineLeaksAValue builds random lines: whatever Check accepts
// must never let a value run a command.
func TestNoAcceptedLineLeaksAValue(t *testing.T) {
	dir := t.TempDir()
	pieces := []string{"{P}", "{P}", "'", `"`, "`", "$", "(", ")", "{", "}", "\\", " ", "\n", ";", "#", "echo ", "true ", "A=", "<", "&", "|", "case ", "$(", "${", "${A:-", "$((", "eval ", "sh -c ", "if ", "then ", "fi", "in ", "<<E\n", "E\n", "\\\n", "$'", "$\"", "x)", ";;", "esac", "[[ ", "let ", "command ", "2>", "X{P}", "${A#", "env ", "exec ", "test ", "[ ", "printf ", "read ", "-v ", "-c ", " ]"}
	rapid.Check(t, func(t *rapid.T) {
		line := "true " + strings.Join(rapid.SliceOfN(rapid.SampledFrom(pieces), 1, 12).Draw(t, "pieces"), "")
		c := one(line)
		if len(c.Check()) > 0 {
			return
		}
		value := rapid.SampledFrom([]string{"a[$(touch pwned)]", "$(touch pwned)", "`touch pwned`", "';touch pwned;'", "\";touch pwned;\"", "\ntouch pwned\n", ";touch pwned"}).Draw(t, "value")
		plan, _, err := pipeline.Resolve(c, pipeline.Request{Service: "s", Environment: "e", Parameters: map[string]string{"P": value}})
		if err != nil {
			t.Fatal(err)
		}
		for _, shell := range []string{"sh", "bash"} {
			_ = os.Remove(filepath.Join(dir, "pwned")) // left by a failure that is being shrunk
			if _, err := exec.LookPath(shell); err != nil {
				continue
			}
			cmd := exec.Command(shell, "-c", plan.GetSteps()[0].GetShell())
			cmd.Dir, cmd.Env = dir, []string{"PATH=" + os.Getenv("PATH")}
			_ = cmd.Run() // a random line may well be wrong; what counts is what it did
			if _, err := os.Stat(filepath.Join(dir, "pwned")); err == nil {
				t.Fatalf("%s: %q with %q ran a command", shell, line, value)
			}
		}
	})
}

func TestCheckFindsWhatIsWrong(t *testing.T) {
	for name, story := range map[string]struct {
		change func(*pipeline.Config)
		path   string
		says   string
	}{
		"default service":   {func(c *pipeline.Config) { c.Defaults.Service = "helo" }, "defaults.service", `there is no service "helo"`},
		"protected default": {func(c *pipeline.Config) { c.Defaults.Environment = "production" }, "defaults.environment", "cannot be the default"},
		"nobody allowed":    {func(c *pipeline.Config) { c.Environments["production"] = pipeline.Environment{Protected: true} }, "environments.production.allow", "allows nobody"},
		"a name instead of id": {func(c *pipeline.Config) {
			c.Environments["staging"] = pipeline.Environment{Allow: pipeline.Allow{Users: []string{"@bob"}}}
		}, "environments.staging.allow.users.0", "not the id of a user"},
		"reserved name": {func(c *pipeline.Config) { c.Environments["To"] = pipeline.Environment{} }, "environments.To", "something else in a sentence"},
		"lost lane":     {func(c *pipeline.Config) { c.Lanes["*/prodution"] = pipeline.Lane{} }, "lanes.*/prodution", "nothing queues"},
		"half a rate":   {func(c *pipeline.Config) { c.Lanes["global"] = pipeline.Lane{RateLimit: 1} }, "lanes.global.rate", "both a limit and a period"},
		"no steps":      {func(c *pipeline.Config) { c.Pipelines["deploy"] = pipeline.Pipeline{} }, "pipelines.deploy.steps", "at least one step"},
		"unknown pool":  {func(c *pipeline.Config) { c.Pools = nil }, "services.checkout.pipeline.pool", `there is no pool "gpu"`},
		"alias taken": {func(c *pipeline.Config) {
			s := c.Services["hello"]
			s.Aliases = []string{"Checkout"}
			c.Services["hello"] = s
		}, "services.hello.aliases.0", "already names"},
	} {
		t.Run(name, func(t *testing.T) {
			c := shop()
			story.change(&c)
			for _, f := range c.Check() {
				if strings.Join(f.Path, ".") == story.path && strings.Contains(f.Message, story.says) {
					return
				}
			}
			t.Errorf("got %+v", c.Check())
		})
	}
}
