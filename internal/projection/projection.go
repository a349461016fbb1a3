// Package projection keeps a board up to date with a log: it follows, verifies
// every chain, quarantines what is broken, notes what is missing and tells who
// waits for a change. The
// orchestrator and the notifier each have one; engine is for deciding on one
// aggregate. Invariant: a reader under Read sees whole commits only, and
// everything up to Sequence.
package projection

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"

	"github.com/slipway-hq/slipway/domain/board"
	"github.com/slipway-hq/slipway/domain/lane"
	eventv1 "github.com/slipway-hq/slipway/gen/slipway/event/v1"
	"github.com/slipway-hq/slipway/internal/eventlog"
	"github.com/slipway-hq/slipway/internal/topology"
)

// Change is what one commit touched.
type Change struct {
	Run      string // id, when a run's
	Lane     string // name, when a lane's; or the run's lane
	Config   bool
	Schedule string // name, when a schedule's
	Relay    string // name, when a relay's
	Sequence uint64
}

// Projection is a board that follows a log.
type Projection struct {
	log eventlog.Log

	mu      sync.RWMutex
	board   *board.Board
	chains  map[string]eventlog.Position // of subjects that can still change
	follows uint64                       // sequence of the last record followed
	last    eventlog.Record              // that one; zero after Resume, which knows its hash
	hash    []byte
	gaps    gaps              // sequences up to follows that had no record
	broken  map[string]string // subjects that are neither a run's nor a named lane's, with what is wrong

	watchers  watchers
	observers []func(Change)
	caughtUp  chan struct{}
}

// New returns an empty projection of log, observed by observe unless that is nil.
func New(log eventlog.Log, observe func(Change)) *Projection {
	p := &Projection{log: log, board: board.New(), chains: map[string]eventlog.Position{}, broken: map[string]string{}, caughtUp: make(chan struct{})}
	if observe != nil {
		p.Observe(observe)
	}
	return p
}

// Observe calls f with every change from now on, in order, after it is visible
// and before anybody who waits for it wakes. f must not block.
func (p *Projection) Observe(f func(Change)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.observers = append(slices.Clone(p.observers), f)
}

// CaughtUp is closed once everything that was in the log when Run began is
// folded.
func (p *Projection) CaughtUp() <-chan struct{} { return p.caughtUp }

// Run follows the log until ctx ends; call it once. caughtUp is called when
// everything that was in the log at the start is folded.
func (p *Projection) Run(ctx context.Context, caughtUp func()) error {
	head, err := p.log.Head(ctx)
	if err != nil {
		return fmt.Errorf("projection: read the log's head: %w", err)
	}
	tell := sync.OnceFunc(func() {
		p.settle()
		close(p.caughtUp)
		caughtUp()
	})
	if head <= p.follows {
		tell()
	}
	return p.log.Follow(ctx, p.follows, func(rec eventlog.Record) error {
		p.Apply(rec)
		if rec.Sequence >= head {
			tell()
		}
		return nil
	})
}

func (p *Projection) settle() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.board.Settle()
}

// Apply folds one record. Records must come in order; one that was applied
// already changes nothing.
func (p *Projection) Apply(rec eventlog.Record) {
	p.mu.Lock()
	if rec.Sequence <= p.follows {
		p.mu.Unlock()
		return
	}
	if rec.Sequence > p.follows+1 {
		p.gaps.miss(p.follows+1, rec.Sequence-1)
	}
	change := p.fold(rec)
	p.follows, p.last = rec.Sequence, rec
	observers := p.observers
	p.mu.Unlock()
	for _, observe := range observers {
		observe(change) // before anybody wakes, who may rely on what it derives
	}
	p.watchers.wake(change)
}

func (p *Projection) fold(rec eventlog.Record) Change {
	change := Change{Sequence: rec.Sequence}
	if id, ok := topology.ParseRunSubject(rec.Subject); ok {
		change.Run = id
		if p.board.Ended(id) {
			if eventlog.Checkpoint(rec.Commit) { // nothing else follows an end
				p.board.FoldRun(id, rec.Sequence, rec.Commit)
			}
			return change // its chain was let go with its end
		}
		change.Lane = p.foldRun(id, rec, p.verify(rec))
		return change
	}
	broken := p.verify(rec)
	switch {
	case topology.IsLaneSubject(rec.Subject):
		change.Lane = p.foldLane(rec, broken)
	case broken != nil:
		p.broken[rec.Subject] = broken.Error()
	case rec.Subject == topology.SubjectArchive:
		for _, e := range rec.Commit.GetEvents() {
			p.gaps.announce(e.GetRecordsPurged())
		}
	case rec.Subject == topology.SubjectConfig:
		change.Config = true
		p.board.FoldConfig(rec.Sequence, rec.Commit)
	case topology.IsScheduleSubject(rec.Subject):
		change.Schedule = p.board.FoldSchedule(rec.Sequence, rec.Commit)
	case topology.IsRelaySubject(rec.Subject):
		change.Relay = p.board.FoldRelay(rec.Sequence, rec.Commit)
	}
	return change
}

func (p *Projection) foldRun(id string, rec eventlog.Record, broken error) string {
	if broken != nil {
		p.board.QuarantineRun(id, broken.Error())
	} else {
		p.board.FoldRun(id, rec.Sequence, rec.Commit)
	}
	if p.board.Ended(id) {
		delete(p.chains, rec.Subject)
	}
	l, ok := p.board.Live(id)
	if !ok {
		return ""
	}
	name := l.State.Plan.GetLane()
	if len(p.broken) > 0 { // a lane is damaged whose name nobody knew then
		if why := p.broken[topology.LaneSubject(name)]; why != "" {
			p.board.QuarantineLane(name, why)
		}
	}
	return name
}

func (p *Projection) foldLane(rec eventlog.Record, broken error) string {
	if broken == nil {
		p.board.FoldLane(rec.Sequence, rec.Commit)
		return laneOf(rec.Commit)
	}
	return p.quarantineLane(rec.Subject, broken.Error())
}

// quarantineLane returns the lane's name, if it is known by now.
func (p *Projection) quarantineLane(subject, why string) string {
	name := ""
	p.board.Lanes(func(ln *board.Lane) {
		if topology.LaneSubject(ln.Name) == subject {
			name = ln.Name
		}
	})
	if name == "" {
		p.broken[subject] = why
	}
	p.board.QuarantineLane(name, why)
	return name
}

// laneOf is the lane that a commit of a lane's subject names; empty when it has
// only events that this version does not know.
func laneOf(c *eventv1.Commit) string {
	for _, e := range c.GetEvents() {
		if name := lane.NameOf(e); name != "" {
			return name
		}
	}
	return ""
}

// verify checks the record against the end of its chain and moves that on.
func (p *Projection) verify(rec eventlog.Record) error {
	at := p.chains[rec.Subject]
	if err := at.Verify(rec); err != nil {
		p.gaps.attributeTo(at, rec)
		return err
	}
	p.chains[rec.Subject] = rec.Position()
	return nil
}

// Read calls f with the board. f must neither keep nor change it, nor block.
func (p *Projection) Read(f func(*board.Board)) {
	p.mu.RLock()
	defer p.mu.RUnlock()
	f(p.board)
}

// ReadAt is Read together with the end of a subject's chain, as of the same
// moment: zero when nothing is stored there, or the run has ended.
func (p *Projection) ReadAt(subject string, f func(*board.Board, eventlog.Position)) {
	p.mu.RLock()
	defer p.mu.RUnlock()
	f(p.board, p.chains[subject])
}

// Sequence is that of the last record folded.
func (p *Projection) Sequence() uint64 {
	p.mu.RLock()
	defer p.mu.RUnlock()
	return p.follows
}

// Damage is what the log shows of records that are lost or altered, beside the
// runs and lanes that are quarantined for it.
type Damage struct {
	// Missing are sequences of which there is no record and that nothing purged.
	// Whose they were the log does not say where they were the last of a chain.
	Missing []Range
	// Broken are other subjects whose chain is broken, with what is wrong. Nothing
	// behind the break counts.
	Broken map[string]string
}

// maxMissing bounds the spans that Damage lists.
const maxMissing = 20

// Damage returns what is known up to Sequence. Purges are announced behind the
// gap that they leave, so that it is complete only at the head of the log.
func (p *Projection) Damage() Damage {
	p.mu.RLock()
	defer p.mu.RUnlock()
	return Damage{Missing: p.gaps.ranges(maxMissing), Broken: maps.Clone(p.broken)}
}

// WaitFor returns when everything up to sequence is folded, or with ctx's error.
func (p *Projection) WaitFor(ctx context.Context, sequence uint64) error {
	for {
		wake, stop := p.watchers.add(anyKey)
		if p.Sequence() >= sequence {
			stop()
			return nil
		}
		select {
		case <-wake:
			stop()
		case <-ctx.Done():
			stop()
			return ctx.Err()
		}
	}
}

// WatchRun returns a channel that gets a value after the run changed, at least
// one for any number of changes. Call stop when done.
func (p *Projection) WatchRun(id string) (wake <-chan struct{}, stop func()) {
	return p.watchers.add("run:" + id)
}

// WatchLane is WatchRun for a lane and everything queued in it.
func (p *Projection) WatchLane(name string) (wake <-chan struct{}, stop func()) {
	return p.watchers.add("lane:" + name)
}

// WatchAll is WatchRun for every change.
func (p *Projection) WatchAll() (wake <-chan struct{}, stop func()) {
	return p.watchers.add(anyKey)
}
