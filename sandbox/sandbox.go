// Package sandbox is a stand-in for Slack: one workspace in memory that speaks the Web API, signs and delivers slash
// commands, events and interactions, offers Socket Mode, can be told to misbehave, and shows itself as a page in the browser.
//
// It exists for development and tests. It is not a client of Slack (services/notifier and services/slack-ingress are) and
// nothing of it runs beside a real workspace. Only cmd/slipway and tests may import it; it imports no service, so that it
// judges them from outside.
//
// Invariants: message timestamps are unique and rise; ephemerals never enter a channel's history; a secret never enters
// the journal; every request in and out is one journal entry, so that a test can assert what Slack would show.
package sandbox

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"
)

// Mode says how commands, events and interactions reach the app.
type Mode int

const (
	// HTTP delivers signed POST requests to Config.Target.
	HTTP Mode = iota
	// Socket delivers envelopes over the app's Socket Mode connections.
	Socket
)

// String names the mode as the page shows it.
func (m Mode) String() string {
	if m == Socket {
		return "socket"
	}
	return "http"
}

// Command is one slash command that the composer completes.
type Command struct {
	Name  string `json:"name"`  // with its slash
	Usage string `json:"usage"` // the hint behind it
	Help  string `json:"help"`  // one sentence
}

// Config is everything a sandbox can be told. The zero value is a usable workspace on a port of the system's choice.
type Config struct {
	// Listen is the address to bind; empty means 127.0.0.1 and a free port.
	Listen string
	// Target is the base URL of the app's HTTP doors (/slack/commands, /slack/events, /slack/interactions).
	Target string
	// SigningSecret, BotToken and AppToken are made up when empty.
	SigningSecret, BotToken, AppToken string
	// Delivery is HTTP unless Socket is asked for.
	Delivery Mode
	// Strict records arguments that Slack does not declare as violations.
	Strict bool
	// NoRateLimits switches the tier buckets and the posting rate off.
	NoRateLimits bool
	// Clock is time.Now when nil. It stamps messages and ages tickets, triggers and response URLs.
	Clock func() time.Time
	// Seed makes probabilities in the fault plan repeatable.
	Seed uint64
	// Scopes of the bot token; DefaultScopes when nil.
	Scopes []string
	// Subscriptions are the event types the app asked for; app_mention and message.im when nil.
	Subscriptions []string
	// EventRetries are the pauses before the repeats of an unacknowledged event; Slack's 0, 1 min, 5 min when nil.
	EventRetries []time.Duration
	// AckTimeout is how long the app may take to acknowledge; Slack's 3 s when zero.
	AckTimeout time.Duration
	// SocketLife is how long a Socket Mode connection lasts before Slack asks for a new one; Slack's hours when zero. The
	// warning comes ten seconds ahead, or after half of a shorter life.
	SocketLife time.Duration
	// PlainCommands delivers command text as typed instead of with mentions, channels and links escaped.
	PlainCommands bool
	// Commands are completed by the composer; DefaultCommands when nil.
	Commands []Command
	// Hints are example sentences that the page offers below its composer, asked for whenever a page loads. The page offers
	// the commands alone when it is nil or says nothing.
	Hints func() []string
	// Emoji are the names of the workspace's own emoji, beside Slack's standard ones: others cannot be reactions.
	Emoji []string
	// KillRunner is behind the page's "kill the runner" button; without it the button is not shown.
	KillRunner func(context.Context) error
	// StateFile keeps the conversation over restarts, so that cards stay where they were. Empty means memory only.
	StateFile string
	// ExposeSecrets lets other local processes ask for the tokens (POST /sandbox/secrets).
	ExposeSecrets bool
	// Logger is silent when nil.
	Logger *slog.Logger
}

const (
	defaultListen = "127.0.0.1:0"
	// ackTimeout is Slack's documented bound for an acknowledgement.
	ackTimeout = 3 * time.Second
	// shutdownGrace bounds how long Close waits for requests in flight.
	shutdownGrace = 2 * time.Second
	// readHeaderTimeout keeps a silent client from holding a connection for ever.
	readHeaderTimeout = 10 * time.Second
	// idleTimeout closes connections to the app that nobody uses.
	idleTimeout = 30 * time.Second
	secretBytes = 16
)

// DefaultScopes is what the generated manifest asks for.
var DefaultScopes = []string{
	"app_mentions:read", "channels:history", "channels:join", "channels:read", "chat:write", "commands", "files:write",
	"groups:history", "groups:read", "im:history", "im:read", "im:write", "metadata.message:read", "pins:read", "pins:write",
	"reactions:read", "reactions:write", "usergroups:read", "users:read",
}

// DefaultCommands are the three slash commands of Slipway.
var DefaultCommands = []Command{
	{Name: "/deploy", Usage: "[SERVICE][@REF] [to ENV]", Help: "Deploy a service"},
	{Name: "/check_status", Usage: "[ID]", Help: "What runs and waits now, and why"},
	{Name: "/slipway", Usage: "NAMESPACE COMMAND | deploy | status | cancel | retry | lanes | help", Help: "Everything in one sentence"},
}

// Server is one running stand-in. All its methods may be called from any goroutine.
type Server struct {
	cfg    Config
	log    *slog.Logger
	faults *Faults
	client *http.Client // delivers to the app

	mu       sync.Mutex // guards everything below
	target   string
	world    world
	journal  journal
	changes  changes
	limits   limits
	hooks    hooks
	triggers map[string]*trigger
	uploads  map[string]*upload
	views    map[string]*View
	sent     sentRequests
	sockets  sockets
	listener net.Listener
	http     *http.Server
	ctx      context.Context // ends with the server; pending retries stop
	cancel   context.CancelFunc
	closed   bool

	closing  sync.Once
	closeErr error
	work     sync.WaitGroup // retries, sockets and duplicates in the background
}

// New prepares a workspace; nothing listens yet.
func New(cfg Config) (*Server, error) {
	if err := fillSecrets(&cfg); err != nil {
		return nil, fmt.Errorf("sandbox: make secrets: %w", err)
	}
	fillDefaults(&cfg)
	s := &Server{
		cfg:      cfg,
		log:      cfg.Logger,
		target:   cfg.Target,
		faults:   newFaults(cfg.Seed),
		world:    seedWorld(),
		limits:   newLimits(),
		triggers: map[string]*trigger{},
		uploads:  map[string]*upload{},
		views:    map[string]*View{},
		client: &http.Client{
			Transport: &http.Transport{MaxIdleConnsPerHost: redeliverWidth, IdleConnTimeout: idleTimeout},
			// Slack follows at most two redirects.
			CheckRedirect: func(_ *http.Request, via []*http.Request) error {
				if len(via) > maxRedirects {
					return errTooManyRedirects
				}
				return nil
			},
		},
	}
	s.hooks.init()
	s.sent.init()
	s.sockets.init()
	s.changes.init()
	s.faults.onChange = s.faultsChanged
	s.ctx, s.cancel = context.WithCancel(context.Background())
	if err := s.load(); err != nil {
		return nil, err
	}
	return s, nil
}

func fillDefaults(cfg *Config) {
	if cfg.Listen == "" {
		cfg.Listen = defaultListen
	}
	if cfg.Clock == nil {
		cfg.Clock = time.Now
	}
	if cfg.Scopes == nil {
		cfg.Scopes = DefaultScopes
	}
	if cfg.Subscriptions == nil {
		cfg.Subscriptions = []string{"app_mention", "message.im"}
	}
	if cfg.EventRetries == nil {
		cfg.EventRetries = []time.Duration{0, time.Minute, 5 * time.Minute}
	}
	if cfg.AckTimeout == 0 {
		cfg.AckTimeout = ackTimeout
	}
	if cfg.SocketLife == 0 {
		cfg.SocketLife = socketLife
	}
	if cfg.Commands == nil {
		cfg.Commands = DefaultCommands
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
}

func fillSecrets(cfg *Config) error {
	for _, f := range []struct {
		to     *string
		prefix string
	}{{&cfg.SigningSecret, ""}, {&cfg.BotToken, "xoxb-sandbox-"}, {&cfg.AppToken, "xapp-sandbox-"}} {
		if *f.to != "" {
			continue
		}
		secret, err := randomHex(secretBytes)
		if err != nil {
			return err
		}
		*f.to = f.prefix + secret
	}
	return nil
}

func randomHex(n int) (string, error) {
	b := make([]byte, n)
	if _, err := io.ReadFull(rand.Reader, b); err != nil {
		return "", err
	}
	return hex.EncodeToString(b), nil
}

// Start binds the address and serves in the background until ctx ends or Close is called. The error says why the address
// could not be taken.
func (s *Server) Start(ctx context.Context) error {
	var lc net.ListenConfig
	ln, err := lc.Listen(ctx, "tcp", s.cfg.Listen)
	if err != nil {
		return fmt.Errorf("sandbox: listen: %w", err)
	}
	srv := &http.Server{
		Handler:           s.Handler(),
		ReadHeaderTimeout: readHeaderTimeout,
		BaseContext:       func(net.Listener) context.Context { return s.ctx },
		ErrorLog:          slog.NewLogLogger(s.log.Handler(), slog.LevelDebug),
	}
	s.mu.Lock()
	s.listener, s.http = ln, srv
	s.mu.Unlock()
	s.work.Go(func() {
		if err := srv.Serve(ln); err != nil && !errors.Is(err, http.ErrServerClosed) {
			s.log.Error("sandbox stopped serving", "error", err)
		}
	})
	if s.cfg.StateFile != "" {
		s.background(s.keepSaving)
	}
	context.AfterFunc(ctx, func() { _ = s.Close() }) //nolint:contextcheck // closing begins when ctx is over
	return nil
}

// Handler is the whole stand-in as one http.Handler.
func (s *Server) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("/api/", s.serveAPI)
	mux.HandleFunc("POST /hooks/{kind}/{team}/{token}", s.serveHook)
	mux.HandleFunc("POST /upload/v1/{id}", s.serveUpload)
	mux.HandleFunc("GET /link/", s.serveSocket)
	mux.Handle("/", s.guard(s.controlMux()))
	return mux
}

// Close stops serving, drops pending retries and waits for what runs. It may be called twice; the second call waits too.
func (s *Server) Close() error {
	s.closing.Do(func() { s.closeErr = s.shutDown() })
	return s.closeErr
}

func (s *Server) shutDown() error {
	s.mu.Lock()
	s.closed = true
	srv := s.http
	s.mu.Unlock()
	s.cancel()
	s.sockets.closeAll(s)
	var err error
	if srv != nil {
		ctx, cancel := context.WithTimeout(context.Background(), shutdownGrace)
		defer cancel()
		if err = srv.Shutdown(ctx); err != nil {
			err = srv.Close()
		}
	}
	s.work.Wait()
	s.client.CloseIdleConnections()
	if s.cfg.StateFile != "" {
		err = errors.Join(err, s.save())
	}
	return err
}

// URL is the base URL of the page, without a slash at its end. Empty before Start.
func (s *Server) URL() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.baseURL()
}

func (s *Server) baseURL() string {
	if s.listener == nil {
		return ""
	}
	addr, ok := s.listener.Addr().(*net.TCPAddr)
	if ok && addr.IP.IsUnspecified() {
		return fmt.Sprintf("http://127.0.0.1:%d", addr.Port) // listening everywhere is still reached here
	}
	return "http://" + s.listener.Addr().String()
}

// APIURL is the base of the Web API and ends in /api/, as SLACK_API_URL wants it.
func (s *Server) APIURL() string { return s.URL() + "/api/" }

// BotToken is the xoxb- token of the app.
func (s *Server) BotToken() string { return s.cfg.BotToken }

// AppToken is the xapp- token for Socket Mode.
func (s *Server) AppToken() string { return s.cfg.AppToken }

// SigningSecret keys the signature of every HTTP delivery.
func (s *Server) SigningSecret() string { return s.cfg.SigningSecret }

// Faults is the plan of misbehaviour.
func (s *Server) Faults() *Faults { return s.faults }

// SetTarget says where the app's HTTP doors are; it takes effect with the next delivery.
func (s *Server) SetTarget(baseURL string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.target = baseURL
}

// background runs f until it returns; Close waits for it. Nothing starts once the server is closed.
func (s *Server) background(f func(ctx context.Context)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.backgroundLocked(f)
}

func (s *Server) backgroundLocked(f func(ctx context.Context)) {
	if s.closed {
		return
	}
	s.work.Go(func() { f(s.ctx) })
}
