package request

import (
	"strings"
	"time"

	"github.com/slipway-hq/slipway/domain/grammar"
	commandv1 "github.com/slipway-hq/slipway/gen/slipway/command/v1"
	eventv1 "github.com/slipway-hq/slipway/gen/slipway/event/v1"
)

const (
	// reminderPrefix begins what /remind posts into a channel.
	reminderPrefix = "Reminder: "
	// slackbotBot is the bot id of Slackbot in every workspace; older posts name
	// it alone, without a user.
	slackbotBot = "B01"
	botMessage  = "bot_message"
)

// reminder returns the sentence behind our name in a post of Slack's reminder
// bot. Only Slack itself can post as that user; a bot that takes its name does
// not get its id.
func reminder(e eventEnvelope, m message) (string, bool) {
	post := m.Type == typeMention || m.Type == typeMessage
	itself := m.User == slackbot || m.User == "" && m.BotID == slackbotBot
	plain := (m.Subtype == "" || m.Subtype == botMessage) && m.AppID == "" && (len(m.Edited) == 0 || string(m.Edited) == nullLiteral)
	if !post || !itself || !plain || m.Channel == "" || m.TS == "" || workspace(e) == "" {
		return "", false
	}
	text, ok := strings.CutPrefix(strings.TrimSpace(m.Text), reminderPrefix)
	if !ok {
		return "", false
	}
	text, ok = grammar.AfterMention(text, known(e)...)
	return strings.TrimSpace(text), ok
}

// remembered is the request of a reminder. Who set it is not known, so its
// standing says what it is, and nobody needs to ask Slack.
func remembered(e eventEnvelope, m message, text string, received time.Time) *Request {
	m.User = slackbot
	req := asked(e, m, text, received)
	req.Envelope.Principal = principal(workspace(e), slackbot)
	req.Envelope.Origin.Door = eventv1.Origin_DOOR_REMINDER
	req.Envelope.Standing = &commandv1.Standing{Known: true, Reminder: true}
	return req
}
