// Package eventlogtest is the contract of eventlog.Log as a suite of tests whose
// clauses are sentences. Every implementation passes Run; those that can be
// restarted, filled up or held back pass RunRestart, RunFull and RunDelay too.
// It is for the tests of implementations only.
//
// The clauses share one log and use subjects of their own, so the log need not
// be empty and must accept the subjects ev.test.>.
package eventlogtest

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	eventv1 "github.com/slipway-hq/slipway/gen/slipway/event/v1"
	"github.com/slipway-hq/slipway/internal/eventlog"
)

// patience is how long a clause waits for what must happen: longer than the
// longest fail-over measured (7.3 s).
const patience = 30 * time.Second

var subjects atomic.Int64

// Subject returns a subject that no other clause uses.
func Subject() string { return fmt.Sprintf("ev.test.%d", subjects.Add(1)) }

// Commit returns the id and the bytes of a commit that follows at, with size
// bytes of content.
func Commit(at eventlog.Position, size int) (id string, data []byte) {
	commit := &eventv1.Commit{Id: rand.Text(), Events: []*eventv1.Event{{
		Kind: &eventv1.Event_ConfigAdopted{ConfigAdopted: &eventv1.ConfigAdopted{Digest: "d", Content: make([]byte, size)}},
	}}}
	at.Chain(commit)
	data, err := proto.Marshal(commit)
	if err != nil {
		panic(err) // a commit of ours always encodes
	}
	return commit.GetId(), data
}

// payload is the content of an ordinary commit in these tests: with it a commit
// has about 500 bytes, as in the measurements.
const payload = 420

// Context returns a context that ends before the test's own patience does.
func Context(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	t.Cleanup(cancel)
	return ctx
}

// Grow appends n commits to subject after at and returns the new position.
func Grow(t *testing.T, log eventlog.Log, subject string, at eventlog.Position, n int) eventlog.Position {
	t.Helper()
	for range n {
		at = Step(t, log, subject, at)
	}
	return at
}

// Step appends one commit to subject after at and returns the new position. It
// may be called from any goroutine; a failure is reported and changes nothing.
func Step(t testing.TB, log eventlog.Log, subject string, at eventlog.Position) eventlog.Position {
	t.Helper()
	return stepOf(t, log, subject, at, payload)
}

func stepOf(t testing.TB, log eventlog.Log, subject string, at eventlog.Position, size int) eventlog.Position {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	_, data := Commit(at, size)
	sequence, err := log.Append(ctx, subject, at.Sequence, data)
	if err != nil {
		t.Errorf("append version %d to %s: %v", at.Version+1, subject, err)
		return at
	}
	return eventlog.Position{Sequence: sequence, Version: at.Version + 1, Hash: eventlog.Hash(subject, data)}
}

// Whole loads subject, verifies its chain and returns its records.
func Whole(t *testing.T, log eventlog.Log, subject string) []eventlog.Record {
	t.Helper()
	records, err := log.Load(Context(t), subject, 0)
	if err != nil {
		t.Fatalf("load %s: %v", subject, err)
	}
	var at eventlog.Position
	for _, rec := range records {
		if err := at.Verify(rec); err != nil {
			t.Fatal(err)
		}
		at = rec.Position()
	}
	return records
}

// Eventually polls done until it is true.
func Eventually(t *testing.T, what string, done func() bool) {
	t.Helper()
	ctx := Context(t)
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !done() {
		select {
		case <-ctx.Done():
			t.Fatalf("never happened: %s", what)
		case <-tick.C:
		}
	}
}

func expectError(t *testing.T, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Errorf("got error %v, want %v", err, want)
	}
}

// Settle appends data until the outcome is known, as engine does: true when it
// is stored, by this or an earlier try.
func Settle(ctx context.Context, log eventlog.Log, subject string, expect uint64, id string, data []byte) (bool, error) {
	for {
		_, err := log.Append(ctx, subject, expect, data)
		switch {
		case err == nil:
			return true, nil
		case (errors.Is(err, eventlog.ErrUnknown) || errors.Is(err, eventlog.ErrUnavailable)) && ctx.Err() == nil:
			<-time.After(10 * time.Millisecond)
		case errors.Is(err, eventlog.ErrConflict):
			records, err := loadSome(ctx, log, subject, expect)
			if err != nil {
				return false, err
			}
			return records[0].Commit.GetId() == id, nil
		default:
			return false, err
		}
	}
}

// loadSome loads what follows after, which is known to exist, from whichever
// replica has it already.
func loadSome(ctx context.Context, log eventlog.Log, subject string, after uint64) ([]eventlog.Record, error) {
	for {
		records, err := log.Load(ctx, subject, after)
		if len(records) > 0 || ctx.Err() != nil || (err != nil && !errors.Is(err, eventlog.ErrUnavailable)) {
			return records, errors.Join(err, ctx.Err())
		}
		<-time.After(time.Millisecond)
	}
}
