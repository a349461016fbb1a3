// Package engine is the one place where pure meets log: it loads an aggregate,
// folds it, lets the caller decide, appends the decision by compare-and-set, and
// decides again when somebody else came first. It knows nothing of runs and
// lanes; it does not follow the log (eventlog.Log does). The services use one
// Handle per aggregate they write to.
//
// Invariants: a confirmed decision is in the log exactly once; a decision that
// Do refused is never in it; an unknown outcome is retried with the same bytes
// and the same expectation, of which only one can ever land, and is never
// reported as failed (DESIGN rule 3).
package engine

import (
	"context"
	"crypto/rand"
	"fmt"
	"sync"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	eventv1 "github.com/slipway-hq/slipway/gen/slipway/event/v1"
	"github.com/slipway-hq/slipway/internal/eventlog"
)

// Fold adds one record to a state. It never fails and never decides. It is given
// the subject, the sequence and the commit (with its command id and its time);
// it must not use Record.Time, which differs between a record that was read and
// one that this process appended itself.
type Fold[S any] func(S, eventlog.Record) S

// Meta is what a command brings besides its meaning.
type Meta struct {
	CommandID string
	Actor     *eventv1.Principal
	Time      time.Time // when the command is decided, by the caller's clock
}

// Result is what became of a decision.
type Result[S any] struct {
	// State after the decision; it may already hold later commits of others.
	State S
	// Record of the decision; zero when nothing was appended. Its Time is the
	// commit's own when this process appended it.
	Record eventlog.Record
	// Appended is false for an idempotent repeat.
	Appended bool
}

// Decide returns the events that a command causes on a state; none and no error
// for an idempotent repeat; or the refusal, which Do returns as it is. It is
// called again on a newer state after a conflict and must have no side effects.
type Decide[S any] func(S) ([]*eventv1.Event, error)

// Handle is one aggregate: its state and its place in the log. It is safe for
// concurrent use; decisions on one Handle are taken one at a time. States are
// handed out as they are, so a Fold must not change one in place.
type Handle[S any] struct {
	log     eventlog.Log
	subject string
	fold    Fold[S]

	turn  chan struct{} // holds a token while nobody decides
	stale bool          // an append was left unsettled: reload first. Owned by the turn.

	mu    sync.RWMutex // guards the rest; written by the owner of the turn only
	state S
	at    eventlog.Position
}

// Open loads the aggregate at subject and folds it from zero. It returns
// ErrCorrupt when the chain is broken.
func Open[S any](ctx context.Context, log eventlog.Log, subject string, zero S, fold Fold[S]) (*Handle[S], error) {
	h := Fresh(log, subject, zero, fold)
	if _, err := h.reload(ctx); err != nil {
		return nil, err
	}
	return h, nil
}

// Fresh returns a handle that expects nothing to be stored at subject yet, so
// that a create costs no read. When something is stored the first decision
// conflicts, loads it and is taken again.
func Fresh[S any](log eventlog.Log, subject string, zero S, fold Fold[S]) *Handle[S] {
	return Resume(log, subject, zero, eventlog.Position{}, fold)
}

// Resume returns a handle that continues from what the caller already holds: the
// state folded from every record up to and including at.
func Resume[S any](log eventlog.Log, subject string, state S, at eventlog.Position, fold Fold[S]) *Handle[S] {
	h := &Handle[S]{log: log, subject: subject, fold: fold, state: state, at: at, turn: make(chan struct{}, 1)}
	h.turn <- struct{}{}
	return h
}

// FoldAll folds records into state, in order.
func FoldAll[S any](state S, fold Fold[S], records ...eventlog.Record) S {
	for _, rec := range records {
		state = fold(state, rec)
	}
	return state
}

// State returns the state as last known here; another writer may be ahead.
func (h *Handle[S]) State() S {
	h.mu.RLock()
	defer h.mu.RUnlock()
	return h.state
}

// Position returns the last record known here.
func (h *Handle[S]) Position() eventlog.Position {
	h.mu.RLock()
	defer h.mu.RUnlock()
	return h.at
}

// Sequence returns the log sequence of the last record known here; 0 for none.
func (h *Handle[S]) Sequence() uint64 { return h.Position().Sequence }

// Version returns how many records are known here.
func (h *Handle[S]) Version() uint64 { return h.Position().Version }

// Refresh loads what others appended.
func (h *Handle[S]) Refresh(ctx context.Context) error {
	if err := h.takeTurn(ctx); err != nil {
		return err
	}
	defer h.endTurn()
	_, err := h.reload(ctx)
	return err
}

func (h *Handle[S]) takeTurn(ctx context.Context) error {
	select {
	case <-h.turn:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("wait for a turn at %s: %w", h.subject, ctx.Err())
	}
}

func (h *Handle[S]) endTurn() { h.turn <- struct{}{} }

// reload folds what is new in the log and returns it. The caller owns the turn.
func (h *Handle[S]) reload(ctx context.Context) ([]eventlog.Record, error) {
	fresh, err := h.log.Load(ctx, h.subject, h.Sequence())
	if err != nil {
		return nil, err
	}
	at := h.Position()
	for _, rec := range fresh {
		if err := at.Verify(rec); err != nil {
			return nil, err
		}
		at = rec.Position()
	}
	h.advance(at, fresh...)
	h.stale = false
	return fresh, nil
}

// advance folds records, the last of which is at.
func (h *Handle[S]) advance(at eventlog.Position, records ...eventlog.Record) {
	state := FoldAll(h.State(), h.fold, records...)
	h.mu.Lock()
	defer h.mu.Unlock()
	h.state, h.at = state, at
}

// Unsettled is the error of a decision whose outcome is not known: it may be in
// the log, or land later, or never. It wraps ErrUnknown.
type Unsettled struct {
	Subject string
	Commit  string // the commit id that, if found, proves that it got through
	Err     error
}

func (u *Unsettled) Error() string {
	return fmt.Sprintf("commit %s on %s not confirmed: %v", u.Commit, u.Subject, u.Err)
}

// Unwrap makes errors.Is find ErrUnknown, and why waiting ended.
func (u *Unsettled) Unwrap() []error { return []error{eventlog.ErrUnknown, u.Err} }

// draft is one decision on its way into the log: fixed bytes, fixed expectation.
type draft struct {
	commit *eventv1.Commit
	data   []byte
	expect uint64
}

func (h *Handle[S]) draft(ctx context.Context, meta Meta, events []*eventv1.Event) (draft, error) {
	at := h.Position()
	commit := &eventv1.Commit{
		Id:        rand.Text(), // 128 bits and more, base32
		CommandId: meta.CommandID,
		Actor:     meta.Actor,
		Time:      timestamppb.New(meta.Time),
		Events:    events,
		Trace:     traceOf(ctx),
	}
	at.Chain(commit)
	data, err := proto.Marshal(commit)
	if err != nil {
		return draft{}, fmt.Errorf("encode a commit of %s: %w", h.subject, err)
	}
	return draft{commit: commit, data: data, expect: at.Sequence}, nil
}

// record is what the log holds once d was appended at sequence.
func (h *Handle[S]) record(d draft, sequence uint64) eventlog.Record {
	return eventlog.Record{Subject: h.subject, Sequence: sequence, Time: d.commit.GetTime().AsTime(), Data: d.data, Commit: d.commit}
}
