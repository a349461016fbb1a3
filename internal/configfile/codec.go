package configfile

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"gopkg.in/yaml.v3"

	"github.com/slipway-hq/slipway/domain/grammar"
)

// codec is one kind of value: how to decode it and how to describe it to
// editors. Decoding reports what is wrong and goes on.
type codec[V any] struct {
	schema map[string]any
	decode func(d *decoder, n *yaml.Node, at []string) V
}

// field is one key of an object.
type field[T any] struct {
	key, help string
	required  bool
	schema    map[string]any
	decode    func(d *decoder, n *yaml.Node, at []string, into *T)
}

// key declares a key whose value goes where ref points.
func key[T, V any](name, help string, c codec[V], ref func(*T) *V) field[T] {
	return field[T]{key: name, help: help, schema: c.schema, decode: func(d *decoder, n *yaml.Node, at []string, into *T) {
		*ref(into) = c.decode(d, n, at)
	}}
}

// needed makes a key one that must be there.
func needed[T any](f field[T]) field[T] {
	f.required = true
	return f
}

// maxNodes bounds the work that aliases can cause.
const maxNodes = 100_000

type position struct{ line, column int }

// decoder collects problems and remembers where everything stood.
type decoder struct {
	file      string
	problems  Problems
	positions map[string]position
	nodes     int
}

func joined(at []string) string { return strings.Join(at, "\x00") }

func (d *decoder) problem(n *yaml.Node, at []string, suggestion, format string, args ...any) {
	d.problems = append(d.problems, Problem{
		File: d.file, Line: max(1, n.Line), Column: max(1, n.Column), Path: strings.Join(at, "."),
		Message: fmt.Sprintf(format, args...), Suggestion: suggestion,
	})
}

// place finds the position of a path, or of the nearest thing around it.
func (d *decoder) place(at []string) position {
	for n := len(at); n >= 0; n-- {
		if p, ok := d.positions[joined(at[:n])]; ok {
			return p
		}
	}
	return position{1, 1}
}

// enter follows aliases and remembers where a value is: at the value itself
// when it is a plain one, else at its key.
func (d *decoder) enter(n, keyNode *yaml.Node, at []string) *yaml.Node {
	d.nodes++
	where := n
	if keyNode != nil && (n.Kind != yaml.ScalarNode || isNull(n)) {
		where = keyNode
	}
	d.positions[joined(at)] = position{max(1, where.Line), max(1, where.Column)}
	for n.Kind == yaml.AliasNode && n.Alias != nil {
		n = n.Alias
	}
	return n
}

func isNull(n *yaml.Node) bool { return n.Kind == yaml.ScalarNode && n.Tag == "!!null" }

// eachPair walks a mapping; a key that stands twice is a problem. An empty
// value is an empty mapping.
func (d *decoder) eachPair(n *yaml.Node, at []string, what string, visit func(name string, keyNode, value *yaml.Node)) {
	if isNull(n) {
		return
	}
	if n.Kind != yaml.MappingNode {
		d.problem(n, at, "", "must be %s, not %s", what, describe(n))
		return
	}
	first := map[string]int{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		k, v := n.Content[i], n.Content[i+1]
		if d.nodes > maxNodes {
			d.problem(k, at, "", "the file repeats itself too often through aliases")
			return
		}
		if k.Kind != yaml.ScalarNode {
			d.problem(k, at, "", "a key must be a word")
			continue
		}
		if line, twice := first[k.Value]; twice {
			d.problem(k, at, "", "the key %q already stands in line %d", k.Value, line)
			continue
		}
		first[k.Value] = k.Line
		visit(k.Value, k, v)
	}
}

// object is a mapping with known keys.
func object[T any](fields ...field[T]) codec[T] {
	properties, required := map[string]any{}, []any{}
	var known []string
	for _, f := range fields {
		property := maps.Clone(f.schema)
		property["description"] = f.help
		properties[f.key] = property
		known = append(known, f.key)
		if f.required {
			required = append(required, f.key)
		}
	}
	schema := map[string]any{"type": []any{"object", "null"}, "properties": properties, "additionalProperties": false}
	if len(required) > 0 {
		schema["type"], schema["required"] = "object", required
	}
	what := "a mapping with keys such as " + strings.Join(known[:min(3, len(known))], ", ")
	return codec[T]{schema: schema, decode: func(d *decoder, n *yaml.Node, at []string) T {
		var out T
		seen := map[string]bool{}
		d.eachPair(n, at, what, func(name string, keyNode, value *yaml.Node) {
			i := slices.IndexFunc(fields, func(f field[T]) bool { return f.key == name })
			if i < 0 {
				d.unknown(keyNode, at, name, known)
				return
			}
			seen[name] = true
			path := slices.Concat(at, []string{name})
			fields[i].decode(d, d.enter(value, keyNode, path), path, &out)
		})
		for _, f := range fields {
			if f.required && !seen[f.key] {
				p := d.place(at)
				d.problem(&yaml.Node{Line: p.line, Column: p.column}, slices.Concat(at, []string{f.key}), "", "the key %q is missing: %s", f.key, f.help)
			}
		}
		return out
	}}
}

func (d *decoder) unknown(n *yaml.Node, at []string, name string, known []string) {
	at = slices.Concat(at, []string{name})
	if near := grammar.Suggest(name, known, 1); len(near) > 0 {
		d.problem(n, at, near[0], "unknown key %q", name)
		return
	}
	d.problem(n, at, "", "unknown key %q; allowed are %s", name, strings.Join(known, ", "))
}

// dict is a mapping whose keys are names of the writer's choice.
func dict[V any](value codec[V]) codec[map[string]V] {
	schema := map[string]any{"type": []any{"object", "null"}, "additionalProperties": value.schema}
	return codec[map[string]V]{schema: schema, decode: func(d *decoder, n *yaml.Node, at []string) map[string]V {
		out := map[string]V{}
		d.eachPair(n, at, "a mapping of names", func(name string, keyNode, v *yaml.Node) {
			path := slices.Concat(at, []string{name})
			out[name] = value.decode(d, d.enter(v, keyNode, path), path)
		})
		return out
	}}
}

// list is a sequence.
func list[V any](item codec[V]) codec[[]V] {
	schema := map[string]any{"type": "array", "items": item.schema}
	return codec[[]V]{schema: schema, decode: func(d *decoder, n *yaml.Node, at []string) []V {
		if n.Kind != yaml.SequenceNode {
			d.problem(n, at, "", "must be a list, not %s", describe(n))
			return nil
		}
		out := make([]V, 0, min(len(n.Content), maxNodes))
		for i, v := range n.Content {
			if d.nodes > maxNodes {
				d.problem(n, at, "", "the file repeats itself too often through aliases")
				return out
			}
			path := slices.Concat(at, []string{fmt.Sprint(i)})
			out = append(out, item.decode(d, d.enter(v, nil, path), path))
		}
		return out
	}}
}

func describe(n *yaml.Node) string {
	switch {
	case isNull(n):
		return "empty"
	case n.Kind == yaml.MappingNode:
		return "a mapping"
	case n.Kind == yaml.SequenceNode:
		return "a list"
	}
	return grammar.Quote(n.Value)
}
