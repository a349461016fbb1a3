package orchestrator

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/slipway-hq/slipway/domain/board"
	"github.com/slipway-hq/slipway/domain/lane"
	"github.com/slipway-hq/slipway/domain/roster"
	"github.com/slipway-hq/slipway/domain/run"
	commandv1 "github.com/slipway-hq/slipway/gen/slipway/command/v1"
	eventv1 "github.com/slipway-hq/slipway/gen/slipway/event/v1"
	"github.com/slipway-hq/slipway/internal/engine"
	"github.com/slipway-hq/slipway/internal/eventlog"
	"github.com/slipway-hq/slipway/internal/projection"
	"github.com/slipway-hq/slipway/internal/topology"
)

const (
	// laneWorkers bounds the lanes that are decided on at once: enough for the
	// committer to put their grants into one batch.
	laneWorkers = 64
	// sweepEvery is how often everything derived is looked at again: hints that
	// got lost, deadlines, lapsed claims, lanes that nobody woke.
	sweepEvery = time.Second
	// hintAgain is when a granted run that nobody claimed is hinted at again.
	hintAgain = 2 * time.Second
)

// dispatcher works the lanes: it gives free slots away, hints at runs that a
// runner should claim, takes claims from runners that are gone, and ends what
// waited too long. Two at once are harmless: they conflict.
type dispatcher struct {
	log      eventlog.Log
	proj     *projection.Projection
	hints    func(subject string, data []byte) error
	lapsed   func(incarnation string) bool
	settings func(lane string) *eventv1.LaneSettings
	now      func() time.Time
	logger   *slog.Logger
	metrics  *metrics

	mu     sync.Mutex
	dirty  map[string]bool // lanes to decide on
	starts map[string]bool // runs to hint at
	wake   chan struct{}
	active bool

	lanes  map[string]*laneHandle
	hinted map[string]hint
	offers *offers
}

type laneHandle = engine.Handle[lane.State]

type hint struct {
	grant uint64
	at    time.Time
}

func newDispatcher(log eventlog.Log, logger *slog.Logger, now func() time.Time, m *metrics) *dispatcher {
	return &dispatcher{
		log: log, logger: logger, now: now, metrics: m,
		dirty: map[string]bool{}, starts: map[string]bool{}, wake: make(chan struct{}, 1),
		lanes: map[string]*laneHandle{}, hinted: map[string]hint{}, offers: newOffers(now),
	}
}

// observe notes what a change may make possible. It never blocks.
func (d *dispatcher) observe(c projection.Change) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if !d.active {
		return // the office's next holder begins with everything
	}
	if c.Lane != "" {
		d.dirty[c.Lane] = true
	}
	if c.Run != "" {
		d.starts[c.Run] = true
	}
	if c.Config {
		d.everything()
	}
	poke(d.wake)
}

// everything marks all lanes and all runs; d.mu is held.
func (d *dispatcher) everything() {
	d.proj.Read(func(b *board.Board) {
		b.Lanes(func(ln *board.Lane) { d.dirty[ln.Name] = true })
		b.Each(func(l *board.Live) {
			if !l.State.Status.Ended() {
				d.starts[l.State.ID] = true
			}
		})
	})
}

// run holds the office until ctx ends.
func (d *dispatcher) run(ctx context.Context) error {
	d.mu.Lock()
	d.active = true
	d.everything()
	d.mu.Unlock()
	defer func() {
		d.mu.Lock()
		d.active = false
		d.mu.Unlock()
	}()
	clear(d.lanes) // another replica may have decided meanwhile
	clear(d.hinted)
	d.offers.proj = d.proj
	d.offers.reset()
	sweep := time.NewTicker(sweepEvery)
	defer sweep.Stop()
	d.work(ctx)
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-d.wake:
		case <-sweep.C:
			d.sweep(ctx)
		}
		d.work(ctx)
	}
}

// work decides on all lanes that are dirty, many at once, then hints.
func (d *dispatcher) work(ctx context.Context) {
	lanes, starts := d.take()
	for _, id := range d.offers.again() {
		starts[id] = true
	}
	d.grantAll(ctx, lanes)
	d.settle(ctx, starts)
	for id := range starts {
		d.hint(id)
	}
}

// settle ends runs that yield to another, as soon as they may, many at once.
func (d *dispatcher) settle(ctx context.Context, changed map[string]bool) {
	due := map[string]run.Yield{}
	d.proj.Read(func(b *board.Board) {
		for id := range changed {
			l, ok := b.Live(id)
			if !ok {
				continue
			}
			for _, id := range append([]string{id}, l.Merged...) {
				if l, ok := b.Live(id); ok {
					if y, now := b.Due(l); now {
						due[id] = y
					}
				}
			}
		}
	})
	slots := make(chan struct{}, laneWorkers)
	var wg sync.WaitGroup
	for id, y := range due {
		slots <- struct{}{}
		wg.Go(func() {
			defer func() { <-slots }()
			y.Now = d.now()
			if err := d.command(ctx, id, y); err != nil && ctx.Err() == nil {
				d.logger.Warn("yielding run not ended, the sweep tries again", "run", id, "error", err)
			}
		})
	}
	wg.Wait()
}

func (d *dispatcher) take() (lanes, starts map[string]bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	lanes, starts = d.dirty, d.starts
	d.dirty, d.starts = map[string]bool{}, map[string]bool{}
	return lanes, starts
}

func (d *dispatcher) grantAll(ctx context.Context, lanes map[string]bool) {
	slots := make(chan struct{}, laneWorkers)
	var wg sync.WaitGroup
	for name := range lanes {
		g, h, ok := d.prepare(name)
		if !ok {
			continue
		}
		slots <- struct{}{}
		wg.Go(func() {
			defer func() { <-slots }()
			d.grant(ctx, h, g)
		})
	}
	wg.Wait()
}

// prepare reads from the board what a decision on the lane needs; false when
// nothing can start there.
func (d *dispatcher) prepare(name string) (g lane.Grant, h *laneHandle, ok bool) {
	subject := topology.LaneSubject(name)
	var state lane.State
	var at eventlog.Position
	d.proj.ReadAt(subject, func(b *board.Board, end eventlog.Position) {
		ln, found := b.Lane(name)
		if !found || ln.Quarantined != "" || ln.Queue.Len() == 0 {
			return
		}
		g = b.Grant(ln, board.SettingsOf(ln, board.World{Settings: d.settings}), d.now())
		state, at, ok = ln.State, end, len(g.Queue) > 0
	})
	if !ok {
		return g, nil, false
	}
	g.Ended, g.Void, g.Share = reading(d, (*board.Board).Ended), reading(d, (*board.Board).Void), reading(d, (*board.Board).Share)
	d.mu.Lock()
	defer d.mu.Unlock()
	if h = d.lanes[name]; h == nil || h.Sequence() < at.Sequence { // somebody else decided there
		h = engine.Resume(d.log, subject, state, at, foldLane)
		d.lanes[name] = h
	}
	return g, h, true
}

// reading asks the board, which may be late and then errs on the safe side.
func reading[T any](d *dispatcher, ask func(*board.Board, string) T) func(string) T {
	return func(id string) (answer T) {
		d.proj.Read(func(b *board.Board) { answer = ask(b, id) })
		return answer
	}
}

// errOvertaken: somebody else decided on the lane after its queue was read.
var errOvertaken = errors.New("another dispatcher decided on the lane first")

// grant decides on the very state that the queue was read beside. On a newer one
// it must not: there a run that still waits here may have had its slot, ended and
// been forgotten. The board, once it has caught up, wakes the lane again.
func (d *dispatcher) grant(ctx context.Context, h *laneHandle, g lane.Grant) {
	read := h.Sequence()
	res, err := h.Do(ctx, engine.Meta{Actor: dispatcherActor, Time: g.Now}, func(s lane.State) ([]*eventv1.Event, error) {
		if h.Sequence() != read {
			return nil, errOvertaken
		}
		return lane.Decide(s, g)
	})
	if at := h.Sequence(); at != read && at != res.Record.Sequence { // ahead of the board by what others decided
		d.mu.Lock()
		delete(d.lanes, g.Lane)
		d.mu.Unlock()
	}
	if errors.Is(err, errOvertaken) {
		return
	}
	if err != nil {
		if ctx.Err() == nil {
			d.logger.Warn("lane not decided, it will be tried again", "lane", g.Lane, "error", err)
		}
		d.mu.Lock()
		d.dirty[g.Lane] = true // the sweep wakes it: no tight loop on a log that is away
		d.mu.Unlock()
		return
	}
	if !res.Appended {
		return
	}
	for _, e := range res.Record.Commit.GetEvents() {
		granted := e.GetLaneGranted()
		d.metrics.granted(len(granted.GetRuns())) //nolint:contextcheck // a counter does not wait
		for _, id := range granted.GetRuns() {
			d.publish(id, topology.LaneSubject(g.Lane), res.Record.Sequence)
		}
		d.mu.Lock()
		for _, a := range granted.GetAbsorbs() {
			d.starts[a.GetRun()] = true // those that need not wait for a start end now
		}
		d.mu.Unlock()
		if len(granted.GetAbsorbs()) > 0 {
			_ = d.proj.WaitFor(ctx, res.Record.Sequence) // at the end of ctx the next holder goes on
			poke(d.wake)
		}
	}
}

// hint wakes a runner for a run that has a slot and no claim.
func (d *dispatcher) hint(id string) {
	var grant uint64
	var laneName string
	var picky bool // it has its own clock
	d.proj.Read(func(b *board.Board) {
		l, ok := b.Live(id)
		if ok && l.Grant != 0 && !l.State.Claimed() && !l.State.Status.Ended() && l.Quarantined == "" {
			grant, laneName, picky = l.Grant, l.State.Plan.GetLane(), roster.Of(l.State.Plan).Picky()
		}
	})
	d.mu.Lock()
	last, known := d.hinted[id]
	d.mu.Unlock()
	switch {
	case grant == 0:
		if known {
			d.mu.Lock()
			delete(d.hinted, id)
			d.mu.Unlock()
		}
	case picky || !known || d.now().Sub(last.at) >= hintAgain:
		d.publish(id, topology.LaneSubject(laneName), grant)
	}
}

func (d *dispatcher) publish(id, laneSubject string, grant uint64) {
	s := reading(d, func(b *board.Board, id string) run.State {
		if l, ok := b.Live(id); ok {
			return l.State
		}
		return run.State{}
	})(id)
	to := d.addressee(id, &s)
	if to == "" {
		return
	}
	trace := map[string]string{}
	if s.TraceParent != "" {
		trace["traceparent"] = s.TraceParent
	}
	data, err := proto.Marshal(&commandv1.Hint{Run: id, LaneSubject: laneSubject, GrantSequence: grant, Trace: trace, RunSequence: s.Sequence})
	if err == nil {
		err = d.hints(to, data)
	}
	if err != nil {
		d.logger.Warn("hint not published, the sweep repeats it", "run", id, "error", err)
		return
	}
	d.mu.Lock()
	d.hinted[id] = hint{grant, d.now()}
	d.mu.Unlock()
}

// addressee is the subject on which to hint at a run: its pool's, whose runners
// the server hands hints to in turn, or that of one runner which fits; "": nobody
// can take it now.
func (d *dispatcher) addressee(id string, s *run.State) string {
	if !roster.Of(s.Plan).Picky() {
		return topology.WorkSubject(s.Plan.GetPool(), id)
	}
	if incarnation := d.offers.choose(s); incarnation != "" {
		return topology.OfferSubject(incarnation)
	}
	return ""
}

// sweep looks at every live run: deadlines that passed, claims of runners that
// are gone, hints that nobody followed; and at every lane, since a rate may
// allow more by now.
func (d *dispatcher) sweep(ctx context.Context) {
	type overdue struct {
		id      string
		command run.Command
	}
	var due []overdue
	now := d.now()
	d.mu.Lock()
	d.proj.Read(func(b *board.Board) {
		b.Lanes(func(ln *board.Lane) {
			if ln.Queue.Len() > 0 {
				d.dirty[ln.Name] = true
			}
		})
		b.Each(func(l *board.Live) {
			s := &l.State
			if s.Status.Ended() || l.Quarantined != "" {
				return
			}
			held, holding := b.Held(l, now)
			if at, _ := s.Due(held); !at.IsZero() && !now.Before(at) && !holding && !l.Yielding() {
				due = append(due, overdue{s.ID, run.Expire{Now: now, Held: held}})
			}
			switch {
			case l.Yielding():
				d.starts[s.ID] = true
			case s.Claimed() && d.lapsed(s.Claim.Incarnation):
				due = append(due, overdue{s.ID, run.Lapse{Fence: s.Claim.Fence, Reason: "the lease of runner " + s.Claim.Runner + " ran out", Now: now}})
			case !s.Claimed() && l.Grant != 0:
				d.starts[s.ID] = true
			}
		})
	})
	d.mu.Unlock()
	slices.SortFunc(due, func(a, b overdue) int { return strings.Compare(a.id, b.id) }) // the board has no order; a simulation needs one
	for _, o := range due {
		if err := d.command(ctx, o.id, o.command); err != nil && ctx.Err() == nil {
			d.logger.Warn("overdue run not changed, the next sweep tries again", "run", o.id, "error", err)
		}
	}
}

// command decides on one run and ignores refusals: somebody else was first.
func (d *dispatcher) command(ctx context.Context, id string, c run.Command) error {
	h, err := engine.Open(ctx, d.log, topology.RunSubject(id), run.State{}, foldRun)
	if err != nil {
		return err
	}
	_, err = h.Do(ctx, engine.Meta{Actor: dispatcherActor, Time: d.now()}, func(s run.State) ([]*eventv1.Event, error) {
		return run.Decide(s, c)
	})
	var refusal *run.Refusal
	if errors.As(err, &refusal) {
		return nil
	}
	return err
}

var dispatcherActor = &eventv1.Principal{Kind: eventv1.Principal_KIND_SYSTEM, Name: "dispatcher"}

func foldRun(s run.State, rec eventlog.Record) run.State {
	return run.FoldCommit(s, rec.Sequence, rec.Commit)
}

func foldLane(s lane.State, rec eventlog.Record) lane.State {
	return lane.FoldCommit(s, rec.Sequence, rec.Commit)
}
