// Package archive is the form in which the records of ended runs lie in the
// object store, byte for byte, once their subjects are purged. It packs, reads
// and verifies; what is archived when, and what may then be purged, the
// orchestrator decides.
//
// Invariants: an object is named by its digest and never changes; a run is read
// from it only if the digest, the run's chain from its first record to its last,
// and the hash that the checkpoint in the log names all agree.
package archive

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	eventv1 "github.com/slipway-hq/slipway/gen/slipway/event/v1"
	"github.com/slipway-hq/slipway/internal/eventlog"
	"github.com/slipway-hq/slipway/internal/topology"
)

const (
	// MaxRuns bounds one object: a run is read by fetching all of it.
	MaxRuns = 500
	// MaxBytes: see MaxRuns.
	MaxBytes = 4 << 20

	prefix = "archive/"
	magic  = "slipway archive 1\n"
	// maxRecords bounds what a damaged length can ask for.
	maxRecords = 1 << 20
)

// ErrDamaged: an object is missing, or is not what was archived.
var ErrDamaged = errors.New("the archive is damaged")

// Batch is an object in the making.
type Batch struct {
	data []byte
	runs int
}

// Place is where a run's records are.
type Place struct{ Offset, Length uint64 }

// Room tells whether another run of so many bytes fits.
func (b *Batch) Room(size int) bool {
	return b.runs == 0 || b.runs < MaxRuns && len(b.data)+size <= MaxBytes
}

// Runs is how many there are.
func (b *Batch) Runs() int { return b.runs }

// Add packs the records of one run.
func (b *Batch) Add(records []eventlog.Record) Place {
	if len(b.data) == 0 {
		b.data = append(b.data, magic...)
	}
	from := len(b.data)
	b.data = binary.AppendUvarint(b.data, uint64(len(records)))
	for _, rec := range records {
		b.data = appendBytes(b.data, []byte(rec.Subject))
		b.data = binary.AppendUvarint(b.data, rec.Sequence)
		b.data = binary.AppendVarint(b.data, rec.Time.UnixNano())
		b.data = appendBytes(b.data, rec.Data)
	}
	b.runs++
	return Place{uint64(from), uint64(len(b.data) - from)} //nolint:gosec // lengths
}

// Size is about how many bytes records take in a batch.
func Size(records []eventlog.Record) (n int) {
	const around = 32 // the numbers
	for _, rec := range records {
		n += len(rec.Subject) + len(rec.Data) + around
	}
	return n
}

func appendBytes(out, data []byte) []byte {
	return append(binary.AppendUvarint(out, uint64(len(data))), data...)
}

// Put stores the batch and reads it back. It returns the object's name and
// digest. The same batch again is the same object, mended if it was damaged.
func (b *Batch) Put(ctx context.Context, objects jetstream.ObjectStore) (name string, digest []byte, err error) {
	sum := sha256.Sum256(b.data)
	name = prefix + hex.EncodeToString(sum[:])
	if _, err := fetch(ctx, objects, name, sum[:]); err == nil {
		return name, sum[:], nil
	} else if !errors.Is(err, ErrDamaged) {
		return "", nil, err
	}
	if _, err := objects.PutBytes(ctx, name, b.data); err != nil {
		return "", nil, fmt.Errorf("write %s: %w", name, err)
	}
	if _, err := fetch(ctx, objects, name, sum[:]); err != nil {
		return "", nil, err
	}
	return name, sum[:], nil
}

func fetch(ctx context.Context, objects jetstream.ObjectStore, name string, digest []byte) ([]byte, error) {
	data, err := objects.GetBytes(ctx, name)
	if errors.Is(err, jetstream.ErrObjectNotFound) {
		return nil, fmt.Errorf("%s is missing: %w", name, ErrDamaged)
	}
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", name, err)
	}
	if sum := sha256.Sum256(data); !bytes.Equal(sum[:], digest) {
		return nil, fmt.Errorf("%s: its digest differs: %w", name, ErrDamaged)
	}
	return data, nil
}

// Read returns the records that a checkpoint stands for, verified up to the
// checkpoint itself, a record of the log.
func Read(ctx context.Context, js jetstream.JetStream, checkpoint eventlog.Record) ([]eventlog.Record, error) {
	e := Checkpoint(checkpoint.Commit)
	if e == nil {
		return nil, fmt.Errorf("record %d is no checkpoint of an archived run", checkpoint.Sequence)
	}
	objects, err := topology.Objects(ctx, js)
	if err != nil {
		return nil, err
	}
	data, err := fetch(ctx, objects, e.GetObject(), e.GetDigest())
	if err != nil {
		return nil, err
	}
	if e.GetOffset() > uint64(len(data)) || e.GetLength() > uint64(len(data))-e.GetOffset() {
		return nil, fmt.Errorf("%s is shorter than the log says: %w", e.GetObject(), ErrDamaged)
	}
	records, err := unpack(data[e.GetOffset() : e.GetOffset()+e.GetLength()])
	if err != nil {
		return nil, fmt.Errorf("%s: %w", e.GetObject(), err)
	}
	return records, Verify(records, checkpoint)
}

// Verify tells whether records are a whole chain that ends just before next.
func Verify(records []eventlog.Record, next eventlog.Record) error {
	var at eventlog.Position
	for _, rec := range append(records[:len(records):len(records)], next) {
		if rec.Subject != next.Subject {
			return fmt.Errorf("record %d is of %s: %w", rec.Sequence, rec.Subject, ErrDamaged)
		}
		if err := at.Verify(rec); err != nil {
			return fmt.Errorf("%w: %w", ErrDamaged, err)
		}
		at = rec.Position()
	}
	return nil
}

// Checkpoint is what a commit says of the archive, if it is an archived run's.
func Checkpoint(c *eventv1.Commit) *eventv1.RunArchived {
	for _, e := range c.GetEvents() {
		if a := e.GetRunArchived(); a != nil {
			return a
		}
	}
	return nil
}

// unpack reads what Add packed.
func unpack(data []byte) ([]eventlog.Record, error) {
	r := reader{rest: data}
	n := r.uint()
	if n > maxRecords {
		return nil, ErrDamaged
	}
	var out []eventlog.Record
	for range n {
		subject, sequence, at := string(r.bytes()), r.uint(), r.int()
		body := r.bytes()
		if r.bad {
			return nil, ErrDamaged
		}
		out = append(out, eventlog.Decode(subject, sequence, time.Unix(0, at).UTC(), body))
	}
	if r.bad || len(r.rest) > 0 {
		return nil, ErrDamaged
	}
	return out, nil
}

type reader struct {
	rest []byte
	bad  bool
}

func (r *reader) uint() uint64 {
	n, size := binary.Uvarint(r.rest)
	return r.took(size, n)
}

func (r *reader) int() int64 {
	n, size := binary.Varint(r.rest)
	return int64(r.took(size, uint64(n))) //nolint:gosec // there and back
}

func (r *reader) took(size int, n uint64) uint64 {
	if size <= 0 {
		r.bad, r.rest = true, nil
		return 0
	}
	r.rest = r.rest[size:]
	return n
}

func (r *reader) bytes() []byte {
	n := r.uint()
	if n > uint64(len(r.rest)) {
		r.bad, r.rest = true, nil
		return nil
	}
	out := r.rest[:n:n]
	r.rest = r.rest[n:]
	return out
}
