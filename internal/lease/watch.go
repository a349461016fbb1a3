package lease

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"google.golang.org/protobuf/proto"

	commandv1 "github.com/slipway-hq/slipway/gen/slipway/command/v1"
	"github.com/slipway-hq/slipway/internal/topology"
)

// maxAsked bounds the incarnations that somebody asked about in vain; at the
// bound they are forgotten, which only delays the answers.
const maxAsked = 1024

// maxBlind is how many checks in a row may fail to prove that nothing was
// missed before the watch is begun again.
const maxBlind = 5

// Watch knows which incarnations live and which have lapsed. It is silent about
// lapses until it has watched for a full TTL without a gap.
type Watch struct {
	bucket  *Bucket
	changed chan struct{}

	mu      sync.Mutex
	watched bool                 // a first picture is complete
	since   time.Time            // begin of the unbroken watch
	until   time.Time            // up to when nothing was missed, for sure
	seen    map[string]*seen     // by key; lapsed ones are forgotten
	asked   map[string]time.Time // keys never seen, to when somebody asked first
}

type seen struct {
	value    *commandv1.Lease // nil: the key is absent
	heard    time.Time        // last renewal, or begin of the watch
	released bool             // its holder said that nothing of it lives
}

// Watch makes a watch; Run keeps it.
func (b *Bucket) Watch() *Watch {
	return &Watch{bucket: b, changed: make(chan struct{}, 1), seen: map[string]*seen{}, asked: map[string]time.Time{}}
}

// Changed yields when leases came or went and after every check, so that a
// lapse is noticed within CheckEvery. Notices are merged.
func (w *Watch) Changed() <-chan struct{} { return w.changed }

// Live returns the leases whose keys are there and that were renewed, as far as
// this watch knows, ordered by incarnation, and whether it has a picture at all.
func (w *Watch) Live() (leases []*commandv1.Lease, known bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, s := range w.seen {
		if s.value != nil && !w.silent(s.heard) {
			leases = append(leases, proto.CloneOf(s.value))
		}
	}
	slices.SortFunc(leases, func(a, b *commandv1.Lease) int { return strings.Compare(a.GetHolder(), b.GetHolder()) })
	return leases, w.watched
}

// Lapsed tells whether an incarnation is surely beyond its self-kill: it
// released its lease, or this watch saw no renewal for a full TTL without a gap.
// That its key is still there means nothing: the server lets the TTL run by its
// wall clock, and one that was ahead keeps the key for that long. While the watch
// is interrupted it tells false.
func (w *Watch) Lapsed(incarnation string) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if !w.watched {
		return false
	}
	key := keyRunner + topology.Safe(incarnation)
	if s := w.seen[key]; s != nil {
		return s.released || w.silent(s.heard)
	}
	return w.silent(w.since) && w.confirmed(key)
}

// confirmed tells whether nothing was missed up to a moment after the first
// question about a key that was never seen: its lease may be younger than what
// the watch has proved so far. The caller holds w.mu.
func (w *Watch) confirmed(key string) bool {
	first, asked := w.asked[key]
	if !asked {
		w.ask(key, time.Now())
		return false
	}
	return w.until.After(first)
}

// ask notes since when a key that is not there is asked about. The caller holds
// w.mu.
func (w *Watch) ask(key string, since time.Time) {
	if len(w.asked) >= maxAsked {
		clear(w.asked)
	}
	w.asked[key] = since
}

// silent tells whether a full TTL of unbroken watch lies behind heard. The
// caller holds w.mu.
func (w *Watch) silent(heard time.Time) bool {
	return w.until.Sub(heard) >= w.bucket.timing.LeaseTTL
}

// Run watches until ctx ends, and begins again after every interruption.
func (w *Watch) Run(ctx context.Context) error {
	for {
		err := w.once(ctx)
		w.mu.Lock()
		w.watched = false
		w.mu.Unlock()
		if ctx.Err() != nil {
			return nil
		}
		w.bucket.log.Warn("the watch of leases is interrupted", "error", err)
		if !pause(ctx, w.bucket.timing.CheckEvery) {
			return nil
		}
	}
}

// view is one unbroken watch of one incarnation of the bucket.
type view struct {
	created    time.Time // of the bucket
	reconnects uint64    // of the connection
	delivered  uint64    // sequence up to which the watcher has given all
	last       uint64    // last sequence of the bucket at the check before
	proof      uint64    // sequence that proves, when delivered, that …
	proofTime  time.Time // … nothing was missed up to then
	blind      int       // checks since the last proof
}

func (w *Watch) once(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	v := &view{reconnects: w.bucket.js.Conn().Stats().Reconnects}
	kv, err := w.bucket.open(ctx)
	if err != nil {
		return err
	}
	info, err := w.info(ctx)
	if err != nil {
		return err
	}
	v.created, v.delivered, v.last = info.Created, info.State.LastSeq, info.State.LastSeq
	watcher, err := kv.WatchAll(ctx)
	if err != nil {
		return fmt.Errorf("watch the leases: %w", err)
	}
	if err := w.first(ctx, watcher, v); err != nil {
		return err
	}
	return w.follow(ctx, watcher, v)
}

// first reads the picture as it is and begins the unbroken watch with it.
func (w *Watch) first(ctx context.Context, watcher jetstream.KeyWatcher, v *view) error {
	picture := map[string]*seen{}
	deadline := time.NewTimer(w.bucket.timing.LeaseTTL)
	defer deadline.Stop()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-deadline.C:
			return errors.New("the first picture of the leases did not come")
		case entry, ok := <-watcher.Updates():
			switch {
			case !ok:
				return errors.New("the watch of leases ended")
			case entry != nil:
				v.delivered = max(v.delivered, entry.Revision())
				note(picture, entry, time.Now())
				continue
			}
		}
		break
	}
	w.mu.Lock()
	w.since = time.Now()
	w.until, w.watched, w.seen = w.since, true, picture
	clear(w.asked)
	for _, s := range picture {
		s.heard = w.since
	}
	w.mu.Unlock()
	w.notify()
	return nil
}

func (w *Watch) follow(ctx context.Context, watcher jetstream.KeyWatcher, v *view) error {
	tick := time.NewTicker(w.bucket.timing.CheckEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case entry, ok := <-watcher.Updates():
			if !ok {
				return errors.New("the watch of leases ended")
			}
			if entry == nil {
				continue
			}
			v.delivered = max(v.delivered, entry.Revision())
			w.mu.Lock()
			changed := note(w.seen, entry, time.Now())
			w.mu.Unlock()
			if changed {
				w.notify()
			}
		case <-tick.C:
			if err := w.check(ctx, v); err != nil {
				return err
			}
		}
		w.prove(v)
	}
}

// check asks the bucket what its last sequence is: when all up to there was
// delivered, nothing was missed. It fails when the watch has a gap.
func (w *Watch) check(ctx context.Context, v *view) error {
	if w.bucket.js.Conn().Stats().Reconnects != v.reconnects {
		return errors.New("the connection was lost in between")
	}
	if v.blind++; v.blind > maxBlind {
		return errors.New("the watch of leases does not keep up")
	}
	asked := time.Now()
	info, err := w.info(ctx)
	switch {
	case errors.Is(err, jetstream.ErrStreamNotFound):
		return err
	case err != nil: // nothing is proved this time
		return nil
	case !info.Created.Equal(v.created) || info.State.LastSeq < v.last:
		return errors.New("the bucket of leases is a new one")
	}
	v.last, v.proof, v.proofTime = info.State.LastSeq, info.State.LastSeq, asked
	return nil
}

// prove moves the end of the unbroken watch when the proof is complete.
func (w *Watch) prove(v *view) {
	if v.proofTime.IsZero() || v.delivered < v.proof {
		return
	}
	w.mu.Lock()
	w.until = v.proofTime
	for key, s := range w.seen { // what is forgotten is judged by w.since
		if s.value == nil && w.silent(s.heard) && w.silent(w.since) {
			delete(w.seen, key)
			w.ask(key, s.heard)
		}
	}
	w.mu.Unlock()
	v.proofTime, v.blind = time.Time{}, 0
	w.notify()
}

func (w *Watch) info(ctx context.Context) (*jetstream.StreamInfo, error) {
	ctx, cancel := context.WithTimeout(ctx, w.bucket.timing.attempt())
	defer cancel()
	stream, err := w.bucket.js.Stream(ctx, "KV_"+topology.BucketLeases)
	if err != nil {
		return nil, fmt.Errorf("look up the bucket of leases: %w", err)
	}
	return stream.CachedInfo(), nil
}

func (w *Watch) notify() {
	select {
	case w.changed <- struct{}{}:
	default:
	}
}

// note takes an entry into a picture and tells whether a lease came or went.
func note(picture map[string]*seen, entry jetstream.KeyValueEntry, now time.Time) (changed bool) {
	if !strings.HasPrefix(entry.Key(), keyRunner) {
		return false
	}
	s := picture[entry.Key()]
	if s == nil {
		s = &seen{heard: now}
		picture[entry.Key()] = s
	}
	was := s.value != nil
	switch value, err := decode(entry.Value()); {
	case entry.Operation() == jetstream.KeyValueDelete:
		s.value, s.released = nil, true
	case entry.Operation() == jetstream.KeyValuePurge: // its time ran out
		s.value = nil
	case err != nil: // a sign of life, though nobody understands it
		s.value, s.heard = &commandv1.Lease{}, now
	default:
		s.value, s.heard, s.released = value, now, false
	}
	return was != (s.value != nil)
}
