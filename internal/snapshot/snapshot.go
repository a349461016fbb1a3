// Package snapshot keeps a projection's state in the object store, so that a
// service need not fold the whole log when it starts. A snapshot is a cache and
// never the truth: one that cannot be proved to belong to this log and to this
// version of Slipway is passed over, and everything is folded again.
//
// The orchestrator writes snapshots, by an office; orchestrator and notifier read
// them when they start. It is no backup (backup is) and not the archive of ended
// runs.
//
// Ended runs never change and come in the order of their ends, so they are cut
// into segments of which all but the last are final: an object each, named by its
// digest. What can still change is the head, an object of its own that names
// them. Two heads are kept and written in turns, so that one is always whole.
//
// Invariants: a state that was read equals the fold of the log up to its sequence
// (a property test); a change of any byte makes a snapshot unreadable, never
// another state; a head names the stream it is of by its creation, and the last
// record it has folded by its hash.
package snapshot

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"golang.org/x/sync/errgroup"

	"github.com/slipway-hq/slipway/domain/board"
	"github.com/slipway-hq/slipway/internal/eventlog"
	"github.com/slipway-hq/slipway/internal/projection"
	"github.com/slipway-hq/slipway/internal/topology"
)

// foldForm is the version of what folding means. Raise it when a fold says
// something else of events and fields that existed before; whatever adds one
// changes the shape by itself.
const foldForm = 1

const (
	// prefix is of all objects of this package.
	prefix = "snapshot/"
	magic  = "slipway snapshot\n"
	// parallel bounds the segments that are fetched at one time, and the subjects
	// whose end is looked up.
	parallel = 16
)

// ErrNone: there is no snapshot that this version may use.
var ErrNone = errors.New("no snapshot")

// ErrMismatch: a snapshot is not of this log as it is now, or is damaged.
var ErrMismatch = errors.New("the snapshot does not match")

// head is what can still change, and the names of the rest.
type head struct {
	Form int
	// Stream is when the stream was created, in Unix nanoseconds.
	Stream int64
	State  projection.State
	// Segments are the digests of the final ones; Tail is the last, if any.
	Segments [][]byte
	Tail     []byte
}

var shape = shapeOf(reflect.TypeFor[head]())

// base is where snapshots of this shape are.
func base() string { return prefix + hex.EncodeToString(shape[:8]) + "/" }

// heads are the names that are written in turns.
func heads() [2]string { return [2]string{base() + "head-a", base() + "head-b"} }

func segmentName(digest []byte) string { return prefix + "segment/" + hex.EncodeToString(digest) }

// seal writes a head down.
func (h *head) seal() []byte {
	body := encode(nil, reflect.ValueOf(h).Elem())
	sum := sha256.Sum256(body)
	out := make([]byte, 0, len(magic)+2*sha256.Size+len(body))
	out = append(append(append(out, magic...), shape[:]...), sum[:]...)
	return append(out, body...)
}

// unseal reads what seal wrote.
func unseal(data []byte) (*head, error) {
	rest, ok := bytes.CutPrefix(data, []byte(magic))
	if !ok || len(rest) < 2*sha256.Size || !bytes.Equal(rest[:sha256.Size], shape[:]) {
		return nil, fmt.Errorf("%w: it is of another version", ErrMismatch)
	}
	body := rest[2*sha256.Size:]
	if sum := sha256.Sum256(body); !bytes.Equal(sum[:], rest[sha256.Size:2*sha256.Size]) {
		return nil, fmt.Errorf("%w: its digest differs", ErrMismatch)
	}
	h, d := &head{}, decoder{rest: body}
	d.decode(reflect.ValueOf(h).Elem())
	if d.err != nil || len(d.rest) > 0 {
		return nil, fmt.Errorf("%w: %w", ErrMismatch, errCodec)
	}
	if h.Form != foldForm {
		return nil, fmt.Errorf("%w: it is of another version", ErrMismatch)
	}
	return h, nil
}

// Bytes are everything that a projection holds, the same for equal ones.
func Bytes(p *projection.Projection) []byte {
	state, segments := p.State()
	out := encode(nil, reflect.ValueOf(state))
	for _, s := range segments {
		out = append(out, s.Encode()...)
	}
	return out
}

// Copy is a projection without a log that was written down and read again.
func Copy(p *projection.Projection) (*projection.Projection, error) {
	state, segments := p.State()
	h, err := unseal((&head{Form: foldForm, State: state}).seal())
	if err != nil {
		return nil, err
	}
	again := make([]*board.Segment, len(segments))
	for i, s := range segments {
		if again[i], err = board.DecodeSegment(s.Encode()); err != nil {
			return nil, err
		}
	}
	out := projection.New(nil, nil)
	out.Resume(h.State, again)
	return out, nil
}

// Store is where snapshots of a log are kept.
type Store struct {
	js    jetstream.JetStream
	log   eventlog.Log
	again time.Duration // lookAgain
}

// NewStore returns the store of a log's snapshots.
func NewStore(js jetstream.JetStream, log eventlog.Log) *Store {
	return &Store{js: js, log: log, again: lookAgain}
}

// stream tells the stream of this log from any other, by its creation, and says
// which sequence it gave last.
func (s *Store) stream(ctx context.Context) (created int64, last uint64, err error) {
	stream, err := s.js.Stream(ctx, topology.StreamEvents)
	if err != nil {
		return 0, 0, fmt.Errorf("look up the log's stream: %w", err)
	}
	info := stream.CachedInfo()
	return info.Created.UnixNano(), info.State.LastSeq, nil
}

// Resume makes p what the newest usable snapshot says, and returns how far that
// goes. Errors: ErrNone; ErrMismatch, with what does not match; the store cannot
// be read. Whatever the error, p can fold everything itself. A log that ends
// before what a snapshot of it had seen is noted in p as damaged.
func (s *Store) Resume(ctx context.Context, p *projection.Projection) (uint64, error) {
	objects, err := topology.Objects(ctx, s.js)
	if err != nil {
		return 0, err
	}
	found, result := read(ctx, objects)
	for _, h := range found {
		err := s.resume(ctx, objects, h, p)
		if err == nil {
			return h.State.Follows, s.noteLost(ctx, found, p)
		}
		if !errors.Is(err, ErrMismatch) {
			return 0, err
		}
		if errors.Is(result, ErrNone) {
			result = err
		}
	}
	return 0, errors.Join(result, s.noteLost(ctx, found, p))
}

// read returns the heads that can be read, the newest first, and why others
// cannot.
func read(ctx context.Context, objects jetstream.ObjectStore) (found []*head, problem error) {
	problem = ErrNone
	for _, name := range heads() {
		data, err := objects.GetBytes(ctx, name)
		if errors.Is(err, jetstream.ErrObjectNotFound) {
			continue
		}
		if err != nil {
			problem = fmt.Errorf("%w: read %s: %w", ErrMismatch, name, err)
			continue
		}
		h, err := unseal(data)
		if err != nil {
			problem = err
			continue
		}
		found = append(found, h)
	}
	slices.SortFunc(found, func(a, b *head) int { return cmp.Compare(b.State.Follows, a.State.Follows) })
	return found, problem
}

func (s *Store) resume(ctx context.Context, objects jetstream.ObjectStore, h *head, p *projection.Projection) error {
	if err := s.matches(ctx, h); err != nil {
		return err
	}
	segments, err := fetch(ctx, objects, h)
	if err != nil {
		return err
	}
	torn, err := s.torn(ctx, h)
	if err != nil {
		return err
	}
	p.Resume(h.State, segments)
	for _, c := range torn {
		p.Quarantine(c.Subject, fmt.Sprintf("%v: record %d, which a snapshot knows, is lost or altered", eventlog.ErrCorrupt, c.Position.Sequence))
	}
	return nil
}

// EndOfLog is what Damage names instead of a subject when the log ends before
// what was seen of it.
const EndOfLog = "the end of the log"

// noteLost notes in p when a head of this very log has seen more than there is.
func (s *Store) noteLost(ctx context.Context, found []*head, p *projection.Projection) error {
	for _, h := range found {
		err := s.matches(ctx, h)
		if err != nil && !errors.Is(err, ErrMismatch) {
			return err
		}
		if !errors.Is(err, eventlog.ErrLost) {
			continue
		}
		last, err := s.log.Head(ctx)
		if err != nil {
			return err
		}
		if last < h.State.Follows {
			p.Quarantine(EndOfLog, fmt.Sprintf("%v: a snapshot has seen record %d, and the log ends at %d", eventlog.ErrLost, h.State.Follows, last))
			return nil
		}
	}
	return nil
}

// matches tells whether a head is of this log.
func (s *Store) matches(ctx context.Context, h *head) error {
	created, last, err := s.stream(ctx)
	if err != nil {
		return err
	}
	if created != h.Stream {
		return fmt.Errorf("%w: it is of another stream", ErrMismatch)
	}
	rec, err := s.log.Get(ctx, h.State.Follows)
	switch {
	case errors.Is(err, eventlog.ErrNotFound) && last >= h.State.Follows && s.anchored(ctx, h):
		// The one record is damaged, and what the head knows of it is all there is.
		h.State.Missing = append(h.State.Missing, projection.Range{First: h.State.Follows, Last: h.State.Follows})
		return nil
	case errors.Is(err, eventlog.ErrNotFound):
		return fmt.Errorf("%w: %w: record %d, which it knows, is not there", ErrMismatch, eventlog.ErrLost, h.State.Follows)
	case err != nil:
		return err
	case !bytes.Equal(eventlog.Hash(rec.Subject, rec.Data), h.State.Last):
		return fmt.Errorf("%w: record %d is another one", ErrMismatch, h.State.Follows)
	}
	return nil
}

// anchored tells whether the newest other record that the head knows the hash of
// is in the log.
func (s *Store) anchored(ctx context.Context, h *head) bool {
	var newest eventlog.Position
	for _, c := range h.State.Chains {
		if at := c.Position; at.Sequence > newest.Sequence && at.Sequence < h.State.Follows {
			newest = at
		}
	}
	rec, err := s.log.Get(ctx, newest.Sequence)
	return err == nil && bytes.Equal(eventlog.Hash(rec.Subject, rec.Data), newest.Hash)
}

// fetch returns the summaries of ended runs that a head names.
func fetch(ctx context.Context, objects jetstream.ObjectStore, h *head) ([]*board.Segment, error) {
	out := make([]*board.Segment, len(h.Segments))
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(parallel)
	for i, digest := range h.Segments {
		group.Go(func() error {
			data, err := objects.GetBytes(ctx, segmentName(digest))
			if err != nil {
				return fmt.Errorf("%w: read a segment: %w", ErrMismatch, err)
			}
			if sum := sha256.Sum256(data); !bytes.Equal(sum[:], digest) {
				return fmt.Errorf("%w: the digest of a segment differs", ErrMismatch)
			}
			if out[i], err = board.DecodeSegment(data); err != nil || !out[i].Full() {
				return fmt.Errorf("%w: a segment is incomplete: %w", ErrMismatch, err)
			}
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		return nil, err
	}
	if len(h.Tail) == 0 {
		return out, nil
	}
	tail, err := board.DecodeSegment(h.Tail)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrMismatch, err)
	}
	return append(out, tail), nil
}

const (
	// lookAgain and looks bound how long a chain must end too early before it is
	// believed: a replica may lag (P9), for the time of an election.
	lookAgain = 250 * time.Millisecond
	looks     = 40
)

// torn returns the chains whose end, as the head knows it, is not in the log any
// more, or is another record. A later commit of such a chain would not show it.
func (s *Store) torn(ctx context.Context, h *head) ([]projection.Chain, error) {
	bad := make([]bool, len(h.State.Chains))
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(parallel)
	for i, c := range h.State.Chains {
		group.Go(func() (err error) {
			bad[i], err = s.isTorn(ctx, c)
			return err
		})
	}
	if err := group.Wait(); err != nil {
		return nil, err
	}
	var out []projection.Chain
	for i, c := range h.State.Chains {
		if bad[i] {
			out = append(out, c)
		}
	}
	return out, nil
}

func (s *Store) isTorn(ctx context.Context, c projection.Chain) (bool, error) {
	for range looks {
		rec, err := s.log.Last(ctx, c.Subject)
		switch {
		case err != nil && !errors.Is(err, eventlog.ErrNotFound):
			return false, err
		case err == nil && rec.Sequence > c.Position.Sequence:
			return false, nil // what follows will be verified
		case err == nil && rec.Sequence == c.Position.Sequence:
			return !bytes.Equal(eventlog.Hash(rec.Subject, rec.Data), c.Position.Hash), nil
		}
		select {
		case <-time.After(s.again):
		case <-ctx.Done():
			return false, ctx.Err()
		}
	}
	return true, nil
}
