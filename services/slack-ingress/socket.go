package ingress

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"math/rand/v2"
	"net/http"
	"net/url"
	"sync"
	"sync/atomic"
	"time"

	"github.com/slack-go/slack"
	"github.com/slack-go/slack/socketmode"

	"github.com/slipway-hq/slipway/services/slack-ingress/internal/request"
)

const (
	// socketConnections of the ten that Slack allows: while one is being
	// refreshed, the other takes all payloads.
	socketConnections = 2
	// socketLife, plus a random part as long again, is when a connection is
	// renewed. Slack renews each after some hours: both were opened together,
	// and would be gone together. So ours end before, each at its own time.
	socketLife = 30 * time.Minute
	// socketReadLimit is the size of one message; as for an HTTP body.
	socketReadLimit = maxBody
	// maxSocketWork bounds payloads in hand of all connections. Beyond it a
	// payload is not acknowledged, and Slack delivers an event again.
	maxSocketWork = maxAtWork * 2
	// reconnectWait is between two attempts after Slack refused a token that
	// worked before: somebody has to act, so there is no hurry.
	reconnectWait = 15 * time.Second

	kindSocket = "socket"
)

// errTokenRefused says that Slack does not take the app token.
var errTokenRefused = errors.New("Slack refuses SLACK_APP_TOKEN") //nolint:staticcheck // a name

// sockets holds the Socket Mode connections until ctx ends. It fails when Slack
// refuses the token before any connection was made.
func (s *Service) sockets(ctx context.Context) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var (
		connections sync.WaitGroup
		worked      atomic.Bool
		slots       = make(chan struct{}, maxSocketWork)
	)
	for n := range socketConnections {
		connections.Go(func() {
			if err := s.connection(ctx, n, &worked, slots); err != nil {
				cancel(err)
			}
		})
	}
	connections.Wait()
	if err := context.Cause(ctx); errors.Is(err, errTokenRefused) {
		return fmt.Errorf("slack-ingress: %w", err)
	}
	return nil
}

// connection keeps one connection up. The library reconnects by itself, with
// growing pauses, until Slack says that the token is no good.
func (s *Service) connection(ctx context.Context, n int, worked *atomic.Bool, slots chan struct{}) error {
	for ctx.Err() == nil {
		api := slack.New("", append(s.apiOptions(), slack.OptionAppLevelToken(string(*s.cfg.AppToken)))...)
		client := socketmode.New(api, socketmode.OptionReadLimit(socketReadLimit), socketmode.OptionLog(log.New(io.Discard, "", 0)))
		life, end := context.WithTimeout(ctx, socketLife+rand.N(socketLife)) //nolint:gosec // jitter is no secret
		err := s.pump(life, client, n, worked, slots)
		renewed := life.Err() != nil
		end()
		switch {
		case renewed: // or ctx ended
			continue
		case !worked.Load():
			return fmt.Errorf("%w: %w", errTokenRefused, unaddressed(err))
		}
		s.log.ErrorContext(ctx, "socket mode connection refused", "connection", n, "error", unaddressed(err))
		select {
		case <-time.After(reconnectWait):
		case <-ctx.Done():
		}
	}
	return nil
}

// pump runs a client and hands on what it receives. It never blocks in the
// channel of events, which is short.
func (s *Service) pump(ctx context.Context, client *socketmode.Client, n int, worked *atomic.Bool, slots chan struct{}) error {
	done := make(chan error, 1)
	go func() { done <- client.RunContext(ctx) }()
	for {
		select {
		case err := <-done:
			return err
		case event := <-client.Events:
			s.socketEvent(ctx, client, n, event, worked, slots)
		}
	}
}

func (s *Service) socketEvent(ctx context.Context, client *socketmode.Client, n int, event socketmode.Event, worked *atomic.Bool, slots chan struct{}) {
	switch event.Type {
	case socketmode.EventTypeConnected:
		worked.Store(true)
		s.log.InfoContext(ctx, "socket mode connected", "connection", n)
	case socketmode.EventTypeConnectionError:
		s.log.WarnContext(ctx, "socket mode not connected, will try again", "connection", n, "error", connectionError(event))
	}
	frame, ok := frameOf(event)
	if !ok {
		return
	}
	select {
	case slots <- struct{}{}:
	default:
		s.log.WarnContext(ctx, "payload left unacknowledged because too many are in hand", "connection", n)
		s.meter.request(ctx, kindSocket, "busy", 0)
		return
	}
	received := time.Now()
	s.background(func() {
		defer func() { <-slots }()
		s.serveFrame(ctx, client, frame, received)
	})
}

func connectionError(event socketmode.Event) error {
	failed, ok := event.Data.(*slack.ConnectionErrorEvent)
	if !ok {
		return nil
	}
	return unaddressed(failed.ErrorObj)
}

// frame is a Socket Mode envelope, as far as we need it.
type frame struct {
	ID      string          `json:"envelope_id"`
	Type    string          `json:"type"`
	Payload json.RawMessage `json:"payload"`
	// Accepts says that the acknowledgement may carry a message.
	Accepts bool `json:"accepts_response_payload"`
}

// frameOf returns the envelope of an event. The library parses payloads with
// its own types and reports what it does not know as bad; such an envelope is
// read here all the same, for an event type of tomorrow is no error.
func frameOf(event socketmode.Event) (frame, bool) {
	var f frame
	if bad, ok := event.Data.(*socketmode.ErrorBadMessage); ok {
		return f, json.Unmarshal(bad.Message, &f) == nil && f.ID != ""
	}
	if event.Request == nil {
		return f, false
	}
	r := event.Request
	return frame{ID: r.EnvelopeID, Type: r.Type, Payload: r.Payload, Accepts: r.AcceptsResponsePayload}, r.EnvelopeID != ""
}

// serveFrame handles one envelope and acknowledges it. There is no signature:
// the connection itself is proof.
func (s *Service) serveFrame(ctx context.Context, client *socketmode.Client, f frame, received time.Time) {
	ctx = context.WithoutCancel(ctx)
	delivery, err := s.decodeFrame(f, received)
	if err != nil {
		// Repeating it would not mend it: acknowledge and forget.
		delivery = request.Delivery{Ignored: "malformed"}
	}
	resp := s.listen(ctx, f.Payload, arrival{door: kindSocket, received: received, delivery: delivery})
	if resp.status == http.StatusOK {
		s.acknowledge(ctx, client, f, delivery, resp)
	}
	s.meter.request(ctx, kindOf(delivery), resp.outcome, time.Since(received))
}

func (s *Service) decodeFrame(f frame, received time.Time) (request.Delivery, error) {
	switch f.Type {
	case socketmode.RequestTypeSlashCommands:
		return request.DecodeSlash(f.Payload, s.names, received)
	case socketmode.RequestTypeInteractive:
		return request.DecodeInteraction(f.Payload, received)
	case socketmode.RequestTypeEventsAPI:
		return request.DecodeEvent(f.Payload, received)
	default:
		return request.Delivery{Ignored: "other_delivery"}, nil
	}
}

// acknowledge answers within the acknowledgement where Slack takes it, else by
// other ways.
func (s *Service) acknowledge(ctx context.Context, client *socketmode.Client, f frame, d request.Delivery, resp response) {
	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	var body any
	if f.Accepts {
		body = payload(resp)
	}
	err := client.AckCtx(ctx, f.ID, body)
	if err != nil && body != nil {
		// Too long for this wire, most likely.
		body, err = nil, client.AckCtx(ctx, f.ID, nil)
	}
	if err != nil {
		s.log.WarnContext(ctx, "acknowledgement not sent", "error", unaddressed(err))
	}
	if body == nil && resp.answer != nil && d.Request != nil {
		s.tell(d.Request, resp.answer)
	}
}

// unaddressed strips an address from an error: a ticket in it is a secret.
func unaddressed(err error) error {
	var addressed *url.Error
	if errors.As(err, &addressed) {
		return addressed.Err
	}
	return err
}
