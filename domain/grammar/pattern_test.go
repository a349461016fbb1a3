package grammar_test

import (
	"errors"
	"fmt"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/slipway-hq/slipway/domain/grammar"
)

func ExamplePattern_Match() {
	p, _ := grammar.CompilePattern("say hello [name]")
	values, ok := p.Match("Say hello Ann of the north")
	fmt.Println(values["name"], ok)
	// Output: Ann of the north true
}

func ExampleOverlap() {
	a, _ := grammar.CompilePattern("deploy [branch]")
	b, _ := grammar.CompilePattern("deploy now")
	fmt.Println(grammar.Overlap(a, b))
	fmt.Println(grammar.Covers(a, b), grammar.Covers(b, a))
	// Output:
	// deploy now true
	// true false
}

func compile(t interface {
	Helper()
	Fatalf(string, ...any)
}, match string) grammar.Pattern {
	t.Helper()
	p, err := grammar.CompilePattern(match)
	if err != nil {
		t.Fatalf("CompilePattern(%q) = %v", match, err)
	}
	return p
}

// B07: literals are literal, the last parameter takes the rest, both ends are
// anchored.
func TestPatternsTakeWords(t *testing.T) {
	type values = map[string]string
	for _, c := range []struct {
		match, text string
		want        values
	}{
		{"deploy", "deploy", values{}},
		{"deploy", " DEPLOY ", values{}},
		{"deploy", "deploy now", nil},
		{"deploy", "redeploy", nil},
		{"say [x]", "say", nil},
		{"say [x]", "Say Hello  There", values{"x": "Hello There"}},
		{"say [x] to [y]", "say hi to Ann Lee", values{"x": "hi", "y": "Ann Lee"}},
		{"say [x] to [y]", "say hi there to Ann", nil},
		{"say [x] to [y]", "say to to to", values{"x": "to", "y": "to"}},
		{"show [what] please", "show all of it please", values{"what": "all of it"}},
		{"show [what] please", "show please", nil},
		{"show [what] please", "show please please", values{"what": "please"}},
		{"run --n=[x] owner/[repo]", "run --N=5 owner/a b", values{"x": "5", "repo": "a b"}},
		{"run --n=[x] owner/[repo]", "run --n= owner/a", nil},
		{"run ([x])", "run (a b)", values{"x": "a b"}},
		{"run ([x])", "run ( a)", nil},
		{"a.c*", "abc*", nil},
		{"a.c*", "A.C*", values{}},
		{"straße [x]", "STRASSE a", nil},
		{"ärger [x]", "ÄRGER É", values{"x": "É"}},
		{"k", "\u212a", values{}}, // the sign for kelvin is a k
		{"say \u201chi\u201d [x]", `say "hi" x`, values{"x": "x"}},
	} {
		got, ok := compile(t, c.match).Match(c.text)
		if ok != (c.want != nil) || cmp.Diff(c.want, got) != "" {
			t.Errorf("%q on %q = %v, %v; want %v", c.match, c.text, got, ok, c.want)
		}
	}
	if got := compile(t, "a [x] b-[y]").Params(); cmp.Diff([]string{"x", "y"}, got) != "" {
		t.Errorf("Params = %v", got)
	}
}

func TestPatternsThatAreRefused(t *testing.T) {
	for match, says := range map[string]string{
		"":                       "empty",
		"  ":                     "empty",
		"a [x":                   "other half",
		"a x]":                   "other half",
		"a ]x[":                  "other half",
		"[a]-[b]":                "more than one parameter",
		"[a][b]":                 "more than one parameter",
		"[a b]":                  "other half",
		"[]":                     "not the name",
		"[1a]":                   "not the name",
		"[a] [a]":                "twice",
		"a.":                     "could never match",
		"say [a].":               "could never match",
		"say --in [x]":           "option of every command",
		"say --AT=[x]":           "option of every command",
		"a\x00":                  "control character",
		strings.Repeat("a", 201): "200",
	} {
		_, err := grammar.CompilePattern(match)
		var e *grammar.Error
		if !errors.As(err, &e) || e.Code != grammar.CodePattern || !strings.Contains(e.Sentence, says) {
			t.Errorf("CompilePattern(%q) = %v, want %q", match, err, says)
		}
	}
}

var wordPieces = rapid.SampledFrom([]string{"a", "b", "aa", "ab", "B", "a.", "-"})

// anyMatch draws a match of few letters, so that patterns meet often.
func anyMatch(label string) *rapid.Generator[string] {
	return rapid.Custom(func(t *rapid.T) string {
		words := rapid.IntRange(1, 4).Draw(t, label+" words")
		var out []string
		for i := range words {
			param := fmt.Sprintf("[p%d]", i)
			out = append(out, rapid.OneOf(
				wordPieces, wordPieces, rapid.Just(param),
				rapid.Custom(func(t *rapid.T) string {
					return rapid.SampledFrom([]string{"", "a", "ab"}).Draw(t, "pre") + param + rapid.SampledFrom([]string{"", "a", "ba"}).Draw(t, "suf")
				}),
			).Draw(t, label))
		}
		return strings.TrimRight(strings.Join(out, " "), ".")
	})
}

var bracket = regexp.MustCompile(`\[(\w+)\]`)

// naive is the same pattern as a regular expression.
func naive(match string) *regexp.Regexp {
	words := strings.Fields(match)
	last := -1
	for i, w := range words {
		if bracket.MatchString(w) {
			last = i
		}
	}
	for i, w := range words {
		name := bracket.FindString(w)
		if name == "" {
			words[i] = regexp.QuoteMeta(w)
			continue
		}
		value := `[^ ]+`
		if i == last {
			value = `[^ ]+(?: [^ ]+)*`
		}
		pre, suf, _ := strings.Cut(w, name)
		words[i] = regexp.QuoteMeta(pre) + "(?P<" + name[1:len(name)-1] + ">" + value + ")" + regexp.QuoteMeta(suf)
	}
	return regexp.MustCompile(`(?i)\A` + strings.Join(words, " ") + `\z`)
}

func anyText(t *rapid.T) string {
	return strings.Join(rapid.SliceOfN(rapid.SampledFrom([]string{"a", "b", "aa", "ab", "ba", "aba", "A", "-", "c", "a."}), 0, 6).Draw(t, "text"), " ")
}

func TestPatternIsItsRegularExpression(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		match, text := anyMatch("match").Draw(t, "match"), anyText(t)
		model := naive(match)
		var want map[string]string
		if m := model.FindStringSubmatch(text); m != nil {
			want = map[string]string{}
			for i, name := range model.SubexpNames()[1:] {
				want[name] = m[i+1]
			}
		}
		got, ok := compile(t, match).Match(text)
		if ok != (want != nil) || cmp.Diff(want, got) != "" {
			t.Fatalf("%q on %q = %v, %v; the expression says %v", match, text, got, ok, want)
		}
	})
}

// texts are all of up to three words over a small alphabet: what the patterns
// drawn above can tell apart.
func texts() []string {
	var out []string
	words := []string{"a", "b", "c", "aa", "ab", "ba", "a.", "-", "aaa", "aba", "aca", "abc", "abba", "acba"}
	level := []string{""}
	for range 3 {
		var next []string
		for _, before := range level {
			for _, w := range words {
				next = append(next, strings.TrimSpace(before+" "+w))
			}
		}
		out, level = append(out, next...), next
	}
	return out
}

func TestOverlapAndCoversAreExact(t *testing.T) {
	all := texts()
	rapid.Check(t, func(t *rapid.T) {
		m, n := anyMatch("a").Draw(t, "a"), anyMatch("b").Draw(t, "b")
		a, b := compile(t, m), compile(t, n)
		example, overlaps := grammar.Overlap(a, b)
		if overlaps {
			_, inA := a.Match(example)
			_, inB := b.Match(example)
			if !inA || !inB {
				t.Fatalf("%q and %q: the example %q matches %v, %v", m, n, example, inA, inB)
			}
		}
		covers := grammar.Covers(a, b)
		if _, back := grammar.Overlap(b, a); back != overlaps {
			t.Fatalf("%q and %q overlap one way only", m, n)
		}
		if covers && !overlaps {
			t.Fatalf("%q covers %q and does not overlap it", m, n)
		}
		for _, text := range all {
			_, inA := a.Match(text)
			_, inB := b.Match(text)
			if inA && inB && !overlaps {
				t.Fatalf("%q and %q do not overlap, but %q matches both", m, n, text)
			}
			if inB && !inA && covers {
				t.Fatalf("%q covers %q, but not %q", m, n, text)
			}
		}
	})
}

// A pattern that does not cover has a witness; for patterns of up to three
// words, the texts above hold one.
func TestCoversMissesNothing(t *testing.T) {
	for _, c := range []struct {
		a, b string
		want bool
	}{
		{"[x]", "a b c", true}, {"[x]", "[y] [z]", true}, {"[x] [y]", "[z]", false}, {"[x] [y]", "[p] b [q]", true},
		{"a [x]", "A B", true}, {"a [x] c", "a b b c", true}, {"a [x] [y]", "a [z]", false}, {"a-[x]", "a-b[y]", true},
		{"a-b[y]", "a-[x]", false}, {"[x]aba", "[x]ababa", true}, {"[x]ab ab", "[y]ab ab ab", false}, {"[x]ab ab", "[y]ab cab ab", true}, {"a [x]", "a [y]", true},
		{"a [x] b [y]", "a [x] [y]", false}, {"a [x] [y]", "a [x] b [y]", true},
	} {
		if got := grammar.Covers(compile(t, c.a), compile(t, c.b)); got != c.want {
			t.Errorf("Covers(%q, %q) = %v", c.a, c.b, got)
		}
	}
}

func TestHostilePatternsStayCheap(t *testing.T) {
	began := time.Now()
	worst := "[x] " + strings.Repeat("a ", 97) + "b"
	deep := strings.Repeat("a", 98) + "[x]" + strings.Repeat("a", 98)
	for _, m := range []string{worst, deep} {
		p := compile(t, m)
		p.Match(strings.Repeat("a ", grammar.MaxText/2))
		p.Match(strings.Repeat("a", grammar.MaxText))
		p.Match(strings.Repeat("a", 10<<20))
		for _, n := range []string{worst, deep, "[y]", "a [y]"} {
			grammar.Overlap(p, compile(t, n))
			grammar.Covers(p, compile(t, n))
			grammar.Covers(compile(t, n), p)
		}
	}
	if took := time.Since(began); took > 10*time.Second {
		t.Errorf("took %v", took)
	}
	if _, ok := (grammar.Pattern{}).Match(""); ok {
		t.Error("the zero pattern matches")
	}
}
