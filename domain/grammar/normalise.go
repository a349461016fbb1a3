package grammar

import (
	"regexp"
	"strings"
)

var (
	// slackToken is anything that Slack puts in angle brackets; a person's own
	// brackets arrive as &lt; and &gt;.
	slackToken = regexp.MustCompile(`<([^<>|\n]+)(?:\|([^<>\n]*))?>`)
	mention    = regexp.MustCompile(`<@([UW][A-Z0-9]+)(?:\|[^<>\n]*)?>`)

	// typography undoes what keyboards and clients do to plain text.
	typography = strings.NewReplacer(
		"\u201c", `"`, "\u201d", `"`, "\u201e", `"`, "\u00ab", `"`, "\u00bb", `"`,
		"\u2018", "'", "\u2019", "'", "\u201a", "'",
		"\u00a0", " ", "\u202f", " ", "\u2007", " ", "\u3000", " ",
		"\u200b", "", "\u2060", "", "\ufeff", "", "\u00ad", "",
	)
	// entities decodes the three that Slack encodes, once.
	entities = strings.NewReplacer("&amp;", "&", "&lt;", "<", "&gt;", ">")
)

// Normalise gives the text that a person meant: links, mentions and channels
// without Slack's brackets, entities decoded, straight quotes, plain single
// spaces, no code marks around the whole, no full stops at the end. It never
// fails; control characters are left for the parser to refuse.
func Normalise(text string) string {
	text = slackToken.ReplaceAllStringFunc(text, plainToken)
	text = entities.Replace(text)
	text = typography.Replace(text)
	text = strings.Trim(strings.TrimSpace(text), "`")
	text = strings.TrimRight(collapse(text), ". ")
	return text
}

// collapse makes each run of blanks outside quotes one space.
func collapse(text string) string {
	var b strings.Builder
	var quote rune
	blank, escaped := false, false
	for _, r := range strings.TrimSpace(text) {
		if escaped {
			b.WriteRune(r)
			escaped = false
			continue
		}
		if quote == 0 && (r == ' ' || r == '\t') {
			blank = true
			continue
		}
		if blank {
			b.WriteByte(' ')
			blank = false
		}
		switch {
		case quote == '"' && r == '\\':
			escaped = true
		case quote == r:
			quote = 0
		case quote == 0 && (r == '"' || r == '\''):
			quote = r
		}
		b.WriteRune(r)
	}
	return b.String()
}

// plainToken is what a person typed to make Slack write this token.
func plainToken(token string) string {
	m := slackToken.FindStringSubmatch(token)
	target, label := m[1], m[2]
	switch target[0] {
	case '@', '#':
		if label != "" {
			return target[:1] + strings.TrimLeft(label, "@#")
		}
		return target
	case '!':
		if label != "" {
			return label
		}
		return "@" + target[1:]
	}
	// An automatic link repeats its label; any other keeps its address.
	for _, scheme := range []string{"http://", "https://", "mailto:", "tel:"} {
		if label != "" && strings.TrimSuffix(target, "/") == scheme+strings.TrimSuffix(label, "/") {
			return label
		}
	}
	return target
}

// afterMention cuts everything up to the last mention of the bot. Text without
// one is the sentence itself, as in a direct message.
func afterMention(text, bot string) string {
	end := -1
	for _, m := range mention.FindAllStringSubmatchIndex(text, -1) {
		if bot == "" || text[m[2]:m[3]] == bot {
			end = m[1]
		}
	}
	if end < 0 {
		return text
	}
	return strings.TrimLeft(text[end:], " \t:,")
}
