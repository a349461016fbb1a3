package claim

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// Sentinels, to be compared with errors.Is. ErrTaken comes as a *TakenError,
// ErrDone as a *DoneError.
var (
	// ErrTaken: another replica, or another goroutine of this one, has the claim.
	ErrTaken = errors.New("somebody else has the claim")
	// ErrDone: what was to be done under the key was done.
	ErrDone = errors.New("it was done before")
	// ErrLost: the claim was not renewed in time, or is somebody else's by now.
	ErrLost = errors.New("the claim is lost")
	// ErrFenced: the key was claimed, done or released since by a newer claim, or
	// this one had ended.
	ErrFenced = errors.New("the claim is not the newest of its key")
	// ErrFull: this Guard holds MaxHeld claims.
	ErrFull = errors.New("too many claims at once")
	// ErrMismatch: the bucket exists and is not what Options ask for.
	ErrMismatch = errors.New("the bucket is set up differently")
)

// TakenError says who has a claim.
type TakenError struct {
	Key, Holder string
	Fence       uint64    // of the claim that is held
	Until       time.Time // when this Guard would take over, if no renewal comes
}

func (e *TakenError) Error() string {
	return fmt.Sprintf("claim %q: %s has it (fence %d)", e.Key, e.Holder, e.Fence)
}

// Unwrap makes it an ErrTaken.
func (e *TakenError) Unwrap() error { return ErrTaken }

// DoneError says who did it.
type DoneError struct {
	Key, Holder string
	Fence       uint64    // under which it was done
	At          time.Time // by the clock of who did it
}

func (e *DoneError) Error() string {
	return fmt.Sprintf("claim %q: %s did it at %s (fence %d)", e.Key, e.Holder, e.At.Format(time.RFC3339), e.Fence)
}

// Unwrap makes it an ErrDone.
func (e *DoneError) Unwrap() error { return ErrDone }

const (
	// DefaultBucket is the name of the key-value bucket.
	DefaultBucket = "claims"
	// DefaultLease leaves a holder 20 s without a renewal: more than twice the
	// longest election of a NATS cluster that we saw (7 s).
	DefaultLease = 30 * time.Second
	// MinLease is about what a busy machine can keep renewing. Below 15 s an
	// election may cost claims.
	MinLease = 200 * time.Millisecond
	// DefaultRemember: nobody repeats a message for a day.
	DefaultRemember = 24 * time.Hour
	// minRemember is the least that a server counts.
	minRemember = time.Second
	// DefaultMaxBytes is about half a million keys. A full bucket refuses claims
	// with an error; nothing is forgotten to make room.
	DefaultMaxBytes = 256 << 20
	// MaxHeld bounds the claims that one Guard holds at a time: each has a goroutine.
	MaxHeld = 10_000
	// MaxKey is how long a key may be, in bytes after encoding.
	MaxKey = 512

	// abandoned is how long the record of a claim stays that nobody renews: tidiness,
	// far longer than any lease, so that no jump of a server's clock by hours frees one.
	abandoned = 24 * time.Hour
	// releasedFor is how long the record of a released claim stays, for people.
	releasedFor = time.Minute
	// maxSeen bounds what is remembered of claims of others; at the bound it is
	// forgotten, which only delays take-overs.
	maxSeen = 10_000
)

// Options of a Guard. The zero value is for a single NATS server.
type Options struct {
	Bucket   string        // of all replicas of the bot; DefaultBucket
	Holder   string        // who we are, for people; host name and process id
	Lease    time.Duration // after which the claim of a dead holder is free; DefaultLease
	Remember time.Duration // how long ErrDone is answered; DefaultRemember
	Replicas int           // of the bucket: 1, or 3 in a cluster, chosen once; 1
	MaxBytes int64         // of the bucket when it is created; DefaultMaxBytes
}

func (o Options) withDefaults() (Options, error) {
	if o.Holder == "" {
		host, err := os.Hostname()
		if err != nil {
			return o, fmt.Errorf("name the holder: %w", err)
		}
		o.Holder = fmt.Sprintf("%s/%d", host, os.Getpid())
	}
	o.Bucket = orDefault(o.Bucket, DefaultBucket)
	o.Lease, o.Remember = orDefault(o.Lease, DefaultLease), orDefault(o.Remember, DefaultRemember)
	o.Replicas, o.MaxBytes = orDefault(o.Replicas, 1), orDefault(o.MaxBytes, DefaultMaxBytes)
	if o.Lease < MinLease || o.Remember < minRemember {
		return o, fmt.Errorf("claims need a lease of at least %s and have to be remembered for at least %s", MinLease, minRemember)
	}
	return o, nil
}

func orDefault[T comparable](v, otherwise T) T {
	if v == *new(T) {
		return otherwise
	}
	return v
}

// Guard makes the claims of one replica. Its methods may be called from any
// goroutine. It needs no closing: claims end with Done or Release, or are lost
// when the connection is closed.
type Guard struct {
	opts  Options
	id    string
	store *store
	clock func() reading

	mu   sync.Mutex
	live map[string]bool // our claims that are not known to have ended
	seen map[string]sighting
}

// sighting is when we first saw that the last write of a key is this one.
type sighting struct {
	sequence uint64
	at       time.Duration // monotonic
}

// Open verifies the bucket, after creating it where it is absent. What exists is
// never changed: a bucket with other settings is ErrMismatch.
func Open(ctx context.Context, js jetstream.JetStream, opts Options) (*Guard, error) {
	return open(ctx, js, opts, systemClock)
}

func open(ctx context.Context, js jetstream.JetStream, opts Options, clock func() reading) (*Guard, error) {
	opts, err := opts.withDefaults()
	if err != nil {
		return nil, fmt.Errorf("open claims: %w", err)
	}
	stream, err := bucket(ctx, js, opts)
	if err != nil {
		return nil, fmt.Errorf("open the bucket %s: %w", opts.Bucket, err)
	}
	return &Guard{
		opts: opts, id: rand.Text(), clock: clock, live: map[string]bool{}, seen: map[string]sighting{},
		store: &store{js: js, stream: stream, prefix: "$KV." + opts.Bucket + ".", attempt: opts.Lease / 12, clock: clock},
	}, nil
}

// bucket is a key-value bucket with a lifetime per key, without delete markers.
func bucket(ctx context.Context, js jetstream.JetStream, opts Options) (jetstream.Stream, error) {
	name := "KV_" + opts.Bucket
	stream, err := js.Stream(ctx, name)
	if errors.Is(err, jetstream.ErrStreamNotFound) {
		stream, err = js.CreateStream(ctx, jetstream.StreamConfig{
			Name: name, Subjects: []string{"$KV." + opts.Bucket + ".>"}, Description: "claims: who acts on what",
			MaxMsgsPerSubject: 1, Replicas: opts.Replicas, Storage: jetstream.FileStorage, Discard: jetstream.DiscardNew,
			MaxBytes: opts.MaxBytes, AllowMsgTTL: true, AllowDirect: true, DenyDelete: true,
		})
		if errors.Is(err, jetstream.ErrStreamNameAlreadyInUse) { // another replica was quicker, with other options
			stream, err = js.Stream(ctx, name)
		}
	}
	if err != nil {
		return nil, err
	}
	has := stream.CachedInfo().Config
	if has.Storage != jetstream.FileStorage || has.MaxMsgsPerSubject != 1 || !has.AllowMsgTTL || has.MaxAge != 0 ||
		has.Discard != jetstream.DiscardNew || has.Replicas != opts.Replicas {
		return nil, fmt.Errorf("%w: claims need file storage, history 1, a lifetime per key and none for all, discard new and %d replicas", ErrMismatch, opts.Replicas)
	}
	return stream, nil
}

// Claim claims key, any text: the id of a message, a name. It answers at once; its
// errors are ErrTaken, ErrDone, ErrFull, or a failure, which says nothing about
// who has the key. It tries for a third of the lease at most.
func (g *Guard) Claim(ctx context.Context, key string) (*Held, error) {
	return g.claim(ctx, "key", key)
}

func (g *Guard) claim(ctx context.Context, kind, key string) (*Held, error) {
	token, err := encode(kind, key)
	if err != nil {
		return nil, fmt.Errorf("claim %q: %w", key, err)
	}
	id := rand.Text()
	if !g.enter(id) {
		return nil, fmt.Errorf("claim %q: %w", key, definite{ErrFull})
	}
	ctx, cancel := context.WithTimeout(ctx, g.opts.Lease/3)
	defer cancel()
	held, err := g.win(ctx, token, key, id)
	if err != nil {
		g.leave(id)
	}
	return held, err
}

func (g *Guard) win(ctx context.Context, token, key, id string) (*Held, error) {
	next := record{State: stateHeld, Key: key, Holder: g.opts.Holder, Lease: g.opts.Lease, Guard: g.id, Claim: id}
	now, err := g.store.last(ctx, token)
	for err == nil {
		if err := g.free(token, key, now); err != nil {
			return nil, err
		}
		var began reading
		expect := now.sequence
		now, began, err = g.store.write(ctx, token, next, expect, abandoned)
		if err == nil {
			return g.hold(token, now, began), nil
		}
		if errors.Is(err, errConflict) {
			err = ctx.Err()
		}
	}
	return nil, fmt.Errorf("claim %q: %w", key, err)
}

// free tells whether a key that holds now may be claimed.
func (g *Guard) free(token, key string, now entry) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	mine := now.Guard == g.id && !g.live[now.Claim] // it ended, or its Claim returned an error
	switch {
	case now.State == stateDone:
		delete(g.seen, token)
		return &DoneError{Key: key, Holder: now.Holder, Fence: now.fence(), At: now.At}
	case now.sequence == 0, now.State == stateReleased, mine:
		delete(g.seen, token)
		return nil
	}
	lease, waited := orDefault(now.Lease, g.opts.Lease), g.sighted(token, now.sequence)
	if waited >= lease {
		return nil
	}
	return &TakenError{Key: key, Holder: now.Holder, Fence: now.fence(), Until: time.Now().Add(lease - waited)}
}

// sighted is for how long we know this write to be the last of its key. The
// caller holds g.mu.
func (g *Guard) sighted(token string, sequence uint64) time.Duration {
	at := g.clock().mono
	if s, ok := g.seen[token]; ok && s.sequence == sequence {
		return at - s.at
	}
	if len(g.seen) >= maxSeen {
		clear(g.seen)
	}
	g.seen[token] = sighting{sequence, at}
	return 0
}

func (g *Guard) enter(id string) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if len(g.live) >= MaxHeld {
		return false
	}
	g.live[id] = true
	return true
}

func (g *Guard) leave(id string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	delete(g.live, id)
}

// encode makes a key of the bucket: what is neither a letter of ASCII, a digit,
// '-', '_', '/' nor a dot between two such becomes =XX.
func encode(kind, key string) (string, error) {
	var b strings.Builder
	b.WriteString(kind + ".")
	for i := range len(key) {
		c := key[i]
		dot := c == '.' && i > 0 && i < len(key)-1 && key[i-1] != '.'
		if dot || c == '-' || c == '_' || c == '/' || '0' <= c && c <= '9' || 'A' <= c && c <= 'Z' || 'a' <= c && c <= 'z' {
			b.WriteByte(c)
		} else {
			fmt.Fprintf(&b, "=%02X", c)
		}
	}
	if key == "" || b.Len() > MaxKey {
		return "", definite{fmt.Errorf("a key has at least one byte and, encoded, at most %d", MaxKey)}
	}
	return b.String(), nil
}
