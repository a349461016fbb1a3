package orchestrator

import (
	"cmp"
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
	"github.com/slipway-hq/slipway/domain/roster"
	apiv1 "github.com/slipway-hq/slipway/gen/slipway/api/v1"
	"github.com/slipway-hq/slipway/gen/slipway/api/v1/apiv1connect"
	commandv1 "github.com/slipway-hq/slipway/gen/slipway/command/v1"
	eventv1 "github.com/slipway-hq/slipway/gen/slipway/event/v1"
	"github.com/slipway-hq/slipway/internal/configfile"
	"github.com/slipway-hq/slipway/internal/eventlog"
	"github.com/slipway-hq/slipway/internal/lease"
	"github.com/slipway-hq/slipway/internal/projection"
	"github.com/slipway-hq/slipway/internal/runlog"
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
	// Logs is how long output is kept; zero values mean the defaults.
	Logs LogSettings
	// Archive is when the records of ended runs leave the log.
	Archive ArchiveSettings
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
	scheduler  *scheduler
	bucket     *lease.Bucket
	watch      *lease.Watch
	adopted    atomic.Pointer[adopted]
	refused    atomic.Pointer[configfile.Problems] // of the file, when it is not the one in force
	handlers   map[string]http.Handler
	resumed    atomic.Pointer[resumed]
	archiver   *archiver // nil for a log that cannot be purged
	logs       *runlog.Logs
	aged       aged            // of the janitor alone
	stalled    stalled         // likewise
	keeper     topology.Keeper // of the janitor alone
	changes    chan struct{}   // a configuration was adopted in the log
	taken      chan struct{}   // one was parsed and is in force
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
	o.cfg.Logs, o.logs = cfg.Logs.withDefaults(), runlog.New(js)
	if err := cfg.Archive.check(o.cfg.Logs); err != nil {
		return nil, fmt.Errorf("orchestrator: %w", err)
	}
	if purger, ok := deps.Log.(eventlog.Purger); ok {
		o.archiver = newArchiver(deps.Log, purger, js, o.proj, cfg.Archive.After, deps.Now, o.logger)
	}
	o.view.archive = js
	logs := &logReader{logs: o.logs}
	o.intake = &intake{conn: deps.Conn, js: js, logger: o.logger, metrics: m, clerk: &clerk{desk: o.desk, view: o.view, proj: o.proj, logs: logs, now: deps.Now, runners: o.Runners, output: o.cfg.Logs.Link().URL}}
	o.dispatcher = newDispatcher(deps.Log, o.logger, deps.Now, m)
	o.dispatcher.proj, o.dispatcher.lapsed, o.dispatcher.hints = o.proj, o.watch.Lapsed, deps.Conn.Publish
	o.dispatcher.settings, o.dispatcher.offers.leases = o.settings, o.watch.Live
	o.scheduler = newScheduler(o.desk, o.logger)
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
	options := []connect.HandlerOption{connect.WithInterceptors(traced), connect.WithReadMaxBytes(maxRequest), connect.WithCompressMinBytes(minCompressed), connect.WithRecover(o.recovered)}
	for _, name := range codecNames {
		options = append(options, connect.WithCodec(jsonCodec{name}))
	}
	g := newGuard(string(o.cfg.Token))
	runs := &runAPI{desk: o.desk, view: o.view, proj: o.proj, logs: logs, guard: g}
	lanes := &laneAPI{run: runs, view: o.view, proj: o.proj}
	system := &systemAPI{o: o}
	o.handlers = map[string]http.Handler{}
	mount := func(path string, h http.Handler) { o.handlers[path] = g.wrap(h) }
	mount(apiv1connect.NewRunServiceHandler(runs, options...))
	mount(apiv1connect.NewLaneServiceHandler(lanes, options...))
	mount(apiv1connect.NewJobServiceHandler(&jobAPI{run: runs, desk: o.desk}, options...))
	mount(apiv1connect.NewSystemServiceHandler(system, options...))
	o.meta(mount, options...)
	o.handlers[runlog.PagePath] = &logPage{guard: g, link: o.cfg.Logs.Link(), view: o.view, proj: o.proj, logs: logs, now: o.deps.Now, open: make(chan struct{}, maxPages)}
	return nil
}

// recovered turns a panic of one call into an error of that call.
func (o *Orchestrator) recovered(_ context.Context, spec connect.Spec, _ http.Header, cause any) error {
	o.logger.Error("a call made the API panic", "procedure", spec.Procedure, "cause", fmt.Sprint(cause), "stack", string(debug.Stack()))
	return connect.NewError(connect.CodeInternal, errors.New("something went wrong on my side; the log of the orchestrator says what"))
}

const (
	// maxRequest bounds an API request.
	maxRequest = 1 << 20
	// minCompressed is from how many bytes on an answer is compressed: one run has
	// about 500, and packing it took longer than everything else about its answer.
	minCompressed = 8 << 10
)

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
	group.Go(func() error {
		o.resume(ctx)
		return o.proj.Run(ctx, func() { close(folded) })
	})
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
		group.Go(func() error { return o.bucket.Office("dispatcher", o.deps.Holder).Run(ctx, o.office) })
		group.Go(func() error { return o.intake.run(ctx) })
		group.Go(func() error { return o.intake.queries(ctx) })
		group.Go(func() error { return o.janitor(ctx) })
		group.Go(func() error { return o.archivist(ctx) })
		group.Go(func() error { return o.snapshots(ctx) })
		group.Go(func() error { return o.scrubs(ctx) })
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

// office is what one replica does for all: it works the lanes and the clock.
func (o *Orchestrator) office(ctx context.Context) error {
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return o.dispatcher.run(ctx) })
	group.Go(func() error { return o.scheduler.run(ctx) })
	return group.Wait()
}

// settings are a lane's limits in force.
func (o *Orchestrator) settings(lane string) *eventv1.LaneSettings {
	return o.adopted.Load().settings(lane)
}

// world is what reasons depend on beside the log.
func (o *Orchestrator) world() board.World {
	return board.World{Now: o.deps.Now(), Runners: o.Runners, Settings: o.settings}
}

// Runners says who is alive, if this replica knows it.
func (o *Orchestrator) Runners() (alive []roster.Runner, known bool) {
	leases, known := o.watch.Live()
	for _, l := range leases {
		alive = append(alive, runnerOf(l))
	}
	return alive, known
}

// runnerOf is the runner that a lease is of.
func runnerOf(l *commandv1.Lease) roster.Runner {
	return roster.Runner{
		Incarnation: l.GetHolder(), ID: l.GetRunner(), Name: nameOf(l), Pools: l.GetPools(), Labels: l.GetLabels(), Draining: l.GetDraining(),
	}
}

// nameOf is what people call a runner; one of an older version has its host's name.
func nameOf(l *commandv1.Lease) string { return cmp.Or(l.GetName(), l.GetHost()) }

// nudge tells a runner to look at a run; it is only for speed.
func (o *Orchestrator) nudge(incarnation, run string) {
	if err := o.deps.Conn.Publish(topology.NudgeSubject(incarnation), []byte(run)); err != nil {
		o.logger.Warn("runner not nudged, it looks by itself", "error", err)
	}
}

func (o *Orchestrator) active() (queued, occupied int) {
	o.proj.Read(func(b *board.Board) {
		b.Lanes(func(ln *board.Lane) {
			queued += ln.Queue.Len()
			occupied += ln.Active
		})
	})
	return queued, occupied
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

// Projection is the view's fold, for whoever else needs one in this process.
func (o *Orchestrator) Projection() *projection.Projection { return o.proj }
