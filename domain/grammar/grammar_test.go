package grammar_test

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/slipway-hq/slipway/domain/grammar"
)

func ExampleParse() {
	s, err := grammar.Parse("@", "<@U012ABC> deploy checkout@v2 to staging DRY=\"yes please\".", grammar.WithBot("U012ABC"))
	fmt.Println(s.Verb, s.Service, s.Ref, s.Environment, s.Parameters["DRY"], err)
	// Output: deploy checkout v2 staging yes please <nil>
}

func ExampleSuggest() {
	fmt.Println(grammar.Suggest("chekout", []string{"billing", "checkout", "checkout-api"}, 3))
	// Output: [checkout]
}

func ExampleEscape() {
	fmt.Println(grammar.Escape("I do not know " + grammar.Quote("<!channel>`") + "."))
	// Output: I do not know `&lt;!channel&gt;ˋ`.
}

func TestWhatPeopleType(t *testing.T) {
	type S = grammar.Sentence
	deploy := func(service, ref, env string) S {
		return S{Verb: grammar.VerbDeploy, Service: service, Ref: ref, Environment: env}
	}
	for _, story := range []struct {
		command, text string
		want          S
	}{
		{"/deploy", "", deploy("", "", "")},
		{"/deploy", "  \u00a0 ", deploy("", "", "")},
		{"/deploy", "hello", deploy("hello", "", "")},
		{"/deploy", "Hello@Feature/X to Staging", deploy("Hello", "Feature/X", "Staging")},
		{"/deploy", "hello@v1.2 TO production", deploy("hello", "v1.2", "production")},
		{"/deploy", "hello on staging", deploy("hello", "", "staging")},
		{"/deploy", "hello In staging.", deploy("hello", "", "staging")},
		{"/deploy", "to staging", deploy("", "", "staging")},
		{"/deploy", "@v2", deploy("", "v2", "")},
		{"/deploy", "hello @v2 to staging...", deploy("hello", "v2", "staging")},
		{"/deploy", "<mailto:hello@v1.com|hello@v1.com> to staging", deploy("hello", "v1.com", "staging")},
		{"/deploy", "<http://hello.io|hello.io>", deploy("hello.io", "", "")},
		{"/deploy", "`hello to staging`", deploy("hello", "", "staging")},
		{"/deploy", "\u201chello\u201d to staging\u200b", deploy("hello", "", "staging")},
		{"/deploy", `hello "to"`, S{}},
		{"/deploy", `"to"@x`, deploy("to", "x", "")},
		{"/deploy", "help", S{Verb: grammar.VerbHelp, Topic: "deploy"}},
		{"/deploy", `hello A=1 to staging msg="it's  fine" url=<https://x.example/a?b=1&amp;c=2> E=`, S{
			Verb: grammar.VerbDeploy, Service: "hello", Environment: "staging",
			Parameters: map[string]string{"A": "1", "msg": "it's  fine", "url": "https://x.example/a?b=1&c=2", "E": ""},
		}},
		{"/deploy", `hello p=';rm -rf /' q="\"$(id)\" \\ \n"`, S{
			Verb: grammar.VerbDeploy, Service: "hello",
			Parameters: map[string]string{"p": ";rm -rf /", "q": `"$(id)" \ \n`},
		}},
		{"/check_status", "", S{Verb: grammar.VerbStatus}},
		{"/check_status", "D-4F7K2", S{Verb: grammar.VerbStatus, Service: "D-4F7K2", Run: "d-4f7k2"}},
		{"/check_status", "hello", S{Verb: grammar.VerbStatus, Service: "hello", Run: "hello"}},
		{"/check_status", "check-out", S{Verb: grammar.VerbStatus, Service: "check-out"}},
		{"/slipway", "", S{Verb: grammar.VerbHelp}},
		{"/slipway", "HELP deploy", S{Verb: grammar.VerbHelp, Topic: "deploy"}},
		{"/slipway", "Deploy hello to staging", deploy("hello", "", "staging")},
		{"/slipway", "/deploy hello", deploy("hello", "", "")},
		{"/slipway", "cancel 4F7K2", S{Verb: grammar.VerbCancel, Run: "4f7k2"}},
		{"/slipway", "retry `d-4f7k2`", S{Verb: grammar.VerbRetry, Run: "d-4f7k2"}},
		{"/slipway", "logs d-4f7k2 build", S{Verb: grammar.VerbLogs, Run: "d-4f7k2", Step: "build"}},
		{"/slipway", "lanes hello/staging", S{Verb: grammar.VerbLanes, Lane: "hello/staging"}},
		{"/slipway", "done d-4f7k2", S{Verb: grammar.VerbAnswer, Answer: grammar.AnswerDone, Run: "d-4f7k2"}},
		{"@", "<@U1>", S{Verb: grammar.VerbHelp}},
		{"@", "<@U1> cancel", S{Verb: grammar.VerbCancel}},
		{"@", "Reminder: <@U1|slipway> deploy hello.", deploy("hello", "", "")},
		{"@", "thanks <@U2>!\n<@U1>: deploy hello to staging", deploy("hello", "", "staging")},
		{"@", "status", S{Verb: grammar.VerbStatus}},
		{"@", "<@U1> logs j-abc", S{Verb: grammar.VerbLogs, Run: "j-abc"}},
	} {
		t.Run(story.command+" "+story.text, func(t *testing.T) {
			got, err := grammar.Parse(story.command, story.text, grammar.WithBot("U1"))
			if story.want.Verb == "" {
				if err == nil {
					t.Fatalf("understood as %+v", got)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(story.want, got); d != "" {
				t.Error(d)
			}
		})
	}
}

func TestWhatIsRefusedAndHow(t *testing.T) {
	for _, story := range []struct{ command, text, code, says string }{
		{"/slipway", "'deploy' hello's", grammar.CodeQuotes, "never closed"},
		{"/slipway", "deploy! hello", grammar.CodeVerb, "I do not know `deploy!`. Did you mean `deploy`? Say `/slipway help` for everything I understand."},
		{"@", "<@U1> (xyzzy)", grammar.CodeVerb, "I do not know `(xyzzy)`. Say `@slipway help`"},
		{"/slipway", `"deploy hello" x`, grammar.CodeVerb, "I do not know"},
		{"/deploy", "hello staging", grammar.CodeUsage, "Did you mean `/deploy hello to staging`?"},
		{"/deploy", "hello to", grammar.CodeUsage, "`to` needs the name of an environment"},
		{"/deploy", "hello to a=1", grammar.CodeUsage, "`to` needs the name of an environment"},
		{"/deploy", "hello to a on b", grammar.CodeUsage, "One environment at a time"},
		{"/deploy", "hello@a @b", grammar.CodeRef, "One ref at a time"},
		{"/deploy", "hello@", grammar.CodeRef, "nothing after the @"},
		{"/deploy", "hello@--upload-pack=x", grammar.CodeParam, "not the name of a parameter"},
		{"/deploy", "hello@-x", grammar.CodeRef, "starts with a dash"},
		{"/deploy", `hello@"a b"`, grammar.CodeRef, "white space"},
		{"/deploy", "hello@a\u202eb", grammar.CodeRef, "invisible"},
		{"/deploy", "hello@" + strings.Repeat("x", 201), grammar.CodeRef, "200"},
		{"/deploy", "hello a=1 a=2", grammar.CodeParam, "`a` is given twice"},
		{"/deploy", "hello 1a=1", grammar.CodeParam, "not the name"},
		{"/deploy", `hello a="x`, grammar.CodeQuotes, "never closed"},
		{"/deploy", "hello\x00", grammar.CodeChars, "control character"},
		{"/deploy", "hello \xff", grammar.CodeChars, "control character"},
		{"/deploy", "hello\nto production", grammar.CodeLines, "one line at a time"},
		{"@", "<@U1> deploy hello\nand then this", grammar.CodeLines, "alone on one line"},
		{"/deploy", strings.Repeat("a", 4001), grammar.CodeTooLong, "4001 characters"},
		{"/deploy", strings.Repeat("a", 300), grammar.CodeTooLong, "100 characters"},
		{"/slipway", "cancel <!channel>", grammar.CodeRunID, "`@channel` is not the id of a run"},
		{"/slipway", "cancel d-1 d-2", grammar.CodeUsage, "I do not understand `d-2`"},
		{"/slipway", "cancel x-1", grammar.CodeRunID, "ids look like"},
	} {
		t.Run(story.command+" "+story.text[:min(40, len(story.text))], func(t *testing.T) {
			s, err := grammar.Parse(story.command, story.text)
			var e *grammar.Error
			if !errors.As(err, &e) {
				t.Fatalf("understood as %+v, error %v", s, err)
			}
			if e.Code != story.code || !strings.Contains(e.Sentence, story.says) {
				t.Errorf("%s: %s", e.Code, e.Sentence)
			}
		})
	}
}

func TestEscapeShowsHostileTextLiterally(t *testing.T) {
	for in, want := range map[string]string{
		"<!channel> & <@U1>": "&lt;!channel&gt; &amp; &lt;@U1&gt;",
		"@here @Everyone":    "@\u2060here @\u2060Everyone",
		"a\x00b\x1b[31m":     "ab[31m",
		"bad \xff":           "bad \ufffd",
		"txt\u202egpj":       "txtgpj",
		"🚀 two\nlines":       "🚀 two\nlines",
	} {
		if got := grammar.Escape(in); got != want {
			t.Errorf("Escape(%q) = %q, want %q", in, got, want)
		}
	}
	if got := grammar.Code("a`b*c*"); got != "`aˋb*c*`" {
		t.Errorf("Code = %q", got)
	}
	if got := grammar.Fence("x\n```\n<!here>\n"); got != "```\nx\nˋˋˋ\n&lt;!here&gt;\n```" {
		t.Errorf("Fence = %q", got)
	}
}

var activeToken = regexp.MustCompile(`<[@#!]|(?i)@(here|channel|everyone|group)`)

func TestNothingActiveLeavesEscape(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		command := rapid.SampledFrom([]string{"/deploy", "/check_status", "/slipway", "@"}).Draw(t, "command")
		text := strings.Join(rapid.SliceOf(rapid.OneOf(
			rapid.String(),
			rapid.SampledFrom([]string{" ", "to", "deploy", "cancel", "<!channel>", "<@U1|x>", "@here", "&lt;!here&gt;", "`", "=", "@", "\"", "'", "\\", "\n", "\x00", "d-1", "A=1"}),
		)).Draw(t, "pieces"), "")
		s, err := grammar.Parse(command, text)
		shown := text
		if err != nil {
			var e *grammar.Error
			if !errors.As(err, &e) || e.Code == "" {
				t.Fatalf("error without a code: %v", err)
			}
			shown = e.Sentence
		} else {
			again, err := grammar.Parse("/slipway", s.String())
			if err != nil {
				t.Fatalf("%q parses, its own text %q does not: %v", text, s.String(), err)
			}
			if d := cmp.Diff(s, again); d != "" {
				t.Fatalf("%q: %s", s.String(), d)
			}
		}
		for _, out := range []string{grammar.Escape(shown), grammar.Code(text), grammar.Fence(text), grammar.Escape(fmt.Sprint(s))} {
			if activeToken.MatchString(out) || strings.ContainsRune(out, 0) {
				t.Fatalf("active: %q", out)
			}
			if len(out) > grammar.MaxEscaped || !utf8.ValidString(out) {
				t.Fatalf("%d bytes, valid %v", len(out), utf8.ValidString(out))
			}
		}
	})
}

func FuzzParse(f *testing.F) {
	f.Add("/deploy", "hello@v1 to staging A=\"b\"")
	f.Add("@", "<@U1> cancel d-4f7k")
	f.Fuzz(func(_ *testing.T, command, text string) { _, _ = grammar.Parse(command, text) })
}

func TestSuggest(t *testing.T) {
	known := []string{"checkout", "checkout-api", "billing", "hello", "help"}
	for word, want := range map[string][]string{
		"check":    {"checkout", "checkout-api"},
		"CHEKCOUT": {"checkout"},
		"hlelo":    {"hello"},
		"hel":      {"help", "hello"},
		"zzz":      nil,
		"":         nil,
	} {
		if d := cmp.Diff(want, grammar.Suggest(word, known, 3)); d != "" {
			t.Errorf("%q: %s", word, d)
		}
	}
	if got := grammar.Suggest("a", []string{"ab", "ac", "ad", "ab"}, 2); len(got) != 2 {
		t.Errorf("bound: %v", got)
	}
	grammar.Suggest(strings.Repeat("x", 1<<20), known, 3)
}

func TestHelpNamesEveryVerb(t *testing.T) {
	all := grammar.Help("")
	if got := grammar.Escape(all); strings.HasSuffix(got, "…") {
		t.Errorf("%d bytes do not fit into one answer", len(all))
	}
	for _, v := range []grammar.Verb{
		grammar.VerbDeploy, grammar.VerbStatus, grammar.VerbCancel, grammar.VerbRetry, grammar.VerbLogs, grammar.VerbLanes, grammar.VerbHelp,
		grammar.VerbJobs, grammar.VerbHistory, grammar.VerbHold, grammar.VerbRelease, grammar.VerbSchedules, grammar.VerbSchedule, grammar.VerbAway,
	} {
		if !slices.Contains(grammar.Words(), string(v)) || !grammar.IsTopic(string(v)) {
			t.Errorf("%s opens no sentence", v)
		}
		if !strings.Contains(all, "`"+grammar.Usage(v)) {
			t.Errorf("%s is missing", v)
		}
	}
	if got := grammar.Help("queue"); !strings.Contains(got, "lanes [NAME]") {
		t.Error(got)
	}
	if got := grammar.Help("repeat"); !strings.Contains(got, "repeat ID") {
		t.Error(got)
	}
}
