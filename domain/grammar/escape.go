package grammar

import (
	"regexp"
	"strings"
	"unicode"
	"unicode/utf8"
)

const (
	// MaxEscaped is the most bytes that Escape, Code and Fence return: a text
	// of a block must stay below 3,000 characters, marks included.
	MaxEscaped = 2900
	// MaxQuoted is the most characters of a word that a sentence echoes.
	MaxQuoted = 120

	ellipsis = "…"
	// joiner is an invisible character that keeps a broadcast word from being
	// one.
	joiner = "\u2060"
)

var broadcast = regexp.MustCompile(`(?i)@(here|channel|everyone|group)`)

// Escape makes raw text safe to show in Slack's mrkdwn: it appears as it was
// typed, pings nobody and links nothing. Formatting marks stay, so a sentence
// keeps its *bold* and its `code`; use Code or Fence for text whose own marks
// must not count. Control characters are removed, invalid bytes become
// U+FFFD, and the answer has at most MaxEscaped bytes.
func Escape(text string) string { return escapeWithin(text, MaxEscaped) }

// EscapeWithin is Escape for a text that has room of its own, such as a message
// without blocks: the answer has at most limit bytes.
func EscapeWithin(text string, limit int) string { return escapeWithin(text, limit) }

// Code is Escape for a value shown as inline code, marks included.
func Code(text string) string { return Escape(Quote(text)) }

// Fence is Escape for lines shown as a block of code, marks included. The end
// is kept when it is too long, as in a log.
func Fence(text string) string {
	const fence = "```"
	room := MaxEscaped - 2*len(fence) - 2 - len(ellipsis)
	text = strings.ReplaceAll(clean(text[max(0, len(text)-MaxEscaped):]), "`", "ˋ")
	body := escapeWithin(text, len(text)*len("&amp;")+len(text)*len(joiner))
	if len(body) > room {
		body = ellipsis + safeTail(body, room)
	}
	return fence + "\n" + strings.TrimRight(body, "\n") + "\n" + fence
}

// safeTail keeps the last bytes without cutting a character or an entity.
func safeTail(body string, room int) string {
	tail := body[len(body)-room:]
	for len(tail) > 0 && !utf8.RuneStart(tail[0]) {
		tail = tail[1:]
	}
	if semi := strings.IndexByte(tail, ';'); semi >= 0 && semi < len("amp;") {
		return tail[semi+1:]
	}
	return tail
}

// Quote puts a word into `code` marks for a sentence: on one line, without
// marks of its own, not longer than MaxQuoted characters. The answer is raw
// text, to be escaped with the sentence.
func Quote(word string) string {
	word = strings.Join(strings.Fields(clean(word)), " ")
	word = strings.ReplaceAll(word, "`", "ˋ")
	if word == "" {
		return "(nothing)"
	}
	return "`" + truncate(word, MaxQuoted) + "`"
}

func escapeWithin(text string, limit int) string {
	text = broadcast.ReplaceAllString(clean(text), "@"+joiner+"$1")
	var b strings.Builder
	for _, r := range text {
		piece := string(r)
		switch r {
		case '&':
			piece = "&amp;"
		case '<':
			piece = "&lt;"
		case '>':
			piece = "&gt;"
		}
		if b.Len()+len(piece) > limit-len(ellipsis) {
			return b.String() + ellipsis
		}
		b.WriteString(piece)
	}
	return b.String()
}

// clean removes what must never be shown: control characters but line feeds
// and tabs, and marks that reorder or hide text around them.
func clean(text string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == '\n' || r == '\t':
			return r
		case unicode.IsControl(r), r >= '\u202a' && r <= '\u202e', r >= '\u2060' && r <= '\u206f',
			r == '\u200b', r == '\u200e', r == '\u200f', r == '\ufeff', r == '\u2028', r == '\u2029':
			return -1
		}
		return r
	}, strings.ToValidUTF8(text, "\ufffd"))
}

// truncate keeps at most n characters, an ellipsis counted in.
func truncate(text string, n int) string {
	if utf8.RuneCountInString(text) <= n {
		return text
	}
	runes := []rune(text)
	return string(runes[:n-1]) + ellipsis
}
