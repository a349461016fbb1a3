package grammar

import "strings"

// Verb is what a sentence asks for.
type Verb string

// The verbs. Their text is what a person types after /slipway.
const (
	VerbDeploy Verb = "deploy"
	VerbStatus Verb = "status"
	VerbCancel Verb = "cancel"
	VerbRetry  Verb = "retry"
	VerbLogs   Verb = "logs"
	VerbLanes  Verb = "lanes"
	VerbHelp   Verb = "help"
	// VerbJob is a sentence that begins with a namespace: what it means is in the
	// configuration.
	VerbJob       Verb = "job"
	VerbJobs      Verb = "jobs"
	VerbHistory   Verb = "history"
	VerbHold      Verb = "hold"
	VerbRelease   Verb = "release"
	VerbSchedules Verb = "schedules"
	// VerbSchedule changes one: "schedule pause NAME", "schedule resume NAME",
	// "schedule trigger NAME".
	VerbSchedule Verb = "schedule"
	// VerbAway is "ooo on [RELAY] from DAY to DAY", "ooo off [RELAY]" or
	// "ooo status [RELAY]".
	VerbAway Verb = "ooo"
	// VerbAnswer is typed as its answer: "repeat ID", "done ID", "fail ID".
	VerbAnswer Verb = "answer"
)

// The answers to the question what became of an interrupted step.
const (
	AnswerRepeat = "repeat"
	AnswerDone   = "done"
	AnswerFail   = "fail"
)

// Mutates says whether a sentence with this verb changes anything: such a
// sentence must be durable before it is acknowledged, and its answer is public.
func (v Verb) Mutates() bool {
	switch v {
	case VerbDeploy, VerbCancel, VerbRetry, VerbAnswer, VerbJob, VerbHold, VerbRelease, VerbSchedule, VerbAway:
		return true
	case VerbStatus, VerbLogs, VerbLanes, VerbHelp, VerbJobs, VerbHistory, VerbSchedules:
		return false
	}
	return false
}

// reasoned says whether "because TEXT" may end the sentence.
func (v Verb) reasoned() bool {
	return v == VerbCancel || v == VerbHold || v == VerbRelease || v == VerbSchedule
}

// entry is one word that may open a sentence.
type entry struct {
	word  string
	verb  Verb
	group string
	usage string
	help  string
	// more is said when help is asked about this word alone.
	more string
	// alias words are understood and not advertised.
	alias bool
}

// The groups of help, in their order.
const (
	groupRuns   = "Runs: deployments and jobs"
	groupJobs   = "Jobs"
	groupQueues = "Queues and people"
)

// entries is the whole vocabulary; help and suggestions are printed from it.
var entries = []entry{
	{word: "deploy", verb: VerbDeploy, group: groupRuns, usage: "deploy [SERVICE][@REF] [to ENVIRONMENT] {KEY=VALUE}", help: "start a deployment; what is left out comes from the defaults"},
	{word: "status", verb: VerbStatus, group: groupRuns, usage: "status [ID or SERVICE]", help: "what runs and what waits, and why"},
	{word: "cancel", verb: VerbCancel, group: groupRuns, usage: "cancel ID [because TEXT]", help: "stop a run, or take it out of its queue"},
	{word: "retry", verb: VerbRetry, group: groupRuns, usage: "retry ID", help: "start again where a run failed; finished steps are not repeated"},
	{word: "logs", verb: VerbLogs, group: groupRuns, usage: "logs ID [STEP] [head|tail|all] [stdout|stderr]", help: "what a run printed: its last lines, its first, or everything"},
	{word: "repeat", verb: VerbAnswer, group: groupRuns, usage: "repeat ID", help: "answer a question: run the interrupted step again"},
	{word: "done", verb: VerbAnswer, group: groupRuns, usage: "done ID", help: "answer a question: the interrupted step had finished"},
	{word: "fail", verb: VerbAnswer, group: groupRuns, usage: "fail ID", help: "answer a question: the interrupted step failed"},

	{word: "jobs", verb: VerbJobs, group: groupJobs, usage: "jobs [NAMESPACE]", help: "the jobs that there are"},
	{word: "history", verb: VerbHistory, group: groupJobs, usage: "history [JOB] [by @USER] [since 7d|DATE] [OUTCOME]", help: "what ran, when, for whom and how it ended", more: "OUTCOME is `succeeded`, `failed`, `cancelled` or `timed out`. For example: `history web/report by @ann since 7d failed`."},
	{word: "hold", verb: VerbHold, group: groupJobs, usage: "hold JOB WINDOW [because TEXT]", help: "start none of a job's runs for a time; they wait and start afterwards", more: "JOB is `NAMESPACE/JOB`; WINDOW is `11:20-11:30`, `for 2h`, `until 15:00` or `2026-11-30 22:00 to 2026-12-01 06:00 Europe/London`. A command with `--despite-hold REASON` at its end does not wait."},
	{word: "release", verb: VerbRelease, group: groupJobs, usage: "release JOB [because TEXT]", help: "end every hold of a job, also those to come"},
	{word: "schedules", verb: VerbSchedules, group: groupJobs, usage: "schedules", help: "what the clock starts, and when next"},
	{word: "schedule", verb: VerbSchedule, group: groupJobs, usage: "schedule pause|resume|trigger NAME [because TEXT]", help: "stop a schedule, let it go on, or run it now"},

	{word: "lanes", verb: VerbLanes, group: groupQueues, usage: "lanes [NAME]", help: "the queues, their limits and who is in them"},
	{word: "ooo", verb: VerbAway, group: groupQueues, usage: "ooo on [RELAY] from DAY to DAY | off [RELAY] | status [RELAY]", help: "say that nobody is there to answer for some days", more: "A DAY is written `2026-12-24`; both days count."},
	{word: "help", verb: VerbHelp, group: groupQueues, usage: "help [TOPIC]", help: "this list, or more about one of its words or a namespace"},

	{word: "check_status", verb: VerbStatus, usage: "status [ID or SERVICE]", help: "what runs and what waits, and why", alias: true},
	{word: "queue", verb: VerbLanes, usage: "lanes [NAME]", help: "the queues, their limits and who is in them", alias: true},
	{word: "stop", verb: VerbCancel, usage: "cancel ID [because TEXT]", help: "stop a run, or take it out of its queue", alias: true},
}

// Words lists every word that opens a sentence of its own, so that no namespace
// can be called by it.
func Words() []string {
	words := make([]string, 0, len(entries)+1)
	for _, e := range entries {
		words = append(words, e.word)
	}
	return append(words, "remove")
}

// lookup finds the entry for a word, in any case.
func lookup(word string) (entry, bool) {
	for _, e := range entries {
		if strings.EqualFold(e.word, word) {
			return e, true
		}
	}
	return entry{}, false
}

// Verbs lists the words that people may begin a sentence with.
func Verbs() []string { return vocabulary() }

// vocabulary lists the words that are advertised, in the order of help.
func vocabulary() []string {
	var words []string
	for _, e := range entries {
		if !e.alias {
			words = append(words, e.word)
		}
	}
	return words
}

// Reserved lists words that cannot name a service, because a sentence gives
// them a meaning of its own there.
func Reserved() []string { return []string{"to", "on", "in", "help"} }

// Usage is the form of a verb's sentence, without the command before it.
func Usage(v Verb) string {
	switch v {
	case VerbAnswer:
		return "repeat|done|fail ID"
	case VerbJob:
		return usageJob
	default:
		e, _ := lookup(string(v))
		return e.usage
	}
}

const usageJob = "NAMESPACE COMMAND [--in 10m | --at 14:30] [--despite-hold REASON]"

// IsTopic says whether Help has more about a word than the whole list.
func IsTopic(topic string) bool {
	_, ok := lookup(topic)
	return ok
}

// Help is the answer to a help sentence: the whole list, or one topic. It is
// raw text in Slack's mrkdwn; an unknown topic answers the list. What the
// namespaces are is the configuration's to say, and not in it.
func Help(topic string) string {
	if e, ok := lookup(topic); ok {
		if full, main := lookup(string(e.verb)); main {
			e = full
		}
		text := "`/slipway " + e.usage + "`: " + e.help + "."
		if e.more != "" {
			text += "\n" + e.more
		}
		return text
	}
	var b strings.Builder
	b.WriteString("This is what I understand, after `/slipway` or after my name:\n")
	group := ""
	for _, e := range entries {
		if e.alias {
			continue
		}
		if e.group != group {
			group = e.group
			b.WriteString("*" + group + "*\n")
			if group == groupJobs {
				b.WriteString("• `NAMESPACE COMMAND`: run a job; `NAMESPACE help` lists its commands. End with `--in 10m` or `--at 14:30` to start it later\n")
			}
		}
		b.WriteString("• `" + e.usage + "`: " + e.help + "\n")
	}
	b.WriteString("`/deploy …` and `/check_status …` are short for the first two. An ID may be any unique beginning of it.")
	return b.String()
}
