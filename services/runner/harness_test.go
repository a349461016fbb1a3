package runner

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/slipway-hq/slipway/domain/run"
	commandv1 "github.com/slipway-hq/slipway/gen/slipway/command/v1"
	eventv1 "github.com/slipway-hq/slipway/gen/slipway/event/v1"
	"github.com/slipway-hq/slipway/internal/engine"
	"github.com/slipway-hq/slipway/internal/eventlog"
	"github.com/slipway-hq/slipway/internal/eventlog/jetlog"
	"github.com/slipway-hq/slipway/internal/natsnode"
	"github.com/slipway-hq/slipway/internal/natsnode/natsnodetest"
	"github.com/slipway-hq/slipway/internal/topology"
)

// patience is how long a test waits for what must come.
const patience = 20 * time.Second

// world is a server with all streams, a log, and a dispatcher in miniature.
type world struct {
	t    testing.TB
	node *natsnode.Node
	nc   *nats.Conn
	js   jetstream.JetStream
	log  eventlog.Log
	lane string
}

func newWorld(t testing.TB) *world {
	t.Helper()
	return newWorldOn(t, "")
}

// newWorldOn is a world whose server listens, too.
func newWorldOn(t testing.TB, listen string) *world {
	t.Helper()
	node := natsnodetest.Start(t, natsnode.Config{Dir: t.TempDir(), NoSync: true, MaxFileStore: 1 << 30, Listen: listen})
	w := &world{t: t, node: node, lane: "api/prod"}
	w.nc = w.connect()
	js, err := jetstream.New(w.nc)
	must(t, err)
	w.js = js
	must(t, topology.Ensure(t.Context(), js, topology.Topology(1, topology.LimitsFor(512<<20), "default")))
	w.log = w.newLog(w.nc)
	return w
}

func (w *world) connect() *nats.Conn {
	w.t.Helper()
	nc, err := w.node.Connect(w.t.Name())
	must(w.t, err)
	w.t.Cleanup(nc.Close)
	return nc
}

func (w *world) newLog(nc *nats.Conn) eventlog.Log {
	w.t.Helper()
	log, err := jetlog.New(nc, topology.StreamEvents)
	must(w.t, err)
	return log
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// plan is a pipeline of shell steps in the world's lane.
func (w *world) plan(steps ...*eventv1.Step) *eventv1.Plan {
	return &eventv1.Plan{Pipeline: "p", Lane: w.lane, Pool: "default", Steps: steps}
}

func shell(name, line string) *eventv1.Step { return &eventv1.Step{Name: name, Shell: line} }

var meta = engine.Meta{CommandID: "test", Actor: &eventv1.Principal{Kind: eventv1.Principal_KIND_SYSTEM, Name: "test"}}

// decide takes one decision on a run, as the orchestrator would.
func (w *world) decide(id string, c run.Command) run.State {
	w.t.Helper()
	h, err := openRun(w.t.Context(), w.log, id)
	must(w.t, err)
	m := meta
	m.Time = time.Now()
	result, err := h.Do(w.t.Context(), m, func(s run.State) ([]*eventv1.Event, error) { return run.Decide(s, c) })
	must(w.t, err)
	return result.State
}

// request stores a run and grants it a slot; it returns the hint.
func (w *world) request(id string, plan *eventv1.Plan) *commandv1.Hint {
	w.t.Helper()
	w.decide(id, run.Request{Event: requested(id, plan)})
	return &commandv1.Hint{Run: id, LaneSubject: topology.LaneSubject(w.lane), GrantSequence: w.grant(id)}
}

func requested(id string, plan *eventv1.Plan) *eventv1.RunRequested {
	digest := sha256.Sum256([]byte(id))
	return &eventv1.RunRequested{Run: id, Identity: id, Digest: digest[:], Plan: plan, Service: "api", Environment: "prod", Version: "v1"}
}

func (w *world) grant(ids ...string) uint64 {
	w.t.Helper()
	event := &eventv1.Event{Kind: &eventv1.Event_LaneGranted{LaneGranted: &eventv1.LaneGranted{Lane: w.lane, Runs: ids, Limit: 1000}}}
	h := engine.Fresh(w.log, topology.LaneSubject(w.lane), 0, func(n int, _ eventlog.Record) int { return n + 1 })
	m := meta
	m.Time = time.Now()
	result, err := h.Do(w.t.Context(), m, func(int) ([]*eventv1.Event, error) { return []*eventv1.Event{event}, nil })
	must(w.t, err)
	return result.Record.Sequence
}

func (w *world) publish(hint *commandv1.Hint) {
	w.t.Helper()
	data, err := proto.Marshal(hint)
	must(w.t, err)
	_, err = w.js.Publish(w.t.Context(), topology.WorkSubject("default", hint.GetRun()), data)
	must(w.t, err)
}

// offer publishes a hint if there is somebody to take it just now.
func (w *world) offer(hint *commandv1.Hint) {
	data, err := proto.Marshal(hint)
	must(w.t, err)
	_ = w.nc.Publish(topology.WorkSubject("default", hint.GetRun()), data) // lost while the stream is away
}

func (w *world) start(id string, plan *eventv1.Plan) *commandv1.Hint {
	w.t.Helper()
	hint := w.request(id, plan)
	w.publish(hint)
	return hint
}

// until waits until the run is as ok wants it.
func (w *world) until(id, what string, ok func(run.State) bool) run.State {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(w.t.Context(), patience)
	defer cancel()
	h := engine.Fresh(w.log, topology.RunSubject(id), run.State{}, foldRun)
	for {
		if err := h.Refresh(ctx); err == nil && ok(h.State()) {
			return h.State()
		}
		if pause(ctx, time.Millisecond) != nil {
			w.t.Fatalf("%s: waited for %s; it is %+v", id, what, h.State())
		}
	}
}

func (w *world) ended(id string) run.State {
	w.t.Helper()
	return w.until(id, "the end", func(s run.State) bool { return s.Status.Ended() })
}

func (w *world) records(id string) []eventlog.Record {
	w.t.Helper()
	records, err := w.log.Load(w.t.Context(), topology.RunSubject(id), 0)
	must(w.t, err)
	return records
}

// events are the names of everything that happened to a run.
func (w *world) events(id string) []string {
	w.t.Helper()
	var names []string
	for _, rec := range w.records(id) {
		for _, e := range rec.Commit.GetEvents() {
			kind := e.ProtoReflect().WhichOneof(e.ProtoReflect().Descriptor().Oneofs().ByName("kind"))
			names = append(names, string(kind.Name()))
		}
	}
	return names
}

// live is one started runner.
type live struct {
	*Runner
	t      testing.TB
	cancel context.CancelFunc
	done   chan struct{}
	err    error
}

type option func(*Config, *Deps, *Runner)

func in(dir string) option { return func(c *Config, _ *Deps, _ *Runner) { c.Dir = dir } }

func over(log eventlog.Log) option { return func(_ *Config, d *Deps, _ *Runner) { d.Log = log } }

func drainFor(d time.Duration) option {
	return func(c *Config, _ *Deps, _ *Runner) { c.DrainTimeout = d }
}

// nudgedOnly makes the runner rely on nudges.
func nudgedOnly() option {
	return func(_ *Config, _ *Deps, r *Runner) {
		if r != nil {
			r.lookEvery = time.Hour
		}
	}
}

// leasing replaces the lease.
func leasing(l *fakeLease) option {
	return func(_ *Config, _ *Deps, r *Runner) {
		if r != nil {
			r.join = func(string, func() *commandv1.Lease, func() bool) leaseholder { return l.joined() }
		}
	}
}

// runner starts a runner that is ready when this returns and drained at the end
// of the test. exec nil: real processes.
func (w *world) runner(exec Executor, opts ...option) *live {
	w.t.Helper()
	nc := w.connect()
	cfg := Config{Dir: w.t.TempDir(), Capacity: 8, DrainTimeout: patience}
	deps := Deps{Log: w.newLog(nc), Conn: nc, Executor: exec, Logger: logger(w.t)}
	for _, o := range opts {
		o(&cfg, &deps, nil)
	}
	r, err := New(cfg, deps)
	must(w.t, err)
	r.lookEvery = 10 * time.Millisecond
	for _, o := range opts {
		o(&Config{}, &Deps{}, r)
	}
	ctx, cancel := context.WithCancel(context.Background())
	l := &live{Runner: r, t: w.t, cancel: cancel, done: make(chan struct{})}
	ready := make(chan struct{})
	go func() {
		defer close(l.done)
		l.err = r.Run(ctx, func() { close(ready) })
	}()
	w.t.Cleanup(l.stop)
	select {
	case <-ready:
	case <-l.done:
		w.t.Fatalf("the runner ended: %v", l.err)
	case <-time.After(patience):
		w.t.Fatal("the runner is not ready")
	}
	return l
}

// stop drains the runner and waits for it.
func (l *live) stop() {
	l.t.Helper()
	l.cancel()
	l.wait()
}

func (l *live) wait() {
	l.t.Helper()
	select {
	case <-l.done:
		if l.err != nil {
			l.t.Errorf("the runner ended with %v", l.err)
		}
	case <-time.After(patience + releaseWait):
		l.t.Fatal("the runner does not stop")
	}
}

func logger(t testing.TB) *slog.Logger {
	if os.Getenv("RUNNER_TEST_LOG") == "" {
		return slog.New(slog.DiscardHandler)
	}
	return slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelDebug}))
}

// script is an executor that does what each attempt's function says and
// remembers what ran.
type script struct {
	do func(ctx context.Context, a Attempt, out Sink) (Result, error)

	mu  sync.Mutex
	ran []string
}

func (s *script) Execute(ctx context.Context, a Attempt, out Sink) (Result, error) {
	what := fmt.Sprintf("%s/%d", a.Command().GetName(), a.Number)
	if a.Probe {
		what += "?"
	}
	s.mu.Lock()
	s.ran = append(s.ran, what)
	s.mu.Unlock()
	if s.do == nil {
		return Result{}, nil
	}
	return s.do(ctx, a, out)
}

func (s *script) log() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]string(nil), s.ran...)
}

// untilStopped blocks an attempt until it is stopped, as a process would.
func untilStopped(ctx context.Context) (Result, error) {
	<-ctx.Done()
	if errors.Is(context.Cause(ctx), ErrAbandon) {
		return Result{}, ErrAbandon
	}
	return Result{Failure: eventv1.StepFailed_CAUSE_STOPPED, ExitCode: NoExit, Signal: "SIGTERM", Error: "stopped on request"}, nil
}

// fakeLease is a lease that lives until it is killed; after that nobody joins.
type fakeLease struct {
	ready chan struct{}
	once  sync.Once
	dead  chan struct{}
}

func newFakeLease() *fakeLease {
	l := &fakeLease{ready: make(chan struct{}), dead: make(chan struct{})}
	close(l.ready)
	return l
}

func (l *fakeLease) kill() { l.once.Do(func() { close(l.dead) }) }

// joined returns the lease, or after its death one that is never ready.
func (l *fakeLease) joined() *fakeLease {
	if isClosed(l.dead) {
		return &fakeLease{ready: make(chan struct{}), dead: make(chan struct{})}
	}
	return l
}

func (l *fakeLease) Run(ctx context.Context) error {
	select {
	case <-ctx.Done():
		return nil
	case <-l.dead:
		return errors.New("killed by the test")
	}
}
func (l *fakeLease) Ready() <-chan struct{}        { return l.ready }
func (l *fakeLease) Release(context.Context) error { return nil }
func (l *fakeLease) Remaining() time.Duration {
	if isClosed(l.dead) {
		return 0
	}
	return time.Hour
}

func retries(n uint32, delay time.Duration) *eventv1.Retry {
	return &eventv1.Retry{Attempts: n, Delay: durationpb.New(delay), Backoff: 1}
}

// stamp is an executor that tells when an attempt starts.
type stamp struct{ at chan time.Time }

func newStamp() *stamp { return &stamp{at: make(chan time.Time, 1)} }

func (s *stamp) Execute(context.Context, Attempt, Sink) (Result, error) {
	s.at <- time.Now()
	return Result{}, nil
}

// ear is a log handler that waits for one message.
type ear struct {
	slog.Handler
	message string
	heard   chan struct{}
	once    *sync.Once
}

func newEar(message string) ear {
	return ear{Handler: slog.DiscardHandler, message: message, heard: make(chan struct{}), once: new(sync.Once)}
}

func (e ear) Enabled(context.Context, slog.Level) bool { return true }

func (e ear) Handle(_ context.Context, r slog.Record) error {
	if r.Message == e.message {
		e.once.Do(func() { close(e.heard) })
	}
	return nil
}

func logging(h slog.Handler) option {
	return func(_ *Config, d *Deps, _ *Runner) { d.Logger = slog.New(h) }
}
