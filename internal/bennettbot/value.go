package bennettbot

import (
	"strconv"
)

type valueKind int

const (
	isUnknown valueKind = iota
	isNone
	isTruth
	isInt
	isFloat
	isText
	isList // and tuples and sets
	isDict
	isFunction
)

// value is a Python value, and the line where it was written.
type value struct {
	kind valueKind
	line int
	// text, or why it is unknown.
	text  string
	truth bool
	int   int64
	float float64
	// list elements; shared by all who hold the value, as in Python.
	list     []*value
	tuple    bool
	entries  []entry
	byKey    map[string]int // index in entries by what key() says
	function *function
}

// entry of a dict, in the order of insertion.
type entry struct {
	key   *value
	value *value
}

type function struct {
	name   string
	params []param
	body   *expression
	// why a call is unknown; empty: it can be evaluated.
	why string
}

func unknown(line int, why string) *value { return &value{kind: isUnknown, line: line, text: why} }

func textValue(line int, text string) *value { return &value{kind: isText, line: line, text: text} }

func truthValue(line int, t bool) *value { return &value{kind: isTruth, line: line, truth: t} }

func dictValue(line int) *value { return &value{kind: isDict, line: line, byKey: map[string]int{}} }

// key is a text by which equal keys of a dict are equal; ok is false for what
// cannot be one.
func (v *value) key() (string, bool) {
	switch v.kind {
	case isText:
		return "s" + v.text, true
	case isInt:
		return "i" + strconv.FormatInt(v.int, 10), true
	case isTruth:
		if v.truth {
			return "i1", true
		}
		return "i0", true
	case isNone:
		return "n", true
	default:
		return "", false
	}
}

// set puts an entry; an earlier value of the key is replaced in its place, and
// returned.
func (v *value) set(key, to *value) (before *value, ok bool) {
	name, ok := key.key()
	if !ok || len(v.entries) >= maxItems {
		return nil, false
	}
	if i, there := v.byKey[name]; there {
		before = v.entries[i].value
		v.entries[i] = entry{key, to}
		return before, true
	}
	v.byKey[name] = len(v.entries)
	v.entries = append(v.entries, entry{key, to})
	return nil, true
}

func (v *value) get(key *value) *value {
	name, ok := key.key()
	if i, there := v.byKey[name]; ok && there {
		return v.entries[i].value
	}
	return nil
}

// copied is v as dict.copy() or list.copy() make it.
func (v *value) copied(line int) *value {
	out := *v
	out.line = line
	out.list = append([]*value(nil), v.list...)
	out.entries = append([]entry(nil), v.entries...)
	out.byKey = make(map[string]int, len(v.byKey))
	for k, i := range v.byKey {
		out.byKey[k] = i
	}
	return &out
}

// true says what Python's bool() says.
func (v *value) isTrue() bool {
	switch v.kind {
	case isTruth:
		return v.truth
	case isInt:
		return v.int != 0
	case isFloat:
		return v.float != 0
	case isText:
		return v.text != ""
	case isList:
		return len(v.list) > 0
	case isDict:
		return len(v.entries) > 0
	case isFunction:
		return true
	default:
		return false
	}
}

// name of a kind, for sentences.
func (v *value) sort() string {
	switch v.kind {
	case isNone:
		return "None"
	case isTruth:
		return "True or False"
	case isInt, isFloat:
		return "a number"
	case isText:
		return "a text"
	case isList:
		return "a list"
	case isDict:
		return "a dict"
	case isFunction:
		return "a function"
	default:
		return "unknown"
	}
}

// str is what str() and formatting make of it; ok is false for what has no
// plain form.
func (v *value) str() (string, bool) {
	switch v.kind {
	case isText:
		return v.text, true
	case isInt:
		return strconv.FormatInt(v.int, 10), true
	case isTruth:
		if v.truth {
			return "True", true
		}
		return "False", true
	case isNone:
		return "None", true
	default:
		return "", false
	}
}
