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

// entry is one word that may open a sentence.
type entry struct {
	word  string
	verb  Verb
	usage string
	help  string
	// alias words are understood and not advertised.
	alias bool
}

// entries is the whole vocabulary; help and suggestions are printed from it.
var entries = []entry{
	{word: "deploy", verb: VerbDeploy, usage: "deploy [SERVICE][@REF] [to ENVIRONMENT] {KEY=VALUE}", help: "start a deployment; what is left out comes from the defaults"},
	{word: "status", verb: VerbStatus, usage: "status [ID or SERVICE]", help: "what runs and what waits, and why"},
	{word: "cancel", verb: VerbCancel, usage: "cancel ID", help: "stop a run, or take it out of its queue"},
	{word: "retry", verb: VerbRetry, usage: "retry ID", help: "start again where a run failed; finished steps are not repeated"},
	{word: "logs", verb: VerbLogs, usage: "logs ID [STEP]", help: "the last lines that a run printed"},
	{word: "lanes", verb: VerbLanes, usage: "lanes [NAME]", help: "the queues, their limits and who is in them"},
	{word: "repeat", verb: VerbAnswer, usage: "repeat ID", help: "answer a question: run the interrupted step again"},
	{word: "done", verb: VerbAnswer, usage: "done ID", help: "answer a question: the interrupted step had finished"},
	{word: "fail", verb: VerbAnswer, usage: "fail ID", help: "answer a question: the interrupted step failed"},
	{word: "help", verb: VerbHelp, usage: "help [TOPIC]", help: "this list, or more about one of its words"},
	{word: "check_status", verb: VerbStatus, usage: "status [ID or SERVICE]", alias: true},
	{word: "queue", verb: VerbLanes, usage: "lanes [NAME]", alias: true},
	{word: "stop", verb: VerbCancel, usage: "cancel ID", alias: true},
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
	if v == VerbAnswer {
		return "repeat|done|fail ID"
	}
	e, _ := lookup(string(v))
	return e.usage
}

// Help is the answer to a help sentence: the whole list, or one topic. It is
// raw text in Slack's mrkdwn; an unknown topic answers the list.
func Help(topic string) string {
	if e, ok := lookup(topic); ok && topic != "" {
		full, _ := lookup(string(e.verb))
		if full.word == "" {
			full = e
		}
		return "`/slipway " + full.usage + "`: " + full.help + "."
	}
	var b strings.Builder
	b.WriteString("This is what I understand, after `/slipway` or after my name:\n")
	for _, e := range entries {
		if !e.alias {
			b.WriteString("• `" + e.usage + "`: " + e.help + "\n")
		}
	}
	b.WriteString("`/deploy …` and `/check_status …` are short for the first two. An ID may be any unique beginning of it.")
	return b.String()
}
