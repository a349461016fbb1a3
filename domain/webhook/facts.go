package webhook

import (
	"encoding/json"
	"slices"
	"strings"

	"github.com/slipway-hq/slipway/domain/pipeline"
)

// Bounds of what is taken from a payload: together they fit into one message of
// INBOX (64 KiB) with everything around them.
const (
	// MaxPaths is how many changed files are kept, and MaxPathBytes how long
	// they may be in all.
	MaxPaths     = 1000
	MaxPathBytes = 24 << 10
	// MaxField is the longest payload field, in bytes; a longer one counts as
	// absent. MaxFieldBytes is for all of them.
	MaxField      = pipeline.MaxParameterValue
	MaxFieldBytes = 24 << 10
	// maxFact is the longest branch, repository and so on.
	maxFact = 255
	// maxURL is the longest address of a page.
	maxURL = 2000
)

// Facts that rules can ask for, beside payload fields.
const (
	Event      = "event"
	Action     = "action"
	Merged     = "merged"
	Branch     = "branch"
	Repository = "repository"
	Tag        = "tag"
)

// ActionDeleted is the action of a push that deletes its branch or tag. Only a
// rule that names it fits such a push.
const ActionDeleted = "deleted"

// Facts are a delivery, reduced to what rules can ask for.
type Facts struct {
	// Known by the names above; what a delivery does not say is missing.
	Known map[string]string
	// Paths of changed files, sorted, each once. PathsCut says that there may be
	// more; PathsKnown, that the sender lists files at all.
	Paths      []string
	PathsCut   bool
	PathsKnown bool
	// Fields that rules name, as text, by their dotted path.
	Fields map[string]string
	// URL of the page of the cause, for people; may be empty.
	URL string
}

// collector gathers scalars of a payload.
type collector struct {
	wanted map[string]bool
	seen   map[string]bool
	values map[string]string
	bytes  int // of values, with their names
	// isPath tells whether a scalar is the name of a changed file.
	isPath  func(path []string) bool
	paths   map[string]bool
	long    int // bytes of paths
	cut     bool
	commits int
}

func newCollector(isPath func([]string) bool, wanted ...[]string) *collector {
	c := &collector{wanted: map[string]bool{}, seen: map[string]bool{}, values: map[string]string{}, paths: map[string]bool{}, isPath: isPath}
	for _, list := range wanted {
		for _, field := range list {
			c.wanted[field] = true
		}
	}
	return c
}

func (c *collector) visit(path []string, value any) error {
	if c.isPath(path) {
		c.file(value)
		return nil
	}
	name := strings.Join(path, ".")
	if !c.wanted[name] {
		return nil
	}
	if c.seen[name] {
		return ErrTwice
	}
	c.seen[name] = true
	text, ok := textOf(value)
	size := len(name) + len(text)
	if !ok || len(text) > MaxField || c.bytes+size > MaxFieldBytes {
		return nil
	}
	c.bytes += size
	c.values[name] = text
	return nil
}

// textOf is a scalar as a text: numbers as they were written.
func textOf(value any) (string, bool) {
	switch v := value.(type) {
	case string:
		return v, true
	case json.Number:
		return v.String(), true
	case bool:
		if v {
			return "true", true
		}
		return "false", true
	}
	return "", false // null is no text
}

func (c *collector) file(value any) {
	name, ok := value.(string)
	if !ok || name == "" || c.paths[name] {
		return
	}
	if len(c.paths) == MaxPaths || c.long+len(name) > MaxPathBytes {
		c.cut = true
		return
	}
	c.paths[name] = true
	c.long += len(name)
}

func (c *collector) files() []string {
	out := make([]string, 0, len(c.paths))
	for name := range c.paths {
		out = append(out, name)
	}
	slices.Sort(out)
	return out
}

// pick returns the values of the wanted fields.
func (c *collector) pick(wanted []string) map[string]string {
	out := map[string]string{}
	for _, field := range wanted {
		if text, ok := c.values[field]; ok {
			out[field] = text
		}
	}
	return out
}

// first is the first of these fields that says something.
func (c *collector) first(fields ...string) string {
	for _, field := range fields {
		if c.values[field] != "" {
			return c.values[field]
		}
	}
	return ""
}

// know adds a fact, unless it is empty or longer than any that is real.
func (f *Facts) know(name, value string) {
	if value != "" && len(value) <= maxFact {
		f.Known[name] = value
	}
}

// page sets URL if it is an address that people can open.
func (f *Facts) page(url string) {
	if len(url) <= maxURL && (strings.HasPrefix(url, "https://") || strings.HasPrefix(url, "http://")) && !strings.ContainsAny(url, " <>|\n\r\t\"") {
		f.URL = url
	}
}
