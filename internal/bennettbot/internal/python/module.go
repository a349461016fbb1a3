package python

import (
	"fmt"
	"slices"
)

// Module is what is left of a file: its names and what could not be read.
type Module struct {
	evaluator
	notes   []Note
	touched map[string][]Note
}

// Note says something of a line.
type Note struct {
	Line int
	Text string
}

// Lookup is the value that a name of the file has at its end, or nil.
func (m *Module) Lookup(name string) *Value { return m.names[name] }

// Touched are the lines that may change a name in a way that was not followed;
// the text says what stands there.
func (m *Module) Touched(name string) []Note { return m.touched[name] }

// Notes are about what is legal and probably not meant.
func (m *Module) Notes() []Note { return m.notes }

// Read evaluates the assignments of a file, in order.
func Read(src string) *Module {
	m := &Module{touched: map[string][]Note{}}
	m.names, m.imported = map[string]*Value{}, map[string]string{}
	m.note = func(line int, format string, args ...any) {
		m.notes = append(m.notes, Note{line, fmt.Sprintf(format, args...)})
	}
	for _, s := range statements(lex(src)) {
		m.statement(s)
	}
	return m
}

// statements groups tokens by what begins at the left margin; each group is a
// simple statement with its line end, or a compound one with all below it, or
// decorators with what they decorate.
func statements(tokens []token) [][]token {
	var out [][]token
	decorated := false
	for _, t := range tokens {
		if t.kind == kindEnd {
			break
		}
		if len(out) == 0 || t.first && t.column == 0 && !continues(t) && !decorated {
			out = append(out, nil)
		}
		if t.first {
			decorated = t.is("@")
		}
		out[len(out)-1] = append(out[len(out)-1], t)
	}
	return out
}

// continues says that a word at the margin belongs to the statement before.
func continues(t token) bool {
	return t.kind == kindName && slices.Contains([]string{"else", "elif", "except", "finally", "case"}, t.text)
}

// compound statements are not run.
var compound = []string{"if", "for", "while", "try", "with", "async", "match"}

func (m *Module) statement(tokens []token) {
	switch first := tokens[0]; {
	case first.named("def"):
		m.define(tokens)
	case first.named("class") || first.is("@") || first.named("async") && len(tokens) > 1 && tokens[1].named("def"):
		m.opaque(tokens)
	case first.named("import") || first.named("from"):
		m.imports(tokens)
	case first.kind == kindName && slices.Contains(compound, first.text) && !(first.text == "match" && len(tokens) > 1 && tokens[1].kind == kindOperator):
		m.skip(tokens, "a block that begins with `"+first.text+"`")
	default:
		for _, line := range split(tokens) {
			m.simple(line)
		}
	}
}

// split cuts a line at its semicolons and drops its end.
func split(tokens []token) [][]token {
	out := [][]token{nil}
	for _, t := range tokens {
		switch {
		case t.kind == kindLine || t.is(";"):
			out = append(out, nil)
		default:
			out[len(out)-1] = append(out[len(out)-1], t)
		}
	}
	return slices.DeleteFunc(out, func(line []token) bool { return len(line) == 0 })
}

// imports remembers where a name comes from.
func (m *Module) imports(tokens []token) {
	from := ""
	for i, t := range tokens {
		switch {
		case t.kind != kindName || t.text == "as":
		case t.text == "from":
			for _, part := range tokens[i+1:] {
				if part.named("import") {
					break
				}
				from += part.text
			}
		case t.text == "import":
			for _, name := range tokens[i+1:] {
				if name.kind == kindName && name.text != "as" {
					m.imported[name.text] = cmpOr(from, "Python's modules")
				}
			}
			return
		}
	}
}

func cmpOr(a, b string) string {
	if a != "" {
		return a
	}
	return b
}

// define keeps a function of one return.
func (m *Module) define(tokens []token) {
	if len(tokens) < 2 || tokens[1].kind != kindName {
		return
	}
	f := &function{name: tokens[1].text}
	m.names[f.name] = &Value{Kind: Function, line: tokens[0].line, function: f}
	f.why = "is not called: only functions that are one return are"
	p := &parser{tokens: tokens, pos: 2}
	p.want("(")
	f.params = p.params(")")
	if p.why == "" && p.accept("->") {
		p.one()
	}
	p.want(":")
	if p.why != "" {
		return
	}
	body := split(tokens[p.pos:])
	if len(body) > 1 && len(body[0]) == 1 && body[0][0].kind == kindString {
		body = body[1:] // what it is for
	}
	if len(body) == 1 && body[0][0].named("return") && len(body[0]) > 1 {
		f.body, f.why = parseExpression(body[0][1:]), ""
	}
}

// opaque is a definition that cannot be evaluated.
func (m *Module) opaque(tokens []token) {
	for i, t := range tokens {
		if (t.named("class") || t.named("def")) && i+1 < len(tokens) {
			name := tokens[i+1].text
			m.names[name] = unknown(t.line, "`"+name+"` is not read: only functions that are one return are")
			return
		}
	}
}

// skip notes every name that code which is not run may change.
func (m *Module) skip(tokens []token, what string) {
	for i, t := range tokens {
		if t.kind != kindName || slices.Contains(keywords, t.text) || i > 0 && tokens[i-1].is(".") {
			continue
		}
		next := token{}
		if i+1 < len(tokens) {
			next = tokens[i+1]
		}
		switch {
		case next.is("="):
			m.names[t.text] = unknown(t.line, "`"+t.text+"` is set by "+what+", which is not run")
			fallthrough
		case m.names[t.text] != nil && m.names[t.text].Kind != Function:
			m.touched[t.text] = append(m.touched[t.text], Note{t.line, what})
		}
	}
}

func (m *Module) simple(line []token) {
	first := line[0]
	switch {
	case line[len(line)-1].kind == kindString && len(line) == 1, first.named("pass"), first.named("global"):
		return
	case first.named("del") || first.named("assert") || first.named("raise"):
		m.skip(line, "a `"+first.text+"`")
		return
	}
	targets, operator, right := assignment(line)
	if operator == "" {
		m.expression(line)
		return
	}
	if len(right) == 0 {
		return // a declaration of a type
	}
	v := m.eval(parseExpression(right), nil)
	if v.Kind == Unknown {
		m.passed(right)
	}
	for _, target := range targets {
		m.assign(target, operator, v)
	}
}

// passed notes names that a call which is not made gets and may change. What
// BennettBot itself does with raw_config is known.
func (m *Module) passed(tokens []token) {
	for i, t := range tokens {
		if t.kind == kindName && i+1 < len(tokens) && tokens[i+1].is("(") && t.text != "build_config" {
			m.skip(tokens[i+1:], "a call of `"+t.text+"`")
			return
		}
	}
}

// assignment splits a line at its operators outside of brackets.
func assignment(line []token) (targets [][]token, operator string, right []token) {
	depth, from, typed := 0, 0, false
	for i, t := range line {
		if t.kind != kindOperator {
			if t.named("lambda") && depth == 0 {
				break
			}
			continue
		}
		switch t.text {
		case "(", "[", "{":
			depth++
		case ")", "]", "}":
			depth--
		case ":":
			if depth == 0 && operator == "" {
				targets, operator, from, typed = append(targets, line[from:i]), "=", len(line), true
			}
		case "=", "+=", "|=":
			if depth > 0 {
				continue
			}
			if !typed {
				targets = append(targets, line[from:i])
			}
			operator, from, typed = t.text, i+1, false
		}
	}
	return targets, operator, line[min(from, len(line)):]
}

// assign gives a value to NAME, or to NAME[KEY]….
func (m *Module) assign(target []token, operator string, v *Value) {
	x := parseExpression(target)
	switch {
	case x.op == opName:
		if operator != "=" {
			v = m.augment(x.line, operator, m.names[x.text], v)
		}
		m.names[x.text] = v
	case x.op == opIndex && operator == "=":
		of, at := m.eval(x.a, nil), m.eval(x.b, nil)
		if of.Kind == Dict && at.Kind != Unknown {
			if _, ok := of.set(at, v); ok {
				return
			}
		}
		m.skip(target, "an assignment to a part of it that is not read")
	default:
		m.skip(target, "an assignment that is not read")
	}
}

func (m *Module) augment(line int, operator string, before, v *Value) *Value {
	switch {
	case before == nil:
		return unknown(line, "it is changed before it is set")
	case before.Kind == Unknown:
		return before
	case v.Kind == Unknown:
		return v
	case operator == "|=" && before.Kind == Dict && v.Kind == Dict && m.update(before, v):
		return before
	}
	if out := m.operate(line, operator[:1], before, v); out != nil {
		return out
	}
	return unknown(line, before.Sort()+" "+operator+" "+v.Sort()+" is not read here")
}

// expression is a line that is evaluated for what it changes.
func (m *Module) expression(line []token) {
	x := parseExpression(line)
	if x.op == opCall && x.a.op == opMember && len(x.items) == 1 && x.items[0].name == "" && x.items[0].spread == "" {
		of, v := m.eval(x.a.a, nil), m.eval(x.items[0].value, nil)
		switch {
		case of.Kind == Dict && x.a.text == "update" && v.Kind == Dict && m.update(of, v):
			return
		case of.Kind == List && x.a.text == "append" && len(of.list) < maxItems:
			of.list = append(of.list, v)
			return
		case of.Kind == List && x.a.text == "extend" && v.Kind == List && len(of.list)+len(v.list) <= maxItems:
			of.list = append(of.list, v.list...)
			return
		}
	}
	m.skip(line, "a line that is not run")
}
