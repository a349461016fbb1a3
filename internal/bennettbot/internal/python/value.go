package python

import (
	"strconv"
)

// Kind of a value.
type Kind int

// The kinds. Unknown is what could not be evaluated; tuples and sets are lists.
const (
	Unknown Kind = iota
	None
	Truth
	Int
	Float
	Text
	List
	Dict
	Function
)

// Value is a Python value, or why there is none, and the line where it was
// written.
type Value struct {
	Kind Kind
	line int
	// text, or why it is unknown.
	text  string
	truth bool
	int   int64
	float float64
	// list elements; shared by all who hold the value, as in Python.
	list     []*Value
	tuple    bool
	entries  []Entry
	byKey    map[string]int // index in entries by what key() says
	function *function
}

// Entry of a dict, in the order of insertion.
type Entry struct{ Key, Value *Value }

// Line where it was written.
func (v *Value) Line() int { return v.line }

// Text of a text, or the reason of an unknown value; else empty.
func (v *Value) Text() string { return v.text }

// Int of a whole number; else 0.
func (v *Value) Int() int64 { return v.int }

// List holds the elements of a list.
func (v *Value) List() []*Value { return v.list }

// Entries of a dict, in the order of insertion.
func (v *Value) Entries() []Entry { return v.entries }

type function struct {
	name   string
	params []param
	body   *expression
	// why a call is unknown; empty: it can be evaluated.
	why string
}

func unknown(line int, why string) *Value { return &Value{Kind: Unknown, line: line, text: why} }

func textValue(line int, text string) *Value { return &Value{Kind: Text, line: line, text: text} }

func truthValue(line int, t bool) *Value { return &Value{Kind: Truth, line: line, truth: t} }

func dictValue(line int) *Value { return &Value{Kind: Dict, line: line, byKey: map[string]int{}} }

// key is a text by which equal keys of a dict are equal; ok is false for what
// cannot be one.
func (v *Value) key() (string, bool) {
	switch v.Kind {
	case Text:
		return "s" + v.text, true
	case Int:
		return "i" + strconv.FormatInt(v.int, 10), true
	case Truth:
		if v.truth {
			return "i1", true
		}
		return "i0", true
	case None:
		return "n", true
	default:
		return "", false
	}
}

// set puts an Entry; an earlier value of the key is replaced in its place, and
// returned.
func (v *Value) set(key, to *Value) (before *Value, ok bool) {
	name, ok := key.key()
	if !ok || len(v.entries) >= maxItems {
		return nil, false
	}
	if i, there := v.byKey[name]; there {
		before = v.entries[i].Value
		v.entries[i] = Entry{key, to}
		return before, true
	}
	v.byKey[name] = len(v.entries)
	v.entries = append(v.entries, Entry{key, to})
	return nil, true
}

func (v *Value) get(key *Value) *Value {
	name, ok := key.key()
	if i, there := v.byKey[name]; ok && there {
		return v.entries[i].Value
	}
	return nil
}

// copied is v as dict.copy() or list.copy() make it.
func (v *Value) copied(line int) *Value {
	out := *v
	out.line = line
	out.list = append([]*Value(nil), v.list...)
	out.entries = append([]Entry(nil), v.entries...)
	out.byKey = make(map[string]int, len(v.byKey))
	for k, i := range v.byKey {
		out.byKey[k] = i
	}
	return &out
}

// IsTrue says what Python's bool() says.
func (v *Value) IsTrue() bool {
	switch v.Kind {
	case Truth:
		return v.truth
	case Int:
		return v.int != 0
	case Float:
		return v.float != 0
	case Text:
		return v.text != ""
	case List:
		return len(v.list) > 0
	case Dict:
		return len(v.entries) > 0
	case Function:
		return true
	default:
		return false
	}
}

// Sort names its kind, for sentences.
func (v *Value) Sort() string {
	switch v.Kind {
	case None:
		return "None"
	case Truth:
		return "True or False"
	case Int, Float:
		return "a number"
	case Text:
		return "a text"
	case List:
		return "a list"
	case Dict:
		return "a dict"
	case Function:
		return "a function"
	default:
		return "unknown"
	}
}

// str is what str() and formatting make of it; ok is false for what has no
// plain form.
func (v *Value) str() (string, bool) {
	switch v.Kind {
	case Text:
		return v.text, true
	case Int:
		return strconv.FormatInt(v.int, 10), true
	case Truth:
		if v.truth {
			return "True", true
		}
		return "False", true
	case None:
		return "None", true
	default:
		return "", false
	}
}
