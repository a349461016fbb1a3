package snapshot

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/slipway-hq/slipway/domain/board"
	"github.com/slipway-hq/slipway/internal/projection"
	"github.com/slipway-hq/slipway/internal/topology"
)

// Writer saves snapshots of one projection. It is for one goroutine.
type Writer struct {
	store *Store
	proj  *projection.Projection
	// stored are the digests of final segments that are known to be there.
	stored [][]byte
	saved  uint64 // follows of the last one
	turn   int    // which head is written next
	begun  bool
}

// Writer returns a writer for p.
func (s *Store) Writer(p *projection.Projection) *Writer { return &Writer{store: s, proj: p} }

// Behind is how many commits the last snapshot lacks.
func (w *Writer) Behind() uint64 { return w.proj.Sequence() - min(w.saved, w.proj.Sequence()) }

// Save writes a snapshot of what is folded now, and returns how far it goes. It
// writes final segments once, then the head.
func (w *Writer) Save(ctx context.Context) (uint64, error) {
	objects, err := topology.Objects(ctx, w.store.js)
	if err != nil {
		return 0, err
	}
	if err := w.begin(ctx, objects); err != nil {
		return 0, err
	}
	state, segments := w.proj.State()
	if state.Follows == 0 {
		return 0, nil
	}
	h := &head{Form: foldForm, State: state}
	if h.Stream, _, err = w.store.stream(ctx); err != nil {
		return 0, err
	}
	if err := w.segments(ctx, objects, h, segments); err != nil {
		return 0, err
	}
	if _, err := objects.PutBytes(ctx, heads()[w.turn], h.seal()); err != nil {
		return 0, fmt.Errorf("write the head of a snapshot: %w", err)
	}
	w.turn, w.saved = 1-w.turn, state.Follows
	return state.Follows, nil
}

// begin finds out which head is the older one.
func (w *Writer) begin(ctx context.Context, objects jetstream.ObjectStore) error {
	if w.begun {
		return nil
	}
	var at [2]time.Time
	for i, name := range heads() {
		info, err := objects.GetInfo(ctx, name)
		if err != nil && !errors.Is(err, jetstream.ErrObjectNotFound) {
			return fmt.Errorf("look up a snapshot: %w", err)
		}
		if err == nil {
			at[i] = info.ModTime
		}
	}
	if at[1].Before(at[0]) {
		w.turn = 1
	}
	w.begun = true
	return nil
}

func (w *Writer) segments(ctx context.Context, objects jetstream.ObjectStore, h *head, segments []*board.Segment) error {
	for i, segment := range segments {
		if !segment.Full() {
			h.Tail = segment.Encode()
			break
		}
		if i >= len(w.stored) {
			digest, err := put(ctx, objects, segment.Encode())
			if err != nil {
				return err
			}
			w.stored = append(w.stored, digest)
		}
		h.Segments = append(h.Segments, w.stored[i])
	}
	return nil
}

// put stores a segment under its digest, unless it is there.
func put(ctx context.Context, objects jetstream.ObjectStore, data []byte) ([]byte, error) {
	sum := sha256.Sum256(data)
	name := segmentName(sum[:])
	_, err := objects.GetInfo(ctx, name)
	if err == nil {
		return sum[:], nil
	}
	if !errors.Is(err, jetstream.ErrObjectNotFound) {
		return nil, fmt.Errorf("look up a segment: %w", err)
	}
	if _, err := objects.PutBytes(ctx, name, data); err != nil {
		return nil, fmt.Errorf("write a segment: %w", err)
	}
	return sum[:], nil
}

// keepOthers is how long heads of other versions of Slipway stay: for as long as
// somebody may go back to one.
const keepOthers = 30 * 24 * time.Hour

// Clean deletes segments that no head of this version names and that are not
// new, and heads of other versions that nobody has written for long.
func (w *Writer) Clean(ctx context.Context, now time.Time) error {
	objects, err := topology.Objects(ctx, w.store.js)
	if err != nil {
		return err
	}
	infos, err := objects.List(ctx)
	if errors.Is(err, jetstream.ErrNoObjectsFound) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("list snapshots: %w", err)
	}
	named := map[string]bool{}
	for _, digest := range w.stored {
		named[segmentName(digest)] = true
	}
	for _, name := range heads() {
		data, err := objects.GetBytes(ctx, name)
		if err != nil {
			continue // it names nothing that anybody could use
		}
		if h, err := unseal(data); err == nil {
			for _, digest := range h.Segments {
				named[segmentName(digest)] = true
			}
		}
	}
	for _, info := range infos {
		if !strings.HasPrefix(info.Name, prefix) || strings.HasPrefix(info.Name, base()) || named[info.Name] || now.Sub(info.ModTime) < keepOthers {
			continue
		}
		if err := objects.Delete(ctx, info.Name); err != nil {
			return fmt.Errorf("delete %s: %w", info.Name, err)
		}
	}
	return nil
}

// Shape names what this version writes, for people.
func Shape() string { return hex.EncodeToString(shape[:8]) }
