package relay

import (
	"regexp"
	"strings"
	"unicode"
	"unicode/utf8"
)

// masked are the parts of a message in which a word is no call for anybody:
// code, and whatever Slack puts between angle brackets (links with their labels,
// people, channels).
var masked = []*regexp.Regexp{
	regexp.MustCompile("(?s)```.*?(?:```|$)"),
	regexp.MustCompile("`[^`\n]+`"),
	regexp.MustCompile(`<[^<>\n]*>`),
}

// gap stands where something was masked: no letter, so that what it parts are
// not joined, and no part of a word.
const gap = "\x00"

// Mentions tells whether a text, in Slack's mrkdwn, holds one of the keywords as
// a word of its own, in any case: not within a longer or hyphenated word, an
// address of any kind, or code.
func Mentions(keywords []string, text string) bool {
	for _, m := range masked {
		text = m.ReplaceAllLiteralString(text, gap)
	}
	for word := range strings.FieldsSeq(strings.ReplaceAll(text, gap, " "+gap+" ")) {
		if strings.Contains(word, "://") || strings.Contains(word, "@") {
			continue // an address that Slack did not take for a link
		}
		for _, keyword := range keywords {
			if holds(word, keyword) {
				return true
			}
		}
	}
	return phrase(keywords, text)
}

// phrase is for keywords of several words.
func phrase(keywords []string, text string) bool {
	joined := strings.Join(strings.Fields(text), " ")
	for _, keyword := range keywords {
		if k := strings.Join(strings.Fields(keyword), " "); strings.Contains(k, " ") && holds(joined, k) {
			return true
		}
	}
	return false
}

// holds finds keyword in word where no part of a longer word, name or path is
// beside it.
func holds(word, keyword string) bool {
	word, keyword = strings.ToLower(word), strings.ToLower(keyword)
	if keyword == "" {
		return false
	}
	for from := 0; ; {
		at := strings.Index(word[from:], keyword)
		if at < 0 {
			return false
		}
		at += from
		end := at + len(keyword)
		before, _ := utf8.DecodeLastRuneInString(word[:at])
		after, _ := utf8.DecodeRuneInString(word[end:])
		if (at == 0 || !binds(before)) && (end == len(word) || !bindsAfter(after, word[end:])) {
			return true
		}
		_, size := utf8.DecodeRuneInString(word[at:])
		from = at + size
	}
}

// binds are the characters that make a longer word, name or path.
func binds(r rune) bool {
	return unicode.IsLetter(r) || unicode.IsDigit(r) || unicode.IsMark(r) || strings.ContainsRune("-_/.\\", r)
}

// bindsAfter lets a full stop end a sentence: it binds only what follows it.
func bindsAfter(r rune, rest string) bool {
	if r == '.' {
		next, size := utf8.DecodeRuneInString(strings.TrimLeft(rest, "."))
		return size > 0 && (unicode.IsLetter(next) || unicode.IsDigit(next))
	}
	return binds(r)
}
