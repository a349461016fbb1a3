package grammar

import (
	"strings"
	"time"
)

// The options that may end the sentence of a job.
const (
	flagIn          = "--in"
	flagAt          = "--at"
	flagDespiteHold = "--despite-hold"

	// maxMoment is the most words of --at: a day, a time and a zone.
	maxMoment = 3
)

func isFlag(word string) bool {
	return strings.EqualFold(word, flagIn) || strings.EqualFold(word, flagAt) || strings.EqualFold(word, flagDespiteHold)
}

// token is a word of a plain line; literal when it stands in quotes.
type token struct {
	text    string
	literal bool
}

func (t token) is(keyword string) bool { return !t.literal && strings.EqualFold(t.text, keyword) }

// tokens cuts a plain line at its spaces and notes what stands in quotes. A
// quote opens at the beginning of a word, or after a =, and closes at the end of
// one; any other, such as an apostrophe, is none.
func tokens(line string) []token {
	fields := strings.Fields(line)
	out := make([]token, len(fields))
	for i, f := range fields {
		out[i].text = f
	}
	for i := 0; i < len(out); i++ {
		end := closing(fields, i)
		for j := i; j <= end; j++ {
			out[j].literal = true
		}
		i = max(i, end)
	}
	return out
}

// closing is the index of the word that ends the quote which fields[i] opens;
// -1 when it opens none.
func closing(fields []string, i int) int {
	open := fields[i]
	if _, value, ok := strings.Cut(open, "="); ok && value != "" && (value[0] == '"' || value[0] == '\'') {
		open = value
	}
	quote := open[:1]
	if quote != `"` && quote != "'" {
		return -1
	}
	if len(open) > 1 && strings.HasSuffix(open, quote) {
		return i
	}
	for j := i + 1; j < len(fields); j++ {
		if strings.HasSuffix(fields[j], quote) {
			return j
		}
	}
	return -1
}

func joined(ts []token) string {
	texts := make([]string, len(ts))
	for i, t := range ts {
		texts[i] = t.text
	}
	return strings.Join(texts, " ")
}

// cutFlags takes the options off the end of a job's words.
func (s *Sentence) cutFlags(ts []token) ([]token, error) {
	ts, err := s.cutDespiteHold(ts)
	if err != nil {
		return nil, err
	}
	for {
		rest, found, err := s.cutFlag(ts)
		if err != nil {
			return nil, err
		}
		if !found {
			return ts, nil
		}
		ts = rest
	}
}

// cutDespiteHold takes off --despite-hold and the reason behind it.
func (s *Sentence) cutDespiteHold(ts []token) ([]token, error) {
	for i, t := range ts {
		value, ok := t.flag(flagDespiteHold, ts[i+1:])
		if !ok {
			continue
		}
		reason, err := reasonOf(flagDespiteHold, value)
		if err != nil {
			return nil, err
		}
		var lost Sentence
		if _, found, err := lost.cutFlag(value); found || err != nil {
			return nil, refuse(CodeUsage, usageJob, "`%s` takes the rest of the line as its reason, so it must be the last option. Nothing was started.", flagDespiteHold)
		}
		s.DespiteHold = reason
		return ts[:i], nil
	}
	return ts, nil
}

// flag is the value of an option, which stands behind it, or behind a = in it.
func (t token) flag(name string, behind []token) ([]token, bool) {
	typed, value, equals := strings.Cut(t.text, "=")
	switch {
	case t.literal || !strings.EqualFold(typed, name):
		return nil, false
	case equals:
		return append([]token{{text: value}}, behind...), true
	default:
		return behind, true
	}
}

// cutFlag takes off one --in or --at with its value, if ts ends with one.
func (s *Sentence) cutFlag(ts []token) (rest []token, found bool, err error) {
	for i := len(ts) - 1; i >= 0 && i >= len(ts)-1-maxMoment; i-- {
		if value, ok := ts[i].flag(flagIn, ts[i+1:]); ok {
			if len(value) > 1 {
				return ts, false, nil // in the midst of other words it is one of them
			}
			return ts[:i], true, s.setIn(unquoted(value))
		}
		if value, ok := ts[i].flag(flagAt, ts[i+1:]); ok {
			return ts[:i], true, s.setAt(unquoted(value))
		}
	}
	return ts, false, nil
}

func unquoted(ts []token) string { return strings.Trim(joined(ts), `"'`) }

func (s *Sentence) setIn(value string) error {
	in, ok := parseSpan(value, MaxAhead)
	if !ok {
		return refuse(CodeUsage, usageJob, "`%s` needs a length of time behind it, such as `10m`, `2h` or `3d`, at most %d days; I read %s. To say it literally, put it in quotes. Nothing was started.", flagIn, int(MaxAhead/(24*time.Hour)), Quote(value))
	}
	if s.later() {
		return tooManyTimes()
	}
	s.In = in
	return nil
}

func (s *Sentence) setAt(value string) error {
	if _, err := readMoment(plainTime(value)); err != nil {
		return refuse(CodeUsage, usageJob, "`%s` needs a time behind it, such as `14:30` or `2026-12-24 14:30`; I read %s. To say it literally, put it in quotes. Nothing was started.", flagAt, Quote(value))
	}
	if s.later() {
		return tooManyTimes()
	}
	s.At = value
	return nil
}

func (s *Sentence) later() bool { return s.In > 0 || s.At != "" }

func tooManyTimes() error {
	return refuse(CodeUsage, usageJob, "One `%s` or one `%s`, not more: when shall it start? Nothing was started.", flagIn, flagAt)
}
