package card

import (
	"fmt"
	"strings"

	"github.com/slipway-hq/slipway/domain/grammar"
	"github.com/slipway-hq/slipway/domain/run"
	eventv1 "github.com/slipway-hq/slipway/gen/slipway/event/v1"
)

// maxFailureTail is how many bytes of output a failure repeats, so that its text
// stays one message.
const maxFailureTail = 2000

// Report is the message with which a job ends, and false where it ends in
// silence: there was nothing to say, and the reaction or the card says that it
// went well. The view is that of the run that was executed.
func Report(v View, o Output) (Message, bool) {
	s := &v.Story.State
	switch s.Status {
	case run.Succeeded:
		return v.succeeded(o)
	case run.Failed, run.TimedOut:
		return v.failed(), true
	case run.Cancelled:
		return v.cancelled(), !v.quietly()
	case run.Refused:
		return Message{Text: fmt.Sprintf("%s⛔ %s %s, asked by %s, was refused: %s", v.told(nil), what(s), grammar.Code(v.Short), asker(s), flat(s.Reason, maxReason))}, true
	default:
		return Message{}, false
	}
}

func (v View) succeeded(o Output) (Message, bool) {
	s := &v.Story.State
	r := s.Plan.GetReport()
	named := what(s) + " " + grammar.Code(v.Short)
	switch {
	case !r.GetStdout() && (!r.GetSuccess() || v.Carded):
		return Message{}, false
	case !r.GetStdout():
		return Message{Text: fmt.Sprintf("✅ %s succeeded, %s", named, spent(s.Finished.Sub(s.Started)))}, true
	case o.Lost != "":
		return Message{Text: fmt.Sprintf("✅ %s succeeded, but its report cannot be shown: %s. %s", named, o.Lost, v.logs())}, true
	case o.empty(r.GetFormat()):
		return Message{Text: fmt.Sprintf("✅ %s succeeded and printed nothing.", named)}, !r.GetSuppressEmpty()
	}
	return show(v.source(""), r.GetFormat(), o), true
}

// failed is always plain text: nothing in it can be refused.
func (v View) failed() Message {
	s := &v.Story.State
	var b strings.Builder
	fmt.Fprintf(&b, "%s%s %s %s", v.told(nil), what(s), grammar.Code(v.Short), lowerWord(s.Status))
	if !s.Started.IsZero() {
		fmt.Fprintf(&b, " after %s", spent(s.Finished.Sub(s.Started)))
	}
	if s.Reason != "" {
		fmt.Fprintf(&b, ": %s", grammar.Code(cut(s.Reason, maxError)))
	}
	if args := arguments(s); args != "" {
		fmt.Fprintf(&b, "\nwith %s", args)
	}
	if tail := lastLines(v.tail()); tail != "" {
		fmt.Fprintf(&b, "\n%s", fence(strings.ToValidUTF8(tail[max(0, len(tail)-maxFailureTail):], ""), maxFailureTail+maxFailureTail/4))
	}
	if !s.Started.IsZero() {
		fmt.Fprintf(&b, "\n%s", v.logs())
	}
	if v.Support != "" {
		fmt.Fprintf(&b, "\nI am calling support in %s.", Place(v.Support))
	}
	return Message{Text: b.String()}
}

// tail is what the step printed last at which the run ended.
func (v View) tail() string {
	s := &v.Story.State
	for i := len(s.Steps) - 1; i >= 0; i-- {
		if s.Steps[i].Status == run.StepFailed {
			return s.Steps[i].Tail
		}
	}
	return ""
}

// logs says how to see everything that was printed.
func (v View) logs() string {
	text := fmt.Sprintf("See the logs: %s, or %s", grammar.Code("/slipway logs "+v.Short), grammar.Code("/slipway logs "+v.Short+" all stderr"))
	if v.Output != "" {
		text += ", or " + linked(v.Output, "all output")
	}
	return text
}

func (v View) cancelled() Message {
	s := &v.Story.State
	named := what(s) + " " + grammar.Code(v.Short)
	if s.MergedInto != "" || s.Cancel == nil {
		return Message{Text: fmt.Sprintf("%s🚫 %s does not run: %s", v.told(nil), named, flat(s.Reason, maxReason))}
	}
	text := fmt.Sprintf("%s🚫 %s was cancelled by %s", v.told(s.Cancel.By), named, by(s.Cancel.By))
	if s.Cancel.Reason != "" {
		text += ": " + flat(s.Cancel.Reason, maxReason)
	}
	return Message{Text: text}
}

// quietly tells whether the end needs no message: the only one to tell did it
// themselves, and the card shows it.
func (v View) quietly() bool {
	s := &v.Story.State
	return v.Carded && s.Cancel != nil && len(v.Told) == 1 && v.Told[0] == s.Cancel.By.GetUser()
}

// told addresses the people who asked, but for one who knows already.
func (v View) told(knows *eventv1.Principal) string {
	text := ""
	for i, user := range v.Told {
		if m := mention(user); m != "" && user != knows.GetUser() && i < maxTogether {
			text += m + " "
		}
	}
	return text
}

// Escalation passes a failure on. link is the address of the failure's message;
// without one, why says what became of it.
func Escalation(v View, link, why string) Message {
	s := &v.Story.State
	text := fmt.Sprintf("🆘 %s %s failed", what(s), grammar.Code(v.Short))
	if s.Status == run.TimedOut {
		text = fmt.Sprintf("🆘 %s %s timed out", what(s), grammar.Code(v.Short))
	}
	if link != "" {
		return Message{Text: text + ": " + link, Unfurl: true}
	}
	if s.Reason != "" {
		text += ": " + grammar.Code(cut(s.Reason, maxError))
	}
	return Message{Text: text + ". " + why + " " + v.logs()}
}

// Question asks what became of an interrupted step of a job.
func Question(v View, m Milestone) Message {
	text := fmt.Sprintf("❓ %s%s %s: %s", v.told(nil), what(&v.Story.State), grammar.Code(v.Short), flat(m.Question, maxReason))
	text += fmt.Sprintf(" Answer %s, %s or %s.", command("/slipway repeat "+v.Short), command("/slipway done "+v.Short), command("/slipway fail "+v.Short))
	if !m.Deadline.IsZero() {
		text += " Without an answer it ends at " + clock(m.Deadline) + "."
	}
	return Message{Text: text}
}

// jobNotice is the direct message to a requester whose channel Slack does not let
// us post in.
func jobNotice(v View, channel, why string) Message {
	s := &v.Story.State
	state := "goes on"
	if s.Status.Ended() {
		state = lowerWord(s.Status)
	}
	return Message{Text: fmt.Sprintf("%s %s %s, but I cannot say so in %s: %s", what(s), grammar.Code(v.Short), state, Place(channel), why)}
}
