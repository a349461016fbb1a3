package grammar

import (
	"sort"
	"strings"
	"unicode"
	"unicode/utf8"
)

// word is one piece of a sentence.
type word struct {
	text string
	// quoted is true when any part stood in quotes: then it is no keyword.
	quoted bool
	// equals is the byte offset of the first = outside quotes; -1 without one.
	equals int
}

func (w word) is(keyword string) bool { return !w.quoted && strings.EqualFold(w.text, keyword) }

// split cuts normalised text at white space. Single and double quotes keep
// white space together; inside double quotes a backslash keeps a quote or a
// backslash literal.
func split(text string) ([]word, error) {
	if strings.ContainsFunc(text, hidden) {
		return nil, invisible()
	}
	var (
		words   []word
		current strings.Builder
		w       = word{equals: -1}
		quote   rune
		escaped bool
		inWord  bool
	)
	for _, r := range text {
		switch {
		case escaped:
			if r != '"' && r != '\\' {
				current.WriteByte('\\')
			}
			current.WriteRune(r)
			escaped = false
		case quote == '"' && r == '\\':
			escaped = true
		case quote != 0 && r == quote:
			quote = 0
		case quote != 0:
			current.WriteRune(r)
		case r == '"' || r == '\'':
			quote, inWord, w.quoted = r, true, true
		case unicode.IsSpace(r):
			if inWord {
				w.text = current.String()
				words = append(words, w)
			}
			current.Reset()
			w, inWord = word{equals: -1}, false
		default:
			if r == '=' && w.equals < 0 && !w.quoted {
				w.equals = current.Len()
			}
			current.WriteRune(r)
			inWord = true
		}
	}
	if quote != 0 {
		return nil, refuse(CodeQuotes, "", "A quote (%s) is opened and never closed. Nothing was done.", string(quote))
	}
	if inWord {
		w.text = current.String()
		words = append(words, w)
	}
	return words, nil
}

func invisible() error {
	return refuse(CodeChars, "", "There is an invisible control character in that text. Nothing was done; please type it again.")
}

// hidden says whether a character is a control character, which has no place
// in a sentence. White space that is one line is not.
func hidden(r rune) bool { return unicode.IsControl(r) && r != '\t' }

// String is the sentence as Slack delivers it when a person types it after
// /slipway, with &, < and > encoded. Parsing it gives the same sentence again,
// so it can stand behind a button.
func (s Sentence) String() string {
	words := []string{string(s.Verb)}
	add := func(w string) {
		if w != "" {
			words = append(words, w)
		}
	}
	switch s.Verb {
	case VerbDeploy:
		target := bare(s.Service)
		if s.Ref != "" {
			target += "@" + bare(s.Ref)
		}
		add(target)
		if s.Environment != "" {
			words = append(words, "to", bare(s.Environment))
		}
		for _, k := range sortedKeys(s.Parameters) {
			words = append(words, k+"="+doubleQuoted(s.Parameters[k]))
		}
	case VerbAnswer:
		words[0] = s.Answer
		add(s.Run)
	case VerbStatus:
		add(bare(s.Service))
	case VerbRetry, VerbCancel:
		add(s.Run)
	case VerbLogs:
		add(s.Run)
		add(bare(s.Step))
		add(s.Part)
		add(s.Stream)
	case VerbJob:
		words = append([]string{s.Namespace}, s.jobWords()...)
	case VerbJobs, VerbSchedules:
		add(bare(s.Namespace))
	case VerbHistory:
		add(bare(s.Job))
		if s.By != "" {
			words = append(words, "by", bare(s.By))
		}
		if s.Since != "" {
			words = append(words, "since", s.Since)
		}
		add(s.Outcome)
	case VerbHold:
		add(bare(s.Job))
		add(s.Window)
	case VerbRelease:
		add(bare(s.Job))
	case VerbSchedule:
		words = append(words, s.Action, bare(s.Schedule))
	case VerbAway:
		add(s.Action)
		add(bare(s.Relay))
		if s.From != "" {
			words = append(words, "from", s.From, "to", s.Until)
		}
	case VerbLanes:
		add(bare(s.Lane))
	case VerbHelp:
		add(bare(s.Topic))
	}
	if s.Reason != "" {
		words = append(words, because, s.Reason)
	}
	return encode.Replace(strings.Join(words, " "))
}

var encode = strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;")

// keywords mean something of their own in some sentence.
var keywords = []string{
	because, "by", "since", "from", "until", "for", "today", "tomorrow", PartHead, PartTail, PartAll, "stdout", "stderr",
	OutcomeSucceeded, OutcomeFailed, OutcomeCancelled, "canceled", "timed", "timed-out", "timeout",
}

// bare leaves a plain word as it is and puts quotes around any other.
func bare(w string) string {
	if w == "" {
		return ""
	}
	for _, k := range append(Reserved(), keywords...) {
		if strings.EqualFold(k, w) {
			return doubleQuoted(w)
		}
	}
	plain := func(r rune) bool {
		return r == '-' || r == '_' || r == '.' || r == '/' || r == '*' || r < utf8.RuneSelf && (unicode.IsLetter(r) || unicode.IsDigit(r))
	}
	if strings.IndexFunc(w, func(r rune) bool { return !plain(r) }) < 0 && !strings.HasSuffix(w, ".") {
		return w
	}
	return doubleQuoted(w)
}

func doubleQuoted(w string) string {
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(w) + `"`
}

func sortedKeys(m map[string]string) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	sort.Strings(keys)
	return keys
}
