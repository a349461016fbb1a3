package python

import (
	"slices"
	"strings"
)

// texts joins strings that stand side by side.
func (p *parser) texts() *expression {
	e := &expression{op: opFormat, line: p.peek().line}
	for p.peek().kind == kindString {
		t := p.peek()
		p.pos++
		switch {
		case t.bytes:
			return p.give("bytes are not read")
		case t.formatted:
			p.formatted(e, t)
		default:
			e.items = append(e.items, item{value: &expression{op: opString, text: t.text, line: t.line}})
		}
	}
	if len(e.items) == 1 && e.items[0].value.op == opString {
		return e.items[0].value
	}
	if !slices.ContainsFunc(e.items, func(i item) bool { return i.value.op != opString }) {
		var b strings.Builder
		for _, i := range e.items {
			b.WriteString(i.value.text)
		}
		return &expression{op: opString, text: b.String(), line: e.line}
	}
	return e
}

// formatted splits the body of an f-string into texts and expressions.
func (p *parser) formatted(e *expression, t token) {
	var literal strings.Builder
	flush := func() {
		text := literal.String()
		if !t.raw {
			plain, err := unescape(text)
			if err != nil {
				p.give(err.Error())
				return
			}
			text = plain
		}
		e.items = append(e.items, item{value: &expression{op: opString, text: text, line: t.line}})
		literal.Reset()
	}
	body := t.text
	for i := 0; i < len(body) && p.why == ""; i++ {
		switch c := body[i]; {
		case (c == '{' || c == '}') && i+1 < len(body) && body[i+1] == c:
			literal.WriteByte(c)
			i++
		case c == '}':
			p.give("a } of a formatted text has no {")
		case c == '{':
			flush()
			end := closing(body, i+1)
			if end < 0 {
				p.give("a { of a formatted text is not closed")
				return
			}
			e.items = append(e.items, item{value: p.hole(body[i+1:end], t.line)})
			i = end
		default:
			literal.WriteByte(c)
		}
	}
	flush()
}

// closing finds the brace that ends a hole; quotes and brackets inside nest.
func closing(body string, i int) int {
	depth, quote := 0, byte(0)
	for ; i < len(body); i++ {
		switch c := body[i]; {
		case quote != 0:
			if c == quote {
				quote = 0
			}
		case c == '\'' || c == '"':
			quote = c
		case c == '(' || c == '[' || c == '{':
			depth++
		case c == '}' && depth == 0:
			return i
		case c == ')' || c == ']' || c == '}':
			depth--
		}
	}
	return -1
}

// hole is the expression between the braces of a formatted text.
func (p *parser) hole(text string, line int) *expression {
	text = strings.TrimSuffix(strings.TrimSpace(text), "!s")
	tokens := lex(text)
	for i := range tokens {
		tokens[i].line = line
	}
	e := parseNested(tokens[:len(tokens)-1], p.depth+1)
	if e.op == opUnknown {
		return p.give("a formatted text holds {" + Shorten(text) + "}, which is not read: " + e.text)
	}
	return e
}

// Shorten cuts a text that is quoted in a sentence.
func Shorten(text string) string {
	const most = 60
	runes := []rune(strings.Join(strings.Fields(text), " "))
	if len(runes) > most {
		return string(runes[:most-1]) + "…"
	}
	return string(runes)
}
