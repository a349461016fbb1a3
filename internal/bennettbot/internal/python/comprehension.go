package python

import "fmt"

func (e *evaluator) comprehension(x *expression, s *scope) *Value {
	out := &Value{Kind: List, line: x.line}
	if x.op == opDictOf {
		out = dictValue(x.line)
	}
	if why := e.loop(x, x.loops, s, out); why != nil {
		return why
	}
	if x.op == opSetOf {
		return unique(out)
	}
	return out
}

// loop goes through the first of loops and adds what the innermost yields.
func (e *evaluator) loop(x *expression, loops []loop, s *scope, out *Value) (why *Value) {
	if len(loops) == 0 {
		return e.yield(x, s, out)
	}
	all, why := e.elements(e.eval(loops[0].in, s))
	if why != nil {
		return why
	}
	for _, one := range all {
		in := s.inner()
		if why := e.bind(in, loops[0].targets, one); why != nil {
			return why
		}
		take := true
		for _, condition := range loops[0].ifs {
			c := e.eval(condition, in)
			if c.Kind == Unknown {
				return c
			}
			take = take && c.IsTrue()
		}
		if take {
			if why := e.loop(x, loops[1:], in, out); why != nil {
				return why
			}
		}
	}
	return nil
}

func (e *evaluator) yield(x *expression, s *scope, out *Value) (why *Value) {
	if x.op == opDictOf {
		k, v := e.eval(x.a, s), e.eval(x.b, s)
		if k.Kind == Unknown {
			return k
		}
		if _, ok := out.set(k, v); !ok {
			return unknown(k.line, k.Sort()+" is the key of a dict, or there are too many")
		}
		return nil
	}
	if out.list = append(out.list, e.eval(x.a, s)); len(out.list) > maxItems {
		return unknown(x.line, tooMuch)
	}
	return nil
}

func (e *evaluator) bind(s *scope, targets []string, v *Value) (why *Value) {
	if len(targets) == 1 {
		s.names[targets[0]] = v
		return nil
	}
	all, why := e.elements(v)
	if why != nil {
		return why
	}
	if len(all) != len(targets) {
		return unknown(v.line, fmt.Sprintf("%d values go into %d names", len(all), len(targets)))
	}
	for i, name := range targets {
		s.names[name] = all[i]
	}
	return nil
}
