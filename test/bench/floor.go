package main

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/slipway-hq/slipway/internal/topology"
)

// floorJob is what a round of the floor does: for each run the same number and
// size of commits as the product makes, through the same committer, and nothing
// else. Writers stand for the runs that are under way.
type floorJob struct {
	Writers int
	For     time.Duration
	Sizes   []int // of the commits on a run's own subject, in order
	Grant   int   // bytes that a grant costs for each run in it
}

// floor answers with the number of runs.
func (h *host) floor(w http.ResponseWriter, r *http.Request) {
	var j floorJob
	if err := json.NewDecoder(r.Body).Decode(&j); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), j.For)
	defer cancel()
	lane := &floorLane{log: h.log, subject: topology.LaneSubject(rand.Text()), each: j.Grant, wake: make(chan struct{}, 1)}
	var done atomic.Int64
	var writers, grants sync.WaitGroup
	grants.Go(func() { lane.run(ctx) })
	for range j.Writers {
		writers.Go(func() {
			for ctx.Err() == nil && h.floorRun(ctx, j, lane) == nil {
				done.Add(1)
			}
		})
	}
	writers.Wait()
	cancel()
	grants.Wait()
	_ = json.NewEncoder(w).Encode(done.Load()) // the parent notices what is missing
}

// floorRun appends what one run appends; the second commit waits for a grant.
func (h *host) floorRun(ctx context.Context, j floorJob, lane *floorLane) error {
	subject, at := topology.RunSubject(rand.Text()), uint64(0)
	for i, size := range j.Sizes {
		if i == 1 {
			if err := lane.wait(ctx); err != nil {
				return err
			}
		}
		sequence, err := h.log.Append(ctx, subject, at, make([]byte, size))
		if err != nil {
			return err
		}
		at = sequence
	}
	return nil
}

// floorLane gives everybody who waits a slot with one commit, again and again.
type floorLane struct {
	log     *tap
	subject string
	each    int
	wake    chan struct{}

	mu      sync.Mutex
	waiting []chan struct{}
}

func (l *floorLane) wait(ctx context.Context) error {
	granted := make(chan struct{})
	l.mu.Lock()
	l.waiting = append(l.waiting, granted)
	l.mu.Unlock()
	select {
	case l.wake <- struct{}{}:
	default:
	}
	select {
	case <-granted:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (l *floorLane) run(ctx context.Context) {
	for at := uint64(0); ; {
		select {
		case <-l.wake:
		case <-ctx.Done():
			return
		}
		l.mu.Lock()
		granted := l.waiting
		l.waiting = nil
		l.mu.Unlock()
		if len(granted) == 0 {
			continue
		}
		sequence, err := l.log.Append(ctx, l.subject, at, make([]byte, l.each*len(granted)))
		if err != nil {
			return
		}
		at = sequence
		for _, g := range granted {
			close(g)
		}
	}
}
