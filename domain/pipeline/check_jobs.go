package pipeline

import (
	"fmt"
	"net/url"
	"regexp"
	"slices"
	"strings"

	"github.com/slipway-hq/slipway/domain/grammar"
	"github.com/slipway-hq/slipway/domain/roster"
)

// Bounds of texts that people read in Slack.
const (
	// MaxHelp is the longest help of a job or command, and MaxDescription of a
	// namespace, in bytes: a help page lists many of them.
	MaxHelp        = 500
	MaxDescription = 500
)

func (k *checker) namespaces() {
	k.count("namespaces", len(k.config.Namespaces), MaxNamespaces)
	k.twins([]string{"namespaces"}, names(k.config.Namespaces))
	for _, name := range names(k.config.Namespaces) {
		k.namespace([]string{"namespaces", name}, name, k.config.Namespaces[name])
	}
	k.projects()
}

// twins faults names that differ only in upper and lower case.
func (k *checker) twins(base, list []string) {
	owner := map[string]string{}
	for _, name := range list {
		if other, taken := owner[strings.ToLower(name)]; taken {
			k.fault(at(base, name), "%q and %q differ only in upper and lower case", name, other)
			continue
		}
		owner[strings.ToLower(name)] = name
	}
}

// tooMany faults more than so many of something below a path.
func (k *checker) tooMany(path []string, n, limit int) {
	if n > limit {
		k.fault(path, "%d are given, at most %d are allowed", n, limit)
	}
}

func (k *checker) namespace(base []string, name string, n Namespace) {
	if grammar.Opens(name) {
		k.fault(base, "the name %q opens another sentence, so its commands could never be reached; choose another", name)
	} else {
		k.name(base, name)
	}
	k.prose(at(base, "description"), n.Description, MaxDescription)
	k.allow(at(base, "allow"), n.Allow)
	k.allow(at(base, "override"), n.Override)
	if n.Reminders && n.Restricted {
		k.fault(at(base, "reminders"), "a restricted namespace cannot take commands from reminders: anybody's reminder is posted by the same bot")
	}
	k.channel(at(base, "default_channel"), n.DefaultChannel)
	k.jobSource(at(base, "source"), n.Source)
	k.variables(at(base, "env"), n.Env)
	k.runners(base, n.Pool, n.Labels)
	k.mirror(at(base, "mirror"), n.Mirror)
	if len(n.Jobs) == 0 {
		k.fault(at(base, "jobs"), "a namespace needs at least one job")
	}
	k.tooMany(at(base, "jobs"), len(n.Jobs), MaxJobs)
	k.twins(at(base, "jobs"), names(n.Jobs))
	for _, job := range names(n.Jobs) {
		k.name(at(base, "jobs", job), job)
		k.job(at(base, "jobs", job), n.Jobs[job])
	}
	k.commands(base, n)
	k.webhooks(base, n)
	k.schedules(base, n)
	k.listeners(base, name, n)
}

// prose checks a text for people.
func (k *checker) prose(path []string, text string, limit int) {
	if len(text) > limit {
		k.fault(path, "it is longer than %d bytes", limit)
	}
	if strings.ContainsFunc(text, forbidden) {
		k.fault(path, "it contains an invisible control character")
	}
}

var channelName = regexp.MustCompile(`^#[^\s#,<>@]{1,80}$`)

// channel checks an id or a #name; empty is none.
func (k *checker) channel(path []string, channel string) {
	switch {
	case channel == "", channelForm.MatchString(channel):
	case !channelName.MatchString(channel):
		k.faults = append(k.faults, Fault{Path: path, Message: "it must be the id of a channel, such as C012AB3CD, or its #name", Suggestion: channelMeant(channel)})
	case channel != strings.ToLower(channel):
		k.faults = append(k.faults, Fault{Path: path, Message: "the names of channels have no upper case", Suggestion: strings.ToLower(channel)})
	}
}

func channelMeant(channel string) string {
	if name := "#" + strings.ToLower(channel); channelName.MatchString(name) {
		return name
	}
	return ""
}

// runners checks what is asked of a runner.
func (k *checker) runners(base []string, pool string, labels map[string]string) {
	if pool != "" && pool != DefaultPool && pool != roster.AnyPool {
		k.reference(at(base, "pool"), "pool", pool, append(names(k.config.Pools), DefaultPool))
	}
	k.tooMany(at(base, "labels"), len(labels), MaxLabels)
	for _, key := range names(labels) {
		if why := LabelFault(key, labels[key]); why != "" {
			k.fault(at(base, "labels", key), "%s", why)
		}
	}
}

var labelForm = regexp.MustCompile(`^[A-Za-z0-9]([A-Za-z0-9._/-]*[A-Za-z0-9])?$`)

// LabelFault says what is wrong with a label of a runner; empty: nothing.
func LabelFault(key, value string) string {
	for _, part := range [][2]string{{"key", key}, {"value", value}} {
		if len(part[1]) > MaxName || !labelForm.MatchString(part[1]) {
			return fmt.Sprintf("the %s %q of a label must be 1 to %d letters, digits, dots, dashes, slashes and underscores, and begin and end with a letter or digit", part[0], part[1], MaxName)
		}
	}
	return ""
}

func (k *checker) job(base []string, j Job) {
	kinds := 0
	for _, given := range []bool{j.Shell != "", len(j.Argv) > 0, len(j.Steps) > 0} {
		if given {
			kinds++
		}
	}
	words := j.vocabulary()
	switch {
	case kinds != 1:
		k.fault(at(base, "run"), "a job needs exactly one of run and steps")
	case len(j.Steps) > 0:
		k.stepsOfJob(base, j, words)
	default:
		k.lineOfJob(base, j, words)
	}
	k.prose(at(base, "help"), j.Help, MaxHelp)
	k.params(base, j)
	k.report(at(base, "report"), j.Report)
	k.allow(at(base, "allow"), j.Allow)
	k.allow(at(base, "override"), j.Override)
	k.wait(at(base, "timeout"), j.Timeout, MaxTimeout)
	k.wait(at(base, "queue_timeout"), j.QueueTimeout, MaxWait)
	if j.Priority != nil {
		k.within(at(base, "priority"), *j.Priority, -MaxPriority, MaxPriority)
	}
	k.laneTemplate(base, j.Lane, builtinNamespace, builtinJob)
	k.runners(base, j.Pool, j.Labels)
	if j.Mirror != nil {
		k.mirror(at(base, "mirror"), *j.Mirror)
	}
	k.dedupe(at(base, "dedupe"), j.Dedupe)
	if j.Source != nil {
		k.jobSource(at(base, "source"), *j.Source)
	}
}

// vocabulary is what the job's own templates may hold.
func (j Job) vocabulary() vocabulary {
	declared := func(name string) bool { _, ok := j.Params[name]; return ok }
	return forJob(declared, func(name string) bool { return j.Params[name].Type == TypeSecret })
}

// lineOfJob checks a job whose line is its one step: the keys are the same.
func (k *checker) lineOfJob(base []string, j Job, words vocabulary) {
	s := j.steps()[0]
	s.Env, s.EnvFrom, s.Secrets = j.Env, j.EnvFrom, j.Secrets
	if j.Resume == ResumeProbe {
		k.fault(at(base, "resume"), "resume: probe needs a probe line, which only steps have")
		s.Resume = ""
	}
	k.step(base, s, words)
}

func (k *checker) stepsOfJob(base []string, j Job, words vocabulary) {
	k.steps(base, j.Steps, words)
	shared := Step{Env: j.Env, EnvFrom: j.EnvFrom, Secrets: j.Secrets}
	k.stepEnvironment(base, shared)
	k.templates(base, shared, words)
	own := map[string]bool{
		"retry": j.Retry != (Retry{}), "grace": j.Grace != 0, "dir": j.Dir != "", "resume": j.Resume != "", "output_limit": j.OutputLimit != 0,
	}
	for _, key := range names(own) {
		if own[key] {
			k.fault(at(base, key), "with steps, each step has its own %s", key)
		}
	}
}

func (k *checker) params(base []string, j Job) {
	k.tooMany(at(base, "params"), len(j.Params), MaxParameters)
	used := j.placeholders()
	variables := map[string]string{}
	for _, name := range names(j.Params) {
		path := at(base, "params", name)
		p := j.Params[name]
		if p.Type == TypeSecret {
			k.parameter(path, name, Parameter{}, builtinNamespace, builtinJob)
			k.secretParam(path, p)
			if other, taken := variables[secretVariable(name)]; taken {
				k.fault(path, "%q and %q would have the same variable", name, other)
			}
			variables[secretVariable(name)] = name
		} else {
			k.parameter(path, name, p.typed(), builtinNamespace, builtinJob)
			if p.Secret != (Secret{}) {
				k.fault(path, "only type: secret has env or file")
			}
		}
		k.prose(at(path, "help"), p.Help, MaxHelp)
		if !used[name] {
			k.fault(path, "no placeholder {%s} uses it", name)
		}
	}
}

func (k *checker) secretParam(path []string, p Param) {
	if p.Default != nil || len(p.Values) > 0 || p.Pattern != "" {
		k.fault(path, "a secret has no default, values or pattern: only the runner knows it")
	}
	k.secret(path, p.Secret, "the runner")
	k.notOwn(at(path, "env"), p.Secret.Env)
}

// placeholders are the names that the job's templates hold.
func (j Job) placeholders() map[string]bool {
	used := map[string]bool{}
	note := func(spots []spot) {
		for _, s := range spots {
			if !s.literal {
				used[s.name] = true
			}
		}
	}
	environment := func(env map[string]string) {
		for _, text := range env {
			note(scanPlain(text))
		}
	}
	environment(j.Env)
	for _, s := range j.steps() {
		for _, line := range []string{s.Shell, s.Probe} {
			spots, _ := scanShell(line)
			note(spots)
		}
		for _, arg := range s.Argv {
			note(scanPlain(arg))
		}
		environment(s.Env)
	}
	return used
}

func (k *checker) report(base []string, r Report) {
	if formats[r.Format] == 0 {
		k.fault(at(base, "format"), "%q is not one of text, blocks, code and file", r.Format)
	}
	if cards[r.Card] == 0 {
		k.fault(at(base, "card"), "%q is not one of auto, always and never", r.Card)
	}
	if r.Format != "" && !r.Stdout {
		k.fault(at(base, "format"), "a format is for standard output; it needs stdout: true")
	}
	if r.SuppressEmpty && !r.Stdout {
		k.fault(at(base, "suppress_empty"), "it is about standard output; it needs stdout: true")
	}
	if r.LogsChannel != nil {
		k.channel(at(base, "logs_channel"), *r.LogsChannel)
	}
	if r.Escalate != nil && *r.Escalate && k.config.Slack.SupportChannel == "" {
		k.fault(at(base, "escalate"), "there is no support channel: name one under slack, support_channel")
	}
}

func (k *checker) dedupe(base []string, d Dedupe) {
	if policies[d.Policy] == 0 {
		k.fault(at(base, "policy"), "%q is not one of all, merge, reject and newest", d.Policy)
	}
	k.wait(at(base, "max_delay"), d.MaxDelay, MaxStartDelay)
	if d.MaxDelay != 0 && d.Policy != DedupeMerge && d.Policy != "" {
		k.fault(at(base, "max_delay"), "only the policy merge lets later requests push a start off")
	}
}

var checksum = regexp.MustCompile(`^[0-9a-fA-F]{64}$`)

func (k *checker) jobSource(path []string, s JobSource) {
	kinds := 0
	for _, given := range []bool{s.Git != nil, s.Path != "", s.URL != "", s.Fabfile != ""} {
		if given {
			kinds++
		}
	}
	if kinds > 1 {
		k.fault(path, "a source is one of git, path, url and fabfile")
	}
	k.source(path, Source{Git: s.Git})
	if s.URL != "" && k.address(at(path, "url"), s.URL) && fetchedName(s.URL) == "" {
		k.fault(at(path, "url"), "%q does not end with the name of a file", s.URL)
	}
	if s.Fabfile != "" {
		k.address(at(path, "fabfile"), s.Fabfile)
	}
	if s.SHA256 != "" {
		switch {
		case s.URL == "" && s.Fabfile == "":
			k.fault(at(path, "sha256"), "only a url or fabfile has a checksum; pin a Git source by its ref")
		case !checksum.MatchString(s.SHA256):
			k.fault(at(path, "sha256"), "a SHA-256 is 64 hexadecimal digits")
		}
	}
	switch {
	case !slices.Contains([]string{"", OnFailureFail, OnFailureLastGood}, s.OnFailure):
		k.fault(at(path, "on_failure"), "%q is not one of %s and %s", s.OnFailure, OnFailureFail, OnFailureLastGood)
	case s.OnFailure != "" && s.Git == nil && s.URL == "" && s.Fabfile == "":
		k.fault(at(path, "on_failure"), "nothing is fetched here that could fail")
	}
}

// address checks where a file is fetched from.
func (k *checker) address(path []string, text string) bool {
	u, err := url.Parse(text)
	switch {
	case err != nil, u.Scheme != "http" && u.Scheme != "https", u.Host == "", strings.ContainsFunc(text, forbidden), len(text) > MaxCommand:
		k.fault(path, "%q is not an address that begins with https:// or http://", text)
		return false
	case u.User != nil:
		k.fault(path, "the address contains a user or password, which would be kept in the log")
		return false
	}
	return true
}
