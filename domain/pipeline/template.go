package pipeline

import (
	"strings"
)

// The names that every template knows.
const (
	builtinService     = "service"
	builtinEnvironment = "environment"
	builtinVersion     = "version"
)

func isBuiltin(name string) bool {
	return name == builtinService || name == builtinEnvironment || name == builtinVersion
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

// fill replaces spots by values, each written by write.
func fill(text string, spots []spot, values map[string]string, write func(string) string) string {
	var b strings.Builder
	last := 0
	for _, s := range spots {
		b.WriteString(text[last:s.start])
		if s.literal {
			b.WriteString("{" + s.name + "}")
		} else {
			b.WriteString(write(values[s.name]))
		}
		last = s.end
	}
	b.WriteString(text[last:])
	return b.String()
}

func fillPlain(text string, values map[string]string) string {
	return fill(text, scanPlain(text), values, func(v string) string { return v })
}

func fillShell(text string, values map[string]string) string {
	spots, _ := scanShell(text)
	return fill(text, spots, values, shellQuote)
}

// shellQuote makes any text one word of a POSIX shell.
func shellQuote(text string) string {
	return "'" + strings.ReplaceAll(text, "'", `'\''`) + "'"
}
