package python

// bracketed is a tuple, a generator, or an expression in brackets.
func (p *parser) bracketed(line int) *expression {
	e := p.display(")", opTuple, opListOf, line)
	if p.why == "" && e.op == opTuple && len(e.items) == 1 && e.items[0].spread == "" && !p.tokens[p.pos-2].is(",") {
		return e.items[0].value
	}
	return e
}

// display is a list, tuple or set, or a comprehension.
func (p *parser) display(end, plain, of string, line int) *expression {
	e := &expression{op: plain, line: line}
	for p.why == "" && !p.accept(end) {
		one := item{spread: p.spread()}
		one.value = p.one()
		if len(e.items) == 0 && (p.peek().named("for") || p.peek().named("async")) {
			e.op, e.a, e.loops = of, one.value, p.loops()
			p.want(end)
			return e
		}
		e.items = append(e.items, one)
		if !p.accept(",") && !p.peek().is(end) {
			p.want(end)
		}
	}
	return e
}

// braces is a dict or a set.
func (p *parser) braces(line int) *expression {
	if p.peek().is("}") || p.peek().is("**") {
		return p.dict(nil, line)
	}
	first := p.pos
	key := p.one()
	if !p.peek().is(":") {
		if p.why != "" {
			return key
		}
		p.pos = first
		return p.display("}", opSet, opSetOf, line)
	}
	return p.dict(key, line)
}

// dict reads entries; the key of the first is read already, if any.
func (p *parser) dict(key *expression, line int) *expression {
	e := &expression{op: opDict, line: line}
	for p.why == "" && (key != nil || !p.accept("}")) {
		one := item{key: key}
		if key == nil {
			if one.spread = p.spread(); one.spread == "" {
				one.key = p.one()
			}
		}
		if key = nil; one.spread == "" {
			p.want(":")
		}
		one.value = p.one()
		if len(e.items) == 0 && p.peek().named("for") && one.key != nil {
			e.op, e.a, e.b, e.loops = opDictOf, one.key, one.value, p.loops()
			p.want("}")
			return e
		}
		e.items = append(e.items, one)
		if !p.accept(",") && !p.peek().is("}") {
			p.want("}")
		}
	}
	return e
}

func (p *parser) loops() []loop {
	var out []loop
	for p.why == "" && p.acceptName("for") {
		one := loop{targets: p.targets()}
		if !p.acceptName("in") {
			p.give("an in is missing")
		}
		one.in = p.binary(0)
		for p.why == "" && p.acceptName("if") {
			one.ifs = append(one.ifs, p.binary(0))
		}
		out = append(out, one)
	}
	if p.peek().named("async") {
		p.give("asynchronous loops are not read")
	}
	return out
}

// targets are one name or several, with or without brackets.
func (p *parser) targets() []string {
	open := p.accept("(")
	out := []string{p.name()}
	for p.accept(",") && !p.peek().named("in") && !p.peek().is(")") {
		out = append(out, p.name())
	}
	if open {
		p.want(")")
	}
	return out
}
