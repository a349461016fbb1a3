package world

import (
	"context"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/slipway-hq/slipway/gen/slipway/api/v1/apiv1connect"
	"github.com/slipway-hq/slipway/sandbox"
)

// Patience is how long a world waits for what must happen.
const Patience = 60 * time.Second

// pollEvery is how often a condition is looked at that tells nobody of itself.
const pollEvery = 10 * time.Millisecond

// World is one Slipway and everything around it.
type World struct {
	T     testing.TB
	Dir   string // of this world: effects, gates, data
	Slack *sandbox.Server
	Runs  apiv1connect.RunServiceClient
	Lanes apiv1connect.LaneServiceClient
	Jobs  apiv1connect.JobServiceClient
	HTTP  *http.Client // reaches the API, wherever it listens now, as http://localhost

	config   string
	binaries string // of another version
	env      []string
	unset    []string
	api      atomic.Value // host:port
	nats     *Process
	natsAt   string
	last     sync.Once // tell
}

// Option changes a world before it starts.
type Option func(*World, *sandbox.Config)

// Env gives the processes one more variable.
func Env(name, value string) Option {
	return func(w *World, _ *sandbox.Config) { w.env = append(w.env, name+"="+value) }
}

// Unset takes a variable from the processes that a world would give them.
func Unset(name string) Option {
	return func(w *World, _ *sandbox.Config) { w.unset = append(w.unset, name+"=") }
}

// Stand changes the stand-in for Slack.
func Stand(change func(*sandbox.Config)) Option {
	return func(_ *World, c *sandbox.Config) { change(c) }
}

// New makes a world in which nothing runs but Slack. The configuration is
// missing until Configure.
func New(t testing.TB, options ...Option) *World {
	t.Helper()
	w := &World{T: t, Dir: t.TempDir()}
	w.config = filepath.Join(w.Dir, "slipway.yaml")
	stand := sandbox.Config{Strict: true, NoRateLimits: true, EventRetries: []time.Duration{}}
	for _, change := range options {
		change(w, &stand)
	}
	w.startSlack(stand)
	w.env = slices.DeleteFunc(append(w.environment(), w.env...), func(v string) bool {
		return slices.ContainsFunc(w.unset, func(name string) bool { return strings.HasPrefix(v, name) })
	})
	w.reach()
	return w
}

// reach makes the clients of the API, which follow it to wherever it listens.
func (w *World) reach() {
	w.api.Store("")
	w.HTTP = &http.Client{Transport: w.Transport(false)}
	w.Runs = apiv1connect.NewRunServiceClient(w.HTTP, "http://localhost")
	w.Lanes = apiv1connect.NewLaneServiceClient(w.HTTP, "http://localhost")
	w.Jobs = apiv1connect.NewJobServiceClient(w.HTTP, "http://localhost")
}

// Transport reaches the API wherever it listens now; h2 as gRPC does.
func (w *World) Transport(h2 bool) *http.Transport {
	protocols := &http.Protocols{}
	protocols.SetHTTP1(!h2)
	protocols.SetUnencryptedHTTP2(h2)
	return &http.Transport{
		Protocols: protocols, DisableKeepAlives: !h2,
		DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
			address, _ := w.api.Load().(string)
			return (&net.Dialer{}).DialContext(ctx, network, address)
		},
	}
}

// Address is where the API listens, host:port.
func (w *World) Address() string { address, _ := w.api.Load().(string); return address }

func (w *World) startSlack(cfg sandbox.Config) {
	w.T.Helper()
	var err error
	if w.Slack, err = sandbox.New(cfg); err != nil {
		w.T.Fatal(err)
	}
	if err := w.Slack.Start(context.Background()); err != nil {
		w.T.Fatal(err)
	}
	w.T.Cleanup(func() { _ = w.Slack.Close() })
}

// environment is a clean one: nothing of the developer's may change a test.
func (w *World) environment() []string {
	return append(untouched(),
		"SLACK_API_URL="+w.Slack.APIURL(), "SLACK_BOT_TOKEN="+w.Slack.BotToken(), "SLACK_SIGNING_SECRET="+w.Slack.SigningSecret(),
		"SLIPWAY_CONFIG="+w.config, "SLIPWAY_LISTEN=127.0.0.1:0", "SLIPWAY_CARD_EDIT_INTERVAL=100ms", "SLIPWAY_CARD_TICK=1s",
	)
}

// Up starts everything in one process and waits until it serves.
func (w *World) Up(args ...string) *Process {
	w.T.Helper()
	p := w.Start("slipway", append([]string{"up", "--data", w.Data()}, args...)...)
	line := p.Said("  API      http://")
	p.Said("Ctrl-C stops")
	w.T.Logf("up after %s", time.Since(p.started).Round(time.Millisecond))
	address := strings.Fields(strings.TrimPrefix(line, "API"))[0]
	w.at(address)
	return p
}

// Data is the folder of Up.
func (w *World) Data() string { return filepath.Join(w.Dir, "data") }

// Environment is what a process of this world needs to know, for one that is
// started by somebody else.
func (w *World) Environment() []string { return slices.Clone(w.env) }

// Reach says where the API and the doors for Slack are, host:port, when somebody
// else has started them.
func (w *World) Reach(api, doors string) {
	w.api.Store(api)
	w.Slack.SetTarget("http://" + doors)
}

// at says where everything listens.
func (w *World) at(url string) {
	w.api.Store(strings.TrimPrefix(url, "http://"))
	w.Slack.SetTarget(url)
}

// Use makes what is started from now on that of another version, whose binaries
// are in this folder; empty: of this version.
func (w *World) Use(folder string) { w.binaries = folder }

func (w *World) binary(name string) string {
	if w.binaries != "" {
		return filepath.Join(w.binaries, name)
	}
	return binary(w.T, name)
}

// Start starts one of the product's commands and waits for nothing.
func (w *World) Start(name string, args ...string) *Process {
	w.T.Helper()
	return w.launch(name, w.binary(name), w.env, args)
}

// NATS starts the server of the services that run apart, or starts it again on
// the same data and port.
func (w *World) NATS() *Process {
	w.T.Helper()
	listen := "127.0.0.1:0"
	if w.natsAt != "" {
		listen = strings.TrimPrefix(w.natsAt, "nats://")
	}
	self, err := os.Executable()
	if err != nil {
		w.T.Fatal(err)
	}
	w.nats = w.launch("nats", self, append(os.Environ(), natsDir+"="+filepath.Join(w.Dir, "nats"), natsListen+"="+listen), nil)
	line := w.nats.Said(natsReady)
	if w.natsAt == "" {
		w.natsAt = line[strings.Index(line, natsReady)+len(natsReady):]
		w.env = append(w.env, "NATS_URL="+w.natsAt)
	}
	return w.nats
}

// The services that run apart.
const (
	Ingress      = "slack-ingress"
	Orchestrator = "orchestrator"
	Runner       = "runner"
	Notifier     = "notifier"
)

// Services are all of them, in the order in which they start.
var Services = []string{Orchestrator, Notifier, Runner, Ingress}

// Service starts one service and waits until it is up. A runner has the folder
// "runner" unless the arguments say --data.
func (w *World) Service(name string, args ...string) *Process {
	w.T.Helper()
	if name == Runner && !slices.Contains(args, "--data") {
		args = append(args, "--data", filepath.Join(w.Dir, "runner"))
	}
	p := w.Start(name, args...)
	url := p.URL()
	switch name {
	case Orchestrator:
		w.api.Store(strings.TrimPrefix(url, "http://"))
	case Ingress:
		w.Slack.SetTarget(url)
	}
	return p
}

// URL is where a service that runs apart says that it listens.
func (p *Process) URL() string {
	p.t.Helper()
	line := p.Said("msg=up ")
	url, _, _ := strings.Cut(line[strings.Index(line, "url=")+len("url="):], " ")
	return url
}

// Split starts a NATS server and the four services.
func (w *World) Split() map[string]*Process {
	w.T.Helper()
	all := map[string]*Process{"nats": w.NATS()}
	for _, name := range Services {
		all[name] = w.Service(name)
	}
	return all
}

// Eventually waits for a condition that can only be looked at.
func (w *World) Eventually(what string, ok func() bool) {
	w.T.Helper()
	deadline := time.Now().Add(Patience)
	for !ok() {
		if time.Now().After(deadline) {
			w.T.Fatalf("waited in vain for %s", what)
		}
		w.pause()
	}
}

// pause lies between two looks.
func (w *World) pause() { <-time.After(pollEvery) }

// Alive tells whether a process of this id exists and, where /proc tells, is no
// zombie.
func Alive(pid int) bool {
	if syscall.Kill(pid, 0) != nil {
		return false
	}
	stat, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return true
	}
	_, rest, _ := strings.Cut(string(stat), ") ")
	return !strings.HasPrefix(rest, "Z") && !strings.HasPrefix(rest, "X")
}
