package main

import (
	"io"
	"os"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/term"
)

// defaultWidth is a terminal's that does not tell its own.
const defaultWidth = 80

// isTerminal tells whether a person sees what is written to w.
func isTerminal(w io.Writer) bool {
	f := file(w)
	return f != nil && term.IsTerminal(int(f.Fd())) //nolint:gosec // descriptors are small
}

// width is the number of columns of the terminal behind w.
func width(w io.Writer) int {
	if f := file(w); f != nil {
		if n, _, err := term.GetSize(int(f.Fd())); err == nil && n > 0 { //nolint:gosec // descriptors are small
			return n
		}
	}
	return defaultWidth
}

// colourful tells whether to colour: on a terminal, unless somebody minds
// (https://no-color.org).
func colourful(w io.Writer) bool {
	return os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb" && isTerminal(w)
}

// colour is an SGR parameter.
type colour string

const (
	plain  colour = ""
	bold   colour = "1"
	faint  colour = "2"
	red    colour = "31"
	green  colour = "32"
	yellow colour = "33"
	cyan   colour = "36"
)

// paint is whether to colour.
type paint bool

func (p paint) in(c colour, text string) string {
	if !p || c == plain || text == "" {
		return text
	}
	return "\x1b[" + string(c) + "m" + text + "\x1b[0m"
}

// clean makes text from outside safe for one line of a terminal: it cannot move
// the cursor, hide what follows or turn the direction of writing.
func clean(text string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == '\n' || r == '\t' || r == '\r':
			return ' '
		case steers(r):
			return -1
		}
		return r
	}, text)
}

// cleanLines is clean for several lines.
func cleanLines(text string) string {
	return strings.Map(func(r rune) rune {
		if r != '\n' && r != '\t' && steers(r) {
			return -1
		}
		return r
	}, text)
}

func steers(r rune) bool {
	return unicode.IsControl(r) || r == utf8.RuneError || r >= '\u202a' && r <= '\u202e' || r >= '\u2066' && r <= '\u2069'
}

// cell is one field of a table.
type cell struct {
	text   string
	colour colour
}

func text(s string) cell { return cell{text: s} }

// table is columns of text under a heading. Empty columns are left out.
type table struct {
	head []string
	rows [][]cell
}

func (t *table) add(cells ...cell) {
	for i := range cells {
		cells[i].text = clean(cells[i].text)
	}
	t.rows = append(t.rows, cells)
}

// write aligns the columns by characters.
func (t *table) write(w io.Writer, p paint) {
	widths := t.widths()
	head := make([]cell, len(t.head))
	for i, h := range t.head {
		head[i] = cell{h, faint}
	}
	for _, row := range append([][]cell{head}, t.rows...) {
		var line strings.Builder
		for i, c := range row {
			if widths[i] == 0 {
				continue
			}
			line.WriteString(p.in(c.colour, c.text))
			line.WriteString(strings.Repeat(" ", widths[i]-utf8.RuneCountInString(c.text)+2))
		}
		_, _ = io.WriteString(w, strings.TrimRight(line.String(), " ")+"\n") // the reader has gone when this fails
	}
}

// widths are the columns' widths; 0 for one that is empty in every row.
func (t *table) widths() []int {
	out := make([]int, len(t.head))
	for _, row := range t.rows {
		for i, c := range row {
			out[i] = max(out[i], utf8.RuneCountInString(c.text))
		}
	}
	for i, h := range t.head {
		if out[i] > 0 {
			out[i] = max(out[i], utf8.RuneCountInString(h))
		}
	}
	return out
}

// fit cuts a line without colours to n columns.
func fit(line string, n int) string {
	runes := []rune(line)
	if len(runes) <= n {
		return line
	}
	return string(runes[:max(n-1, 0)]) + "…"
}
