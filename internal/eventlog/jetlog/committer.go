package jetlog

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strconv"
	"sync"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/slipway-hq/slipway/internal/eventlog"
)

const (
	// maxQueued bounds the commits that wait in one process; further callers
	// wait for room, as long as their ctx allows. About four full batches.
	maxQueued = 4096
	// maxBatch is the server's limit for one atomic batch.
	maxBatch = 1000
	// maxBatchBytes bounds what one batch holds in memory and on the wire.
	maxBatchBytes = 4 << 20
	// minBatch is from how many waiting commits on a batch is sent. On one
	// replica a batch costs six flushes and a staging store of its own whatever
	// its size (JETSTREAM.md 5); on a busy disk one of 16 is slower than 16
	// publishes side by side, one of 32 never was. See BenchmarkAppend.
	minBatch = 32
	// maxParallel bounds the plain publishes on the wire at once.
	maxParallel = 64
	// maxRounds is how often one batch is sent again, without its stale commits
	// or after a wait, before each of its commits goes alone.
	maxRounds = 4
	// maxInProcess and maxInProcessWait bound the retries of an append while
	// another write to its subject is in process: a quarter of a second in all.
	// The longest such contention measured took 109 tries and 78 ms (P2).
	maxInProcess     = 128
	maxInProcessWait = 4 * time.Millisecond
)

// pending is one commit on its way.
type pending struct {
	subject string
	expect  uint64
	data    []byte

	taken     bool // by the committer; guarded by its mu
	abandoned bool // by its caller, before it was taken; guarded by mu
	done      chan struct{}
	sequence  uint64 // valid once done is closed
	err       error
}

func (c *pending) message() *nats.Msg {
	return &nats.Msg{Subject: c.subject, Data: c.data, Header: nats.Header{
		headerExpect: []string{strconv.FormatUint(c.expect, 10)},
	}}
}

func (c *pending) settle(sequence uint64, err error) {
	c.sequence, c.err = sequence, err
	close(c.done)
}

// committer is the group commit of one process: whatever is waiting when the
// wire is free goes out together, a few as plain publishes, many as one atomic
// batch. A lone commit goes out at once. While one group is out the next
// gathers. Nothing runs while nothing waits.
type committer struct {
	publisher *publisher
	last      func(context.Context, []string) (map[string]uint64, error)
	minBatch  int

	room chan struct{} // one token per commit that is queued or out

	mu      sync.Mutex
	queue   []*pending
	running bool
}

func newCommitter(p *publisher, last func(context.Context, []string) (map[string]uint64, error)) *committer {
	return &committer{publisher: p, last: last, minBatch: minBatch, room: make(chan struct{}, maxQueued)}
}

func (k *committer) append(ctx context.Context, subject string, expect uint64, data []byte) (uint64, error) {
	select {
	case k.room <- struct{}{}:
	case <-ctx.Done():
		return 0, fmt.Errorf("not sent: %w", ctx.Err())
	}
	c := &pending{subject: subject, expect: expect, data: data, done: make(chan struct{})}
	k.enqueue(c) //nolint:contextcheck // a batch outlives the caller that gives up
	select {
	case <-c.done:
		return c.sequence, c.err
	case <-ctx.Done():
	}
	if k.withdraw(c) {
		return 0, fmt.Errorf("not sent: %w", ctx.Err())
	}
	return 0, fmt.Errorf("%w: %w", eventlog.ErrUnknown, ctx.Err())
}

func (k *committer) enqueue(c *pending) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.queue = append(k.queue, c)
	if !k.running {
		k.running = true
		go k.run()
	}
}

// withdraw takes c back unless it was taken already.
func (k *committer) withdraw(c *pending) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	if c.taken {
		return false
	}
	c.abandoned = true
	return true
}

// run sends groups until nothing waits.
func (k *committer) run() {
	for {
		group := k.take()
		if len(group) == 0 {
			return
		}
		k.send(group)
	}
}

// take removes the next group from the queue: at most one commit per subject (a
// second one makes the server answer 10164 for ever), in the order they came.
func (k *committer) take() []*pending {
	k.mu.Lock()
	defer k.mu.Unlock()
	var group, rest []*pending
	size, subjects := 0, make(map[string]bool, len(k.queue))
	for i, c := range k.queue {
		if c.abandoned {
			<-k.room
			continue
		}
		if len(group) == maxBatch || size+len(c.data) > maxBatchBytes {
			rest = append(rest, k.queue[i:]...)
			break
		}
		if subjects[c.subject] {
			rest = append(rest, c)
			continue
		}
		c.taken = true
		subjects[c.subject] = true
		size += len(c.data)
		group = append(group, c)
	}
	k.queue = rest
	k.running = len(group) > 0
	return group
}

// finish hands c its outcome and frees its place.
func (k *committer) finish(c *pending, sequence uint64, err error) {
	c.settle(sequence, err)
	<-k.room
}

func (k *committer) send(group []*pending) {
	for round := 0; round < maxRounds && len(group) >= k.minBatch; round++ {
		first, err := k.publisher.batch(group)
		if err == nil {
			for i, c := range group {
				k.finish(c, first+uint64(i), nil)
			}
			return
		}
		var refused *refusal
		if !errors.As(err, &refused) {
			for _, c := range group {
				k.finish(c, 0, err)
			}
			return
		}
		switch refused.Code {
		case codeStale:
			fresh := k.dropStale(group, err)
			if len(fresh) == len(group) { // the read lags (P9), or the culprit cannot be told
				k.plain(group)
				return
			}
			group = fresh
		case codeInProcess:
			pause(jitter(round))
		default:
			// The batch as such was refused, or one of its commits for a reason of
			// its own. Alone each learns its own fate; should the batch have landed
			// after all, they conflict and are found by their ids.
			k.plain(group)
			return
		}
	}
	k.plain(group)
}

// dropStale fails the commits whose subject has moved on, and returns the rest.
// A server does not say which expectation of a batch was wrong.
func (k *committer) dropStale(group []*pending, conflict error) []*pending {
	subjects := make([]string, len(group))
	for i, c := range group {
		subjects[i] = c.subject
	}
	last, err := k.last(context.Background(), subjects)
	if err != nil {
		return group
	}
	fresh := make([]*pending, 0, len(group))
	for _, c := range group {
		// Sequences only grow: a higher one proves the conflict, a lower one only
		// that the answering replica lags.
		if last[c.subject] > c.expect {
			k.finish(c, 0, conflict)
			continue
		}
		fresh = append(fresh, c)
	}
	return fresh
}

// plain publishes each commit of the group on its own, in parallel, and returns
// when each was tried once.
func (k *committer) plain(group []*pending) {
	if len(group) == 1 {
		k.alone(group[0])
		return
	}
	var wg sync.WaitGroup
	limit := make(chan struct{}, maxParallel)
	for _, c := range group {
		limit <- struct{}{}
		wg.Go(func() {
			k.alone(c)
			<-limit
		})
	}
	wg.Wait()
}

// alone publishes c. While another write to its subject is in process it is
// tried again in the background, so that nobody else waits for it.
func (k *committer) alone(c *pending) {
	sequence, err := k.publisher.one(c)
	if errors.Is(err, errInProcess) {
		go k.insist(c)
		return
	}
	k.finish(c, sequence, err)
}

func (k *committer) insist(c *pending) {
	for try := range maxInProcess {
		pause(jitter(try))
		sequence, err := k.publisher.one(c)
		if !errors.Is(err, errInProcess) {
			k.finish(c, sequence, err)
			return
		}
	}
	k.finish(c, 0, fmt.Errorf("%w: %w after %d tries", eventlog.ErrConflict, errInProcess, maxInProcess))
}

// jitter returns a random wait that grows with the number of tries, so that
// writers who met do not meet again.
func jitter(try int) time.Duration {
	most := min(maxInProcessWait, 250*time.Microsecond<<min(try, 10))
	return rand.N(most) + 1
}

func pause(d time.Duration) { <-time.After(d) }
