package grammar

import (
	"fmt"
	"regexp"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// Bounds of what a person may type.
const (
	// MaxText is the longest text that is looked at, in characters: Slack's
	// own advice for a message, and far beyond any sentence.
	MaxText = 4000
	// MaxRef is the longest ref, in characters: longer than any name that a
	// forge accepts.
	MaxRef = 200
	// MaxName is the longest name of a service, environment, lane or step.
	MaxName = 100
	// MaxRunID is the longest id or beginning of an id.
	MaxRunID = 64
	// MaxParameters is the most KEY=VALUE pairs of one sentence.
	MaxParameters = 32
	// MaxValue is the longest value of a parameter, in characters.
	MaxValue = 1000
	// MaxReason is the longest reason, in characters: a sentence, not a report.
	MaxReason = 500
)

// Sentence is a parsed request. Fields that its verb does not use are empty,
// and so are those the person left out: the orchestrator fills them from the
// defaults, or asks.
type Sentence struct {
	Verb Verb
	// Service as typed. With VerbStatus it is the word that may be a service
	// or an id: Run is then also set if the word could be one.
	Service string
	// Ref is the text after the @.
	Ref         string
	Environment string
	// Run is an id or its beginning, lower case, with its "d-" or "j-" if that
	// was typed.
	Run string
	// Parameters are the KEY=VALUE pairs; nil when there are none.
	Parameters map[string]string
	// Topic is what help was asked about.
	Topic string
	// Lane is the queue asked about.
	Lane string
	// Step is the step whose logs are wanted.
	Step string
	// Answer is AnswerRepeat, AnswerDone or AnswerFail.
	Answer string

	// Namespace is the first word of VerbJob, and what jobs or schedules were
	// asked about.
	Namespace string
	// Text is the rest of VerbJob without its flags: on one line, single-spaced,
	// without Slack's marks and trailing full stops, with the person's own quotes.
	Text string
	// Job as typed: "NAMESPACE/JOB", "NAMESPACE JOB" (then joined by a slash) or
	// one word alone, which may be either.
	Job string
	// In and At put a start off: at most one is set. At is as typed.
	In time.Duration
	At string
	// DespiteHold is the reason why holds shall not stop it.
	DespiteHold string
	// Window is the time of a hold as typed; ParseWindow reads it.
	Window string
	// Reason is the text after "because".
	Reason string
	// Part is PartHead, PartTail or PartAll of logs; empty: the tail.
	Part string
	// Stream is "stdout" or "stderr"; empty: both.
	Stream string
	// Schedule is the name that Action is about.
	Schedule string
	// Action of VerbSchedule is "pause", "resume" or "trigger"; of VerbAway "on",
	// "off" or "status".
	Action string
	// Relay that VerbAway is about; empty: the only one. From and Until are days,
	// "2026-12-24".
	Relay, From, Until string
	// By is whose runs history lists: a user's id or name, without the @.
	By string
	// Since is from when on it lists them, as typed; ParseSince reads it.
	Since string
	// Outcome is one of the outcomes below; empty: any.
	Outcome string
}

// The outcomes that history can be asked for.
const (
	OutcomeSucceeded = "succeeded"
	OutcomeFailed    = "failed"
	OutcomeCancelled = "cancelled"
	OutcomeTimedOut  = "timed out"
)

// The parts of a log.
const (
	PartHead = "head"
	PartTail = "tail"
	PartAll  = "all"
)

// Option adjusts Parse.
type Option func(*options)

type options struct{ bot string }

// WithBot names the bot's own user id, so that a mention of somebody else is
// not taken for a call.
func WithBot(user string) Option { return func(o *options) { o.bot = user } }

// Parse reads one request. Command is "/deploy", "/check_status", "/slipway",
// or "@" for a mention or a direct message, whose text may still contain the
// <@U…> of the bot: what stands before its last mention is ignored (before any
// but a leading one only WithBot can), and without a mention the whole text is
// the sentence. A first word that is no verb is taken for a namespace. An error
// is always an *Error, whose words can be shown to the person after Escape.
func Parse(command, text string, opts ...Option) (Sentence, error) {
	var o options
	for _, opt := range opts {
		opt(&o)
	}
	if n := utf8.RuneCountInString(text); n > MaxText {
		return Sentence{}, refuse(CodeTooLong, "", "That is %d characters; I read at most %d. Please say it shorter.", n, MaxText)
	}
	if !utf8.ValidString(text) {
		return Sentence{}, invisible()
	}
	if command == "@" {
		text = addressed(text, o.bot)
	}
	line, err := oneLine(text)
	if err != nil {
		return Sentence{}, err
	}
	switch command {
	case "/deploy":
		return short(VerbDeploy, line)
	case "/check_status":
		return short(VerbStatus, line)
	default:
		return open(command, line)
	}
}

// oneLine refuses text that goes on after its first line: what follows would
// either be lost or be run unseen.
func oneLine(text string) (string, error) {
	text = strings.TrimSpace(text)
	if strings.ContainsAny(text, "\n\r\v\f\u2028\u2029\u0085") {
		return "", refuse(CodeLines, "", "I read one line at a time, and there is more text after the first line. Nothing was done; please send the command alone on one line.")
	}
	return text, nil
}

// short parses the rest of a command that is a verb by itself.
func short(v Verb, line string) (Sentence, error) {
	words, err := split(Normalise(line))
	if err != nil {
		return Sentence{}, err
	}
	if len(words) == 1 && words[0].is("help") {
		return Sentence{Verb: VerbHelp, Topic: string(v)}, nil
	}
	return sentence(v, "", words)
}

// open parses a sentence that starts with its verb, or with a namespace.
func open(command, line string) (Sentence, error) {
	plain := plainLine(line)
	if strings.ContainsFunc(plain, hidden) {
		return Sentence{}, invisible()
	}
	if !strings.ContainsFunc(plain, func(r rune) bool { return unicode.IsLetter(r) || unicode.IsDigit(r) }) {
		return Sentence{Verb: VerbHelp}, nil
	}
	first, rest, _ := strings.Cut(plain, " ")
	word := strings.TrimPrefix(strings.Trim(first, "`\"'*"), "/")
	if after, ok := removesJob(word, rest); ok {
		return withReason(VerbCancel, after)
	}
	e, ok := lookup(word)
	switch {
	case !ok && !nameForm.MatchString(word):
		return Sentence{}, unknownVerb(command, word)
	case !ok:
		return parseJob(word, rest)
	case e.verb.reasoned():
		return withReason(e.verb, rest)
	case e.verb == VerbHistory:
		// A person is meant by his id, whatever Slack calls him.
		line = mention.ReplaceAllString(line, "@$1")
	}
	words, err := split(Normalise(line))
	if err != nil {
		return Sentence{}, err
	}
	if !strings.EqualFold(strings.TrimLeft(strings.Trim(words[0].text, "`*"), "/"), word) {
		return Sentence{}, unknownVerb(command, words[0].text)
	}
	return sentence(e.verb, e.word, words[1:])
}

// nameForm is what the name of a namespace, a job, a schedule or a relay looks
// like. It keeps punctuation and pasted prose from being taken for one.
var nameForm = regexp.MustCompile(`^[A-Za-z0-9](?:[A-Za-z0-9._-]{0,98}[A-Za-z0-9_-])?$`)

// removesJob knows "remove job id N", as BennettBot's people say it.
func removesJob(word, rest string) (string, bool) {
	said := strings.Fields(rest)
	if !strings.EqualFold(word, "remove") || len(said) < 2 || !strings.EqualFold(said[0], "job") || !strings.EqualFold(said[1], "id") {
		return "", false
	}
	return strings.Join(said[2:], " "), true
}

func unknownVerb(command, word string) error {
	call := "/slipway"
	if command == "@" {
		call = "@slipway"
	}
	near := Suggest(word, vocabulary(), 3)
	hint := ""
	if len(near) > 0 {
		hint = " Did you mean " + list(near) + "?"
	}
	return refuse(CodeVerb, call+" help", "I do not know %s.%s Say `%s help` for everything I understand.", Quote(word), hint, call)
}

func sentence(v Verb, typed string, words []word) (Sentence, error) {
	switch v {
	case VerbDeploy:
		return parseDeploy(words)
	case VerbStatus:
		return parseStatus(words)
	case VerbRetry:
		return parseRun(Sentence{Verb: v}, words)
	case VerbLogs:
		return parseLogs(words)
	case VerbAnswer:
		return parseRun(Sentence{Verb: v, Answer: typed}, words)
	case VerbJobs, VerbSchedules:
		name, err := optionalName(v, words)
		return Sentence{Verb: v, Namespace: name}, err
	case VerbHistory:
		return parseHistory(words)
	case VerbAway:
		return parseAway(words)
	case VerbCancel, VerbHold, VerbRelease, VerbSchedule, VerbJob:
		// These are read from the plain line, by withReason and parseJob.
	case VerbLanes:
		name, err := optionalName(v, words)
		return Sentence{Verb: v, Lane: name}, err
	case VerbHelp:
		return parseHelp(words)
	}
	return Sentence{}, unknownVerb("", string(v))
}

func parseHelp(words []word) (Sentence, error) {
	s := Sentence{Verb: VerbHelp}
	if len(words) > 0 {
		s.Topic = truncate(words[0].text, MaxName)
	}
	return s, nil
}

func parseStatus(words []word) (Sentence, error) {
	name, err := optionalName(VerbStatus, words)
	if err != nil {
		return Sentence{}, err
	}
	s := Sentence{Verb: VerbStatus, Service: name}
	if id, ok := runID(name); ok {
		s.Run = id
	}
	return s, nil
}

// parseRun reads [ID]. Without an id the orchestrator asks which run is meant.
func parseRun(s Sentence, words []word) (Sentence, error) {
	if len(words) == 0 {
		return s, nil
	}
	usage := "/slipway " + Usage(s.Verb)
	id, ok := runID(words[0].text)
	if !ok {
		return Sentence{}, refuse(CodeRunID, usage, "%s is not the id of a run; ids look like `d-4f7k2`. Say `/slipway status` to see them.", Quote(words[0].text))
	}
	if len(words) > 1 {
		return Sentence{}, misplaced(s.Verb, words[1])
	}
	s.Run = id
	return s, nil
}

func misplaced(v Verb, w word) error {
	usage := "/slipway " + Usage(v)
	return refuse(CodeUsage, usage, "I do not understand %s there. It goes `%s`.", Quote(w.text), usage)
}

func optionalName(v Verb, words []word) (string, error) {
	switch {
	case len(words) == 0:
		return "", nil
	case len(words) > 1:
		return "", misplaced(v, words[1])
	case utf8.RuneCountInString(words[0].text) > MaxName:
		return "", tooLong("A name", MaxName)
	}
	return words[0].text, nil
}

// runID reads an id or the beginning of one, in any case, with or without its
// kind; without, any run may be meant.
func runID(text string) (string, bool) {
	id := strings.ToLower(strings.Trim(text, "`*_"))
	kind, rest, found := strings.Cut(id, "-")
	if !found {
		rest = id
	}
	if found && kind != "d" && kind != "j" || rest == "" || len(rest) > MaxRunID {
		return "", false
	}
	for _, r := range rest {
		if (r < 'a' || r > 'z') && (r < '0' || r > '9') {
			return "", false
		}
	}
	return id, true
}

func tooLong(what string, limit int) error {
	return refuse(CodeTooLong, "", "%s has at most %d characters.", what, limit)
}

// Error is why a text is not a sentence.
type Error struct {
	// Code is stable, for machines.
	Code string
	// Sentence is for the person: what, why, what next. Raw text in Slack's
	// mrkdwn, with every echoed word quoted; Escape it when showing it.
	Sentence string
	// Usage is the right form; may be empty.
	Usage string
}

func (e *Error) Error() string { return e.Sentence }

// The codes of Error.
const (
	CodeTooLong = "E-TEXT-LONG"
	CodeLines   = "E-TEXT-LINES"
	CodeChars   = "E-TEXT-CHARS"
	CodeQuotes  = "E-TEXT-QUOTES"
	CodeVerb    = "E-VERB-404"
	CodeUsage   = "E-USAGE"
	CodeRunID   = "E-RUN-ID"
	CodeRef     = "E-REF"
	CodeParam   = "E-PARAM"
)

func refuse(code, usage, format string, args ...any) error {
	return &Error{Code: code, Usage: usage, Sentence: fmt.Sprintf(format, args...)}
}

// list joins quoted words: `a`, `b` or `c`.
func list(words []string) string {
	quoted := make([]string, len(words))
	for i, w := range words {
		quoted[i] = Quote(w)
	}
	if len(quoted) < 2 {
		return strings.Join(quoted, "")
	}
	last := len(quoted) - 1
	return strings.Join(quoted[:last], ", ") + " or " + quoted[last]
}
