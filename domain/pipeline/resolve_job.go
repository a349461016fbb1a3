package pipeline

import (
	"cmp"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"hash"
	"maps"
	"net/url"
	"path"
	"slices"
	"strings"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/slipway-hq/slipway/domain/grammar"
	eventv1 "github.com/slipway-hq/slipway/gen/slipway/event/v1"
)

// JobRequest is a wish for a run of a job.
type JobRequest struct {
	Namespace, Job string
	// Params that were given; defaults fill in the rest.
	Params map[string]string
	// Delay of the command or webhook that it came by.
	Delay time.Duration
	// Runner is the only one that may take it, by id or name; empty: any that fits.
	Runner string
	// Wait for a slot and a runner, where the job does not say; 0: the default.
	Wait time.Duration
}

// JobTarget is what a request turned out to mean.
type JobTarget struct {
	Namespace, Job string
	// Params holds every declared parameter but the secrets, defaults applied.
	Params map[string]string
}

// ResolveJob makes the pinned plan of a job. It expects a configuration that
// Check found nothing in. The error is always a *Refusal.
func ResolveJob(c Config, r JobRequest) (*eventv1.Plan, JobTarget, error) {
	target, refusal := c.jobTarget(r)
	if refusal != nil {
		return nil, target, refusal
	}
	plan, refusal := c.jobPlan(target, r)
	if refusal != nil {
		return nil, target, refusal
	}
	return plan, target, nil
}

func (c Config) jobTarget(r JobRequest) (JobTarget, *Refusal) {
	var t JobTarget
	var refusal *Refusal
	if t.Namespace, refusal = c.FindNamespace(r.Namespace); refusal != nil {
		return t, refusal
	}
	if t.Job, refusal = c.FindJob(t.Namespace, r.Job); refusal != nil {
		return t, refusal
	}
	job := c.Namespaces[t.Namespace].Jobs[t.Job]
	for _, name := range names(r.Params) {
		if job.Params[name].Type == TypeSecret {
			return t, refuse(CodeParameterInvalid, nil, "%s is a secret that only the runner knows, so it cannot be given. Nothing was started.", name)
		}
	}
	t.Params, refusal = arguments(t.Namespace+" "+t.Job, job.asked(), r.Params)
	return t, refusal
}

// FindNamespace finds a namespace by name, in any case when that is unique. The
// refusal suggests the nearest.
func (c Config) FindNamespace(asked string) (string, *Refusal) {
	known := names(c.Namespaces)
	if found, ok := anyCase(asked, known); ok {
		return found, nil
	}
	near := grammar.Suggest(asked, known, 3)
	switch {
	case len(known) == 0:
		return "", refuse(CodeNamespaceUnknown, nil, "I do not know %s: the configuration has no namespaces.", grammar.Quote(asked))
	case len(near) == 0:
		return "", refuse(CodeNamespaceUnknown, known, "I do not know the namespace %s. I know %s.", grammar.Quote(asked), bold(known))
	}
	return "", refuse(CodeNamespaceUnknown, near, "I do not know the namespace %s.%s", grammar.Quote(asked), meant(near))
}

// FindJob finds a job of a known namespace like FindNamespace.
func (c Config) FindJob(namespace, asked string) (string, *Refusal) {
	known := names(c.Namespaces[namespace].Jobs)
	if found, ok := anyCase(asked, known); ok {
		return found, nil
	}
	near := grammar.Suggest(asked, known, 3)
	switch {
	case len(known) == 0:
		return "", refuse(CodeJobUnknown, nil, "*%s* has no job %s; it has none at all.", namespace, grammar.Quote(asked))
	case len(near) == 0:
		return "", refuse(CodeJobUnknown, known, "*%s* has no job %s. It has %s.", namespace, grammar.Quote(asked), bold(known))
	}
	return "", refuse(CodeJobUnknown, near, "*%s* has no job %s.%s", namespace, grammar.Quote(asked), meant(near))
}

// anyCase finds a word exactly, else in any case when only one fits so.
func anyCase(asked string, known []string) (string, bool) {
	var found []string
	for _, name := range known {
		if name == asked {
			return name, true
		}
		if strings.EqualFold(name, asked) {
			found = append(found, name)
		}
	}
	if len(found) == 1 {
		return found[0], true
	}
	return "", false
}

// asked are the parameters that a request may give. One without a default must
// be given.
func (j Job) asked() map[string]Parameter {
	out := map[string]Parameter{}
	for name, p := range j.Params {
		if p.Type != TypeSecret {
			out[name] = p.typed()
		}
	}
	return out
}

// typed is the parameter with its type spelt out.
func (p Param) typed() Parameter {
	out := p.Parameter
	out.Type = cmp.Or(out.Type, TypeString)
	out.Required = out.Default == nil
	return out
}

// inputs are what the placeholders of a run of the job stand for.
func (j Job) inputs(t JobTarget) inputs {
	in := inputs{values: maps.Clone(t.Params), secrets: map[string]Secret{}}
	for name, p := range j.Params {
		if p.Type == TypeSecret {
			in.secrets[name] = p.Secret
		}
	}
	in.values[builtinNamespace], in.values[builtinJob] = t.Namespace, t.Job
	return in
}

// forJob is the vocabulary of a job.
func forJob(known, secret func(name string) bool) vocabulary {
	own := []string{builtinNamespace, builtinJob}
	return vocabulary{
		known:  func(name string) bool { return slices.Contains(own, name) || known(name) },
		secret: secret, places: own, others: "namespace or job",
	}
}

// JobStep names the one step of a job that has a line instead of steps.
const JobStep = "run"

// steps are those of the job, or the one that its line makes.
func (j Job) steps() []Step {
	if len(j.Steps) > 0 {
		return j.Steps
	}
	return []Step{{
		Name: JobStep, Shell: j.Shell, Argv: j.Argv, Dir: j.Dir,
		Grace: j.Grace, Retry: j.Retry, Resume: j.Resume, OutputLimit: j.OutputLimit,
	}}
}

// pinned are the steps of a run. What the job and its namespace give to every
// step comes first, a step's own wins.
func (j Job) pinned(n Namespace, owner string, in inputs) ([]*eventv1.Step, *Refusal) {
	variables := maps.Clone(n.Env)
	if variables == nil {
		variables = map[string]string{}
	}
	for k, v := range j.Env {
		variables[k] = fillPlain(v, in.values)
	}
	words := forJob(in.known, in.secret)
	if why := (Step{Env: j.Env}).unfit(words); why != "" {
		return nil, unprepared("env", owner, why)
	}
	var out []*eventv1.Step
	for _, s := range j.steps() {
		if why := s.unfit(words); why != "" {
			return nil, unprepared(s.Name, owner, why)
		}
		out = append(out, j.share(s).pin(in, variables))
	}
	return out, nil
}

// share gives a step the references of its job.
func (j Job) share(s Step) Step {
	own := func(name string) bool {
		_, env := s.Env[name]
		_, secret := s.Secrets[name]
		return env || secret || slices.Contains(s.EnvFrom, name)
	}
	from, secrets := slices.Clone(s.EnvFrom), maps.Clone(s.Secrets)
	for _, name := range j.EnvFrom {
		if !own(name) {
			from = append(from, name)
		}
	}
	for name, ref := range j.Secrets {
		if own(name) {
			continue
		}
		if secrets == nil {
			secrets = map[string]Secret{}
		}
		secrets[name] = ref
	}
	s.EnvFrom, s.Secrets = from, secrets
	return s
}

func (c Config) jobPlan(t JobTarget, r JobRequest) (*eventv1.Plan, *Refusal) {
	namespace := c.Namespaces[t.Namespace]
	job := namespace.Jobs[t.Job]
	owner := t.Namespace + " " + t.Job
	steps, refusal := job.pinned(namespace, owner, job.inputs(t))
	if refusal != nil {
		return nil, refusal
	}
	lane := c.JobLane(t.Namespace, t.Job)
	plan := &eventv1.Plan{
		Pipeline:     t.Namespace + "/" + t.Job,
		Lane:         lane,
		LaneSettings: c.LaneSettings(lane),
		Pool:         cmp.Or(job.Pool, namespace.Pool, DefaultPool),
		Labels:       namespace.labels(job),
		Runner:       r.Runner,
		Priority:     int32(c.lane(lane).Priority), //nolint:gosec // at most MaxPriority
		Source:       namespace.source(job).pin(),
		Steps:        steps,
		Timeout:      durationpb.New(cmp.Or(job.Timeout, DefaultTimeout)),
		QueueTimeout: durationpb.New(cmp.Or(job.QueueTimeout, r.Wait, DefaultQueueTimeout)),
		Dedupe:       job.Dedupe.pin(t, r.Runner),
		Report:       c.report(job.Report),
		Restricted:   namespace.Restricted || job.Restricted,
		Mirror:       namespace.mirror(job).pin(),
	}
	if job.Priority != nil {
		plan.Priority = int32(*job.Priority) //nolint:gosec // at most MaxPriority
	}
	if r.Delay > 0 {
		plan.Delay = durationpb.New(r.Delay)
	}
	return plan, tooLarge(plan, owner)
}

// JobLane is the queue of a job; the names must be known.
func (c Config) JobLane(namespace, job string) string {
	lane := c.Namespaces[namespace].Jobs[job].Lane
	return fillPlain(cmp.Or(lane, DefaultJobLane), map[string]string{builtinNamespace: namespace, builtinJob: job})
}

// labels are those of the namespace and the job, which wins.
func (n Namespace) labels(j Job) map[string]string {
	out := maps.Clone(n.Labels)
	if out == nil {
		return maps.Clone(j.Labels)
	}
	maps.Copy(out, j.Labels)
	return out
}

// JobName is a job by its two names.
type JobName struct{ Namespace, Job string }

func (n JobName) String() string { return n.Namespace + "/" + n.Job }

// Jobs lists every job in order of its name.
func (c Config) Jobs() []JobName {
	var out []JobName
	for _, namespace := range names(c.Namespaces) {
		for _, job := range names(c.Namespaces[namespace].Jobs) {
			out = append(out, JobName{Namespace: namespace, Job: job})
		}
	}
	return out
}

// JobRestricted says whether guests may not see or touch a job's runs.
func (c Config) JobRestricted(namespace, job string) bool {
	n := c.Namespaces[namespace]
	return n.Restricted || n.Jobs[job].Restricted
}

// source is the job's own or the namespace's.
func (n Namespace) source(j Job) JobSource {
	if j.Source != nil {
		return *j.Source
	}
	return n.Source
}

// FabfileName is where a fabfile lies in the workspace: where fab looks for it.
const FabfileName = "fabfile.py"

func (s JobSource) pin() *eventv1.Source {
	out := &eventv1.Source{LastGood: s.OnFailure == OnFailureLastGood}
	switch {
	case s.Git != nil:
		out.From = &eventv1.Source_Git{Git: &eventv1.GitSource{Url: s.Git.URL, Ref: s.Git.Ref}}
	case s.Path != "":
		out.From = &eventv1.Source_Path{Path: &eventv1.PathSource{Path: s.Path}}
	case s.Fabfile != "":
		out.From = &eventv1.Source_Url{Url: &eventv1.UrlSource{Url: s.Fabfile, Sha256: strings.ToLower(s.SHA256), Path: FabfileName}}
	case s.URL != "":
		out.From = &eventv1.Source_Url{Url: &eventv1.UrlSource{Url: s.URL, Sha256: strings.ToLower(s.SHA256), Path: fetchedName(s.URL)}}
	default:
		return nil
	}
	return out
}

// fetchedName is the last part of an address's path; empty when there is none
// that could name a file.
func fetchedName(address string) string {
	u, err := url.Parse(address)
	if err != nil {
		return ""
	}
	name := path.Base(u.Path)
	if name == "." || name == ".." || name == "/" || strings.ContainsAny(name, `/\`) || strings.ContainsFunc(name, forbidden) {
		return ""
	}
	return name
}

var policies = map[DedupePolicy]eventv1.Dedupe_Policy{
	"":           eventv1.Dedupe_POLICY_MERGE,
	DedupeMerge:  eventv1.Dedupe_POLICY_MERGE,
	DedupeAll:    eventv1.Dedupe_POLICY_ALL,
	DedupeReject: eventv1.Dedupe_POLICY_REJECT,
	DedupeNewest: eventv1.Dedupe_POLICY_NEWEST,
}

func (d Dedupe) pin(t JobTarget, runner string) *eventv1.Dedupe {
	return &eventv1.Dedupe{
		Policy:   policies[d.Policy],
		Key:      t.key(runner),
		MaxDelay: durationpb.New(cmp.Or(d.MaxDelay, DefaultMergeMaxDelay)),
	}
}

// key is the same for the same job with the same arguments, in whatever order
// they were given, on the same runner if it is for one alone, and for nothing
// else: each text is hashed behind its length, so none can run over into the next.
func (t JobTarget) key(runner string) string {
	sum := sha256.New()
	writeText(sum, t.Namespace)
	writeText(sum, t.Job)
	for _, name := range names(t.Params) {
		writeText(sum, name)
		writeText(sum, t.Params[name])
	}
	if runner != "" {
		writeText(sum, runner)
	}
	return hex.EncodeToString(sum.Sum(nil))
}

func writeText(sum hash.Hash, text string) {
	var length [8]byte
	binary.BigEndian.PutUint64(length[:], uint64(len(text)))
	sum.Write(length[:])    // a hash never fails
	sum.Write([]byte(text)) // a hash never fails
}

var formats = map[string]eventv1.Report_Format{
	"":           eventv1.Report_FORMAT_TEXT,
	FormatText:   eventv1.Report_FORMAT_TEXT,
	FormatBlocks: eventv1.Report_FORMAT_BLOCKS,
	FormatCode:   eventv1.Report_FORMAT_CODE,
	FormatFile:   eventv1.Report_FORMAT_FILE,
}

var cards = map[string]eventv1.Report_Card{
	"":         eventv1.Report_CARD_AUTO,
	CardAuto:   eventv1.Report_CARD_AUTO,
	CardAlways: eventv1.Report_CARD_ALWAYS,
	CardNever:  eventv1.Report_CARD_NEVER,
}

func (c Config) report(r Report) *eventv1.Report {
	out := &eventv1.Report{
		Stdout:        r.Stdout,
		Success:       r.Success == nil || *r.Success,
		Format:        formats[r.Format],
		SuppressEmpty: r.SuppressEmpty,
		LogsChannel:   c.Slack.LogsChannel,
		Card:          cards[r.Card],
		Accepted:      cmp.Or(c.Slack.Accepted, DefaultAccepted),
	}
	if r.LogsChannel != nil {
		out.LogsChannel = *r.LogsChannel
	}
	if c.Slack.SupportChannel != "" && (r.Escalate == nil || *r.Escalate) {
		out.Escalate, out.SupportChannel = true, c.Slack.SupportChannel
	}
	return out
}
