package listen

import (
	"maps"
	"regexp"
	"slices"
	"strings"

	"github.com/slipway-hq/slipway/domain/pipeline"
)

// MaxHeard is the longest text that is looked at, in bytes: what Slack takes.
const MaxHeard = 40_000

// Message is one in a channel, as far as listeners care.
type Message struct {
	Text string
	// Attachments are the texts of its attachments, each by itself.
	Attachments []string
	// Bot and App are the ids of who posted it; both empty: a person.
	Bot, App        string
	Edited, Deleted bool
}

// Listener is one of a configuration.
type Listener struct {
	Namespace, Name string
	pipeline.Listener
	match *regexp.Regexp
}

// Called is "NAMESPACE/NAME".
func (l Listener) Called() string { return l.Namespace + "/" + l.Name }

// Ears are all listeners of a configuration, in order.
func Ears(c pipeline.Config) []Listener {
	var out []Listener
	for _, namespace := range slices.Sorted(maps.Keys(c.Namespaces)) {
		for _, name := range slices.Sorted(maps.Keys(c.Namespaces[namespace].Listen)) {
			l := Listener{Namespace: namespace, Name: name, Listener: c.Namespaces[namespace].Listen[name]}
			if re, err := pipeline.ListenMatch(l.Match); err == nil { // Check has found that it is none
				l.match = re
				out = append(out, l)
			}
		}
	}
	return out
}

// Allows tells whether a listener takes messages of this kind at all, whatever
// they say.
func Allows(l pipeline.Listener, m Message) bool {
	if m.Edited && !l.Edits || m.Deleted != l.Deletes {
		return false
	}
	if m.Bot == "" && m.App == "" {
		return l.From.AcceptsPeople()
	}
	named := func(id string) bool { return id != "" && slices.Contains(l.From.Bots, id) }
	return named(m.Bot) || named(m.App)
}

// Hear tells whether the message is one that the listener waits for, and what the
// named parts of the match hold; attachment: by the text of an attachment.
func (l Listener) Hear(m Message) (parts map[string]string, attachment, ok bool) {
	if !Allows(l.Listener, m) {
		return nil, false, false
	}
	if parts, ok := l.fits(m.Text); ok {
		return parts, false, true
	}
	if l.Attachments {
		for _, text := range m.Attachments {
			if parts, ok := l.fits(text); ok {
				return parts, true, true
			}
		}
	}
	return nil, false, false
}

// entities are what Slack writes in texts for the three characters of its own
// markup.
var entities = strings.NewReplacer("&amp;", "&", "&lt;", "<", "&gt;", ">")

func (l Listener) fits(text string) (map[string]string, bool) {
	if len(text) > MaxHeard {
		return nil, false
	}
	found := l.match.FindStringSubmatch(entities.Replace(strings.TrimSpace(text)))
	if found == nil {
		return nil, false
	}
	parts := map[string]string{}
	for i, name := range l.match.SubexpNames() {
		if name != "" && found[i] != "" {
			parts[name] = found[i]
		}
	}
	return parts, true
}
