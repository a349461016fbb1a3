package main

import (
	"maps"
	"regexp"
	"slices"
	"strings"

	"github.com/slipway-hq/slipway/domain/pipeline"
	"github.com/slipway-hq/slipway/internal/configfile"
)

// maxHints is how many examples fit below the sandbox's composer.
const maxHints = 2

// greeted fills the parameters of an example that nothing else fills.
var greeted = map[string]string{"name": "Bob", "who": "Bob"}

// hints are sentences that the configuration understands as it is now: the
// first command of each namespace that everybody may use.
func hints(path string) []string {
	var out []string
	if file, problems := configfile.Load(path); len(problems) == 0 {
		for _, name := range slices.Sorted(maps.Keys(file.Config.Namespaces)) {
			if sentence := example(file.Config.Namespaces[name]); sentence != "" && len(out) < maxHints {
				out = append(out, "@slipway "+name+" "+sentence)
			}
			if words := overheard(file.Config.Namespaces[name]); words != "" && len(out) < maxHints {
				out = append(out, words)
			}
		}
	}
	return append(out, "/slipway help")
}

// example is the first command that runs a job for everybody, its parameters
// filled in where that is possible.
func example(n pipeline.Namespace) string {
	for _, c := range n.Commands {
		job := n.Jobs[c.Job]
		if n.Restricted || job.Restricted || c.Action != "" && c.Action != "run" {
			continue
		}
		sentence := c.Match
		for name, p := range job.Params {
			if value := sample(name, p); value != "" {
				sentence = strings.ReplaceAll(sentence, "["+name+"]", value)
			}
		}
		return sentence
	}
	return ""
}

// overheard is the first message that a listener waits for from everybody, word for
// word.
func overheard(n pipeline.Namespace) string {
	for _, name := range slices.Sorted(maps.Keys(n.Listen)) {
		l := n.Listen[name]
		plain := regexp.QuoteMeta(l.Match) == l.Match && len(l.Channels) == 0 && !l.Deletes
		if plain && l.From.AcceptsPeople() && !n.Restricted && !n.Jobs[l.Job].Restricted {
			return l.Match
		}
	}
	return ""
}

func sample(name string, p pipeline.Param) string {
	switch {
	case p.Default != nil && *p.Default != "":
		return *p.Default
	case len(p.Values) > 0:
		return p.Values[0]
	case p.Type == "" || p.Type == "string":
		return greeted[name]
	}
	return ""
}
