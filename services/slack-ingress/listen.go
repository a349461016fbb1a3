package ingress

import (
	"context"
	"net/http"
	"time"

	"github.com/slipway-hq/slipway/domain/listen"
	commandv1 "github.com/slipway-hq/slipway/gen/slipway/command/v1"
	"github.com/slipway-hq/slipway/services/slack-ingress/internal/inbox"
	"github.com/slipway-hq/slipway/services/slack-ingress/internal/request"
)

// kindCaught is the subject token of messages for listeners in INBOX.
const kindCaught = "caught"

// attend makes durable what listeners wait for, and then does what else a delivery
// asks of us. What is not certain to be stored is left to Slack, which delivers it
// again; the listeners that have it take it once.
func (s *Service) attend(ctx context.Context, body []byte, a arrival) response {
	caught, certain := s.catch(ctx, body, a)
	if !certain {
		return response{status: http.StatusServiceUnavailable, outcome: "unconfirmed"}
	}
	resp := s.listen(ctx, body, a)
	if caught && a.delivery.Ignored != "" && resp.outcome == a.delivery.Ignored {
		resp.outcome = kindCaught
	}
	return resp
}

// catch stores a message for each listener that waits for it. certain is false when
// one of them may not have it.
func (s *Service) catch(ctx context.Context, body []byte, a arrival) (caught, certain bool) {
	ears := s.ears.Load()
	if ears == nil || len(*ears) == 0 || a.delivery.Request != nil {
		return false, true
	}
	post, ok := request.Posted(body, a.received)
	if !ok {
		return false, true
	}
	certain = true
	for _, l := range *ears {
		if !s.within(l, post.Channel) {
			continue
		}
		if parts, attachment, ok := l.Hear(post.Message); ok {
			caught = true
			certain = s.give(context.WithoutCancel(ctx), a, post, post.For(l, parts, attachment)) && certain
		}
	}
	return caught, certain
}

// within tells whether a listener listens in a channel.
func (s *Service) within(l listen.Listener, channel string) bool {
	for _, c := range l.Channels {
		if s.channels.is(c, channel) {
			return true
		}
	}
	return len(l.Channels) == 0
}

// give makes a message durable for one listener, and tells a person in private why
// nothing was started, should that be the answer.
func (s *Service) give(ctx context.Context, a arrival, post request.Post, env *commandv1.Envelope) bool {
	if post.Bot() {
		env.Standing = &commandv1.Standing{Known: true, Bot: true}
	} else {
		s.identify(ctx, a, env)
	}
	ticket, err := s.ticket(ctx, kindCaught, env, time.Until(a.by(storeBudget)))
	if err != nil {
		s.log.ErrorContext(ctx, "message for a listener not stored", "listener", env.GetOrigin().GetSource(), "error", err)
		return false
	}
	if ticket.First && !post.Bot() {
		s.behind(func() { s.refusal(ctx, a, ticket, post.Reply) }) // without room nobody is told
	}
	return true
}

// refusal waits for the first answer and passes it on when it has words.
func (s *Service) refusal(ctx context.Context, a arrival, t *inbox.Ticket, to request.Reply) {
	tell := func(answer *commandv1.Answer) {
		if answer.GetText() != "" {
			s.teller.Tell(to, answer)
		}
	}
	if answer, ok := s.await(ctx, a, t, tell); ok {
		tell(answer)
	}
}
