package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/pprof"
	"os"
	"path/filepath"
	"runtime"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/slipway-hq/slipway/domain/board"
	"github.com/slipway-hq/slipway/internal/eventlog/jetlog"
	"github.com/slipway-hq/slipway/internal/lease"
	"github.com/slipway-hq/slipway/internal/lifecycle"
	"github.com/slipway-hq/slipway/internal/natsconn"
	"github.com/slipway-hq/slipway/internal/natsnode"
	"github.com/slipway-hq/slipway/internal/telemetry"
	"github.com/slipway-hq/slipway/internal/topology"
	"github.com/slipway-hq/slipway/services/notifier"
	"github.com/slipway-hq/slipway/services/orchestrator"
	"github.com/slipway-hq/slipway/services/runner"
	ingress "github.com/slipway-hq/slipway/services/slack-ingress"
)

// job is what a child process is told to be, as JSON in its environment.
type job struct {
	Dir    string // data folder
	Real   bool   // real processes, not the in-process executor
	Notify bool   // with the notifier
	Floor  bool   // the log alone, without the services
	Slots  int    // runs at one time
	Secret string // of Slack's signature
	Token  string // of the bot
	Slack  string // base of the Web API
	URL    string // of NATS servers that run apart; empty: one in this process
	Copies int    // replicas of the streams there
	Role   string // one service alone; empty: everything

	Server *serverJob // a NATS server and nothing else
}

// host is one process with all four services, as `slipway up` makes it, over an
// embedded server, or over servers apart, that flush every write.
type host struct {
	job
	node    *natsnode.Node
	mux     *http.ServeMux
	dial    func(name string) (*nats.Conn, error)
	store   int64 // bytes that the streams may use
	log     *tap
	logger  *slog.Logger
	parts   []lifecycle.Part
	decider *orchestrator.Orchestrator
}

// mutexSample and blockSample keep the cost of profiles that are always on
// below what can be measured: one event in so many, one per so many ns.
const (
	mutexSample = 100
	blockSample = 1_000_000
)

// child is the body of a child process. It lives as long as its standard input.
func child(text string) error {
	runtime.SetMutexProfileFraction(mutexSample)
	runtime.SetBlockProfileRate(blockSample)
	var j job
	if err := json.Unmarshal([]byte(text), &j); err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin) // ends with the parent
		cancel()
	}()
	if err := os.MkdirAll(j.Dir, 0o700); err != nil {
		return err
	}
	file, err := os.Create(filepath.Join(j.Dir, "log"))
	if err != nil {
		return err
	}
	if j.Server != nil {
		return errors.Join(j.Server.serve(ctx, j.Dir), file.Close())
	}
	h := &host{job: j, mux: http.NewServeMux(), logger: slog.New(slog.NewTextHandler(file, nil))}
	return errors.Join(h.run(ctx), file.Close())
}

func (h *host) run(ctx context.Context) (err error) {
	if h.URL != "" {
		h.store, h.dial = topology.DefaultStore, func(name string) (*nats.Conn, error) {
			return natsconn.Dial(ctx, name, natsconn.Settings{URL: h.URL}, h.logger)
		}
		if err := h.build(ctx); err != nil {
			return err
		}
		return lifecycle.Group{Log: h.logger, Drain: stopWait}.Run(ctx, h.parts...)
	}
	h.Copies = 1
	if h.node, err = natsnode.Start(natsnode.Config{Dir: filepath.Join(h.Dir, "nats"), Logger: h.logger}); err != nil {
		return err
	}
	h.store, h.dial = h.node.Facts().MaxStore, func(name string) (*nats.Conn, error) { return h.node.Connect(name) }
	stop := func() error {
		ctx, cancel := context.WithTimeout(context.Background(), stopWait)
		defer cancel()
		return h.node.Shutdown(ctx)
	}
	if err := h.build(ctx); err != nil {
		return errors.Join(err, stop())
	}
	return errors.Join(lifecycle.Group{Log: h.logger, Drain: stopWait}.Run(ctx, h.parts...), stop())
}

// stopWait bounds the end of a child: nothing of it is needed any more.
const stopWait = 5 * time.Second

func (h *host) build(ctx context.Context) error {
	conn, err := h.dial("log")
	if err != nil {
		return err
	}
	js, err := jetstream.New(conn)
	if err != nil {
		return err
	}
	if err := topology.Ensure(ctx, js, topology.Topology(h.Copies, topology.LimitsFor(h.store))); err != nil {
		return err
	}
	log, err := jetlog.New(conn, topology.StreamEvents)
	if err != nil {
		return err
	}
	h.log = newTap(log)
	h.control()
	switch {
	case h.Role == roleOrchestrator:
		err = h.orchestrator()
	case h.Role == roleNotifier:
		err = h.notifier()
	case !h.Floor:
		err = h.services(ctx)
	}
	if err != nil {
		return err
	}
	return h.listen()
}

// services adds the four of them, in the order of `slipway up`.
func (h *host) services(ctx context.Context) error {
	metrics, err := telemetry.Setup(ctx, "bench", "", h.logger)
	if err != nil {
		return err
	}
	h.mux.Handle("GET /metrics", metrics.Handler())
	if err := h.orchestrator(); err != nil {
		return err
	}
	if h.Notify {
		if err := h.notifier(); err != nil {
			return err
		}
	}
	if err := h.runner(); err != nil {
		return err
	}
	return h.ingress()
}

func (h *host) orchestrator() error {
	conn, err := h.dial("orchestrator")
	if err != nil {
		return err
	}
	config := filepath.Join(h.Dir, "slipway.yaml")
	if err := os.WriteFile(config, []byte(configuration(h.Slots)), 0o600); err != nil {
		return err
	}
	o, err := orchestrator.New(orchestrator.Config{File: config, Replicas: h.Copies}, orchestrator.Deps{
		Log: h.log, Conn: conn, Holder: "bench", Timing: lease.DefaultTiming(), Logger: h.logger,
	})
	if err != nil {
		return err
	}
	for path, handler := range o.Handlers() {
		h.mux.Handle(path, handler)
	}
	h.mux.HandleFunc("GET /bench/ended", func(w http.ResponseWriter, r *http.Request) {
		streamCount(r.Context(), w, func() (n int) {
			o.Projection().Read(func(b *board.Board) { n = b.EndedCount() })
			return n
		})
	})
	h.decider = o
	h.add("orchestrator", o.Run)
	return nil
}

func (h *host) notifier() error {
	conn, err := h.dial("notifier")
	if err != nil {
		return err
	}
	deps := notifier.Deps{Log: h.log, Conn: conn, Logger: h.logger, Holder: "bench", Replicas: h.Copies}
	if h.decider != nil {
		deps.Projection, deps.Runners = h.decider.Projection(), h.decider.Runners
	}
	n, err := notifier.New(notifier.Config{APIURL: h.Slack, BotToken: telemetry.Secret(h.Token)}, deps)
	if err != nil {
		return err
	}
	h.add("notifier", n.Run)
	return nil
}

func (h *host) runner() error {
	conn, err := h.dial("runner")
	if err != nil {
		return err
	}
	deps := runner.Deps{Log: h.log, Conn: conn, Logger: h.logger, Replicas: h.Copies}
	if !h.Real {
		deps.Executor = instant{}
	}
	r, err := runner.New(runner.Config{Dir: filepath.Join(h.Dir, "runner"), Capacity: h.Slots}, deps)
	if err != nil {
		return err
	}
	h.add("runner", r.Run)
	return nil
}

func (h *host) ingress() error {
	conn, err := h.dial("slack-ingress")
	if err != nil {
		return err
	}
	secret, token := telemetry.Secret(h.Secret), telemetry.Secret(h.Token)
	s, err := ingress.New(ingress.Config{SigningSecret: &secret, BotToken: &token, APIURL: h.Slack}, ingress.Deps{Conn: conn, Logger: h.logger})
	if err != nil {
		return err
	}
	h.mux.Handle("/slack/", s.Handler())
	h.add("slack-ingress", s.Run)
	return nil
}

func (h *host) add(name string, run func(context.Context, func()) error) {
	h.parts = append(h.parts, lifecycle.Part{Name: name, Run: run})
}

// control is what the parent asks for beside the product's own interfaces.
func (h *host) control() {
	h.mux.HandleFunc("GET /bench/commits", func(w http.ResponseWriter, r *http.Request) {
		_ = json.NewEncoder(w).Encode(h.log.of(r.FormValue("subject"))) // the parent notices what is missing
	})
	h.mux.HandleFunc("POST /bench/tap", func(_ http.ResponseWriter, r *http.Request) { h.log.on(r.FormValue("on") == "true") })
	h.mux.HandleFunc("POST /bench/floor", h.floor)
	h.mux.HandleFunc("/debug/pprof/", pprof.Index)
	h.mux.HandleFunc("/debug/pprof/profile", pprof.Profile)
}

// listen is the last part, so that its word "ready" means everything.
func (h *host) listen() error {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	h.add("http", func(ctx context.Context, ready func()) error {
		server := &http.Server{Handler: h.mux, ReadHeaderTimeout: stopWait}
		context.AfterFunc(ctx, func() { _ = server.Close() })
		ready()
		fmt.Printf("%s http://%s\n", wordReady, listener.Addr())
		if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
			return err
		}
		return nil
	})
	return nil
}

// Words that a child says on its standard output.
const (
	wordReady   = "ready"
	wordStarted = "started" // the step that never ends, with its attempt
)

// countEvery is how often a stream of counts is looked at.
const countEvery = 5 * time.Millisecond

// streamCount writes what count returns, a line each time it has changed.
func streamCount(ctx context.Context, w http.ResponseWriter, count func() int) {
	tick := time.NewTicker(countEvery)
	defer tick.Stop()
	out := http.NewResponseController(w)
	for last := -1; ; {
		if n := count(); n != last {
			last = n
			if _, err := fmt.Fprintln(w, n); err != nil || out.Flush() != nil {
				return
			}
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}
