package python

import (
	"math"
	"slices"
	"strings"
)

func (e *evaluator) binary(x *expression, s *scope) *Value {
	left := e.eval(x.a, s)
	if left.Kind == Unknown {
		return left
	}
	switch x.text {
	case "and":
		if !left.IsTrue() {
			return left
		}
		return e.eval(x.b, s)
	case "or":
		if left.IsTrue() {
			return left
		}
		return e.eval(x.b, s)
	}
	right := e.eval(x.b, s)
	if right.Kind == Unknown {
		return right
	}
	if v := e.operate(x.line, x.text, left, right); v != nil {
		return v
	}
	return unknown(x.line, left.Sort()+" "+x.text+" "+right.Sort()+" is not read here")
}

// operate returns nil for operands that the operator is not read for.
func (e *evaluator) operate(line int, operator string, a, b *Value) *Value {
	switch operator {
	case "==", "!=", "is", "is not":
		same, ok := equal(a, b)
		if !ok {
			return nil
		}
		return truthValue(line, same == (operator == "==" || operator == "is"))
	case "in", "not in":
		has, ok := e.contains(a, b)
		if !ok {
			return nil
		}
		return truthValue(line, has == (operator == "in"))
	case "%":
		if a.Kind == Text {
			return e.percent(line, a.text, b)
		}
	case "|":
		if a.Kind == Dict && b.Kind == Dict {
			e.charge(len(a.entries))
			out := a.copied(line)
			if !e.update(out, b) {
				return unknown(line, tooMuch)
			}
			return out
		}
	}
	switch {
	case a.Kind == Int && b.Kind == Int:
		return whole(line, operator, a.int, b.int)
	case operator == "+":
		return e.join(line, a, b)
	case operator == "*" && a.Kind == Text && b.Kind == Int:
		return e.repeat(line, a.text, b.int)
	}
	return nil
}

// whole computes with whole numbers; nil when the result is none.
func whole(line int, operator string, a, b int64) *Value {
	number := func(n int64) *Value { return &Value{Kind: Int, line: line, int: n} }
	switch operator {
	case "+":
		if (b > 0 && a > math.MaxInt64-b) || (b < 0 && a < math.MinInt64-b) {
			return nil
		}
		return number(a + b)
	case "-":
		if (b < 0 && a > math.MaxInt64+b) || (b > 0 && a < math.MinInt64+b) {
			return nil
		}
		return number(a - b)
	case "*":
		if n := a * b; a == 0 || (n/a == b && (a != -1 || b != math.MinInt64)) {
			return number(n)
		}
	case "//", "%":
		if b <= 0 || a < 0 {
			return nil // where languages disagree
		}
		if operator == "%" {
			return number(a % b)
		}
		return number(a / b)
	case "<":
		return truthValue(line, a < b)
	case ">":
		return truthValue(line, a > b)
	case "<=":
		return truthValue(line, a <= b)
	case ">=":
		return truthValue(line, a >= b)
	}
	return nil
}

func (e *evaluator) join(line int, a, b *Value) *Value {
	switch {
	case a.Kind == Text && b.Kind == Text:
		return e.text(line, a.text+b.text)
	case a.Kind == List && b.Kind == List && a.tuple == b.tuple:
		if len(a.list)+len(b.list) > maxItems {
			return unknown(line, tooMuch)
		}
		return &Value{Kind: List, line: line, tuple: a.tuple, list: slices.Concat(a.list, b.list)}
	}
	return nil
}

func (e *evaluator) repeat(line int, text string, n int64) *Value {
	n = max(n, 0)
	if text != "" && n > int64(maxText/len(text)) {
		return unknown(line, tooMuch)
	}
	return e.text(line, strings.Repeat(text, int(n)))
}

// equal compares plain values; ok is false for those that hold others.
func equal(a, b *Value) (same, ok bool) {
	ka, oka := a.key()
	kb, okb := b.key()
	if oka && okb {
		return ka == kb, true
	}
	return false, oka != okb // a plain value never equals a list or dict
}

func (e *evaluator) contains(one, in *Value) (has, ok bool) {
	if in.Kind == Text {
		e.charge(len(in.text) / textPerStep)
		return one.Kind == Text && strings.Contains(in.text, one.text), one.Kind == Text
	}
	all, why := e.elements(in)
	if why != nil {
		return false, false
	}
	for _, other := range all {
		same, ok := equal(one, other)
		if !ok {
			return false, false
		}
		if same {
			return true, true
		}
	}
	return false, true
}

// percent is "…%s…" % values.
func (e *evaluator) percent(line int, format string, values *Value) *Value {
	given := []*Value{values}
	if values.Kind == List {
		if !values.tuple {
			return nil
		}
		given = values.list
	}
	var b strings.Builder
	for i := 0; i < len(format); i++ {
		if format[i] != '%' {
			b.WriteByte(format[i])
			continue
		}
		if i++; i == len(format) {
			return nil
		}
		switch {
		case format[i] == '%':
			b.WriteByte('%')
			continue
		case len(given) == 0 || format[i] != 's' && (format[i] != 'd' || given[0].Kind != Int):
			return nil
		}
		if given[0].Kind == Unknown {
			return given[0]
		}
		text, ok := given[0].str()
		if !ok {
			return nil
		}
		if b.WriteString(text); b.Len() > maxText {
			return unknown(line, tooMuch)
		}
		given = given[1:]
	}
	if len(given) > 0 {
		return nil
	}
	return e.text(line, b.String())
}
