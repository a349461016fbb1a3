package orchestrator

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"runtime/debug"
	"sync/atomic"
	"time"

	"connectrpc.com/connect"
	"connectrpc.com/otelconnect"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"golang.org/x/sync/errgroup"

	"github.com/slipway-hq/slipway/domain/board"
	"github.com/slipway-hq/slipway/domain/pipeline"
	apiv1 "github.com/slipway-hq/slipway/gen/slipway/api/v1"
	"github.com/slipway-hq/slipway/gen/slipway/api/v1/apiv1connect"
	eventv1 "github.com/slipway-hq/slipway/gen/slipway/event/v1"
	"github.com/slipway-hq/slipway/internal/configfile"
	"github.com/slipway-hq/slipway/internal/eventlog"
	"github.com/slipway-hq/slipway/internal/lease"
	"github.com/slipway-hq/slipway/internal/projection"
	"github.com/slipway-hq/slipway/internal/telemetry"
	"github.com/slipway-hq/slipway/internal/topology"
)

// Config is the orchestrator's own settings.
type Config struct {
	// File is the path of slipway.yaml; empty: run with what was adopted before.
	File string
	// Token guards the API; empty: callers on this machine only.
	Token telemetry.Secret
	// Replicas of streams, 1 or 3.
	Replicas int
}

// Deps is what the orchestrator stands on.
type Deps struct {
	Log    eventlog.Log
	Conn   *nats.Conn
	Holder string // names this process in offices
	Timing lease.Timing
	Logger *slog.Logger
	Now    func() time.Time
	// Checks are further questions of doctor, which other parts can answer.
	Checks []func(context.Context) []*apiv1.Check
}

// Orchestrator is the service.
type Orchestrator struct {
	cfg        Config
	deps       Deps
	js         jetstream.JetStream
	proj       *projection.Projection
	view       *view
	desk       *desk
	intake     *intake
	dispatcher *dispatcher
	bucket     *lease.Bucket
	watch      *lease.Watch
	adopted    atomic.Pointer[adopted]
	refused    atomic.Pointer[configfile.Problems] // of the file, when it is not the one in force
	handlers   map[string]http.Handler
	aged       aged          // of the janitor alone
	changes    chan struct{} // a configuration was adopted in the log
	taken      chan struct{} // one was parsed and is in force
	logger     *slog.Logger
}

// New puts the service together; nothing runs yet.
func New(cfg Config, deps Deps) (*Orchestrator, error) {
	js, err := jetstream.New(deps.Conn)
	if err != nil {
		return nil, fmt.Errorf("orchestrator: %w", err)
	}
	if deps.Now == nil {
		deps.Now = time.Now
	}
	o := &Orchestrator{cfg: cfg, deps: deps, js: js, logger: deps.Logger.With("service", "orchestrator"), changes: make(chan struct{}, 1), taken: make(chan struct{}, 1)}
	o.proj = projection.New(deps.Log, o.observe)
	m, err := newMetrics(o.proj.Sequence, o.active)
	if err != nil {
		return nil, fmt.Errorf("orchestrator: metrics: %w", err)
	}
	o.bucket = lease.NewBucket(js, cfg.Replicas, deps.Timing, o.logger)
	o.watch = o.bucket.Watch()
	o.view = &view{log: deps.Log, proj: o.proj, world: o.world}
	o.desk = &desk{log: deps.Log, view: o.view, config: o.adopted.Load, nudge: o.nudge, now: deps.Now, logger: o.logger}
	logs := &logReader{js: js}
	o.intake = &intake{conn: deps.Conn, js: js, logger: o.logger, metrics: m, clerk: &clerk{desk: o.desk, view: o.view, proj: o.proj, logs: logs, now: deps.Now}}
	o.dispatcher = newDispatcher(deps.Log, o.logger, deps.Now, m)
	o.dispatcher.proj, o.dispatcher.lapsed, o.dispatcher.hints = o.proj, o.watch.Lapsed, deps.Conn.Publish
	o.dispatcher.settings = o.settings
	if err := o.serve(logs); err != nil {
		return nil, err
	}
	return o, nil
}

// serve mounts the API.
func (o *Orchestrator) serve(logs *logReader) error {
	traced, err := otelconnect.NewInterceptor(otelconnect.WithTrustRemote())
	if err != nil {
		return fmt.Errorf("orchestrator: %w", err)
	}
	options := []connect.HandlerOption{connect.WithInterceptors(traced), connect.WithReadMaxBytes(maxRequest), connect.WithRecover(o.recovered)}
	g := newGuard(string(o.cfg.Token))
	runs := &runAPI{desk: o.desk, view: o.view, proj: o.proj, logs: logs, guard: g}
	lanes := &laneAPI{run: runs, view: o.view, proj: o.proj}
	system := &systemAPI{o: o}
	o.handlers = map[string]http.Handler{}
	mount := func(path string, h http.Handler) { o.handlers[path] = g.wrap(h) }
	mount(apiv1connect.NewRunServiceHandler(runs, options...))
	mount(apiv1connect.NewLaneServiceHandler(lanes, options...))
	mount(apiv1connect.NewSystemServiceHandler(system, options...))
	o.meta(mount, options...)
	return nil
}

// recovered turns a panic of one call into an error of that call.
func (o *Orchestrator) recovered(_ context.Context, spec connect.Spec, _ http.Header, cause any) error {
	o.logger.Error("a call made the API panic", "procedure", spec.Procedure, "cause", fmt.Sprint(cause), "stack", string(debug.Stack()))
	return connect.NewError(connect.CodeInternal, errors.New("something went wrong on my side; the log of the orchestrator says what"))
}

// maxRequest bounds an API request.
const maxRequest = 1 << 20

// Handlers are the API's paths and what serves them.
func (o *Orchestrator) Handlers() map[string]http.Handler { return o.handlers }

// observe passes every change on to whoever derives something from it.
func (o *Orchestrator) observe(c projection.Change) {
	if c.Config {
		poke(o.changes)
	}
	o.dispatcher.observe(c)
}

// poke leaves a note in ch, unless there is one.
func poke(ch chan<- struct{}) {
	select {
	case ch <- struct{}{}:
	default:
	}
}

// Run serves until ctx ends. ready is called once the log is folded and the
// configuration, if there is a file, adopted.
func (o *Orchestrator) Run(ctx context.Context, ready func()) error {
	group, ctx := errgroup.WithContext(ctx)
	folded := make(chan struct{})
	group.Go(func() error { return o.proj.Run(ctx, func() { close(folded) }) })
	group.Go(func() error { return o.watch.Run(ctx) })
	group.Go(func() error {
		select {
		case <-folded:
		case <-ctx.Done():
			return ctx.Err()
		}
		group.Go(func() error { return o.takeConfigs(ctx) })
		if err := o.configure(ctx); err != nil {
			return err
		}
		group.Go(func() error { return o.bucket.Office("dispatcher", o.deps.Holder).Run(ctx, o.dispatcher.run) })
		group.Go(func() error { return o.intake.run(ctx) })
		group.Go(func() error { return o.intake.queries(ctx) })
		group.Go(func() error { return o.janitor(ctx) })
		if o.cfg.File != "" {
			group.Go(func() error { return configfile.Watch(ctx, o.cfg.File, o.changed(ctx)) })
		}
		ready()
		return nil
	})
	err := group.Wait()
	if errors.Is(err, context.Canceled) {
		return nil
	}
	return err
}

// configure adopts the file at the start. A bad file refuses to start only when
// nothing was adopted before.
func (o *Orchestrator) configure(ctx context.Context) error {
	if o.cfg.File == "" {
		select {
		case <-o.taken: // what was adopted before, if anything, is in force
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	file, problems := configfile.Load(o.cfg.File)
	if len(problems) == 0 {
		if err := o.adopt(ctx, file); err != nil {
			return err
		}
		return o.awaitConfig(ctx, file.Digest)
	}
	if !o.haveConfig(ctx) {
		return fmt.Errorf("the configuration has %d problems:\n%w", len(problems), problems.Err())
	}
	o.refuseConfig(problems)
	return nil
}

// awaitConfig returns when the adopted configuration is the one with digest.
func (o *Orchestrator) awaitConfig(ctx context.Context, digest string) error {
	for {
		if a := o.adopted.Load(); a != nil && a.digest == digest {
			return nil
		}
		select {
		case <-o.taken:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func (o *Orchestrator) changed(ctx context.Context) func(*configfile.File, configfile.Problems) {
	return func(file *configfile.File, problems configfile.Problems) {
		if len(problems) > 0 {
			o.refuseConfig(problems)
			return
		}
		if err := o.adopt(ctx, file); err != nil && ctx.Err() == nil {
			o.logger.Error("changed configuration not adopted", "error", err)
		}
	}
}

func (o *Orchestrator) refuseConfig(problems configfile.Problems) {
	o.logger.Error("configuration refused, the one in force stays", "problems", len(problems), "first", problems[0].String())
	o.refused.Store(&problems)
}

func (o *Orchestrator) adopt(ctx context.Context, file *configfile.File) error {
	objects, err := topology.Objects(ctx, o.js)
	if err != nil {
		return fmt.Errorf("open the object store: %w", err)
	}
	if err := adopt(ctx, o.deps.Log, objects, file, o.deps.Now()); err != nil {
		return err
	}
	o.refused.Store(nil)
	return nil
}

// haveConfig tells whether the log holds a configuration that is usable here.
func (o *Orchestrator) haveConfig(ctx context.Context) bool {
	var c board.Config
	o.proj.Read(func(b *board.Board) { c = b.Config })
	ctx, cancel := context.WithTimeout(ctx, commandWait)
	defer cancel()
	return c.Sequence != 0 && o.awaitConfig(ctx, c.Digest) == nil
}

// takeConfigs puts what the log says is adopted into force, now and at each
// change, beside the fold: it may have to fetch and to create.
func (o *Orchestrator) takeConfigs(ctx context.Context) error {
	for {
		o.takeConfig(ctx)
		poke(o.taken)
		select {
		case <-o.changes:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func (o *Orchestrator) takeConfig(ctx context.Context) {
	var c board.Config
	o.proj.Read(func(b *board.Board) { c = b.Config })
	if c.Sequence == 0 {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, commandWait)
	defer cancel()
	objects, err := topology.Objects(ctx, o.js)
	if err == nil {
		var a *adopted
		if a, err = parseAdopted(ctx, objects, c); err == nil {
			o.adopted.Store(a)
			o.dispatcher.observe(projection.Change{Config: true})
			o.ensurePools(ctx, a.config)
			o.logger.Info("configuration adopted", "origin", c.Origin, "digest", short(c.Digest, 12), "sequence", c.Sequence)
			return
		}
	}
	o.logger.Error("adopted configuration not usable here, the last one stays", "error", err)
}

// ensurePools makes the consumers of the pools that are configured.
func (o *Orchestrator) ensurePools(ctx context.Context, cfg pipeline.Config) {
	for pool := range cfg.Pools {
		if err := topology.EnsurePool(ctx, o.js, o.cfg.Replicas, pool); err != nil {
			o.logger.Warn("pool not prepared, its first runner does it", "pool", pool, "error", err)
		}
	}
}

// settings are a lane's limits in force.
func (o *Orchestrator) settings(lane string) *eventv1.LaneSettings {
	return o.adopted.Load().settings(lane)
}

// world is what reasons depend on beside the log.
func (o *Orchestrator) world() board.World {
	return board.World{Now: o.deps.Now(), Runners: o.Runners, Settings: o.settings}
}

// Runners counts the live runners of a pool; -1: not known.
func (o *Orchestrator) Runners(pool string) int {
	leases, known := o.watch.Live()
	if !known {
		return -1
	}
	n := 0
	for _, l := range leases {
		for _, p := range l.GetPools() {
			if p == pool && !l.GetDraining() {
				n++
			}
		}
	}
	return n
}

// nudge tells a runner to look at a run; it is only for speed.
func (o *Orchestrator) nudge(incarnation, run string) {
	if err := o.deps.Conn.Publish(topology.NudgeSubject(incarnation), []byte(run)); err != nil {
		o.logger.Warn("runner not nudged, it looks by itself", "error", err)
	}
}

func (o *Orchestrator) active() (queued, occupied int) {
	o.proj.Read(func(b *board.Board) {
		b.Lanes(func(ln *board.Lane) {
			queued += len(ln.Queue)
			occupied += ln.Active
		})
	})
	return queued, occupied
}

// janitorEvery is how often handled requests are dropped from INBOX and memory
// streams that a restart of the server took are made again.
const janitorEvery = 2 * time.Second

func (o *Orchestrator) janitor(ctx context.Context) error {
	tick, rare := time.NewTicker(janitorEvery), time.NewTicker(artefactEvery)
	defer tick.Stop()
	defer rare.Stop()
	for {
		work := o.tidy
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		case <-rare.C:
			work = o.dropArtefacts
		}
		if err := work(ctx); err != nil && ctx.Err() == nil {
			o.logger.Warn("streams not tidied, tried again", "error", err)
		}
	}
}

func (o *Orchestrator) tidy(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, commandWait)
	defer cancel()
	if err := topology.EnsureVolatile(ctx, o.js, o.spec()); err != nil {
		return err
	}
	handled, err := topology.InboxHandled(ctx, o.js)
	if err != nil {
		return err
	}
	return topology.PurgeInbox(ctx, o.js, o.aged.pass(handled, o.deps.Now()))
}

// aged delays the purge of handled requests by the window in which INBOX knows
// repeats, because it forgets those of messages that are gone.
type aged struct {
	marks []mark
}

type mark struct {
	sequence uint64
	at       time.Time
}

// markEvery keeps the marks of one window few.
const markEvery = 30 * time.Second

// pass notes what is handled now and returns what was a window ago.
func (a *aged) pass(handled uint64, now time.Time) (purge uint64) {
	if n := len(a.marks); handled > 0 && (n == 0 || now.Sub(a.marks[n-1].at) >= markEvery) {
		a.marks = append(a.marks, mark{handled, now})
	}
	for len(a.marks) > 0 && now.Sub(a.marks[0].at) >= topology.DedupeWindow {
		purge = a.marks[0].sequence
		a.marks = a.marks[1:]
	}
	return purge
}

// spec is the topology with the configured pools.
func (o *Orchestrator) spec() topology.Spec {
	pools := []string{pipeline.DefaultPool}
	if a := o.adopted.Load(); a != nil {
		for pool := range a.config.Pools {
			if pool != pipeline.DefaultPool {
				pools = append(pools, pool)
			}
		}
	}
	return topology.Topology(o.cfg.Replicas, topology.LimitsFor(topology.DefaultStore), pools...)
}

// Projection is the view's fold, for tests and benches in the same process.
func (o *Orchestrator) Projection() *projection.Projection { return o.proj }
