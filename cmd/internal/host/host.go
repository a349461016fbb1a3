// Package host is what every binary of Slipway is made of: it connects to NATS,
// prepares the streams, listens, and runs services together until they are told
// to stop. It knows how to build each service and nothing of what they do; the
// mains choose. Only mains may use it.
package host

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"runtime/debug"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/slipway-hq/slipway/internal/eventlog"
	"github.com/slipway-hq/slipway/internal/eventlog/jetlog"
	"github.com/slipway-hq/slipway/internal/lifecycle"
	"github.com/slipway-hq/slipway/internal/natsconn"
	"github.com/slipway-hq/slipway/internal/settings"
	"github.com/slipway-hq/slipway/internal/telemetry"
	"github.com/slipway-hq/slipway/internal/topology"
	ingress "github.com/slipway-hq/slipway/services/slack-ingress"
)

// Flags are common to all binaries.
type Flags struct {
	Listen   settings.Address `help:"Address of the HTTP server: requests, API, health and metrics." default:"127.0.0.1:8080" env:"SLIPWAY_LISTEN"`
	Replicas int              `help:"Replicas of the streams when they are created: 1 or 3; 0 chooses by the cluster." default:"0" env:"SLIPWAY_REPLICAS"`
	NATS     settings.NATS    `embed:""`
}

// Host is one process.
type Host struct {
	Name     string // of this process, unique enough to hold offices
	Logger   *slog.Logger
	Log      eventlog.Log
	JS       jetstream.JetStream
	Replicas int
	Health   *lifecycle.Health
	Metrics  *telemetry.Telemetry

	dial     func(name string) (*nats.Conn, error)
	mux      *http.ServeMux
	listener net.Listener
	ingress  *ingress.Service // nil: not in this process
	parts    []lifecycle.Part
	closers  []func(context.Context) error
}

// Version is the module's version, or the commit that it was built from.
func Version() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown"
	}
	if v := info.Main.Version; v != "" && v != "(devel)" {
		return v
	}
	for _, s := range info.Settings {
		if s.Key == "vcs.revision" {
			return "devel-" + s.Value[:min(12, len(s.Value))]
		}
	}
	return "devel"
}

// Open prepares a process whose NATS is elsewhere.
func Open(ctx context.Context, service string, f Flags, logger *slog.Logger) (*Host, error) {
	if !f.NATS.External() {
		return nil, errors.New("no NATS is named: set NATS_URL or --nats-url (slipway up brings its own)")
	}
	where := f.NATS.Settings()
	where.Service = service
	dial := func(name string) (*nats.Conn, error) { return natsconn.Dial(ctx, name, where, logger) }
	return Prepare(ctx, service, f, logger, dial, topology.DefaultStore)
}

// Prepare listens, connects by dial and sees to the streams: it creates what is
// missing and refuses to start on drift. store is how many bytes of disk the
// streams may use.
func Prepare(ctx context.Context, service string, f Flags, logger *slog.Logger, dial func(string) (*nats.Conn, error), store int64) (*Host, error) {
	name, err := os.Hostname()
	if err != nil {
		name = "host"
	}
	h := &Host{Name: fmt.Sprintf("%s/%s/%d", service, name, os.Getpid()), Logger: logger, Health: lifecycle.NewHealth(), dial: dial, mux: http.NewServeMux()}
	if h.Metrics, err = telemetry.Setup(ctx, service, Version(), logger); err != nil {
		return nil, err
	}
	h.closers = append(h.closers, h.Metrics.Shutdown)
	if h.listener, err = listen(string(f.Listen)); err != nil {
		return nil, errors.Join(err, h.Close(ctx))
	}
	h.closers = append(h.closers, func(context.Context) error { return ignoreClosed(h.listener.Close()) })
	if err := h.connect(ctx, f.Replicas, store); err != nil {
		return nil, errors.Join(err, h.Close(ctx))
	}
	h.Health.Register(h.mux)
	h.mux.Handle("GET /metrics", h.Metrics.Handler())
	h.Health.Add("jetstream", lifecycle.Every(canaryEvery, func(ctx context.Context) error { return topology.Canary(ctx, h.JS, service) }))
	return h, nil
}

// canaryEvery bounds how often readiness costs a write to disk.
const canaryEvery = 2 * time.Second

func listen(address string) (net.Listener, error) {
	l, err := net.Listen("tcp", address)
	if err != nil {
		return nil, fmt.Errorf("cannot listen on %s: %w. Another program has the port, or another Slipway: choose a different one with --listen", address, err)
	}
	return l, nil
}

func ignoreClosed(err error) error {
	if errors.Is(err, net.ErrClosed) {
		return nil
	}
	return err
}

func (h *Host) connect(ctx context.Context, replicas int, store int64) error {
	conn, err := h.Conn("log")
	if err != nil {
		return err
	}
	if h.JS, err = jetstream.New(conn); err != nil {
		return fmt.Errorf("open JetStream: %w", err)
	}
	permitted, stop := natsconn.Until(ctx, conn, "")
	defer stop()
	if h.Replicas, err = prepareStreams(permitted, h.JS, replicas, store); err != nil {
		return natsconn.Why(permitted, err)
	}
	h.Log, err = jetlog.New(conn, topology.StreamEvents)
	return err
}

// prepareStreams creates what is missing and checks the rest. It returns the
// number of replicas, which was chosen when the log was made.
func prepareStreams(ctx context.Context, js jetstream.JetStream, replicas int, store int64) (int, error) {
	if err := topology.CheckServer(ctx, js); err != nil {
		return 0, err
	}
	have, err := topology.Replicas(ctx, js)
	switch {
	case err == nil:
		replicas = have
	case !errors.Is(err, jetstream.ErrStreamNotFound):
		return 0, err
	}
	if replicas, err = ensure(ctx, js, replicas, store); err != nil {
		return 0, err
	}
	drift, err := topology.Verify(ctx, js, topology.Topology(replicas, topology.LimitsFor(store)))
	if err != nil {
		return 0, err
	}
	if len(drift) > 0 {
		return 0, fmt.Errorf("the streams are not as Slipway needs them, and nothing is started on a guess: %s (%d differences; `slipway doctor` lists them)", drift[0], len(drift))
	}
	return replicas, nil
}

// codeNotClustered is what a server alone answers to more than one replica.
const codeNotClustered = 10074

// ensure creates the streams; 0 replicas means three in a cluster, one on a
// server alone. The choice is for ever, so a cluster that cannot hold three just
// now is an error and not a reason for one.
func ensure(ctx context.Context, js jetstream.JetStream, replicas int, store int64) (int, error) {
	if replicas != 0 {
		return replicas, topology.Ensure(ctx, js, topology.Topology(replicas, topology.LimitsFor(store)))
	}
	err := topology.Ensure(ctx, js, topology.Topology(3, topology.LimitsFor(store)))
	var api *jetstream.APIError
	switch {
	case err == nil:
		return 3, nil
	case errors.As(err, &api) && api.ErrorCode == codeNotClustered:
		return 1, topology.Ensure(ctx, js, topology.Topology(1, topology.LimitsFor(store)))
	}
	return 0, fmt.Errorf("create the streams with three replicas (wait until all servers are up, or choose one with --replicas=1): %w", err)
}

// Conn opens one more connection, which Close closes.
func (h *Host) Conn(name string) (*nats.Conn, error) {
	conn, err := h.dial(name)
	if err != nil {
		return nil, fmt.Errorf("connect to NATS: %w", err)
	}
	h.closers = append(h.closers, func(context.Context) error { conn.Close(); return nil })
	h.Health.Add("connection "+name, func(context.Context) error { return natsconn.Reach(conn) })
	h.Health.Add("permissions of "+name, func(context.Context) error { return natsconn.Refused(conn) })
	return conn, nil
}

// URL is where this process listens.
func (h *Host) URL() string { return "http://" + h.listener.Addr().String() }

// Handle mounts a handler.
func (h *Host) Handle(pattern string, handler http.Handler) { h.mux.Handle(pattern, handler) }

// Add runs a part with this process, after those added before.
func (h *Host) Add(name string, run func(ctx context.Context, ready func()) error) {
	h.parts = append(h.parts, lifecycle.Part{Name: name, Run: run})
}

// OnCloseLast calls f when everything else has stopped and is closed.
func (h *Host) OnCloseLast(f func(context.Context) error) {
	h.closers = append([]func(context.Context) error{f}, h.closers...)
}

// Run starts all parts in order, serves until ctx ends or a part fails, drains
// in reverse and closes. started is called when everything is up.
func (h *Host) Run(ctx context.Context, drain time.Duration, started func()) error {
	parts := append(h.parts, lifecycle.Part{Name: "http", Run: h.serve}, lifecycle.Part{Name: "started", Run: func(ctx context.Context, ready func()) error {
		h.Health.Started()
		started()
		ready()
		<-ctx.Done()
		h.Health.Draining()
		return nil
	}})
	err := lifecycle.Group{Log: h.Logger, Drain: drain}.Run(ctx, parts...)
	closing, cancel := context.WithTimeout(context.WithoutCancel(ctx), closeWait)
	defer cancel()
	return errors.Join(err, h.Close(closing))
}

// closeWait bounds the closing of connections and the last traces.
const closeWait = 5 * time.Second

// Close releases everything, the latest first.
func (h *Host) Close(ctx context.Context) error {
	var errs []error
	for i := len(h.closers) - 1; i >= 0; i-- {
		errs = append(errs, h.closers[i](ctx))
	}
	h.closers = nil
	return errors.Join(errs...)
}
