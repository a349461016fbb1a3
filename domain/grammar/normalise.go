package grammar

import (
	"regexp"
	"slices"
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
		"\t", " ", "\u200b", "", "\u2060", "", "\ufeff", "", "\u00ad", "",
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

// plainLine is Normalise for words that are passed on as they are: quotes mean
// nothing, so every run of blanks becomes one space, and code marks go only
// where they enclose the whole.
func plainLine(text string) string {
	text = slackToken.ReplaceAllStringFunc(text, plainToken)
	text = typography.Replace(entities.Replace(text))
	text = withoutStops(strings.Join(strings.Fields(text), " "))
	inner := strings.Trim(text, "`")
	if len(inner) < len(text) && text[0] == '`' && text[len(text)-1] == '`' && !strings.Contains(inner, "`") {
		text = withoutStops(strings.TrimSpace(inner))
	}
	return text
}

func withoutStops(text string) string { return strings.TrimRight(text, ". ") }

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

// AfterMention cuts everything up to the last mention of one of the bots, and
// what stands between a name and a sentence. It is false, and the text
// unchanged, when none of them is mentioned.
func AfterMention(text string, bots ...string) (string, bool) {
	end := -1
	for _, m := range mention.FindAllStringSubmatchIndex(text, -1) {
		if slices.Contains(bots, text[m[2]:m[3]]) {
			end = m[1]
		}
	}
	if end < 0 {
		return text, false
	}
	return strings.TrimLeft(text[end:], " \t:,"), true
}

// addressed takes off the bot's name. Of a bot whose id is not known only a
// mention right at the beginning can be one: any other may be an argument.
func addressed(text, bot string) string {
	if bot == "" {
		if m := mention.FindStringSubmatch(strings.TrimSpace(text)); m != nil && strings.HasPrefix(strings.TrimSpace(text), m[0]) {
			return strings.TrimLeft(strings.TrimSpace(text)[len(m[0]):], " \t:,")
		}
		return text
	}
	text, _ = AfterMention(text, bot)
	return text
}
