package card

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/slipway-hq/slipway/domain/grammar"
	"github.com/slipway-hq/slipway/domain/run"
	eventv1 "github.com/slipway-hq/slipway/gen/slipway/event/v1"
)

const (
	// maxArguments is how many arguments a message repeats, each cut to maxName;
	// the API and the log have all.
	maxArguments = 8
	// maxTogether is how many requests that are executed as one are named.
	maxTogether = 5
	// maxSaid bounds a command that a message repeats for people to type.
	maxSaid = 200
)

// Member is another request that the same execution answers.
type Member struct {
	Short string
	By    *eventv1.Principal
}

// Leader is the run that executes for a merged one.
type Leader struct {
	Short  string
	Status run.Status
	Reason string
}

// job is what people call the job: "*test say_hello*".
func job(s *run.State) string { return bold(s.Namespace + " " + s.Job) }

// arguments are the job's parameters in order of their names; empty when there
// are none. Secrets are never among them.
func arguments(s *run.State) string {
	names := slices.Sorted(maps.Keys(s.Parameters))
	var parts []string
	for i, n := range names {
		if i == maxArguments {
			parts = append(parts, fmt.Sprintf("and %d more", len(names)-i))
			break
		}
		parts = append(parts, name(n)+" "+grammar.Code(cut(s.Parameters[n], maxName)))
	}
	return strings.Join(parts, ", ")
}

// asker says who or what asked: a person, a webhook, the clock, or a caller of
// the API.
func asker(s *run.State) string {
	text := ""
	switch s.Origin.GetDoor() {
	case eventv1.Origin_DOOR_WEBHOOK:
		text = strings.TrimSpace("webhook " + s.Origin.GetSource())
	case eventv1.Origin_DOOR_SCHEDULE:
		text = strings.TrimSpace("schedule " + s.Origin.GetSource())
	case eventv1.Origin_DOOR_REMINDER:
		text = "a reminder"
	case eventv1.Origin_DOOR_LISTEN:
		if m := mention(s.Requester.GetUser()); m != "" {
			return m
		}
		text = strings.TrimSpace("a message for " + s.Origin.GetSource())
	case eventv1.Origin_DOOR_UNSPECIFIED, eventv1.Origin_DOOR_SLASH_COMMAND, eventv1.Origin_DOOR_MENTION, eventv1.Origin_DOOR_BUTTON, eventv1.Origin_DOOR_API:
		if m := mention(s.Requester.GetUser()); m != "" {
			return m
		}
		text = "api:" + s.Requester.GetName()
	}
	return linked(s.Origin.GetUrl(), text)
}

// linked is text as a link, where the address is one that a message may hold.
func linked(address, text string) string {
	web := strings.HasPrefix(address, "https://") || strings.HasPrefix(address, "http://")
	if !web || len(address) > maxReason || strings.ContainsAny(address, "<>| \n\t\"") {
		return name(text)
	}
	return "<" + strings.ReplaceAll(address, "&", "&amp;") + "|" + strings.ReplaceAll(name(text), "|", "¦") + ">"
}

// by names who did something.
func by(p *eventv1.Principal) string {
	switch m := mention(p.GetUser()); {
	case m != "":
		return m
	case p.GetKind() == eventv1.Principal_KIND_API:
		return name("api:" + p.GetName())
	case p.GetName() != "":
		return name(p.GetName())
	}
	return "somebody"
}

// together names the requests that are executed as one with this.
func (v View) together() string {
	var parts []string
	for i, m := range v.Together {
		if i == maxTogether {
			parts = append(parts, fmt.Sprintf("%d more", len(v.Together)-i))
			break
		}
		parts = append(parts, grammar.Code(m.Short)+", asked by "+by(m.By))
	}
	if len(parts) == 0 {
		return ""
	}
	return "together with " + strings.Join(parts, "; ")
}

// waits says why a job that is queued waits, and what a person can do about it;
// empty when there is nothing special to say.
func (v View) waits() string {
	s := &v.Story.State
	switch {
	case !s.IsJob():
	case v.Shown.Hold != nil:
		h := v.Shown.Hold
		text := fmt.Sprintf("⏸️ Held until %s by %s", moment(v.Shown.HeldUntil), by(h.By))
		if h.Reason != "" {
			text += ": " + flat(h.Reason, maxReason)
		}
		return text + ". " + override(s)
	case !v.Shown.StartAfter.IsZero():
		return fmt.Sprintf("⏱️ Starts %s. To stop it: %s", moment(v.Shown.StartAfter), grammar.Code("/slipway cancel "+v.Short))
	}
	return ""
}

// override is the exact command that starts a job in spite of a hold.
func override(s *run.State) string {
	release := command("/slipway release " + s.Namespace + "/" + s.Job)
	if s.Said == "" {
		return "To start it now, end the hold: " + release
	}
	return "To start it now: " + command("/slipway "+s.Namespace+" "+s.Said+" --despite-hold REASON") + ". To end the hold: " + release
}

// command is something to type, literally.
func command(text string) string {
	return "`" + grammar.Escape(marks.Replace(cut(text, maxSaid))) + "`"
}

// moment is a date and time in the reader's own zone.
func moment(t time.Time) string {
	return fmt.Sprintf("<!date^%d^{date_short_pretty} {time}|%s>", t.Unix(), t.UTC().Format("2006-01-02 15:04 UTC"))
}

// mergedWord is the headline of a run that another executes for.
func (v View) mergedWord() string {
	word := statusWords[run.Merged]
	if v.Leader == nil {
		return word
	}
	return word + " into " + v.Leader.Short + ": " + statusWords[v.Leader.Status]
}

// StartNotice is the line for the channel that is told of every start. link is
// the card's address, if it has one.
func StartNotice(v View, link string) Message {
	s := &v.Story.State
	text := "▶️ About to start "
	if s.Status.Ended() {
		text = "▶️ Started at " + clock(s.Started) + ": "
	}
	text += job(s) + " " + grammar.Code(v.Short)
	if args := arguments(s); args != "" {
		text += " with " + args
	}
	text += ", asked by " + asker(s)
	if link != "" {
		text += " (" + linked(link, "card") + ")"
	}
	return Message{Text: text}
}

// HeldNotice says that a run which nobody watches is held, and what overrides it.
func HeldNotice(v View) Message {
	s := &v.Story.State
	return Message{Text: fmt.Sprintf("%s %s, asked by %s, is queued. %s", job(s), grammar.Code(v.Short), asker(s), v.waits())}
}

// SourceNotice says that a job works with the last good copy of its source.
func SourceNotice(v View) Message {
	s := &v.Story.State
	text := fmt.Sprintf("⚠️ The source of %s %s could not be fetched, so its last good copy is used", job(s), grammar.Code(v.Short))
	if s.Commit != "" {
		text += " (" + grammar.Code(builtFrom(s.Commit)) + ")"
	}
	return Message{Text: text + ": " + flat(s.Stale, maxReason)}
}
