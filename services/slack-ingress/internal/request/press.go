package request

import (
	"time"

	"github.com/slipway-hq/slipway/domain/grammar"
	commandv1 "github.com/slipway-hq/slipway/gen/slipway/command/v1"
	eventv1 "github.com/slipway-hq/slipway/gen/slipway/event/v1"
)

// interaction is what matters of an interactive payload.
type interaction struct {
	Type string `json:"type"`
	Team struct {
		ID string `json:"id"`
	} `json:"team"`
	Enterprise struct {
		ID string `json:"id"`
	} `json:"enterprise"`
	User struct {
		ID   string `json:"id"`
		Team string `json:"team_id"`
	} `json:"user"`
	Container struct {
		MessageTS string `json:"message_ts"`
		Channel   string `json:"channel_id"`
		Ephemeral bool   `json:"is_ephemeral"`
		ThreadTS  string `json:"thread_ts"`
	} `json:"container"`
	Channel struct {
		ID string `json:"id"`
	} `json:"channel"`
	Message struct {
		ThreadTS string `json:"thread_ts"`
	} `json:"message"`
	ResponseURL string   `json:"response_url"`
	Actions     []action `json:"actions"`
}

type action struct {
	ID    string `json:"action_id"`
	Value string `json:"value"`
	TS    string `json:"action_ts"`
}

// DecodeInteraction reads an interactive payload, from the form field of that
// name or from a Socket Mode envelope. Only our own buttons mean something.
func DecodeInteraction(payload []byte, received time.Time) (Delivery, error) {
	var in interaction
	ok, err := decodeJSON(payload, &in)
	switch {
	case err != nil:
		return Delivery{}, err
	case in.Type == "block_suggestion":
		return Delivery{Suggestion: true}, nil
	case !ok:
		return ignored("unreadable_interaction"), nil
	case in.Type != "block_actions":
		return ignored("other_interaction"), nil
	}
	for _, a := range in.Actions {
		if req := pressOf(in, a, received); req != nil {
			return Delivery{Request: req}, nil
		}
	}
	return ignored("other_button"), nil
}

func pressOf(in interaction, a action, received time.Time) *Request {
	team := firstOf(in.Team.ID, in.Enterprise.ID)
	channel := firstOf(in.Channel.ID, in.Container.Channel)
	if team == "" || in.User.ID == "" || a.TS == "" {
		return nil
	}
	env := envelope(received, string(Press), team, channel, in.Container.MessageTS, a.ID, a.TS, in.User.ID)
	if !meaning(env, a) {
		return nil
	}
	thread := firstOf(in.Container.ThreadTS, in.Message.ThreadTS)
	env.Principal = principal(firstOf(in.User.Team, team), in.User.ID)
	env.Origin = &eventv1.Origin{
		Door: eventv1.Origin_DOOR_BUTTON, Team: clean(team), Channel: clean(channel), ThreadTs: clean(thread),
	}
	reply := Reply{ResponseURL: in.ResponseURL, Channel: channel, User: in.User.ID, AskedIn: thread}
	if !in.Container.Ephemeral {
		// A public word belongs under the card that was pressed.
		reply.Thread = firstOf(thread, in.Container.MessageTS)
	}
	return &Request{Kind: Press, Envelope: env, Reply: reply}
}

// meaning fills the body of env, and is false for a button that is not ours.
func meaning(env *commandv1.Envelope, a action) bool {
	if text, ok := grammar.DecodeChoice(a.ID, a.Value); ok {
		env.Body = sentence(CommandSlipway, text)
		return true
	}
	p, ok := grammar.DecodePress(a.ID, a.Value)
	if ok {
		env.Body = &commandv1.Envelope_Press{Press: &commandv1.Press{
			Action: clean(p.Action), Run: clean(p.Run), Sequence: p.Sequence, Value: clean(p.Extra),
		}}
	}
	return ok
}
