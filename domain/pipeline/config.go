package pipeline

import "time"

// Bounds of a configuration and of a plan. Beyond them a configuration is
// refused as a whole.
const (
	// MaxServices, MaxEnvironments, MaxPipelines, MaxLanes and MaxPools keep a
	// configuration within what one message in Slack can list and one fold can
	// hold.
	MaxServices     = 200
	MaxEnvironments = 50
	MaxPipelines    = 200
	MaxLanes        = 200
	MaxPools        = 50
	// MaxSteps bounds the commits of one run.
	MaxSteps = 50
	// MaxParameters of one service: what a modal can ask for, and more.
	MaxParameters = 32
	// MaxParameterValue is in bytes; a value is an argument, not a document.
	MaxParameterValue = 4000
	// MaxValues of an enum, and MaxAliases of a service.
	MaxValues  = 100
	MaxAliases = 20
	// MaxAllow is the most users or channels of one rule.
	MaxAllow = 500
	// MaxCommand is the longest shell line or argument, in bytes.
	MaxCommand = 8 << 10
	// MaxArgs of one argv, MaxEnv variables of one step or environment,
	// MaxArtefacts globs of one step.
	MaxArgs      = 200
	MaxEnv       = 100
	MaxArtefacts = 20
	// MaxName is the longest name of anything.
	MaxName = 63
	// MaxPlan is the largest plan in bytes: half of the largest message, so
	// that the commit around it always fits.
	MaxPlan = 32 << 10
	// MaxConcurrency and MaxRate keep a lane's state small.
	MaxConcurrency = 500
	MaxRate        = 1000
	// MaxAttempts of one step.
	MaxAttempts = 20
	// MaxPriority in either direction.
	MaxPriority = 1000
	// MaxTimeout of a run or step, MaxWait for a slot or an answer, MaxGrace
	// between asking a process to stop and killing it, MaxDelay between
	// attempts, MaxBackoff from one delay to the next.
	MaxTimeout = 7 * 24 * time.Hour
	MaxWait    = 30 * 24 * time.Hour
	MaxGrace   = 10 * time.Minute
	MaxDelay   = 24 * time.Hour
	MaxBackoff = 10.0
	// MaxOutput of one attempt, in bytes.
	MaxOutput = 256 << 20
	// MaxLabels that a run asks of its runner, or a runner has.
	MaxLabels = 32
)

// What applies where the configuration says nothing.
const (
	DefaultLane         = "{service}/{environment}"
	DefaultPool         = "default"
	DefaultTimeout      = time.Hour
	DefaultQueueTimeout = 24 * time.Hour
	DefaultGrace        = 10 * time.Second
	DefaultAskTimeout   = 8 * time.Hour
	DefaultOutput       = 16 << 20
	DefaultDelay        = time.Second
	DefaultBackoff      = 2.0
	DefaultMaxDelay     = time.Minute
	DefaultConcurrency  = 1
)

// Config is everything that may be deployed or run, as plain data.
type Config struct {
	Defaults     Defaults
	Services     map[string]Service
	Environments map[string]Environment
	Pipelines    map[string]Pipeline
	// Lanes are settings by the name of a lane or a pattern such as
	// "*/production", in which * stands for anything without a slash.
	Lanes map[string]Lane
	Pools map[string]Pool
	// Namespaces hold the jobs.
	Namespaces map[string]Namespace
	// Relays pass messages with a keyword on to a channel.
	Relays map[string]Relay
	Slack  Slack
}

// Defaults are what a request that says nothing means.
type Defaults struct {
	Service     string
	Environment string
}

// Service is something that can be deployed.
type Service struct {
	Source Source
	// Pipeline names one of Config.Pipelines; Inline is used instead when set.
	Pipeline string
	Inline   *Pipeline
	// Environments it can go to; none means all.
	Environments []string
	Parameters   map[string]Parameter
	Aliases      []string
}

// Source is where the files of a run come from: Git, Path, or neither for an
// empty workspace.
type Source struct {
	Git *Git
	// Path of a folder on the runner.
	Path string
}

// Git is a repository and the ref to check out when the request names none.
type Git struct{ URL, Ref string }

// ParameterType is what values a parameter takes.
type ParameterType string

// The types of parameters.
const (
	TypeString ParameterType = "string"
	TypeInt    ParameterType = "int"
	TypeEnum   ParameterType = "enum"
	TypeBool   ParameterType = "bool"
)

// Parameter is a declared input of a service.
type Parameter struct {
	Type ParameterType
	// Values of an enum.
	Values []string
	// Pattern is a regular expression that a whole string must match; empty: any.
	Pattern string
	// Default when the request gives no value; nil: none.
	Default  *string
	Required bool
	// Help is a sentence for people.
	Help string
}

// Environment is a place that services go to.
type Environment struct {
	// Protected: must be named in every request, and needs an Allow list.
	Protected bool
	Allow     Allow
	// Variables are given to every step of a run that goes here; a step's own
	// environment wins.
	Variables map[string]string
}

// Allow lists who may start a run: a user by id, or anybody in a channel.
type Allow struct {
	Users    []string
	Channels []string
}

// Empty says whether the list names nobody.
func (a Allow) Empty() bool { return len(a.Users) == 0 && len(a.Channels) == 0 }

// Pipeline is a sequence of steps. Zero values mean the defaults.
type Pipeline struct {
	// Timeout from the first claim to the end.
	Timeout time.Duration
	// QueueTimeout is the longest wait for a slot or a runner.
	QueueTimeout time.Duration
	// Lane is the queue, {service} and {environment} substituted.
	Lane string
	// Pool of runners; "*" is any.
	Pool string
	// Labels that the runner must have.
	Labels map[string]string
	// Priority: lower starts first; nil: the lane's.
	Priority *int
	Mirror   Mirror
	Steps    []Step
}

// Mirror shows a claim in Slack, on the message that asked: a reaction (an emoji
// without colons), a pin, or both. The zero value shows nothing.
type Mirror struct {
	Reaction string
	Pin      bool
}

// Step is one command. Exactly one of Shell and Argv is set.
type Step struct {
	Name    string
	Shell   string
	Argv    []string
	Dir     string
	Env     map[string]string
	EnvFrom []string
	Secrets map[string]Secret
	Timeout time.Duration
	Grace   time.Duration
	Retry   Retry
	// Resume is "", "retry", "probe" or "ask".
	Resume     string
	Probe      string
	AskTimeout time.Duration
	Artefacts  []string
	// OutputLimit in bytes.
	OutputLimit int64
}

// What becomes of a step that was started and not finished.
const (
	ResumeRetry = "retry"
	ResumeProbe = "probe"
	ResumeAsk   = "ask"
)

// Secret says where the runner finds a value: one of an environment variable
// and a file.
type Secret struct{ Env, File string }

// Retry repeats a failing step. Attempts counts all; 0 and 1 mean no retry.
type Retry struct {
	Attempts int
	Delay    time.Duration
	Backoff  float64
	MaxDelay time.Duration
}

// Lane limits a queue. A Concurrency of 0 means the default.
type Lane struct {
	Concurrency int
	// At most RateLimit starts in any RatePeriod; 0: no limit.
	RateLimit  int
	RatePeriod time.Duration
	// Priority of runs whose pipeline gives none.
	Priority int
	// PerRunner, PerNamespace and PerJob limit what may go at once within the
	// lane; 0: no limit of their own.
	PerRunner, PerNamespace, PerJob int
	// Turns: namespaces take turns instead of strictly first come, first served.
	Turns bool
}

// Pool is a group of runners.
type Pool struct {
	// Help is a sentence for people.
	Help string
}
