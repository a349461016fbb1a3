// Package story runs story scripts: behaviour written as commands and their
// full narrated output, reviewed as a diff. A script is a file of blocks
//
//	# what this part shows
//	command key=value key="two words"
//	----
//	the output
//
// separated by blank lines. It is for tests of the pure rooms alone. Run the
// tests with -rewrite to write what really comes out.
package story

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

var rewrite = flag.Bool("rewrite", false, "rewrite story scripts with the actual output")

// Line is one command of a script.
type Line struct {
	Name string
	Args map[string]string
	Text string // the line itself
}

// Arg returns an argument, or fallback.
func (l Line) Arg(key, fallback string) string {
	if v, ok := l.Args[key]; ok {
		return v
	}
	return fallback
}

// Run plays every script under testdata that matches pattern. begin is called
// for each script and returns what executes its lines.
func Run(t *testing.T, pattern string, begin func(t *testing.T) func(Line) string) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join("testdata", pattern))
	if err != nil || len(files) == 0 {
		t.Fatalf("no story matches testdata/%s: %v", pattern, err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), filepath.Ext(file)), func(t *testing.T) { play(t, file, begin(t)) })
	}
}

func play(t *testing.T, file string, execute func(Line) string) {
	t.Helper()
	raw, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var out strings.Builder
	for _, block := range strings.Split(strings.TrimSpace(string(raw)), "\n\n") {
		head, _, _ := strings.Cut(block+"\n", "----\n")
		out.WriteString(head)
		for _, text := range strings.Split(strings.TrimSpace(head), "\n") {
			if text == "" || strings.HasPrefix(text, "#") {
				continue
			}
			out.WriteString("----\n" + strings.TrimRight(execute(parse(t, text)), "\n") + "\n")
		}
		out.WriteString("\n")
	}
	got := strings.TrimSpace(out.String()) + "\n"
	if got == string(raw) {
		return
	}
	if *rewrite {
		if err := os.WriteFile(file, []byte(got), 0o600); err != nil {
			t.Fatal(err)
		}
		return
	}
	t.Errorf("%s differs; this is what came out (-rewrite accepts it):\n%s", file, firstDifference(string(raw), got))
}

func firstDifference(want, got string) string {
	w, g := strings.Split(want, "\n"), strings.Split(got, "\n")
	for i := range g {
		if i >= len(w) || w[i] != g[i] {
			from, to := max(0, i-4), min(len(g), i+8)
			old := ""
			if i < len(w) {
				old = w[i]
			}
			return fmt.Sprintf("line %d was %q\n%s", i+1, old, strings.Join(g[from:to], "\n"))
		}
	}
	return got
}

func parse(t *testing.T, text string) Line {
	t.Helper()
	line := Line{Args: map[string]string{}, Text: text}
	for i, word := range split(text) {
		if i == 0 {
			line.Name = word
			continue
		}
		key, value, ok := strings.Cut(word, "=")
		if !ok {
			value = "true"
		}
		line.Args[key] = value
	}
	return line
}

// split cuts at spaces outside double quotes.
func split(text string) []string {
	var words []string
	var word strings.Builder
	quoted := false
	for _, r := range text {
		switch {
		case r == '"':
			quoted = !quoted
		case r == ' ' && !quoted:
			if word.Len() > 0 {
				words = append(words, word.String())
				word.Reset()
			}
		default:
			word.WriteRune(r)
		}
	}
	if word.Len() > 0 {
		words = append(words, word.String())
	}
	return words
}
