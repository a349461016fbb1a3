package runner

import (
	"context"
	"sync"
)

// room counts the runs that a runner can still take.
type room struct {
	mu    sync.Mutex
	size  int
	taken int
	freed chan struct{} // closed and replaced when room becomes free
}

func newRoom(size int) *room { return &room{size: size, freed: make(chan struct{})} }

// Wait returns how many runs can be taken once there is room for one, or 0 when
// ctx ends.
func (r *room) Wait(ctx context.Context) int {
	for {
		r.mu.Lock()
		free, freed := r.size-r.taken, r.freed
		r.mu.Unlock()
		if ctx.Err() != nil {
			return 0
		}
		if free > 0 {
			return free
		}
		select {
		case <-ctx.Done():
		case <-freed:
		}
	}
}

// Take takes room for one run, if there is any.
func (r *room) Take() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.taken >= r.size {
		return false
	}
	r.taken++
	return true
}

// Free gives the room of one run back.
func (r *room) Free() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.taken--
	close(r.freed)
	r.freed = make(chan struct{})
}

// Taken returns how many runs are held.
func (r *room) Taken() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.taken
}
