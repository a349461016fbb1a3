package eventlogtest

import (
	"bytes"
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/slipway-hq/slipway/internal/eventlog"
)

// Run checks every clause that needs nothing but a log.
func Run(t *testing.T, open func(t *testing.T) eventlog.Log) {
	log := open(t)
	for _, clause := range []struct {
		name  string
		check func(*testing.T, eventlog.Log)
	}{
		{"a subject has one first commit", firstCommit},
		{"an append names the last sequence of its subject", namesLast},
		{"sequences grow over all subjects", sequencesGrow},
		{"what was stored comes back unchanged", unchanged},
		{"what is not there is not found", notFound},
		{"a long aggregate is loaded whole", longAggregate},
		{"large commits are loaded whole", largeCommits},
		{"a commit that is too large is refused and harms nobody", tooLarge},
		{"an append whose context has ended stores nothing", endedContext},
		{"a forged record breaks the chain", forged},
		{"bytes that are no commit are delivered with their error", undecodable},
		{"of concurrent writers one wins each version", oneWinner},
		{"under parallel load every confirmed commit is stored once", parallelLoad},
		{"a stale commit in a crowd fails alone", staleInCrowd},
		{"follow delivers everything after a sequence, in order", followAll},
		{"follow delivers thousands of records and megabytes without a gap", followLong},
		{"follow goes on with what comes later", followLater},
		{"follow returns its handler's error", followError},
		{"follow ends with its context", followEnds},
	} {
		t.Run(clause.name, func(t *testing.T) { clause.check(t, log) })
	}
}

func firstCommit(t *testing.T, log eventlog.Log) {
	subject := Subject()
	Grow(t, log, subject, eventlog.Position{}, 1)
	_, data := Commit(eventlog.Position{}, payload)
	_, err := log.Append(Context(t), subject, 0, data)
	expectError(t, err, eventlog.ErrConflict)
	if n := len(Whole(t, log, subject)); n != 1 {
		t.Errorf("%d records, want 1", n)
	}
}

func namesLast(t *testing.T, log eventlog.Log) {
	subject := Subject()
	at := Grow(t, log, subject, eventlog.Position{}, 2)
	for _, wrong := range []uint64{0, at.Sequence - 1, at.Sequence + 1, at.Sequence + 1000} {
		_, data := Commit(at, payload)
		_, err := log.Append(Context(t), subject, wrong, data)
		expectError(t, err, eventlog.ErrConflict)
	}
	Grow(t, log, subject, at, 1)
	if n := len(Whole(t, log, subject)); n != 3 {
		t.Errorf("%d records, want 3", n)
	}
}

func sequencesGrow(t *testing.T, log eventlog.Log) {
	a, b := Subject(), Subject()
	first := Grow(t, log, a, eventlog.Position{}, 1)
	second := Grow(t, log, b, eventlog.Position{}, 1)
	third := Grow(t, log, a, first, 1)
	if first.Sequence >= second.Sequence || second.Sequence >= third.Sequence {
		t.Errorf("sequences %d, %d, %d do not grow", first.Sequence, second.Sequence, third.Sequence)
	}
	Eventually(t, "the head is the last record", func() bool {
		head, err := log.Head(Context(t))
		return err == nil && head == third.Sequence
	})
}

func unchanged(t *testing.T, log eventlog.Log) {
	ctx, subject := Context(t), Subject()
	id, data := Commit(eventlog.Position{}, payload)
	sequence, err := log.Append(ctx, subject, 0, data)
	if err != nil {
		t.Fatal(err)
	}
	var found []eventlog.Record
	Eventually(t, "the record can be read", func() bool {
		last, err1 := log.Last(ctx, subject)
		got, err2 := log.Get(ctx, sequence)
		loaded, err3 := log.Load(ctx, subject, 0)
		found = append([]eventlog.Record{last, got}, loaded...)
		return errors.Join(err1, err2, err3) == nil && len(loaded) == 1
	})
	for _, rec := range found {
		if rec.Subject != subject || rec.Sequence != sequence || !bytes.Equal(rec.Data, data) ||
			rec.Commit.GetId() != id || rec.Time.IsZero() || rec.Err != nil {
			t.Errorf("got %+v", rec)
		}
	}
}

func notFound(t *testing.T, log eventlog.Log) {
	ctx := Context(t)
	_, err := log.Last(ctx, Subject())
	expectError(t, err, eventlog.ErrNotFound)
	for _, sequence := range []uint64{0, 1 << 40} {
		_, err = log.Get(ctx, sequence)
		expectError(t, err, eventlog.ErrNotFound)
	}
	subject := Subject()
	at := Grow(t, log, subject, eventlog.Position{}, 1)
	for _, after := range []uint64{at.Sequence, at.Sequence + 1000} {
		records, err := log.Load(ctx, subject, after)
		if err != nil || len(records) != 0 {
			t.Errorf("after %d: %d records, error %v", after, len(records), err)
		}
	}
}

// longAggregate has more commits than the largest page.
func longAggregate(t *testing.T, log eventlog.Log) {
	const commits = 1100
	subject := Subject()
	at := Grow(t, log, subject, eventlog.Position{}, 3)
	Grow(t, log, subject, at, commits-3)
	Eventually(t, "all is readable", func() bool { return len(Whole(t, log, subject)) == commits })
	tail, err := log.Load(Context(t), subject, at.Sequence)
	if err != nil || len(tail) != commits-3 || tail[0].Commit.GetVersion() != 4 {
		t.Errorf("after version 3: %d records, error %v", len(tail), err)
	}
}

// largeCommits are more bytes than the largest page.
func largeCommits(t *testing.T, log eventlog.Log) {
	const commits, size = 100, 60 << 10
	subject, at := Subject(), eventlog.Position{}
	for range commits {
		at = stepOf(t, log, subject, at, size)
	}
	Eventually(t, "all is readable", func() bool { return len(Whole(t, log, subject)) == commits })
}

func tooLarge(t *testing.T, log eventlog.Log) {
	ctx, subject := Context(t), Subject()
	_, small := Commit(eventlog.Position{}, 60<<10)
	overhead := len(small) - 60<<10
	_, fits := Commit(eventlog.Position{}, eventlog.MaxCommit-overhead)
	_, exceeds := Commit(eventlog.Position{}, eventlog.MaxCommit-overhead+1)
	_, err := log.Append(ctx, subject, 0, exceeds)
	expectError(t, err, eventlog.ErrTooLarge)
	if _, err := log.Append(ctx, subject, 0, fits); err != nil {
		t.Errorf("append of %d bytes, the most allowed: %v", len(fits), err)
	}
}

func endedContext(t *testing.T, log eventlog.Log) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	subject := Subject()
	_, data := Commit(eventlog.Position{}, payload)
	if _, err := log.Append(ctx, subject, 0, data); err == nil {
		t.Error("no error")
	} else if !errors.Is(err, eventlog.ErrUnknown) {
		Grow(t, log, subject, eventlog.Position{}, 1) // so nothing may be there
	}
}

func forged(t *testing.T, log eventlog.Log) {
	ctx, subject := Context(t), Subject()
	at := Grow(t, log, subject, eventlog.Position{}, 1)
	_, data := Commit(eventlog.Position{Version: at.Version, Hash: []byte("forged")}, payload)
	if _, err := log.Append(ctx, subject, at.Sequence, data); err != nil {
		t.Fatal(err)
	}
	records, err := loadSome(ctx, log, subject, at.Sequence)
	if err != nil {
		t.Fatal(err)
	}
	expectError(t, at.Verify(records[0]), eventlog.ErrCorrupt)
}

func undecodable(t *testing.T, log eventlog.Log) {
	ctx, subject := Context(t), Subject()
	sequence, err := log.Append(ctx, subject, 0, []byte("\xff no commit"))
	if err != nil {
		t.Fatal(err)
	}
	errSeen := errors.New("seen")
	err = log.Follow(ctx, sequence-1, func(rec eventlog.Record) error {
		expectError(t, rec.Err, eventlog.ErrCorrupt)
		expectError(t, eventlog.Verify(nil, rec), eventlog.ErrCorrupt)
		if rec.Sequence != sequence || rec.Commit != nil {
			t.Errorf("got %+v", rec)
		}
		return errSeen
	})
	expectError(t, err, errSeen)
}

// oneWinner: 8 writers race for every version of one subject. P1 was found so.
func oneWinner(t *testing.T, log eventlog.Log) {
	const writers, rounds = 8, 40
	ctx, subject := Context(t), Subject()
	var at eventlog.Position
	for range rounds {
		var won atomic.Int64
		var next atomic.Value
		var wg sync.WaitGroup
		for range writers {
			wg.Go(func() {
				id, data := Commit(at, payload)
				mine, err := Settle(ctx, log, subject, at.Sequence, id, data)
				if err != nil {
					t.Errorf("version %d: %v", at.Version+1, err)
				}
				if mine {
					won.Add(1)
					next.Store(id)
				}
			})
		}
		wg.Wait()
		if won.Load() != 1 {
			t.Fatalf("version %d has %d winners", at.Version+1, won.Load())
		}
		records, err := loadSome(ctx, log, subject, at.Sequence)
		if err != nil {
			t.Fatal(err)
		}
		if len(records) != 1 || records[0].Commit.GetId() != next.Load() {
			t.Fatalf("version %d: %d records, the first by %s, not by the winner", at.Version+1, len(records), records[0].Commit.GetId())
		}
		at = records[0].Position()
	}
	Whole(t, log, subject)
}

// parallelLoad: 200 writers, each on a subject of its own that a second writer
// contends for.
func parallelLoad(t *testing.T, log eventlog.Log) {
	const pairs, commits = 100, 8
	ctx := Context(t)
	var mu sync.Mutex
	confirmed := map[string]string{} // commit id to subject
	var wg sync.WaitGroup
	for range pairs {
		subject := Subject()
		for range 2 {
			wg.Go(func() {
				ids, err := contend(ctx, log, subject, commits)
				if err != nil {
					t.Errorf("%s: %v", subject, err)
				}
				mu.Lock()
				defer mu.Unlock()
				for _, id := range ids {
					confirmed[id] = subject
				}
			})
		}
	}
	wg.Wait()
	stored := map[string]int{}
	for subject := range invert(confirmed) {
		for _, rec := range Whole(t, log, subject) {
			stored[rec.Commit.GetId()]++
			if confirmed[rec.Commit.GetId()] == "" {
				t.Errorf("stored but never confirmed: %s", rec.Commit.GetId())
			}
		}
	}
	for id := range confirmed {
		if stored[id] != 1 {
			t.Errorf("confirmed commit %s is stored %d times", id, stored[id])
		}
	}
	if len(confirmed) != 2*pairs*commits {
		t.Errorf("%d confirmed commits, want %d", len(confirmed), 2*pairs*commits)
	}
}

// contend appends n commits of its own to subject against others who do too.
func contend(ctx context.Context, log eventlog.Log, subject string, n int) ([]string, error) {
	var at eventlog.Position
	var ids []string
	for len(ids) < n {
		id, data := Commit(at, payload)
		mine, err := Settle(ctx, log, subject, at.Sequence, id, data)
		if err != nil {
			return ids, err
		}
		if mine {
			ids = append(ids, id)
		}
		records, err := loadSome(ctx, log, subject, at.Sequence)
		if err != nil {
			return ids, err
		}
		at = records[len(records)-1].Position()
	}
	return ids, nil
}

func invert(m map[string]string) map[string]bool {
	values := map[string]bool{}
	for _, v := range m {
		values[v] = true
	}
	return values
}

// staleInCrowd: many appends at once, some of them stale: those conflict, the
// others are stored.
func staleInCrowd(t *testing.T, log eventlog.Log) {
	const crowd = 120
	ctx := Context(t)
	var wg sync.WaitGroup
	for i := range crowd {
		subject := Subject()
		stale := i%10 == 3
		if stale {
			Grow(t, log, subject, eventlog.Position{}, 1)
		}
		wg.Go(func() {
			_, data := Commit(eventlog.Position{}, payload)
			_, err := log.Append(ctx, subject, 0, data)
			if errors.Is(err, eventlog.ErrConflict) != stale || !stale && err != nil {
				t.Errorf("stale %v: error %v", stale, err)
			}
		})
	}
	wg.Wait()
}
