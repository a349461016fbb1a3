package pipeline

import "time"

// Bounds of what is configured for jobs.
const (
	MaxNamespaces = 100
	MaxJobs       = 200
	MaxCommands   = 200
	MaxWebhooks   = 50
	MaxRules      = 50
	MaxSchedules  = 100
	MaxRelays     = 20
	MaxKeywords   = 20
	MaxListeners  = 50
	// MaxBots that one listener hears.
	MaxBots = 50
	// MaxStartDelay is how far ahead a request may be put off.
	MaxStartDelay = 30 * 24 * time.Hour
)

// What applies where the configuration says nothing.
const (
	// DefaultJobLane is one run per job, jobs in parallel. The colon keeps it
	// apart from every deployment's lane.
	DefaultJobLane = "{namespace}:{job}"
	// DefaultMergeMaxDelay is how long equal requests can push a start off.
	DefaultMergeMaxDelay = time.Hour
	// DefaultAccepted is the emoji on an accepted request.
	DefaultAccepted = "eyes"
	// DefaultMisfireGrace is how late a tick may be and still count as on time.
	DefaultMisfireGrace = time.Minute
)

// Namespace is a group of jobs, and the first word of its commands.
type Namespace struct {
	Description string
	// Restricted: guests, strangers and bots may neither run nor see its jobs.
	Restricted bool
	// Allow lists who may run its jobs; empty: every member.
	Allow Allow
	// Override lists who may start a job despite a hold; empty: whoever may run it.
	Override Allow
	// Reminders: posts of Slack's reminder bot may run its jobs. Never in a
	// restricted namespace.
	Reminders bool
	// DefaultChannel is told of runs that nobody in Slack asked for: an id or a
	// #name.
	DefaultChannel string
	Source         JobSource
	Jobs           map[string]Job
	Commands       []Command
	Webhooks       map[string]Webhook
	Schedules      map[string]Schedule
	Listen         map[string]Listener
	// Env is given to every step of its jobs; a job's own wins.
	Env map[string]string
	// Pool of runners; empty: the default.
	Pool string
	// Labels that the runner of each job must have; a job's own win.
	Labels map[string]string
	// Mirror of its jobs' claims; a job's own wins as a whole.
	Mirror Mirror
}

// JobSource is what is fetched into the workspace before a run: at most one of
// Git, Path, URL and Fabfile.
type JobSource struct {
	Git  *Git
	Path string
	URL  string
	// Fabfile is a URL that is fetched as fabfile.py.
	Fabfile string
	// SHA256 of URL or Fabfile, hex; empty: not checked.
	SHA256 string
	// OnFailure is "fail" (default) or "last_good".
	OnFailure string
}

// What becomes of a run whose source cannot be fetched.
const (
	OnFailureFail     = "fail"
	OnFailureLastGood = "last_good"
)

// Job is something that can be run. Exactly one of Shell, Argv and Steps is set.
type Job struct {
	Help string
	// Shell is a line with {param} placeholders, each filled in quoted.
	Shell string
	Argv  []string
	Steps []Step
	// Params that a request gives, by name.
	Params     map[string]Param
	Report     Report
	Restricted bool
	Allow      Allow
	Override   Allow

	Timeout      time.Duration
	QueueTimeout time.Duration
	Grace        time.Duration
	Retry        Retry
	Env          map[string]string
	EnvFrom      []string
	Secrets      map[string]Secret
	Dir          string
	Resume       string
	OutputLimit  int64

	// Lane is the queue, {namespace} and {job} filled in; empty: DefaultJobLane.
	Lane     string
	Pool     string
	Labels   map[string]string
	Priority *int
	Dedupe   Dedupe
	// Source of its own; nil: the namespace's.
	Source *JobSource
	// Mirror of its own; nil: the namespace's.
	Mirror *Mirror
}

// TypeSecret is a parameter whose value the runner knows: a request never gives
// it, and its placeholder stands for the value without it being in the plan.
const TypeSecret ParameterType = "secret"

// Param is a declared input of a job: a Parameter, or a secret by reference. An
// empty Type means string; one without a default must be given.
type Param struct {
	Parameter
	Secret Secret
}

// DedupePolicy says what becomes of equal requests that wait together.
type DedupePolicy string

// The policies; empty means merge.
const (
	DedupeAll    DedupePolicy = "all"
	DedupeMerge  DedupePolicy = "merge"
	DedupeReject DedupePolicy = "reject"
	DedupeNewest DedupePolicy = "newest"
)

// Dedupe of a job.
type Dedupe struct {
	Policy DedupePolicy
	// MaxDelay bounds how long later requests push the start off; 0: the default.
	MaxDelay time.Duration
}

// Report is what a job says in Slack.
type Report struct {
	// Stdout: standard output of the last step is the report.
	Stdout bool
	// Success: without Stdout, a line that it succeeded; nil means yes.
	Success *bool
	// Format is "text" (default), "blocks", "code" or "file".
	Format        string
	SuppressEmpty bool
	// LogsChannel is told when a run starts; nil: that of Config.Slack.
	LogsChannel *string
	// Escalate passes a failure on to the support channel; nil means yes where
	// there is one.
	Escalate *bool
	// Card is "auto" (default), "always" or "never".
	Card string
}

// The formats of a report, and when a job has a card.
const (
	FormatText   = "text"
	FormatBlocks = "blocks"
	FormatCode   = "code"
	FormatFile   = "file"

	CardAuto   = "auto"
	CardAlways = "always"
	CardNever  = "never"
)

// Command is a sentence that people say after the namespace.
type Command struct {
	// Match is literal words and [params]; the last parameter may hold spaces.
	Match   string
	Aliases []string
	Help    string
	// Action is "run" (default), "cancel", "hold" or "release".
	Action string
	Job    string
	// Delay before it starts: time to change one's mind.
	Delay time.Duration
	// Overrides names matches of other commands of the namespace that this one
	// comes before where both fit.
	Overrides []string
	// Values of job parameters that the command fixes.
	Values map[string]string
}

// The actions of a command.
const (
	ActionRun     = "run"
	ActionCancel  = "cancel"
	ActionHold    = "hold"
	ActionRelease = "release"
)

// Webhook is a door for another system. Its address is
// /webhooks/github/PROJECT for Kind "github", and /webhooks/NAMESPACE/NAME for
// "generic".
type Webhook struct {
	// Kind is "github" (default) or "generic".
	Kind string
	// Project in the address of a GitHub webhook; empty: the webhook's name.
	// Unique over all namespaces.
	Project string
	// Secrets, the current and possibly the one before, in the environment or a
	// file of slack-ingress.
	Secrets []Secret
	// AllowSHA1 also takes the old X-Hub-Signature header.
	AllowSHA1 bool
	Rules     []WebhookRule
	// Channel is told; empty: the namespace's default.
	Channel string
}

// The kinds of webhooks.
const (
	WebhookGitHub  = "github"
	WebhookGeneric = "generic"
)

// WebhookRule starts a job for the deliveries that it fits. An empty list or
// field fits everything; * in branches, repositories and paths stands for
// anything.
type WebhookRule struct {
	Job          string
	Events       []string
	Actions      []string
	Merged       *bool
	Branches     []string
	Repositories []string
	Paths        []string
	// Where compares payload fields, by dotted path, with a text.
	Where map[string]string
	// Params are job parameters: payload fields by dotted path, "=TEXT" for text.
	Params map[string]string
	Delay  time.Duration
}

// Schedule starts a job by the clock. Exactly one of Cron and At is set.
type Schedule struct {
	Job string
	// Cron is five fields: minute hour day-of-month month day-of-week.
	Cron string
	// At is one moment, "2026-12-24 18:00".
	At string
	// Zone is an IANA name; empty: UTC.
	Zone   string
	Params map[string]string
	// Channel is told; empty: the namespace's default.
	Channel string
	Misfire Misfire
	Paused  bool
}

// Misfire says what becomes of ticks that passed while nobody could fire them.
type Misfire struct {
	// Policy is "once" (default: the newest missed tick alone), "skip" or "all".
	Policy string
	// Grace is how late a tick may be and still be on time; 0: the default.
	Grace time.Duration
	// Limit of ticks that "all" makes up for, the newest; 0: 100.
	Limit int
}

// The misfire policies.
const (
	MisfireOnce = "once"
	MisfireSkip = "skip"
	MisfireAll  = "all"
)

// Listener starts a job for messages in channels.
type Listener struct {
	// Match is a regular expression that the whole text must fit, in any case. Its
	// named groups are parameters of the job.
	Match string
	Job   string
	// Runners is "one" (default: any that fits), "every" that is alive, or the name
	// of one; "{group}" takes the name from the message.
	Runners string
	// Channels to listen in, by id or #name; none: wherever the bot is.
	Channels []string
	From     From
	// Attachments: the text of attachments counts as well.
	Attachments bool
	// Edits: each edit counts as well, after which it fits. Deletes: the removal
	// counts, and nothing else does.
	Edits, Deletes bool
	// Values of job parameters that are fixed.
	Values map[string]string
}

// The words of Listener.Runners.
const (
	RunnersOne   = "one"
	RunnersEvery = "every"
)

// From says whose messages count.
type From struct {
	// People who may run the job; nil: they count unless Bots are named.
	People *bool
	// Bots by the id of bot or app.
	Bots []string
}

// AcceptsPeople tells whether messages of people count.
func (f From) AcceptsPeople() bool {
	if f.People == nil {
		return len(f.Bots) == 0
	}
	return *f.People
}

// Relay passes messages with a keyword on to a channel.
type Relay struct {
	Keywords []string
	// Channel gets the permalink: an id or a #name.
	Channel string
	// Reaction on the message; empty: "sos".
	Reaction string
	// DirectRefusal is said to who uses the keyword in private; empty: a sentence
	// that names the channel.
	DirectRefusal string
	// Commands stay commands although they hold the keyword.
	Commands bool
	// Away is the notice while nobody is there; empty: a sentence with the dates.
	Away string
}

// Slack is how Slipway behaves in Slack.
type Slack struct {
	// Accepted is the emoji on an accepted request, without colons.
	Accepted string
	// LogsChannel is told when any job starts; empty: none.
	LogsChannel string
	// SupportChannel gets failures that are escalated; empty: none.
	SupportChannel string
	// JoinChannels: the bot joins every public channel, so that relays and listeners hear it.
	JoinChannels bool
}
