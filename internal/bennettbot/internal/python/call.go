package python

import (
	"cmp"
	"fmt"
	"slices"
)

// outside are names whose use means that the value depends on where Python
// runs.
var outside = []string{"os", "sys", "settings", "environ", "getenv", "open", "Path", "pathlib", "subprocess", "requests", "config", "env"}

func (e *evaluator) member(x *expression, s *scope) *Value {
	if root := rootName(x); root != "" && s.find(root) == nil && e.names[root] == nil {
		switch {
		case x.text == "environ" || x.text == "getenv" || root == "environ":
			return unknown(x.line, "it reads the environment, which is not known here")
		case slices.Contains(outside, root):
			return unknown(x.line, "`"+dotted(x)+"` is known only where BennettBot runs")
		}
	}
	v := e.eval(x.a, s)
	if v.Kind == Unknown {
		return v
	}
	return unknown(x.line, "`."+x.text+"` of "+v.Sort()+" is not read here")
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
	list  []*Value
	names []string
	named map[string]*Value
}

func (e *evaluator) call(x *expression, s *scope) *Value {
	args, why := e.arguments(x, s)
	if x.a.op == opMember {
		of := e.eval(x.a.a, s)
		if of.Kind == Unknown {
			return e.eval(x.a, s)
		}
		if why != nil {
			return why
		}
		if v := e.method(x, of, args); v != nil {
			return v
		}
		return unknown(x.line, fmt.Sprintf("`.%s(…)` of %s is not read here", x.a.text, of.Sort()))
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
	case f.Kind == Unknown:
		return f
	case f.Kind != Function:
		return unknown(x.line, f.Sort()+" is called")
	case why != nil:
		return why
	}
	return e.apply(x, f.function, args, s)
}

func (e *evaluator) arguments(x *expression, s *scope) (out given, why *Value) {
	out.named = map[string]*Value{}
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
			if v.Kind != Dict {
				return out, unknown(x.line, v.Sort()+" is spread into a call")
			}
			for _, en := range v.entries {
				out.name(en.Key.text, en.Value)
			}
		case i.name != "":
			out.name(i.name, v)
		default:
			out.list = append(out.list, v)
		}
	}
	return out, nil
}

func (g *given) name(name string, v *Value) {
	if _, twice := g.named[name]; !twice {
		g.names = append(g.names, name)
	}
	g.named[name] = v
}

// apply evaluates a function of one return.
func (e *evaluator) apply(x *expression, f *function, args given, s *scope) *Value {
	if f.why != "" {
		return unknown(x.line, "`"+f.name+"(…)` "+f.why)
	}
	// Module functions see the module and their parameters; a lambda that uses a
	// loop variable of its place finds nothing, and is unknown.
	in := &scope{names: map[string]*Value{}, depth: 1}
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
	if v.Kind == Unknown {
		return unknown(x.line, v.text)
	}
	return v
}

// builtin returns nil for what is not called here.
func (e *evaluator) builtin(x *expression, args given) *Value {
	for _, v := range args.list {
		if v.Kind == Unknown {
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
		return truthValue(x.line, v.IsTrue())
	case "len":
		if all, why := e.elements(v); why == nil {
			return &Value{Kind: Int, line: x.line, int: int64(len(all))}
		}
	case "list", "tuple", "sorted", "set", "frozenset", "reversed", "enumerate":
		return e.sequence(x.line, x.a.text, v)
	}
	return nil
}

func (e *evaluator) dictOf(line int, args given) *Value {
	out := dictValue(line)
	if len(args.list) > 1 || len(args.list) == 1 && args.list[0].Kind != Dict {
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

func rangeOf(line int, bounds []*Value) *Value {
	from, to, step := int64(0), int64(0), int64(1)
	for _, b := range bounds {
		if b.Kind != Int {
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
	out := &Value{Kind: List, line: line}
	for n := from; n < to; n += step {
		if len(out.list) == maxItems {
			return unknown(line, tooMuch)
		}
		out.list = append(out.list, &Value{Kind: Int, line: line, int: n})
	}
	return out
}

func (e *evaluator) sequence(line int, name string, v *Value) *Value {
	all, why := e.elements(v)
	if why != nil {
		return why
	}
	out := &Value{Kind: List, line: line, tuple: name == "tuple", list: slices.Clone(all)}
	switch name {
	case "reversed":
		slices.Reverse(out.list)
	case "set", "frozenset":
		return unique(out)
	case "enumerate":
		for i, one := range all {
			out.list[i] = &Value{Kind: List, tuple: true, line: one.line, list: []*Value{{Kind: Int, line: one.line, int: int64(i)}, one}}
		}
	case "sorted":
		for _, one := range all {
			if one.Kind != Text {
				return unknown(line, "what is sorted is not all texts")
			}
		}
		slices.SortStableFunc(out.list, func(a, b *Value) int { return cmp.Compare(a.text, b.text) })
	}
	return out
}
