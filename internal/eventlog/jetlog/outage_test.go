package jetlog_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/slipway-hq/slipway/internal/eventlog"
	"github.com/slipway-hq/slipway/internal/eventlog/eventlogtest"
	"github.com/slipway-hq/slipway/internal/eventlog/jetlog"
)

// soon is well under the time a publish waits for its answer.
const soon = time.Second

func appendOne(ctx context.Context, log eventlog.Log, subject string) error {
	_, data := eventlogtest.Commit(eventlog.Position{}, payload)
	_, err := log.Append(ctx, subject, 0, data)
	return err
}

func TestAnAppendInFlightIsUnknownAsSoonAsTheConnectionBreaks(t *testing.T) {
	t.Run("alone", func(t *testing.T) { breakInFlight(t, jetlog.MaxBatch+1) })
	t.Run("in a batch", func(t *testing.T) { breakInFlight(t, 1) })
}

func breakInFlight(t *testing.T, minBatch int) {
	s := single(t, false)
	p := newProxy(t, s.Addr().String())
	newLog(t, connect(t, s.ClientURL()), eventsConfig(1))
	log := openLog(t, connect(t, p.url()))
	log.SetMinBatch(minBatch)
	p.hold()
	result := make(chan error)
	go func() { result <- appendOne(t.Context(), log, eventlogtest.Subject()) }()
	p.awaitHeld()
	s.stop()
	begin := time.Now()
	if err := <-result; !errors.Is(err, eventlog.ErrUnknown) {
		t.Errorf("got error %v", err)
	}
	if took := time.Since(begin); took > soon {
		t.Errorf("told after %s", took)
	}
	p.release()
}

func TestWithoutAConnectionNothingIsSent(t *testing.T) {
	s := single(t, false)
	nc := connect(t, s.ClientURL())
	log := newLog(t, nc, eventsConfig(1))
	subject := eventlogtest.Subject()
	s.stop()
	eventlogtest.Eventually(t, "the connection is down", func() bool { return nc.Status() == nats.RECONNECTING })
	if err := appendOne(t.Context(), log, subject); !errors.Is(err, eventlog.ErrUnavailable) || errors.Is(err, eventlog.ErrUnknown) {
		t.Errorf("append: got error %v", err)
	}
	if _, err := log.Last(t.Context(), subject); !errors.Is(err, eventlog.ErrUnavailable) {
		t.Errorf("last: got error %v", err)
	}
	s.start(t)
	eventlogtest.Eventually(t, "the log is back", func() bool { _, err := log.Head(t.Context()); return err == nil })
	if records := eventlogtest.Whole(t, log, subject); len(records) != 0 {
		t.Errorf("%d records, want none", len(records))
	}
}

// While one append is out, others wait; who gives up waiting was never sent.
func TestWhoGivesUpInTheQueueWasNeverSent(t *testing.T) {
	s := single(t, false)
	p := newProxy(t, s.Addr().String())
	free := newLog(t, connect(t, s.ClientURL()), eventsConfig(1))
	log := openLog(t, connect(t, p.url()))
	p.hold()
	out, waiting := eventlogtest.Subject(), eventlogtest.Subject()
	first := make(chan error)
	go func() { first <- appendOne(t.Context(), log, out) }()
	p.awaitHeld()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if err := appendOne(ctx, log, waiting); !errors.Is(err, context.DeadlineExceeded) || errors.Is(err, eventlog.ErrUnknown) {
		t.Errorf("in the queue: got error %v", err)
	}
	p.release()
	if err := <-first; err != nil {
		t.Errorf("in flight: %v", err)
	}
	eventlogtest.Grow(t, log, eventlogtest.Subject(), eventlog.Position{}, 1)
	if records := eventlogtest.Whole(t, free, waiting); len(records) != 0 {
		t.Errorf("%d records, want none", len(records))
	}
}

// Behind a stuck connection the queue is bounded; who finds no room waits
// outside and was never sent.
func TestTheQueueIsBounded(t *testing.T) {
	s := single(t, false)
	p := newProxy(t, s.Addr().String())
	newLog(t, connect(t, s.ClientURL()), eventsConfig(1))
	log := openLog(t, connect(t, p.url()))
	p.hold()
	defer p.release()
	ctx, cancel := context.WithCancel(t.Context())
	results := make(chan error)
	const crowd = jetlog.MaxQueued + 100
	for range crowd {
		go func() { results <- appendOne(ctx, log, eventlogtest.Subject()) }()
	}
	eventlogtest.Eventually(t, "the queue is full", func() bool { return log.Queued() == jetlog.MaxQueued })
	cancel()
	unknown := 0
	for range crowd {
		if err := <-results; errors.Is(err, eventlog.ErrUnknown) {
			unknown++
		} else if !errors.Is(err, context.Canceled) {
			t.Errorf("got error %v", err)
		}
	}
	if unknown > jetlog.MaxBatch {
		t.Errorf("%d unknown, but at most one group was out", unknown)
	}
}
