package webhook_test

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/slipway-hq/slipway/domain/pipeline"
	"github.com/slipway-hq/slipway/domain/webhook"
)

func yes() *bool { v := true; return &v }

func extract(t *testing.T, event, payload string, wanted ...string) webhook.Facts {
	t.Helper()
	f, err := webhook.Extract(pipeline.WebhookGitHub, event, []byte(payload), wanted)
	if err != nil {
		t.Fatalf("%s: %v", payload, err)
	}
	return f
}

const repository = `"repository":{"full_name":"acme/site","html_url":"https://github.example/acme/site"}`

func TestFactsOfGitHubsEvents(t *testing.T) {
	for name, c := range map[string]struct {
		event, payload string
		want           map[string]string
		url            string
	}{
		"a merged pull request": {"pull_request", `{"action":"closed","pull_request":{"merged":true,"base":{"ref":"main"},"html_url":"https://github.example/acme/site/pull/7"},` + repository + `}`,
			map[string]string{"event": "pull_request", "action": "closed", "merged": "true", "branch": "main", "repository": "acme/site"}, "https://github.example/acme/site/pull/7"},
		"a push": {"push", `{"ref":"refs/heads/feature/x","compare":"https://github.example/compare",` + repository + `}`,
			map[string]string{"event": "push", "branch": "feature/x", "repository": "acme/site"}, "https://github.example/compare"},
		"a tag": {"push", `{"ref":"refs/tags/v1","created":true,` + repository + `}`,
			map[string]string{"event": "push", "action": "created", "tag": "v1", "repository": "acme/site"}, "https://github.example/acme/site"},
		"a deleted branch": {"push", `{"ref":"refs/heads/main","deleted":true}`, map[string]string{"event": "push", "action": "deleted", "branch": "main"}, ""},
		"a release": {"release", `{"action":"published","release":{"target_commitish":"main","tag_name":"v2","html_url":"https://github.example/r"}}`,
			map[string]string{"event": "release", "action": "published", "branch": "main", "tag": "v2"}, "https://github.example/r"},
		"a workflow": {"workflow_run", `{"action":"completed","workflow_run":{"head_branch":"main","head_repository":{"full_name":"acme/site"}},` + repository + `}`,
			map[string]string{"event": "workflow_run", "action": "completed", "branch": "main", "repository": "acme/site"}, "https://github.example/acme/site"},
		"a workflow of a fork": {"workflow_run", `{"action":"completed","workflow_run":{"head_branch":"main","head_repository":{"full_name":"mallory/site"}},` + repository + `}`,
			map[string]string{"event": "workflow_run", "action": "completed", "branch": "mallory/site:main", "repository": "acme/site"}, "https://github.example/acme/site"},
		"a job of a workflow":    {"workflow_job", `{"workflow_job":{"head_branch":"main"}}`, map[string]string{"event": "workflow_job"}, ""},
		"checks":                 {"check_suite", `{"check_suite":{"head_branch":"main"}}`, map[string]string{"event": "check_suite", "branch": "main"}, ""},
		"a new branch":           {"create", `{"ref":"topic","ref_type":"branch"}`, map[string]string{"event": "create", "branch": "topic"}, ""},
		"a new tag":              {"create", `{"ref":"v3","ref_type":"tag"}`, map[string]string{"event": "create", "tag": "v3"}, ""},
		"a deployment":           {"deployment", `{"deployment":{"ref":"main"}}`, map[string]string{"event": "deployment", "branch": "main"}, ""},
		"of tomorrow":            {"novelty", `{"action":5,"repository":"odd"}`, map[string]string{"event": "novelty", "action": "5"}, ""},
		"an address of evil":     {"pull_request", `{"pull_request":{"html_url":"javascript:alert(1)"}}`, map[string]string{"event": "pull_request"}, ""},
		"an address with markup": {"pull_request", `{"pull_request":{"html_url":"https://a|<!channel>"}}`, map[string]string{"event": "pull_request"}, ""},
	} {
		f := extract(t, c.event, c.payload)
		if diff := cmp.Diff(c.want, f.Known); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
		if f.URL != c.url {
			t.Errorf("%s: URL %q, want %q", name, f.URL, c.url)
		}
	}
}

func TestPathsOfAPush(t *testing.T) {
	f := extract(t, "push", `{"ref":"refs/heads/main","commits":[
		{"id":"1","added":["b","a"],"modified":["sub/c"],"removed":[]},{"id":"2","added":[],"modified":["a"],"removed":["d"]}],
		"head_commit":{"added":["b"],"modified":[],"removed":["e"]}}`)
	if diff := cmp.Diff([]string{"a", "b", "d", "e", "sub/c"}, f.Paths); diff != "" || f.PathsCut || !f.PathsKnown {
		t.Errorf("paths: %s; cut %t, known %t", diff, f.PathsCut, f.PathsKnown)
	}
	if f := extract(t, "push", `{"ref":"refs/heads/main","commits":[]}`); !f.PathsCut {
		t.Error("a push without commits passes for one without changes")
	}
	if f := extract(t, "pull_request", `{"commits":[{"added":["a"]}]}`); f.PathsKnown || len(f.Paths) > 0 {
		t.Error("a pull request lists no files")
	}
}

func TestALongListOfPathsIsCutAndSaysSo(t *testing.T) {
	for name, path := range map[string]string{"many": "f%06d", "long": strings.Repeat("x", 400) + "%d"} {
		var b strings.Builder
		for i := range webhook.MaxPaths + 1 {
			fmt.Fprintf(&b, `,"`+path+`"`, i)
		}
		f := extract(t, "push", `{"ref":"refs/heads/main","commits":[{"id":"1","added":[`+b.String()[1:]+`]}]}`)
		if !f.PathsCut || len(f.Paths) > webhook.MaxPaths || len(strings.Join(f.Paths, "")) > webhook.MaxPathBytes {
			t.Errorf("%s: %d paths, cut %t", name, len(f.Paths), f.PathsCut)
		}
	}
	many := strings.TrimSuffix(strings.Repeat(`{"id":"1","added":[]},`, 2048), ",")
	if f := extract(t, "push", `{"ref":"refs/heads/main","commits":[`+many+`]}`); !f.PathsCut {
		t.Error("as many commits as GitHub lists at most pass for all of them")
	}
}

func TestFieldsByTheirPath(t *testing.T) {
	f := extract(t, "push", `{"a":{"b":[{"c":"x"},{"c":"007"}]},"n":1e3,"big":12345678901234567890,"yes":true,"no":null,"o":{},"uni":"\u00e9"}`,
		"a.b.0.c", "a.b.1.c", "n", "big", "yes", "no", "o", "a", "missing", "uni")
	want := map[string]string{"a.b.0.c": "x", "a.b.1.c": "007", "n": "1e3", "big": "12345678901234567890", "yes": "true", "uni": "é"}
	if diff := cmp.Diff(want, f.Fields); diff != "" {
		t.Error(diff)
	}
}

func TestAGenericPayloadSaysItsOwnFacts(t *testing.T) {
	f, err := webhook.Extract(pipeline.WebhookGeneric, "", []byte(`{"event":"built","branch":"main","paths":["a","b","a"],"url":"https://ci.example/1","merged":false,"repository":{"x":1},"n":5}`), []string{"n"})
	want := webhook.Facts{Known: map[string]string{"event": "built", "branch": "main", "merged": "false"}, Paths: []string{"a", "b"}, PathsKnown: true,
		Fields: map[string]string{"n": "5"}, URL: "https://ci.example/1"}
	if diff := cmp.Diff(want, f); diff != "" || err != nil {
		t.Error(diff, err)
	}
}

func TestHostilePayloads(t *testing.T) {
	long := strings.Repeat("x", webhook.MaxField+1)
	for name, c := range map[string]struct {
		payload string
		want    error
	}{
		"nothing":            {"", webhook.ErrMalformed},
		"a scalar":           {`"text"`, webhook.ErrMalformed},
		"a number":           {`5`, webhook.ErrMalformed},
		"an array":           {`[]`, webhook.ErrMalformed},
		"half an object":     {`{"a":`, webhook.ErrMalformed},
		"two objects":        {`{}{}`, webhook.ErrMalformed},
		"words behind":       {`{} x`, webhook.ErrMalformed},
		"a scalar behind":    {`{} 5`, webhook.ErrMalformed},
		"a closing brace":    {`}`, webhook.ErrMalformed},
		"no quotes":          {`{a:1}`, webhook.ErrMalformed},
		"a million arrays":   {`{"a":` + strings.Repeat("[", 1_000_000), webhook.ErrTooDeep},
		"a million objects":  {strings.Repeat(`{"a":`, 1_000_000), webhook.ErrTooDeep},
		"a field twice":      {`{"ref":"refs/heads/main","ref":"refs/heads/other"}`, webhook.ErrTwice},
		"by its parent":      {`{"a":{"b":1},"a":{"b":2}}`, webhook.ErrTwice},
		"behind a long one":  {`{"ref":"` + long + `","ref":"refs/heads/main"}`, webhook.ErrTwice},
		"behind a null":      {`{"ref":null,"ref":"refs/heads/main"}`, webhook.ErrTwice},
		"with a dotted name": {`{"a":{"b":1},"a.b":2}`, webhook.ErrTwice},
		"of no concern":      {`{"x":1,"x":2}`, nil},
		"64 levels":          {strings.Repeat(`{"a":`, 64) + "1" + strings.Repeat("}", 64), nil},
		"65 levels":          {strings.Repeat(`{"a":`, 65) + "1" + strings.Repeat("}", 65), webhook.ErrTooDeep},
		"a long field":       {`{"a":{"b":"` + long + `"}}`, nil},
		"a long branch":      {`{"ref":"refs/heads/` + long + `"}`, nil},
	} {
		f, err := webhook.Extract(pipeline.WebhookGitHub, "push", []byte(c.payload), []string{"a.b"})
		if !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
		if len(f.Fields) > 0 || f.Known["branch"] != "" {
			t.Errorf("%s: %+v was taken", name, f)
		}
	}
}

func TestFieldsTogetherAreBounded(t *testing.T) {
	var b bytes.Buffer
	var wanted []string
	for i := range 50 {
		fmt.Fprintf(&b, `,"f%d":"%s"`, i, strings.Repeat("y", webhook.MaxField))
		wanted = append(wanted, fmt.Sprintf("f%d", i))
	}
	total := 0
	for _, v := range extract(t, "push", "{"+b.String()[1:]+"}", wanted...).Fields {
		total += len(v)
	}
	if total == 0 || total > webhook.MaxFieldBytes {
		t.Errorf("%d bytes of fields", total)
	}
}

func TestWhatARuleFits(t *testing.T) {
	merged := webhook.Facts{
		Known:  map[string]string{"event": "pull_request", "action": "closed", "merged": "true", "branch": "main", "repository": "acme/site"},
		Fields: map[string]string{"pull_request.user.login": "kim"},
	}
	push := webhook.Facts{Known: map[string]string{"event": "push", "branch": "main"}, Paths: []string{"docs/a.md", "src/b.go"}, PathsKnown: true}
	cut := webhook.Facts{Known: map[string]string{"event": "push"}, Paths: []string{"a"}, PathsKnown: true, PathsCut: true}
	deleted := webhook.Facts{Known: map[string]string{"event": "push", "action": "deleted", "branch": "main"}}
	type rule = pipeline.WebhookRule
	for name, c := range map[string]struct {
		rule rule
		f    webhook.Facts
		ok   bool
		why  string
	}{
		"everything":              {rule{}, merged, true, ""},
		"BennettBot's one":        {rule{Events: []string{"pull_request"}, Actions: []string{"closed"}, Merged: yes()}, merged, true, ""},
		"another event":           {rule{Events: []string{"push"}}, merged, false, `event is "pull_request", not push`},
		"another action":          {rule{Actions: []string{"opened"}}, merged, false, `action is "closed", not opened`},
		"merged or not":           {rule{Merged: new(bool)}, merged, false, `merged is "true", not false`},
		"merged of a push":        {rule{Merged: yes()}, push, false, "the delivery says no merged, and it must be true"},
		"the branch":              {rule{Branches: []string{"release/*", "main"}}, merged, true, ""},
		"another branch":          {rule{Branches: []string{"release/*"}}, merged, false, `branch is "main", not release/*`},
		"a branch, of none":       {rule{Branches: []string{"*"}}, cut, false, "the delivery says no branch"},
		"the repository":          {rule{Repositories: []string{"acme/*"}}, merged, true, ""},
		"another repository":      {rule{Repositories: []string{"other/*"}}, merged, false, `repository is "acme/site", not other/*`},
		"a field":                 {rule{Where: map[string]string{"pull_request.user.login": "kim"}}, merged, true, ""},
		"another field":           {rule{Where: map[string]string{"pull_request.user.login": "lee"}}, merged, false, "the field pull_request.user.login is another"},
		"a field that is missing": {rule{Where: map[string]string{"label": "x"}}, merged, false, "the delivery says no label"},
		"a missing one as empty":  {rule{Where: map[string]string{"label": ""}}, merged, false, "the delivery says no label"},
		"a fact":                  {rule{Where: map[string]string{"@branch": "main"}}, merged, true, ""},
		"the path":                {rule{Paths: []string{"src/*"}}, push, true, ""},
		"another path":            {rule{Paths: []string{"test/*"}}, push, false, "no changed file is one of test/*"},
		"a list that is cut":      {rule{Paths: []string{"test/*"}}, cut, true, "is not whole"},
		"no list of paths":        {rule{Paths: []string{"src/*"}}, merged, false, "does not say which files"},
		"a deletion":              {rule{Events: []string{"push"}, Branches: []string{"main"}}, deleted, false, "deletes its branch"},
		"a deletion as asked for": {rule{Actions: []string{"deleted"}}, deleted, true, ""},
	} {
		ok, why := webhook.Match(c.rule, c.f)
		if ok != c.ok || !strings.Contains(why, c.why) || (c.why == "" && why != "") {
			t.Errorf("%s: %t %q, want %t %q", name, ok, why, c.ok, c.why)
		}
	}
}

func TestParameters(t *testing.T) {
	f := webhook.Facts{Known: map[string]string{"branch": "main"}, Fields: map[string]string{"after": "abc", "empty": ""}}
	got, err := webhook.Params(pipeline.WebhookRule{Params: map[string]string{"commit": "after", "env": "=production", "branch": "@branch", "eq": "==", "nothing": "empty"}}, f)
	want := map[string]string{"commit": "abc", "env": "production", "branch": "main", "eq": "=", "nothing": ""}
	if diff := cmp.Diff(want, got); diff != "" || err != nil {
		t.Error(diff, err)
	}
	_, err = webhook.Params(pipeline.WebhookRule{Params: map[string]string{"x": "not.there"}}, f)
	if err == nil || !strings.Contains(err.Error(), "not.there") {
		t.Errorf("a missing field: %v", err)
	}
}

func TestEvaluateNamesEveryRuleThatDoesNotFit(t *testing.T) {
	w := pipeline.Webhook{Rules: []pipeline.WebhookRule{
		{Job: "a", Events: []string{"push"}}, {Job: "b", Events: []string{"release"}}, {Job: "c", Params: map[string]string{"x": "y"}},
	}}
	starts, why := webhook.Evaluate(w, webhook.Facts{Known: map[string]string{"event": "push"}})
	if len(starts) != 1 || starts[0].Index != 0 || starts[0].Rule.Job != "a" {
		t.Errorf("starts %+v", starts)
	}
	if len(why) != 2 || !strings.HasPrefix(why[0], "rule 2 (b): event") || !strings.HasPrefix(why[1], "rule 3 (c): the payload") {
		t.Errorf("why %q", why)
	}
	if _, why := webhook.Evaluate(pipeline.Webhook{}, webhook.Facts{}); len(why) != 1 {
		t.Errorf("a webhook without rules: %q", why)
	}
}

func TestAddresses(t *testing.T) {
	c := pipeline.Config{Namespaces: map[string]pipeline.Namespace{
		"web": {Webhooks: map[string]pipeline.Webhook{"merge": {Project: "site"}, "plain": {}, "ci": {Kind: "generic", Rules: []pipeline.WebhookRule{
			{Params: map[string]string{"a": "f.x", "b": "=t", "c": "@branch"}, Where: map[string]string{"g": "1", "f.x": "2", "@tag": "v"}}}}}},
	}}
	for name, want := range map[string]string{"site": "webhook|github|site|1", "plain": "webhook|github|plain|1", "merge": "", "ci": "", "": ""} {
		a, ok := webhook.GitHub(c, name)
		if ok != (want != "") || (ok && a.Identity("1") != want) {
			t.Errorf("project %q: %t %q", name, ok, a.Identity("1"))
		}
	}
	a, ok := webhook.Generic(c, "web", "ci")
	if !ok || a.Identity("x") != "webhook|generic|web/ci|x" || webhook.RunIdentity(a.Identity("x"), 2) != "webhook|generic|web/ci|x|2" {
		t.Errorf("generic: %t %q", ok, a.Identity("x"))
	}
	for _, place := range [][2]string{{"web", "plain"}, {"web", "none"}, {"none", "ci"}} {
		if _, ok := webhook.Generic(c, place[0], place[1]); ok {
			t.Errorf("%v is taken for a generic webhook", place)
		}
	}
	if diff := cmp.Diff([]string{"f.x", "g"}, webhook.Wanted(a.Webhook)); diff != "" {
		t.Error(diff)
	}
}

// globModel is the definition, in exponential time.
func globModel(p, s string) bool {
	switch {
	case p == "":
		return s == ""
	case p[0] == '*':
		return globModel(p[1:], s) || (s != "" && globModel(p, s[1:]))
	default:
		return s != "" && s[0] == p[0] && globModel(p[1:], s[1:])
	}
}

func TestGlobIsItsDefinition(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := rapid.StringMatching(`[ab*/]{0,8}`).Draw(t, "pattern")
		s := rapid.StringMatching(`[ab/]{0,8}`).Draw(t, "text")
		if got, want := webhook.Glob(p, s), globModel(p, s); got != want {
			t.Fatalf("Glob(%q, %q) = %t", p, s, got)
		}
	})
}

func TestAnyBytesAreReadOrRefused(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text := strings.Join(rapid.SliceOf(rapid.SampledFrom([]string{"{", "}", "[", "]", `"ref"`, `"commits"`, `"added"`, `"x"`, ":", ",", "1", "null", " ", "true"})).Draw(t, "tokens"), "")
		f, err := webhook.Extract(pipeline.WebhookGitHub, "push", []byte(text), []string{"x"})
		if err == nil && (f.Known == nil || f.Fields == nil) {
			t.Fatal("neither facts nor an error")
		}
		if err != nil && !errors.Is(err, webhook.ErrMalformed) && !errors.Is(err, webhook.ErrTwice) && !errors.Is(err, webhook.ErrTooDeep) {
			t.Fatal(err)
		}
	})
}

func FuzzExtract(f *testing.F) {
	f.Add([]byte(`{"ref":"refs/heads/main","commits":[{"added":["a"]}]}`))
	f.Fuzz(func(t *testing.T, payload []byte) {
		facts, err := webhook.Extract(pipeline.WebhookGitHub, "push", payload, []string{"ref", "a.b"})
		if err == nil {
			webhook.Match(pipeline.WebhookRule{Paths: []string{"*"}}, facts)
		}
	})
}
