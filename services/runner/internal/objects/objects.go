// Package objects keeps artefacts in the object store of JetStream. It is the
// workspace's Store; what is kept, and that it is unchanged when it comes back,
// is the workspace's business.
package objects

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/slipway-hq/slipway/internal/topology"
)

// ErrAway: the object store could not do it just now; trying again may help.
var ErrAway = errors.New("the object store does not answer")

// Store is the object store, opened when it is first needed. It is safe for
// concurrent use.
type Store struct {
	js jetstream.JetStream

	mu    sync.Mutex
	store jetstream.ObjectStore
}

// New returns the store without touching the network.
func New(js jetstream.JetStream) *Store { return &Store{js: js} }

// Put stores what r holds under name, in place of what the name held.
func (s *Store) Put(ctx context.Context, name string, r io.Reader) error {
	store, err := s.open(ctx)
	if err != nil {
		return err
	}
	if _, err := store.Put(ctx, jetstream.ObjectMeta{Name: name}, r); err != nil {
		return away(fmt.Errorf("put %s into the object store: %w", name, err))
	}
	return nil
}

// Get returns what is stored under name. The caller closes it.
func (s *Store) Get(ctx context.Context, name string) (io.ReadCloser, error) {
	store, err := s.open(ctx)
	if err != nil {
		return nil, err
	}
	object, err := store.Get(ctx, name)
	if err != nil {
		return nil, away(fmt.Errorf("get %s from the object store: %w", name, err))
	}
	return content{object}, nil
}

// content is an object that is being read.
type content struct{ jetstream.ObjectResult }

func (c content) Read(b []byte) (int, error) {
	n, err := c.ObjectResult.Read(b)
	if err != nil && !errors.Is(err, io.EOF) {
		err = away(fmt.Errorf("read from the object store: %w", err))
	}
	return n, err
}

// final are failures that are the same tomorrow.
var final = []error{jetstream.ErrObjectNotFound, jetstream.ErrBadObjectMeta, jetstream.ErrDigestMismatch, context.Canceled}

// away marks a failure that may pass.
func away(err error) error {
	for _, f := range final {
		if errors.Is(err, f) {
			return err
		}
	}
	return fmt.Errorf("%w: %w", ErrAway, err)
}

func (s *Store) open(ctx context.Context) (jetstream.ObjectStore, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.store != nil {
		return s.store, nil
	}
	store, err := topology.Objects(ctx, s.js)
	if err != nil {
		return nil, away(err)
	}
	s.store = store
	return store, nil
}
