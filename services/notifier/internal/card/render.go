package card

import (
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/slipway-hq/slipway/domain/grammar"
	"github.com/slipway-hq/slipway/domain/run"
)

// shortCommit is how many characters of a commit people see.
const shortCommit = 10

// Render is the one live message of a run.
func Render(v View) Message {
	m := Message{Text: v.summary()}
	m.Blocks = append(m.Blocks, section(marked(v.headline())), contextOf(v.facts()...))
	if waits := v.waits(); waits != "" {
		m.Blocks = append(m.Blocks, section(marked(waits)))
	} else if alert := v.alert(); alert != "" {
		m.Blocks = append(m.Blocks, section(literal(alert)))
	}
	if steps := v.steps(); steps != "" && v.Leader == nil {
		m.Blocks = append(m.Blocks, section(marked(steps)))
	}
	m.Blocks = append(m.Blocks, contextOf(v.progress()...))
	if buttons := v.buttons(); len(buttons) > 0 {
		m.Blocks = append(m.Blocks, Block{Type: "actions", Elements: buttons})
	}
	return m.named()
}

// summary is the card in one line.
func (v View) summary() string {
	s := &v.Story.State
	text := fmt.Sprintf("%s: %s (%s)", what(s), v.statusWord(), v.Short)
	switch waits := v.waits(); {
	case waits != "":
		text += ". " + waits
	case v.Shown.Reason != "":
		text += ". " + flat(v.Shown.Reason, maxReason)
	}
	return text
}

func (v View) headline() string {
	s := &v.Story.State
	text := what(s)
	if was := s.Plan.GetPreviousVersion(); was != "" && was != s.Version {
		text += " (was " + grammar.Code(was) + ")"
	}
	text += "\n*" + v.statusWord() + "*"
	if s.Status.Ended() && !s.Started.IsZero() && s.Status != run.Merged {
		text += " after " + spent(s.Finished.Sub(s.Started))
	}
	return text
}

// facts are who, what exactly, and where in line.
func (v View) facts() []string {
	s := &v.Story.State
	facts := []string{"asked by " + v.requester()}
	if s.IsJob() {
		facts = append(facts, v.jobFacts()...)
	}
	if s.Commit != "" {
		facts = append(facts, "built from "+grammar.Code(builtFrom(s.Commit)))
	}
	facts = append(facts, grammar.Code(v.Short))
	if v.Output != "" && !s.Started.IsZero() {
		facts = append(facts, linked(v.Output, "all output"))
	}
	if s.Cancel != nil && mention(s.Cancel.By.GetUser()) != "" {
		facts = append(facts, "cancelled by "+mention(s.Cancel.By.GetUser()))
	}
	if v.RetryOf != "" {
		facts = append(facts, "retry of "+grammar.Code(v.RetryOf))
	}
	if place := v.place(); place != "" {
		facts = append(facts, place)
	}
	return facts
}

// jobFacts are what a job was asked to do, and with whom it is shared.
func (v View) jobFacts() []string {
	var facts []string
	if args := arguments(&v.Story.State); args != "" {
		facts = append(facts, args)
	}
	if together := v.together(); together != "" {
		facts = append(facts, together)
	}
	if v.Story.State.Stale != "" {
		facts = append(facts, "from the last good copy of its source")
	}
	return facts
}

// builtFrom is a commit, or the digest of a folder, as people compare it.
func builtFrom(ref string) string {
	ref = strings.TrimPrefix(ref, "sha256:")
	return ref[:min(len(ref), shortCommit)]
}

func (v View) requester() string {
	if v.Story.State.IsJob() {
		return asker(&v.Story.State)
	}
	p := v.Story.State.Requester
	if m := mention(p.GetUser()); m != "" {
		return m // in a context block a mention notifies nobody anew: it is an edit, or their own request
	}
	return name("api:" + p.GetName())
}

// place is the lane, unless the headline or the reason says it already.
func (v View) place() string {
	s := &v.Story.State
	lane := s.Plan.GetLane()
	switch {
	case s.Status.Ended() || lane == "" || lane == s.Service+"/"+s.Environment || s.IsJob() && lane == s.Namespace+":"+s.Job:
		return ""
	case v.Shown.Position > 0 && v.Shown.Reason == "":
		return fmt.Sprintf("number %d in lane %s", v.Shown.Position, name(lane))
	case v.Shown.Position > 0:
		return ""
	}
	return "lane " + name(lane)
}

// alert is the one reason why the run does not simply run, in plain words.
func (v View) alert() string {
	if l := v.Leader; l != nil {
		if l.Status == run.Succeeded || l.Reason == "" {
			return ""
		}
		return clean(upperFirst(l.Reason), maxReason)
	}
	if v.Shown.Reason == "" || v.Shown.Status == run.Succeeded {
		return ""
	}
	return clean(upperFirst(v.Shown.Reason), maxReason)
}

func upperFirst(text string) string {
	if text == "" || strings.HasPrefix(text, "d-") || strings.HasPrefix(text, "j-") {
		return text // an id is written as it is typed
	}
	_, n := utf8.DecodeRuneInString(text)
	return strings.ToUpper(text[:n]) + text[n:]
}

func (v View) progress() []string {
	s := &v.Story.State
	var parts []string
	if n := len(s.Steps); n > 0 && v.Leader == nil {
		parts = append(parts, fmt.Sprintf("%d of %d steps", done(s), n))
	}
	switch {
	case s.Started.IsZero():
		parts = append(parts, "requested "+clock(s.Created))
	case !s.Status.Ended():
		parts = append(parts, "started "+clock(s.Started))
		if v.Elapsed > 0 {
			parts = append(parts, spent(v.Elapsed)+" elapsed")
		}
	}
	if v.Story.Runner != "" && (s.Claimed() || s.Status.Ended()) {
		parts = append(parts, "on runner "+grammar.Code(cut(v.Story.Runner, maxName)))
	}
	if !s.Finished.IsZero() {
		return append(parts, "finished "+clock(s.Finished))
	}
	return append(parts, "updated "+clock(v.Story.Updated))
}

func done(s *run.State) int {
	n := 0
	for i := range s.Steps {
		if s.Steps[i].Status.Done() {
			n++
		}
	}
	return n
}
