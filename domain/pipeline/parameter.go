package pipeline

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/slipway-hq/slipway/domain/grammar"
)

// value checks what a person gave and returns its canonical text. The error
// says what is allowed instead.
func (p Parameter) value(given string) (string, error) {
	switch {
	case len(given) > MaxParameterValue:
		return "", fmt.Errorf("it is longer than %d bytes", MaxParameterValue)
	case !utf8.ValidString(given) || strings.ContainsFunc(given, forbidden):
		return "", errors.New("it contains an invisible control character")
	}
	switch p.Type {
	case TypeInt:
		n, err := strconv.ParseInt(given, 10, 64)
		if err != nil {
			return "", errors.New("it must be a whole number")
		}
		return strconv.FormatInt(n, 10), nil
	case TypeBool:
		return boolValue(given)
	case TypeEnum:
		if !slices.Contains(p.Values, given) {
			return "", fmt.Errorf("it must be one of %s", bold(p.Values))
		}
	case TypeString:
		return given, p.matches(given)
	case TypeSecret:
		return "", errors.New("it is a secret, which nobody gives")
	}
	return given, nil
}

func boolValue(given string) (string, error) {
	switch strings.ToLower(given) {
	case "true", "yes", "on", "1":
		return "true", nil
	case "false", "no", "off", "0":
		return "false", nil
	}
	return "", errors.New("it must be *true* or *false*")
}

func (p Parameter) matches(given string) error {
	if p.Pattern == "" {
		return nil
	}
	re, err := wholePattern(p.Pattern)
	if err != nil {
		return fmt.Errorf("its pattern is broken: %w", err)
	}
	if !re.MatchString(given) {
		return fmt.Errorf("it must match %s", grammar.Quote(p.Pattern))
	}
	return nil
}

func wholePattern(pattern string) (*regexp.Regexp, error) {
	return regexp.Compile(`^(?:` + pattern + `)$`)
}

// forbidden characters have no place in a value or a command. Line feeds and
// tabs have: a quoted word may hold them.
func forbidden(r rune) bool { return unicode.IsControl(r) && r != '\n' && r != '\t' }

// arguments returns the value of every declared parameter, defaults applied.
// One that is neither given, defaulted nor required is empty. The owner is who
// declares them, for a sentence.
func arguments(owner string, declared map[string]Parameter, given map[string]string) (map[string]string, *Refusal) {
	for _, name := range names(given) {
		if _, known := declared[name]; !known {
			return nil, unknownParameter(owner, name, declared)
		}
	}
	values := map[string]string{}
	for _, name := range names(declared) {
		p := declared[name]
		text, ok := given[name]
		switch {
		case !ok && p.Default != nil:
			text = *p.Default
		case !ok && p.Required:
			return nil, refuse(CodeParameterMissing, p.Values, "*%s* needs %s=…%s", owner, name, p.explain())
		case !ok:
			values[name] = ""
			continue
		}
		v, err := p.value(text)
		if err != nil {
			return nil, refuse(CodeParameterInvalid, p.Values, "%s cannot be %s: %s.", name, grammar.Quote(text), err)
		}
		values[name] = v
	}
	return values, nil
}

func unknownParameter(service, name string, declared map[string]Parameter) *Refusal {
	known := names(declared)
	near := grammar.Suggest(name, known, 3)
	switch {
	case len(known) == 0:
		return refuse(CodeParameterUnknown, nil, "*%s* takes no parameters, so I do not know what to do with %s. Nothing was started.", service, grammar.Quote(name))
	case len(near) > 0:
		return refuse(CodeParameterUnknown, near, "*%s* has no parameter %s.%s Nothing was started.", service, grammar.Quote(name), meant(near))
	}
	return refuse(CodeParameterUnknown, known, "*%s* has no parameter %s. It takes %s. Nothing was started.", service, grammar.Quote(name), bold(known))
}

// explain says what a parameter takes, as the end of a sentence.
func (p Parameter) explain() string {
	switch {
	case p.Help != "":
		return " (" + p.Help + ")."
	case len(p.Values) > 0:
		return ": one of " + bold(p.Values) + "."
	}
	return " (" + string(p.Type) + ")."
}
