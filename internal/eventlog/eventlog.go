// Package eventlog is the log that is the truth: commits, each one message on
// the one subject of its aggregate, appended by compare-and-set. It knows
// nothing of runs and lanes; engine puts it together with the pure domain.
// jetlog implements it on JetStream, memlog in memory; both pass the contract
// in eventlogtest.
//
// Invariants: a subject's records have versions 1, 2, 3 … and each names the
// hash of the one before; sequences grow over all subjects; what Append
// confirmed is stored for ever.
package eventlog

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"time"

	"google.golang.org/protobuf/proto"

	eventv1 "github.com/slipway-hq/slipway/gen/slipway/event/v1"
)

// MaxCommit is the most bytes a commit may have. The EVENTS stream takes
// messages of 64 KiB, headers included; the last KiB is left to the headers, so
// that a commit is accepted or refused alike whether it travels alone or in a
// batch. Larger content goes to the object store by digest.
const MaxCommit = 63 << 10

var (
	// ErrConflict: another commit was appended to the subject first. Reload and
	// decide again.
	ErrConflict = errors.New("another commit came first")
	// ErrUnknown: nobody knows whether the append went through; it may even land
	// later. Only finding the commit id, or a later append on the same subject
	// that succeeds or conflicts, settles it.
	ErrUnknown = errors.New("not confirmed by the log")
	// ErrFull: the log refused the append because its store limit is reached.
	ErrFull = errors.New("the log is full")
	// ErrTooLarge: the commit is larger than MaxCommit. Nothing was stored.
	ErrTooLarge = errors.New("commit larger than the log accepts")
	// ErrNotFound: there is no such record.
	ErrNotFound = errors.New("no such record")
	// ErrUnavailable: the log cannot be reached. Nothing was read, and nothing
	// was sent that could still land.
	ErrUnavailable = errors.New("the log cannot be reached")
	// ErrLost: the log ends before what it had delivered already: its store lost
	// records. Whoever followed it must begin again.
	ErrLost = errors.New("the log lost records at its end")
	// ErrCorrupt: a record cannot be decoded, or the chain is broken.
	ErrCorrupt = errors.New("the chain of commits is broken")
)

// Record is one stored commit.
type Record struct {
	Subject  string
	Sequence uint64    // in the whole log, from 1
	Time     time.Time // when the log stored it
	Data     []byte    // the stored bytes, which the next commit's hash covers
	Commit   *eventv1.Commit
	Err      error // ErrCorrupt when Data is not a commit; Commit is then nil
}

// Log stores commits. All methods may be called from any number of goroutines.
type Log interface {
	// Append stores data as the next commit of subject, provided that the last
	// record of subject has sequence expect (0: there is none). It returns the
	// new record's sequence, or ErrConflict, ErrUnknown, ErrFull, ErrTooLarge,
	// ErrUnavailable, or ctx's error when it ended before anything was sent. All
	// but ErrUnknown mean that nothing was stored by this call, and nothing will be.
	Append(ctx context.Context, subject string, expect uint64, data []byte) (uint64, error)
	// Load returns the records of subject with a sequence above after, in order.
	// A read may lag behind what Append confirmed (P9): decide on it and let the
	// compare-and-set reject.
	Load(ctx context.Context, subject string, after uint64) ([]Record, error)
	// Last returns the last record of subject, or ErrNotFound.
	Last(ctx context.Context, subject string) (Record, error)
	// Get returns the record with this sequence, or ErrNotFound.
	Get(ctx context.Context, sequence uint64) (Record, error)
	// Head returns the sequence of the last record that can be read; 0 when there
	// is none.
	Head(ctx context.Context) (uint64, error)
	// Follow calls each with every record above after, in order and without
	// repeats, for as long as ctx lives. A sequence that is left out has no record
	// that could be read: it was purged, or is lost. Follow survives interruptions
	// of the connection. It returns ctx's error, the first error of each, or
	// ErrLost.
	Follow(ctx context.Context, after uint64, each func(Record) error) error
}

// Purger removes what was archived. Only the archiver has one.
type Purger interface {
	// Purge removes the records of subject with a sequence below before. A failure
	// may leave any of them; repeating it changes nothing twice.
	Purge(ctx context.Context, subject string, before uint64) error
}

// Hash is what the next commit of a subject names as prev_hash: SHA-256 over
// the subject, a zero byte, and the stored bytes.
func Hash(subject string, data []byte) []byte {
	h := sha256.New()
	h.Write([]byte(subject))
	h.Write([]byte{0})
	h.Write(data)
	return h.Sum(nil)
}

// Position is what the next commit of a subject must follow: the last record,
// without its content. The zero Position is that of an empty subject.
type Position struct {
	Sequence uint64 // of the last record in the whole log
	Version  uint64 // of the last record in its subject
	Hash     []byte // of the last record, see Hash
}

// Position returns what the commit after r must follow. An undecodable record
// has version 0 and can be followed by none.
func (r Record) Position() Position {
	return Position{Sequence: r.Sequence, Version: r.Commit.GetVersion(), Hash: Hash(r.Subject, r.Data)}
}

// Chain sets version and prev_hash of commit so that it follows p.
func (p Position) Chain(commit *eventv1.Commit) {
	commit.Version, commit.PrevHash = p.Version+1, p.Hash
}

// Verify tells whether next follows p, or returns ErrCorrupt wrapped with what
// is wrong. The first record that is left of a subject may be a checkpoint: it
// stands for those before it, whose hashes it names and nobody here has.
func (p Position) Verify(next Record) error {
	switch {
	case next.Commit == nil:
		return fmt.Errorf("record %d of %s: %w: undecodable", next.Sequence, next.Subject, ErrCorrupt)
	case p.Version == 0 && p.Sequence == 0 && Checkpoint(next.Commit):
		return nil
	case next.Commit.GetVersion() != p.Version+1:
		return fmt.Errorf("record %d of %s: %w: version %d where %d is due", next.Sequence, next.Subject, ErrCorrupt, next.Commit.GetVersion(), p.Version+1)
	case !bytes.Equal(next.Commit.GetPrevHash(), p.Hash):
		return fmt.Errorf("record %d of %s: %w: hash of version %d differs", next.Sequence, next.Subject, ErrCorrupt, p.Version)
	}
	return nil
}

// Checkpoint tells whether a commit carries everything that the ones before it on
// its subject say, so that they may be purged.
func Checkpoint(c *eventv1.Commit) bool {
	if len(c.GetEvents()) != 1 || c.GetVersion() < 2 || len(c.GetPrevHash()) == 0 {
		return false
	}
	e := c.GetEvents()[0]
	return e.GetRunArchived() != nil || e.GetLaneCheckpoint() != nil
}

// Chain sets version and prev_hash of commit so that it follows prev (nil: it
// is the first of its subject).
func Chain(prev *Record, commit *eventv1.Commit) {
	positionOf(prev).Chain(commit)
}

// Verify tells whether next follows prev (nil: is the first), or returns
// ErrCorrupt wrapped with what is wrong.
func Verify(prev *Record, next Record) error {
	return positionOf(prev).Verify(next)
}

func positionOf(prev *Record) Position {
	if prev == nil {
		return Position{}
	}
	return prev.Position()
}

// Decode makes a Record of stored bytes. An undecodable one has Err set.
func Decode(subject string, sequence uint64, at time.Time, data []byte) Record {
	rec := Record{Subject: subject, Sequence: sequence, Time: at, Data: data}
	commit := &eventv1.Commit{}
	if err := proto.Unmarshal(data, commit); err != nil || commit.GetVersion() == 0 {
		rec.Err = fmt.Errorf("record %d of %s: %w: undecodable", sequence, subject, ErrCorrupt)
		return rec
	}
	rec.Commit = commit
	return rec
}
