package pipeline

import (
	"errors"
	"path"
	"strings"
)

// scanShell finds the placeholders of a POSIX shell line and says of each
// whether a single-quoted word can stand in its place. It reads quotes,
// expansions, comments and here-documents; where shells disagree about what
// follows, it refuses every later placeholder instead of guessing. The error
// says that a quote or bracket is never closed.
//
// See POSIX.1-2024, Shell Command Language, 2.2 Quoting and 2.3 Token
// Recognition.
func scanShell(line string) ([]spot, error) {
	s := &scanner{text: line}
	s.commands(0, "")
	if s.doubt != "" {
		s.refuseRest()
	} else if s.open != "" {
		return s.spots, errors.New(s.open + " is opened and never closed")
	}
	return s.spots, nil
}

// maxNesting bounds the recursion; no line that a person wrote is deeper.
const maxNesting = 20

// Where a value cannot stand, as a person reads it.
const (
	inSingle     = "inside single quotes"
	inDouble     = "inside double quotes"
	inBackticks  = "inside `…`"
	inCommand    = "inside $(…)"
	inExpansion  = "inside ${…}"
	inArithmetic = "inside $((…))"
	inComment    = "in a comment"
	afterSlash   = "after a backslash"
	afterHere    = "after a here-document (<<)"
	// bash expands the word after >& twice, quotes or not.
	afterDuplicate = "after >&"
	evaluated      = "where the shell would evaluate it as a command"
)

type scanner struct {
	text  string
	pos   int
	depth int
	spots []spot
	// doubt is why nothing after pos can be judged.
	doubt string
	// open is what was not closed at the end of the text.
	open string
}

func (s *scanner) more() bool { return s.doubt == "" && s.pos < len(s.text) }

func (s *scanner) peek(n int) byte {
	if s.pos+n < len(s.text) {
		return s.text[s.pos+n]
	}
	return 0
}

// take records a placeholder at the position and steps over it.
func (s *scanner) take(why string, command bool) bool {
	sp, ok := spotAt(s.text, s.pos)
	if !ok {
		return false
	}
	sp.why, sp.command = why, command
	s.spots = append(s.spots, sp)
	s.pos = sp.end
	return true
}

func (s *scanner) refuseRest() {
	for s.pos < len(s.text) {
		if !s.take(s.doubt, false) {
			s.pos++
		}
	}
}

// commands reads a list of commands, up to end or, when end is 0, to the end
// of the text. A list inside something else refuses its placeholders with where.
func (s *scanner) commands(end byte, where string) {
	if s.depth++; s.depth > maxNesting {
		s.doubt = "inside so many levels of nesting"
	}
	defer func() { s.depth-- }()
	w := simple{scanner: s, where: where}
	w.reset()
	parens := 0
	for s.more() {
		c := s.text[s.pos]
		if end != 0 && c == end && parens == 0 {
			w.endWord()
			s.pos++
			return
		}
		switch c {
		case ' ', '\t':
			w.endWord()
			s.pos++
		case '(', ')', ';', '\n', '|', '&':
			s.operator(&w, c, &parens)
		case '<', '>':
			s.redirection(&w)
		case '#':
			if w.start >= 0 {
				s.pos++
				continue
			}
			s.until('\n', inComment)
		default:
			w.piece(c)
		}
	}
	w.endWord()
	if end != 0 && s.doubt == "" {
		s.open = "$("
	}
}

// operator reads what ends a simple command.
func (s *scanner) operator(w *simple, c byte, parens *int) {
	if c == '&' && w.redirect && w.start < 0 {
		w.duplicate = true // the & of >&2
		s.pos++
		return
	}
	if c == '(' && s.peek(1) == '(' {
		s.doubt = "after (("
		return
	}
	w.endWord()
	w.reset()
	switch c {
	case '(':
		*parens++
	case ')':
		*parens = max(0, *parens-1)
	}
	s.pos++
}

func (s *scanner) redirection(w *simple) {
	if s.peek(0) == '<' && s.peek(1) == '<' {
		s.doubt = afterHere
		return
	}
	w.endWord()
	w.redirect = true
	s.pos++
	if c := s.peek(0); c == '>' || c == '|' {
		s.pos++
	}
}

// until skips to the byte end, which stays unread when it is a line feed.
func (s *scanner) until(end byte, where string) bool {
	for s.more() {
		if s.text[s.pos] == end {
			if end != '\n' {
				s.pos++
			}
			return true
		}
		if !s.take(where, false) {
			s.pos++
		}
	}
	return false
}

func (s *scanner) backslash() {
	s.pos++
	if s.pos < len(s.text) && !s.take(afterSlash, false) {
		s.pos++
	}
}

func (s *scanner) single() {
	s.pos++
	if !s.until('\'', inSingle) {
		s.open = "a single quote"
	}
}

func (s *scanner) double() {
	for s.pos++; s.more(); {
		switch s.text[s.pos] {
		case '"':
			s.pos++
			return
		case '\\':
			s.backslash()
		case '`':
			s.backticks()
		case '$':
			s.dollar(true)
		default:
			if !s.take(inDouble, false) {
				s.pos++
			}
		}
	}
	if s.open == "" {
		s.open = "a double quote"
	}
}

func (s *scanner) backticks() {
	for s.pos++; s.more(); {
		switch s.text[s.pos] {
		case '`':
			s.pos++
			return
		case '\\':
			s.backslash()
		case '\'', '"':
			s.doubt = "after `…` with quotes in it"
		default:
			if !s.take(inBackticks, false) {
				s.pos++
			}
		}
	}
	if s.open == "" {
		s.open = "a backtick"
	}
}

// dollar reads an expansion, or a plain $.
func (s *scanner) dollar(quoted bool) {
	switch next := s.peek(1); {
	case next == '(' && s.peek(2) == '(':
		s.pos += 3
		s.balanced('(', ')', 2, inArithmetic)
	case next == '(':
		s.pos += 2
		s.commands(')', inCommand)
	case next == '{':
		s.pos += 2
		s.balanced('{', '}', 1, inExpansion)
	case next == '\'' && !quoted:
		s.doubt = "after $'…'"
	case next == '$':
		s.pos += 2
	default:
		s.pos++
	}
}

// balanced reads up to the bracket that closes level more of its kind.
func (s *scanner) balanced(open, end byte, level int, where string) {
	if s.depth++; s.depth > maxNesting {
		s.doubt = "inside so many levels of nesting"
	}
	defer func() { s.depth-- }()
	for s.more() {
		if s.take(where, false) {
			continue
		}
		switch c := s.text[s.pos]; c {
		case end:
			s.pos++
			if level--; level == 0 {
				return
			}
		case '\'', '"', '`':
			s.doubt = "after an expansion with quotes in it"
		case '\\':
			s.backslash()
		case '$':
			s.dollar(true)
		default:
			if c == open && open == '(' {
				level++
			}
			s.pos++
		}
	}
	if s.doubt == "" && s.open == "" {
		s.open = "${ or $(("
	}
}

// simple follows one simple command word by word, to know which word names
// the command and which words its command would evaluate again.
type simple struct {
	*scanner
	where string
	// start of the current word; -1 between words.
	start int
	// naming: the word that names the command is still to come, or current.
	naming bool
	// redirect: the current or next word is the target of a redirection.
	redirect bool
	// duplicate: that redirection is >& or <&.
	duplicate bool
	name      string
	// interpreter: letters of options whose value a word so far would run.
	interpreter string
	// args counts the words after the name.
	args int
	// evaluates: every later word is evaluated; next: only the next one.
	evaluates, next bool
}

func (w *simple) reset() { *w = simple{scanner: w.scanner, where: w.where, start: -1, naming: true} }

// piece reads one piece of a word.
func (w *simple) piece(c byte) {
	if w.start < 0 {
		w.start = w.pos
	}
	switch c {
	case '\\':
		w.backslash()
	case '\'':
		w.single()
	case '"':
		w.double()
	case '`':
		w.backticks()
	case '$':
		w.dollar(false)
	default:
		why := w.where
		if why == "" && (w.evaluates || w.next) {
			why = evaluated
		}
		if why == "" && w.redirect && w.duplicate {
			why = afterDuplicate
		}
		command := w.naming && !w.redirect && !isAssignment(w.text[w.start:w.pos])
		if !w.take(why, command) {
			w.pos++
		}
	}
}

// reevaluating commands read their words once more as shell text: here, as the
// subscript of a variable's name (bash evaluates that of "read 'a[$(x)]'"), or in
// a shell at another place.
var reevaluating = map[string]bool{
	"eval": true, "trap": true, "let": true, "[[": true, "declare": true, "typeset": true, "local": true, "read": true,
	"unset": true, "alias": true, "source": true, ".": true, "ssh": true, "su": true, "watch": true,
}

// prefixing words are followed by another word that names a command.
var prefixing = map[string]bool{
	"if": true, "then": true, "else": true, "elif": true, "do": true, "while": true, "until": true, "!": true, "{": true,
	"time": true, "exec": true, "command": true, "builtin": true, "nohup": true, "setsid": true, "sudo": true, "env": true,
}

// interpreters run the value of an option that ends with one of the letters.
var interpreters = map[string]string{
	"sh": "c", "bash": "c", "dash": "c", "zsh": "c", "ksh": "c", "ash": "c",
	"python": "c", "python3": "c", "perl": "eE", "ruby": "e", "node": "ep", "php": "r",
}

var unquote = strings.NewReplacer(`'`, "", `"`, "", `\`, "")

func (w *simple) endWord() {
	if w.start < 0 || w.doubt != "" {
		return
	}
	text := unquote.Replace(w.text[w.start:min(w.pos, len(w.text))])
	filled := len(w.spots) > 0 && w.spots[len(w.spots)-1].start >= w.start
	w.start, w.next = -1, false
	switch next := w.peek(0); {
	case w.redirect:
		w.redirect, w.duplicate = false, false
	case !w.naming:
		w.argument(text, filled)
	case prefixing[text], isAssignment(text), (next == '<' || next == '>') && isNumber(text):
	default:
		w.naming, w.name = false, text
		w.evaluates = reevaluating[path.Base(text)]
		w.interpreter = interpreters[path.Base(text)]
	}
	if text == "case" && w.where != "" {
		w.doubt = "after case inside $(…)"
	}
}

// argument looks at a word after the command's name for what it makes of the
// next one. A filled word may be anything, an option too.
func (w *simple) argument(text string, filled bool) {
	option := strings.HasPrefix(text, "-") && w.interpreter != "" && strings.ContainsRune(w.interpreter, rune(text[len(text)-1]))
	switch variable := text == "-v" || filled; w.name {
	case "test", "[":
		w.next = variable // the name of a variable, whose subscript bash evaluates
	case "printf":
		w.next = variable && w.args == 0
	default:
		w.next = option
	}
	w.args++
	if letters := interpreters[path.Base(text)]; letters != "" {
		w.interpreter = letters // as in: timeout 5 sh -c
	}
}

func isNumber(word string) bool { return word != "" && strings.Trim(word, "0123456789") == "" }

// isAssignment says whether a word starts as NAME=.
func isAssignment(word string) bool {
	name, _, found := strings.Cut(word, "=")
	if !found || name == "" {
		return false
	}
	for i := range len(name) {
		if name[i] == '-' || !isNameByte(name[i], i == 0) {
			return false
		}
	}
	return true
}
