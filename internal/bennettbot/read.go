package bennettbot

import (
	"fmt"
	"slices"
	"strings"

	"github.com/slipway-hq/slipway/internal/bennettbot/internal/python"
)

// namespace is one entry of raw_config.
type namespace struct {
	name string
	line int
	// said is its name here.
	said        string
	description string
	restricted  bool
	channel     string
	fabfile     string
	jobs        []*job
	commands    []*command
	// folder: workspace/NAME exists and is its source.
	folder bool
	// dropped and hookDropped say why it, or its webhook, is only a comment.
	dropped, hookDropped string
}

// job is an entry of "jobs".
type job struct {
	name     string
	line     int
	template string
	stdout   bool
	success  bool
	format   string
	// silent: nothing is posted for an empty output.
	silent bool
	// calls the support channel on failure.
	calls bool
	// dropped says why it is only a comment in what is written.
	dropped string
}

// command is an entry of "slack".
type command struct {
	// match is its text here, typed the one that it is sorted by.
	match   string
	typed   string
	line    int
	help    string
	action  string
	job     string
	delay   int64
	dropped string
	// before are the matches of those that it comes before.
	before []string
}

// reader turns the value of raw_config into namespaces.
type reader struct {
	*python.Module
	findings []Finding
}

// human says what a person has to decide.
func (r *reader) human(line int, path, format string, args ...any) {
	r.findings = append(r.findings, Finding{Line: line, Path: path, Text: fmt.Sprintf(format, args...), Human: true})
}

// tell says what is good to know.
func (r *reader) tell(line int, path, format string, args ...any) {
	r.findings = append(r.findings, Finding{Line: line, Path: path, Text: fmt.Sprintf(format, args...)})
}

// configName is the variable that BennettBot reads.
const configName = "raw_config"

// maxEntries bounds what is gone through of one dict or list: far above what
// slipway.yaml takes, whose check tells its own bounds.
const maxEntries = 2000

func (r *reader) namespaces() ([]*namespace, error) {
	raw := r.Lookup(configName)
	switch {
	case raw == nil:
		return nil, fmt.Errorf("%w: nothing is assigned to %s at its left margin", ErrNoConfig, configName)
	case raw.Kind == python.Unknown:
		return nil, fmt.Errorf("%w: line %d: %s cannot be read: %s", ErrNoConfig, raw.Line(), configName, raw.Text())
	case raw.Kind != python.Dict:
		return nil, fmt.Errorf("%w: line %d: %s is %s, not a dict", ErrNoConfig, raw.Line(), configName, raw.Sort())
	}
	for _, t := range r.Touched(configName) {
		r.human(t.Line, "", "%s may change %s, and is not run: check what it does", t.Text, configName)
	}
	var out []*namespace
	for _, en := range capped(raw.Entries()) {
		if en.Key.Kind != python.Text || en.Value.Kind != python.Dict {
			r.human(en.Key.Line(), python.Shorten(en.Key.Text()), "this namespace is left out: %s", reason(en.Value, "a dict"))
			continue
		}
		out = append(out, r.namespace(en))
	}
	return out, nil
}

func capped(all []python.Entry) []python.Entry { return all[:min(len(all), maxEntries)] }

// reason is why a value is not of the wanted sort.
func reason(v *python.Value, want string) string {
	if v.Kind == python.Unknown {
		return v.Text()
	}
	return "it is " + v.Sort() + ", not " + want
}

func (r *reader) namespace(en python.Entry) *namespace {
	n := &namespace{name: en.Key.Text(), line: en.Key.Line()}
	f := r.fields(n.name, en.Value, "description", "restricted", "default_channel", "fabfile", "jobs", "slack")
	n.description = f.text("description", "")
	n.channel = f.text("default_channel", "")
	n.fabfile = f.text("fabfile", "")
	n.restricted = f.truth("restricted", false)
	if v := f.of["restricted"]; v != nil && v.Kind != python.Truth {
		n.restricted = true // nothing opens up by a mistake
	}
	if jobs := f.of["jobs"]; f.want(jobs, "jobs", python.Dict, "a dict") {
		for _, en := range capped(jobs.Entries()) {
			if en.Key.Kind != python.Text || en.Value.Kind != python.Dict {
				r.human(en.Key.Line(), n.name+"."+python.Shorten(en.Key.Text()), "this job is left out: %s", reason(en.Value, "a dict"))
				continue
			}
			n.jobs = append(n.jobs, r.job(n, en))
		}
	}
	if commands := f.of["slack"]; f.want(commands, "slack", python.List, "a list") {
		for _, v := range commands.List()[:min(len(commands.List()), maxEntries)] {
			if v.Kind != python.Dict {
				r.human(v.Line(), n.name, "a command is left out: %s", reason(v, "a dict"))
				continue
			}
			n.commands = append(n.commands, r.command(n, v))
		}
	}
	return n
}

func (r *reader) job(n *namespace, en python.Entry) *job {
	j := &job{name: en.Key.Text(), line: en.Key.Line()}
	path := n.name + "." + j.name
	f := r.fields(path, en.Value, "run_args_template", "report_stdout", "report_success", "report_format", "suppress_empty", "call_tech_support_on_error")
	j.stdout, j.success = f.truth("report_stdout", false), f.truth("report_success", true)
	j.silent, j.calls = f.truth("suppress_empty", false), f.truth("call_tech_support_on_error", true)
	j.format = f.text("report_format", "text")
	switch v := f.of["run_args_template"]; {
	case v == nil:
		j.dropped = "it has no run_args_template"
	case v.Kind != python.Text:
		j.line, j.dropped = v.Line(), "its run_args_template cannot be read: "+reason(v, "a text")
	default:
		j.template = v.Text()
	}
	if j.dropped != "" {
		r.human(j.line, path, "%s", j.dropped)
	}
	return j
}

func (r *reader) command(n *namespace, v *python.Value) *command {
	c := &command{line: v.Line()}
	f := r.fields(n.name, v, "command", "help", "action", "type", "job_type", "delay_seconds")
	f.required("command", "job_type")
	c.match = strings.Join(strings.Fields(f.text("command", "")), " ")
	c.typed = c.match
	f.path = n.name + ": " + python.Shorten(c.match)
	c.job = f.text("job_type", "")
	c.help = f.help()
	action := f.of["action"]
	if action == nil { // its name before 2021
		action = f.of["type"]
	}
	if action != nil && action.Kind == python.Text {
		c.action = action.Text()
	} else {
		f.required("action")
	}
	if v := f.of["delay_seconds"]; v != nil {
		if v.Kind != python.Int || v.Int() < 0 {
			r.human(v.Line(), f.path, "its delay_seconds is left out: %s", reason(v, "a whole number"))
		} else {
			c.delay = v.Int()
		}
	}
	c.dropped = f.missing
	return c
}

// fields are the known keys of a dict.
type fields struct {
	r    *reader
	path string
	line int
	of   map[string]*python.Value
	// missing says which required one is not there or cannot be read.
	missing string
}

func (r *reader) fields(path string, v *python.Value, known ...string) *fields {
	f := &fields{r: r, path: path, line: v.Line(), of: map[string]*python.Value{}}
	for _, en := range capped(v.Entries()) {
		if en.Key.Kind == python.Text && slices.Contains(known, en.Key.Text()) {
			f.of[en.Key.Text()] = en.Value
			continue
		}
		r.human(en.Key.Line(), path, "the key %q is none of BennettBot's, so nothing was made of it", python.Shorten(en.Key.Text()))
	}
	return f
}

func (f *fields) required(keys ...string) {
	for _, key := range keys {
		v := f.of[key]
		switch {
		case v == nil:
			f.missing = "it has no " + key
			f.r.human(f.line, f.path, "%s", f.missing)
		case v.Kind != python.Text:
			f.missing = "its " + key + " cannot be read: " + reason(v, "a text")
			f.r.human(v.Line(), f.path, "%s", f.missing)
		}
	}
}

// want faults a value that is there and of another sort.
func (f *fields) want(v *python.Value, key string, kind python.Kind, sort string) bool {
	if v != nil && v.Kind == kind {
		return true
	}
	if v == nil {
		f.r.human(f.line, f.path, "it has no %q", key)
	} else {
		f.r.human(v.Line(), f.path, "its %q is left out: %s", key, reason(v, sort))
	}
	return false
}

func (f *fields) text(key, otherwise string) string {
	v := f.of[key]
	if v == nil || v.Kind == python.None {
		return otherwise
	}
	if v.Kind != python.Text {
		if key != "command" && key != "job_type" { // told by required
			f.r.human(v.Line(), f.path, "its %s is left out: %s", key, reason(v, "a text"))
		}
		return otherwise
	}
	return v.Text()
}

func (f *fields) truth(key string, otherwise bool) bool {
	v := f.of[key]
	if v == nil {
		return otherwise
	}
	if v.Kind == python.Unknown {
		f.r.human(v.Line(), f.path, "its %s is left out: %s", key, v.Text())
		return otherwise
	}
	return v.IsTrue() // as Python's if sees it
}

// help may be several texts in brackets, where a comma made a tuple of them.
func (f *fields) help() string {
	v := f.of["help"]
	if v == nil || v.Kind != python.List {
		return f.text("help", "")
	}
	parts, ok := python.PlainTexts(v.List())
	if !ok {
		return f.text("help", "")
	}
	f.r.tell(v.Line(), f.path, "its help is a tuple of texts in Python, probably by a comma too many; they are joined")
	return strings.Join(parts, " ")
}
