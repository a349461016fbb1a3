package pipeline

import (
	"maps"
	"slices"

	"github.com/slipway-hq/slipway/domain/grammar"
)

// Sentence is a command that a text after a namespace turned out to mean.
type Sentence struct {
	Command Command
	// Params of the job: what the text says, and the values that the command
	// fixes. Of ActionHold they are HoldStart and HoldEnd.
	Params map[string]string
}

// FindCommand finds what a text after a namespace means; false: nothing. At
// most one command fits, after overrides: Check sees to that.
func (n Namespace) FindCommand(text string) (Sentence, bool) {
	type fit struct {
		command int
		params  map[string]string
	}
	var fits []fit
	for i, c := range n.Commands {
		for _, form := range append([]string{c.Match}, c.Aliases...) {
			p, err := grammar.CompilePattern(form)
			if err != nil {
				continue // Check refuses it
			}
			if params, ok := p.Match(text); ok {
				fits = append(fits, fit{i, params})
				break
			}
		}
	}
	for _, f := range fits {
		c := n.Commands[f.command]
		beaten := slices.ContainsFunc(fits, func(o fit) bool { return slices.Contains(n.Commands[o.command].Overrides, c.Match) })
		if beaten {
			continue
		}
		params := maps.Clone(c.Values)
		if params == nil {
			params = map[string]string{}
		}
		maps.Copy(params, f.params)
		return Sentence{Command: c, Params: params}, true
	}
	return Sentence{}, false
}
