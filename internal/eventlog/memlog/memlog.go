// Package memlog is an event log in memory, for tests and simulations: the same
// promises as jetlog, checked by the same suite, but deterministic, and made of
// mutexes, channels and timers alone, so that it works inside a testing/synctest
// bubble. It is not for production: nothing outlives the process. Faults make
// it fail the way a remote log fails (see Fault).
//
// Invariants: records are immutable once stored; a commit that lands late goes
// through the same compare-and-set as any other.
package memlog

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/slipway-hq/slipway/internal/eventlog"
)

// Log is an eventlog.Log in memory. Make it with New.
type Log struct {
	mu        sync.Mutex
	records   []eventlog.Record // index i holds sequence i+1; sequence 0: it is gone
	subjects  map[string][]int  // indices into records, in order
	grown     chan struct{}     // closed and replaced at every append
	size      int
	maxBytes  int // 0: no limit
	fault     func(Attempt) Fault
	lag       func(subject string) int
	delayed   []Attempt
	attempted int
}

var (
	_ eventlog.Log    = (*Log)(nil)
	_ eventlog.Purger = (*Log)(nil)
)

// New returns an empty log. Inside a synctest bubble it must be made there.
func New() *Log {
	return &Log{subjects: map[string][]int{}, grown: make(chan struct{})}
}

// SetMaxBytes bounds the stored bytes; beyond it Append returns ErrFull. Zero
// lifts the limit.
func (l *Log) SetMaxBytes(n int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.maxBytes = n
}

// Append implements eventlog.Log.
func (l *Log) Append(ctx context.Context, subject string, expect uint64, data []byte) (uint64, error) {
	if err := ctx.Err(); err != nil {
		return 0, fmt.Errorf("append to %s: %w", subject, err)
	}
	if len(data) > eventlog.MaxCommit {
		return 0, fmt.Errorf("append %d bytes to %s: %w", len(data), subject, eventlog.ErrTooLarge)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.attempted++
	attempt := Attempt{Number: l.attempted, Subject: subject, Expect: expect, Data: bytes.Clone(data)}
	if l.fault != nil {
		if fault := l.fault(attempt); fault.Err != nil {
			l.suffer(attempt, fault)
			return 0, fmt.Errorf("append to %s: %w", subject, fault.Err)
		}
	}
	return l.store(attempt)
}

// store does the compare-and-set. The caller holds mu.
func (l *Log) store(a Attempt) (uint64, error) {
	if last := l.lastSequence(a.Subject); last != a.Expect {
		return 0, fmt.Errorf("append to %s after %d, where %d is the last: %w", a.Subject, a.Expect, last, eventlog.ErrConflict)
	}
	if l.maxBytes > 0 && l.size+len(a.Data) > l.maxBytes {
		return 0, fmt.Errorf("append to %s: %w", a.Subject, eventlog.ErrFull)
	}
	sequence := uint64(len(l.records)) + 1
	l.records = append(l.records, eventlog.Decode(a.Subject, sequence, time.Now(), a.Data))
	l.subjects[a.Subject] = append(l.subjects[a.Subject], len(l.records)-1)
	l.size += len(a.Data)
	close(l.grown)
	l.grown = make(chan struct{})
	return sequence, nil
}

func (l *Log) lastSequence(subject string) uint64 {
	indices := l.subjects[subject]
	if len(indices) == 0 {
		return 0
	}
	return l.records[indices[len(indices)-1]].Sequence
}

// Load implements eventlog.Log.
func (l *Log) Load(ctx context.Context, subject string, after uint64) ([]eventlog.Record, error) {
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("load %s: %w", subject, err)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	var found []eventlog.Record
	for _, i := range l.visible(subject) {
		if rec := l.records[i]; rec.Sequence > after {
			found = append(found, rec)
		}
	}
	return found, nil
}

// visible returns the indices of subject that a read may see. The caller holds mu.
func (l *Log) visible(subject string) []int {
	indices := l.subjects[subject]
	if l.lag == nil {
		return indices
	}
	return indices[:max(0, len(indices)-l.lag(subject))]
}

// Last implements eventlog.Log.
func (l *Log) Last(ctx context.Context, subject string) (eventlog.Record, error) {
	if err := ctx.Err(); err != nil {
		return eventlog.Record{}, fmt.Errorf("read the last of %s: %w", subject, err)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	indices := l.visible(subject)
	if len(indices) == 0 {
		return eventlog.Record{}, fmt.Errorf("read the last of %s: %w", subject, eventlog.ErrNotFound)
	}
	return l.records[indices[len(indices)-1]], nil
}

// Get implements eventlog.Log.
func (l *Log) Get(ctx context.Context, sequence uint64) (eventlog.Record, error) {
	if err := ctx.Err(); err != nil {
		return eventlog.Record{}, fmt.Errorf("read record %d: %w", sequence, err)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if sequence == 0 || sequence > uint64(len(l.records)) || l.records[sequence-1].Sequence == 0 {
		return eventlog.Record{}, fmt.Errorf("read record %d: %w", sequence, eventlog.ErrNotFound)
	}
	return l.records[sequence-1], nil
}

// Head implements eventlog.Log.
func (l *Log) Head(ctx context.Context) (uint64, error) {
	if err := ctx.Err(); err != nil {
		return 0, fmt.Errorf("read the head: %w", err)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	for i := len(l.records) - 1; i >= 0; i-- {
		if l.records[i].Sequence != 0 {
			return l.records[i].Sequence, nil
		}
	}
	return 0, nil
}

// Purge implements eventlog.Purger.
func (l *Log) Purge(ctx context.Context, subject string, before uint64) error {
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("purge %s: %w", subject, err)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.remove(func(rec eventlog.Record) bool { return rec.Subject == subject && rec.Sequence < before })
	return nil
}

// Lose removes one record, as damage does.
func (l *Log) Lose(sequence uint64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.remove(func(rec eventlog.Record) bool { return rec.Sequence == sequence })
}

// remove takes records out of a copy: followers read without the lock. The
// caller holds mu.
func (l *Log) remove(gone func(eventlog.Record) bool) {
	l.records = slices.Clone(l.records)
	for i, rec := range l.records {
		if rec.Sequence == 0 || !gone(rec) {
			continue
		}
		l.size -= len(rec.Data)
		l.records[i] = eventlog.Record{}
		indices := slices.DeleteFunc(slices.Clone(l.subjects[rec.Subject]), func(other int) bool { return other == i })
		if l.subjects[rec.Subject] = indices; len(indices) == 0 {
			delete(l.subjects, rec.Subject)
		}
	}
}

// Follow implements eventlog.Log.
func (l *Log) Follow(ctx context.Context, after uint64, each func(eventlog.Record) error) error {
	for {
		fresh, grown := l.since(after)
		for _, rec := range fresh {
			after++
			if ctx.Err() != nil {
				return ctx.Err()
			}
			if rec.Sequence == 0 {
				continue
			}
			if err := each(rec); err != nil {
				return err
			}
		}
		if len(fresh) > 0 {
			continue
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-grown:
		}
	}
}

// since returns the records above after, and a channel that closes at the next
// append. Records never change, so the slice may be read without the lock.
func (l *Log) since(after uint64) ([]eventlog.Record, <-chan struct{}) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if after >= uint64(len(l.records)) {
		return nil, l.grown
	}
	return l.records[after:len(l.records):len(l.records)], l.grown
}
