package request

import (
	"encoding/json"
	"slices"
	"time"

	commandv1 "github.com/slipway-hq/slipway/gen/slipway/command/v1"
	eventv1 "github.com/slipway-hq/slipway/gen/slipway/event/v1"
)

// Heard is a message that a person wrote or edited, whomever it is for, or a
// channel that somebody made.
type Heard struct {
	// Envelope is what may be stored, without the relays that it concerns.
	Envelope *commandv1.Envelope
	Reply    Reply
	// Text is looked at for keywords, and never stored.
	Text string
	// Channel where it was written.
	Channel string
	// Direct: in private, to us.
	Direct bool
	// Created is the id of a channel that was made; then all else is empty.
	Created string
}

// The subtypes of a message that a person writes, and the one of an edit.
var (
	written = []string{"", fileShare, "thread_broadcast", "me_message"}
	changed = "message_changed"
)

const (
	typeChannelCreated = "channel_created"
	channelGroupIM     = "mpim"
)

// change is what matters of an edit.
type change struct {
	Message message `json:"message"`
}

// Overhear reads an Events API delivery for relays. It is false for whatever is
// no message of a person's: then there is nothing to hear.
func Overhear(body []byte, received time.Time) (Heard, bool) {
	var e eventEnvelope
	if json.Unmarshal(body, &e) != nil || e.Type != "event_callback" || len(e.Event) == 0 {
		return Heard{}, false
	}
	var kind struct {
		Type string `json:"type"`
	}
	if json.Unmarshal(e.Event, &kind) != nil {
		return Heard{}, false
	}
	if kind.Type == typeChannelCreated {
		return created(e)
	}
	var m message
	if json.Unmarshal(e.Event, &m) != nil || (m.Type != typeMessage && m.Type != typeMention) {
		return Heard{}, false
	}
	if m.Subtype == changed && !edit(e, &m) {
		return Heard{}, false
	}
	return heard(e, m, received)
}

func created(e eventEnvelope) (Heard, bool) {
	var c struct {
		Channel struct {
			ID string `json:"id"`
		} `json:"channel"`
	}
	ok := json.Unmarshal(e.Event, &c) == nil && c.Channel.ID != ""
	return Heard{Created: c.Channel.ID}, ok
}

// edit replaces an edit by the message as it is now. Slack also reports a
// preview of a link as a change, which no person made.
func edit(e eventEnvelope, m *message) bool {
	var c change
	if json.Unmarshal(e.Event, &c) != nil {
		return false
	}
	now := c.Message
	if len(now.Edited) == 0 || string(now.Edited) == nullLiteral {
		return false
	}
	now.Channel, now.ChannelType = m.Channel, m.ChannelType
	*m = now
	return true
}

func heard(e eventEnvelope, m message, received time.Time) (Heard, bool) {
	switch {
	case !slices.Contains(written, m.Subtype), m.ChannelType == channelGroupIM:
		return Heard{}, false
	case m.BotID != "" || m.AppID != "" || m.User == slackbot || slices.Contains(ours(e), m.User):
		return Heard{}, false
	case m.User == "" || m.Channel == "" || m.TS == "" || workspace(e) == "":
		return Heard{}, false
	}
	team := workspace(e)
	env := envelope(received, "overheard", team, m.Channel, m.TS)
	env.Principal = principal(userTeam(e, m), m.User)
	env.Origin = &eventv1.Origin{
		Door: eventv1.Origin_DOOR_MENTION, Team: clean(team), Channel: clean(m.Channel), ThreadTs: clean(m.ThreadTS), MessageTs: clean(m.TS),
	}
	direct := m.ChannelType == channelIM
	env.Body = &commandv1.Envelope_Overheard{Overheard: &commandv1.Overheard{Direct: direct}}
	return Heard{
		Envelope: env, Text: m.Text, Channel: m.Channel, Direct: direct,
		Reply: Reply{Channel: m.Channel, User: m.User, Thread: m.ThreadTS, AskedIn: m.ThreadTS},
	}, true
}
