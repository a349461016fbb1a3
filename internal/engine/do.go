package engine

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/slipway-hq/slipway/internal/eventlog"
)

const (
	// maxConflicts bounds how often one Do loses against others. Each loss means
	// that somebody else won, so the aggregate moves; a caller who loses this
	// often meets more writers than any aggregate of ours has.
	maxConflicts = 64
	// maxBlind bounds how often one append is refused as stale while a read shows
	// nothing newer: the read lags behind (P9), or the other write is still in
	// process (P2). It lasts some seconds, an election; after that the log has
	// less than this process has seen of it, which no waiting mends.
	maxBlind = 64
	// minPause and maxPause bound the jittered wait after a conflict or an
	// unknown outcome: it grows from a network round trip to what a person
	// barely notices.
	minPause = time.Millisecond
	maxPause = 250 * time.Millisecond
)

// Do takes one decision. It decides on the state it knows, appends, and on a
// conflict loads what is new and decides again. It returns
//   - decide's own error, as it is: nothing was appended;
//   - an *Unsettled (errors.Is ErrUnknown) when ctx ended before the log told the
//     outcome: not confirmed, but it may have got through;
//   - an error that wraps ErrConflict when it lost too often: nothing was appended;
//   - ErrFull, ErrTooLarge, ErrCorrupt, ErrUnavailable, or ctx's error: nothing
//     was appended.
//
// Give ctx a deadline: while the log cannot be reached or does not answer, the
// append is tried again for as long as ctx allows.
func (h *Handle[S]) Do(ctx context.Context, meta Meta, decide Decide[S]) (Result[S], error) {
	if err := h.takeTurn(ctx); err != nil {
		return Result[S]{}, err
	}
	defer h.endTurn()
	if h.stale {
		if _, err := h.reload(ctx); err != nil {
			return Result[S]{}, err
		}
	}
	for conflicts := range maxConflicts {
		result, again, err := h.try(ctx, meta, decide)
		if err != nil || !again {
			return result, err
		}
		if err := pause(ctx, conflicts); err != nil {
			return Result[S]{}, fmt.Errorf("decide again on %s: %w", h.subject, err)
		}
	}
	return Result[S]{}, fmt.Errorf("decide on %s: gave up after losing %d times: %w", h.subject, maxConflicts, eventlog.ErrConflict)
}

// try decides once and appends. again means that somebody else came first, and
// that the state has moved on.
func (h *Handle[S]) try(ctx context.Context, meta Meta, decide Decide[S]) (result Result[S], again bool, err error) {
	events, err := decide(h.State())
	if err != nil || len(events) == 0 {
		return Result[S]{State: h.State()}, false, err
	}
	d, err := h.draft(ctx, meta, events)
	if err != nil {
		return Result[S]{}, false, err
	}
	sequence, err := h.settle(ctx, d)
	if err == nil {
		rec := h.record(d, sequence)
		h.advance(rec.Position(), rec)
		return Result[S]{State: h.State(), Record: rec, Appended: true}, false, nil
	}
	var lost *lostRace
	if !errors.As(err, &lost) {
		return Result[S]{}, false, err
	}
	if winner := lost.winner; winner.Commit.GetId() == d.commit.GetId() {
		return Result[S]{State: h.State(), Record: winner, Appended: true}, false, nil
	}
	return Result[S]{}, true, nil
}

// lostRace: the place of a draft in the log is taken, by winner. When winner is
// not the draft itself the draft can never land: its expectation is past.
type lostRace struct{ winner eventlog.Record }

func (l *lostRace) Error() string {
	return fmt.Sprintf("%v: record %d of %s", eventlog.ErrConflict, l.winner.Sequence, l.winner.Subject)
}

// settle appends d until its outcome is certain: its sequence; a *lostRace, with
// the handle reloaded; a refusal; or, when ctx ends first, an *Unsettled.
//
// The same bytes with the same expectation may be sent any number of times, for
// the first that lands makes all others stale. Only success and a conflict
// settle an earlier attempt of unknown outcome; a refusal for any other reason
// (full, not sent) says nothing about it.
func (h *Handle[S]) settle(ctx context.Context, d draft) (uint64, error) {
	doubtful, blind := false, 0
	for try := 0; ; try++ {
		sequence, err := h.log.Append(ctx, h.subject, d.expect, d.data)
		switch {
		case err == nil:
			return sequence, nil
		case errors.Is(err, eventlog.ErrConflict):
			winner, found, cause := h.winner(ctx)
			switch {
			case found:
				return 0, &lostRace{winner}
			case errors.Is(cause, eventlog.ErrCorrupt):
				return 0, h.leave(d, doubtful, cause)
			case cause == nil:
				blind++
			}
		case errors.Is(err, eventlog.ErrUnknown):
			doubtful = true
		case errors.Is(err, eventlog.ErrUnavailable): // not sent: wait until it can be
		case !doubtful:
			return 0, err
		}
		if pause(ctx, try) != nil || blind == maxBlind {
			return 0, h.leave(d, doubtful, err)
		}
	}
}

// winner reloads and returns the record that follows the one the handle stood
// at, which is the one that took the draft's place.
func (h *Handle[S]) winner(ctx context.Context) (eventlog.Record, bool, error) {
	fresh, err := h.reload(ctx)
	if err != nil || len(fresh) == 0 {
		return eventlog.Record{}, false, err
	}
	return fresh[0], true, nil
}

// leave gives up waiting for d. The next decision must look at the log first.
func (h *Handle[S]) leave(d draft, doubtful bool, err error) error {
	if !doubtful {
		return err
	}
	h.stale = true
	return &Unsettled{Subject: h.subject, Commit: d.commit.GetId(), Err: err}
}

// pause waits, longer after more tries and never twice alike, or until ctx ends.
func pause(ctx context.Context, tries int) error {
	most := min(maxPause, minPause<<min(tries, 10))
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(rand.N(most) + 1):
		return nil
	}
}
