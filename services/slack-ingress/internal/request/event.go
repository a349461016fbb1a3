package request

import (
	"encoding/json"
	"slices"
	"strings"
	"time"

	"github.com/slipway-hq/slipway/domain/grammar"
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
	typePerson  = "user_change"
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
	if person := changedPerson(e.Event); person != "" {
		return Delivery{Person: person}, nil
	}
	var m message
	if json.Unmarshal(e.Event, &m) != nil {
		return ignored("unreadable_event"), nil
	}
	return decodeMessage(e, m, received), nil
}

// changedPerson is the id of whom a user_change is about; empty for any other event.
func changedPerson(event []byte) string {
	var c struct {
		Type string `json:"type"`
		User struct {
			ID string `json:"id"`
		} `json:"user"`
	}
	if json.Unmarshal(event, &c) != nil || c.Type != typePerson {
		return ""
	}
	return clean(c.User.ID)
}

func decodeMessage(e eventEnvelope, m message, received time.Time) Delivery {
	if text, ok := reminder(e, m); ok {
		return Delivery{Request: remembered(e, m, text, received)}
	}
	if why := unwanted(e, m); why != "" {
		return ignored(why)
	}
	text, addressed := addressee(e, m)
	if !addressed {
		return ignored("not_for_us")
	}
	return Delivery{Request: asked(e, m, text, received)}
}

// asked is the request that a person's message makes.
func asked(e eventEnvelope, m message, text string, received time.Time) *Request {
	team := workspace(e)
	// One mention comes as app_mention and as message, with one ts and two
	// event ids: the ts is the identity.
	env := envelope(received, "message", team, m.Channel, m.TS)
	env.Principal = principal(userTeam(e, m), m.User)
	env.Origin = &eventv1.Origin{
		Door: eventv1.Origin_DOOR_MENTION, Team: clean(team), Channel: clean(m.Channel),
		ThreadTs: clean(m.ThreadTS), MessageTs: clean(m.TS),
	}
	env.Body = sentence(CommandMention, text)
	return &Request{
		Kind:     Mention,
		Envelope: env,
		Reply:    Reply{Channel: m.Channel, User: m.User, Thread: firstOf(m.ThreadTS, m.TS), AskedIn: m.ThreadTS},
	}
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
// when it begins with our name. What stands before our last name is dropped,
// lines included; mentions of others stay, for they may be arguments.
func addressee(e eventEnvelope, m message) (string, bool) {
	us := known(e)
	user, rest, named := leadingMention(m.Text)
	behind, mentioned := grammar.AfterMention(m.Text, us...)
	switch {
	case named && slices.Contains(us, user), mentioned && m.Type == typeMention, mentioned && m.ChannelType == channelIM:
		return strings.TrimSpace(behind), true
	case m.Type == typeMention && named && len(us) == 0:
		return rest, true
	case m.Type == typeMention || m.ChannelType == channelIM:
		return strings.TrimSpace(m.Text), true
	default:
		return "", false
	}
}

// known are our own users, as far as the event says.
func known(e eventEnvelope) []string {
	if us := ours(e); len(us) > 0 {
		return us
	}
	return e.AuthedUsers
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
