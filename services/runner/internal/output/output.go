// Package output sends what steps print to the stream LOGS. Output is worth
// less than the step that prints it: it is sent in the background, through a
// bounded buffer that never makes anybody wait; what finds no place is dropped,
// counted, and said so in the log itself. Masking and cutting into chunks are
// package step's business.
package output

import (
	"context"
	"fmt"
	"log/slog"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	commandv1 "github.com/slipway-hq/slipway/gen/slipway/command/v1"
	"github.com/slipway-hq/slipway/services/runner/internal/step"
)

const (
	// maxQueued bounds what waits to be sent: 8 MiB in chunks of 32 KiB.
	maxQueued = 256
	// sendTimeout bounds one try to store a chunk.
	sendTimeout = 5 * time.Second
	// retryPause lies between tries while the broker is away.
	retryPause = 100 * time.Millisecond
	// maxTries: with the broker away a chunk is given up after about a minute at
	// most, so that a stream that refuses cannot hold up all others for ever.
	maxTries = 10
	// flushWait is how long the end of an attempt waits for its output to be
	// stored, so that whoever sees the step finished usually sees all its output.
	flushWait = time.Second
)

// Writer sends the output of all attempts of a runner. Make it with New.
type Writer struct {
	js      jetstream.JetStream
	log     *slog.Logger
	queue   chan item
	stopped chan struct{}
	dropped atomic.Int64
}

// item is one chunk on its way; with done set it is the end mark of an attempt.
type item struct {
	subject string
	id      string
	data    []byte
	done    chan struct{}
}

// New returns a writer that sends nothing before Run.
func New(js jetstream.JetStream, log *slog.Logger) *Writer {
	return &Writer{js: js, log: log, queue: make(chan item, maxQueued), stopped: make(chan struct{})}
}

// Dropped returns how many chunks were dropped so far.
func (w *Writer) Dropped() int64 { return w.dropped.Load() }

// Run sends what is queued until ctx ends.
func (w *Writer) Run(ctx context.Context) {
	defer close(w.stopped)
	for {
		select {
		case <-ctx.Done():
			return
		case it := <-w.queue:
			w.send(ctx, it)
		}
	}
}

func (w *Writer) send(ctx context.Context, it item) {
	if it.done != nil {
		close(it.done)
		return
	}
	var err error
	for range maxTries {
		if err = w.store(ctx, it); err == nil || ctx.Err() != nil {
			return
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(retryPause):
		}
	}
	w.dropped.Add(1)
	w.log.Warn("output of a step was dropped", "subject", it.subject, "bytes", len(it.data), "error", err)
}

// store publishes a chunk under an id, so that a repeat after a lost answer is
// not stored twice.
func (w *Writer) store(ctx context.Context, it item) error {
	ctx, cancel := context.WithTimeout(ctx, sendTimeout)
	defer cancel()
	_, err := w.js.Publish(ctx, it.subject, it.data, jetstream.WithMsgID(it.id), jetstream.WithRetryAttempts(0))
	return err
}

// Attempt is the output of one attempt: a step.Sink.
type Attempt struct {
	w       *Writer
	subject string

	mu      sync.Mutex
	sent    int
	missing int // chunks dropped since the last note
}

// Attempt returns the sink whose chunks are stored under subject.
func (w *Writer) Attempt(subject string) *Attempt { return &Attempt{w: w, subject: subject} }

// Write queues a chunk. It never waits.
func (a *Attempt) Write(c step.Chunk) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.missing > 0 && a.enqueue(a.gap()) {
		a.missing = 0
	}
	if a.missing > 0 || !a.enqueue(c) {
		a.missing++
		a.w.dropped.Add(1)
	}
}

func (a *Attempt) gap() step.Chunk {
	return step.Chunk{Stream: step.Note, At: time.Now(), Data: fmt.Appendf(nil, "%d pieces of output are missing here: the log could not keep up\n", a.missing)}
}

var streams = map[step.Stream]commandv1.LogChunk_Stream{
	step.Stdout: commandv1.LogChunk_STREAM_STDOUT,
	step.Stderr: commandv1.LogChunk_STREAM_STDERR,
	step.Note:   commandv1.LogChunk_STREAM_NOTE,
}

func (a *Attempt) enqueue(c step.Chunk) bool {
	data, err := proto.Marshal(&commandv1.LogChunk{Stream: streams[c.Stream], Time: timestamppb.New(c.At), Data: c.Data})
	if err != nil {
		return false
	}
	select {
	case a.w.queue <- item{subject: a.subject, id: a.subject + "#" + strconv.Itoa(a.sent), data: data}:
		a.sent++
		return true
	default:
		return false
	}
}

// Close says what is missing at the end and waits a moment, at most a second,
// until what was written is stored. An attempt that wrote nothing costs nothing.
func (a *Attempt) Close() {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.missing > 0 && a.enqueue(a.gap()) {
		a.missing = 0
	}
	if a.sent == 0 {
		return
	}
	done := make(chan struct{})
	deadline := time.NewTimer(flushWait)
	defer deadline.Stop()
	select {
	case a.w.queue <- item{done: done}:
	case <-deadline.C:
		return
	case <-a.w.stopped:
		return
	}
	select {
	case <-done:
	case <-deadline.C:
	case <-a.w.stopped:
	}
}
