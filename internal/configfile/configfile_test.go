package configfile_test

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"gopkg.in/yaml.v3"

	"github.com/slipway-hq/slipway/domain/pipeline"
	"github.com/slipway-hq/slipway/internal/configfile"
)

var update = flag.Bool("update", false, "rewrite golden files")

func ExampleParse() {
	_, problems := configfile.Parse("slipway.yaml", []byte("services:\n  hello:\n    pipline: deploy\nenvironments: {staging: {}}\n"))
	for _, p := range problems {
		fmt.Println(p)
	}
	// Output:
	// slipway.yaml:2:3: services.hello.pipeline: it needs a pipeline: the name of one, or its steps
	// slipway.yaml:3:5: services.hello.pipline: unknown key "pipline" (did you mean pipeline?)
}

func data(t testing.TB, name string) []byte {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

func TestAFileFullOfMistakesIsReportedWhole(t *testing.T) {
	for _, name := range []string{"mistakes", "jobs_mistakes", "slack_mistakes"} {
		c, problems := configfile.Parse(name+".yaml", data(t, name+".yaml"))
		if c.Services != nil || c.Namespaces != nil {
			t.Error("a bad file gave a configuration")
		}
		got, golden := problems.Err().Error()+"\n", filepath.Join("testdata", name+".golden")
		if *update {
			if err := os.WriteFile(golden, []byte(got), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		if d := cmp.Diff(string(data(t, name+".golden")), got); d != "" {
			t.Error(d)
		}
	}
}

func TestEveryKeyArrives(t *testing.T) {
	c, problems := configfile.Parse("good.yaml", data(t, "good.yaml"))
	if err := problems.Err(); err != nil {
		t.Fatal(err)
	}
	zero, one, eu := 0, "1", "eu"
	want := pipeline.Config{
		Defaults: pipeline.Defaults{Service: "hello", Environment: "staging"},
		Services: map[string]pipeline.Service{
			"hello": {
				Source: pipeline.Source{Path: "./hello"}, Pipeline: "deploy", Environments: []string{"staging", "production"}, Aliases: []string{"hi"},
				Parameters: map[string]pipeline.Parameter{
					"COUNT": {Type: "int", Default: &one, Help: "how many"}, "WHERE": {Type: "enum", Values: []string{"eu", "us"}, Default: &eu},
					"NOTE": {Type: "string", Pattern: "[a-z ]*"}, "DRY": {Type: "bool", Required: true},
				},
			},
			"checkout": {
				Source: pipeline.Source{Git: &pipeline.Git{URL: "https://git.example/checkout.git", Ref: "1.10"}},
				Inline: &pipeline.Pipeline{Lane: "global", Mirror: pipeline.Mirror{Pin: true}, Steps: []pipeline.Step{{Name: "go", Argv: []string{"./go", "{version}"}}}},
			},
		},
		Environments: map[string]pipeline.Environment{
			"staging":    {Variables: map[string]string{"REGION": "eu"}},
			"production": {Protected: true, Allow: pipeline.Allow{Users: []string{"U012AB3CD"}, Channels: []string{"C012AB3CD"}}},
		},
		Pipelines: map[string]pipeline.Pipeline{"deploy": {
			Timeout: 30 * time.Minute, QueueTimeout: 24 * time.Hour, Lane: "{service}/{environment}", Pool: "gpu", Priority: &zero, Mirror: pipeline.Mirror{Reaction: "eyes", Pin: true},
			Steps: []pipeline.Step{
				{
					Name: "build", Shell: "make -C {service} COUNT={COUNT} {version}", Dir: "src", Env: map[string]string{"V": "{version}", "N": "1.10"}, EnvFrom: []string{"GOCACHE"},
					Secrets: map[string]pipeline.Secret{"KEY": {Env: "DEPLOY_KEY"}, "CERT": {File: "/run/cert"}}, Timeout: 5 * time.Minute, Grace: 10 * time.Second,
					Retry:  pipeline.Retry{Attempts: 3, Delay: time.Second, Backoff: 1.5, MaxDelay: 30 * time.Second},
					Resume: "probe", Probe: "test -e done", Artefacts: []string{"dist/*"}, OutputLimit: 16 << 20,
				},
				{Name: "ask", Shell: "./ship {WHERE}", Resume: "ask", AskTimeout: time.Hour},
			},
		}},
		Lanes: map[string]pipeline.Lane{"global": {Concurrency: 1, RateLimit: 10, RatePeriod: time.Hour, Priority: 5}, "*/production": {Concurrency: 2}},
		Pools: map[string]pipeline.Pool{"default": {}, "gpu": {Help: "the machines with cards"}},
	}
	if d := cmp.Diff(want, c); d != "" {
		t.Error(d)
	}
}

func TestWholeFilesThatAreWrong(t *testing.T) {
	for in, want := range map[string]string{
		"":                            "f:1:1: the file is empty; it needs services and environments, or namespaces",
		"# nothing\n":                 "f:1:1: the file is empty; it needs services and environments, or namespaces",
		"- a":                         "f:1:1: must be a mapping with keys such as defaults, services, environments, not a list\n",
		"a: [":                        "this is not YAML",
		"a: 1\n---\nb: 1\n":           "more than one YAML document",
		"services: {}":                `the key "environments" is missing`,
		"services: {}\nenvironments:": "nothing to deploy",
		"namespaces:":                 "nothing to deploy: at least one service or namespace",
		"namespaces: {n: {jobs: {j: {run: x}}}}\nservices: {s: {pipeline: p}}":           "the configuration has no environments",
		"services: {}\nservices: {}\n":                                                   "already stands in line 1",
		strings.Repeat("x", 2<<20):                                                       "larger than",
		"environments: {}\nservices: {a: {parameters: {P: {type: string, default: ~}}}}": "has no value",
	} {
		_, problems := configfile.Parse("f", []byte(in))
		if !strings.Contains(problems.String()+"\n", want) {
			t.Errorf("%.40q: got %s, want %s", in, problems, want)
		}
	}
}

func TestAliasesAreFollowedAndCannotExplode(t *testing.T) {
	c, problems := configfile.Parse("f", []byte("services: {a: &a {pipeline: {steps: [{name: x, run: ls}]}}, b: *a}\nenvironments: {e: }\n"))
	if len(problems) > 0 || c.Services["b"].Inline == nil {
		t.Fatal(problems)
	}
	bomb := "services: {s: {environments: &l [" + strings.TrimSuffix(strings.Repeat("x,", 20000), ",") + "]}"
	for i := range 50 {
		bomb += fmt.Sprintf(", s%d: {environments: *l}", i)
	}
	start := time.Now()
	if _, problems := configfile.Parse("f", []byte(bomb+"}\n")); !strings.Contains(problems.String(), "repeats itself") {
		t.Errorf("%.300s", problems.String())
	}
	if took := time.Since(start); took > 10*time.Second {
		t.Errorf("took %s", took)
	}
}

func TestLoadFindsSourcesBesideTheFile(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "slipway.yaml")
	if err := os.WriteFile(path, data(t, "good.yaml"), 0o600); err != nil {
		t.Fatal(err)
	}
	f, problems := configfile.Load(path)
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	if got := f.Config.Services["hello"].Source.Path; got != filepath.Join(dir, "hello") {
		t.Error(got)
	}
	if again, problems := configfile.Parse(f.Name, f.Raw); len(problems) > 0 || !reflect.DeepEqual(again, f.Config) || f.Digest != configfile.Digest(f.Raw) {
		t.Error("the raw file under its path does not parse to the same configuration")
	}
	if _, problems := configfile.Load(filepath.Join(dir, "none.yaml")); !strings.HasSuffix(problems.String(), "none.yaml: cannot be read: no such file or directory") {
		t.Error(problems)
	}
}

func TestWatchTellsOfEveryChangeOnce(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "slipway.yaml")
	write := func(text string) {
		t.Helper()
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	good := string(data(t, "good.yaml"))
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		var told []string
		write(good)
		done := make(chan error, 1)
		go func() {
			done <- configfile.Watch(ctx, path, func(f *configfile.File, problems configfile.Problems) {
				switch {
				case f != nil:
					told = append(told, "good "+f.Digest[:4])
				case strings.Contains(problems.String(), "cannot be read"):
					told = append(told, "gone")
				default:
					told = append(told, "bad")
				}
			})
		}()
		pass := func() { time.Sleep(3*configfile.WatchInterval + time.Millisecond); synctest.Wait() }
		pass()
		pass()
		write("nonsense: [")
		pass()
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
		pass()
		write(good + "# changed\n")
		pass()
		want := []string{"good " + configfile.Digest([]byte(good))[:4], "bad", "gone", "good " + configfile.Digest([]byte(good + "# changed\n"))[:4]}
		if d := cmp.Diff(want, told); d != "" {
			t.Error(d)
		}
		cancel()
		if err := <-done; !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
	})
}

func TestTheSchemaKnowsEveryKeyAndAcceptsTheExample(t *testing.T) {
	var schema map[string]any
	if err := json.Unmarshal(configfile.Schema(), &schema); err != nil {
		t.Fatal(err)
	}
	described(t, "", schema)
	check := func(name string) []string {
		var value any
		if err := yaml.Unmarshal(data(t, name), &value); err != nil {
			return []string{err.Error()}
		}
		raw, err := json.Marshal(value)
		if err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(raw, &value); err != nil {
			t.Fatal(err)
		}
		return violations("", schema, value)
	}
	for _, name := range []string{"good.yaml", "jobs.yaml"} {
		if bad := check(name); len(bad) > 0 {
			t.Error(strings.Join(bad, "\n"))
		}
	}
	if bad := violations("", schema, map[string]any{"services": map[string]any{"a": map[string]any{"pipline": 1.0}}, "environments": map[string]any{}}); len(bad) != 1 {
		t.Error(bad)
	}
}

// described walks a schema and wants a description on every property.
func described(t *testing.T, at string, schema map[string]any) {
	t.Helper()
	if properties, ok := schema["properties"].(map[string]any); ok {
		for name, p := range properties {
			property := p.(map[string]any)
			if text, _ := property["description"].(string); len(text) < 10 {
				t.Errorf("%s.%s has no description", at, name)
			}
			described(t, at+"."+name, property)
		}
	}
	for _, k := range []string{"items", "additionalProperties"} {
		if inner, ok := schema[k].(map[string]any); ok {
			described(t, at+".*", inner)
		}
	}
	if either, ok := schema["anyOf"].([]any); ok {
		for _, s := range either {
			described(t, at, s.(map[string]any))
		}
	}
}

// violations checks a value against the part of JSON Schema that ours uses.
func violations(at string, schema map[string]any, value any) []string {
	if either, ok := schema["anyOf"].([]any); ok {
		var last []string
		for _, s := range either {
			if last = violations(at, s.(map[string]any), value); len(last) == 0 {
				return nil
			}
		}
		return last
	}
	var bad []string
	if want, ok := schema["type"]; ok && !typed(want, value) {
		return []string{fmt.Sprintf("%s: %v is not %v", at, value, want)}
	}
	if enum, ok := schema["enum"].([]any); ok && !strings.Contains(fmt.Sprint(enum), fmt.Sprint(value)) {
		bad = append(bad, fmt.Sprintf("%s: %v is not in %v", at, value, enum))
	}
	if text, ok := value.(string); ok && schema["pattern"] != nil && !regexp.MustCompile(schema["pattern"].(string)).MatchString(text) {
		bad = append(bad, fmt.Sprintf("%s: %q does not match", at, text))
	}
	if items, ok := value.([]any); ok {
		for i, item := range items {
			bad = append(bad, violations(fmt.Sprint(at, ".", i), schema["items"].(map[string]any), item)...)
		}
	}
	object, _ := value.(map[string]any)
	properties, _ := schema["properties"].(map[string]any)
	for name, v := range object {
		switch more := schema["additionalProperties"].(type) {
		case map[string]any:
			bad = append(bad, violations(at+"."+name, more, v)...)
		default:
			if p, ok := properties[name].(map[string]any); ok {
				bad = append(bad, violations(at+"."+name, p, v)...)
			} else {
				bad = append(bad, at+"."+name+" is unknown")
			}
		}
	}
	required, _ := schema["required"].([]any)
	for _, name := range required {
		if _, ok := object[name.(string)]; !ok {
			bad = append(bad, fmt.Sprint(at, ".", name, " is missing"))
		}
	}
	return bad
}

func typed(want, value any) bool {
	if list, ok := want.([]any); ok {
		for _, w := range list {
			if typed(w, value) {
				return true
			}
		}
		return false
	}
	switch v := value.(type) {
	case nil:
		return want == "null"
	case string:
		return want == "string"
	case bool:
		return want == "boolean"
	case float64:
		return want == "number" || want == "integer" && v == float64(int64(v))
	case []any:
		return want == "array"
	case map[string]any:
		return want == "object"
	}
	return false
}

func FuzzParse(f *testing.F) {
	f.Add(data(f, "good.yaml"))
	f.Add(data(f, "mistakes.yaml"))
	f.Add(data(f, "jobs.yaml"))
	f.Add(data(f, "jobs_mistakes.yaml"))
	f.Add([]byte("services: &a {x: *a}"))
	f.Fuzz(func(t *testing.T, raw []byte) {
		c, problems := configfile.Parse("f", raw)
		if len(problems) == 0 && len(c.Check()) > 0 {
			t.Error("accepted with faults")
		}
		for _, p := range problems {
			if p.Message == "" || p.File == "" {
				t.Errorf("empty problem %+v", p)
			}
		}
	})
}

func TestAWrittenZeroIsNoDefault(t *testing.T) {
	text := `
services: {a: {pipeline: p}}
environments: {staging: {}}
lanes: {a/staging: {concurrency: 0}}
pipelines: {p: {steps: [{name: s, run: "true", retry: {attempts: 0}}]}}
`
	_, problems := configfile.Parse("zero.yaml", []byte(text))
	if len(problems) != 2 || !strings.Contains(problems.String(), "zero.yaml:4:34") || strings.Count(problems.String(), "at least 1") != 2 {
		t.Errorf("problems:\n%s", problems)
	}
}
