package card

import (
	"fmt"
	"strings"

	"github.com/slipway-hq/slipway/domain/grammar"
	"github.com/slipway-hq/slipway/domain/run"
)

// maxTail is how many lines of output a failure shows.
const maxTail = 15

// Reply is the message of a milestone, for the card's thread.
func Reply(v View, m Milestone) Message {
	switch m.Kind {
	case Started:
		return say(fmt.Sprintf("▶️ Started on runner %s.", grammar.Code(m.Host)))
	case Resumed:
		return say(fmt.Sprintf("🔁 The runner was lost. %s goes on with step %s; finished steps are not repeated.", grammar.Code(m.Host), bold(m.Step)))
	case StepFailed:
		return failure(m)
	case Asked:
		return question(v, m)
	case Ended:
		return verdict(v)
	}
	return Message{}
}

// Notice is the direct message to a requester whose channel the card cannot
// be posted in.
func Notice(v View, channel, why string) Message {
	if v.Story.State.IsJob() {
		return jobNotice(v, channel, why)
	}
	place := Place(channel)
	return say(fmt.Sprintf("I accepted %s as %s, and it goes on, but I cannot show its card in %s: %s", what(&v.Story.State), grammar.Code(v.Short), place, why))
}

// Place links a channel, as far as it has an id.
func Place(channel string) string {
	switch {
	case slackID.MatchString(channel):
		return "<#" + channel + ">"
	case strings.HasPrefix(channel, "#"):
		return name(channel)
	}
	return "that channel"
}

// Reaction is the emoji for the person's own message at the end; empty when
// there is none.
func Reaction(s run.Status) string {
	switch s {
	case run.Succeeded, run.Merged:
		return "white_check_mark"
	case run.Failed, run.Cancelled, run.TimedOut:
		return "x"
	default:
		return ""
	}
}

func say(texts ...string) Message {
	m := Message{Text: texts[0]}
	for _, t := range texts {
		m.Blocks = append(m.Blocks, section(marked(t)))
	}
	return m.named()
}

func failure(m Milestone) Message {
	text := fmt.Sprintf("⚠️ Step %s failed", bold(m.Step))
	if m.Attempts > 1 {
		text += fmt.Sprintf(" (attempt %d of %d)", m.Attempt, m.Attempts)
	}
	if m.Error != "" {
		text += ": " + grammar.Code(cut(m.Error, maxError))
	}
	if !m.RetryAt.IsZero() {
		text += ". The next attempt starts at " + clock(m.RetryAt)
	}
	if tail := lastLines(m.Tail); tail != "" {
		return say(text, grammar.Fence(tail))
	}
	return say(text)
}

func lastLines(text string) string {
	text = strings.TrimRight(text, "\n \t")
	if text == "" {
		return ""
	}
	lines := strings.Split(text, "\n")
	return strings.Join(lines[max(0, len(lines)-maxTail):], "\n")
}

// question is said in the thread, with its buttons beside it, and names the
// person who asked for the run: without an answer nothing goes on.
func question(v View, m Milestone) Message {
	text := fmt.Sprintf("❓ %s%s", address(v), flat(m.Question, maxReason))
	if !m.Deadline.IsZero() {
		text += " Without an answer it ends at " + clock(m.Deadline) + "."
	}
	return say(text + " The card has the buttons.")
}

// address is the mention of the requester, with the space behind it.
func address(v View) string {
	if who := mention(v.Story.State.Requester.GetUser()); who != "" {
		return who + " "
	}
	return ""
}

func verdict(v View) Message {
	s := &v.Story.State
	took := ""
	if !s.Started.IsZero() {
		took = spent(s.Finished.Sub(s.Started))
	}
	text := address(v)
	if s.Status == run.Succeeded {
		return say(text + success(s) + ", " + took)
	}
	text += fmt.Sprintf("%s: %s", what(s), lowerWord(s.Status))
	if took != "" {
		text += " after " + took
	}
	if s.Reason != "" {
		text += ": " + grammar.Code(cut(s.Reason, maxError))
	}
	m := say(text)
	m.Broadcast = s.Status == run.Failed || s.Status == run.TimedOut
	return m
}

func success(s *run.State) string {
	if s.Environment == "" {
		return "✅ " + what(s) + " is done"
	}
	text := "✅ " + bold(s.Service)
	if s.Version != "" {
		text += " " + grammar.Code(s.Version)
	}
	return text + " is live in " + bold(s.Environment)
}

func lowerWord(status run.Status) string {
	word := statusWords[status]
	if emoji, text, ok := strings.Cut(word, " "); ok {
		return emoji + " " + strings.ToLower(text)
	}
	return word
}
