// Package objects keeps artefacts in the object store of JetStream. It is the
// workspace's Store; what is kept, and that it is unchanged when it comes back,
// is the workspace's business.
package objects

import (
	"context"
	"fmt"
	"io"
	"sync"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/slipway-hq/slipway/internal/topology"
)

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
		return fmt.Errorf("put %s into the object store: %w", name, err)
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
		return nil, fmt.Errorf("get %s from the object store: %w", name, err)
	}
	return object, nil
}

func (s *Store) open(ctx context.Context) (jetstream.ObjectStore, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.store != nil {
		return s.store, nil
	}
	store, err := topology.Objects(ctx, s.js)
	if err != nil {
		return nil, err
	}
	s.store = store
	return store, nil
}
