package grammar

import (
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// MaxPattern is the longest match of a command, in characters: far beyond what
// people type, and small enough to compare every command with every other.
const MaxPattern = 200

// CodePattern is the code of what CompilePattern refuses.
const CodePattern = "E-PATTERN"

// Pattern is the form of a command's text, as "say hello [name]". Literals
// match in any case and are nothing but literals. Each [parameter] takes one
// word; the last one takes one or more, also when literals follow it. One
// parameter may also stand inside a word, as in "owner/[repo]".
//
// A text matches as a whole, in one way only, so that its values never depend
// on a choice. The zero Pattern matches nothing.
type Pattern struct {
	words []patternWord
	// last is the index of the word with the last parameter, -1 without any.
	last   int
	params []string
}

// patternWord is pre[param]suf, or a literal: then param is empty and pre is all.
type patternWord struct {
	param    string
	pre, suf []rune
}

// CompilePattern reads the match of a command. The error is an *Error with
// CodePattern and says what to change.
func CompilePattern(match string) (Pattern, error) {
	if utf8.RuneCountInString(match) > MaxPattern {
		return Pattern{}, refuse(CodePattern, "", "A match has at most %d characters.", MaxPattern)
	}
	if !utf8.ValidString(match) || strings.ContainsFunc(match, hidden) {
		return Pattern{}, refuse(CodePattern, "", "There is an invisible control character in the match.")
	}
	fields := strings.Fields(typography.Replace(match))
	p := Pattern{last: -1}
	for i, field := range fields {
		w, err := compileWord(field)
		if err != nil {
			return Pattern{}, err
		}
		if w.param != "" {
			if slices.Contains(p.params, w.param) {
				return Pattern{}, refuse(CodePattern, "", "The parameter %s stands twice in %s.", Quote("["+w.param+"]"), Quote(match))
			}
			p.params, p.last = append(p.params, w.param), i
		}
		p.words = append(p.words, w)
	}
	return p, p.check(match)
}

// check refuses what no sentence could ever match.
func (p Pattern) check(match string) error {
	if len(p.words) == 0 {
		return refuse(CodePattern, "", "The match is empty; it needs at least one word.")
	}
	last := p.words[len(p.words)-1]
	tail := last.suf
	if last.param == "" {
		tail = last.pre
	}
	if n := len(tail); n > 0 && (tail[n-1] == '.' || tail[n-1] == '`') {
		return refuse(CodePattern, "", "%s ends with %s, which is taken off what people type, so it could never match.", Quote(match), string(tail[n-1]))
	}
	for _, w := range p.words {
		if name, _, _ := strings.Cut(string(w.pre), "="); isFlag(name) {
			return refuse(CodePattern, "", "%s is an option of every command, so %s could never match.", Quote(name), Quote(match))
		}
	}
	return nil
}

func compileWord(field string) (patternWord, error) {
	pre, rest, opens := strings.Cut(field, "[")
	name, suf, closes := strings.Cut(rest, "]")
	switch {
	case !opens && !strings.Contains(field, "]"):
		return patternWord{pre: folded(field)}, nil
	case !opens || !closes || strings.Contains(pre, "]"):
		return patternWord{}, refuse(CodePattern, "", "A bracket in %s is without its other half. A parameter is one word in brackets, such as `[name]`.", Quote(field))
	case strings.ContainsAny(suf, "[]"):
		return patternWord{}, refuse(CodePattern, "", "%s holds more than one parameter. Put a space between them, so that it is clear where one ends.", Quote(field))
	case !validKey(name):
		return patternWord{}, refuse(CodePattern, "", "%s is not the name of a parameter: letters, digits, _ and -, starting with a letter.", Quote(name))
	}
	return patternWord{param: name, pre: folded(pre), suf: folded(suf)}, nil
}

// Params lists the names of the parameters, in their order.
func (p Pattern) Params() []string { return slices.Clone(p.params) }

// Match reads the values out of a text; false if it does not fit as a whole.
// Blanks between words count as one space. It takes time linear in the text,
// and texts beyond MaxText characters never match.
func (p Pattern) Match(text string) (map[string]string, bool) {
	if len(p.words) == 0 || utf8.RuneCountInString(text) > MaxText {
		return nil, false
	}
	said := strings.Fields(text)
	surplus := len(said) - len(p.words)
	if surplus < 0 || surplus > 0 && p.last < 0 {
		return nil, false
	}
	values := make(map[string]string, len(p.params))
	for i, w := range p.words {
		from, to := i, i+1
		if p.last >= 0 && i >= p.last {
			to += surplus
		}
		if p.last >= 0 && i > p.last {
			from += surplus
		}
		value, ok := w.match(strings.Join(said[from:to], " "))
		if !ok {
			return nil, false
		}
		if w.param != "" {
			values[w.param] = value
		}
	}
	return values, true
}

// match is the value of the word's parameter in a piece of text.
func (w patternWord) match(piece string) (string, bool) {
	runes, plain := []rune(piece), folded(piece)
	if w.param == "" {
		return "", slices.Equal(plain, w.pre)
	}
	from, to := len(w.pre), len(runes)-len(w.suf)
	if from >= to || !slices.Equal(plain[:from], w.pre) || !slices.Equal(plain[to:], w.suf) {
		return "", false
	}
	value := runes[from:to]
	if unicode.IsSpace(value[0]) || unicode.IsSpace(value[len(value)-1]) {
		return "", false
	}
	return string(value), true
}

// folded is a text in which case does not count: each character stands for all
// that Unicode's simple folding makes equal, one for one.
func folded(text string) []rune {
	runes := []rune(text)
	for i, r := range runes {
		runes[i] = foldRune(r)
	}
	return runes
}

func foldRune(r rune) rune {
	least := r
	for next := unicode.SimpleFold(r); next != r; next = unicode.SimpleFold(next) {
		least = min(least, next)
	}
	return unicode.ToLower(least)
}
