package pipeline

import (
	"cmp"
	"fmt"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/slipway-hq/slipway/domain/grammar"
)

// Fault is one thing that is wrong with a configuration.
type Fault struct {
	// Path leads to the place by the keys of slipway.yaml; steps and list items
	// are counted from 0.
	Path []string
	// Message says what is wrong and what is allowed.
	Message string
	// Suggestion is the word that was probably meant; may be empty.
	Suggestion string
}

// Check finds everything that is wrong with a configuration: the rules that
// reach over more than one key, and every bound. It is what makes Resolve's
// promises hold.
func (c Config) Check() []Fault {
	k := &checker{config: c}
	k.count("services", len(c.Services), MaxServices)
	k.count("environments", len(c.Environments), MaxEnvironments)
	k.count("pipelines", len(c.Pipelines), MaxPipelines)
	k.count("lanes", len(c.Lanes), MaxLanes)
	k.count("pools", len(c.Pools), MaxPools)
	k.defaults()
	for _, name := range names(c.Services) {
		k.service(name, c.Services[name])
	}
	k.overlaps()
	for _, name := range names(c.Environments) {
		k.environment(name, c.Environments[name])
	}
	for _, name := range names(c.Pipelines) {
		k.name([]string{"pipelines", name}, name)
		k.pipeline([]string{"pipelines", name}, c.Pipelines[name], k.users(name))
	}
	k.lanes()
	for _, name := range names(c.Pools) {
		k.name([]string{"pools", name}, name)
	}
	k.namespaces()
	k.relays()
	k.slack()
	return k.faults
}

type checker struct {
	config Config
	faults []Fault
}

func at(base []string, more ...string) []string { return slices.Concat(base, more) }

func (k *checker) fault(path []string, format string, args ...any) {
	k.faults = append(k.faults, Fault{Path: path, Message: fmt.Sprintf(format, args...)})
}

func (k *checker) count(key string, n, limit int) {
	if n > limit {
		k.fault([]string{key}, "%d are given, at most %d are allowed", n, limit)
	}
}

// reference faults a name that is not among the known ones.
func (k *checker) reference(path []string, kind, name string, known []string) {
	if slices.Contains(known, name) {
		return
	}
	suggestion := ""
	if near := grammar.Suggest(name, known, 1); len(near) > 0 {
		suggestion = near[0]
	}
	k.faults = append(k.faults, Fault{Path: path, Message: fmt.Sprintf("there is no %s %q", kind, name), Suggestion: suggestion})
}

var nameForm = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]*$`)

func (k *checker) name(path []string, name string) {
	switch {
	case len(name) > MaxName:
		k.fault(path, "the name is longer than %d characters", MaxName)
	case !nameForm.MatchString(name):
		k.fault(path, "the name %q must be letters, digits, dots, dashes and underscores, starting with a letter or digit", name)
	case slices.Contains(grammar.Reserved(), strings.ToLower(name)):
		k.fault(path, "the name %q means something else in a sentence; choose another", name)
	}
}

func (k *checker) defaults() {
	c := k.config
	if c.Defaults.Service != "" {
		k.reference([]string{"defaults", "service"}, "service", c.Defaults.Service, names(c.Services))
	}
	if name := c.Defaults.Environment; name != "" {
		path := []string{"defaults", "environment"}
		k.reference(path, "environment", name, names(c.Environments))
		if c.Environments[name].Protected {
			k.fault(path, "%q is protected and so cannot be the default: it must be named each time", name)
		}
	}
}

func (k *checker) service(name string, s Service) {
	base := []string{"services", name}
	k.name(base, name)
	k.source(at(base, "source"), s.Source)
	switch {
	case s.Inline != nil:
		k.pipeline(at(base, "pipeline"), *s.Inline, []string{name})
	case s.Pipeline == "":
		k.fault(at(base, "pipeline"), "it needs a pipeline: the name of one, or its steps")
	default:
		k.reference(at(base, "pipeline"), "pipeline", s.Pipeline, names(k.config.Pipelines))
	}
	for i, env := range s.Environments {
		k.reference(at(base, "environments", strconv.Itoa(i)), "environment", env, names(k.config.Environments))
	}
	if len(k.config.ServiceEnvironments(name)) == 0 {
		k.fault(base, "it can go nowhere: the configuration has no environments")
	}
	if len(s.Parameters) > MaxParameters {
		k.fault(at(base, "parameters"), "%d are given, at most %d are allowed", len(s.Parameters), MaxParameters)
	}
	for _, p := range names(s.Parameters) {
		k.parameter(at(base, "parameters", p), p, s.Parameters[p], builtinService, builtinEnvironment, builtinVersion)
	}
	if len(s.Aliases) > MaxAliases {
		k.fault(at(base, "aliases"), "%d are given, at most %d are allowed", len(s.Aliases), MaxAliases)
	}
	for i, alias := range s.Aliases {
		k.name(at(base, "aliases", strconv.Itoa(i)), alias)
	}
}

// overlaps faults words that name two services.
func (k *checker) overlaps() {
	owner := map[string]string{}
	claim := func(path []string, word, service string) {
		lower := strings.ToLower(word)
		if other, taken := owner[lower]; taken {
			k.fault(path, "%q already names the service %q (upper and lower case do not count)", word, other)
			return
		}
		owner[lower] = service
	}
	for _, name := range names(k.config.Services) {
		claim([]string{"services", name}, name, name)
	}
	for _, name := range names(k.config.Services) {
		for i, alias := range k.config.Services[name].Aliases {
			claim([]string{"services", name, "aliases", strconv.Itoa(i)}, alias, name)
		}
	}
	owner = map[string]string{}
	for _, name := range names(k.config.Environments) {
		if other, taken := owner[strings.ToLower(name)]; taken {
			k.fault([]string{"environments", name}, "%q and %q differ only in upper and lower case", name, other)
		}
		owner[strings.ToLower(name)] = name
	}
}

// credentials in an address would be kept in the log for ever.
var credentials = regexp.MustCompile(`^[a-z+]+://[^/@]*:[^/@]*@`)

func (k *checker) source(path []string, s Source) {
	if s.Git != nil && s.Path != "" {
		k.fault(path, "a source is either git or path, not both")
	}
	if s.Git == nil {
		return
	}
	switch url := s.Git.URL; {
	case url == "", strings.HasPrefix(url, "-"), strings.ContainsAny(url, " \t\n"), strings.Contains(url, "::"):
		k.fault(at(path, "git"), "%q is not the address of a Git repository", url)
	case credentials.MatchString(url):
		k.fault(at(path, "git"), "the address contains a password, which would be kept in the log; use a credential helper or an SSH key on the runner")
	}
	if s.Git.Ref == "" {
		k.fault(at(path, "ref"), "a git source needs a ref: the branch, tag or commit for requests that name none")
	} else if err := grammar.CheckRef(s.Git.Ref); err != nil {
		k.fault(at(path, "ref"), "%q cannot be a ref: no leading dash, white space or invisible characters, at most %d characters", s.Git.Ref, grammar.MaxRef)
	}
}

var parameterForm = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_-]*$`)

// parameter checks a parameter beside the words that Slipway fills in itself.
func (k *checker) parameter(path []string, name string, p Parameter, taken ...string) {
	switch {
	case !parameterForm.MatchString(name) || len(name) > MaxName:
		k.fault(path, "the name %q must be letters, digits, dashes and underscores, starting with a letter", name)
	case slices.Contains(taken, name) || name == "run":
		k.fault(path, "the name %q is taken by Slipway itself; choose another", name)
	}
	if p.Type == "" {
		return
	}
	if (p.Type == TypeEnum) != (len(p.Values) > 0) {
		k.fault(at(path, "values"), "values are what an enum needs, and nothing else has")
	}
	if len(p.Values) > MaxValues {
		k.fault(at(path, "values"), "%d are given, at most %d are allowed", len(p.Values), MaxValues)
	}
	if p.Pattern != "" {
		if p.Type != TypeString {
			k.fault(at(path, "pattern"), "only a string has a pattern")
		} else if _, err := wholePattern(p.Pattern); err != nil {
			k.fault(at(path, "pattern"), "it is not a regular expression: %v", err)
			return
		}
	}
	switch {
	case p.Default != nil:
		if _, err := p.value(*p.Default); err != nil {
			k.fault(at(path, "default"), "%q is not allowed by the parameter itself: %s", *p.Default, plain(err.Error()))
		}
	case !p.Required && p.Type != TypeString:
		k.fault(path, "it needs a default, or required: true")
	}
}

// plain takes Slack's marks out of a sentence.
func plain(text string) string { return strings.NewReplacer("*", "", "`", "").Replace(text) }

var (
	userForm    = regexp.MustCompile(`^[UW][A-Z0-9]{1,30}$`)
	channelForm = regexp.MustCompile(`^[CGD][A-Z0-9]{1,30}$`)
)

func (k *checker) environment(name string, e Environment) {
	base := []string{"environments", name}
	k.name(base, name)
	if e.Protected && e.Allow.Empty() {
		k.fault(at(base, "allow"), "it is protected and allows nobody: list users or channels under allow")
	}
	k.allow(at(base, "allow"), e.Allow)
	k.variables(at(base, "variables"), e.Variables)
}

// allow checks a list of people.
func (k *checker) allow(base []string, a Allow) {
	ids := func(key string, list []string, form *regexp.Regexp, kind, example string) {
		if len(list) > MaxAllow {
			k.fault(at(base, key), "%d are given, at most %d are allowed", len(list), MaxAllow)
		}
		for i, id := range list {
			if !form.MatchString(id) {
				k.fault(at(base, key, strconv.Itoa(i)), "%q is not the id of a %s, such as %s; names can change, ids cannot", id, kind, example)
			}
		}
	}
	ids("users", a.Users, userForm, "user", "U012AB3CD")
	ids("channels", a.Channels, channelForm, "channel", "C012AB3CD")
}

// variables checks a literal environment.
func (k *checker) variables(base []string, variables map[string]string) {
	if len(variables) > MaxEnv {
		k.fault(base, "%d are given, at most %d are allowed", len(variables), MaxEnv)
	}
	for _, v := range names(variables) {
		k.variable(at(base, v), v)
		for _, why := range textFaults(variables[v]) {
			k.fault(at(base, v), "%s", why)
		}
	}
}

// users lists the services that use a pipeline.
func (k *checker) users(pipeline string) []string {
	var out []string
	for _, name := range names(k.config.Services) {
		if s := k.config.Services[name]; s.Inline == nil && s.Pipeline == pipeline {
			out = append(out, name)
		}
	}
	return out
}

// lanes checks each lane, and that something can queue in it: a lane that
// nothing reaches is a misspelt limit.
func (k *checker) lanes() {
	reached := k.reachedLanes()
	for _, name := range names(k.config.Lanes) {
		base := []string{"lanes", name}
		l := k.config.Lanes[name]
		k.within(at(base, "concurrency"), l.Concurrency, 0, MaxConcurrency)
		k.within(at(base, "rate", "limit"), l.RateLimit, 0, MaxRate)
		k.within(at(base, "priority"), l.Priority, -MaxPriority, MaxPriority)
		if (l.RateLimit > 0) != (l.RatePeriod > 0) {
			k.fault(at(base, "rate"), "a rate needs both a limit and a period")
		}
		k.wait(at(base, "rate", "period"), l.RatePeriod, MaxWait)
		k.laneShares(base, l)
		if _, err := path.Match(name, ""); err != nil {
			k.fault(base, "%q is not a pattern: * stands for anything without a slash", name)
			continue
		}
		if !slices.ContainsFunc(reached, func(lane string) bool { ok, _ := path.Match(name, lane); return ok || lane == name }) {
			k.laneUnreached(base, name, reached)
		}
	}
}

// laneShares checks the limits within a lane: one above the lane's own would
// never be reached.
func (k *checker) laneShares(base []string, l Lane) {
	all := cmp.Or(l.Concurrency, DefaultConcurrency)
	shares := map[string]int{"per_runner": l.PerRunner, "per_namespace": l.PerNamespace, "per_job": l.PerJob}
	for _, key := range names(shares) {
		n := shares[key]
		k.within(at(base, key), n, 0, MaxConcurrency)
		if n > all && n <= MaxConcurrency {
			k.fault(at(base, key), "%d is more than the %d that the lane allows in all, so it limits nothing", n, all)
		}
	}
}

func (k *checker) laneUnreached(base []string, name string, reached []string) {
	f := Fault{Path: base, Message: fmt.Sprintf("nothing queues in a lane %q", name)}
	if near := grammar.Suggest(name, reached, 1); len(near) > 0 {
		f.Suggestion = near[0]
	}
	k.faults = append(k.faults, f)
}

// reachedLanes lists the lanes of every service and environment, and of every
// job.
func (k *checker) reachedLanes() []string {
	set := map[string]bool{}
	for _, service := range names(k.config.Services) {
		_, p, _ := k.config.pipeline(service)
		for _, env := range k.config.ServiceEnvironments(service) {
			set[laneName(p, service, env)] = true
		}
	}
	for _, job := range k.config.Jobs() {
		set[k.config.JobLane(job.Namespace, job.Job)] = true
	}
	return names(set)
}

func (k *checker) within(path []string, n, low, high int) {
	if n < low || n > high {
		k.fault(path, "%d is not between %d and %d", n, low, high)
	}
}

func (k *checker) wait(path []string, d, limit time.Duration) {
	if d < 0 || d > limit {
		k.fault(path, "%s is not between 0 and %s", d, limit)
	}
}
