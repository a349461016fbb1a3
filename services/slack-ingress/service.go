package ingress

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/slack-go/slack"
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/trace"

	"github.com/slipway-hq/slipway/domain/listen"
	"github.com/slipway-hq/slipway/domain/pipeline"
	"github.com/slipway-hq/slipway/services/slack-ingress/internal/inbox"
	"github.com/slipway-hq/slipway/services/slack-ingress/internal/people"
	"github.com/slipway-hq/slipway/services/slack-ingress/internal/reply"
	"github.com/slipway-hq/slipway/services/slack-ingress/internal/request"
)

const (
	// maxAtWork bounds requests that wait for NATS side by side. At 1 ms each
	// it is never met; while JetStream is away it bounds memory.
	maxAtWork = 256
	// maxAfter bounds what goes on behind an acknowledgement.
	maxAfter = 256
	// drainGrace is how long answers that are queued are still sent at the end.
	drainGrace = 3 * time.Second
	// apiTimeout bounds one call of the Web API.
	apiTimeout = 5 * time.Second
)

// Deps is what a Service stands on. Conn is required and stays the caller's.
type Deps struct {
	Conn   *nats.Conn
	Logger *slog.Logger
	// Tracer and Meter are the process's; the global ones when nil.
	Tracer trace.TracerProvider
	Meter  metric.MeterProvider
	// Clock is compared with Slack's timestamps; time.Now when nil.
	Clock func() time.Time
}

// Service is one ingress. Any number of them may run side by side.
type Service struct {
	cfg     Config
	log     *slog.Logger
	clock   func() time.Time
	names   request.Names
	secrets []string

	api    *slack.Client // with the bot token; nil without one
	inbox  *inbox.Inbox
	people *people.Book // nil without a bot token
	teller *reply.Teller
	tracer trace.Tracer
	meter  meter

	config        atomic.Pointer[pipeline.Config] // nil: none, or none that is good
	ears          atomic.Pointer[[]listen.Listener]
	configProblem atomic.Pointer[string] // why the newest one is not in force
	channels      *channels
	bigBodies     chan struct{} // one slot for each large delivery that is being read
	smallBodies   chan struct{} // one for each delivery of any size

	atWork  chan struct{} // one slot for each request that is being handled
	after   chan struct{} // one slot for each task behind an acknowledgement
	said    *memory
	running atomic.Bool

	mu      sync.Mutex // orders work.Go before work.Wait
	drained bool
	work    sync.WaitGroup
}

// New checks the configuration and prepares a Service; it reaches nobody yet.
// The error wraps ErrNoDoor or ErrEmptySecret where the configuration is at fault.
func New(cfg Config, deps Deps) (*Service, error) {
	if err := cfg.complete(); err != nil {
		return nil, fmt.Errorf("slack-ingress: %w", err)
	}
	if deps.Conn == nil {
		return nil, errors.New("slack-ingress: no connection to NATS")
	}
	box, err := inbox.New(deps.Conn)
	if err != nil {
		return nil, fmt.Errorf("slack-ingress: %w", err)
	}
	s := &Service{
		cfg: cfg, log: deps.Logger, clock: deps.Clock, names: cfg.names(), secrets: cfg.secrets(), inbox: box,
		bigBodies: make(chan struct{}, maxBigBodies), smallBodies: make(chan struct{}, maxOpen),
		atWork: make(chan struct{}, maxAtWork), after: make(chan struct{}, maxAfter), said: newMemory(),
	}
	if s.log == nil {
		s.log = slog.New(slog.DiscardHandler)
	}
	if s.clock == nil {
		s.clock = time.Now
	}
	if err := s.observe(deps); err != nil {
		return nil, fmt.Errorf("slack-ingress: %w", err)
	}
	if cfg.BotToken != nil {
		s.api = slack.New(string(*cfg.BotToken), s.apiOptions()...)
		s.people = people.New(s.api)
	}
	s.channels = newChannels(s.api, s.log)
	s.teller = reply.New(reply.Config{API: s.api, APIURL: cfg.APIURL, Logger: s.log, Sent: s.meter.reply})
	return s, nil
}

// apiOptions never follow a redirect: the token would go with it.
func (s *Service) apiOptions() []slack.Option {
	client := &http.Client{
		Timeout:       apiTimeout,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	return []slack.Option{slack.OptionAPIURL(s.cfg.APIURL), slack.OptionHTTPClient(client)}
}

// Ready tells whether a request could be stored now; /readyz shows it.
func (s *Service) Ready(ctx context.Context) error {
	if !s.running.Load() {
		return errors.New("slack-ingress is not running")
	}
	return s.inbox.Ready(ctx)
}

// Run serves until ctx ends, and then drains: requests in hand are answered and
// queued words are sent. It calls ready, which may be nil, once Handler takes
// requests. It fails when Slack refuses the app token from the start.
func (s *Service) Run(ctx context.Context, ready func()) error {
	if err := s.inbox.Start(); err != nil {
		return fmt.Errorf("slack-ingress: %w", err)
	}
	defer s.inbox.Stop()
	var telling sync.WaitGroup
	tell, stopTelling := context.WithCancel(context.WithoutCancel(ctx))
	defer stopTelling()
	telling.Go(func() { s.teller.Run(tell, drainGrace) })

	watch, stopWatching := context.WithCancel(ctx)
	defer stopWatching()
	wait := s.watchConfig(watch)
	defer func() { stopWatching(); wait() }()
	telling.Go(func() { s.channels.run(watch, s.config.Load) })

	s.running.Store(true)
	if ready != nil {
		ready()
	}
	err := s.serve(ctx)
	s.drain()
	stopWatching()
	stopTelling()
	telling.Wait()
	return err
}

// serve holds the Socket Mode connections, or just waits.
func (s *Service) serve(ctx context.Context) error {
	if s.cfg.AppToken == nil {
		<-ctx.Done()
		return nil
	}
	return s.sockets(ctx)
}

// behind runs task after the acknowledgement. It is false, and task does not
// run, when too much goes on already.
func (s *Service) behind(task func()) bool {
	select {
	case s.after <- struct{}{}:
	default:
		return false
	}
	started := s.background(func() {
		defer func() { <-s.after }()
		task()
	})
	if !started {
		<-s.after
	}
	return started
}

// background runs task, and drain waits for it. It is false, and task does not
// run, once drain has begun.
func (s *Service) background(task func()) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.drained {
		return false
	}
	s.work.Go(task)
	return true
}

// drain waits for what goes on behind acknowledgements: seconds, by its budgets.
func (s *Service) drain() {
	s.running.Store(false)
	s.mu.Lock()
	s.drained = true
	s.mu.Unlock()
	s.work.Wait()
}
