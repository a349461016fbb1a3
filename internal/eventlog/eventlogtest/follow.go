package eventlogtest

import (
	"context"
	"errors"
	"sync"
	"testing"

	"github.com/slipway-hq/slipway/internal/eventlog"
)

// errEnough ends a Follow that has seen what it waited for.
var errEnough = errors.New("enough")

// collect follows from after until n records were delivered.
func collect(ctx context.Context, t *testing.T, log eventlog.Log, after uint64, n int) []eventlog.Record {
	t.Helper()
	var records []eventlog.Record
	err := log.Follow(ctx, after, func(rec eventlog.Record) error {
		if rec.Sequence <= after || len(records) > 0 && rec.Sequence != records[len(records)-1].Sequence+1 {
			t.Errorf("record %d is out of order", rec.Sequence)
		}
		if records = append(records, rec); len(records) == n {
			return errEnough
		}
		return nil
	})
	if !errors.Is(err, errEnough) {
		t.Fatalf("after %d of %d records: %v", len(records), n, err)
	}
	return records
}

func followAll(t *testing.T, log eventlog.Log) {
	ctx, subject := Context(t), Subject()
	at := Grow(t, log, subject, eventlog.Position{}, 1)
	Grow(t, log, subject, at, 20)
	head, err := log.Head(ctx)
	if err != nil {
		t.Fatal(err)
	}
	all := collect(ctx, t, log, 0, int(head))
	if all[0].Sequence != 1 {
		t.Errorf("the first is %d", all[0].Sequence)
	}
	tail := collect(ctx, t, log, at.Sequence, 20)
	for i, rec := range tail {
		if rec.Subject != subject || rec.Commit.GetVersion() != uint64(i+2) || rec.Time.IsZero() || rec.Err != nil {
			t.Errorf("got %+v", rec)
		}
		stored, err := log.Get(ctx, rec.Sequence)
		if err != nil || !stored.Time.Equal(rec.Time) || string(stored.Data) != string(rec.Data) {
			t.Errorf("followed %+v, stored %+v, error %v", rec, stored, err)
		}
	}
}

// followLong passes the bounds of any page or pull: thousands of small records,
// and tens of megabytes of large ones.
func followLong(t *testing.T, log eventlog.Log) {
	const writers, small, large, size = 200, 30, 2, 60 << 10
	ctx := Context(t)
	before := Grow(t, log, Subject(), eventlog.Position{}, 1)
	var wg sync.WaitGroup
	for range writers {
		wg.Go(func() {
			at, subject := eventlog.Position{}, Subject()
			for i := range small + large {
				at = stepOf(t, log, subject, at, payload+i/small*size)
			}
		})
	}
	wg.Wait()
	if t.Failed() {
		return
	}
	chains := map[string]eventlog.Position{}
	for _, rec := range collect(ctx, t, log, before.Sequence, writers*(small+large)) {
		if err := chains[rec.Subject].Verify(rec); err != nil {
			t.Fatal(err)
		}
		chains[rec.Subject] = rec.Position()
	}
}

func followLater(t *testing.T, log eventlog.Log) {
	const commits = 50
	ctx, subject := Context(t), Subject()
	at := Grow(t, log, subject, eventlog.Position{}, 1)
	got := make(chan []eventlog.Record)
	go func() { got <- collect(ctx, t, log, at.Sequence, commits) }()
	Grow(t, log, subject, at, commits)
	for i, rec := range <-got {
		if rec.Commit.GetVersion() != uint64(i+2) {
			t.Errorf("record %d has version %d", i, rec.Commit.GetVersion())
		}
	}
}

func followError(t *testing.T, log eventlog.Log) {
	Grow(t, log, Subject(), eventlog.Position{}, 1)
	errHandler := errors.New("of the handler")
	calls := 0
	err := log.Follow(Context(t), 0, func(eventlog.Record) error { calls++; return errHandler })
	expectError(t, err, errHandler)
	if calls != 1 {
		t.Errorf("%d calls, want 1", calls)
	}
}

func followEnds(t *testing.T, log eventlog.Log) {
	at := Grow(t, log, Subject(), eventlog.Position{}, 1)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error)
	reached := make(chan struct{}, 1)
	go func() {
		ended <- log.Follow(ctx, at.Sequence-1, func(eventlog.Record) error {
			select {
			case reached <- struct{}{}:
			default:
			}
			return nil
		})
	}()
	<-reached
	cancel()
	expectError(t, <-ended, context.Canceled)
}
