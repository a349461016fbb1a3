package orchestrator

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/slipway-hq/slipway/domain/grammar"
	"github.com/slipway-hq/slipway/domain/pipeline"
	apiv1 "github.com/slipway-hq/slipway/gen/slipway/api/v1"
	commandv1 "github.com/slipway-hq/slipway/gen/slipway/command/v1"
)

// This file says jobs, holds and help in words.

// nameWords is what a run is called: "SERVICE to ENVIRONMENT", or
// "NAMESPACE JOB" with its arguments.
func nameWords(r *apiv1.Run) string {
	if r.GetJob() == "" {
		return fmt.Sprintf("*%s* to *%s*%s", grammar.Escape(r.GetService()), grammar.Escape(r.GetEnvironment()), version(r))
	}
	return fmt.Sprintf("*%s %s*%s", grammar.Escape(r.GetNamespace()), grammar.Escape(r.GetJob()), argumentWords(r.GetParameters()))
}

const (
	// maxArguments and maxArgument bound what a line shows of arguments.
	maxArguments = 6
	maxArgument  = 60
)

func argumentWords(parameters map[string]string) string {
	var words []string
	for _, k := range slices.Sorted(maps.Keys(parameters)) {
		if len(words) == maxArguments {
			words = append(words, "…")
			break
		}
		v := []rune(parameters[k])
		if len(v) > maxArgument {
			v = append(v[:maxArgument], '…')
		}
		words = append(words, grammar.Code(k+"="+string(v)))
	}
	if len(words) == 0 {
		return ""
	}
	return " " + strings.Join(words, " ")
}

func count(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

func lock(restricted bool) string {
	if restricted {
		return " 🔒"
	}
	return ""
}

// namespaceAnswer is what can be said in a namespace.
func namespaceAnswer(name string, ns pipeline.Namespace) *commandv1.Answer {
	var b strings.Builder
	fmt.Fprintf(&b, "*%s*%s", grammar.Escape(name), lock(ns.Restricted))
	if ns.Description != "" {
		b.WriteString(": " + grammar.Escape(ns.Description))
	}
	if ns.Restricted {
		b.WriteString("\n_For full members of this workspace only._")
	}
	for _, c := range ns.Commands {
		fmt.Fprintf(&b, "\n• %s%s", grammar.Code(name+" "+c.Match), lock(!ns.Restricted && ns.Jobs[c.Job].Restricted))
		if c.Help != "" {
			b.WriteString(": " + grammar.Escape(c.Help))
		}
		if c.Delay > 0 {
			fmt.Fprintf(&b, " _(starts after %s)_", c.Delay)
		}
	}
	if len(ns.Commands) == 0 {
		b.WriteString("\nIt has no commands; its jobs start by webhook, schedule or `slipway run`.")
	}
	return private("", fitting(b.String()))
}

// helpAnswer is the whole help, or one topic of it.
func helpAnswer(cfg *adopted, topic string) *commandv1.Answer {
	if cfg == nil {
		return private("", grammar.Help(topic))
	}
	if name, ok := cfg.namespace(topic); ok && topic != "" {
		return namespaceAnswer(name, cfg.config.Namespaces[name])
	}
	text := grammar.Help(topic)
	if topic == "" && len(cfg.config.Namespaces) > 0 {
		var b strings.Builder
		b.WriteString("\n*Namespaces*, each with commands of its own (`NAMESPACE help`):")
		for _, name := range slices.Sorted(maps.Keys(cfg.config.Namespaces)) {
			ns := cfg.config.Namespaces[name]
			fmt.Fprintf(&b, "\n• *%s*%s", grammar.Escape(name), lock(ns.Restricted))
			if ns.Description != "" {
				b.WriteString(": " + grammar.Escape(ns.Description))
			}
		}
		text += b.String()
	}
	return private("", text)
}

// unknownNamespace answers a word that begins no sentence.
func unknownNamespace(cfg *adopted, word string) *commandv1.Answer {
	known := append(grammar.Verbs(), slices.Sorted(maps.Keys(cfg.config.Namespaces))...)
	return refusalAnswer("E-VERB-404", fmt.Sprintf("Sorry, I do not know %s.%s Say `help` for everything I understand.",
		grammar.Quote(word), didYouMean(grammar.Suggest(word, known, maxSuggested))), nil)
}

// unknownCommand answers a text that no command of the namespace fits.
func unknownCommand(cfg *adopted, namespace, text string) *commandv1.Answer {
	sentence := fmt.Sprintf("Sorry, *%s* has no command %s.", namespace, grammar.Quote(text))
	var near []string
	for _, match := range cfg.phrases[namespace].near(text, maxSuggested) {
		near = append(near, namespace+" "+match)
	}
	return refusalAnswer("E-COMMAND-404", sentence+didYouMean(near)+fmt.Sprintf(" Say `%s help` for all of them.", namespace), nil)
}

// jobsAnswer lists the jobs of a namespace, or of all.
func jobsAnswer(cfg *adopted, only string) *commandv1.Answer {
	if cfg == nil {
		return refusalAnswer(errNoConfig.Code, errNoConfig.Sentence, nil)
	}
	names := slices.Sorted(maps.Keys(cfg.config.Namespaces))
	if only != "" {
		name, ok := cfg.namespace(only)
		if !ok {
			return unknownNamespace(cfg, only)
		}
		names = []string{name}
	}
	var lines []string
	for _, name := range names {
		ns := cfg.config.Namespaces[name]
		for _, job := range slices.Sorted(maps.Keys(ns.Jobs)) {
			j := ns.Jobs[job]
			text := fmt.Sprintf("• *%s %s*%s", grammar.Escape(name), grammar.Escape(job), lock(ns.Restricted || j.Restricted))
			for _, p := range slices.Sorted(maps.Keys(j.Params)) {
				if j.Params[p].Type == pipeline.TypeSecret {
					continue // nobody gives it
				}
				text += " " + grammar.Code("["+p+"]")
			}
			if j.Help != "" {
				text += ": " + grammar.Escape(j.Help)
			}
			if said := phraseOf(ns, job); said != "" {
				text += ". Say " + grammar.Code(name+" "+said)
			}
			lines = append(lines, text)
		}
	}
	if len(lines) == 0 {
		return private("", "There are no jobs.")
	}
	return private("", fitting(strings.Join(lines, "\n")))
}

// phraseOf is the first command that runs a job; empty when none does.
func phraseOf(ns pipeline.Namespace, job string) string {
	for _, c := range ns.Commands {
		if c.Job == job && (c.Action == "" || c.Action == pipeline.ActionRun) {
			return c.Match
		}
	}
	return ""
}

// fitting keeps whole lines of a text, as many as one section of a message
// holds.
func fitting(text string) string {
	if len(text) <= grammar.MaxEscaped {
		return text
	}
	cut := strings.LastIndexByte(text[:grammar.MaxEscaped], '\n')
	return text[:max(0, cut)] + "\n… and more"
}

// holdLines lists holds, those in force first.
func holdLines(holds []*apiv1.Hold, now time.Time) []string {
	var lines []string
	for _, active := range []bool{true, false} {
		for _, h := range holds {
			if h.GetActive() != active {
				continue
			}
			word := "held until"
			if !active {
				word = "to be held from " + momentWords(h.GetFrom().AsTime(), now) + " until"
			}
			what := "everything in lane " + h.GetLane()
			if h.GetJob() != "" {
				what = jobWords(h.GetJob())
			}
			lines = append(lines, fmt.Sprintf("• `%s` *%s* is %s %s by %s%s", h.GetId(), grammar.Escape(what), word, momentWords(h.GetUntil().AsTime(), now), whoWords(h.GetBy()), grammar.Escape(reasonAfter(h.GetReason()))))
		}
	}
	return lines
}

// momentWords lets Slack show a moment in the reader's own zone.
func momentWords(at, _ time.Time) string {
	return fmt.Sprintf("<!date^%d^{date_short_pretty} {time}|%s>", at.Unix(), at.UTC().Format("2006-01-02 15:04 MST"))
}
