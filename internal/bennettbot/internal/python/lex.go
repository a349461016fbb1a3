package python

import (
	"fmt"
	"strings"
	"unicode/utf8"
)

// Bounds of what is read. A configuration written by people stays far below
// them; beyond them a file is refused or a value unknown.
const (
	// maxDepth of brackets, and of calls within calls.
	maxDepth = 60
	// maxChain of operators or calls side by side.
	maxChain = 1000
	// maxSteps of evaluation in all.
	maxSteps = 200_000
	// maxText is the longest text that may be put together, and maxMade all such
	// texts of a file together, in bytes.
	maxText = 64 << 10
	maxMade = 8 << 20
	// maxItems of one list or dict.
	maxItems = 10_000
)

type kind int

const (
	kindEnd kind = iota
	kindLine
	kindName
	kindNumber
	kindString
	kindOperator
	kindBroken
)

// token is one word of Python.
type token struct {
	kind kind
	// text of a name, number or operator; why a broken one is; the value of a
	// string, or the body of a formatted one.
	text string
	line int
	// column of the first character, and whether a logical line begins here.
	column int
	first  bool
	// formatted: f"…"; text is not unescaped yet when raw is false.
	formatted, raw, bytes bool
}

func (t token) is(operator string) bool { return t.kind == kindOperator && t.text == operator }

func (t token) named(name string) bool { return t.kind == kindName && t.text == name }

type lexer struct {
	src   string
	pos   int
	line  int
	start int // of the current line
	depth int
	fresh bool // the next token begins a logical line
	out   []token
}

// lex splits a file. It never fails: what is no Python is a broken token.
// See The Python Language Reference, 2. Lexical analysis.
func lex(src string) []token {
	l := &lexer{src: src, line: 1, fresh: true}
	for l.pos < len(l.src) {
		l.next()
	}
	l.newline()
	l.add(token{kind: kindEnd, line: l.line})
	return l.out
}

func (l *lexer) add(t token) {
	t.first, l.fresh = l.fresh && t.kind != kindLine && t.kind != kindEnd, t.kind == kindLine
	l.out = append(l.out, t)
}

// newline ends a logical line that has begun.
func (l *lexer) newline() {
	if !l.fresh {
		l.add(token{kind: kindLine, line: l.line})
	}
	l.fresh = true
}

func (l *lexer) next() {
	switch c := l.src[l.pos]; {
	case c == '\n':
		if l.depth == 0 {
			l.newline()
		}
		l.pos++
		l.line++
		l.start = l.pos
	case c == ' ' || c == '\t' || c == '\r' || c == '\f' || strings.HasPrefix(l.src[l.pos:], "\ufeff"):
		_, size := utf8.DecodeRuneInString(l.src[l.pos:])
		l.pos += size
	case c == '#':
		if end := strings.IndexByte(l.src[l.pos:], '\n'); end >= 0 {
			l.pos += end
		} else {
			l.pos = len(l.src)
		}
	case c == '\\' && (strings.HasPrefix(l.src[l.pos:], "\\\n") || strings.HasPrefix(l.src[l.pos:], "\\\r\n")):
		l.pos += strings.IndexByte(l.src[l.pos:], '\n') + 1
		l.line++
		l.start = l.pos
	default:
		l.word(c)
	}
}

func (l *lexer) word(c byte) {
	if prefix, ok := stringAt(l.src[l.pos:]); ok {
		l.text(prefix)
		return
	}
	t := token{line: l.line, column: l.pos - l.start}
	end := l.pos
	switch {
	case isLetter(c):
		t.kind = kindName
		for end < len(l.src) && (isLetter(l.src[end]) || isDigit(l.src[end])) {
			end++
		}
	case isDigit(c) || c == '.' && end+1 < len(l.src) && isDigit(l.src[end+1]):
		t.kind = kindNumber
		for end < len(l.src) && (isLetter(l.src[end]) || isDigit(l.src[end]) || l.src[end] == '.') {
			end++
		}
	default:
		t.kind, end = kindOperator, end+operatorAt(l.src[l.pos:])
	}
	t.text = l.src[l.pos:end]
	l.brackets(t)
	l.pos = end
	l.add(t)
}

// brackets counts open ones: inside, lines are joined.
func (l *lexer) brackets(t token) {
	switch {
	case t.kind != kindOperator:
	case strings.Contains("([{", t.text):
		l.depth++
	case strings.Contains(")]}", t.text):
		l.depth = max(0, l.depth-1)
	}
}

func isLetter(c byte) bool {
	return c == '_' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= utf8.RuneSelf
}

func isDigit(c byte) bool { return c >= '0' && c <= '9' }

var operators = []string{"**=", "//=", ">>=", "<<=", "...", "**", "//", ">>", "<<", "<=", ">=", "==", "!=", "->", "+=", "-=", "*=", "/=", "%=", "&=", "|=", "^=", ":=", "@="}

func operatorAt(text string) int {
	for _, o := range operators {
		if strings.HasPrefix(text, o) {
			return len(o)
		}
	}
	_, size := utf8.DecodeRuneInString(text)
	return size
}

// stringAt returns the prefix letters when a string begins here.
func stringAt(text string) (prefix string, ok bool) {
	end := 0
	for end < len(text) && end < 2 && strings.IndexByte("rRbBuUfFtT", text[end]) >= 0 {
		end++
	}
	return text[:end], end < len(text) && (text[end] == '"' || text[end] == '\'')
}

// text reads a string of one of the four quotes.
func (l *lexer) text(prefix string) {
	low := strings.ToLower(prefix)
	t := token{kind: kindString, line: l.line, column: l.pos - l.start, raw: strings.Contains(low, "r"), formatted: strings.ContainsAny(low, "ft"), bytes: strings.Contains(low, "b")}
	l.pos += len(prefix)
	quote := l.src[l.pos : l.pos+1]
	if strings.HasPrefix(l.src[l.pos:], strings.Repeat(quote, 3)) {
		quote = strings.Repeat(quote, 3)
	}
	l.pos += len(quote)
	begin := l.pos
	for l.pos < len(l.src) {
		switch {
		case strings.HasPrefix(l.src[l.pos:], quote):
			body := l.src[begin:l.pos]
			l.pos += len(quote)
			l.finish(t, body)
			return
		case l.src[l.pos] == '\n' && len(quote) == 1:
			l.add(token{kind: kindBroken, text: "a text is opened and not closed on its line", line: t.line})
			return
		case l.src[l.pos] == '\\' && l.pos+1 < len(l.src):
			l.pos++
			if l.src[l.pos] == '\r' && l.pos+1 < len(l.src) && l.src[l.pos+1] == '\n' {
				l.pos++
			}
		}
		if l.src[l.pos] == '\n' {
			l.line++
			l.start = l.pos + 1
		}
		l.pos++
	}
	l.add(token{kind: kindBroken, text: "a text is opened and never closed", line: t.line})
}

func (l *lexer) finish(t token, body string) {
	body = strings.ReplaceAll(body, "\r\n", "\n")
	if t.text = body; !t.raw && !t.formatted {
		plain, err := unescape(body)
		if err != nil {
			t = token{kind: kindBroken, text: err.Error(), line: t.line}
		} else {
			t.text = plain
		}
	}
	l.add(t)
}

var simpleEscapes = map[byte]string{'\\': `\`, '\'': "'", '"': `"`, 'a': "\a", 'b': "\b", 'f': "\f", 'n': "\n", 'r': "\r", 't': "\t", 'v': "\v", '\n': ""}

// hexEscapes are the digits after \x, \u and \U.
var hexEscapes = map[byte]int{'x': 2, 'u': 4, 'U': 8}

// unescape reads the escapes of a text that is not raw.
func unescape(body string) (string, error) {
	if !strings.Contains(body, `\`) {
		return body, nil
	}
	var b strings.Builder
	for i := 0; i < len(body); i++ {
		c := body[i]
		if c != '\\' || i+1 == len(body) {
			b.WriteByte(c)
			continue
		}
		i++
		c = body[i]
		if plain, ok := simpleEscapes[c]; ok {
			b.WriteString(plain)
			continue
		}
		used, err := codeEscape(&b, body[i:])
		if err != nil {
			return "", err
		}
		i += used - 1
	}
	return b.String(), nil
}

// codeEscape reads an escape by number and returns its length; an unknown one
// stands for itself.
func codeEscape(b *strings.Builder, rest string) (int, error) {
	c := rest[0]
	base, digits := 16, hexEscapes[c]
	begin := 1
	switch {
	case c == 'N':
		return 0, fmt.Errorf(`characters by name (\N{…}) are not read`)
	case c >= '0' && c <= '7':
		base, digits, begin = 8, 1, 0
		for digits < 3 && digits < len(rest) && rest[digits] >= '0' && rest[digits] <= '7' {
			digits++
		}
	case digits == 0:
		b.WriteString(`\` + string(c))
		return 1, nil
	}
	if begin+digits > len(rest) {
		return 0, fmt.Errorf(`an escape \%c is too short`, c)
	}
	var n rune
	if _, err := fmt.Sscanf(rest[begin:begin+digits], map[int]string{8: "%o", 16: "%x"}[base], &n); err != nil || !utf8.ValidRune(n) {
		return 0, fmt.Errorf(`an escape \%c has no character`, c)
	}
	b.WriteRune(n)
	return begin + digits, nil
}
