package ingress

import (
	"cmp"
	"context"
	"maps"
	"net/http"
	"slices"
	"strings"

	"github.com/slipway-hq/slipway/domain/pipeline"
	"github.com/slipway-hq/slipway/domain/relay"
	commandv1 "github.com/slipway-hq/slipway/gen/slipway/command/v1"
	"github.com/slipway-hq/slipway/services/slack-ingress/internal/request"
)

// kindOverheard is the subject token of messages for relays in INBOX.
const kindOverheard = "overheard"

// listen looks for relays' keywords in whatever people write, and then does
// what a delivery asks of us. A message that calls for somebody is no command,
// unless each relay that it calls says so.
func (s *Service) listen(ctx context.Context, body []byte, a arrival) response {
	config := s.config.Load()
	if config == nil || (len(config.Relays) == 0 && !config.Slack.JoinChannels) {
		return s.handle(ctx, a)
	}
	heard, ok := request.Overhear(body, a.received)
	if !ok {
		return s.handle(ctx, a)
	}
	if heard.Created != "" {
		s.channels.made(heard.Created)
		return acked("channel_created")
	}
	names, commands := s.called(config.Relays, heard)
	if len(names) == 0 {
		return s.handle(ctx, a)
	}
	if heard.Direct {
		if commands {
			return s.handle(ctx, a)
		}
		return s.refuseCall(heard, config.Relays[names[0]])
	}
	heard.Envelope.GetOverheard().Relays = names
	resp := s.pass(ctx, a, heard)
	if commands && a.delivery.Request != nil && resp.status == http.StatusOK {
		return s.handle(ctx, a)
	}
	return resp
}

// called are the relays that a message calls, sorted; commands is true when it
// may be a command all the same.
func (s *Service) called(relays map[string]pipeline.Relay, heard request.Heard) (names []string, commands bool) {
	commands = true
	for _, name := range slices.Sorted(maps.Keys(relays)) {
		r := relays[name]
		if s.channels.is(r.Channel, heard.Channel) || !relay.Mentions(r.Keywords, heard.Text) {
			continue
		}
		names = append(names, name)
		commands = commands && r.Commands
	}
	return names, commands
}

// pass makes durable that a message is to be passed on. When that is not
// certain, Slack is left to deliver it again.
func (s *Service) pass(ctx context.Context, a arrival, heard request.Heard) response {
	ctx = context.WithoutCancel(ctx)
	s.identify(ctx, a, heard.Envelope)
	first, err := s.submit(ctx, kindOverheard, heard.Envelope)
	switch {
	case err != nil:
		s.log.ErrorContext(ctx, "message for a relay not stored", "error", err)
		return response{status: http.StatusServiceUnavailable, outcome: "unconfirmed"}
	case !first:
		return acked("repeated")
	}
	return acked("overheard")
}

// refuseCall answers a call in private: nobody else would see it there.
func (s *Service) refuseCall(heard request.Heard, r pipeline.Relay) response {
	if s.said.first("refused call|" + heard.Envelope.GetIdentity()) {
		s.teller.Tell(heard.Reply, &commandv1.Answer{
			Visibility: commandv1.Answer_VISIBILITY_PRIVATE, Code: "E-RELAY-DIRECT", Text: cmp.Or(r.DirectRefusal, defaultRefusal(r.Channel)),
		})
	}
	return acked("refused_call")
}

func defaultRefusal(channel string) string {
	where := channel
	if !strings.HasPrefix(channel, "#") {
		where = "<#" + channel + ">"
	}
	return "I pass calls for help on only from channels, where others can see them and help. Please ask again in a channel, or in " + where + "."
}
