package bennettbot

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// outside are names whose use means that the value depends on where Python
// runs.
var outside = []string{"os", "sys", "settings", "environ", "getenv", "open", "Path", "pathlib", "subprocess", "requests", "config", "env"}

func (e *evaluator) member(x *expression, s *scope) *value {
	if root := rootName(x); root != "" && s.find(root) == nil && e.names[root] == nil {
		switch {
		case x.text == "environ" || x.text == "getenv" || root == "environ":
			return unknown(x.line, "it reads the environment, which is not known here")
		case slices.Contains(outside, root):
			return unknown(x.line, "`"+dotted(x)+"` is known only where BennettBot runs")
		}
	}
	v := e.eval(x.a, s)
	if v.kind == isUnknown {
		return v
	}
	return unknown(x.line, "`."+x.text+"` of "+v.sort()+" is not read here")
}

// rootName is the name at the beginning of a.b.c, or empty.
func rootName(x *expression) string {
	for x.op == opMember || x.op == opCall || x.op == opIndex {
		x = x.a
	}
	if x.op == opName {
		return x.text
	}
	return ""
}

// dotted is a.b.c as it was written.
func dotted(x *expression) string {
	if x.op == opMember {
		return dotted(x.a) + "." + x.text
	}
	return x.text
}

// given are the arguments of a call.
type given struct {
	list  []*value
	names []string
	named map[string]*value
}

func (e *evaluator) call(x *expression, s *scope) *value {
	args, why := e.arguments(x, s)
	if x.a.op == opMember {
		of := e.eval(x.a.a, s)
		if of.kind == isUnknown {
			return e.eval(x.a, s)
		}
		if why != nil {
			return why
		}
		if v := e.method(x, of, args); v != nil {
			return v
		}
		return unknown(x.line, fmt.Sprintf("`.%s(…)` of %s is not read here", x.a.text, of.sort()))
	}
	if x.a.op == opName && s.find(x.a.text) == nil && e.names[x.a.text] == nil && e.imported[x.a.text] == "" {
		if why != nil {
			return why
		}
		if v := e.builtin(x, args); v != nil {
			return v
		}
		if x.a.text == "open" || x.a.text == "getenv" {
			return unknown(x.line, "`"+x.a.text+"(…)` is known only where BennettBot runs")
		}
		return unknown(x.line, "`"+x.a.text+"(…)` is not called here")
	}
	f := e.eval(x.a, s)
	switch {
	case f.kind == isUnknown:
		return f
	case f.kind != isFunction:
		return unknown(x.line, f.sort()+" is called")
	case why != nil:
		return why
	}
	return e.apply(x, f.function, args, s)
}

func (e *evaluator) arguments(x *expression, s *scope) (out given, why *value) {
	out.named = map[string]*value{}
	for _, i := range x.items {
		v := e.eval(i.value, s)
		switch {
		case i.spread == "*":
			all, why := e.elements(v)
			if why != nil {
				return out, why
			}
			out.list = append(out.list, all...)
		case i.spread == "**":
			if v.kind != isDict {
				return out, unknown(x.line, v.sort()+" is spread into a call")
			}
			for _, en := range v.entries {
				out.name(en.key.text, en.value)
			}
		case i.name != "":
			out.name(i.name, v)
		default:
			out.list = append(out.list, v)
		}
	}
	return out, nil
}

func (g *given) name(name string, v *value) {
	if _, twice := g.named[name]; !twice {
		g.names = append(g.names, name)
	}
	g.named[name] = v
}

// apply evaluates a function of one return.
func (e *evaluator) apply(x *expression, f *function, args given, s *scope) *value {
	if f.why != "" {
		return unknown(x.line, "`"+f.name+"(…)` "+f.why)
	}
	// Module functions see the module and their parameters; a lambda that uses a
	// loop variable of its place finds nothing, and is unknown.
	in := &scope{names: map[string]*value{}, depth: 1}
	if s != nil {
		in.depth = s.depth + 1
	}
	if len(args.list) > len(f.params) {
		return unknown(x.line, "`"+f.name+"(…)` is given too much")
	}
	for i, p := range f.params {
		switch {
		case i < len(args.list):
			in.names[p.name] = args.list[i]
		case args.named[p.name] != nil:
			in.names[p.name] = args.named[p.name]
		case p.value != nil:
			in.names[p.name] = e.eval(p.value, nil)
		default:
			return unknown(x.line, "`"+f.name+"(…)` is called without "+p.name)
		}
	}
	for _, name := range args.names {
		if !slices.ContainsFunc(f.params, func(p param) bool { return p.name == name }) {
			return unknown(x.line, "`"+f.name+"(…)` has no parameter "+name)
		}
	}
	v := e.eval(f.body, in)
	if v.kind == isUnknown {
		return unknown(x.line, v.text)
	}
	return v
}

// builtin returns nil for what is not called here.
func (e *evaluator) builtin(x *expression, args given) *value {
	for _, v := range args.list {
		if v.kind == isUnknown {
			return v
		}
	}
	if x.a.text == "dict" {
		return e.dictOf(x.line, args)
	}
	if len(args.names) > 0 || len(args.list) > 3 {
		return nil
	}
	if x.a.text == "range" {
		return rangeOf(x.line, args.list)
	}
	if len(args.list) != 1 {
		return nil
	}
	v := args.list[0]
	switch x.a.text {
	case "str":
		if text, ok := v.str(); ok {
			return e.text(x.line, text)
		}
	case "bool":
		return truthValue(x.line, v.isTrue())
	case "len":
		if all, why := e.elements(v); why == nil {
			return &value{kind: isInt, line: x.line, int: int64(len(all))}
		}
	case "list", "tuple", "sorted", "set", "frozenset", "reversed", "enumerate":
		return e.sequence(x.line, x.a.text, v)
	}
	return nil
}

func (e *evaluator) dictOf(line int, args given) *value {
	out := dictValue(line)
	if len(args.list) > 1 || len(args.list) == 1 && args.list[0].kind != isDict {
		return nil
	}
	if len(args.list) == 1 && !e.update(out, args.list[0]) {
		return unknown(line, tooMuch)
	}
	for _, name := range args.names {
		out.set(textValue(line, name), args.named[name])
	}
	return out
}

func rangeOf(line int, bounds []*value) *value {
	from, to, step := int64(0), int64(0), int64(1)
	for _, b := range bounds {
		if b.kind != isInt {
			return nil
		}
	}
	switch len(bounds) {
	case 1:
		to = bounds[0].int
	case 2:
		from, to = bounds[0].int, bounds[1].int
	case 3:
		from, to, step = bounds[0].int, bounds[1].int, bounds[2].int
	default:
		return nil
	}
	if step < 1 || step > maxItems {
		return nil
	}
	out := &value{kind: isList, line: line}
	for n := from; n < to; n += step {
		if len(out.list) == maxItems {
			return unknown(line, tooMuch)
		}
		out.list = append(out.list, &value{kind: isInt, line: line, int: n})
	}
	return out
}

func (e *evaluator) sequence(line int, name string, v *value) *value {
	all, why := e.elements(v)
	if why != nil {
		return why
	}
	out := &value{kind: isList, line: line, tuple: name == "tuple", list: slices.Clone(all)}
	switch name {
	case "reversed":
		slices.Reverse(out.list)
	case "set", "frozenset":
		return unique(out)
	case "enumerate":
		for i, one := range all {
			out.list[i] = &value{kind: isList, tuple: true, line: one.line, list: []*value{{kind: isInt, line: one.line, int: int64(i)}, one}}
		}
	case "sorted":
		for _, one := range all {
			if one.kind != isText {
				return unknown(line, "what is sorted is not all texts")
			}
		}
		slices.SortStableFunc(out.list, func(a, b *value) int { return cmp.Compare(a.text, b.text) })
	}
	return out
}

// method returns nil for what is not called here.
func (e *evaluator) method(x *expression, of *value, args given) *value {
	switch of.kind {
	case isText:
		if x.a.text == "format" {
			return e.formatCall(x.line, of.text, args)
		}
		if len(args.names) == 0 {
			return e.textMethod(x, of, args.list)
		}
	case isDict:
		return e.dictMethod(x, of, args.list)
	case isList:
		if x.a.text == "copy" && len(args.list) == 0 {
			e.charge(len(of.list))
			return of.copied(x.line)
		}
	default: // has no methods here
	}
	return nil
}

func (e *evaluator) dictMethod(x *expression, of *value, args []*value) *value {
	out := &value{kind: isList, line: x.line}
	switch {
	case x.a.text == "get" && (len(args) == 1 || len(args) == 2):
		if v := of.get(args[0]); v != nil {
			return v
		}
		if len(args) == 2 {
			return args[1]
		}
		return &value{kind: isNone, line: x.line}
	case len(args) > 0:
		return nil
	case x.a.text == "copy":
		e.charge(len(of.entries))
		return of.copied(x.line)
	case x.a.text == "items":
		e.charge(len(of.entries))
		for _, en := range of.entries {
			out.list = append(out.list, &value{kind: isList, tuple: true, line: en.key.line, list: []*value{en.key, en.value}})
		}
		return out
	case x.a.text == "values":
		e.charge(len(of.entries))
		for _, en := range of.entries {
			out.list = append(out.list, en.value)
		}
		return out
	case x.a.text == "keys":
		out.list, _ = e.elements(of)
		return out
	}
	return nil
}

// plainTexts are the texts of arguments; ok is false when one is none.
func plainTexts(args []*value) (out []string, ok bool) {
	for _, a := range args {
		if a.kind != isText {
			return nil, false
		}
		out = append(out, a.text)
	}
	return out, true
}

// whitespace is what Python's strip takes away.
const whitespace = " \t\n\r\f\v"

func (e *evaluator) textMethod(x *expression, of *value, args []*value) *value {
	if x.a.text == "join" && len(args) == 1 {
		all, why := e.elements(args[0])
		if why != nil {
			return why
		}
		parts, ok := plainTexts(all)
		total := 0
		for _, p := range parts {
			if total += len(p) + len(of.text); total > maxText+len(of.text) {
				return unknown(x.line, tooMuch)
			}
		}
		if !ok {
			return unknownAmong(all)
		}
		return e.text(x.line, strings.Join(parts, of.text))
	}
	e.charge(len(of.text) / textPerStep)
	texts, ok := plainTexts(args)
	if !ok {
		return unknownAmong(args)
	}
	return e.plainMethod(x, of.text, texts)
}

// unknownAmong returns the first unknown value, or nil.
func unknownAmong(all []*value) *value {
	for _, v := range all {
		if v.kind == isUnknown {
			return v
		}
	}
	return nil
}

func (e *evaluator) plainMethod(x *expression, text string, args []string) *value {
	cut := whitespace
	if len(args) > 0 {
		cut = args[0]
	}
	switch fmt.Sprint(x.a.text, len(args)) {
	case "upper0":
		return e.text(x.line, strings.ToUpper(text))
	case "lower0":
		return e.text(x.line, strings.ToLower(text))
	case "strip0", "strip1":
		return e.text(x.line, strings.Trim(text, cut))
	case "lstrip0", "lstrip1":
		return e.text(x.line, strings.TrimLeft(text, cut))
	case "rstrip0", "rstrip1":
		return e.text(x.line, strings.TrimRight(text, cut))
	case "removeprefix1":
		return e.text(x.line, strings.TrimPrefix(text, cut))
	case "removesuffix1":
		return e.text(x.line, strings.TrimSuffix(text, cut))
	case "startswith1":
		return truthValue(x.line, strings.HasPrefix(text, cut))
	case "endswith1":
		return truthValue(x.line, strings.HasSuffix(text, cut))
	case "replace2":
		if grown := strings.Count(text, args[0]) * len(args[1]); grown > maxText {
			return unknown(x.line, tooMuch)
		}
		return e.text(x.line, strings.ReplaceAll(text, args[0], args[1]))
	case "split0":
		return texts(x.line, strings.Fields(text))
	case "split1":
		if cut == "" {
			return nil
		}
		return texts(x.line, strings.Split(text, cut))
	}
	return nil
}

func texts(line int, all []string) *value {
	if len(all) > maxItems {
		return unknown(line, tooMuch)
	}
	out := &value{kind: isList, line: line}
	for _, one := range all {
		out.list = append(out.list, textValue(line, one))
	}
	return out
}

// formatCall is "…{}…{name}…".format(…), without conversions and format specs.
func (e *evaluator) formatCall(line int, text string, args given) *value {
	fields, err := templateOf(text)
	if err != "" {
		return unknown(line, err)
	}
	var b strings.Builder
	next := 0
	for _, f := range fields {
		v := textValue(line, f.literal)
		if f.hole {
			v = args.field(f.name, &next)
		}
		if v == nil {
			return unknown(line, "{"+shorten(f.name)+"} of a format is not given")
		}
		if v.kind == isUnknown {
			return v
		}
		plain, ok := v.str()
		if !ok {
			return unknown(line, v.sort()+" stands inside a text")
		}
		if b.WriteString(plain); b.Len() > maxText {
			return unknown(line, tooMuch)
		}
	}
	return e.text(line, b.String())
}

// field is the argument that a hole asks for, or nil.
func (g given) field(name string, next *int) *value {
	if name == "" {
		name = strconv.Itoa(*next)
		*next++
	}
	n, err := strconv.Atoi(name)
	switch {
	case err != nil:
		return g.named[name]
	case n >= 0 && n < len(g.list):
		return g.list[n]
	}
	return nil
}
