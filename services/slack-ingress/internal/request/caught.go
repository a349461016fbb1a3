package request

import (
	"encoding/json"
	"slices"
	"strings"
	"time"

	"github.com/slipway-hq/slipway/domain/listen"
	commandv1 "github.com/slipway-hq/slipway/gen/slipway/command/v1"
	eventv1 "github.com/slipway-hq/slipway/gen/slipway/event/v1"
)

// Post is something in a channel that listeners may wait for: a message of a
// person or a bot, its edit, or its removal. It never holds one of our own.
type Post struct {
	// Message is compared with what listeners wait for. Its texts are never stored.
	Message listen.Message
	// Channel where it is.
	Channel string
	Reply   Reply

	team, author, authorTeam string
	ts, thread, stamp        string // stamp tells edits and the removal apart
	received                 time.Time
}

const removed = "message_deleted"

// posted is what matters of a message beside its text.
type posted struct {
	message
	Attachments []attachment `json:"attachments"`
}

type attachment struct {
	Title    string `json:"title"`
	Pretext  string `json:"pretext"`
	Text     string `json:"text"`
	Fallback string `json:"fallback"`
}

// alteration is what matters of an edit or a removal.
type alteration struct {
	Message  posted `json:"message"`
	Previous posted `json:"previous_message"`
	TS       string `json:"deleted_ts"`
}

// stampOf is when and by whom a message was edited.
type stampOf struct {
	User string `json:"user"`
	TS   string `json:"ts"`
}

// Posted reads an Events API delivery for listeners. It is false for whatever is no
// message in a channel: private talks are for commands alone, and what is said to
// us by our name is a command wherever it is said.
func Posted(body []byte, received time.Time) (Post, bool) {
	var e eventEnvelope
	var m posted
	if json.Unmarshal(body, &e) != nil || e.Type != "event_callback" || json.Unmarshal(e.Event, &m) != nil || m.Type != typeMessage {
		return Post{}, false
	}
	p := Post{Channel: m.Channel, received: received}
	kind := m.ChannelType
	if m.Subtype == changed || m.Subtype == removed {
		var a alteration
		if json.Unmarshal(e.Event, &a) != nil || !p.altered(m.Subtype, a) {
			return Post{}, false
		}
		if m = a.Message; p.Message.Deleted {
			m = a.Previous
		}
	}
	if m.Subtype != botMessage && !slices.Contains(written, m.Subtype) || kind == channelIM || kind == channelGroupIM {
		return Post{}, false
	}
	return p.of(e, m)
}

// altered reads an edit or a removal. What Slack itself changes, such as the
// preview of a link, is none.
func (p *Post) altered(subtype string, a alteration) bool {
	if subtype == removed {
		p.Message.Deleted, p.stamp = true, "deleted"
		return a.TS != "" && a.Previous.TS == a.TS
	}
	var by stampOf
	if json.Unmarshal(a.Message.Edited, &by) != nil || by.TS == "" {
		return false
	}
	before := stampOf{}
	_ = json.Unmarshal(a.Previous.Edited, &before) // without one it was not edited before
	p.Message.Edited, p.stamp = true, by.TS
	return before.TS != by.TS
}

// of completes a post with what the message holds; false: it is ours, or incomplete.
func (p Post) of(e eventEnvelope, m posted) (Post, bool) {
	p.team, p.author, p.authorTeam = workspace(e), m.User, userTeam(e, m.message)
	p.ts, p.thread = m.TS, m.ThreadTS
	p.Message.Text, p.Message.Bot, p.Message.App = m.Text, m.BotID, m.AppID
	bot := m.BotID != "" || m.AppID != ""
	switch {
	case slices.Contains(ours(e), m.User), m.AppID != "" && m.AppID == e.AppID, m.User == slackbot, m.BotID == slackbotBot:
		return Post{}, false
	case m.User == "" && !bot, p.Channel == "", m.TS == "", p.team == "":
		return Post{}, false
	case slices.ContainsFunc(known(e), func(us string) bool { return strings.Contains(m.Text, "<@"+us) }):
		return Post{}, false
	}
	for _, a := range m.Attachments {
		for _, text := range []string{a.Title, a.Pretext, a.Text, a.Fallback} {
			if text != "" {
				p.Message.Attachments = append(p.Message.Attachments, text)
			}
		}
	}
	p.Reply = Reply{Channel: p.Channel, User: m.User, Thread: m.ThreadTS, AskedIn: m.ThreadTS}
	return p, true
}

// Bot tells whether no person posted it.
func (p Post) Bot() bool { return p.Message.Bot != "" || p.Message.App != "" }

// For is what may be stored for a listener, and which parts of its match were found.
func (p Post) For(l listen.Listener, parts map[string]string, attachment bool) *commandv1.Envelope {
	identity := []string{"listen", p.team, p.Channel, p.ts}
	if p.stamp != "" {
		identity = append(identity, p.stamp)
	}
	env := envelope(p.received, append(identity, l.Called())...)
	env.Origin = &eventv1.Origin{
		Door: eventv1.Origin_DOOR_LISTEN, Team: clean(p.team), Channel: clean(p.Channel), ThreadTs: clean(p.thread), MessageTs: clean(p.ts), Source: l.Called(),
	}
	if p.Message.Deleted {
		env.Origin.MessageTs = "" // nothing is left to react on
	}
	env.Principal = principal(p.authorTeam, p.author)
	caught := &commandv1.Caught{
		Namespace: l.Namespace, Listener: l.Name, Match: l.Match, Parts: map[string]string{}, Edited: p.Message.Edited, Deleted: p.Message.Deleted, Attachment: attachment,
	}
	for name, value := range parts {
		caught.Parts[name] = clean(value)
	}
	if p.Bot() {
		caught.Bot, caught.App = clean(p.Message.Bot), clean(p.Message.App)
		env.Origin.Bot = firstOf(caught.GetBot(), caught.GetApp())
		env.Principal = &eventv1.Principal{Kind: eventv1.Principal_KIND_SYSTEM, Team: clean(p.team), Name: "bot:" + env.GetOrigin().GetBot()}
	}
	env.Body = &commandv1.Envelope_Caught{Caught: caught}
	return env
}
