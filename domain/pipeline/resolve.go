package pipeline

import (
	"cmp"
	"maps"
	"path"
	"slices"
	"strings"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/slipway-hq/slipway/domain/grammar"
	eventv1 "github.com/slipway-hq/slipway/gen/slipway/event/v1"
)

// Request is what a person asked for; empty fields were left out.
type Request struct {
	Service     string
	Environment string
	Version     string
	Parameters  map[string]string
}

// Target is what a request turned out to mean.
type Target struct {
	Service     string
	Environment string
	// Version as asked for, else the ref of a Git source; empty when the source
	// has no versions.
	Version string
	// Parameters holds every declared parameter, defaults applied.
	Parameters map[string]string
}

// Resolve makes the pinned plan of a request. It expects a configuration that
// Check found nothing in. The error is always a *Refusal.
func Resolve(c Config, r Request) (*eventv1.Plan, Target, error) {
	target, refusal := c.target(r)
	if refusal != nil {
		return nil, target, refusal
	}
	plan, refusal := c.plan(target)
	if refusal != nil {
		return nil, target, refusal
	}
	return plan, target, nil
}

func (c Config) target(r Request) (Target, *Refusal) {
	var t Target
	var refusal *Refusal
	if t.Service, refusal = c.service(r.Service); refusal != nil {
		return t, refusal
	}
	if t.Environment, refusal = c.environment(t.Service, r.Environment); refusal != nil {
		return t, refusal
	}
	service := c.Services[t.Service]
	t.Version = r.Version
	if t.Version == "" && service.Source.Git != nil {
		t.Version = service.Source.Git.Ref
	}
	if t.Version != "" {
		if err := grammar.CheckRef(t.Version); err != nil {
			return t, refuse(CodeVersion, nil, "%s", err)
		}
	}
	t.Parameters, refusal = arguments(t.Service, service.Parameters, r.Parameters)
	return t, refusal
}

// service finds a service by name or alias, in any case when that is unique.
func (c Config) service(asked string) (string, *Refusal) {
	known := names(c.Services)
	if asked == "" {
		if c.Defaults.Service != "" {
			return c.Defaults.Service, nil
		}
		if len(known) == 0 {
			return "", refuse(CodeServiceMissing, nil, "Nothing can be deployed yet: the configuration has no services.")
		}
		return "", refuse(CodeServiceMissing, known, "What should I deploy? I know %s. Say `/deploy SERVICE to ENVIRONMENT`.", bold(known))
	}
	if _, ok := c.Services[asked]; ok {
		return asked, nil
	}
	words := slices.Clone(known)
	var found []string
	for _, name := range known {
		words = append(words, c.Services[name].Aliases...)
		same := func(word string) bool { return strings.EqualFold(word, asked) }
		if same(name) || slices.ContainsFunc(c.Services[name].Aliases, same) {
			found = append(found, name)
		}
	}
	switch {
	case len(found) == 1:
		return found[0], nil
	case len(found) > 1:
		return "", refuse(CodeServiceUnknown, found, "%s could be %s. Which one?", grammar.Quote(asked), bold(found))
	}
	near := grammar.Suggest(asked, words, 3)
	if len(near) == 0 && len(known) > 0 {
		return "", refuse(CodeServiceUnknown, known, "I do not know %s. I know %s.", grammar.Quote(asked), bold(known))
	}
	return "", refuse(CodeServiceUnknown, near, "I do not know %s.%s", grammar.Quote(asked), meant(near))
}

// ServiceEnvironments lists where a service can go, in order of name.
func (c Config) ServiceEnvironments(service string) []string {
	if s := c.Services[service]; len(s.Environments) > 0 {
		return slices.Sorted(slices.Values(s.Environments))
	}
	return names(c.Environments)
}

func (c Config) environment(service, asked string) (string, *Refusal) {
	reachable := c.ServiceEnvironments(service)
	if asked == "" {
		return c.defaultEnvironment(service, reachable)
	}
	var found []string
	for _, name := range reachable {
		if name == asked {
			return name, nil
		}
		if strings.EqualFold(name, asked) {
			found = append(found, name)
		}
	}
	if len(found) == 1 {
		return found[0], nil
	}
	if _, exists := c.Environments[asked]; exists {
		return "", refuse(CodeEnvironmentUnknown, reachable, "*%s* does not go to *%s*. It can go to %s.", service, asked, bold(reachable))
	}
	near := grammar.Suggest(asked, reachable, 3)
	return "", refuse(CodeEnvironmentUnknown, slices.Concat(near, without(reachable, near)), "I do not know the environment %s.%s *%s* can go to %s.", grammar.Quote(asked), meant(near), service, bold(reachable))
}

// defaultEnvironment is the configured one if the service goes there. It is
// never a protected one, whatever the configuration says.
func (c Config) defaultEnvironment(service string, reachable []string) (string, *Refusal) {
	name := c.Defaults.Environment
	if name == "" || !slices.Contains(reachable, name) {
		return "", refuse(CodeEnvironmentMissing, reachable, "Where to? *%s* can go to %s. Say `/deploy %s to ENVIRONMENT`.", service, bold(reachable), service)
	}
	if c.Environments[name].Protected {
		return "", refuse(CodeEnvironmentProtected, reachable, "*%s* is protected and must be named: `/deploy %s to %s`.", name, service, name)
	}
	return name, nil
}

func without(all, some []string) []string {
	var out []string
	for _, v := range all {
		if !slices.Contains(some, v) {
			out = append(out, v)
		}
	}
	return out
}

// pipeline returns a service's pipeline and its name.
func (c Config) pipeline(service string) (string, Pipeline, bool) {
	s := c.Services[service]
	if s.Inline != nil {
		return service, *s.Inline, true
	}
	p, ok := c.Pipelines[s.Pipeline]
	return s.Pipeline, p, ok
}

func (c Config) plan(t Target) (*eventv1.Plan, *Refusal) {
	name, p, ok := c.pipeline(t.Service)
	if !ok || len(p.Steps) == 0 {
		return nil, refuse(CodeConfiguration, nil, "*%s* has no pipeline in the configuration, so nothing was started.", t.Service)
	}
	lane := laneName(p, t.Service, t.Environment)
	settings := c.lane(lane)
	plan := &eventv1.Plan{
		Pipeline:     name,
		Lane:         lane,
		LaneSettings: c.LaneSettings(lane),
		Pool:         cmp.Or(p.Pool, DefaultPool),
		Labels:       maps.Clone(p.Labels),
		Priority:     int32(settings.Priority), //nolint:gosec // at most MaxPriority
		Source:       c.source(t),
		Timeout:      durationpb.New(cmp.Or(p.Timeout, DefaultTimeout)),
		QueueTimeout: durationpb.New(cmp.Or(p.QueueTimeout, DefaultQueueTimeout)),
		Protected:    c.Environments[t.Environment].Protected,
		Mirror:       p.Mirror.pin(),
	}
	if p.Priority != nil {
		plan.Priority = int32(*p.Priority) //nolint:gosec // at most MaxPriority
	}
	in := inputs{values: t.values()}
	words := forDeployment(in.known)
	for _, step := range p.Steps {
		if why := step.unfit(words); why != "" {
			return nil, unprepared(step.Name, name, why)
		}
		plan.Steps = append(plan.Steps, step.pin(in, c.Environments[t.Environment].Variables))
	}
	if refusal := tooLarge(plan, t.Service); refusal != nil {
		return nil, refusal
	}
	return plan, nil
}

func unprepared(step, owner, why string) *Refusal {
	return refuse(CodeConfiguration, nil, "Step *%s* of *%s* cannot be prepared: %s. Nothing was started; `slipway config check` says more.", step, owner, why)
}

func tooLarge(plan *eventv1.Plan, owner string) *Refusal {
	size := proto.Size(plan)
	if size <= MaxPlan {
		return nil
	}
	return refuse(CodePlanTooLarge, nil, "The plan for *%s* would be %d bytes and may be %d. Shorten its commands or values, or move them into a script.", owner, size, MaxPlan)
}

// values are what placeholders stand for.
func (t Target) values() map[string]string {
	values := map[string]string{}
	for k, v := range t.Parameters {
		values[k] = v
	}
	values[builtinService], values[builtinEnvironment], values[builtinVersion] = t.Service, t.Environment, t.Version
	return values
}

func (c Config) source(t Target) *eventv1.Source {
	switch s := c.Services[t.Service].Source; {
	case s.Git != nil:
		return &eventv1.Source{From: &eventv1.Source_Git{Git: &eventv1.GitSource{Url: s.Git.URL, Ref: t.Version}}}
	case s.Path != "":
		return &eventv1.Source{From: &eventv1.Source_Path{Path: &eventv1.PathSource{Path: s.Path}}}
	}
	return nil
}

func laneName(p Pipeline, service, environment string) string {
	return fillPlain(cmp.Or(p.Lane, DefaultLane), map[string]string{builtinService: service, builtinEnvironment: environment})
}

// LaneSettings are the limits of a lane under this configuration.
func (c Config) LaneSettings(lane string) *eventv1.LaneSettings {
	l := c.lane(lane)
	settings := &eventv1.LaneSettings{
		Concurrency: uint32(cmp.Or(l.Concurrency, DefaultConcurrency)), //nolint:gosec // at most MaxConcurrency
		RateLimit:   uint32(l.RateLimit),                               //nolint:gosec // at most MaxRate
		// At most MaxConcurrency each.
		PerRunner:    uint32(l.PerRunner),    //nolint:gosec // see above
		PerNamespace: uint32(l.PerNamespace), //nolint:gosec // see above
		PerJob:       uint32(l.PerJob),       //nolint:gosec // see above
		Turns:        l.Turns,
	}
	if l.RateLimit > 0 {
		settings.RatePeriod = durationpb.New(l.RatePeriod)
	}
	return settings
}

// lane finds settings by exact name, else by the pattern with the most literal
// characters that matches, the first by name among equals.
func (c Config) lane(name string) Lane {
	if l, ok := c.Lanes[name]; ok {
		return l
	}
	best, weight := "", -1
	for _, pattern := range names(c.Lanes) {
		literal := len(pattern) - strings.Count(pattern, "*")
		if ok, err := path.Match(pattern, name); err == nil && ok && literal > weight {
			best, weight = pattern, literal
		}
	}
	return c.Lanes[best]
}

// pin makes a step of a plan: values in, defaults applied.
func (s Step) pin(in inputs, variables map[string]string) *eventv1.Step {
	var secrets []string
	out := &eventv1.Step{
		Name:        s.Name,
		Env:         map[string]string{},
		EnvFrom:     s.EnvFrom,
		Grace:       durationpb.New(cmp.Or(s.Grace, DefaultGrace)),
		Resume:      resumes[s.Resume],
		AskTimeout:  durationpb.New(cmp.Or(s.AskTimeout, DefaultAskTimeout)),
		Artefacts:   s.Artefacts,
		OutputLimit: uint64(cmp.Or(s.OutputLimit, int64(DefaultOutput))), //nolint:gosec // never negative
		Dir:         s.Dir,
	}
	if s.Shell != "" {
		out.Shell, secrets = fillShell(s.Shell, in)
	}
	for _, arg := range s.Argv {
		out.Argv = append(out.Argv, fillPlain(arg, in.values))
	}
	if s.Probe != "" {
		var probing []string
		out.Probe, probing = fillShell(s.Probe, in)
		secrets = append(secrets, probing...)
	}
	for k, v := range variables {
		out.Env[k] = v
	}
	for k, v := range s.Env {
		out.Env[k] = fillPlain(v, in.values)
	}
	s.pinSecrets(out)
	for _, name := range secrets {
		addSecret(out, secretVariable(name), in.secrets[name])
	}
	if s.Timeout > 0 {
		out.Timeout = durationpb.New(s.Timeout)
	}
	if s.Retry.Attempts > 1 {
		out.Retry = s.Retry.pin()
	}
	return out
}

// pinSecrets adds references, which win over a variable of the environment.
func (s Step) pinSecrets(out *eventv1.Step) {
	for _, k := range s.EnvFrom {
		delete(out.Env, k)
	}
	for k, ref := range s.Secrets {
		delete(out.Env, k)
		addSecret(out, k, ref)
	}
}

func addSecret(out *eventv1.Step, variable string, ref Secret) {
	if out.Secrets == nil {
		out.Secrets = map[string]*eventv1.SecretRef{}
	}
	out.Secrets[variable] = &eventv1.SecretRef{From: &eventv1.SecretRef_File{File: ref.File}}
	if ref.Env != "" {
		out.Secrets[variable] = &eventv1.SecretRef{From: &eventv1.SecretRef_Env{Env: ref.Env}}
	}
}

func (r Retry) pin() *eventv1.Retry {
	delay := cmp.Or(r.Delay, DefaultDelay)
	return &eventv1.Retry{
		Attempts: uint32(r.Attempts), //nolint:gosec // at most MaxAttempts
		Delay:    durationpb.New(delay),
		Backoff:  cmp.Or(r.Backoff, DefaultBackoff),
		MaxDelay: durationpb.New(max(delay, cmp.Or(r.MaxDelay, DefaultMaxDelay))),
	}
}

var resumes = map[string]eventv1.Step_Resume{
	"":          eventv1.Step_RESUME_RETRY,
	ResumeRetry: eventv1.Step_RESUME_RETRY,
	ResumeProbe: eventv1.Step_RESUME_PROBE,
	ResumeAsk:   eventv1.Step_RESUME_ASK,
}
