package ingress

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/slack-go/slack"

	"github.com/slipway-hq/slipway/services/slack-ingress/internal/request"
	"github.com/slipway-hq/slipway/services/slack-ingress/internal/socket"
)

const (
	// socketConnections of the ten that Slack allows: three replicas have six, and
	// room for those that replace others.
	socketConnections = 2
	// firstLife is when the later connections of a replica are renewed for the
	// first time. Slack renews each after some hours; those that were opened
	// together would be gone together.
	firstLife = time.Minute
	// socketOverlap is how long a connection still serves beside the one that
	// replaces it: Slack warns ten seconds ahead.
	socketOverlap = 12 * time.Second
	// lastWords is how long a connection is kept for what is in hand: as long as
	// Slack waits.
	lastWords = 3 * time.Second
	// socketReadLimit is the size of one message; as for an HTTP body.
	socketReadLimit = maxBody
	// maxSocketWork bounds payloads in hand of all connections. Beyond it a
	// payload is not acknowledged, and Slack delivers an event again.
	maxSocketWork = maxAtWork * 2
	// shortLife is that of a connection whose successor is not hurried.
	shortLife = time.Second
	// redialFirst doubles up to redialLast between two attempts to connect.
	redialFirst = 200 * time.Millisecond
	redialLast  = 30 * time.Second
	// reconnectWait is between two attempts after Slack refused a token that
	// worked before: somebody has to act, so there is no hurry.
	reconnectWait = 15 * time.Second

	kindSocket = "socket"
)

// errTokenRefused says that Slack does not take the app token.
var errTokenRefused = errors.New("Slack refuses SLACK_APP_TOKEN") //nolint:staticcheck // a name

// Types of envelopes.
const (
	envelopeEvent       = "events_api"
	envelopeCommand     = "slash_commands"
	envelopeInteraction = "interactive"
)

// sockets holds the Socket Mode connections until ctx ends. It fails when Slack
// refuses the token before any connection was made.
func (s *Service) sockets(ctx context.Context) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var (
		lines  sync.WaitGroup
		worked atomic.Bool
		slots  = make(chan struct{}, maxSocketWork)
	)
	for n := range socketConnections {
		l := &line{s: s, n: n, worked: &worked, slots: slots}
		lines.Go(func() {
			if err := l.hold(ctx); err != nil {
				cancel(err)
			}
		})
	}
	lines.Wait()
	if err := context.Cause(ctx); errors.Is(err, errTokenRefused) {
		return fmt.Errorf("slack-ingress: %w", err)
	}
	return nil
}

// line is one connection at a time and, for a moment, the one that replaces it.
type line struct {
	s      *Service
	n      int
	worked *atomic.Bool
	slots  chan struct{}
	wait   time.Duration  // before the next attempt to connect
	ending sync.WaitGroup // connections that are read or let go
}

// hold keeps a connection up until ctx ends. The next one stands before the last
// one is let go.
func (l *line) hold(ctx context.Context) error {
	defer l.ending.Wait()
	var life <-chan time.Time
	if l.n > 0 {
		timer := time.NewTimer(firstLife + rand.N(firstLife)) //nolint:gosec // jitter is no secret
		defer timer.Stop()
		life = timer.C
	}
	var last *call
	for {
		next, err := l.connect(ctx)
		if old := last; old != nil {
			l.ending.Go(func() { old.retire(ctx) })
		}
		if next == nil {
			return err
		}
		began := time.Now()
		select {
		case <-next.Asked():
		case <-next.Gone():
		case <-life:
		case <-ctx.Done():
		}
		if last = next; time.Since(began) < shortLife {
			l.rest(ctx, 0)
		} else {
			l.wait = 0
		}
	}
}

// connect tries until it succeeds. It returns nil when ctx ends, or with the error
// that Slack has never taken the token.
func (l *line) connect(ctx context.Context) (*call, error) {
	for ctx.Err() == nil {
		api := slack.New("", append(l.s.apiOptions(), slack.OptionAppLevelToken(string(*l.s.cfg.AppToken)))...)
		conn, err := socket.Dial(ctx, api, socketReadLimit)
		if err == nil {
			l.worked.Store(true)
			l.s.log.InfoContext(ctx, "socket mode connected", "connection", l.n)
			return l.serve(ctx, conn), nil
		}
		if errors.Is(err, socket.ErrToken) && !l.worked.Load() {
			return nil, fmt.Errorf("%w: %w", errTokenRefused, err)
		}
		if ctx.Err() == nil {
			l.failed(ctx, err)
		}
	}
	return nil, nil
}

// failed rests after an attempt that failed, as long as the error says.
func (l *line) failed(ctx context.Context, err error) {
	if errors.Is(err, socket.ErrToken) {
		l.s.log.ErrorContext(ctx, "socket mode connection refused", "connection", l.n, "error", err)
		l.rest(ctx, reconnectWait)
		return
	}
	l.s.log.WarnContext(ctx, "socket mode not connected, will try again", "connection", l.n, "error", err)
	var limited *slack.RateLimitedError
	if errors.As(err, &limited) {
		l.rest(ctx, limited.RetryAfter)
		return
	}
	l.rest(ctx, 0)
}

// rest pauses, longer each time until a connection has lasted, and at least so
// long.
func (l *line) rest(ctx context.Context, least time.Duration) {
	l.wait = min(max(2*l.wait, redialFirst), redialLast)
	timer := time.NewTimer(max(least, l.wait/2+rand.N(l.wait/2))) //nolint:gosec // jitter is no secret
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}

// call is one connection with what is in hand of it.
type call struct {
	*socket.Conn
	inHand atomic.Int64
	idle   chan struct{} // has a value when nothing is in hand any more
}

// serve reads a connection until it ends.
func (l *line) serve(ctx context.Context, conn *socket.Conn) *call {
	c := &call{Conn: conn, idle: make(chan struct{}, 1)}
	l.ending.Go(func() {
		err := conn.Read(func(e socket.Envelope) { l.take(ctx, c, e) })
		if ctx.Err() == nil {
			l.s.log.InfoContext(ctx, "socket mode connection ended", "connection", l.n, "why", err)
		}
	})
	return c
}

// retire lets a connection go: when Slack ends it, or some time after another one
// took over, or at the end of ctx; and then not before what is in hand is
// acknowledged.
func (c *call) retire(ctx context.Context) {
	defer c.Close()
	overlap := time.NewTimer(socketOverlap)
	defer overlap.Stop()
	select {
	case <-c.Gone():
		return
	case <-overlap.C:
	case <-ctx.Done():
	}
	over := time.NewTimer(lastWords)
	defer over.Stop()
	for c.inHand.Load() > 0 {
		select {
		case <-c.idle:
		case <-c.Gone():
			return
		case <-over.C:
			return
		}
	}
}

// done notes that one payload less is in hand.
func (c *call) done() {
	if c.inHand.Add(-1) > 0 {
		return
	}
	select {
	case c.idle <- struct{}{}:
	default:
	}
}

// take works on one envelope beside others. It never blocks.
func (l *line) take(ctx context.Context, c *call, e socket.Envelope) {
	select {
	case l.slots <- struct{}{}:
	default:
		l.s.log.WarnContext(ctx, "payload left unacknowledged because too many are in hand", "connection", l.n)
		l.s.meter.request(ctx, kindSocket, "busy", 0)
		return
	}
	received := time.Now()
	c.inHand.Add(1)
	done := func() {
		c.done()
		<-l.slots
	}
	started := l.s.background(func() {
		defer done()
		l.s.serveEnvelope(ctx, c.Conn, e, received)
	})
	if !started {
		done()
	}
}

// serveEnvelope handles one envelope and acknowledges it. There is no signature:
// the connection itself is proof.
func (s *Service) serveEnvelope(ctx context.Context, conn *socket.Conn, e socket.Envelope, received time.Time) {
	ctx = context.WithoutCancel(ctx)
	delivery, err := s.decodeEnvelope(e, received)
	if err != nil {
		// Repeating it would not mend it: acknowledge and forget.
		delivery = request.Delivery{Ignored: "malformed"}
	}
	resp := s.attend(ctx, e.Payload, arrival{door: kindSocket, received: received, delivery: delivery})
	if resp.status == http.StatusOK {
		s.acknowledge(ctx, conn, e, delivery, resp)
	}
	s.meter.request(ctx, kindOf(delivery), resp.outcome, time.Since(received))
}

func (s *Service) decodeEnvelope(e socket.Envelope, received time.Time) (request.Delivery, error) {
	switch e.Type {
	case envelopeCommand:
		return request.DecodeSlash(e.Payload, s.names, received)
	case envelopeInteraction:
		return request.DecodeInteraction(e.Payload, received)
	case envelopeEvent:
		return request.DecodeEvent(e.Payload, received)
	default:
		return request.Delivery{Ignored: "other_delivery"}, nil
	}
}

// acknowledge answers within the acknowledgement where Slack takes it, else by
// other ways: too long for this wire, or the connection is gone.
func (s *Service) acknowledge(ctx context.Context, conn *socket.Conn, e socket.Envelope, d request.Delivery, resp response) {
	var body any
	if e.Accepts {
		body = payload(resp)
	}
	err := conn.Ack(e.ID, body)
	if err != nil && body != nil {
		body, err = nil, conn.Ack(e.ID, nil)
	}
	if err != nil {
		s.log.WarnContext(ctx, "acknowledgement not sent", "error", err)
	}
	if body == nil && resp.answer != nil && d.Request != nil {
		s.tell(d.Request, resp.answer)
	}
}
