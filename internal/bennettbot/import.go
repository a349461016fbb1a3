package bennettbot

import (
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/slipway-hq/slipway/domain/grammar"
	"github.com/slipway-hq/slipway/domain/pipeline"
	"github.com/slipway-hq/slipway/internal/bennettbot/internal/python"
	"github.com/slipway-hq/slipway/internal/configfile"
)

// ErrNoConfig is a file without a raw_config that can be read.
var ErrNoConfig = errors.New("this is no job_configs.py of BennettBot")

// MaxFile is the largest file, in bytes: ten times BennettBot's own, and read in
// a moment, whatever it holds.
const MaxFile = 256 << 10

// Options say what the file itself cannot.
type Options struct {
	// File is the name of the file, for comments.
	File string
	// Workspace is BennettBot's folder workspace, nil when there is none; Path
	// leads to it from the folder of slipway.yaml.
	Workspace fs.FS
	Path      string
	// SupportChannel, AdminsChannel and LogsChannel were settings of BennettBot;
	// empty: not known, and left to a person.
	SupportChannel, AdminsChannel, LogsChannel string
}

// Finding is something that a person has to decide or should know.
type Finding struct {
	// Line of the Python file; 0: of the whole.
	Line int `json:"line,omitempty"`
	// Path is "NAMESPACE.JOB" or "NAMESPACE: COMMAND"; may be empty.
	Path string `json:"path,omitempty"`
	Text string `json:"text"`
	// Human: without a person something is missing.
	Human bool `json:"human"`
}

// Result is what became of a file.
type Result struct {
	// YAML loads without problems.
	YAML []byte
	// Findings by line.
	Findings []Finding
	// Namespaces, Jobs and Commands that YAML holds, without its comments.
	Namespaces, Jobs, Commands int
}

// Import reads a job_configs.py. The error says that there is nothing to read;
// everything else is a finding.
func Import(src []byte, o Options) (*Result, error) {
	if len(src) > MaxFile {
		return nil, fmt.Errorf("%w: it is larger than %d bytes", ErrNoConfig, MaxFile)
	}
	if !utf8.Valid(src) {
		return nil, fmt.Errorf("%w: it is not UTF-8", ErrNoConfig)
	}
	r := &reader{Module: python.Read(string(src))}
	for _, n := range r.Notes() {
		r.findings = append(r.findings, Finding{Line: n.Line, Text: n.Text})
	}
	all, err := r.namespaces()
	if err != nil {
		return nil, err
	}
	for _, n := range all {
		r.prepare(n)
		r.environment(n, o)
	}
	r.whole(all, o)
	return r.settle(all, o)
}

// prepare checks the jobs and commands of a namespace.
func (r *reader) prepare(n *namespace) {
	n.description = r.short(n.line, n.name, n.description, pipeline.MaxDescription)
	n.said = n.name
	if grammar.Opens(n.name) {
		n.said = n.name + "-jobs"
		r.human(n.line, n.name, "the name opens another sentence here, so its commands begin with %q now", n.said)
	}
	jobs := map[string]*job{}
	for _, j := range n.jobs {
		jobs[j.name] = j
		path := n.name + "." + j.name
		if j.dropped != "" {
			continue
		}
		if _, _, err := shellLine(j.template); err != "" {
			j.dropped = err
			r.human(j.line, path, "%s", err)
		} else if bashOnly.MatchString(j.template) {
			r.tell(j.line, path, "it seems to need bash; here as there /bin/sh runs it, so write `bash -c '…'` if that is not bash")
		}
		if !slices.Contains([]string{"text", "blocks", "code", "file"}, j.format) {
			r.human(j.line, path, "its report_format %q is none of BennettBot's; text is taken", python.Shorten(j.format))
			j.format = "text"
		}
	}
	for _, c := range n.commands {
		r.check(n, c, jobs)
	}
	r.order(n)
	r.empty(n)
}

// empty drops a namespace without jobs, which would not load.
func (r *reader) empty(n *namespace) {
	if n.dropped == "" && !slices.ContainsFunc(n.jobs, func(j *job) bool { return j.dropped == "" }) {
		n.dropped = "there is no job in it that can be taken over as it is"
		r.human(n.line, n.name, "%s", n.dropped)
	}
}

// maxRounds bounds how often what does not load is taken out: a job takes its
// commands and its webhook with it.
const maxRounds = 8

// settle writes the configuration and takes out what does not load.
func (r *reader) settle(all []*namespace, o Options) (*Result, error) {
	for range maxRounds {
		if !slices.ContainsFunc(all, func(n *namespace) bool { return n.dropped == "" }) {
			return nil, fmt.Errorf("%w, or nothing of it can be taken over as it is:%s", ErrNoConfig, r.reasons())
		}
		w := r.write(all, o)
		_, problems := configfile.Parse("slipway.yaml", w.bytes())
		if len(problems) == 0 {
			return r.result(all, w, o), nil
		}
		if !r.takeOut(w, problems) {
			return nil, fmt.Errorf("what was made of it does not load: %w", problems.Err())
		}
		for _, n := range all {
			r.orphans(n)
			r.empty(n)
		}
	}
	return nil, errors.New("too much of it does not load")
}

// reasons are the first findings, a line each.
func (r *reader) reasons() string {
	const most = 10
	var b strings.Builder
	for _, f := range r.findings[:min(len(r.findings), most)] {
		b.WriteString("\n" + oneLine(f.String()))
	}
	return b.String()
}

// takeOut makes comments of what has problems; false: nothing could be.
func (r *reader) takeOut(w *writer, problems configfile.Problems) bool {
	took := false
	for _, p := range problems {
		at, ok := w.owner[p.Line]
		if !ok || *at.dropped != "" {
			continue
		}
		*at.dropped, took = p.Message, true
		r.human(at.line, at.path, "%s", p.Message)
	}
	return took
}

// orphans drops the commands of jobs that were taken out.
func (r *reader) orphans(n *namespace) {
	for _, c := range n.commands {
		i := slices.IndexFunc(n.jobs, func(j *job) bool { return j.name == c.job })
		if c.dropped == "" && i >= 0 && n.jobs[i].dropped != "" {
			c.dropped = "its job " + c.job + " needs a person first"
			r.human(c.line, n.name+": "+python.Shorten(c.match), "%s", c.dropped)
		}
	}
	for _, c := range n.commands {
		c.before = slices.DeleteFunc(c.before, func(match string) bool {
			return slices.ContainsFunc(n.commands, func(other *command) bool { return other.match == match && other.dropped != "" })
		})
	}
}

func (r *reader) result(all []*namespace, w *writer, o Options) *Result {
	slices.SortStableFunc(r.findings, func(a, b Finding) int { return a.Line - b.Line })
	r.findings = slices.Compact(r.findings)
	out := &Result{Findings: r.findings}
	for _, n := range all {
		if n.dropped != "" {
			continue
		}
		out.Namespaces++
		for _, j := range n.jobs {
			if j.dropped == "" {
				out.Jobs++
			}
		}
		for _, c := range n.commands {
			if c.dropped == "" {
				out.Commands++
			}
		}
	}
	out.YAML = append([]byte(header(out, o)), w.bytes()...)
	return out
}

// header are the comments at the top.
func header(out *Result, o Options) string {
	var b strings.Builder
	fmt.Fprintf(&b, "# Made of %s by `slipway import bennettbot`.\n# %d namespaces, %d jobs, %d commands. `slipway config check` looks at it again.\n", o.File, out.Namespaces, out.Jobs, out.Commands)
	for _, part := range []struct {
		title string
		human bool
	}{{"A person has to look at:", true}, {"Good to know:", false}} {
		titled := false
		for _, f := range out.Findings {
			if f.Human != part.human {
				continue
			}
			if !titled {
				fmt.Fprintf(&b, "#\n# %s\n", part.title)
				titled = true
			}
			fmt.Fprintf(&b, "#   %s\n", oneLine(f.String()))
		}
	}
	return b.String() + "\n"
}

// oneLine keeps a text within its comment.
func oneLine(text string) string {
	return strings.Map(func(c rune) rune {
		if unicode.IsPrint(c) {
			return c
		}
		return ' '
	}, text)
}

// String is "line 12, op.deploy: …".
func (f Finding) String() string {
	var where []string
	if f.Line > 0 {
		where = append(where, fmt.Sprintf("line %d", f.Line))
	}
	if f.Path != "" {
		where = append(where, f.Path)
	}
	if len(where) == 0 {
		return f.Text
	}
	return strings.Join(where, ", ") + ": " + f.Text
}
