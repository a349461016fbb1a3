package request

import (
	"crypto/sha256"
	"encoding/hex"
	"strings"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	commandv1 "github.com/slipway-hq/slipway/gen/slipway/command/v1"
	eventv1 "github.com/slipway-hq/slipway/gen/slipway/event/v1"
)

// Kind is the sort of delivery a request came as; it is a subject token too.
type Kind string

const (
	// Slash is a slash command: Slack waits for the answer and never repeats it.
	Slash Kind = "slash"
	// Mention is a message to us: Slack repeats it until it is acknowledged.
	Mention Kind = "mention"
	// Press is a button: Slack waits for an empty acknowledgement.
	Press Kind = "press"
)

// Request is one thing that a person asks, verified and normalised.
type Request struct {
	Kind Kind
	// Envelope is what may be stored.
	Envelope *commandv1.Envelope
	// Reply says how to tell the person something. It stays in memory.
	Reply Reply
}

// Reply is where the person who asked can be told something.
type Reply struct {
	// ResponseURL is a secret: who knows it can post.
	ResponseURL string
	Channel     string
	User        string
	// Thread is where a public reply belongs; empty for the channel itself.
	Thread string
	// AskedIn is the thread that the person wrote in; empty for the channel.
	AskedIn string
}

// Delivery is what one delivery from Slack amounts to: exactly one field is set.
type Delivery struct {
	Request *Request
	// Challenge is to be echoed: Slack checks that the URL is ours.
	Challenge string
	// Ignored says, in one stable word, why there is nothing to do. Slack is
	// told 200 all the same.
	Ignored string
	// Suggestion asks for menu options, of which we have none.
	Suggestion bool
	// Person is the user id of somebody whose account changed: what is known of
	// them is not true any more.
	Person string
}

func ignored(why string) Delivery { return Delivery{Ignored: why} }

// envelope begins an Envelope; text of any origin is made valid UTF-8, which
// protobuf insists on.
func envelope(received time.Time, identity ...string) *commandv1.Envelope {
	return &commandv1.Envelope{
		Identity: clean(strings.Join(identity, "|")),
		Received: timestamppb.New(received),
	}
}

func principal(team, user string) *eventv1.Principal {
	return &eventv1.Principal{Kind: eventv1.Principal_KIND_SLACK_USER, Team: clean(team), User: clean(user)}
}

func sentence(command, text string) *commandv1.Envelope_Sentence {
	return &commandv1.Envelope_Sentence{Sentence: &commandv1.Sentence{Command: command, Text: clean(text)}}
}

func clean(text string) string { return strings.ToValidUTF8(text, "\uFFFD") }

// digest replaces a value that must not be stored but tells requests apart.
func digest(secret string) string {
	sum := sha256.Sum256([]byte(secret))
	return hex.EncodeToString(sum[:])
}

func firstOf(texts ...string) string {
	for _, t := range texts {
		if t != "" {
			return t
		}
	}
	return ""
}
