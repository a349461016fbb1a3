package notifier

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/google/uuid"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"golang.org/x/sync/errgroup"

	"github.com/slipway-hq/slipway/domain/roster"
	"github.com/slipway-hq/slipway/internal/eventlog"
	"github.com/slipway-hq/slipway/internal/lease"
	"github.com/slipway-hq/slipway/internal/projection"
	"github.com/slipway-hq/slipway/internal/snapshot"
	"github.com/slipway-hq/slipway/services/notifier/internal/desk"
	"github.com/slipway-hq/slipway/services/notifier/internal/slackapi"
)

const (
	// office is the role that one notifier holds.
	office = "notifier"
	// retryStart is how long a notifier rests that cannot begin its work.
	retryStart = time.Second
	// cleanEvery is how often settled cards are looked through for old ones.
	cleanEvery = 6 * time.Hour
)

// Deps is what a notifier works with.
type Deps struct {
	Log    eventlog.Log
	Conn   *nats.Conn
	Logger *slog.Logger
	// Holder names this process to people, as the holder of the office.
	Holder string
	// Replicas of the streams; 0 means one.
	Replicas int
	// Timing of the office; zero means lease.DefaultTiming.
	Timing lease.Timing
	// Projection is one of the same log that somebody else runs; nil: the notifier
	// runs its own.
	Projection *projection.Projection
	// Runners says who is alive, for the reason why a run waits; nil: not known.
	Runners func() (alive []roster.Runner, known bool)
}

// Notifier shows runs in Slack. Make it with New, start it with Run.
type Notifier struct {
	cfg        Config
	deps       Deps
	js         jetstream.JetStream
	slack      *slackapi.Client
	projection *projection.Projection
	writer     string
	desk       atomic.Pointer[desk.Desk] // while this notifier holds the office
}

// New checks the configuration; nothing runs yet. Errors: ErrNoToken, a URL or
// duration that makes no sense.
func New(cfg Config, deps Deps) (*Notifier, error) {
	if err := cfg.complete(); err != nil {
		return nil, fmt.Errorf("notifier: %w", err)
	}
	client, err := slackapi.New(cfg.APIURL, string(cfg.BotToken))
	if err != nil {
		return nil, fmt.Errorf("notifier: %w", err)
	}
	js, err := jetstream.New(deps.Conn)
	if err != nil {
		return nil, fmt.Errorf("notifier: %w", err)
	}
	if deps.Timing == (lease.Timing{}) {
		deps.Timing = lease.DefaultTiming()
	}
	n := &Notifier{cfg: cfg, deps: deps, js: js, slack: client, writer: deps.Holder + "/" + uuid.NewString()[:8]}
	if n.projection = deps.Projection; n.projection == nil {
		n.projection = projection.New(deps.Log, nil)
	}
	n.projection.Observe(n.observe)
	return n, nil
}

func (n *Notifier) observe(c projection.Change) {
	if d := n.desk.Load(); d != nil {
		d.Observe(c)
	}
}

// Run follows the log and works while it holds the office, until ctx ends (nil)
// or the log cannot be followed. ready (may be nil) is called once, when
// everything that was in the log at the start is folded; Slack may be away.
func (n *Notifier) Run(ctx context.Context, ready func()) error {
	group, ctx := errgroup.WithContext(ctx)
	if n.deps.Projection == nil {
		group.Go(func() error {
			n.resume(ctx)
			return n.projection.Run(ctx, func() {})
		})
	}
	group.Go(func() error {
		select {
		case <-n.projection.CaughtUp():
		case <-ctx.Done():
			return nil
		}
		if ready != nil {
			ready()
		}
		bucket := lease.NewBucket(n.js, max(1, n.deps.Replicas), n.deps.Timing, n.deps.Logger)
		return bucket.Office(office, n.deps.Holder).Run(ctx, n.serve)
	})
	if err := group.Wait(); err != nil && !errors.Is(err, context.Canceled) {
		return fmt.Errorf("notifier: %w", err)
	}
	return nil
}

// snapshotWait bounds the reading of a snapshot.
const snapshotWait = time.Minute

// resume begins with the newest snapshot, unless there is none for this log.
func (n *Notifier) resume(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, snapshotWait)
	defer cancel()
	switch at, err := snapshot.NewStore(n.js, n.deps.Log).Resume(ctx, n.projection); {
	case err == nil:
		n.deps.Logger.Info("snapshot read", "sequence", at)
	case !errors.Is(err, snapshot.ErrNone):
		n.deps.Logger.Warn("snapshot not usable, the whole log is folded", "error", err)
	}
}

// serve works until ctx ends, whatever happens to Slack and NATS meanwhile.
func (n *Notifier) serve(ctx context.Context) error {
	defer n.desk.Store(nil)
	for ctx.Err() == nil {
		d, err := n.open(ctx)
		if err != nil {
			if ctx.Err() == nil {
				n.deps.Logger.Warn("the notifier cannot begin yet", "error", err)
			}
			pause(ctx, retryStart)
			continue
		}
		n.work(ctx, d)
	}
	return nil
}

// open makes a desk that knows all its work.
func (n *Notifier) open(ctx context.Context) (*desk.Desk, error) {
	identity, ok := n.identify(ctx)
	if !ok {
		return nil, ctx.Err()
	}
	ledger, err := desk.OpenLedger(ctx, n.js)
	if err != nil {
		return nil, err
	}
	d := desk.New(desk.Config{
		Writer: n.writer, Identity: identity, Now: time.Now, Runners: n.deps.Runners, Output: n.cfg.Output.URL,
		EditInterval: n.cfg.EditInterval, Tick: n.cfg.Tick, CallTimeout: n.cfg.CallTimeout, Window: n.cfg.Window,
		LookInterval: n.cfg.LookInterval, FirstLook: firstLook, CatchUp: catchUp, Keep: keep, NoLimits: n.cfg.NoLimits,
	}, n.deps.Log, ledger, desk.NewObjects(n.js), n.projection, n.slack, n.deps.Logger)
	n.desk.Store(d) // before the look at everything, so that no change falls between
	if err := d.TakeOver(ctx); err != nil {
		return nil, err
	}
	return d, nil
}

// firstLook is a moment that nobody notices, and longer than a claim takes.
const firstLook = 250 * time.Millisecond

// maxIdentify is the longest pause between two questions who we are.
const maxIdentify = 15 * time.Second

// identify asks Slack who we are until it answers. It is false when ctx ends.
func (n *Notifier) identify(ctx context.Context) (slackapi.Identity, bool) {
	said := ""
	for wait := retryStart; ctx.Err() == nil; wait = min(2*wait, maxIdentify) {
		asking, cancel := context.WithTimeout(ctx, n.cfg.CallTimeout)
		identity, err := n.slack.Auth(asking)
		cancel()
		if err == nil {
			n.deps.Logger.Info("showing runs in Slack", "workspace", identity.Name, "team", identity.Team)
			return identity, true
		}
		if ctx.Err() == nil && err.Error() != said {
			said = err.Error()
			if slackapi.Credential(err) {
				n.deps.Logger.Error("Slack does not accept SLACK_BOT_TOKEN; cards wait until it is replaced", "error", err)
			} else {
				n.deps.Logger.Warn("Slack cannot be reached; cards wait, runs go on", "error", err)
			}
		}
		pause(ctx, max(wait, slackapi.AfterOf(err)))
	}
	return slackapi.Identity{}, false
}

// work steps until ctx ends.
func (n *Notifier) work(ctx context.Context, d *desk.Desk) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	clean := time.Now().Add(cleanEvery)
	for ctx.Err() == nil {
		next := d.Step(ctx)
		if time.Now().After(clean) {
			clean = time.Now().Add(cleanEvery)
			if err := d.Clean(ctx); err != nil {
				n.deps.Logger.Warn("old cards are not forgotten", "error", err)
			}
		}
		if next.IsZero() || next.After(clean) {
			next = clean
		}
		wait := time.Until(next)
		if wait <= 0 {
			continue
		}
		timer.Reset(wait)
		select {
		case <-ctx.Done():
		case <-d.Wake():
		case <-timer.C:
		}
	}
}

func pause(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
}
