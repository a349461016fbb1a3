package bennettbot

import (
	"errors"
	"io"
	"io/fs"
	"path"
	"regexp"
	"slices"
	"strings"
)

// Bounds of what is looked at in a folder of scripts, whose names of variables
// are only a hint.
const (
	maxScripts    = 200
	maxScriptSize = 256 << 10
	maxNamed      = 20
)

var (
	variables = []*regexp.Regexp{
		regexp.MustCompile(`environ(?:\.get\(|\[)\s*["']([A-Z_][A-Z0-9_]*)["']`),
		regexp.MustCompile(`getenv\(\s*["']([A-Z_][A-Z0-9_]*)["']`),
	}
	ownCode  = regexp.MustCompile(`(?m)^\s*(?:from|import)\s+(workspace|bennettbot|ebmbot)\b`)
	standard = []string{"PATH", "HOME", "TMPDIR", "LANG", "USER", "PWD", "SHELL"}
)

// environment looks at the folder that the jobs of a namespace ran in.
func (r *reader) environment(n *namespace, o Options) {
	if len(n.jobs) == 0 {
		return
	}
	exists := o.Workspace != nil && fs.ValidPath(n.name) && isFolder(o.Workspace, n.name)
	n.folder = exists && n.fabfile == ""
	switch {
	case exists && n.fabfile != "":
		r.human(n.line, n.name, "its jobs ran in workspace/%s beside the fabfile; here they have the fabfile alone", n.name)
	case exists || n.fabfile != "":
	case o.Workspace == nil:
		r.human(n.line, n.name, "its jobs ran in workspace/%s, which is not here: name that folder under source", n.name)
	default:
		r.tell(n.line, n.name, "there is no workspace/%s, so its jobs run in an empty folder", n.name)
	}
	if !exists {
		return
	}
	names, imports := scripts(o.Workspace, n.name)
	if len(names) > 0 {
		r.human(n.line, n.name, "its scripts seem to read %s: jobs get no environment of the bot, so give it by env, env_from or secrets", strings.Join(names, ", "))
	}
	if imports {
		r.human(n.line, n.name, "its scripts import code from beside workspace: set PYTHONPATH under env to the folder above it")
	}
}

func isFolder(f fs.FS, name string) bool {
	info, err := fs.Stat(f, name)
	return err == nil && info.IsDir()
}

// scripts lists the variables that the files of a folder name, and whether one
// imports BennettBot's own code.
func scripts(f fs.FS, folder string) (names []string, imports bool) {
	seen := 0
	_ = fs.WalkDir(f, folder, func(name string, d fs.DirEntry, err error) error { // a hint: what cannot be read has none
		if err != nil || d.IsDir() || !d.Type().IsRegular() || !slices.Contains([]string{".py", ".sh"}, path.Ext(name)) {
			return nil //nolint:nilerr // as above
		}
		if seen++; seen > maxScripts {
			return fs.SkipAll
		}
		text, err := head(f, name)
		if err != nil {
			return nil //nolint:nilerr // as above
		}
		imports = imports || ownCode.Match(text)
		for _, form := range variables {
			for _, m := range form.FindAllSubmatch(text, -1) {
				if !slices.Contains(standard, string(m[1])) {
					names = append(names, string(m[1]))
				}
			}
		}
		return nil
	})
	slices.Sort(names)
	names = slices.Compact(names)
	if more := len(names) - maxNamed; more > 0 {
		names = append(names[:maxNamed:maxNamed], "…")
	}
	return names, imports
}

func head(f fs.FS, name string) (text []byte, err error) {
	file, err := f.Open(name)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	return io.ReadAll(io.LimitReader(file, maxScriptSize))
}

// whole says what holds for the file as such.
func (r *reader) whole(all []*namespace, o Options) {
	var hooks, closed []string
	holds := false
	for _, n := range all {
		if n.restricted {
			closed = append(closed, n.name)
		}
		holds = holds || slices.ContainsFunc(n.commands, func(c *command) bool { return actions[c.action] == "hold" })
		if n.deploys() {
			hooks = append(hooks, n.name)
		}
		if slices.ContainsFunc(n.jobs, func(j *job) bool { return strings.Contains(j.template, "show.sh") }) {
			r.human(n.line, n.name, "it reads BennettBot's own folder of logs; here `logs ID` does, for who may see the run, so this can go")
		}
		if slices.ContainsFunc(n.commands, func(c *command) bool { return strings.HasPrefix(c.match, "ooo ") }) {
			r.tell(n.line, n.name, "relays know `ooo on from DAY to DAY`, `ooo off` and `ooo status` of their own")
		}
	}
	if len(hooks) > 0 {
		r.human(0, "", "GITHUB_WEBHOOK_SECRET has to be set where slack-ingress runs, for %s; better one secret each, and branches and repositories in the rules", strings.Join(hooks, ", "))
	}
	if len(closed) > 0 {
		r.human(0, "", "nobody stands behind a reminder, so those of Slack run nothing in %s: turn them into schedules", strings.Join(closed, ", "))
	}
	if o.SupportChannel == "" {
		r.human(0, "", "SLACK_TECH_SUPPORT_CHANNEL is no part of the file: give --support-channel, or fill in slack.support_channel and relays")
	}
	if o.AdminsChannel == "" {
		r.human(0, "", "SLACK_BENNETT_ADMINS_CHANNEL is no part of the file: give --admins-channel, or fill in relays")
	}
	if o.LogsChannel == "" {
		r.human(0, "", "SLACK_LOGS_CHANNEL is no part of the file: give --logs-channel, or fill in slack.logs_channel")
	}
	if holds {
		r.tell(0, "", "times of holds are in the zone of who asks, as Slack knows it; BennettBot's were UTC. A zone behind them wins: 11:20 11:30 UTC")
	}
	r.tell(0, "", "a job is stopped after an hour unless it has a timeout of its own; BennettBot let it run for ever")
	r.tell(0, "", "equal requests that wait merge as before, and now everybody who asked gets the report; an hour after the first it starts whatever comes")
}
