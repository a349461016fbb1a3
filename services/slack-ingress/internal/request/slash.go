package request

import (
	"net/url"
	"time"

	eventv1 "github.com/slipway-hq/slipway/gen/slipway/event/v1"
)

// slash is what matters of a slash command. The rest, the verification token
// among it, is never read.
type slash struct {
	Team        string `json:"team_id"`
	Enterprise  string `json:"enterprise_id"`
	Channel     string `json:"channel_id"`
	User        string `json:"user_id"`
	Command     string `json:"command"`
	Text        string `json:"text"`
	ResponseURL string `json:"response_url"`
	TriggerID   string `json:"trigger_id"`
}

func slashOf(form url.Values) slash {
	return slash{
		Team: form.Get("team_id"), Enterprise: form.Get("enterprise_id"), Channel: form.Get("channel_id"),
		User: form.Get("user_id"), Command: form.Get("command"), Text: form.Get("text"),
		ResponseURL: form.Get("response_url"), TriggerID: form.Get("trigger_id"),
	}
}

// DecodeSlash reads a slash command from the payload of a Socket Mode envelope.
func DecodeSlash(payload []byte, names Names, received time.Time) (Delivery, error) {
	var s slash
	ok, err := decodeJSON(payload, &s)
	if err != nil || !ok {
		return Delivery{}, ErrMalformed
	}
	return decodeSlash(s, names, received)
}

// decodeSlash makes the request. Its identity is the trigger id, which Slack
// makes afresh for each press of the enter key; only its hash is kept.
func decodeSlash(s slash, names Names, received time.Time) (Delivery, error) {
	team := firstOf(s.Team, s.Enterprise)
	if team == "" || s.User == "" || s.TriggerID == "" || s.Command == "" {
		return Delivery{}, ErrMalformed
	}
	command, known := names[s.Command]
	if !known {
		return ignored(UnknownCommand), nil
	}
	env := envelope(received, string(Slash), team, digest(s.TriggerID))
	env.Principal = principal(team, s.User)
	env.Origin = &eventv1.Origin{Door: eventv1.Origin_DOOR_SLASH_COMMAND, Team: clean(team), Channel: clean(s.Channel)}
	env.Body = sentence(command, s.Text)
	return Delivery{Request: &Request{
		Kind:     Slash,
		Envelope: env,
		Reply:    Reply{ResponseURL: s.ResponseURL, Channel: s.Channel, User: s.User},
	}}, nil
}

// UnknownCommand is why a slash command that is not ours is Ignored.
const UnknownCommand = "unknown_command"
