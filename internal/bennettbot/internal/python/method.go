package python

import (
	"fmt"
	"strconv"
	"strings"
)

// method returns nil for what is not called here.
func (e *evaluator) method(x *expression, of *Value, args given) *Value {
	switch of.Kind {
	case Text:
		if x.a.text == "format" {
			return e.formatCall(x.line, of.text, args)
		}
		if len(args.names) == 0 {
			return e.textMethod(x, of, args.list)
		}
	case Dict:
		return e.dictMethod(x, of, args.list)
	case List:
		if x.a.text == "copy" && len(args.list) == 0 {
			e.charge(len(of.list))
			return of.copied(x.line)
		}
	default: // has no methods here
	}
	return nil
}

func (e *evaluator) dictMethod(x *expression, of *Value, args []*Value) *Value {
	out := &Value{Kind: List, line: x.line}
	switch {
	case x.a.text == "get" && (len(args) == 1 || len(args) == 2):
		if v := of.get(args[0]); v != nil {
			return v
		}
		if len(args) == 2 {
			return args[1]
		}
		return &Value{Kind: None, line: x.line}
	case len(args) > 0:
		return nil
	case x.a.text == "copy":
		e.charge(len(of.entries))
		return of.copied(x.line)
	case x.a.text == "items":
		e.charge(len(of.entries))
		for _, en := range of.entries {
			out.list = append(out.list, &Value{Kind: List, tuple: true, line: en.Key.line, list: []*Value{en.Key, en.Value}})
		}
		return out
	case x.a.text == "values":
		e.charge(len(of.entries))
		for _, en := range of.entries {
			out.list = append(out.list, en.Value)
		}
		return out
	case x.a.text == "keys":
		out.list, _ = e.elements(of)
		return out
	}
	return nil
}

// PlainTexts are the texts of arguments; ok is false when one is none.
func PlainTexts(args []*Value) (out []string, ok bool) {
	for _, a := range args {
		if a.Kind != Text {
			return nil, false
		}
		out = append(out, a.text)
	}
	return out, true
}

// whitespace is what Python's strip takes away.
const whitespace = " \t\n\r\f\v"

func (e *evaluator) textMethod(x *expression, of *Value, args []*Value) *Value {
	if x.a.text == "join" && len(args) == 1 {
		all, why := e.elements(args[0])
		if why != nil {
			return why
		}
		parts, ok := PlainTexts(all)
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
	texts, ok := PlainTexts(args)
	if !ok {
		return unknownAmong(args)
	}
	return e.plainMethod(x, of.text, texts)
}

// unknownAmong returns the first unknown value, or nil.
func unknownAmong(all []*Value) *Value {
	for _, v := range all {
		if v.Kind == Unknown {
			return v
		}
	}
	return nil
}

func (e *evaluator) plainMethod(x *expression, text string, args []string) *Value {
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

func texts(line int, all []string) *Value {
	if len(all) > maxItems {
		return unknown(line, tooMuch)
	}
	out := &Value{Kind: List, line: line}
	for _, one := range all {
		out.list = append(out.list, textValue(line, one))
	}
	return out
}

// formatCall is "…{}…{name}…".format(…), without conversions and format specs.
func (e *evaluator) formatCall(line int, text string, args given) *Value {
	fields, err := Template(text)
	if err != "" {
		return unknown(line, err)
	}
	var b strings.Builder
	next := 0
	for _, f := range fields {
		v := textValue(line, f.Literal)
		if f.Hole {
			v = args.field(f.Name, &next)
		}
		if v == nil {
			return unknown(line, "{"+Shorten(f.Name)+"} of a format is not given")
		}
		if v.Kind == Unknown {
			return v
		}
		plain, ok := v.str()
		if !ok {
			return unknown(line, v.Sort()+" stands inside a text")
		}
		if b.WriteString(plain); b.Len() > maxText {
			return unknown(line, tooMuch)
		}
	}
	return e.text(line, b.String())
}

// field is the argument that a hole asks for, or nil.
func (g given) field(name string, next *int) *Value {
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
