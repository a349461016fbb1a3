package grammar

import (
	"strings"
	"time"
	"unicode/utf8"
)

// because opens the reason at the end of a sentence.
const because = "because"

// parseJob reads a sentence that begins with a namespace. What its text means
// is in the configuration; only the options at its end are read here.
func parseJob(namespace, rest string) (Sentence, error) {
	s := Sentence{Verb: VerbJob, Namespace: namespace}
	if strings.EqualFold(rest, "help") {
		return Sentence{Verb: VerbHelp, Topic: namespace}, nil
	}
	ts, err := s.cutFlags(tokens(rest))
	if err != nil {
		return Sentence{}, err
	}
	s.Text = withoutStops(joined(ts))
	return s, nil
}

// jobWords is what stands behind the namespace in String.
func (s Sentence) jobWords() []string {
	words := []string{s.Text}
	if s.Text == "" {
		words = nil
	}
	if s.In > 0 {
		words = append(words, flagIn, s.In.String())
	}
	if s.At != "" {
		words = append(words, flagAt, s.At)
	}
	if s.DespiteHold != "" {
		words = append(words, flagDespiteHold, s.DespiteHold)
	}
	return words
}

// reasonOf is the reason behind a word that asks for one.
func reasonOf(word string, ts []token) (string, error) {
	reason := withoutStops(joined(ts))
	switch {
	case reason == "":
		return "", refuse(CodeUsage, word+" TEXT", "`%s` needs a reason behind it, in a few words. Nothing was done.", word)
	case utf8.RuneCountInString(reason) > MaxReason:
		return "", tooLong("A reason", MaxReason)
	}
	return reason, nil
}

// withReason reads the rest of a sentence that may end in "because TEXT". The
// text is taken as it is, apostrophes and all.
func withReason(v Verb, rest string) (Sentence, error) {
	s := Sentence{Verb: v}
	ts := tokens(rest)
	for i, t := range ts {
		if t.is(because) {
			reason, err := reasonOf(because, ts[i+1:])
			if err != nil {
				return Sentence{}, err
			}
			s.Reason, rest = reason, joined(ts[:i])
			break
		}
	}
	words, err := split(rest)
	if err != nil {
		return Sentence{}, err
	}
	switch v {
	case VerbHold:
		return parseHold(s, words)
	case VerbRelease:
		return parseRelease(s, words)
	case VerbSchedule:
		return parseSchedule(s, words)
	default:
		return parseRun(s, words)
	}
}

func parseHold(s Sentence, words []word) (Sentence, error) {
	job, rest, err := readJob(s.Verb, words, opensWindow)
	if err != nil {
		return Sentence{}, err
	}
	var said []string
	for _, w := range rest {
		said = append(said, w.text)
	}
	s.Job, s.Window = job, strings.Join(said, " ")
	switch {
	case s.Window == "":
		return Sentence{}, refuse(CodeUsage, "/slipway "+Usage(s.Verb), "From when to when shall %s be held? Say it like `hold %s 11:20-11:30`.", Quote(job), job)
	case len(s.Window) > maxTimeText || strings.ContainsFunc(s.Window, foreignToTimes):
		return Sentence{}, refuse(CodeWindow, usageWindow, "I do not understand %s as a window. Say it like `11:20-11:30`.", Quote(s.Window))
	}
	return s, nil
}

// opensWindow tells the first word of a window from the name of a job.
func opensWindow(w word) bool {
	return w.is("from") || w.is("until") || w.is("for") || w.is("today") || w.is("tomorrow") || w.text != "" && w.text[0] >= '0' && w.text[0] <= '9'
}

// foreignToTimes is every character that no window holds.
func foreignToTimes(r rune) bool {
	return !strings.ContainsRune(" :/+-_–—", r) && (r < '0' || r > '9') && (r < 'a' || r > 'z') && (r < 'A' || r > 'Z')
}

func parseRelease(s Sentence, words []word) (Sentence, error) {
	job, rest, err := readJob(s.Verb, words, nil)
	if err != nil {
		return Sentence{}, err
	}
	if len(rest) > 0 {
		return Sentence{}, misplaced(s.Verb, rest[0])
	}
	s.Job = job
	return s, nil
}

func parseSchedule(s Sentence, words []word) (Sentence, error) {
	if len(words) == 0 && s.Reason == "" {
		return Sentence{Verb: VerbSchedules}, nil
	}
	usage := "/slipway " + Usage(s.Verb)
	for _, action := range []string{"pause", "resume", "trigger"} {
		if len(words) > 0 && words[0].is(action) {
			s.Action = action
		}
	}
	if s.Action == "" {
		return Sentence{}, refuse(CodeUsage, usage, "What shall become of the schedule? It goes `%s`.", usage)
	}
	name, rest, err := readJob(s.Verb, words[1:], nil)
	if err != nil {
		return Sentence{}, err
	}
	if len(rest) > 0 {
		return Sentence{}, misplaced(s.Verb, rest[0])
	}
	s.Schedule = name
	return s, nil
}

// readJob reads NAMESPACE/JOB, NAMESPACE JOB or one word alone, up to a word
// that opens something else.
func readJob(v Verb, words []word, opens func(word) bool) (job string, rest []word, err error) {
	usage := "/slipway " + Usage(v)
	if len(words) == 0 {
		return "", nil, refuse(CodeUsage, usage, "Which one? It goes `%s`.", usage)
	}
	job, rest = words[0].text, words[1:]
	if len(rest) > 0 && !strings.Contains(job, "/") && (opens == nil || !opens(rest[0])) {
		job, rest = job+"/"+rest[0].text, rest[1:]
	}
	if !isJobName(job) {
		return "", nil, refuse(CodeUsage, usage, "%s is not a name. It goes `%s`.", Quote(job), usage)
	}
	return job, rest, nil
}

func isJobName(name string) bool {
	namespace, job, both := strings.Cut(name, "/")
	return nameForm.MatchString(namespace) && (!both || nameForm.MatchString(job))
}

// parseHistory reads [JOB] [by @USER] [since TIME] [OUTCOME], in any order.
func parseHistory(words []word) (Sentence, error) {
	s := Sentence{Verb: VerbHistory}
	var names []word
	for len(words) > 0 {
		used, err := s.narrow(words)
		if err != nil {
			return Sentence{}, err
		}
		if used == 0 {
			names, used = append(names, words[0]), 1
		}
		words = words[used:]
	}
	if len(names) == 0 {
		return s, nil
	}
	job, rest, err := readJob(s.Verb, names, nil)
	if err != nil {
		return Sentence{}, err
	}
	if len(rest) > 0 {
		return Sentence{}, misplaced(s.Verb, rest[0])
	}
	s.Job = job
	return s, nil
}

// narrow reads one condition of history and says how many words it took.
func (s *Sentence) narrow(words []word) (int, error) {
	key, next := words[0], word{}
	if len(words) > 1 {
		next = words[1]
	}
	switch {
	case key.is("by"):
		by := strings.TrimLeft(next.text, "@")
		if s.By != "" || by == "" || utf8.RuneCountInString(by) > MaxName {
			return 0, refuse(CodeUsage, "history by @USER", "`by` needs one person behind it, such as `by @ann`.")
		}
		s.By = by
		return 2, nil
	case key.is("since"):
		_, length := parseSpan(next.text, maxSince)
		_, err := time.Parse(time.DateOnly, next.text)
		if s.Since != "" || !length && err != nil && !next.is("today") && !next.is("yesterday") {
			return 0, notSince(next.text)
		}
		s.Since = strings.ToLower(next.text)
		return 2, nil
	case key.is("timed") && next.is("out"):
		return 2, s.setOutcome(OutcomeTimedOut)
	}
	for spelling, outcome := range outcomes {
		if key.is(spelling) {
			return 1, s.setOutcome(outcome)
		}
	}
	return 0, nil
}

var outcomes = map[string]string{
	OutcomeSucceeded: OutcomeSucceeded, OutcomeFailed: OutcomeFailed, OutcomeCancelled: OutcomeCancelled,
	"canceled": OutcomeCancelled, "timed-out": OutcomeTimedOut, "timeout": OutcomeTimedOut,
}

func (s *Sentence) setOutcome(outcome string) error {
	if s.Outcome != "" {
		return refuse(CodeUsage, "/slipway "+Usage(VerbHistory), "One outcome at a time: %s or %s?", s.Outcome, outcome)
	}
	s.Outcome = outcome
	return nil
}

// parseLogs reads ID [STEP] [head|tail|all] [stdout|stderr].
func parseLogs(words []word) (Sentence, error) {
	s, err := parseRun(Sentence{Verb: VerbLogs}, words[:min(1, len(words))])
	if err != nil || len(words) < 2 {
		return s, err
	}
	for _, w := range words[1:] {
		switch {
		case s.Part == "" && (w.is(PartHead) || w.is(PartTail) || w.is(PartAll)):
			s.Part = strings.ToLower(w.text)
		case s.Stream == "" && (w.is("stdout") || w.is("stderr")):
			s.Stream = strings.ToLower(w.text)
		case s.Step != "" || w.text == "":
			return Sentence{}, misplaced(VerbLogs, w)
		case utf8.RuneCountInString(w.text) > MaxName:
			return Sentence{}, tooLong("A step's name", MaxName)
		default:
			s.Step = w.text
		}
	}
	return s, nil
}

// parseAway reads "on [RELAY] from DAY to DAY", "off [RELAY]" and "status [RELAY]".
func parseAway(words []word) (Sentence, error) {
	s := Sentence{Verb: VerbAway, Action: "status"}
	usage := "/slipway " + Usage(s.Verb)
	if len(words) == 0 {
		return s, nil
	}
	s.Action = strings.ToLower(words[0].text)
	if words[0].quoted || s.Action != "on" && s.Action != "off" && s.Action != "status" {
		return Sentence{}, misplaced(s.Verb, words[0])
	}
	words = words[1:]
	if len(words) > 0 && !words[0].is("from") {
		if !nameForm.MatchString(words[0].text) {
			return Sentence{}, misplaced(s.Verb, words[0])
		}
		s.Relay, words = words[0].text, words[1:]
	}
	if s.Action != "on" {
		if len(words) > 0 {
			return Sentence{}, misplaced(s.Verb, words[0])
		}
		return s, nil
	}
	if len(words) != 4 || !words[0].is("from") || !words[2].is("to") {
		return Sentence{}, refuse(CodeUsage, usage, "From which day to which? It goes `ooo on from 2026-12-24 to 2027-01-02`; both days count.")
	}
	return s.away(words[1].text, words[3].text)
}

func (s Sentence) away(from, until string) (Sentence, error) {
	for _, day := range []string{from, until} {
		if _, err := time.Parse(time.DateOnly, day); err != nil {
			return Sentence{}, refuse(CodeTime, usageTime, "%s is not a day. A day is year, month and day, such as `2026-12-24`.", Quote(day))
		}
	}
	if until < from {
		return Sentence{}, refuse(CodeTime, usageTime, "%s comes before %s. Which way round do you mean?", Quote(until), Quote(from))
	}
	s.From, s.Until = from, until
	return s, nil
}
