package orchestrator

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/slipway-hq/slipway/domain/grammar"
	"github.com/slipway-hq/slipway/domain/run"
	apiv1 "github.com/slipway-hq/slipway/gen/slipway/api/v1"
	commandv1 "github.com/slipway-hq/slipway/gen/slipway/command/v1"
)

// This file is what a person reads first. Everything that came from outside is
// escaped here, once.

// public tells everybody, in a thread under the person's message.
func public(id, text string) *commandv1.Answer {
	return &commandv1.Answer{Visibility: commandv1.Answer_VISIBILITY_PUBLIC, Run: id, Text: text, Threaded: true}
}

func private(code, text string) *commandv1.Answer {
	return &commandv1.Answer{Visibility: commandv1.Answer_VISIBILITY_PRIVATE, Code: code, Text: text}
}

// refusalAnswer tells the actor alone why nothing happened.
func refusalAnswer(code, sentence string, choices []string) *commandv1.Answer {
	a := private(code, grammar.Escape(sentence)+" _"+code+"_")
	for _, c := range choices[:min(len(choices), maxChoices)] {
		a.Choices = append(a.Choices, &commandv1.Choice{Label: c, Sentence: c})
	}
	return a
}

// maxChoices is how many buttons fit into one row.
const maxChoices = 5

// acceptedAnswer is the first answer to a deployment.
func acceptedAnswer(r *apiv1.Run) *commandv1.Answer {
	text := fmt.Sprintf("%s: accepted from %s as `%s`. %s", nameWords(r), person(r), r.GetShortId(), sentenceCase(whereItStands(r)))
	if r.GetRetryOf() != "" {
		text = fmt.Sprintf("%s: retried by %s as `%s`, finished steps are carried over. %s", nameWords(r), person(r), r.GetShortId(), sentenceCase(whereItStands(r)))
	}
	return public(r.GetId(), text)
}

func version(r *apiv1.Run) string {
	if r.GetVersion() == "" {
		return ""
	}
	return " " + grammar.Code(r.GetVersion())
}

// person mentions nobody: a mention in every status answer would ping.
func person(r *apiv1.Run) string {
	return whoWords(r.GetRequester())
}

// whoWords shows a Slack user by name, and any other principal as it is called.
func whoWords(principal string) string {
	if slackUser.MatchString(principal) {
		return "<@" + principal + ">"
	}
	return grammar.Escape(principal)
}

func whereItStands(r *apiv1.Run) string {
	switch {
	case ended(r.GetStatus()) && r.GetReason() != "":
		return "it " + endedWord(r.GetStatus()) + ": " + grammar.Escape(r.GetReason()) + "."
	case ended(r.GetStatus()):
		return "it " + endedWord(r.GetStatus()) + "."
	case r.GetStatus() == apiv1.RunStatus_RUN_STATUS_RUNNING:
		return "it runs" + currentStep(r) + "."
	case r.GetReason() != "":
		return grammar.Escape(r.GetReason()) + "."
	}
	return "it starts now."
}

func endedWord(s apiv1.RunStatus) string {
	switch s {
	case apiv1.RunStatus_RUN_STATUS_SUCCEEDED:
		return "succeeded"
	case apiv1.RunStatus_RUN_STATUS_FAILED:
		return "failed"
	case apiv1.RunStatus_RUN_STATUS_CANCELLED:
		return "was cancelled"
	case apiv1.RunStatus_RUN_STATUS_TIMED_OUT:
		return "timed out"
	case apiv1.RunStatus_RUN_STATUS_REFUSED:
		return "was refused"
	default:
		return "was merged into another run"
	}
}

func currentStep(r *apiv1.Run) string {
	for i, s := range r.GetSteps() {
		if s.GetStatus() == apiv1.StepStatus_STEP_STATUS_RUNNING {
			return fmt.Sprintf(": step %d of %d, %s", i+1, len(r.GetSteps()), grammar.Escape(s.GetName()))
		}
	}
	return ""
}

func sentenceCase(s string) string {
	if s == "" {
		return s
	}
	_, n := utf8.DecodeRuneInString(s)
	return strings.ToUpper(s[:n]) + s[n:]
}

// line is one run in a list.
func line(r *apiv1.Run, now time.Time) string {
	return fmt.Sprintf("• `%s` %s, by %s, %s: %s", r.GetShortId(), nameWords(r), plainPerson(r), ago(now.Sub(r.GetCreated().AsTime())), standing(r))
}

// standing is the status and what there is to say about it.
func standing(r *apiv1.Run) string {
	text := "*" + statusWord(r.GetStatus()) + "*"
	if r.GetStatus() == apiv1.RunStatus_RUN_STATUS_RUNNING {
		return text + currentStep(r) + "."
	}
	if r.GetReason() != "" {
		text += ": " + reasonWords(r.GetReason())
	}
	return text + "."
}

// byUser finds who a reason names.
var byUser = regexp.MustCompile(`\bby ([UW][A-Z0-9]{7,})\b`)

// reasonWords is a reason in an answer that one person sees: a mention there
// shows a name and tells nobody.
func reasonWords(reason string) string {
	return byUser.ReplaceAllString(grammar.Escape(reason), "by <@$1>")
}

// plainPerson names without pinging; ephemeral answers do not notify anyway.
func plainPerson(r *apiv1.Run) string { return person(r) }

func statusWord(s apiv1.RunStatus) string {
	return strings.ToLower(strings.ReplaceAll(strings.TrimPrefix(s.String(), "RUN_STATUS_"), "_", " "))
}

func ago(d time.Duration) string {
	switch {
	case d < 2*time.Second:
		return "just now"
	case d < time.Minute:
		return fmt.Sprintf("%d s ago", int(d.Seconds()))
	case d < time.Hour:
		return fmt.Sprintf("%d min ago", int(d.Minutes()))
	}
	return fmt.Sprintf("%d h ago", int(d.Hours()))
}

// spent is a duration as the cards say it.
func spent(d time.Duration) string {
	switch {
	case d < 10*time.Second:
		return fmt.Sprintf("%.1f s", max(d.Seconds(), 0.1))
	case d < time.Minute:
		return fmt.Sprintf("%d s", int(d.Seconds()))
	}
	return fmt.Sprintf("%d min %d s", int(d.Minutes()), int(d.Seconds())%60)
}

// statusAnswer is one run in full.
func statusAnswer(r *apiv1.Run, now time.Time) *commandv1.Answer {
	var b strings.Builder
	b.WriteString(strings.TrimPrefix(line(r, now), "• "))
	for _, s := range r.GetSteps() {
		b.WriteString("\n" + stepLine(s, now))
	}
	if r.GetCommit() != "" {
		b.WriteString("\nBuilt from " + grammar.Code(short(strings.TrimPrefix(r.GetCommit(), "sha256:"), 10)))
	}
	a := private("", b.String())
	a.Run = r.GetId()
	return a
}

func short(text string, n int) string { return text[:min(n, len(text))] }

var stepMarks = map[apiv1.StepStatus]string{
	apiv1.StepStatus_STEP_STATUS_PENDING:   "⚪ pending",
	apiv1.StepStatus_STEP_STATUS_RUNNING:   "▶️ running",
	apiv1.StepStatus_STEP_STATUS_WAITING:   "⏸️ waiting",
	apiv1.StepStatus_STEP_STATUS_SUCCEEDED: "✅ done",
	apiv1.StepStatus_STEP_STATUS_FAILED:    "❌ failed",
	apiv1.StepStatus_STEP_STATUS_SKIPPED:   "➖ skipped",
	apiv1.StepStatus_STEP_STATUS_CARRIED:   "⏭️ carried over",
}

func stepLine(s *apiv1.Step, now time.Time) string {
	text := stepMarks[s.GetStatus()] + " *" + grammar.Escape(s.GetName()) + "*"
	if s.GetAttempts() > 1 {
		text += fmt.Sprintf(", attempt %d of %d", s.GetAttempts(), max(s.GetAttempts(), s.GetMaxAttempts()))
	}
	if s.GetStarted() != nil {
		end := now
		if s.GetFinished() != nil {
			end = s.GetFinished().AsTime()
		}
		text += " " + spent(end.Sub(s.GetStarted().AsTime()))
	}
	if s.GetError() != "" && s.GetStatus() != apiv1.StepStatus_STEP_STATUS_SUCCEEDED {
		text += ": " + grammar.Escape(s.GetError())
	}
	return text
}

// maxListed bounds the runs of one answer: a message of Slack's holds about
// 3,000 characters per section.
const maxListed = 12

// activeAnswer is what runs and waits now, and why.
func activeAnswer(a activity, holds []*apiv1.Hold, now time.Time) *commandv1.Answer {
	if len(a.runs) == 0 && len(holds) == 0 {
		return private("", "Nothing runs, nothing waits and nothing is held. `help` says what can be started.")
	}
	title := fmt.Sprintf("At %s: *%d* under way, *%d* waiting", now.UTC().Format("15:04:05 MST"), a.underWay, a.waiting)
	if len(holds) > 0 {
		title += fmt.Sprintf(", *%s*", count(len(holds), "hold"))
	}
	answer := listAnswer(title, a.runs, a.underWay+a.waiting, now)
	if lines := holdLines(holds, now); len(lines) > 0 {
		answer.Text += "\n" + strings.Join(lines[:min(maxListed, len(lines))], "\n")
	}
	return answer
}

// serviceAnswer is what happened to one service lately.
func serviceAnswer(service string, runs []*apiv1.Run, now time.Time) *commandv1.Answer {
	return runsAnswer(fmt.Sprintf("The latest of *%s*, the newest last:", grammar.Escape(service)), runs, now)
}

// runsAnswer lists runs, given newest first, in the order in which they came.
func runsAnswer(title string, runs []*apiv1.Run, now time.Time) *commandv1.Answer {
	slices.Reverse(runs)
	return listAnswer(title, runs, len(runs), now)
}

// listAnswer lists the first of so many runs, in this order.
func listAnswer(title string, runs []*apiv1.Run, total int, now time.Time) *commandv1.Answer {
	lines := []string{title}
	for _, r := range runs[:min(maxListed, len(runs))] {
		lines = append(lines, line(r, now))
	}
	if n := total - maxListed; n > 0 {
		lines = append(lines, fmt.Sprintf("… and %d more (`/slipway lanes`)", n))
	}
	return private("", strings.Join(lines, "\n"))
}

// lanesAnswer lists the queues.
func lanesAnswer(lanes []*apiv1.Lane, only string) *commandv1.Answer {
	var lines []string
	for _, ln := range lanes {
		if only != "" && ln.GetName() != only {
			continue
		}
		if len(ln.GetOccupied())+len(ln.GetQueued()) == 0 && only == "" {
			continue
		}
		text := fmt.Sprintf("*%s*: %d of %d busy%s%s", grammar.Escape(ln.GetName()), len(ln.GetOccupied()), ln.GetLimit(), ids(ln.GetOccupied(), " with "), ids(ln.GetQueued(), "; waiting: "))
		if ln.GetReason() != "" {
			text += "; " + reasonWords(ln.GetReason())
		}
		lines = append(lines, text)
	}
	if len(lines) == 0 && only != "" {
		names := make([]string, 0, len(lanes))
		for _, ln := range lanes {
			names = append(names, ln.GetName())
		}
		return refusalAnswer("E-LANE-404", fmt.Sprintf("I know no lane %s.%s `/slipway lanes` lists those in use.",
			grammar.Quote(only), didYouMean(grammar.Suggest(only, names, maxSuggested))), nil)
	}
	if len(lines) == 0 {
		return private("", "All lanes are empty.")
	}
	return private("", strings.Join(lines[:min(len(lines), 30)], "\n"))
}

// maxSuggested is how many names an unknown one is answered with.
const maxSuggested = 3

// didYouMean is a sentence with the nearest names, or nothing.
func didYouMean(near []string) string {
	if len(near) == 0 {
		return ""
	}
	quoted := make([]string, 0, len(near))
	for _, name := range near {
		quoted = append(quoted, grammar.Quote(name))
	}
	return " Did you mean " + strings.Join(quoted, " or ") + "?"
}

func ids(runs []*apiv1.Run, before string) string {
	if len(runs) == 0 {
		return ""
	}
	var out []string
	for _, r := range runs[:min(maxListed, len(runs))] {
		out = append(out, "`"+r.GetShortId()+"`")
	}
	return before + strings.Join(out, ", ")
}

// logsAnswer is a part of what a run printed, and where the whole is: page, if
// that is known.
func logsAnswer(s run.State, shortID, page string, q logQuery, entries []*apiv1.LogEntry) *commandv1.Answer {
	if len(entries) == 0 {
		return private("", fmt.Sprintf("`%s` %s%s.", shortID, printedNothing(s), onStream(q.stream)))
	}
	var b strings.Builder
	step := ""
	for _, e := range entries {
		if e.GetStep() != step {
			step = e.GetStep()
			fmt.Fprintf(&b, "— %s, attempt %d —\n", step, e.GetAttempt())
		}
		b.WriteString(e.GetText())
	}
	part := "The last lines"
	if q.head > 0 {
		part = "The first lines"
	}
	whole := fmt.Sprintf("`slipway logs %s`", shortID)
	if page != "" {
		whole = fmt.Sprintf("<%s|all output>, or %s", page, whole)
	}
	a := private("", fmt.Sprintf("%s of `%s`%s. All of them: %s\n%s", part, shortID, onStream(q.stream), whole, grammar.Fence(b.String())))
	a.Run = s.ID
	return a
}

func printedNothing(s run.State) string {
	if s.Status.Ended() {
		return "printed nothing"
	}
	return "has printed nothing so far"
}

func onStream(stream string) string {
	if stream == "" {
		return ""
	}
	return " on " + stream
}
