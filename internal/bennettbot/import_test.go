package bennettbot_test

import (
	"errors"
	"flag"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/slipway-hq/slipway/domain/grammar"
	"github.com/slipway-hq/slipway/domain/pipeline"
	"github.com/slipway-hq/slipway/internal/bennettbot"
	"github.com/slipway-hq/slipway/internal/configfile"
)

var rewrite = flag.Bool("rewrite", false, "write what came out into testdata")

func read(t testing.TB, name string) []byte {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

// imported must load, whatever it was made of.
func imported(t testing.TB, src string, o bennettbot.Options) (*bennettbot.Result, pipeline.Config) {
	t.Helper()
	got, err := bennettbot.Import([]byte(src), o)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "slipway.yaml")
	if err := os.WriteFile(file, got.YAML, 0o600); err != nil {
		t.Fatal(err)
	}
	loaded, problems := configfile.Load(file)
	if len(problems) > 0 {
		t.Fatalf("it does not load:\n%s\n%s", problems, got.YAML)
	}
	return got, loaded.Config
}

// meant is the command that a text is, after overrides.
func meant(t *testing.T, n pipeline.Namespace, text string) (pipeline.Command, map[string]string) {
	t.Helper()
	var found pipeline.Command
	var params map[string]string
	for _, c := range n.Commands {
		p, err := grammar.CompilePattern(c.Match)
		if err != nil {
			t.Fatal(err)
		}
		if values, ok := p.Match(text); ok && !slices.Contains(found.Overrides, c.Match) {
			found, params = c, values
		}
	}
	return found, params
}

func golden(t *testing.T, name, got string) {
	t.Helper()
	if *rewrite {
		if err := os.WriteFile(filepath.Join("testdata", name), []byte(got), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if diff := cmp.Diff(string(read(t, name)), got); diff != "" {
		t.Errorf("%s differs (go test -rewrite writes it):\n%s", name, diff)
	}
}

// TestAWholeConfigurationIsTakenOver: B14 to B33, as far as they are
// configuration. What is written loads, and every finding has its line.
func TestAWholeConfigurationIsTakenOver(t *testing.T) {
	src := string(read(t, "bot/job_configs.py"))
	known := bennettbot.Options{File: "job_configs.py", Workspace: os.DirFS("testdata/workspace"), Path: "workspace", SupportChannel: "#tech-support-channel", AdminsChannel: "C0123456789", LogsChannel: "bot-logs"}
	got, c := imported(t, src, known)
	golden(t, "known.yaml", string(got.YAML))
	op := c.Namespaces["op"]
	if !op.Restricted || op.Reminders || op.DefaultChannel != "#team-op" || op.Source.OnFailure != pipeline.OnFailureLastGood {
		t.Errorf("op = %+v", op)
	}
	if c, params := meant(t, op, "deploy suppress from 11:20 to 11:30"); c.Action != pipeline.ActionHold || params[pipeline.HoldStart] != "11:20" || params[pipeline.HoldEnd] != "11:30" {
		t.Errorf("suppress = %+v, %v", c, params)
	}
	if c, _ := meant(t, op, "deploy"); c.Delay != time.Minute {
		t.Errorf("deploy = %+v", c)
	}
	hook := op.Webhooks["op"]
	if len(hook.Rules) != 1 || hook.Rules[0].Delay != time.Minute || !*hook.Rules[0].Merged || !hook.AllowSHA1 || hook.Secrets[0].Env != "GITHUB_WEBHOOK_SECRET" {
		t.Errorf("webhook = %+v", hook)
	}
	if c, _ := meant(t, c.Namespaces["rota"], "show failed"); c.Match != "[target] failed" {
		t.Errorf("BennettBot takes the first in order, this takes %+v", c)
	}
	if got := c.Namespaces["test"].Jobs["hello_name"].Shell; got != "python jobs.py --name={name} --json='{}' ${HOME} {{{name}}}" {
		t.Errorf("the line of hello_name is %s", got)
	}
}

// Without its workspace and the channels, more is left to a person, and it
// still loads.
func TestWhatIsNotKnownIsListed(t *testing.T) {
	got, _ := imported(t, string(read(t, "bot/job_configs.py")), bennettbot.Options{File: "job_configs.py"})
	var said strings.Builder
	for _, f := range got.Findings {
		if f.Human {
			said.WriteString(f.String() + "\n")
		}
	}
	golden(t, "findings.txt", said.String())
}

// TestTheFirstInOrderWins: whatever overlaps, a text means what it means to
// BennettBot, which tries its commands in the order of their texts.
func TestTheFirstInOrderWins(t *testing.T) {
	words := rapid.SampledFrom([]string{"a", "b", "[x]", "[y]", "Z", "_"})
	rapid.Check(t, func(r *rapid.T) {
		var commands []string
		for range rapid.IntRange(1, 5).Draw(r, "commands") {
			commands = append(commands, strings.Join(rapid.SliceOfNDistinct(words, 1, 3, rapid.ID[string]).Draw(r, "words"), " "))
		}
		slices.Sort(commands)
		commands = slices.Compact(commands)
		var src strings.Builder
		src.WriteString(`raw_config = {"ns": {"jobs": {"fixed": {"run_args_template": "a"}, "x": {"run_args_template": "a {x}"}, "y": {"run_args_template": "a {y}"}, "xy": {"run_args_template": "a {x} {y}"}}, "slack": [`)
		for _, c := range slices.Backward(commands) {
			job := "fixed"
			switch x, y := strings.Contains(c, "[x]"), strings.Contains(c, "[y]"); {
			case x && y:
				job = "xy"
			case x:
				job = "x"
			case y:
				job = "y"
			}
			src.WriteString(said(`"`+c+`"`, job))
		}
		_, c := imported(t, src.String()+"]}}", bennettbot.Options{})
		text := strings.Join(rapid.SliceOfN(rapid.SampledFrom([]string{"a", "b", "q", "Z", "_"}), 1, 4).Draw(r, "said"), " ")
		want := ""
		for _, command := range commands {
			if p, err := grammar.CompilePattern(command); err != nil {
				r.Fatal(err)
			} else if _, ok := p.Match(text); ok {
				want = command
				break
			}
		}
		if got, _ := meant(t, c.Namespaces["ns"], text); got.Match != want {
			r.Fatalf("%q is %q, want %q, of %q", text, got.Match, want, commands)
		}
	})
}

const jobs = `"jobs": {"a": {"run_args_template": "run {x}"}, "b": {"run_args_template": "stop"}}`

// wrapped is a file with one namespace.
func wrapped(before, commands string) string {
	return before + "\nraw_config = {\"ns\": {" + jobs + ", \"slack\": [" + commands + "]}}\n"
}

func said(command, job string) string {
	return `{"command": ` + command + `, "help": "h", "action": "schedule_job", "job_type": "` + job + `"},`
}

// TestWhatIsEvaluated: the ways in which people write constants.
func TestWhatIsEvaluated(t *testing.T) {
	for expression, want := range map[string]string{
		`"a" "b"`:                                       "ab",
		`("a"` + "\n" + `  'b')`:                        "ab",
		`'''a` + "\n" + `b'''`:                          "a b",
		`"a" + "b" * 2`:                                 "abb",
		`f"{WORD} {N + 1} {{x}}"`:                       "word 4 {x}",
		`f"{'x' if N > 2 else 'y'}"`:                    "x",
		`rf"\d{WORD}"`:                                  `\dword`,
		`"{} {0}"[:2].format(WORD)`:                     "word",
		`"{0}-{n}".format(WORD, n=N)`:                   "word-3",
		`"%s %d%%" % (WORD, N)`:                         "word 3%",
		`" ".join(["a", *LIST])`:                        "a b c",
		`" ".join(x.upper() for x in LIST if x != "b")`: "C",
		`" ".join(sorted({"b", "a"}))`:                  "a b",
		`{**D, "k": "v"}["k"]`:                          "v",
		`(D | {"k": "w"}).get("k")`:                     "w",
		`dict(D, z="q")["z"]`:                           "q",
		`greet("you", end="?")`:                         "hi you?",
		`(lambda a: a + "!")("b")`:                      "b!",
		`LIST[-1] + str(len(LIST))`:                     "c2",
		`"a,b".split(",")[1]`:                           "b",
		`"\x41\u0042\103\t".strip()`:                    "ABC",
		`ADDED["x"]`:                                    "y",
		`[k + v for k, v in D.items()][0]`:              "kd",
	} {
		before := "N: int = 3\nWORD = 'word'\nLIST = ['b']\nLIST.append('c')\nD = {'k': 'd'}\nADDED = {}\nADDED['x'] = 'y'\n" +
			"def greet(who, end='!'):\n    '''greets'''\n    return 'hi ' + who + end\nTEXT = " + expression + "\n"
		_, c := imported(t, wrapped(before, said("TEXT", "b")), bennettbot.Options{})
		if got := c.Namespaces["ns"].Commands; len(got) != 1 || got[0].Match != want {
			t.Errorf("%s gives %+v, want %q", expression, got, want)
		}
	}
}

// TestWhatIsNeverRun: what reaches outside, or is no data, is left to a person
// with its line, and everything else is still taken over.
func TestWhatIsNeverRun(t *testing.T) {
	for expression, why := range map[string]string{
		`os.environ["X"]`:               "environment",
		`os.getenv("X", "y")`:           "environment",
		`os.system("touch /tmp/owned")`: "known only where BennettBot runs",
		`__import__("os").system("x")`:  "is not called here",
		`open("/etc/passwd").read()`:    "known only where",
		`eval("1")`:                     "is not called here",
		`exec("x")`:                     "is not called here",
		`settings.NAME`:                 "known only where",
		`imported_name`:                 "imported from elsewhere",
		`slow("x")`:                     "is not called",
		`(x := "y")`:                    "not read",
		`"a" * 10 ** 9`:                 "not read",
		`"a" * 1000000000`:              "too much",
		`[x for x in range(10000) for y in range(10000)][0]`: "too much",
		`forever("x")`:          "too much",
		`f"{NOWHERE}"`:          "`NOWHERE` is not known",
		`"{x.y}".format(x="z")`: "not read",
		`{}.__class__`:          "not read here",
		`(yield)`:               "not read",
		`"\N{DASH}"`:            "by name",
		`"unclosed`:             "not closed",
	} {
		before := "import os\nfrom elsewhere import imported_name, settings\n" +
			"def slow(x):\n    y = x\n    return y\ndef forever(x):\n    return forever(x + x)\n" +
			"WRONG = " + expression + "\n"
		got, c := imported(t, wrapped(before, said("WRONG", "b")+said(`"fine"`, "b")), bennettbot.Options{})
		if len(c.Namespaces["ns"].Commands) != 1 {
			t.Errorf("%s: the other command is lost, or this one is not", expression)
		}
		found := false
		for _, f := range got.Findings {
			found = found || f.Human && f.Line > 0 && strings.Contains(f.Text, why)
		}
		if !found {
			t.Errorf("%s: no finding says %q: %v", expression, why, got.Findings)
		}
	}
}

// TestWhatMayChangeItIsTold: code that is not run and mentions raw_config.
func TestWhatMayChangeItIsTold(t *testing.T) {
	for after, line := range map[string]int{
		"if X:\n    raw_config['y'] = 1\n":                          3,
		"for n in raw_config:\n    pass\n":                          2,
		"extend(raw_config)\n":                                      2,
		"unused = extend(raw_config)\n":                             2,
		"del raw_config['ns']\n":                                    2,
		"try:\n    pass\nexcept E:\n    raw_config.update(other)\n": 5,
		"raw_config['ns']['jobs'][f()] = 3\n":                       2,
	} {
		got, _ := imported(t, strings.TrimPrefix(wrapped("", said(`"fine"`, "b")), "\n")+after, bennettbot.Options{})
		found := false
		for _, f := range got.Findings {
			found = found || f.Human && f.Line == line && strings.Contains(f.Text, "may change raw_config")
		}
		if !found {
			t.Errorf("%q: nothing is said of line %d: %v", after, line, got.Findings)
		}
	}
	got, c := imported(t, wrapped("", said(`"fine"`, "b"))+"raw_config['more'] = {'jobs': {'c': {'run_args_template': 'x'}}, 'slack': []}\nraw_config.update({'last': raw_config['more']})\nconfig = build_config(raw_config)\n", bennettbot.Options{})
	if len(c.Namespaces) != 3 || strings.Contains(string(got.YAML), "may change") {
		t.Errorf("assignments that can be followed are followed: %v", got.Findings)
	}
}

// The line that runs means the same here.
func TestTemplatesKeepTheirMeaning(t *testing.T) {
	for template, want := range map[string]string{
		`echo {x}`:                         "echo {x}",
		`echo {{x}} {x}`:                   "echo {{x}} {x}",
		`awk '{{print $1}}' {x}`:           "awk '{print $1}' {x}",
		`a ${{V}} {x}`:                     "a ${V} {x}",
		`find . -name {x} -exec ls {{}} +`: "find . -name {x} -exec ls {} +",
	} {
		src := `raw_config = {"ns": {"jobs": {"a": {"run_args_template": r"""` + template + `"""}}, "slack": [` + said(`"do [x]"`, "a") + `]}}`
		_, c := imported(t, src, bennettbot.Options{})
		if got := c.Namespaces["ns"].Jobs["a"].Shell; got != want {
			t.Errorf("%s became %s, want %s", template, got, want)
		}
	}
	for template, why := range map[string]string{
		`echo "{x}"`: "quotes", `echo {0}`: "no name", `echo {x!r}`: "not read", `echo $` + `{x}`: "before {x}",
		`echo {x`: "not closed", `echo }`: "single }", `echo {x:>3}`: "not read", `eval {x}`: "evaluate",
	} {
		src := `raw_config = {"ns": {"jobs": {"fine": {"run_args_template": "x"}, "a": {"run_args_template": '''` + template + `'''}}, "slack": []}}`
		got, c := imported(t, src, bennettbot.Options{})
		if len(c.Namespaces["ns"].Jobs) != 1 || !strings.Contains(string(got.YAML), why) {
			t.Errorf("%s is taken over, or nothing says %q:\n%s", template, why, got.YAML)
		}
	}
}

func TestWhatIsNoConfiguration(t *testing.T) {
	for _, src := range []string{"", "x = 1", "raw_config = 3", "raw_config = {", "raw_config = f()", "\xff", "raw_config = {}", "def raw_config(): pass", strings.Repeat("#", bennettbot.MaxFile+1)} {
		if got, err := bennettbot.Import([]byte(src), bennettbot.Options{}); !errors.Is(err, bennettbot.ErrNoConfig) {
			t.Errorf("%.40q gives %v, %v", src, got, err)
		}
	}
}

// prompt must come back soon, whatever it reads, and what it returns loads.
func prompt(t interface {
	Helper()
	Fatalf(string, ...any)
}, src string) {
	t.Helper()
	const patience = 20 * time.Second
	done := make(chan *bennettbot.Result, 1)
	go func() {
		got, err := bennettbot.Import([]byte(src), bennettbot.Options{File: "x"})
		if err != nil {
			got = nil
		}
		done <- got
	}()
	select {
	case got := <-done:
		if got == nil {
			return
		}
		if _, problems := configfile.Parse("slipway.yaml", got.YAML); len(problems) > 0 {
			t.Fatalf("it does not load: %s\n%s", problems, got.YAML)
		}
	case <-time.After(patience):
		t.Fatalf("no answer in %s for %.200q", patience, src)
	}
}

// TestHostileFilesEndSoon: what is nested, repeated or grows without end.
func TestHostileFilesEndSoon(t *testing.T) {
	big := "A = ['x'] * 1\n" + strings.Repeat("A = A + A\n", 40)
	for _, src := range []string{
		"raw_config = " + strings.Repeat("[", 100_000),
		"raw_config = " + strings.Repeat("(", 120_000) + strings.Repeat(")", 120_000),
		"raw_config = " + strings.Repeat("not ", 60_000) + "x",
		"raw_config = " + strings.Repeat("-", 250_000) + "1",
		"raw_config = " + strings.Repeat("lambda:", 35_000) + "1",
		"raw_config = 'a'" + strings.Repeat(" + 'a'", 40_000),
		"raw_config = a" + strings.Repeat(".b", 120_000),
		"raw_config = a" + strings.Repeat("(1)", 80_000),
		"raw_config = 1" + strings.Repeat(" if 1 else 1", 20_000),
		"raw_config = {" + strings.Repeat("'a':{", 50_000),
		"raw_config = " + strings.Repeat("{'a':1,", 35_000),
		big + "raw_config = {'n': {'jobs': {'a': {'run_args_template': str(len(A))}}, 'slack': []}}",
		"A = 'x'\n" + strings.Repeat("A = A + A\n", 100) + "raw_config = {'n': {'jobs': {'a': {'run_args_template': A}, 'b': {'run_args_template': 'b'}}, 'slack': []}}",
		"D = {}\nD['D'] = D\nraw_config = D",
		"def f(x): return f(f(x))\nraw_config = f(1)",
		"f = lambda g: g(g)\nraw_config = f(f)",
		"raw_config = [[x for x in y] for y in range(9999) for z in range(9999) for w in range(9999)]",
		"A = 'x' * 60000\nraw_config = {i: [A in A for i in range(9999)] for i in range(9999)}",
		"raw_config = f'" + strings.Repeat("{f\"", 2000) + "'",
		strings.Repeat("raw_config = {}\n", 16_000),
		strings.Repeat("@", 260_000), strings.Repeat("@x\n", 85_000), strings.Repeat(";", 260_000), strings.Repeat("\\\n", 130_000), strings.Repeat("x=", 130_000),
		"raw_config = {'n': {'jobs': {" + strings.Repeat("'a': {'run_args_template': 'x'},", 8_000) + "}}}",
	} {
		prompt(t, src)
	}
}

var pieces = []string{
	"raw_config", " = ", "{", "}", "[", "]", "(", ")", ":", ",", "\n", "\n    ", "'a'", `"b{x}"`, "f'{raw_config}'", "f\"{", "'''", `\`, "#", "def f(x):", "return ", "lambda x: ", " for x in ", " if ", " else ", "**", "*", "+", "|",
	"1", "0x", "1e999", "-", ".", "x", "os.environ", "'jobs'", "'slack'", "'command'", "'run_args_template'", "'job_type'", "'action'", "'schedule_job'", "True", "None", ".format(", ".join(", "\x00", "\u2028", "é", "%s", "not ", " in ", ";", "@",
}

// TestAnythingIsReadWithoutHarm: any mixture of Python's pieces, and any values
// in a whole configuration.
func TestAnythingIsReadWithoutHarm(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		prompt(t, strings.Join(rapid.SliceOfN(rapid.SampledFrom(pieces), 0, 60).Draw(t, "pieces"), ""))
	})
	text := rapid.OneOf(rapid.String(), rapid.StringMatching(`[a-z]{1,3}( \[[a-z]\]| [a-z]){0,3}`), rapid.StringMatching(`[{}$'"a x\[\]-]{0,12}`), rapid.SampledFrom([]string{"status", "deploy", "a", "[x]", "[x] [y]", "run {x}", "echo {{x}} {y}", "#c", "https://e.example/f.py"}))
	rapid.Check(t, func(t *rapid.T) {
		quote := func(label string) string { return pythonText(text.Draw(t, label)) }
		var b strings.Builder
		b.WriteString("raw_config = {")
		for range rapid.IntRange(1, 3).Draw(t, "namespaces") {
			b.WriteString(quote("namespace") + ": {'description': " + quote("description") + ", 'default_channel': " + quote("channel") + ", 'jobs': {")
			var names []string
			for range rapid.IntRange(0, 3).Draw(t, "jobs") {
				names = append(names, quote("job"))
				b.WriteString(names[len(names)-1] + ": {'run_args_template': " + quote("template") + ", 'report_format': " + quote("format") + "},")
			}
			b.WriteString("}, 'slack': [")
			for range rapid.IntRange(0, 4).Draw(t, "commands") {
				job := quote("other")
				if len(names) > 0 {
					job = rapid.SampledFrom(names).Draw(t, "of")
				}
				action := rapid.SampledFrom([]string{"schedule_job", "cancel_job", "schedule_suppression", "cancel_suppression", "other"}).Draw(t, "action")
				b.WriteString("{'command': " + quote("command") + ", 'help': " + quote("help") + ", 'action': '" + action + "', 'job_type': " + job + "},")
			}
			b.WriteString("]},")
		}
		prompt(t, b.String()+"}\n")
	})
}

// pythonText quotes any text for Python.
func pythonText(text string) string {
	return "'" + strings.NewReplacer(`\`, `\\`, "'", `\'`, "\n", `\n`, "\r", `\r`).Replace(strings.ToValidUTF8(text, "")) + "'"
}

func FuzzImport(f *testing.F) {
	f.Add(string(read(f, "bot/job_configs.py")))
	f.Fuzz(func(t *testing.T, src string) { prompt(t, src) })
}
