package pipeline

import (
	"slices"
	"strings"
)

// The names that the templates of a deployment know, and those of a job.
const (
	builtinService     = "service"
	builtinEnvironment = "environment"
	builtinVersion     = "version"
	builtinNamespace   = "namespace"
	builtinJob         = "job"
)

// vocabulary says which placeholders a template may hold.
type vocabulary struct {
	// known: something stands for it.
	known func(name string) bool
	// secret: a known one whose value only the runner has, so that it fits into
	// shell lines alone. Nil: none is.
	secret func(name string) bool
	// places are the words of the configuration itself. No asker chooses them
	// freely, so they may name a command.
	places []string
	// others lists what is always known, for a sentence.
	others string
}

// forDeployment is the vocabulary of a service's pipeline.
func forDeployment(parameter func(name string) bool) vocabulary {
	own := []string{builtinService, builtinEnvironment, builtinVersion}
	return vocabulary{
		known:  func(name string) bool { return slices.Contains(own, name) || parameter(name) },
		places: own[:2], others: "service, environment or version",
	}
}

func (v vocabulary) isSecret(name string) bool { return v.secret != nil && v.secret(name) }

// inputs are what the placeholders of one run stand for.
type inputs struct {
	// values come quoted into a shell line.
	values map[string]string
	// secrets come into a shell line as an expansion of a variable that the step
	// gets by reference.
	secrets map[string]Secret
}

// SecretPrefix begins the names of variables that carry secret parameters.
const SecretPrefix = "SLIPWAY_SECRET_"

// secretVariable names the variable that carries a secret parameter.
func secretVariable(name string) string {
	return SecretPrefix + strings.ToUpper(strings.ReplaceAll(name, "-", "_"))
}

func (in inputs) known(name string) bool {
	_, value := in.values[name]
	return value || in.secret(name)
}

func (in inputs) secret(name string) bool { _, ok := in.secrets[name]; return ok }

// word is what stands for a placeholder in a shell line.
func (in inputs) word(name string) string {
	if in.secret(name) {
		return `"${` + secretVariable(name) + `}"`
	}
	return shellQuote(in.values[name])
}

// spot is a placeholder, or an escaped one, in a template.
type spot struct {
	start, end int
	name       string
	// literal: written {{name}}, stands for {name}.
	literal bool
	// command: in a shell line, part of the word that names the command.
	command bool
	// why a value cannot stand here; empty when it can.
	why string
}

// spotAt reads a placeholder that starts at i. Braces mean something only
// around a name and not after a $: {name} is a placeholder, {{name}} stands for
// a literal {name}, ${name} belongs to the shell, and any other brace is just
// a brace.
func spotAt(text string, i int) (spot, bool) {
	if text[i] != '{' || i > 0 && text[i-1] == '$' {
		return spot{}, false
	}
	if name, ok := nameAt(text, i+1); ok {
		return spot{start: i, end: i + len(name) + 2, name: name}, true
	}
	if i+1 < len(text) && text[i+1] == '{' {
		name, ok := nameAt(text, i+2)
		after := i + 3 + len(name)
		if ok && after < len(text) && text[after] == '}' {
			return spot{start: i, end: after + 1, name: name, literal: true}, true
		}
	}
	return spot{}, false
}

// nameAt reads a name that a closing brace follows.
func nameAt(text string, i int) (string, bool) {
	end := i
	for end < len(text) && isNameByte(text[end], end == i) {
		end++
	}
	if end == i || end == len(text) || text[end] != '}' {
		return "", false
	}
	return text[i:end], true
}

func isNameByte(c byte, first bool) bool {
	if c == '_' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' {
		return true
	}
	return !first && (c == '-' || c >= '0' && c <= '9')
}

// scanPlain finds the placeholders of a text that no shell reads.
func scanPlain(text string) []spot {
	var spots []spot
	for i := 0; i < len(text); {
		if s, ok := spotAt(text, i); ok {
			spots = append(spots, s)
			i = s.end
			continue
		}
		i++
	}
	return spots
}

// fill replaces each spot by what write makes of its name.
func fill(text string, spots []spot, write func(name string) string) string {
	var b strings.Builder
	last := 0
	for _, s := range spots {
		b.WriteString(text[last:s.start])
		if s.literal {
			b.WriteString("{" + s.name + "}")
		} else {
			b.WriteString(write(s.name))
		}
		last = s.end
	}
	b.WriteString(text[last:])
	return b.String()
}

func fillPlain(text string, values map[string]string) string {
	return fill(text, scanPlain(text), func(name string) string { return values[name] })
}

// fillShell also returns the names of the secrets that it put in.
func fillShell(text string, in inputs) (line string, secrets []string) {
	spots, _ := scanShell(text)
	for _, s := range spots {
		if !s.literal && in.secret(s.name) {
			secrets = append(secrets, s.name)
		}
	}
	return fill(text, spots, in.word), secrets
}

// shellQuote makes any text one word of a POSIX shell.
func shellQuote(text string) string {
	return "'" + strings.ReplaceAll(text, "'", `'\''`) + "'"
}
