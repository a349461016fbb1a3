package main

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/slipway-hq/slipway/internal/eventlog"
)

// commit is one append that was confirmed, with the clock of this machine.
type commit struct {
	Asked, Confirmed int64 // Unix ns
	Bytes            int
}

// maxTapped bounds what a tap remembers.
const maxTapped = 4096

// tap is a log that notes when each append was asked for and confirmed, while it
// is on.
type tap struct {
	eventlog.Log
	noting atomic.Bool

	mu      sync.Mutex
	commits map[string][]commit // by subject
}

func newTap(log eventlog.Log) *tap { return &tap{Log: log, commits: map[string][]commit{}} }

func (t *tap) on(on bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	clear(t.commits)
	t.noting.Store(on)
}

func (t *tap) of(subject string) []commit {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.commits[subject]
}

// Append implements eventlog.Log.
func (t *tap) Append(ctx context.Context, subject string, expect uint64, data []byte) (uint64, error) {
	if !t.noting.Load() {
		return t.Log.Append(ctx, subject, expect, data)
	}
	asked := time.Now().UnixNano()
	sequence, err := t.Log.Append(ctx, subject, expect, data)
	if err == nil {
		t.mu.Lock()
		defer t.mu.Unlock()
		if len(t.commits) < maxTapped {
			t.commits[subject] = append(t.commits[subject], commit{asked, time.Now().UnixNano(), len(data)})
		}
	}
	return sequence, err
}
