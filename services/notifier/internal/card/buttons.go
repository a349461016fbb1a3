package card

import (
	"github.com/slipway-hq/slipway/domain/grammar"
	"github.com/slipway-hq/slipway/domain/run"
)

// buttons are what a person can do now, at most five. Who may is decided when
// one is pressed.
func (v View) buttons() []Element {
	s := &v.Story.State
	var all []Element
	if v.Story.Asking() {
		all = append(all,
			v.button("answer", "repeat", "Repeat it", "primary"),
			v.button("answer", "done", "It is done", ""),
			v.button("answer", "fail", "Let it fail", ""))
	}
	if s.Status == run.Failed || s.Status == run.Cancelled || s.Status == run.TimedOut {
		all = append(all, v.button("retry", "", "Retry", "primary"))
	}
	if !s.Status.Ended() && !s.Stopping() {
		all = append(all, v.cancel())
	}
	if !s.Started.IsZero() {
		all = append(all, v.button("logs", "", "Logs", ""))
	}
	return all
}

func (v View) button(action, extra, text, style string) *Button {
	s := &v.Story.State
	id, value := grammar.EncodePress(grammar.Press{Action: action, Run: s.ID, Sequence: s.Sequence, Extra: extra})
	if extra != "" {
		id += ":" + extra
	}
	return &Button{Type: "button", Text: label(text), ActionID: id, Value: value, Style: style}
}

func (v View) cancel() *Button {
	s := &v.Story.State
	b := v.button("cancel", "", "Cancel", "danger")
	text := "It has not started yet; it leaves the queue."
	if !s.Started.IsZero() {
		text = "The step that runs now is stopped. What it has already done stays done."
	}
	b.Confirm = &Confirm{
		Title: label("Cancel " + cut(v.Short, maxName) + "?"), Text: label(text),
		Confirm: label("Cancel the run"), Deny: label("Keep it"), Style: "danger",
	}
	return b
}
