package eventlogtest

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/slipway-hq/slipway/internal/eventlog"
)

// RunRestart checks what must outlive an interruption of the log's store:
// restart interrupts it and returns when it is on its way back.
func RunRestart(t *testing.T, open func(t *testing.T) (log eventlog.Log, restart func())) {
	t.Run("a follower survives a restart without gap or repeat", func(t *testing.T) {
		log, restart := open(t)
		ctx, subject := Context(t), Subject()
		at := Grow(t, log, subject, eventlog.Position{}, 10)
		seen := make(chan eventlog.Record, 1000)
		ended := make(chan error, 1)
		go func() {
			ended <- log.Follow(ctx, at.Sequence-10, func(rec eventlog.Record) error {
				seen <- rec
				if rec.Commit.GetVersion() == 30 {
					return errEnough
				}
				return nil
			})
		}()
		expectVersions(t, seen, 1, 10)
		restart()
		at = growThrough(ctx, t, log, subject, at, 10)
		expectVersions(t, seen, 11, 20)
		restart()
		growThrough(ctx, t, log, subject, at, 10)
		expectVersions(t, seen, 21, 30)
		expectError(t, <-ended, errEnough)
		if n := len(Whole(t, log, subject)); n != 30 {
			t.Errorf("%d records, want 30", n)
		}
	})
}

// growThrough appends n commits, settling every unknown outcome.
func growThrough(ctx context.Context, t *testing.T, log eventlog.Log, subject string, at eventlog.Position, n int) eventlog.Position {
	t.Helper()
	for range n {
		id, data := Commit(at, payload)
		mine, err := Settle(ctx, log, subject, at.Sequence, id, data)
		if err != nil || !mine {
			t.Fatalf("version %d: mine %v, error %v", at.Version+1, mine, err)
		}
		records, err := loadSome(ctx, log, subject, at.Sequence)
		if err != nil {
			t.Fatal(err)
		}
		at = records[0].Position()
	}
	return at
}

func expectVersions(t *testing.T, seen <-chan eventlog.Record, from, to uint64) {
	t.Helper()
	ctx := Context(t)
	for version := from; version <= to; version++ {
		select {
		case rec := <-seen:
			if rec.Commit.GetVersion() != version {
				t.Fatalf("followed version %d, want %d", rec.Commit.GetVersion(), version)
			}
		case <-ctx.Done():
			t.Fatalf("version %d was never followed", version)
		}
	}
}

// RunFull checks a log that is nearly full: open returns one that takes some
// commits of 1 KiB and fewer than 1000.
func RunFull(t *testing.T, open func(t *testing.T) eventlog.Log) {
	t.Run("a full log refuses, and keeps what it has", func(t *testing.T) {
		log := open(t)
		ctx, subject := Context(t), Subject()
		var at eventlog.Position
		for range 1000 {
			_, data := Commit(at, 1<<10)
			sequence, err := log.Append(ctx, subject, at.Sequence, data)
			if err != nil {
				expectError(t, err, eventlog.ErrFull)
				break
			}
			at = eventlog.Position{Sequence: sequence, Version: at.Version + 1, Hash: eventlog.Hash(subject, data)}
		}
		if n := len(Whole(t, log, subject)); n == 0 || uint64(n) != at.Version || n == 1000 {
			t.Errorf("%d records stored, %d confirmed", n, at.Version)
		}
		results := make(chan error)
		const crowd = 50
		for range crowd {
			go func() {
				_, data := Commit(eventlog.Position{}, 1<<10)
				_, err := log.Append(ctx, Subject(), 0, data)
				results <- err
			}()
		}
		for range crowd {
			expectError(t, <-results, eventlog.ErrFull)
		}
	})
}

// Delayed is a log whose appends can be held on their way, and the same log by
// a way that is free.
type Delayed struct {
	Held, Free eventlog.Log
	Hold       func() // the next append of Held stays on its way
	Release    func() // and goes on
}

// RunDelay checks that absence proves nothing: a delayed append lands later, or
// is refused when something landed before it.
func RunDelay(t *testing.T, open func(t *testing.T) Delayed) {
	t.Run("a delayed append is unknown, and found once it lands", func(t *testing.T) {
		log := open(t)
		subject := Subject()
		at := Grow(t, log.Held, subject, eventlog.Position{}, 1)
		id := holdOne(t, log, subject, at)
		if n := len(Whole(t, log.Free, subject)); n != 1 {
			t.Fatalf("%d records, want 1", n)
		}
		log.Release()
		Eventually(t, "the delayed commit is found by its id", func() bool {
			records := Whole(t, log.Free, subject)
			return len(records) == 2 && records[1].Commit.GetId() == id
		})
	})
	t.Run("a delayed append that was overtaken is refused", func(t *testing.T) {
		log := open(t)
		subject, other := Subject(), Subject()
		at := Grow(t, log.Held, subject, eventlog.Position{}, 1)
		id := holdOne(t, log, subject, at)
		at = Grow(t, log.Free, subject, at, 1)
		log.Release()
		Grow(t, log.Held, other, eventlog.Position{}, 1) // by the same way, so the delayed one has arrived
		for _, rec := range Whole(t, log.Free, subject) {
			if rec.Commit.GetId() == id {
				t.Error("the overtaken commit is stored")
			}
		}
		Grow(t, log.Held, subject, at, 1)
	})
	t.Run("the same bytes sent again settle an unknown outcome", func(t *testing.T) {
		log := open(t)
		subject := Subject()
		at := Grow(t, log.Held, subject, eventlog.Position{}, 1)
		id, data := Commit(at, payload)
		log.Hold()
		ctx, cancel := context.WithTimeout(t.Context(), heldFor)
		defer cancel()
		_, err := log.Held.Append(ctx, subject, at.Sequence, data)
		expectError(t, err, eventlog.ErrUnknown)
		mine, err := Settle(Context(t), log.Free, subject, at.Sequence, id, data)
		if err != nil || !mine {
			t.Errorf("settled by a second try: mine %v, error %v", mine, err)
		}
		log.Release()
		mine, err = Settle(Context(t), log.Held, subject, at.Sequence, id, data)
		if err != nil || !mine {
			t.Errorf("settled by finding it: mine %v, error %v", mine, err)
		}
		if n := len(Whole(t, log.Free, subject)); n != 2 {
			t.Errorf("%d records, want 2", n)
		}
	})
}

// heldFor is how long a held append waits for its answer.
const heldFor = 200 * time.Millisecond

// holdOne appends a commit that is held on its way and returns its id.
func holdOne(t *testing.T, log Delayed, subject string, at eventlog.Position) string {
	t.Helper()
	id, data := Commit(at, payload)
	log.Hold()
	ctx, cancel := context.WithTimeout(t.Context(), heldFor)
	defer cancel()
	if _, err := log.Held.Append(ctx, subject, at.Sequence, data); !errors.Is(err, eventlog.ErrUnknown) {
		t.Fatalf("held append: %v, want an unknown outcome", err)
	}
	return id
}
