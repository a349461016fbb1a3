package webhook

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
)

// maxDepth is how deep a payload may be nested: GitHub's are below ten.
const maxDepth = 64

// The reasons to refuse a payload.
var (
	// ErrMalformed: it is no JSON object.
	ErrMalformed = errors.New("the payload is no JSON object")
	// ErrTooDeep: it is nested deeper than 64 levels.
	ErrTooDeep = errors.New("the payload is nested too deep")
	// ErrTwice: a field that matters stands there twice.
	ErrTwice = errors.New("the payload holds a field twice")
)

// level is one object or array that is open, and where in it the walk stands.
type level struct {
	array  bool
	index  int
	key    string
	hasKey bool // an object's key was read, its value comes next
}

// walk visits every scalar of a JSON object in order, by its path, without
// holding more than the way there. The path is only valid during the call.
// null is visited as nil, everything else as string, bool or json.Number.
func walk(payload []byte, visit func(path []string, value any) error) error {
	d := json.NewDecoder(bytes.NewReader(payload))
	d.UseNumber()
	w := walker{visit: visit}
	for {
		token, err := d.Token()
		switch {
		case errors.Is(err, io.EOF) && w.begun && len(w.open) == 0:
			return nil
		case err != nil:
			return ErrMalformed
		}
		if err := w.take(token); err != nil {
			return err
		}
	}
}

type walker struct {
	visit func([]string, any) error
	open  []level
	path  []string
	begun bool
}

func (w *walker) take(token json.Token) error {
	if delim, ok := token.(json.Delim); ok {
		return w.delimiter(delim)
	}
	if len(w.open) == 0 {
		return ErrMalformed // a scalar alone, or something behind the object
	}
	top := &w.open[len(w.open)-1]
	if key, ok := token.(string); ok && !top.array && !top.hasKey {
		top.key, top.hasKey = key, true
		return nil
	}
	w.place(top)
	err := w.visit(w.path, token)
	w.next()
	return err
}

func (w *walker) delimiter(delim json.Delim) error {
	switch delim {
	case '}', ']':
		w.open = w.open[:len(w.open)-1]
		w.next()
		return nil
	}
	switch {
	case len(w.open) == 0 && (w.begun || delim != '{'):
		return ErrMalformed
	case len(w.open) == maxDepth:
		return fmt.Errorf("%w: more than %d levels", ErrTooDeep, maxDepth)
	case len(w.open) > 0:
		w.place(&w.open[len(w.open)-1])
	}
	w.begun = true
	w.open = append(w.open, level{array: delim == '['})
	w.path = append(w.path, "")
	return nil
}

// place writes the position within a level into the path.
func (w *walker) place(top *level) {
	at := top.key
	if top.array {
		at = strconv.Itoa(top.index)
	}
	w.path[len(w.open)-1] = at
}

// next moves on behind a value.
func (w *walker) next() {
	w.path = w.path[:len(w.open)]
	if len(w.open) == 0 {
		return
	}
	top := &w.open[len(w.open)-1]
	top.index++
	top.hasKey = false
}
