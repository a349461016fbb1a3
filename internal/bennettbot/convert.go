package bennettbot

import (
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/slipway-hq/slipway/domain/grammar"
	"github.com/slipway-hq/slipway/domain/pipeline"
	"github.com/slipway-hq/slipway/internal/bennettbot/internal/python"
)

// actions of BennettBot, in our words.
var actions = map[string]string{
	"schedule_job": "run", "cancel_job": "cancel",
	"schedule_suppression": "hold", "cancel_suppression": "release",
}

var parameterName = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)

// shellLine turns a template of str.format into a line with our placeholders,
// and lists their names. The error, a sentence, says what a person has to do.
func shellLine(template string) (line string, params []string, err string) {
	fields, err := python.Template(template)
	if err != "" {
		return "", nil, err
	}
	var b strings.Builder
	for _, f := range fields {
		switch {
		case !f.Hole:
			b.WriteString(f.Literal)
			continue
		case !parameterName.MatchString(f.Name):
			return "", nil, "{" + python.Shorten(f.Name) + "} is no name of a parameter"
		case strings.HasSuffix(b.String(), "$"):
			return "", nil, "a $ stands before {" + f.Name + "}: here that belongs to the shell"
		}
		b.WriteString("\x00" + f.Name + "\x01") // until the literal braces are escaped
		if !slices.Contains(params, f.Name) {
			params = append(params, f.Name)
		}
	}
	return marks.Replace(escapeBraces(b.String())), params, ""
}

var marks = strings.NewReplacer("\x00", "{", "\x01", "}")

// braced is what would be taken for a placeholder.
var braced = regexp.MustCompile(`\$?\{[A-Za-z_][A-Za-z0-9_-]*\}`)

// escapeBraces doubles the braces of literal text that looks like a placeholder.
func escapeBraces(text string) string {
	return braced.ReplaceAllStringFunc(text, func(found string) string {
		if strings.HasPrefix(found, "$") {
			return found
		}
		return "{" + found + "}"
	})
}

// bashOnly are forms that /bin/sh need not know. BennettBot ran its lines with
// /bin/sh as well, so they worked there only where that is bash.
var bashOnly = regexp.MustCompile(`\[\[ |<\(|<<<|&>|\$'|(^|[;&|] *)source |\{[A-Za-z0-9_]*,[A-Za-z0-9_,]*\}|\{[0-9]+\.\.[0-9]+\}`)

// bracketed parameters of a command, as BennettBot finds them.
var bracketed = regexp.MustCompile(`\[(\w+)\]`)

// special characters of regular expressions, which BennettBot does not escape.
var special = regexp.MustCompile(`[.*+?(){}|^$\\]`)

// check compares a command with its job, as BennettBot does at its start.
func (r *reader) check(n *namespace, c *command, jobs map[string]*job) {
	path := n.name + ": " + python.Shorten(c.match)
	drop := func(format string, args ...any) {
		r.human(c.line, path, format, args...)
		c.dropped = r.findings[len(r.findings)-1].Text
	}
	j := jobs[c.job]
	switch {
	case c.dropped != "":
		return
	case actions[c.action] == "":
		drop("its action %q is none of BennettBot's", python.Shorten(c.action))
		return
	case j == nil:
		drop("there is no job %q", python.Shorten(c.job))
		return
	case j.dropped != "":
		drop("its job %s needs a person first", c.job)
		return
	}
	p, err := grammar.CompilePattern(c.match)
	if err != nil {
		drop("its text does not work here: %s", err)
		return
	}
	r.differences(c, path, p)
	if c.help != "" {
		c.help = r.short(c.line, path, c.help, pipeline.MaxHelp)
	}
	_, params, _ := shellLine(j.template)
	switch actions[c.action] {
	case "run":
		if !sameNames(p.Params(), params) {
			drop("its parameters are not those of the job %s, which BennettBot refuses, too", c.job)
		}
	case "hold":
		if len(p.Params()) != 2 {
			drop("a hold needs two parameters, its start and its end")
			return
		}
		c.match = strings.NewReplacer("["+p.Params()[0]+"]", "["+pipeline.HoldStart+"]", "["+p.Params()[1]+"]", "["+pipeline.HoldEnd+"]").Replace(c.match)
	}
}

// short cuts a text for people to its bound.
func (r *reader) short(line int, path, text string, limit int) string {
	if len(text) <= limit {
		return text
	}
	r.human(line, path, "a text of it is longer than %d bytes and was cut", limit)
	end := limit - len("…")
	for end > 0 && !utf8.RuneStart(text[end]) {
		end--
	}
	return text[:end] + "…"
}

// differences are what the same text means here and there.
func (r *reader) differences(c *command, path string, p grammar.Pattern) {
	if special.MatchString(bracketed.ReplaceAllString(c.match, "")) {
		r.tell(c.line, path, "BennettBot reads its text as a regular expression; here it is just text")
	}
	words := strings.Fields(c.match)
	params := p.Params()
	for i, w := range words[:len(words)-1] {
		if m := bracketed.FindStringSubmatch(w); m != nil && m[1] != params[len(params)-1] && !bracketed.MatchString(words[i+1]) {
			r.tell(c.line, path, "[%s] takes one word here; BennettBot takes several when %q comes later", m[1], words[i+1])
		}
	}
}

func sameNames(a, b []string) bool {
	a, b = slices.Clone(a), slices.Clone(b)
	slices.Sort(a)
	slices.Sort(b)
	return slices.Equal(slices.Compact(a), slices.Compact(b))
}

// order gives overlapping commands the meaning that they have there: the one
// whose text sorts first. What can never be reached is left out.
func (r *reader) order(n *namespace) {
	slices.SortStableFunc(n.commands, func(a, b *command) int { return strings.Compare(a.typed, b.typed) })
	patterns := map[*command]grammar.Pattern{}
	var live []*command
	for _, c := range n.commands {
		c.before = nil
		if c.dropped != "" {
			continue
		}
		p, err := grammar.CompilePattern(c.match)
		if err != nil {
			continue // dropped by check
		}
		if hides := slices.IndexFunc(live, func(other *command) bool { return grammar.Covers(patterns[other], p) }); hides >= 0 {
			r.human(c.line, n.name+": "+python.Shorten(c.match), "BennettBot never reaches it, because %q fits all that it fits and sorts first; it is left out", live[hides].match)
			c.dropped = "never reached"
			continue
		}
		for _, other := range live {
			if example, ok := grammar.Overlap(patterns[other], p); ok {
				other.before = append(other.before, c.match)
				r.tell(c.line, n.name+": "+python.Shorten(c.match), "%q fits %q as well, which comes first as in BennettBot", python.Shorten(example), other.match)
			}
		}
		live, patterns[c] = append(live, c), p
	}
}
