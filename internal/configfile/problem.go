package configfile

import (
	"fmt"
	"slices"
	"strings"
)

// maxProblems is how many problems are reported at once; a file with more has
// one cause for many.
const maxProblems = 100

// Problem is one thing that is wrong with a file.
type Problem struct {
	// File as it was named by the caller.
	File string
	// Line and Column count from 1; 0 when the file could not be read at all.
	Line, Column int
	// Path leads to the place by keys, such as "services.hello.pipeline".
	Path string
	// Message says what is wrong and what is allowed.
	Message string
	// Suggestion is the word that was probably meant; may be empty.
	Suggestion string
}

// String is one line as compilers print it: file:line:column: path: message.
func (p Problem) String() string {
	var b strings.Builder
	b.WriteString(p.File)
	if p.Line > 0 {
		fmt.Fprintf(&b, ":%d:%d", p.Line, p.Column)
	}
	b.WriteString(": ")
	if p.Path != "" {
		b.WriteString(p.Path + ": ")
	}
	b.WriteString(p.Message)
	if p.Suggestion != "" {
		fmt.Fprintf(&b, " (did you mean %s?)", p.Suggestion)
	}
	return b.String()
}

// Problems are all that is wrong with a file, in its order; none means it is
// good.
type Problems []Problem

// Err is nil when there are no problems, else an error that prints them all.
func (p Problems) Err() error {
	if len(p) == 0 {
		return nil
	}
	return p
}

// Error prints them all, one per line. Return Err where an error is wanted: no
// problems are no error.
func (p Problems) Error() string { return p.String() }

// String is one line per problem.
func (p Problems) String() string {
	lines := make([]string, len(p))
	for i, one := range p {
		lines[i] = one.String()
	}
	return strings.Join(lines, "\n")
}

// sorted orders problems by place and bounds their number.
func (p Problems) sorted() Problems {
	slices.SortStableFunc(p, func(a, b Problem) int {
		if a.Line != b.Line {
			return a.Line - b.Line
		}
		return a.Column - b.Column
	})
	p = slices.Compact(p)
	if len(p) > maxProblems {
		more := len(p) - maxProblems
		p = append(p[:maxProblems:maxProblems], Problem{File: p[0].File, Message: fmt.Sprintf("and %d problems more", more)})
	}
	return p
}
