package python

import "strings"

// Field is a part of a format text: a literal, or a hole with its name.
type Field struct {
	Literal string
	Hole    bool
	Name    string
}

// Template splits a text as str.format reads it. The error, a sentence, says
// what is not read. See The Python Standard Library, Format String Syntax.
func Template(text string) (fields []Field, err string) {
	var literal strings.Builder
	flush := func() {
		if literal.Len() > 0 {
			fields = append(fields, Field{Literal: literal.String()})
			literal.Reset()
		}
	}
	for i := 0; i < len(text); i++ {
		c := text[i]
		if c != '{' && c != '}' {
			literal.WriteByte(c)
			continue
		}
		if i+1 < len(text) && text[i+1] == c {
			literal.WriteByte(c)
			i++
			continue
		}
		if c == '}' {
			return nil, "a single } stands in it; Python refuses that"
		}
		end := strings.IndexByte(text[i:], '}')
		if end < 0 {
			return nil, "a { in it is not closed; Python refuses that"
		}
		name := text[i+1 : i+end]
		if strings.ContainsAny(name, "{!:.[") {
			return nil, "{" + Shorten(name) + "} formats its value in a way that is not read here"
		}
		flush()
		fields = append(fields, Field{Hole: true, Name: name})
		i += end
	}
	flush()
	return fields, ""
}
