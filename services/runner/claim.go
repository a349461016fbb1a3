package runner

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/slipway-hq/slipway/domain/run"
	eventv1 "github.com/slipway-hq/slipway/gen/slipway/event/v1"
	"github.com/slipway-hq/slipway/internal/engine"
	"github.com/slipway-hq/slipway/internal/eventlog"
	"github.com/slipway-hq/slipway/internal/topology"
	"github.com/slipway-hq/slipway/services/runner/internal/hints"
)

var (
	// errNoGrant: the log does not hold what a hint says.
	errNoGrant = errors.New("the hint names no grant of this run")
	// errEarly: the hint knows more of the run than what was read (P9).
	errEarly = errors.New("the run was read too early")
)

// foldRun folds a record of a run.
func foldRun(s run.State, rec eventlog.Record) run.State {
	return run.FoldCommit(s, rec.Sequence, rec.Commit)
}

// openRun loads a run. Most are as they were requested when they are opened:
// then their last record is all there is, and one cheap read is enough.
func openRun(ctx context.Context, log eventlog.Log, id string) (*engine.Handle[run.State], error) {
	subject := topology.RunSubject(id)
	only, err := log.Last(ctx, subject)
	if errors.Is(err, eventlog.ErrNotFound) {
		return engine.Fresh(log, subject, run.State{}, foldRun), nil
	}
	if err != nil {
		return nil, err
	}
	if (eventlog.Position{}).Verify(only) != nil {
		return engine.Open(ctx, log, subject, run.State{}, foldRun)
	}
	return engine.Resume(log, subject, foldRun(run.State{}, only), only.Position(), foldRun), nil
}

// claim takes the run that the hint names, if the log says that it may start.
// The refusals of domain/run, errNoGrant, errEarly and errLaneFull are answers;
// anything else is a failure. Who gets a run has entered its lane, and leaves it.
func (i *incarnation) claim(work context.Context, hint hints.Hint) (*hold, error) {
	ctx := work
	if err := i.grants.check(ctx, hint.GetLaneSubject(), hint.GetGrantSequence(), hint.GetRun()); err != nil {
		return nil, err
	}
	handle, err := openRun(ctx, i.deps.Log, hint.GetRun())
	if err != nil {
		return nil, err
	}
	if at := handle.Sequence(); at < hint.GetRunSequence() {
		return nil, fmt.Errorf("%w: as of %d, not of %d", errEarly, at, hint.GetRunSequence())
	}
	h := i.newHold(handle, hint.GetRun())
	ctx = h.traced(ctx)
	if s := handle.State(); s.Status != run.Absent && topology.LaneSubject(s.Plan.GetLane()) != hint.GetLaneSubject() {
		return nil, fmt.Errorf("%w: it waits in another lane", errNoGrant)
	}
	if err := i.fits(new(handle.State())); err != nil {
		return nil, err
	}
	if !i.lanes.enter(h.lane(), handle.State().Plan.GetLaneSettings().GetPerRunner()) {
		i.lanes.park(h.lane(), hint)
		return nil, errLaneFull
	}
	if err := i.take(ctx, h, hint.GetGrantSequence()); err != nil {
		i.leave(work, h.lane())
		return nil, err
	}
	return h, nil
}

// take puts the claim into the log.
func (i *incarnation) take(ctx context.Context, h *hold, grant uint64) error {
	if err := i.journal.Add(h.run); err != nil {
		return err
	}
	if _, err := h.commit(ctx, "claim", run.TakeClaim{
		Runner: i.Runner.id, Incarnation: i.id, Host: i.cfg.Name, Pools: i.cfg.Pools, Labels: i.labels, GrantSequence: grant, Now: time.Now(),
	}); err != nil {
		return err
	}
	// A claim that got through unnoticed may be over already, and another's be
	// live: fence 0 holds nothing.
	if claim := h.handle.State().Claim; claim.Incarnation == i.id {
		h.fence = claim.Fence
	}
	return nil
}

// maxGrants is how many grants are remembered. One grant starts many runs, so
// that a burst of hints names few of them.
const maxGrants = 64

// grants remembers what lanes granted. A record never changes, so nothing in it
// grows old.
type grants struct {
	log eventlog.Log

	mu    sync.Mutex
	known map[uint64]*grant
	order []uint64 // oldest first
}

type grant struct {
	read    chan struct{} // closed when the rest is set
	subject string
	runs    map[string]bool
	err     error
}

func newGrants(log eventlog.Log) *grants {
	return &grants{log: log, known: map[uint64]*grant{}}
}

// check returns nil when the record at sequence is a grant on subject for run.
func (g *grants) check(ctx context.Context, subject string, sequence uint64, run string) error {
	if !topology.IsLaneSubject(subject) {
		return fmt.Errorf("%w: %q is not a lane", errNoGrant, subject)
	}
	entry, mine := g.entry(sequence)
	if mine {
		g.read(ctx, entry, sequence)
	}
	select {
	case <-entry.read:
	case <-ctx.Done():
		return ctx.Err()
	}
	switch {
	case entry.err != nil:
		return entry.err
	case entry.subject != subject || !entry.runs[run]:
		return fmt.Errorf("%w: record %d", errNoGrant, sequence)
	}
	return nil
}

// entry returns what is known of a record; mine tells the caller to read it.
func (g *grants) entry(sequence uint64) (entry *grant, mine bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if entry := g.known[sequence]; entry != nil {
		return entry, false
	}
	if len(g.order) == maxGrants {
		delete(g.known, g.order[0])
		g.order = g.order[1:]
	}
	entry = &grant{read: make(chan struct{})}
	g.known[sequence] = entry
	g.order = append(g.order, sequence)
	return entry, true
}

func (g *grants) read(ctx context.Context, entry *grant, sequence uint64) {
	defer close(entry.read)
	rec, err := g.log.Get(ctx, sequence)
	if err == nil {
		err = rec.Err
	}
	if err != nil {
		entry.err = err
		g.forget(sequence)
		return
	}
	entry.subject, entry.runs = rec.Subject, map[string]bool{}
	for _, event := range rec.Commit.GetEvents() {
		for _, run := range granted(event) {
			entry.runs[run] = true
		}
	}
}

func granted(event *eventv1.Event) []string { return event.GetLaneGranted().GetRuns() }

// forget makes the next check read the record again.
func (g *grants) forget(sequence uint64) {
	g.mu.Lock()
	defer g.mu.Unlock()
	delete(g.known, sequence)
	g.order = slices.DeleteFunc(g.order, func(s uint64) bool { return s == sequence })
}
