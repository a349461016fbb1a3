package orchestrator

import (
	"cmp"
	"slices"
	"strings"

	"github.com/slipway-hq/slipway/domain/grammar"
	"github.com/slipway-hq/slipway/domain/pipeline"
)

// phrase is one way to say a command.
type phrase struct {
	match   string
	pattern grammar.Pattern
	command pipeline.Command
}

// phrasebook is every command of one namespace, in the order of the file.
type phrasebook []phrase

// newPhrasebook compiles a namespace's commands. Those of a configuration that
// Check found nothing in always compile.
func newPhrasebook(ns pipeline.Namespace) phrasebook {
	var book phrasebook
	for _, c := range ns.Commands {
		for _, match := range append([]string{c.Match}, c.Aliases...) {
			if p, err := grammar.CompilePattern(match); err == nil {
				book = append(book, phrase{match, p, c})
			}
		}
	}
	return book
}

// find returns the command that a text says and its arguments. Where two fit,
// the one that says so comes first.
func (b phrasebook) find(text string) (pipeline.Command, map[string]string, bool) {
	var best phrase
	var arguments map[string]string
	found := false
	for _, p := range b {
		if args, ok := p.pattern.Match(text); ok && (!found || slices.Contains(p.command.Overrides, best.command.Match)) {
			best, arguments, found = p, args, true
		}
	}
	return best.command, arguments, found
}

// near are the phrases that are closest to a text, nearest first: by how many
// of its words they begin with, then by spelling.
func (b phrasebook) near(text string, n int) []string {
	words := strings.Fields(strings.ToLower(text))
	var out []string
	alike := map[string]int{}
	for _, p := range b {
		out = append(out, p.match)
		for i, w := range strings.Fields(strings.ToLower(p.match)) {
			if i >= len(words) || w != words[i] {
				break
			}
			alike[p.match]++
		}
	}
	near := grammar.Suggest(text, out, n)
	slices.SortStableFunc(out, func(x, y string) int { return cmp.Compare(alike[y], alike[x]) })
	for _, match := range out {
		if len(near) < n && alike[match] > 0 && !slices.Contains(near, match) {
			near = append(near, match)
		}
	}
	return near[:min(n, len(near))]
}
