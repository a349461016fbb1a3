// Package runner executes runs: it takes hints from its pools, claims a run in
// the log, runs its steps one after the other, and commits every durable point.
// What a run may do is decided by domain/run; who gets a slot is the
// orchestrator's business; how a process is started and killed is
// internal/step's. cmd/slipway and cmd/runner make one Runner per data folder.
//
// Invariants: a command starts only after the commit that says so is confirmed;
// a finished step never runs again; when the lease or the claim is lost nothing
// more is committed and no process is left; a run is given back only when none
// of its processes live.
package runner

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/slipway-hq/slipway/domain/pipeline"
	commandv1 "github.com/slipway-hq/slipway/gen/slipway/command/v1"
	"github.com/slipway-hq/slipway/internal/eventlog"
	"github.com/slipway-hq/slipway/internal/lease"
	"github.com/slipway-hq/slipway/internal/lifecycle"
	"github.com/slipway-hq/slipway/internal/telemetry"
	"github.com/slipway-hq/slipway/services/runner/internal/journal"
	"github.com/slipway-hq/slipway/services/runner/internal/output"
)

const (
	// minCapacity keeps a small machine useful: steps wait more than they work.
	minCapacity = 4
	// rejoinPause keeps a runner that loses its lease again and again from spinning.
	rejoinPause = 200 * time.Millisecond
	// defaultDrain is how long a draining runner waits for its steps by default.
	defaultDrain = 60 * time.Second
)

// Config is what an operator may choose.
type Config struct {
	Pools        []string      `name:"runner-pools" help:"Pools whose runs this runner takes." default:"default" env:"SLIPWAY_RUNNER_POOLS"`
	Capacity     int           `name:"runner-capacity" help:"Most runs at one time; 0 means twice the processors, at least 4." default:"0" env:"SLIPWAY_RUNNER_CAPACITY"`
	Name         string        `name:"runner-name" help:"Name that people see and can ask for; the host's when empty." env:"SLIPWAY_RUNNER_NAME"`
	Labels       []string      `name:"runner-label" help:"A label that pipelines can ask for, such as gpu=yes; repeatable. os and arch are there by themselves." placeholder:"KEY=VALUE" env:"SLIPWAY_RUNNER_LABELS"`
	DrainTimeout time.Duration `name:"runner-drain-timeout" help:"How long a stopping runner waits for the end of the steps that run." default:"60s" env:"SLIPWAY_RUNNER_DRAIN_TIMEOUT"`

	CallbackURL string           `name:"callback-url" help:"Address of slack-ingress as jobs reach it, where they may speak while they run." env:"SLIPWAY_CALLBACK_URL"`
	CallbackKey telemetry.Secret `name:"callback-key" env:"SLIPWAY_CALLBACK_KEY" hidden:"" help:"Key shared with slack-ingress; without it jobs get no address to speak at."`

	// Dir is the data folder: identity, workspaces, caches. One process at a time.
	Dir string `kong:"-"`
}

// Deps is what a runner works with.
type Deps struct {
	Log    eventlog.Log
	Conn   *nats.Conn
	Logger *slog.Logger
	// Executor runs attempts; nil runs real processes.
	Executor Executor
	// Replicas of the streams; 0 means one.
	Replicas int
	// Timing of the lease; zero means lease.DefaultTiming.
	Timing lease.Timing
	// Version of the program, for people.
	Version string
	// StepEnv is given to every real process beside its plan's environment; nil
	// for nothing.
	StepEnv func() map[string]string
}

// Runner takes runs and executes them. Make it with New, start it with Run.
type Runner struct {
	cfg     Config
	deps    Deps
	js      jetstream.JetStream
	crash   chan struct{} // see Crash
	log     *slog.Logger
	host    string
	labels  map[string]string
	metrics *metrics
	grants  *grants
	// lookEvery is pollEvery; tests choose another.
	lookEvery time.Duration
	join      func(incarnation string, describe func() *commandv1.Lease, may func() bool) leaseholder

	// Set by Run.
	id      string
	journal *journal.Journal
	output  *output.Writer
	exec    Executor
	sweep   func()                      // removes what nobody needs any more
	await   func(context.Context) error // until no process of an earlier start lives
}

// leaseholder is what a runner needs of a lease; see lease.Lease.
type leaseholder interface {
	Run(ctx context.Context) error
	Ready() <-chan struct{}
	Remaining() time.Duration
	Release(ctx context.Context) error
}

// New checks the configuration. It touches neither disk nor network.
func New(cfg Config, deps Deps) (*Runner, error) {
	if cfg.Dir == "" {
		return nil, errors.New("runner: no data folder")
	}
	if cfg.Capacity < 0 || cfg.DrainTimeout < 0 {
		return nil, errors.New("runner: capacity and drain timeout cannot be negative")
	}
	if cfg.Capacity == 0 {
		cfg.Capacity = max(minCapacity, 2*runtime.GOMAXPROCS(0))
	}
	if cfg.DrainTimeout == 0 {
		cfg.DrainTimeout = defaultDrain
	}
	labels, err := labelsOf(cfg.Labels)
	if err != nil {
		return nil, fmt.Errorf("runner: %w", err)
	}
	if len(cfg.Pools) == 0 {
		cfg.Pools = []string{pipeline.DefaultPool}
	}
	deps.Replicas = max(1, deps.Replicas)
	if deps.Timing == (lease.Timing{}) {
		deps.Timing = lease.DefaultTiming()
	}
	js, err := jetstream.New(deps.Conn)
	if err != nil {
		return nil, fmt.Errorf("runner: %w", err)
	}
	host, err := os.Hostname()
	if err != nil {
		host = "unknown"
	}
	if cfg.Name == "" {
		cfg.Name = host
	}
	r := &Runner{crash: make(chan struct{}, 1), cfg: cfg, deps: deps, js: js, log: deps.Logger, host: host, labels: labels, grants: newGrants(deps.Log), lookEvery: pollEvery}
	if r.metrics, err = newMetrics(); err != nil {
		return nil, err
	}
	bucket := lease.NewBucket(js, deps.Replicas, deps.Timing, deps.Logger)
	r.join = func(incarnation string, describe func() *commandv1.Lease, may func() bool) leaseholder {
		return bucket.Lease(incarnation, describe, may)
	}
	return r, nil
}

// labelsOf reads KEY=VALUE texts. The machine's own come first.
func labelsOf(texts []string) (map[string]string, error) {
	labels := map[string]string{"os": runtime.GOOS, "arch": runtime.GOARCH}
	for _, text := range texts {
		key, value, ok := strings.Cut(strings.TrimSpace(text), "=")
		if !ok {
			return nil, fmt.Errorf("%q is not a label: write KEY=VALUE", text)
		}
		if why := pipeline.LabelFault(key, value); why != "" {
			return nil, errors.New(why)
		}
		labels[key] = value
	}
	if len(labels) > pipeline.MaxLabels {
		return nil, fmt.Errorf("%d labels are given, at most %d are allowed", len(labels), pipeline.MaxLabels)
	}
	return labels, nil
}

// Run takes and executes runs until ctx ends; then it drains: nothing new is
// taken, claims are given back at the next step boundary, and after the drain
// timeout the processes are killed. ready is called once, when hints arrive. It
// returns lifecycle.ErrLocked, wrapped, when another process uses the folder.
func (r *Runner) Run(ctx context.Context, ready func()) (err error) {
	lock, err := lifecycle.LockDir(r.cfg.Dir)
	if err != nil {
		return fmt.Errorf("start the runner: %w", err)
	}
	defer func() { err = errors.Join(err, lock.Release()) }()
	if err := r.open(); err != nil {
		return fmt.Errorf("start the runner: %w", err)
	}
	defer func() { err = errors.Join(err, r.journal.Close()) }()
	unobserve, err := r.metrics.observe(r.output.Dropped)
	if err != nil {
		return err
	}
	defer unobserve()
	defer r.background(ctx)()
	once := sync.OnceFunc(ready)
	for ctx.Err() == nil {
		if err := r.live(ctx, once); err != nil && ctx.Err() == nil {
			r.log.Warn("the runner gave its work up and joins again", "runner", r.id, "error", err)
			_ = pause(ctx, rejoinPause) // the loop looks at ctx
		}
	}
	return nil
}

// Crash makes the runner lose its work at once, as if it had been killed: its
// processes die, nothing is given back, and a new incarnation finds the claims
// and resumes. It is for showing just that.
func (r *Runner) Crash() {
	select {
	case r.crash <- struct{}{}:
	default:
	}
}

// background starts what works for all incarnations, beyond the end of ctx, and
// returns what stops it.
func (r *Runner) background(ctx context.Context) (stop func()) {
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	var group sync.WaitGroup
	group.Go(func() { r.output.Run(ctx) })
	group.Go(r.sweep)
	return func() {
		cancel()
		group.Wait()
	}
}

// open reads or makes what is in the data folder.
func (r *Runner) open() (err error) {
	if r.id, err = identity(filepath.Join(r.cfg.Dir, "id")); err != nil {
		return err
	}
	if r.journal, err = journal.Open(filepath.Join(r.cfg.Dir, "claims")); err != nil {
		return err
	}
	r.output = output.New(r.js, r.log)
	r.sweep = func() {}
	if r.exec, r.await = r.deps.Executor, func(context.Context) error { return nil }; r.exec == nil {
		processes, err := newSteps(r.cfg.Dir, r.js, r.log, r.deps.Timing.SelfKillAfter, r.deps.StepEnv, newCallbacks(r.cfg))
		if err != nil {
			return err
		}
		processes.self = map[string]string{"SLIPWAY_HOST": r.host, "SLIPWAY_RUNNER": r.cfg.Name, "SLIPWAY_RUNNER_VERSION": r.deps.Version}
		r.exec, r.await = processes, processes.awaitPredecessors
		r.sweep = func() { processes.sweep(r.journal.Holds) }
	}
	return nil
}

// identity returns the id in the file at path, after making one when there is
// none.
func identity(path string) (string, error) {
	data, err := os.ReadFile(path) //nolint:gosec // a file of the runner's own folder
	if err == nil {
		if id := strings.TrimSpace(string(data)); id != "" {
			return id, nil
		}
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return "", fmt.Errorf("read the runner's id: %w", err)
	}
	id := "r-" + strings.ToLower(rand.Text())
	next := path + ".new"
	if err := errors.Join(os.WriteFile(next, []byte(id+"\n"), 0o600), os.Rename(next, path)); err != nil {
		return "", fmt.Errorf("write the runner's id: %w", err)
	}
	return id, nil
}
