package request

import (
	"encoding/json"
	"slices"
	"strings"
	"time"

	eventv1 "github.com/slipway-hq/slipway/gen/slipway/event/v1"
)

// eventEnvelope is what matters of an Events API delivery.
type eventEnvelope struct {
	Type           string          `json:"type"`
	Challenge      string          `json:"challenge"`
	Team           string          `json:"team_id"`
	AppID          string          `json:"api_app_id"`
	Shared         bool            `json:"is_ext_shared_channel"`
	Event          json.RawMessage `json:"event"`
	Authorizations []struct {
		Team string `json:"team_id"`
		User string `json:"user_id"`
		Bot  bool   `json:"is_bot"`
	} `json:"authorizations"`
	// AuthedUsers is the old way to say for whom the event is.
	AuthedUsers []string `json:"authed_users"`
}

// message is what matters of a message or an app_mention.
type message struct {
	Type        string          `json:"type"`
	Subtype     string          `json:"subtype"`
	User        string          `json:"user"`
	Text        string          `json:"text"`
	TS          string          `json:"ts"`
	ThreadTS    string          `json:"thread_ts"`
	Channel     string          `json:"channel"`
	ChannelType string          `json:"channel_type"`
	Team        string          `json:"team"`
	UserTeam    string          `json:"user_team"`
	SourceTeam  string          `json:"source_team"`
	BotID       string          `json:"bot_id"`
	AppID       string          `json:"app_id"`
	Edited      json.RawMessage `json:"edited"`
}

const (
	typeMention = "app_mention"
	typeMessage = "message"
	// fileShare is the one subtype that a person types: a text beside a file.
	// Every other is dropped, for edits and broadcasts have been used to slip
	// commands past checks.
	fileShare   = "file_share"
	channelIM   = "im"
	slackbot    = "USLACKBOT"
	nullLiteral = "null"
)

// DecodeEvent reads an Events API delivery, from HTTP or from the payload of a
// Socket Mode envelope.
func DecodeEvent(body []byte, received time.Time) (Delivery, error) {
	var e eventEnvelope
	ok, err := decodeJSON(body, &e)
	switch {
	case err != nil:
		return Delivery{}, err
	case !ok:
		return ignored("unreadable_event"), nil
	case e.Type == "url_verification" && e.Challenge != "":
		return Delivery{Challenge: e.Challenge}, nil
	case e.Type != "event_callback":
		return ignored("other_delivery"), nil
	case len(e.Event) == 0 || string(e.Event) == nullLiteral:
		return ignored("null_event"), nil
	}
	var m message
	if json.Unmarshal(e.Event, &m) != nil {
		return ignored("unreadable_event"), nil
	}
	return decodeMessage(e, m, received), nil
}

func decodeMessage(e eventEnvelope, m message, received time.Time) Delivery {
	if why := unwanted(e, m); why != "" {
		return ignored(why)
	}
	team := workspace(e)
	text, addressed := addressee(e, m)
	if !addressed {
		return ignored("not_for_us")
	}
	// One mention comes as app_mention and as message, with one ts and two
	// event ids: the ts is the identity.
	env := envelope(received, "message", team, m.Channel, m.TS)
	env.Principal = principal(userTeam(e, m), m.User)
	env.Origin = &eventv1.Origin{
		Door: eventv1.Origin_DOOR_MENTION, Team: clean(team), Channel: clean(m.Channel),
		ThreadTs: clean(m.ThreadTS), MessageTs: clean(m.TS),
	}
	env.Body = sentence(CommandMention, text)
	return Delivery{Request: &Request{
		Kind:     Mention,
		Envelope: env,
		Reply:    Reply{Channel: m.Channel, User: m.User, Thread: firstOf(m.ThreadTS, m.TS), AskedIn: m.ThreadTS},
	}}
}

// unwanted says in one word why a message starts nothing, or nothing.
func unwanted(e eventEnvelope, m message) string {
	switch {
	case m.Type != typeMention && m.Type != typeMessage:
		return "other_event"
	case m.Subtype != "" && m.Subtype != fileShare:
		return "subtype"
	case len(m.Edited) > 0 && string(m.Edited) != nullLiteral:
		return "edited"
	case m.BotID != "" || m.AppID != "" || m.User == slackbot || slices.Contains(ours(e), m.User):
		return "bot_message"
	case m.User == "" || m.Channel == "" || m.TS == "" || workspace(e) == "":
		return "incomplete_event"
	default:
		return ""
	}
}

// ours are the users that Slack delivers the event to: our own bot user.
func ours(e eventEnvelope) []string {
	var users []string
	for _, a := range e.Authorizations {
		if a.Bot && a.User != "" {
			users = append(users, a.User)
		}
	}
	return users
}

// workspace is where we are installed. In a shared channel team_id can be the
// other side's, the authorization never is.
func workspace(e eventEnvelope) string {
	if len(e.Authorizations) > 0 && e.Authorizations[0].Team != "" {
		return e.Authorizations[0].Team
	}
	return e.Team
}

// userTeam is the person's own team. In a channel shared with strangers an
// unnamed team is left empty, so that policy takes the person for a stranger.
func userTeam(e eventEnvelope, m message) string {
	named := firstOf(m.UserTeam, m.SourceTeam, m.Team)
	if named != "" || e.Shared {
		return named
	}
	return workspace(e)
}

// addressee returns the sentence behind our name, and whether it is for us at
// all: an app_mention always is, a direct message too, any other message only
// when it begins with our name.
func addressee(e eventEnvelope, m message) (string, bool) {
	user, rest, named := leadingMention(m.Text)
	us := ours(e)
	if len(us) == 0 {
		us = e.AuthedUsers
	}
	switch {
	case named && slices.Contains(us, user):
		return rest, true
	case m.Type == typeMention && named && len(us) == 0:
		return rest, true
	case m.Type == typeMention || m.ChannelType == channelIM:
		return strings.TrimSpace(m.Text), true
	default:
		return "", false
	}
}

// leadingMention splits "<@U1> rest" and "<@U1|name> rest".
func leadingMention(text string) (user, rest string, ok bool) {
	text, ok = strings.CutPrefix(strings.TrimSpace(text), "<@")
	if !ok {
		return "", "", false
	}
	user, rest, ok = strings.Cut(text, ">")
	user, _, _ = strings.Cut(user, "|")
	return user, strings.TrimSpace(rest), ok
}
