package ingress

import (
	"context"
	"errors"
	"net/http"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/trace"
	"google.golang.org/protobuf/proto"

	commandv1 "github.com/slipway-hq/slipway/gen/slipway/command/v1"
	"github.com/slipway-hq/slipway/services/slack-ingress/internal/inbox"
	"github.com/slipway-hq/slipway/services/slack-ingress/internal/request"
)

// Budgets, all counted from the moment a request is received. Slack waits three
// seconds; what is left over covers the way through the network.
const (
	// peopleBudget is for asking Slack who the person is.
	peopleBudget = 700 * time.Millisecond
	// answerBudget is for the orchestrator's first answer.
	answerBudget = 1500 * time.Millisecond
	// storeBudget is for the acknowledgement of JetStream.
	storeBudget = 2 * time.Second
)

// arrival is a delivery with the time that its budgets count from.
type arrival struct {
	door     string // "http" or "socket", for the trace
	received time.Time
	delivery request.Delivery
}

func (a arrival) by(budget time.Duration) time.Time { return a.received.Add(budget) }

// response is what Slack is told. With a status of 500 or more Slack repeats an
// event; over Socket Mode that is a missing acknowledgement.
type response struct {
	status int
	// answer is the words of the acknowledgement, if any.
	answer  *commandv1.Answer
	text    string
	options bool // an empty list of menu options
	outcome string
}

func acked(outcome string) response { return response{status: http.StatusOK, outcome: outcome} }

// handle does what a verified delivery asks and returns what Slack is told,
// within three seconds of its receipt.
func (s *Service) handle(ctx context.Context, a arrival) response {
	req := a.delivery.Request
	if req == nil {
		return s.withoutRequest(a.delivery)
	}
	// Slack hanging up must not undo half a request.
	ctx, span := s.begin(context.WithoutCancel(ctx), a.door)
	defer span.End()
	traced(ctx, req.Envelope)
	resp := s.admit(ctx, a.received, req)
	span.SetAttributes(attribute.String("slipway.kind", string(req.Kind)), attribute.String("slipway.outcome", resp.outcome),
		attribute.String("slipway.team", req.Envelope.GetOrigin().GetTeam()))
	return resp
}

func (s *Service) withoutRequest(d request.Delivery) response {
	switch {
	case d.Challenge != "":
		return response{status: http.StatusOK, text: d.Challenge, outcome: "challenge"}
	case d.Suggestion:
		return response{status: http.StatusOK, options: true, outcome: "suggestion"}
	case d.Ignored == request.UnknownCommand:
		return spoken(request.NotOurs(), d.Ignored)
	case d.Person != "":
		if s.people != nil {
			s.people.Forget(d.Person)
		}
		return acked("person_changed")
	default:
		return acked(d.Ignored)
	}
}

// admit handles a request if there is room for it.
func (s *Service) admit(ctx context.Context, received time.Time, req *request.Request) response {
	select {
	case s.atWork <- struct{}{}:
		defer func() { <-s.atWork }()
	default:
		return s.turnedAway(req, request.Busy(), "busy")
	}
	verdict := request.Judge(req.Envelope)
	a := arrival{received: received}
	switch verdict.Need {
	case request.Say:
		return s.say(req, verdict.Answer)
	case request.Ask:
		return s.ask(ctx, a, req, verdict)
	default:
		return s.store(ctx, a, req, verdict)
	}
}

// spoken answers in the acknowledgement itself.
func spoken(answer *commandv1.Answer, outcome string) response {
	resp := acked(outcome)
	if answer.GetText() != "" {
		resp.answer = answer
	}
	return resp
}

// turnedAway is for what is not known to be stored: a command is told so, a
// press too, and a mention is left to Slack, which delivers it again.
func (s *Service) turnedAway(req *request.Request, answer *commandv1.Answer, outcome string) response {
	switch req.Kind {
	case request.Slash:
		return spoken(answer, outcome)
	case request.Press:
		s.tell(req, answer)
		return acked(outcome)
	default:
		if s.said.first("turned away|" + req.Envelope.GetIdentity()) {
			s.tell(req, request.NotYet())
		}
		return response{status: http.StatusServiceUnavailable, outcome: outcome}
	}
}

// tell says something outside of the acknowledgement.
func (s *Service) tell(req *request.Request, answer *commandv1.Answer) {
	if answer.GetText() == "" {
		return
	}
	if req.Envelope.GetStanding().GetReminder() {
		// A reminder is nobody who could be told in private.
		open := proto.CloneOf(answer)
		open.Visibility, open.Threaded = commandv1.Answer_VISIBILITY_PUBLIC, true
		answer = open
	}
	s.teller.Tell(req.Reply, answer)
}

// say answers what needs nobody else. A repeated mention is answered once.
func (s *Service) say(req *request.Request, answer *commandv1.Answer) response {
	if req.Kind == request.Slash {
		return spoken(answer, "said")
	}
	if s.said.first(req.Envelope.GetIdentity()) {
		s.tell(req, answer)
	}
	return acked("said")
}

// ask answers a query: a command in its acknowledgement, the rest behind it.
func (s *Service) ask(ctx context.Context, a arrival, req *request.Request, v request.Verdict) response {
	if req.Kind == request.Slash {
		answer := s.query(ctx, a, req.Envelope, v)
		return spoken(answer, queryOutcome(answer))
	}
	if !s.said.first(req.Envelope.GetIdentity()) {
		return acked("repeated")
	}
	if !s.behind(func() { s.tell(req, s.query(ctx, a, req.Envelope, v)) }) {
		s.tell(req, request.Busy())
		return acked("busy")
	}
	return acked("asked")
}

func queryOutcome(answer *commandv1.Answer) string {
	if answer.GetCode() == request.CodeUnreachable {
		return "unreachable"
	}
	return "answered"
}

func (s *Service) query(ctx context.Context, a arrival, env *commandv1.Envelope, v request.Verdict) *commandv1.Answer {
	s.identify(ctx, a, env) // guests may not look, either
	ctx, cancel := context.WithDeadline(ctx, a.by(answerBudget))
	defer cancel()
	answer, err := s.inbox.Ask(ctx, env)
	if err != nil {
		s.log.WarnContext(ctx, "query not answered", "error", err)
		if v.Answer != nil {
			return v.Answer
		}
		return request.Unreachable()
	}
	return answer
}

// store makes a request durable and answers as far as the answer is known.
func (s *Service) store(ctx context.Context, a arrival, req *request.Request, v request.Verdict) response {
	s.identify(ctx, a, req.Envelope)
	bound, cancel := context.WithDeadline(ctx, a.by(storeBudget))
	defer cancel()
	ticket, err := s.inbox.Submit(bound, string(req.Kind), req.Envelope)
	later := func(answer *commandv1.Answer) { s.tell(req, answer) }
	if err != nil {
		return s.notStored(ctx, req, v, ticket, later, err)
	}
	if req.Kind == request.Slash {
		if answer, ok := s.await(ctx, a, ticket, later); ok {
			return spoken(answer, "stored")
		}
		return spoken(request.Stored(req.Envelope, v), "stored_unanswered")
	}
	if !ticket.First {
		return acked("repeated")
	}
	s.follow(ctx, a, req, v, ticket, later)
	return acked("stored")
}

// notStored answers a request that is not known to be durable. When it may be
// stored after all, its answer is still passed on.
func (s *Service) notStored(ctx context.Context, req *request.Request, v request.Verdict, t *inbox.Ticket, later func(*commandv1.Answer), err error) response {
	s.log.ErrorContext(ctx, "request not stored", "kind", string(req.Kind), "error", err)
	trace.SpanFromContext(ctx).RecordError(err)
	if errors.Is(err, inbox.ErrRefused) {
		return s.turnedAway(req, request.NotAccepted(), "refused")
	}
	over, cancel := context.WithCancel(ctx)
	cancel()
	if answer, ok := t.Await(over, later); ok {
		later(answer)
	}
	return s.turnedAway(req, request.NotConfirmed(req.Envelope, v), "unconfirmed")
}

func (s *Service) await(ctx context.Context, a arrival, t *inbox.Ticket, later func(*commandv1.Answer)) (*commandv1.Answer, bool) {
	ctx, cancel := context.WithDeadline(ctx, a.by(answerBudget))
	defer cancel()
	return t.Await(ctx, later)
}

// follow tells the first answer to who was acknowledged without words. Without
// room to wait for it, the answer is told whenever it comes.
func (s *Service) follow(ctx context.Context, a arrival, req *request.Request, v request.Verdict, t *inbox.Ticket, later func(*commandv1.Answer)) {
	waiting := s.behind(func() {
		if answer, ok := s.await(ctx, a, t, later); ok {
			later(answer)
		} else {
			s.tell(req, request.Stored(req.Envelope, v))
		}
	})
	if waiting {
		return
	}
	over, cancel := context.WithCancel(ctx)
	cancel()
	if answer, ok := t.Await(over, later); ok {
		later(answer)
	}
}

// identify adds what Slack says of the person. Without a bot token, or while
// Slack is away, the standing is not known, and policy decides what that means.
func (s *Service) identify(ctx context.Context, a arrival, env *commandv1.Envelope) {
	if env.GetStanding().GetReminder() {
		return
	}
	env.Standing = &commandv1.Standing{}
	if s.people == nil {
		return
	}
	ctx, cancel := context.WithDeadline(ctx, a.by(peopleBudget))
	defer cancel()
	standing, err := s.people.Standing(ctx, env.GetPrincipal().GetTeam(), env.GetPrincipal().GetUser())
	if err != nil {
		s.log.WarnContext(ctx, "standing of a person not known", "error", err)
	}
	env.Standing = standing
}
