package configfile

import (
	"math"
	"regexp"
	"strconv"
	"strings"
	"time"

	"gopkg.in/yaml.v3"

	"github.com/slipway-hq/slipway/domain/grammar"
)

// plainValue reports whether n is one value, and what is wrong when not.
func (d *decoder) plainValue(n *yaml.Node, at []string, what string) bool {
	switch {
	case isNull(n):
		d.problem(n, at, "", "has no value; it must be %s", what)
		return false
	case n.Kind != yaml.ScalarNode:
		d.problem(n, at, "", "must be %s, not %s", what, describe(n))
		return false
	}
	return true
}

// text is any plain value, letter by letter as it is written: 1.10 stays 1.10.
func text() codec[string] {
	return codec[string]{schema: map[string]any{"type": []any{"string", "number", "boolean"}}, decode: func(d *decoder, n *yaml.Node, at []string) string {
		if !d.plainValue(n, at, "a text") {
			return ""
		}
		return n.Value
	}}
}

// filled is a text that is not empty: written out, an empty one would silently
// mean the default.
func filled(c codec[string]) codec[string] {
	return codec[string]{schema: c.schema, decode: func(d *decoder, n *yaml.Node, at []string) string {
		v := c.decode(d, n, at)
		if v == "" && n.Kind == yaml.ScalarNode && !isNull(n) {
			d.problem(n, at, "", "is empty; leave the key away for the default")
		}
		return v
	}}
}

// choice is one of some words.
func choice[S ~string](words ...string) codec[S] {
	enum := make([]any, len(words))
	for i, w := range words {
		enum[i] = w
	}
	what := "one of " + strings.Join(words, ", ")
	return codec[S]{schema: map[string]any{"enum": enum}, decode: func(d *decoder, n *yaml.Node, at []string) S {
		if !d.plainValue(n, at, what) {
			return S(words[0])
		}
		for _, w := range words {
			if n.Value == w {
				return S(w)
			}
		}
		near := append(grammar.Suggest(n.Value, words, 1), "")
		d.problem(n, at, near[0], "must be %s, not %s", what, describe(n))
		return S(words[0])
	}}
}

func truth() codec[bool] {
	return codec[bool]{schema: map[string]any{"type": "boolean"}, decode: func(d *decoder, n *yaml.Node, at []string) bool {
		if !d.plainValue(n, at, "true or false") {
			return false
		}
		if n.Tag == "!!bool" {
			return strings.EqualFold(n.Value, "true")
		}
		suggestion := map[string]string{"yes": "true", "on": "true", "1": "true", "no": "false", "off": "false", "0": "false"}[strings.ToLower(n.Value)]
		d.problem(n, at, suggestion, "must be true or false, not %s", describe(n))
		return false
	}}
}

func integer() codec[int] {
	return codec[int]{schema: map[string]any{"type": "integer"}, decode: func(d *decoder, n *yaml.Node, at []string) int {
		if !d.plainValue(n, at, "a whole number") {
			return 0
		}
		v, err := strconv.Atoi(n.Value)
		if err != nil || n.Tag != "!!int" {
			d.problem(n, at, "", "must be a whole number, not %s", describe(n))
		}
		return v
	}}
}

// counting is an integer from 1: 0 written out would silently mean the default.
func counting() codec[int] {
	whole := integer()
	return codec[int]{schema: map[string]any{"type": "integer", "minimum": 1}, decode: func(d *decoder, n *yaml.Node, at []string) int {
		v := whole.decode(d, n, at)
		if v == 0 && n.Value == "0" {
			d.problem(n, at, "", "must be at least 1; leave the key away for the default")
		}
		return v
	}}
}

func number() codec[float64] {
	return codec[float64]{schema: map[string]any{"type": "number"}, decode: func(d *decoder, n *yaml.Node, at []string) float64 {
		if !d.plainValue(n, at, "a number") {
			return 0
		}
		v, err := strconv.ParseFloat(n.Value, 64)
		if err != nil || math.IsNaN(v) || math.IsInf(v, 0) {
			d.problem(n, at, "", "must be a number, not %s", describe(n))
			return 0
		}
		return v
	}}
}

// optional is a value whose absence means something else than zero.
func optional[V any](c codec[V]) codec[*V] {
	return codec[*V]{schema: c.schema, decode: func(d *decoder, n *yaml.Node, at []string) *V {
		v := c.decode(d, n, at)
		return &v
	}}
}

const durationForm = `^([0-9]+(\.[0-9]+)?(ms|s|m|h|d))+$`

var (
	durationPattern = regexp.MustCompile(durationForm)
	days            = regexp.MustCompile(`([0-9]+(?:\.[0-9]+)?)d`)
	digits          = regexp.MustCompile(`^[0-9]+$`)
)

// duration is a time such as 30s, 5m, 1h30m or 7d. Zero is not one: what is
// not wanted is left out.
func duration() codec[time.Duration] {
	return codec[time.Duration]{schema: map[string]any{"type": "string", "pattern": durationForm}, decode: func(d *decoder, n *yaml.Node, at []string) time.Duration {
		if !d.plainValue(n, at, "a duration such as 30s, 5m or 1h30m") {
			return 0
		}
		v, err := parseDuration(n.Value)
		if err == nil && v > 0 {
			return v
		}
		suggestion := ""
		if digits.MatchString(n.Value) && strings.Trim(n.Value, "0") != "" {
			suggestion = n.Value + "s"
		}
		d.problem(n, at, suggestion, "must be a duration such as 30s, 5m or 1h30m, not %s", describe(n))
		return 0
	}}
}

func parseDuration(text string) (time.Duration, error) {
	if !durationPattern.MatchString(text) {
		return 0, strconv.ErrSyntax
	}
	return time.ParseDuration(days.ReplaceAllStringFunc(text, func(day string) string {
		n, err := strconv.ParseFloat(strings.TrimSuffix(day, "d"), 64)
		if err != nil {
			return day
		}
		return strconv.FormatFloat(n*24, 'f', -1, 64) + "h"
	}))
}

const sizeForm = `^[0-9]+ ?(B|kB|MB|GB|KiB|MiB|GiB)?$`

var (
	sizePattern = regexp.MustCompile(`^([0-9]+) ?(B|kB|MB|GB|KiB|MiB|GiB)?$`)
	units       = map[string]int64{"": 1, "B": 1, "kB": 1e3, "MB": 1e6, "GB": 1e9, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30}
)

// size is a number of bytes such as 16MiB.
func size() codec[int64] {
	schema := map[string]any{"type": []any{"string", "integer"}, "pattern": sizeForm}
	return codec[int64]{schema: schema, decode: func(d *decoder, n *yaml.Node, at []string) int64 {
		if !d.plainValue(n, at, "a size such as 16MiB") {
			return 0
		}
		if m := sizePattern.FindStringSubmatch(n.Value); m != nil {
			v, err := strconv.ParseInt(m[1], 10, 64)
			if err == nil && v > 0 && v <= math.MaxInt64/units[m[2]] {
				return v * units[m[2]]
			}
		}
		d.problem(n, at, "", "must be a size such as 512KiB or 16MiB, not %s", describe(n))
		return 0
	}}
}
