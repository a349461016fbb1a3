package world

import (
	"context"
	"encoding/json"
	"regexp"
	"strings"
	"time"

	"github.com/slipway-hq/slipway/sandbox"
)

// channels are where cards can be.
var channels = []string{
	sandbox.ChannelDeploys, sandbox.ChannelGeneral, sandbox.ChannelPrivate, sandbox.ChannelShared,
	sandbox.DM(sandbox.UserRequester), sandbox.DM(sandbox.UserApprover),
}

// Message is a message in Slack.
type Message = sandbox.Message

// Mark is the metadata of one of our messages.
type Mark struct{ Run, Milestone string }

// MarkOf reads the metadata of a message; zero when it is not one of ours.
func MarkOf(m sandbox.Message) Mark {
	var data struct {
		Type    string `json:"event_type"`
		Payload Mark   `json:"event_payload"`
	}
	if json.Unmarshal(m.Metadata, &data) != nil || data.Type != "slipway_card" {
		return Mark{}
	}
	return data.Payload
}

// Cards are all cards of a run, wherever they are.
func (w *World) Cards(run string) []sandbox.Message {
	var out []sandbox.Message
	for _, channel := range channels {
		for _, m := range w.Slack.AllMessages(channel) {
			if MarkOf(m) == (Mark{Run: run, Milestone: "card"}) {
				out = append(out, m)
			}
		}
	}
	return out
}

// Card waits until the card of a run shows a text, and returns it.
func (w *World) Card(run, text string) sandbox.Message {
	w.T.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), Patience)
	defer cancel()
	var card sandbox.Message
	err := w.Slack.Wait(ctx, func(sandbox.State) bool {
		for _, m := range w.Cards(run) {
			if strings.Contains(m.Visible(), text) {
				card = m
				return true
			}
		}
		return false
	})
	if err != nil {
		w.T.Fatalf("no card of %s shows %q; there are %v", run, text, visible(w.Cards(run)))
	}
	return card
}

// Reply waits for a reply in the thread of a card that has a text.
func (w *World) Reply(card sandbox.Message, text string) sandbox.Message {
	w.T.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), Patience)
	defer cancel()
	var reply sandbox.Message
	err := w.Slack.Wait(ctx, func(s sandbox.State) bool {
		for _, m := range s.Thread(card.Channel, card.TS) {
			if m.TS != card.TS && strings.Contains(m.Visible(), text) {
				reply = m
				return true
			}
		}
		return false
	})
	if err != nil {
		w.T.Fatalf("no reply has %q; the thread is %q", text, visible(w.Slack.Thread(card.Channel, card.TS)))
	}
	return reply
}

// Private waits for words that one person alone sees.
func (w *World) Private(user, channel, text string) sandbox.Message {
	w.T.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), Patience)
	defer cancel()
	var found sandbox.Message
	err := w.Slack.Wait(ctx, func(s sandbox.State) bool {
		for _, m := range s.Ephemerals(user, channel) {
			if strings.Contains(m.Visible(), text) {
				found = m
				return true
			}
		}
		return false
	})
	if err != nil {
		w.T.Fatalf("%s never saw %q in %s, but %q", user, text, channel, visible(w.Slack.Ephemerals(user, channel)))
	}
	return found
}

// Reacted waits for the bot's reaction on a message.
func (w *World) Reacted(channel, ts, name string) {
	w.T.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), Patience)
	defer cancel()
	if err := w.Slack.Wait(ctx, func(s sandbox.State) bool { return len(s.Reactions(channel, ts)[name]) > 0 }); err != nil {
		w.T.Fatalf("no :%s: but %v", name, w.Slack.Reactions(channel, ts))
	}
}

func visible(messages []sandbox.Message) []string {
	var out []string
	for _, m := range messages {
		out = append(out, m.Visible())
	}
	return out
}

// SlackAnswer is Slack's three seconds.
const SlackAnswer = 3 * time.Second

// Command types a slash command as the requester in the channel of deployments
// and checks that it was acknowledged in time.
func (w *World) Command(command, text string) sandbox.Delivery {
	w.T.Helper()
	return w.CommandAs(sandbox.UserRequester, command, text)
}

// CommandAs is Command as somebody else.
func (w *World) CommandAs(user, command, text string) sandbox.Delivery {
	w.T.Helper()
	return w.command(user, sandbox.ChannelDeploys, command, text)
}

func (w *World) command(user, channel, command, text string) sandbox.Delivery {
	w.T.Helper()
	d, err := w.Slack.SlashCommand(context.Background(), user, channel, command, text)
	if err != nil {
		w.T.Fatal(err)
	}
	if !d.OK() || d.Ack > SlackAnswer {
		w.T.Fatalf("%s %s was answered %d after %s: %s", command, text, d.Status, d.Ack, d.Err)
	}
	return d
}

var idPattern = regexp.MustCompile(`\b[dj]-[a-z2-7]{5,}`)

// IDIn is the first run id in a text; empty without one.
func IDIn(text string) string { return idPattern.FindString(text) }

// notAccepted is what a person reads when nothing was stored and trying again
// is right.
const notAccepted = "*not accepted*"

// Ask deploys by slash command and returns the full id of the run. It tries
// again, as a person does, when told that nothing was accepted.
func (w *World) Ask(text string) string {
	w.T.Helper()
	return w.AskIn(sandbox.ChannelDeploys, text)
}

// Rooms are where the requester may ask. A channel takes one message a second,
// so that many runs show sooner in several.
var Rooms = []string{sandbox.ChannelDeploys, sandbox.ChannelGeneral, sandbox.ChannelPrivate, sandbox.DM(sandbox.UserRequester)}

// AskIn is Ask in a channel.
func (w *World) AskIn(channel, text string) string {
	w.T.Helper()
	var answer string
	w.Eventually("/deploy "+text+" to be accepted", func() bool {
		answer = w.command(sandbox.UserRequester, channel, "/deploy", text).Body
		return !strings.Contains(answer, notAccepted)
	})
	id := IDIn(answer)
	if id == "" {
		w.T.Fatalf("/deploy %s was answered: %s", text, answer)
	}
	return w.Get(id).GetId()
}

// Words is the text of the answer to a slash command, and whether the whole
// channel sees it.
func (w *World) Words(d sandbox.Delivery) (text string, public bool) {
	w.T.Helper()
	var body struct {
		Text string `json:"text"`
		Type string `json:"response_type"`
	}
	if err := json.Unmarshal([]byte(d.Body), &body); err != nil {
		w.T.Fatalf("the answer is no message: %s", d.Body)
	}
	return body.Text, body.Type == "in_channel"
}
