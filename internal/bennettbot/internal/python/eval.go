package python

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// evaluator computes expressions over what the module defined so far. It does
// nothing but that: no expression can reach outside of it.
type evaluator struct {
	names map[string]*Value
	// imported names, and from where.
	imported map[string]string
	steps    int
	made     int
	// note is called for what is legal and probably not meant.
	note func(line int, format string, args ...any)
}

// scope is what an expression sees beside the module: parameters and loop
// variables.
type scope struct {
	names map[string]*Value
	outer *scope
	depth int
}

func (s *scope) find(name string) *Value {
	for ; s != nil; s = s.outer {
		if v, ok := s.names[name]; ok {
			return v
		}
	}
	return nil
}

func (s *scope) inner() *scope {
	depth := 1
	if s != nil {
		depth = s.depth + 1
	}
	return &scope{names: map[string]*Value{}, outer: s, depth: depth}
}

const tooMuch = "there is too much to evaluate"

func (e *evaluator) eval(x *expression, s *scope) *Value {
	if e.steps++; e.steps > maxSteps || s != nil && s.depth > maxDepth {
		return unknown(x.line, tooMuch)
	}
	switch x.op {
	case opUnknown:
		return unknown(x.line, x.text)
	case opName:
		return e.name(x, s)
	case opNumber:
		return number(x)
	case opString:
		return textValue(x.line, x.text)
	case opFormat:
		return e.format(x, s)
	case opList, opTuple, opSet:
		return e.list(x, s)
	case opDict:
		return e.dict(x, s)
	case opListOf, opSetOf, opDictOf:
		return e.comprehension(x, s)
	case opIndex:
		return e.index(x, s)
	case opSlice:
		return e.slice(x, s)
	case opMember:
		return e.member(x, s)
	case opCall:
		return e.call(x, s)
	case opUnary:
		return unary(x, e.eval(x.a, s))
	case opBinary:
		return e.binary(x, s)
	case opChoice:
		return e.choice(x, s)
	case opLambda:
		return &Value{Kind: Function, line: x.line, function: &function{name: "lambda", params: x.params, body: x.a}}
	}
	return unknown(x.line, "this is not read here")
}

func (e *evaluator) name(x *expression, s *scope) *Value {
	switch x.text {
	case "True", "False":
		return truthValue(x.line, x.text == "True")
	case "None":
		return &Value{Kind: None, line: x.line}
	}
	if v := s.find(x.text); v != nil {
		return v
	}
	if v := e.names[x.text]; v != nil {
		return v
	}
	if from, ok := e.imported[x.text]; ok {
		return unknown(x.line, "`"+x.text+"` is imported from "+from+", which is not read")
	}
	return unknown(x.line, "`"+x.text+"` is not known here")
}

func number(x *expression) *Value {
	plain := strings.ReplaceAll(x.text, "_", "")
	if n, err := strconv.ParseInt(plain, 0, 64); err == nil {
		return &Value{Kind: Int, line: x.line, int: n}
	}
	if f, err := strconv.ParseFloat(plain, 64); err == nil {
		return &Value{Kind: Float, line: x.line, float: f}
	}
	return unknown(x.line, "`"+Shorten(x.text)+"` is not a number that is read here")
}

const (
	// itemsPerStep are cheap enough to count as one step together, and so is that
	// much text, in bytes.
	itemsPerStep = 8
	textPerStep  = 64
)

// charge counts work that lies in the size of a value.
func (e *evaluator) charge(items int) { e.steps += items / itemsPerStep }

// text makes a text that was put together, within the bounds.
func (e *evaluator) text(line int, text string) *Value {
	e.made += len(text)
	if len(text) > maxText || e.made > maxMade {
		return unknown(line, tooMuch)
	}
	return textValue(line, text)
}

func (e *evaluator) format(x *expression, s *scope) *Value {
	var b strings.Builder
	for _, i := range x.items {
		v := e.eval(i.value, s)
		if v.Kind == Unknown {
			return v
		}
		text, ok := v.str()
		if !ok {
			return unknown(x.line, v.Sort()+" stands inside a text")
		}
		if b.WriteString(text); b.Len() > maxText {
			return unknown(x.line, tooMuch)
		}
	}
	return e.text(x.line, b.String())
}

func (e *evaluator) list(x *expression, s *scope) *Value {
	out := &Value{Kind: List, line: x.line, tuple: x.op == opTuple}
	for _, i := range x.items {
		v := e.eval(i.value, s)
		if i.spread == "" {
			out.list = append(out.list, v)
		} else {
			all, why := e.elements(v)
			if why != nil {
				return why
			}
			out.list = append(out.list, all...)
		}
		if len(out.list) > maxItems {
			return unknown(x.line, tooMuch)
		}
	}
	if x.op == opSet {
		return unique(out)
	}
	return out
}

// unique drops equal elements, as a set does; in the order of insertion.
func unique(v *Value) *Value {
	seen := dictValue(v.line)
	for _, one := range v.list {
		if _, ok := seen.set(one, one); !ok {
			return unknown(v.line, one.Sort()+" stands in a set")
		}
	}
	v.list = nil
	for _, en := range seen.entries {
		v.list = append(v.list, en.Key)
	}
	return v
}

// elements of what can be gone through; why is the unknown it is otherwise.
func (e *evaluator) elements(v *Value) (all []*Value, why *Value) {
	switch v.Kind {
	case Unknown:
		return nil, v
	case List:
		e.charge(len(v.list))
		return v.list, nil
	case Dict:
		e.charge(len(v.entries))
		for _, en := range v.entries {
			all = append(all, en.Key)
		}
		return all, nil
	case Text:
		e.charge(len(v.text))
		for _, r := range v.text {
			if len(all) == maxItems {
				return nil, unknown(v.line, tooMuch)
			}
			all = append(all, textValue(v.line, string(r)))
		}
		return all, nil
	default:
		return nil, unknown(v.line, v.Sort()+" cannot be gone through")
	}
}

func (e *evaluator) dict(x *expression, s *scope) *Value {
	out := dictValue(x.line)
	written := map[string]bool{}
	for _, i := range x.items {
		v := e.eval(i.value, s)
		if i.spread != "" {
			if v.Kind == Unknown {
				return v
			}
			if v.Kind != Dict || i.spread != "**" {
				return unknown(v.line, v.Sort()+" is spread into a dict")
			}
			if !e.update(out, v) {
				return unknown(x.line, tooMuch)
			}
			continue
		}
		k := e.eval(i.key, s)
		if k.Kind == Unknown {
			return k
		}
		if _, ok := out.set(k, v); !ok {
			return unknown(k.line, k.Sort()+" is the key of a dict, or there are too many")
		}
		name, _ := k.key()
		if written[name] {
			e.note(k.line, "the key %q is written twice in one dict; Python takes the last, and so does this", Shorten(k.text))
		}
		written[name] = true
	}
	return out
}

// update puts all entries of another dict.
func (e *evaluator) update(v, from *Value) bool {
	e.charge(len(from.entries))
	for _, en := range from.entries {
		if _, ok := v.set(en.Key, en.Value); !ok {
			return false
		}
	}
	return true
}

func (e *evaluator) index(x *expression, s *scope) *Value {
	of, at := e.eval(x.a, s), e.eval(x.b, s)
	e.charge(len(at.text) / textPerStep)
	switch {
	case of.Kind == Unknown:
		return of
	case at.Kind == Unknown:
		return at
	case of.Kind == Dict:
		if v := of.get(at); v != nil {
			return v
		}
		return unknown(x.line, fmt.Sprintf("the dict has no key %q", Shorten(at.text)))
	case of.Kind == List && at.Kind == Int:
		n := at.int
		if n < 0 {
			n += int64(len(of.list))
		}
		if n >= 0 && n < int64(len(of.list)) {
			return of.list[n]
		}
		return unknown(x.line, "the list is not that long")
	case of.Kind == Text && at.Kind == Int:
		return e.slice(&expression{op: opSlice, line: x.line, a: x.a, b: x.b, c: &expression{op: opBinary, text: "+", line: x.line, a: x.b, b: &expression{op: opNumber, text: "1", line: x.line}}}, s)
	}
	return unknown(x.line, of.Sort()+" is indexed by "+at.Sort())
}

func (e *evaluator) slice(x *expression, s *scope) *Value {
	of := e.eval(x.a, s)
	if of.Kind == Unknown {
		return of
	}
	all, why := e.elements(of)
	if why != nil {
		return why
	}
	from, to := 0, len(all)
	for bound, at := range map[*int]*expression{&from: x.b, &to: x.c} {
		if at == nil {
			continue
		}
		n := e.eval(at, s)
		if n.Kind != Int {
			return unknown(x.line, "a slice needs whole numbers")
		}
		if n.int < 0 {
			n = &Value{int: n.int + int64(len(all))}
		}
		*bound = int(min(max(n.int, 0), int64(len(all)))) //nolint:gosec // between 0 and a length
	}
	part := slices.Clone(all[min(from, to):to])
	if of.Kind != Text {
		return &Value{Kind: List, line: x.line, tuple: of.tuple, list: part}
	}
	var b strings.Builder
	for _, one := range part {
		b.WriteString(one.text)
	}
	return e.text(x.line, b.String())
}

func (e *evaluator) choice(x *expression, s *scope) *Value {
	c := e.eval(x.a, s)
	switch {
	case c.Kind == Unknown:
		return c
	case c.IsTrue():
		return e.eval(x.b, s)
	default:
		return e.eval(x.c, s)
	}
}

func unary(x *expression, v *Value) *Value {
	switch {
	case v.Kind == Unknown:
		return v
	case x.text == "not":
		return truthValue(x.line, !v.IsTrue())
	case x.text == "+" && v.Kind == Int:
		return v
	case x.text == "-" && v.Kind == Int:
		return &Value{Kind: Int, line: x.line, int: -v.int}
	case x.text == "-" && v.Kind == Float:
		return &Value{Kind: Float, line: x.line, float: -v.float}
	}
	return unknown(x.line, x.text+" stands before "+v.Sort())
}
