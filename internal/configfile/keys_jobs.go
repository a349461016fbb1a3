package configfile

import (
	"time"

	"gopkg.in/yaml.v3"

	"github.com/slipway-hq/slipway/domain/pipeline"
)

// This file is the part of the table of keys that concerns jobs.

func namespace() codec[pipeline.Namespace] {
	type T = pipeline.Namespace
	return object(
		key("description", "A sentence for people who ask what it is for.", text(), func(t *T) *string { return &t.Description }),
		key("restricted", "Guests, strangers from other workspaces and bots may neither run nor see its jobs.", truth(), func(t *T) *bool { return &t.Restricted }),
		key("allow", "Who may run its jobs. Left out: every member.", allow(), func(t *T) *pipeline.Allow { return &t.Allow }),
		key("override", "Who may start a job despite a hold. Left out: whoever may run it.", allow(), func(t *T) *pipeline.Allow { return &t.Override }),
		key("reminders", "Posts of Slack's reminder bot may run its jobs. Not in a restricted namespace.", truth(), func(t *T) *bool { return &t.Reminders }),
		key("default_channel", "The channel that is told of runs that nobody in Slack asked for: an id or a \"#name\".", text(), func(t *T) *string { return &t.DefaultChannel }),
		key("source", "What is fetched into the workspace before each run. Left out: an empty workspace.", jobSource(), func(t *T) *pipeline.JobSource { return &t.Source }),
		key("env", "Environment variables for every step of its jobs; a job's own win.", dict(text()), func(t *T) *map[string]string { return &t.Env }),
		key("pool", "The group of runners that may run its jobs; \"*\" is any. Default \"default\".", text(), func(t *T) *string { return &t.Pool }),
		key("labels", "Labels that the runner of each job must have, such as {arch: arm64}; slipway runners shows those of each.", dict(text()), func(t *T) *map[string]string { return &t.Labels }),
		key("mirror", "How Slack shows that a runner has one of its runs; a job's own wins. Default: not at all.", mirror(), func(t *T) *pipeline.Mirror { return &t.Mirror }),
		needed(key("jobs", "What can be run, by name.", dict(job()), func(t *T) *map[string]pipeline.Job { return &t.Jobs })),
		key("commands", "What people say after the namespace's name, and what it does.", list(command()), func(t *T) *[]pipeline.Command { return &t.Commands }),
		key("webhooks", "Doors for other systems, by name.", dict(webhook()), func(t *T) *map[string]pipeline.Webhook { return &t.Webhooks }),
		key("schedules", "Jobs that start by the clock, by name.", dict(schedule()), func(t *T) *map[string]pipeline.Schedule { return &t.Schedules }),
		key("listen", "Jobs that start for messages in channels, by name.", dict(listener()), func(t *T) *map[string]pipeline.Listener { return &t.Listen }),
	)
}

func jobSource() codec[pipeline.JobSource] {
	keys := object(
		key("git", "The address of a Git repository, as git clone takes it.", optional(text()), func(t *jobSourceText) **string { return &t.git }),
		key("ref", "The branch, tag or commit to check out.", optional(text()), func(t *jobSourceText) **string { return &t.ref }),
		key("path", "A folder on the runner. A relative one starts at this file's folder.", filled(text()), func(t *jobSourceText) *string { return &t.Path }),
		key("url", "The address of one file, fetched under its own name.", filled(text()), func(t *jobSourceText) *string { return &t.URL }),
		key("fabfile", "The address of a fabfile, fetched as fabfile.py: where fab looks for it.", filled(text()), func(t *jobSourceText) *string { return &t.Fabfile }),
		key("sha256", "The SHA-256 of the fetched file, in hex. Another content fails the run.", filled(text()), func(t *jobSourceText) *string { return &t.SHA256 }),
		key("on_failure", "What becomes of a run whose source cannot be fetched: fail (default), or last_good: it goes on with the last copy that could, and says so.", choice[string](pipeline.OnFailureFail, pipeline.OnFailureLastGood), func(t *jobSourceText) *string { return &t.OnFailure }),
	)
	return codec[pipeline.JobSource]{schema: keys.schema, decode: func(d *decoder, n *yaml.Node, at []string) pipeline.JobSource {
		return keys.decode(d, n, at).source(d, n, at)
	}}
}

// jobSourceText is a source as it is written.
type jobSourceText struct {
	pipeline.JobSource
	git, ref *string
}

func (t jobSourceText) source(d *decoder, n *yaml.Node, at []string) pipeline.JobSource {
	switch {
	case t.git != nil:
		t.Git = &pipeline.Git{URL: *t.git}
		if t.ref != nil {
			t.Git.Ref = *t.ref
		}
	case t.ref != nil:
		d.problem(n, at, "", "only a git source has a ref")
	}
	return t.JobSource
}

func job() codec[pipeline.Job] {
	type T = pipeline.Job
	return object(
		key("help", "A sentence for people who ask what it does.", text(), func(t *T) *string { return &t.Help }),
		field[T]{key: "run", help: "One shell line, or a list: program and arguments without a shell. {PARAM}, {namespace} and {job} are filled in, quoted for the shell; {{NAME}} stands for literal braces.", schema: anyOf(text().schema, list(text()).schema), decode: decodeJobRun},
		key("steps", "Several commands, in order, instead of run.", list(step()), func(t *T) *[]pipeline.Step { return &t.Steps }),
		key("params", "What a request gives, by name; commands use it as {NAME}.", dict(param()), func(t *T) *map[string]pipeline.Param { return &t.Params }),
		key("report", "What it says in Slack. Left out: a line that it succeeded, or why it failed.", report(), func(t *T) *pipeline.Report { return &t.Report }),
		key("restricted", "Guests, strangers and bots may neither run nor see it, whatever the namespace says.", truth(), func(t *T) *bool { return &t.Restricted }),
		key("allow", "Who may run it. Left out: whom the namespace allows.", allow(), func(t *T) *pipeline.Allow { return &t.Allow }),
		key("override", "Who may start it despite a hold. Left out: whom the namespace lets.", allow(), func(t *T) *pipeline.Allow { return &t.Override }),
		key("timeout", "The longest time from start to end; then its processes are stopped. Default 1h.", duration(), func(t *T) *time.Duration { return &t.Timeout }),
		key("queue_timeout", "The longest wait for a slot or a runner. Default 24h.", duration(), func(t *T) *time.Duration { return &t.QueueTimeout }),
		key("grace", "The time between asking a process to stop and killing it. Default 10s.", duration(), func(t *T) *time.Duration { return &t.Grace }),
		key("retry", "How to repeat it when it fails. Default: not at all.", retry(), func(t *T) *pipeline.Retry { return &t.Retry }),
		key("env", "Environment variables; placeholders are filled in. With steps, each has them.", dict(text()), func(t *T) *map[string]string { return &t.Env }),
		key("env_from", "Names of variables to take from the runner's own environment.", list(text()), func(t *T) *[]string { return &t.EnvFrom }),
		key("secrets", "Variables whose values only the runner knows: taken from its environment or a file, hidden in output, never stored.", dict(secret()), func(t *T) *map[string]pipeline.Secret { return &t.Secrets }),
		key("dir", "The folder to run in, inside the workspace. Default: the workspace.", text(), func(t *T) *string { return &t.Dir }),
		key("resume", "What becomes of it when a runner was lost in the middle: retry starts it again (default), ask asks a person.", choice[string](pipeline.ResumeRetry, pipeline.ResumeAsk), func(t *T) *string { return &t.Resume }),
		key("output_limit", "Bytes of output kept of one attempt; the rest is dropped with a note. Default 16MiB.", size(), func(t *T) *int64 { return &t.OutputLimit }),
		key("lane", "The queue that its runs wait in; {namespace} and {job} are filled in. Default \"{namespace}:{job}\": one run of it at a time, other jobs beside it.", text(), func(t *T) *string { return &t.Lane }),
		key("pool", "The group of runners that may run it; \"*\" is any. Default: the namespace's.", text(), func(t *T) *string { return &t.Pool }),
		key("labels", "Labels that its runner must have, beside the namespace's; its own win.", dict(text()), func(t *T) *map[string]string { return &t.Labels }),
		key("priority", "Lower starts first among those that wait in a lane. Default: the lane's, else 0.", optional(integer()), func(t *T) **int { return &t.Priority }),
		key("dedupe", "What becomes of equal requests that wait together. Default: one run for all of them.", dedupe(), func(t *T) *pipeline.Dedupe { return &t.Dedupe }),
		key("source", "What is fetched before it runs, instead of the namespace's source.", optional(jobSource()), func(t *T) **pipeline.JobSource { return &t.Source }),
		key("mirror", "How Slack shows that a runner has a run of it, instead of the namespace's mirror; {} shows nothing.", optional(mirror()), func(t *T) **pipeline.Mirror { return &t.Mirror }),
	)
}

func decodeJobRun(d *decoder, n *yaml.Node, at []string, into *pipeline.Job) {
	var s pipeline.Step
	decodeRun(d, n, at, &s)
	into.Shell, into.Argv = s.Shell, s.Argv
}

func param() codec[pipeline.Param] {
	type T = pipeline.Param
	return object(
		key("type", "What values it takes: string (default), int, enum, bool, or secret: a value that only the runner knows and nobody gives.", choice[pipeline.ParameterType]("string", "int", "enum", "bool", "secret"), func(t *T) *pipeline.ParameterType { return &t.Type }),
		key("values", "The values of an enum.", list(text()), func(t *T) *[]string { return &t.Values }),
		key("pattern", "A regular expression (RE2) that a whole string must match.", text(), func(t *T) *string { return &t.Pattern }),
		key("default", "The value when a request gives none. Without one, every request must give a value.", optional(text()), func(t *T) **string { return &t.Default }),
		key("help", "A sentence for people who ask what it is.", text(), func(t *T) *string { return &t.Help }),
		key("env", "Of a secret: a variable of the runner's own environment.", filled(text()), func(t *T) *string { return &t.Secret.Env }),
		key("file", "Of a secret: an absolute path of a file on the runner.", filled(text()), func(t *T) *string { return &t.Secret.File }),
	)
}

func report() codec[pipeline.Report] {
	type T = pipeline.Report
	return object(
		key("stdout", "Standard output is the report. Default false.", truth(), func(t *T) *bool { return &t.Stdout }),
		key("success", "Without stdout: say that it succeeded. Default true.", optional(truth()), func(t *T) **bool { return &t.Success }),
		key("format", "How standard output is shown: text (default), blocks (it is a JSON array of Slack's blocks), code or file.", choice[string](pipeline.FormatText, pipeline.FormatBlocks, pipeline.FormatCode, pipeline.FormatFile), func(t *T) *string { return &t.Format }),
		key("suppress_empty", "Say nothing when standard output is empty, instead of that it is.", truth(), func(t *T) *bool { return &t.SuppressEmpty }),
		key("logs_channel", "The channel that is told when it starts; \"\" for none. Default: that of slack.", optional(text()), func(t *T) **string { return &t.LogsChannel }),
		key("escalate", "Pass a failure on to the support channel, unless asked in private. Default true where there is one.", optional(truth()), func(t *T) **bool { return &t.Escalate }),
		key("card", "When it has a card that follows it live: auto (default, only if it does not end at once), always or never.", choice[string](pipeline.CardAuto, pipeline.CardAlways, pipeline.CardNever), func(t *T) *string { return &t.Card }),
	)
}

func dedupe() codec[pipeline.Dedupe] {
	type T = pipeline.Dedupe
	return object(
		key("policy", "For requests with the same arguments that wait: merge (default) runs once for all, all runs each, reject refuses later ones, newest lets a later one take the place of those before.", choice[pipeline.DedupePolicy]("merge", "all", "reject", "newest"), func(t *T) *pipeline.DedupePolicy { return &t.Policy }),
		key("max_delay", "How long later requests can push the start off, from the oldest. Default 1h.", duration(), func(t *T) *time.Duration { return &t.MaxDelay }),
	)
}

func command() codec[pipeline.Command] {
	type T = pipeline.Command
	return object(
		needed(key("match", "What people say: words, and [params], of which the last may hold several words.", text(), func(t *T) *string { return &t.Match })),
		key("aliases", "Other ways to say it, with the same parameters.", list(text()), func(t *T) *[]string { return &t.Aliases }),
		key("help", "A sentence for the list of commands.", text(), func(t *T) *string { return &t.Help }),
		key("action", "What it does with the job: run (default), cancel what waits, hold its starts from [start] to [end], or release its holds.", choice[string](pipeline.ActionRun, pipeline.ActionCancel, pipeline.ActionHold, pipeline.ActionRelease), func(t *T) *string { return &t.Action }),
		needed(key("job", "The job of the namespace that it is about.", text(), func(t *T) *string { return &t.Job })),
		key("delay", "The time before it starts, to change one's mind. Default: none.", duration(), func(t *T) *time.Duration { return &t.Delay }),
		key("overrides", "Matches of other commands that this one comes before where both fit.", list(text()), func(t *T) *[]string { return &t.Overrides }),
		key("values", "Values of the job's params that this command fixes.", dict(text()), func(t *T) *map[string]string { return &t.Values }),
	)
}

func webhook() codec[pipeline.Webhook] {
	type T = pipeline.Webhook
	return object(
		key("kind", "Who calls: github (default) at /webhooks/github/PROJECT, or generic at /webhooks/NAMESPACE/NAME.", choice[string](pipeline.WebhookGitHub, pipeline.WebhookGeneric), func(t *T) *string { return &t.Kind }),
		key("project", "The last part of a GitHub webhook's address. Default: the webhook's name.", filled(text()), func(t *T) *string { return &t.Project }),
		needed(key("secrets", "The secret that deliveries are signed with; two while the sender changes from one to the other.", list(hookSecret()), func(t *T) *[]pipeline.Secret { return &t.Secrets })),
		key("allow_sha1", "Also take GitHub's old X-Hub-Signature, which is weaker.", truth(), func(t *T) *bool { return &t.AllowSHA1 }),
		needed(key("rules", "Which deliveries start which job; each rule that fits starts one.", list(rule()), func(t *T) *[]pipeline.WebhookRule { return &t.Rules })),
		key("channel", "The channel that is told of its runs. Default: the namespace's.", text(), func(t *T) *string { return &t.Channel }),
	)
}

func hookSecret() codec[pipeline.Secret] {
	type T = pipeline.Secret
	return object(
		key("env", "A variable of slack-ingress's environment.", filled(text()), func(t *T) *string { return &t.Env }),
		key("file", "An absolute path of a file on its host.", filled(text()), func(t *T) *string { return &t.File }),
	)
}

func rule() codec[pipeline.WebhookRule] {
	type T = pipeline.WebhookRule
	return object(
		needed(key("job", "The job of the namespace that starts.", text(), func(t *T) *string { return &t.Job })),
		key("events", "The sender's events, such as push or pull_request. Left out: all.", list(text()), func(t *T) *[]string { return &t.Events }),
		key("actions", "Their actions, such as closed. Left out: all.", list(text()), func(t *T) *[]string { return &t.Actions }),
		key("merged", "Whether the pull request is merged. Left out: either.", optional(truth()), func(t *T) **bool { return &t.Merged }),
		key("branches", "Branches; * stands for anything. Left out: all.", list(text()), func(t *T) *[]string { return &t.Branches }),
		key("repositories", "Repositories as owner/name; * stands for anything. Left out: all.", list(text()), func(t *T) *[]string { return &t.Repositories }),
		key("paths", "Changed files, of which one must fit; * stands for anything. Left out: all.", list(text()), func(t *T) *[]string { return &t.Paths }),
		key("where", "Fields of the payload, by dotted path, and the text that each must be.", dict(text()), func(t *T) *map[string]string { return &t.Where }),
		key("params", "The job's params: a field of the payload by dotted path, \"@branch\" and the like, or \"=TEXT\".", dict(text()), func(t *T) *map[string]string { return &t.Params }),
		key("delay", "The time before it starts, to cancel it. Default: none.", duration(), func(t *T) *time.Duration { return &t.Delay }),
	)
}

func schedule() codec[pipeline.Schedule] {
	type T = pipeline.Schedule
	return object(
		needed(key("job", "The job of the namespace that starts.", text(), func(t *T) *string { return &t.Job })),
		key("cron", "When, again and again: minute, hour, day of the month, month and day of the week, or @daily and the like.", text(), func(t *T) *string { return &t.Cron }),
		key("at", "When, once: \"2026-12-24 18:00\".", text(), func(t *T) *string { return &t.At }),
		key("zone", "The time zone that the time is in, such as Europe/London. Default UTC.", text(), func(t *T) *string { return &t.Zone }),
		key("params", "Values of the job's params.", dict(text()), func(t *T) *map[string]string { return &t.Params }),
		key("channel", "The channel that is told of its runs. Default: the namespace's.", text(), func(t *T) *string { return &t.Channel }),
		key("misfire", "What becomes of ticks that passed while nobody could fire them.", misfire(), func(t *T) *pipeline.Misfire { return &t.Misfire }),
		key("paused", "It does not tick until somebody resumes it.", truth(), func(t *T) *bool { return &t.Paused }),
	)
}

func misfire() codec[pipeline.Misfire] {
	type T = pipeline.Misfire
	return object(
		key("policy", "once (default) makes up for the newest missed tick, skip for none, all for each.", choice[string](pipeline.MisfireOnce, pipeline.MisfireSkip, pipeline.MisfireAll), func(t *T) *string { return &t.Policy }),
		key("grace", "How late a tick may be and still count as on time. Default 1m.", duration(), func(t *T) *time.Duration { return &t.Grace }),
		key("limit", "How many missed ticks all makes up for, the newest. Default 100.", counting(), func(t *T) *int { return &t.Limit }),
	)
}

func listener() codec[pipeline.Listener] {
	type T = pipeline.Listener
	return object(
		needed(key("match", "What is said: a text, or a regular expression (RE2), which the whole message must fit, in any case; \".*passed.*\" fits what holds the word. Its named parts, (?P<name>...), are the job's params.", text(), func(t *T) *string { return &t.Match })),
		needed(key("job", "The job of the namespace that starts.", text(), func(t *T) *string { return &t.Job })),
		key("runners", "Where it runs: one (default, any runner that fits), every (each that is alive, at the same time; its lane must allow that), the name of a runner, or \"{part}\": the name that this part of the match holds.", filled(text()), func(t *T) *string { return &t.Runners }),
		key("channels", "The channels to listen in, ids or \"#names\". Left out: wherever the bot is a member.", list(text()), func(t *T) *[]string { return &t.Channels }),
		key("from", "Whose messages count. Left out: those of people, who need the same rights as for a command.", from(), func(t *T) *pipeline.From { return &t.From }),
		key("attachments", "The text of attachments counts as well, as CI bots post it: title, pretext, text or fallback. Needs from, bots.", truth(), func(t *T) *bool { return &t.Attachments }),
		key("edits", "A message counts again for each edit after which it fits.", truth(), func(t *T) *bool { return &t.Edits }),
		key("deletes", "A message counts when it is removed, and not when it is written.", truth(), func(t *T) *bool { return &t.Deletes }),
		key("values", "Values of the job's params that are fixed.", dict(text()), func(t *T) *map[string]string { return &t.Values }),
	)
}

func from() codec[pipeline.From] {
	type T = pipeline.From
	return object(
		key("people", "People who may run the job. Default: true, unless bots are named.", optional(truth()), func(t *T) **bool { return &t.People }),
		key("bots", "Bots by the id of the bot (B...) or of its app (A...). What they post starts the job without further rights.", list(text()), func(t *T) *[]string { return &t.Bots }),
	)
}

func relay() codec[pipeline.Relay] {
	type T = pipeline.Relay
	return object(
		needed(key("keywords", "Words that make a message one for the channel, in any case.", list(text()), func(t *T) *[]string { return &t.Keywords })),
		needed(key("channel", "The channel that gets a link to the message: an id or a \"#name\".", text(), func(t *T) *string { return &t.Channel })),
		key("reaction", "The emoji on the message, without colons. Default \"sos\".", filled(text()), func(t *T) *string { return &t.Reaction }),
		key("direct_refusal", "What is said to who uses the keyword in private. Default: a sentence that names the channel.", text(), func(t *T) *string { return &t.DirectRefusal }),
		key("commands", "Messages to the bot stay commands although they hold the keyword.", truth(), func(t *T) *bool { return &t.Commands }),
		key("away", "What is said while nobody is there. Default: a sentence with the dates.", text(), func(t *T) *string { return &t.Away }),
	)
}

func slack() codec[pipeline.Slack] {
	type T = pipeline.Slack
	return object(
		key("accepted", "The emoji on an accepted request, without colons. Default \"eyes\".", filled(text()), func(t *T) *string { return &t.Accepted }),
		key("logs_channel", "The channel that is told when any job starts. Left out: none.", text(), func(t *T) *string { return &t.LogsChannel }),
		key("support_channel", "The channel that failures of jobs are passed on to. Left out: none.", text(), func(t *T) *string { return &t.SupportChannel }),
		key("join_channels", "Join every public channel, so that relays and listeners hear it. Default false.", truth(), func(t *T) *bool { return &t.JoinChannels }),
	)
}
