// Package python evaluates the data of a Python file: the constants at its left
// margin, written as literals, joined and formatted texts, spreads,
// comprehensions and calls of functions that are one return.
//
// Nothing is run: there are no imports, no statements but assignments, and no
// way for an expression to reach outside of the file. What is not understood is
// an unknown value with a line and a reason, which never ends the rest, and
// lines that may change a name without being followed are told by Touched. Work
// is bounded in steps, depth and size, so that every file ends soon.
//
// It is not for programs, and not for checking that a file is Python.
// internal/bennettbot uses it.
package python
