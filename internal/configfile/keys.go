package configfile

import (
	"maps"
	"time"

	"gopkg.in/yaml.v3"

	"github.com/slipway-hq/slipway/domain/pipeline"
)

// This file is the one table of keys: decoder, schema and reference are made
// from it. A key's help is shown by editors.

type config = pipeline.Config

func document() codec[config] {
	return object(
		key("defaults", "What a request means that names no service or no environment.", defaults(), func(c *config) *pipeline.Defaults { return &c.Defaults }),
		key("services", "What can be deployed, by name.", dict(service()), func(c *config) *map[string]pipeline.Service { return &c.Services }),
		key("environments", "Where services go, by name.", dict(environment()), func(c *config) *map[string]pipeline.Environment { return &c.Environments }),
		key("pipelines", "How services are deployed, by name; several services may share one.", dict(steps()), func(c *config) *map[string]pipeline.Pipeline { return &c.Pipelines }),
		key("lanes", "Limits of queues, by the name of a lane or a pattern such as \"*/production\". A lane without an entry runs one at a time.", dict(lane()), func(c *config) *map[string]pipeline.Lane { return &c.Lanes }),
		key("pools", "Groups of runners that pipelines can ask for, by name. \"default\" always exists.", dict(pool()), func(c *config) *map[string]pipeline.Pool { return &c.Pools }),
		key("namespaces", "Groups of jobs, by the word that opens their commands.", dict(namespace()), func(c *config) *map[string]pipeline.Namespace { return &c.Namespaces }),
		key("relays", "Messages with a keyword that are passed on to a channel, by name.", dict(relay()), func(c *config) *map[string]pipeline.Relay { return &c.Relays }),
		key("slack", "How Slipway behaves in Slack.", slack(), func(c *config) *pipeline.Slack { return &c.Slack }),
	)
}

func defaults() codec[pipeline.Defaults] {
	type T = pipeline.Defaults
	return object(
		key("service", "The service that a bare /deploy deploys.", text(), func(t *T) *string { return &t.Service }),
		key("environment", "Where it goes when no environment is named. It cannot be a protected one.", text(), func(t *T) *string { return &t.Environment }),
	)
}

func service() codec[pipeline.Service] {
	type T = pipeline.Service
	return object(
		field[T]{key: "source", help: "Where the files come from: a Git repository or a folder on the runner. Left out: an empty workspace.", schema: sourceKeys().schema, decode: decodeSource},
		field[T]{key: "pipeline", help: "The name of a pipeline, or a pipeline itself.", schema: anyOf(text().schema, steps().schema), decode: decodePipeline},
		key("environments", "The environments it can go to. Left out: all.", list(text()), func(t *T) *[]string { return &t.Environments }),
		key("parameters", "What a request may set as NAME=VALUE, by name; commands use it as {NAME}.", dict(parameter()), func(t *T) *map[string]pipeline.Parameter { return &t.Parameters }),
		key("aliases", "Other names that people may use for it.", list(text()), func(t *T) *[]string { return &t.Aliases }),
	)
}

// sourceText is a source as it is written.
type sourceText struct{ git, ref, path *string }

func sourceKeys() codec[sourceText] {
	return object(
		key("git", "The address of a Git repository, as git clone takes it.", optional(text()), func(t *sourceText) **string { return &t.git }),
		key("ref", "The branch, tag or commit to check out when a request names none.", optional(text()), func(t *sourceText) **string { return &t.ref }),
		key("path", "A folder on the runner. A relative one starts at this file's folder.", optional(text()), func(t *sourceText) **string { return &t.path }),
	)
}

func decodeSource(d *decoder, n *yaml.Node, at []string, into *pipeline.Service) {
	s := sourceKeys().decode(d, n, at)
	if s.path != nil {
		into.Source.Path = *s.path
		if *s.path == "" {
			d.problem(n, at, "", "the path is empty")
		}
	}
	if s.git != nil {
		into.Source.Git = &pipeline.Git{URL: *s.git}
		if s.ref != nil {
			into.Source.Git.Ref = *s.ref
		}
	} else if s.ref != nil {
		d.problem(n, at, "", "only a git source has a ref")
	}
}

func decodePipeline(d *decoder, n *yaml.Node, at []string, into *pipeline.Service) {
	if n.Kind == yaml.MappingNode {
		inline := steps().decode(d, n, at)
		into.Inline = &inline
		return
	}
	into.Pipeline = text().decode(d, n, at)
}

func parameter() codec[pipeline.Parameter] {
	type T = pipeline.Parameter
	return object(
		needed(key("type", "What values it takes: string, int, enum or bool.", choice[pipeline.ParameterType]("string", "int", "enum", "bool"), func(t *T) *pipeline.ParameterType { return &t.Type })),
		key("values", "The values of an enum.", list(text()), func(t *T) *[]string { return &t.Values }),
		key("pattern", "A regular expression (RE2) that a whole string must match.", text(), func(t *T) *string { return &t.Pattern }),
		key("default", "The value when a request gives none.", optional(text()), func(t *T) **string { return &t.Default }),
		key("required", "Whether every request must give a value.", truth(), func(t *T) *bool { return &t.Required }),
		key("help", "A sentence for people who ask what it is.", text(), func(t *T) *string { return &t.Help }),
	)
}

func environment() codec[pipeline.Environment] {
	type T = pipeline.Environment
	return object(
		key("protected", "It must be named in every request, and only those under allow may deploy there.", truth(), func(t *T) *bool { return &t.Protected }),
		key("allow", "Who may deploy there: the users, and everybody in the channels. Guests, bots and strangers never may.", allow(), func(t *T) *pipeline.Allow { return &t.Allow }),
		key("variables", "Environment variables for every step of a run that goes here; a step's own win.", dict(text()), func(t *T) *map[string]string { return &t.Variables }),
	)
}

func allow() codec[pipeline.Allow] {
	type T = pipeline.Allow
	return object(
		key("users", "Ids of Slack users, such as U012AB3CD.", list(text()), func(t *T) *[]string { return &t.Users }),
		key("channels", "Ids of Slack channels, such as C012AB3CD: whoever asks in one of them may.", list(text()), func(t *T) *[]string { return &t.Channels }),
	)
}

// steps is a pipeline.
func steps() codec[pipeline.Pipeline] {
	type T = pipeline.Pipeline
	return object(
		key("timeout", "The longest time from start to end; then its processes are stopped. Default 1h.", duration(), func(t *T) *time.Duration { return &t.Timeout }),
		key("queue_timeout", "The longest wait for a slot or a runner. Default 24h.", duration(), func(t *T) *time.Duration { return &t.QueueTimeout }),
		key("lane", "The queue that runs wait in; {service} and {environment} are filled in. Default \"{service}/{environment}\". One fixed name makes everything go one at a time.", text(), func(t *T) *string { return &t.Lane }),
		key("pool", "The group of runners that may run it; \"*\" is any. Default \"default\".", text(), func(t *T) *string { return &t.Pool }),
		key("labels", "Labels that its runner must have, such as {arch: arm64}; slipway runners shows those of each.", dict(text()), func(t *T) *map[string]string { return &t.Labels }),
		key("priority", "Lower starts first among those that wait in a lane. Default: the lane's, else 0.", optional(integer()), func(t *T) **int { return &t.Priority }),
		key("mirror", "How Slack shows that a runner has a run. Default: the card alone does.", mirror(), func(t *T) *pipeline.Mirror { return &t.Mirror }),
		needed(key("steps", "The commands, in order. Each starts when the one before has succeeded.", list(step()), func(t *T) *[]pipeline.Step { return &t.Steps })),
	)
}

func mirror() codec[pipeline.Mirror] {
	type T = pipeline.Mirror
	return object(
		key("reaction", "An emoji, without colons, on the message that asked (on the card, where nobody wrote one), while the run is live.", filled(text()), func(t *T) *string { return &t.Reaction }),
		key("pin", "Whether that message is pinned to its channel meanwhile. Needs the scopes of slipway manifest --pins. Default false.", truth(), func(t *T) *bool { return &t.Pin }),
	)
}

func step() codec[pipeline.Step] {
	type T = pipeline.Step
	return object(
		needed(key("name", "A short name, unique in its pipeline.", text(), func(t *T) *string { return &t.Name })),
		needed(field[T]{key: "run", help: "One shell line, or a list: program and arguments without a shell. {NAME}, {service}, {environment} and {version} are filled in, quoted for the shell; {{NAME}} stands for literal braces.", schema: anyOf(text().schema, list(text()).schema), decode: decodeRun}),
		key("dir", "The folder to run in, inside the workspace. Default: the workspace.", text(), func(t *T) *string { return &t.Dir }),
		key("env", "Environment variables; placeholders are filled in.", dict(text()), func(t *T) *map[string]string { return &t.Env }),
		key("env_from", "Names of variables to take from the runner's own environment.", list(text()), func(t *T) *[]string { return &t.EnvFrom }),
		key("secrets", "Variables whose values only the runner knows: taken from its environment or a file, hidden in output, never stored.", dict(secret()), func(t *T) *map[string]pipeline.Secret { return &t.Secrets }),
		key("timeout", "The longest time of one attempt. Default: the pipeline's.", duration(), func(t *T) *time.Duration { return &t.Timeout }),
		key("grace", "The time between asking a process to stop and killing it. Default 10s.", duration(), func(t *T) *time.Duration { return &t.Grace }),
		key("retry", "How to repeat it when it fails. Default: not at all.", retry(), func(t *T) *pipeline.Retry { return &t.Retry }),
		key("resume", "What becomes of it when a runner was lost in the middle: retry starts it again (default), probe asks a command, ask asks a person.", choice[string](pipeline.ResumeRetry, pipeline.ResumeProbe, pipeline.ResumeAsk), func(t *T) *string { return &t.Resume }),
		key("probe", "A shell line for resume: probe. Exit 0 means the step had finished.", text(), func(t *T) *string { return &t.Probe }),
		key("ask_timeout", "How long the question of resume: ask waits. Default 8h.", duration(), func(t *T) *time.Duration { return &t.AskTimeout }),
		key("artefacts", "Patterns of files in the workspace that are stored before the step counts as finished.", list(text()), func(t *T) *[]string { return &t.Artefacts }),
		key("output_limit", "Bytes of output kept of one attempt; the rest is dropped with a note. Default 16MiB.", size(), func(t *T) *int64 { return &t.OutputLimit }),
	)
}

func decodeRun(d *decoder, n *yaml.Node, at []string, into *pipeline.Step) {
	if n.Kind == yaml.SequenceNode {
		into.Argv = list(text()).decode(d, n, at)
		return
	}
	into.Shell = text().decode(d, n, at)
}

func secret() codec[pipeline.Secret] {
	type T = pipeline.Secret
	return object(
		key("env", "A variable of the runner's own environment.", text(), func(t *T) *string { return &t.Env }),
		key("file", "An absolute path of a file on the runner.", text(), func(t *T) *string { return &t.File }),
	)
}

func retry() codec[pipeline.Retry] {
	type T = pipeline.Retry
	return object(
		needed(key("attempts", "How often to try in all.", counting(), func(t *T) *int { return &t.Attempts })),
		key("delay", "The wait before the second attempt. Default 1s.", duration(), func(t *T) *time.Duration { return &t.Delay }),
		key("backoff", "What each wait is multiplied with to give the next. Default 2.", number(), func(t *T) *float64 { return &t.Backoff }),
		key("max_delay", "The longest wait. Default 1m.", duration(), func(t *T) *time.Duration { return &t.MaxDelay }),
	)
}

func lane() codec[pipeline.Lane] {
	type T = pipeline.Lane
	return object(
		key("concurrency", "How many runs may go at once. Default 1.", counting(), func(t *T) *int { return &t.Concurrency }),
		field[T]{key: "rate", help: "At most so many starts in any period.", schema: rate().schema, decode: func(d *decoder, n *yaml.Node, at []string, into *T) {
			r := rate().decode(d, n, at)
			into.RateLimit, into.RatePeriod = r.RateLimit, r.RatePeriod
		}},
		key("priority", "The priority of runs whose pipeline gives none. Default 0.", integer(), func(t *T) *int { return &t.Priority }),
		key("per_runner", "How many of its runs may go at once on one runner. Default: as many as in all.", counting(), func(t *T) *int { return &t.PerRunner }),
		key("per_namespace", "How many of one namespace may go at once in it. Default: as many as in all.", counting(), func(t *T) *int { return &t.PerNamespace }),
		key("per_job", "How many of one job may go at once in it. Default: as many as in all.", counting(), func(t *T) *int { return &t.PerJob }),
		key("turns", "Namespaces take turns, instead of strictly first come, first served.", truth(), func(t *T) *bool { return &t.Turns }),
	)
}

func rate() codec[pipeline.Lane] {
	type T = pipeline.Lane
	return object(
		needed(key("limit", "How many starts.", integer(), func(t *T) *int { return &t.RateLimit })),
		needed(key("period", "In which time.", duration(), func(t *T) *time.Duration { return &t.RatePeriod })),
	)
}

func pool() codec[pipeline.Pool] {
	return object(key("help", "A sentence for people who wait for a runner of this pool.", text(), func(t *pipeline.Pool) *string { return &t.Help }))
}

func anyOf(schemas ...map[string]any) map[string]any {
	list := make([]any, len(schemas))
	for i, s := range schemas {
		list[i] = maps.Clone(s)
	}
	return map[string]any{"anyOf": list}
}
