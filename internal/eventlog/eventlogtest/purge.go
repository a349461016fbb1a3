package eventlogtest

import (
	"context"
	"errors"
	"slices"
	"testing"

	"github.com/slipway-hq/slipway/internal/eventlog"
)

// PurgingLog is a log of which an archiver can remove records.
type PurgingLog interface {
	eventlog.Log
	eventlog.Purger
}

// RunPurge checks what holds when records are gone. The log is its own: lose
// removes one record as damage does.
func RunPurge(t *testing.T, log PurgingLog, lose func(sequence uint64)) {
	ctx := Context(t)
	long, other := Subject(), Subject()
	at := Grow(t, log, long, eventlog.Position{}, 3)
	between := Grow(t, log, other, eventlog.Position{}, 2)
	at = Grow(t, log, long, at, 3)
	if err := log.Purge(ctx, long, at.Sequence); err != nil {
		t.Fatal(err)
	}
	if err := log.Purge(ctx, long, at.Sequence); err != nil {
		t.Fatalf("again: %v", err)
	}
	left, err := log.Load(ctx, long, 0)
	if err != nil || len(left) != 1 || left[0].Sequence != at.Sequence {
		t.Fatalf("a purged subject has %d records, error %v", len(left), err)
	}
	Whole(t, log, other)
	_, data := Commit(eventlog.Position{}, payload)
	if _, err := log.Append(ctx, long, 0, data); !errors.Is(err, eventlog.ErrConflict) {
		t.Errorf("a subject of which a record is left was begun again: %v", err)
	}
	if _, err := log.Get(ctx, 1); !errors.Is(err, eventlog.ErrNotFound) {
		t.Errorf("a purged record: %v", err)
	}
	end := Grow(t, log, long, at, 1)
	want := []uint64{between.Sequence - 1, between.Sequence, at.Sequence, end.Sequence}
	if got := followed(ctx, t, log, end.Sequence); !slices.Equal(got, want) {
		t.Errorf("follow delivered %v, want %v", got, want)
	}
	lose(end.Sequence)
	if head, err := log.Head(ctx); err != nil || head != at.Sequence {
		t.Errorf("the head after the last record was lost: %d, error %v; want %d", head, err, at.Sequence)
	}
	next := Grow(t, log, Subject(), eventlog.Position{}, 1)
	if next.Sequence != end.Sequence+1 {
		t.Errorf("a lost sequence was given again: %d after %d", next.Sequence, end.Sequence)
	}
}

// followed returns the sequences that a follower sees up to last.
func followed(ctx context.Context, t *testing.T, log eventlog.Log, last uint64) (out []uint64) {
	t.Helper()
	err := log.Follow(ctx, 0, func(rec eventlog.Record) error {
		if out = append(out, rec.Sequence); rec.Sequence >= last {
			return errEnough
		}
		return nil
	})
	if !errors.Is(err, errEnough) {
		t.Fatalf("after %v: %v", out, err)
	}
	return out
}
