package card

import (
	"fmt"

	eventv1 "github.com/slipway-hq/slipway/gen/slipway/event/v1"
)

// Relay is the message that passes another on: its address, which Slack unfolds.
// Without one it says where to look.
func Relay(m *eventv1.MessageRelayed, link string) Message {
	if link != "" {
		return Message{Text: link, Unfurl: true}
	}
	who := "Somebody"
	if by := mention(m.GetUser()); by != "" {
		who = by
	}
	return Message{Text: fmt.Sprintf("%s asks for help in %s.", who, Place(m.GetChannel()))}
}

// Away says that nobody is there to answer.
func Away(m *eventv1.MessageRelayed) Message {
	return Message{Text: live(cut(m.GetAwayNotice(), maxReport/2))}
}
