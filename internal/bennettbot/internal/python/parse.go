package python

import (
	"slices"
	"strings"
)

// parser reads expressions from a run of tokens. It never fails: what it does
// not understand is an opUnknown expression, and the rest is skipped.
type parser struct {
	tokens []token
	pos    int
	depth  int
	// why parsing gave up; empty while all is well.
	why  string
	line int
}

// parseExpression reads tokens as one expression, or as a tuple without
// brackets, as the right side of an assignment may be.
func parseExpression(tokens []token) *expression {
	return parseNested(tokens, 0)
}

func parseNested(tokens []token, depth int) *expression {
	p := &parser{tokens: tokens, depth: depth}
	line := p.peek().line
	e := p.tupleOrOne()
	if p.why == "" && p.peek().kind != kindEnd {
		p.give("this is not an expression that is read here")
	}
	if p.why != "" {
		return &expression{op: opUnknown, text: p.why, line: max(p.line, line)}
	}
	return e
}

// give up, at the current token. The first reason counts.
func (p *parser) give(why string) *expression {
	if p.why == "" {
		p.why, p.line = why, p.peek().line
	}
	p.pos = len(p.tokens)
	return &expression{op: opUnknown, text: why, line: p.line}
}

func (p *parser) peek() token {
	for p.pos < len(p.tokens) && p.tokens[p.pos].kind == kindLine {
		p.pos++
	}
	if p.pos < len(p.tokens) {
		return p.tokens[p.pos]
	}
	last := 0
	if len(p.tokens) > 0 {
		last = p.tokens[len(p.tokens)-1].line
	}
	return token{kind: kindEnd, line: last}
}

func (p *parser) accept(operator string) bool {
	if p.peek().is(operator) {
		p.pos++
		return true
	}
	return false
}

func (p *parser) acceptName(name string) bool {
	if p.peek().named(name) {
		p.pos++
		return true
	}
	return false
}

func (p *parser) want(operator string) {
	if !p.accept(operator) {
		p.give("a " + operator + " is missing")
	}
}

func (p *parser) name() string {
	t := p.peek()
	if t.kind != kindName || slices.Contains(keywords, t.text) {
		p.give("a name is missing")
		return ""
	}
	p.pos++
	return t.text
}

// keywords that are no names.
var keywords = []string{"and", "as", "assert", "async", "await", "break", "class", "continue", "def", "del", "elif", "else", "except", "finally", "for", "from", "global", "if", "import", "in", "is", "lambda", "nonlocal", "not", "or", "pass", "raise", "return", "try", "while", "with", "yield"}

func (p *parser) tupleOrOne() *expression {
	first := p.one()
	if !p.peek().is(",") {
		return first
	}
	e := &expression{op: opTuple, line: first.line, items: []item{{value: first}}}
	for p.accept(",") && p.peek().kind != kindEnd {
		e.items = append(e.items, item{value: p.one()})
	}
	return e
}

// one reads an expression without commas.
func (p *parser) one() *expression {
	if p.depth++; p.depth > maxDepth {
		return p.give("it is nested too deeply")
	}
	defer func() { p.depth-- }()
	if t := p.peek(); t.named("lambda") {
		return p.lambda(t.line)
	}
	e := p.binary(0)
	if p.peek().is(":=") {
		return p.give("assignments inside expressions (:=) are not read")
	}
	if t := p.peek(); p.acceptName("if") {
		choice := &expression{op: opChoice, line: t.line, a: p.binary(0), b: e}
		if !p.acceptName("else") {
			return p.give("an else is missing")
		}
		choice.c = p.one()
		return choice
	}
	return e
}

func (p *parser) lambda(line int) *expression {
	p.pos++
	params := p.params(":")
	return &expression{op: opLambda, line: line, params: params, a: p.one()}
}

// params of a function, up to and with the closing operator.
func (p *parser) params(end string) []param {
	var out []param
	for p.why == "" && !p.accept(end) {
		if p.accept("*") || p.accept("**") || p.accept("/") {
			p.give("functions with *, ** or / among their parameters are not read")
			break
		}
		one := param{name: p.name()}
		if end == ")" && p.accept(":") {
			p.one() // the type says nothing here
		}
		if p.accept("=") {
			one.value = p.one()
		}
		out = append(out, one)
		if !p.accept(",") && !p.peek().is(end) {
			p.want(end)
			break
		}
	}
	return out
}

// levels are the binary operators, loosest first.
var levels = [][]string{
	{"or"}, {"and"}, nil, // not
	{"in", "not in", "is", "is not", "<", ">", "<=", ">=", "==", "!="},
	{"|"}, {"^"}, {"&"}, {"<<", ">>"}, {"+", "-"}, {"*", "/", "//", "%", "@"},
}

const notLevel = 2

func (p *parser) binary(level int) *expression {
	if level == len(levels) {
		return p.unary()
	}
	if level == notLevel {
		if t := p.peek(); p.acceptName("not") {
			if p.depth++; p.depth > maxDepth {
				return p.give("it is nested too deeply")
			}
			defer func() { p.depth-- }()
			return &expression{op: opUnary, text: "not", line: t.line, a: p.binary(level)}
		}
		return p.binary(level + 1)
	}
	left := p.binary(level + 1)
	for chained := 0; p.why == ""; chained++ {
		line := p.peek().line
		operator := p.operator(levels[level])
		if operator == "" {
			break
		}
		if chained > maxChain {
			return p.give("it is a chain without end")
		}
		if chained > 0 && slices.Contains(levels[level], "==") {
			return p.give("chained comparisons are not read")
		}
		left = &expression{op: opBinary, text: operator, line: min(line, left.line), a: left, b: p.binary(level + 1)}
	}
	return left
}

// operator takes the next token when it is one of these.
func (p *parser) operator(of []string) string {
	t := p.peek()
	if t.kind != kindOperator && t.kind != kindName || !slices.ContainsFunc(of, func(o string) bool { return o == t.text || strings.HasPrefix(o, t.text+" ") }) {
		return ""
	}
	p.pos++
	switch {
	case t.text == "not":
		if !p.acceptName("in") {
			p.give("an in is missing")
		}
		return "not in"
	case t.text == "is" && p.acceptName("not"):
		return "is not"
	}
	return t.text
}

func (p *parser) unary() *expression {
	t := p.peek()
	if t.is("-") || t.is("+") || t.is("~") {
		if p.depth++; p.depth > maxDepth {
			return p.give("it is nested too deeply")
		}
		defer func() { p.depth-- }()
		p.pos++
		return &expression{op: opUnary, text: t.text, line: t.line, a: p.unary()}
	}
	e := p.postfix()
	if p.accept("**") {
		return p.give("powers are not read")
	}
	return e
}

func (p *parser) postfix() *expression {
	e := p.atom()
	for links := 0; p.why == ""; links++ {
		if links > maxChain {
			return p.give("it is a chain without end")
		}
		t := p.peek()
		switch {
		case p.accept("."):
			e = &expression{op: opMember, line: t.line, a: e, text: p.name()}
		case p.accept("("):
			e = &expression{op: opCall, line: e.line, a: e, items: p.arguments()}
		case p.accept("["):
			e = p.subscript(e, t.line)
		default:
			return e
		}
	}
	return e
}

func (p *parser) subscript(of *expression, line int) *expression {
	e := &expression{op: opIndex, line: line, a: of}
	if !p.peek().is(":") {
		e.b = p.tupleOrOne()
	}
	if p.accept(":") {
		e.op = opSlice
		if !p.peek().is("]") && !p.peek().is(":") {
			e.c = p.one()
		}
		if p.accept(":") {
			return p.give("slices with a step are not read")
		}
	}
	p.want("]")
	return e
}

func (p *parser) arguments() []item {
	var out []item
	for p.why == "" && !p.accept(")") {
		one := item{spread: p.spread()}
		if next := p.pos + 1; one.spread == "" && p.peek().kind == kindName && next < len(p.tokens) && p.tokens[next].is("=") {
			one.name = p.name()
			p.want("=")
		}
		line := p.peek().line
		one.value = p.one()
		if p.peek().named("for") || p.peek().named("async") {
			one.value = &expression{op: opListOf, line: line, a: one.value, loops: p.loops()}
		}
		out = append(out, one)
		if !p.accept(",") && !p.peek().is(")") {
			p.want(")")
			break
		}
	}
	return out
}

func (p *parser) spread() string {
	switch {
	case p.accept("**"):
		return "**"
	case p.accept("*"):
		return "*"
	}
	return ""
}

func (p *parser) atom() *expression {
	t := p.peek()
	switch {
	case t.kind == kindString:
		return p.texts()
	case t.kind == kindBroken:
		return p.give(t.text)
	case t.kind == kindNumber:
		p.pos++
		return &expression{op: opNumber, text: t.text, line: t.line}
	case t.kind == kindName && !slices.Contains(keywords, t.text):
		p.pos++
		return &expression{op: opName, text: t.text, line: t.line}
	case p.accept("("):
		return p.bracketed(t.line)
	case p.accept("["):
		return p.display("]", opList, opListOf, t.line)
	case p.accept("{"):
		return p.braces(t.line)
	case t.kind == kindEnd:
		return p.give("an expression is missing")
	}
	return p.give("`" + t.text + "` is not read here")
}
