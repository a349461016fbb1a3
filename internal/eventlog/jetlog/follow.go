package jetlog

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/nats-io/nuid"

	"github.com/slipway-hq/slipway/internal/eventlog"
)

const (
	// pullRecords and pullBytes bound one pull. Two are always open, so that the
	// server never waits for the client; so twice this may lie in memory.
	pullRecords = 2500
	pullBytes   = 8 << 20
	openPulls   = 2
	// pullExpires is how long an unanswered pull stays open.
	pullExpires = 30 * time.Second
	// heartbeat is how often an idle server must say that the pull still stands,
	// and maxSilence how long it may not before the consumer is given up. A
	// consumer in memory dies with its server, silently when that is killed.
	heartbeat  = 500 * time.Millisecond
	maxSilence = 3 * heartbeat
	// inactive is how long the server keeps a consumer that nobody pulls from:
	// longer than a slow handler, short enough not to pile up.
	inactive = time.Minute
	// spareStatuses is room for heartbeats while the handler is slow.
	spareStatuses = 256
	// A follower that cannot start waits between these, growing and jittered.
	minRestart = 10 * time.Millisecond
	maxRestart = 250 * time.Millisecond
	// startTimeout bounds the request that makes a consumer.
	startTimeout = 2 * time.Second
)

const (
	statusHeartbeat = "100"
	statusTimeout   = "408"
	statusConflict  = "409"
)

// errDoubt: the stream of records can no longer be trusted to be whole. The
// follower starts again after the last record it delivered.
var errDoubt = errors.New("the consumer is in doubt")

// Follow implements eventlog.Log. It pulls through a consumer in the server's
// memory that acknowledges nothing (P5), and makes a new one, from the last
// delivered record on, whenever the connection broke, a heartbeat is missing, a
// delivery was lost or the server gave the consumer up. After a restart of the
// server delivery resumes within tens of milliseconds of the reconnect.
func (l *Log) Follow(ctx context.Context, after uint64, each func(eventlog.Record) error) error {
	f := &follower{log: l, last: after, each: each}
	failures := 0
	for {
		before, begin := f.last, time.Now()
		err := f.run(ctx)
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case !errors.Is(err, errDoubt):
			return err
		case f.last > before || time.Since(begin) > maxRestart:
			failures = 0
		}
		failures++
		if failures&(failures-1) == 0 { // 1, 2, 4, 8 …: an outage must not flood the logs
			l.logger.WarnContext(ctx, "follower starts again", "stream", l.stream, "after", f.last, "failures", failures, "error", err)
		}
		if err := l.awaitRestart(ctx, failures); err != nil {
			return err
		}
	}
}

// awaitRestart waits for a connection, and longer after more failures.
func (l *Log) awaitRestart(ctx context.Context, failures int) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-l.link.returned():
	}
	most := min(maxRestart, minRestart<<min(failures-1, 10))
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(most/2 + rand.N(most/2)):
		return nil
	}
}

// follower is one Follow. Its fields below consumer belong to one run.
type follower struct {
	log  *Log
	last uint64 // sequence of the last record delivered
	each func(eventlog.Record) error
	back time.Time // since when the log has ended before last; zero: it does not

	consumer  string
	inbox     string // prefix of the pulls' reply subjects
	messages  chan *nats.Msg
	silence   *time.Timer
	pulls     []pull // open, oldest first: the server answers them in this order
	pullCount int
	delivered uint64 // the consumer's own count, 0 before the first
}

// pull is one open request for records.
type pull struct {
	inbox string
	left  int
}

// run delivers until ctx ends, each fails, or errDoubt.
func (f *follower) run(ctx context.Context) error {
	l := f.log
	lost := l.link.current()
	f.consumer, f.inbox = nuid.Next(), l.nc.NewInbox()
	f.messages = make(chan *nats.Msg, openPulls*pullRecords+spareStatuses)
	f.pulls, f.pullCount, f.delivered = nil, 0, 0
	sub, err := l.nc.ChanSubscribe(f.inbox+".*", f.messages)
	if err != nil {
		return fmt.Errorf("%w: subscribe: %w", errDoubt, err)
	}
	defer func() { _ = sub.Unsubscribe() }() // fails only when the connection is gone
	switch err := f.start(ctx); {
	case errors.Is(err, eventlog.ErrLost):
		return err
	case err != nil:
		return fmt.Errorf("%w: %w", errDoubt, err)
	}
	defer f.stop()
	f.silence = time.NewTimer(maxSilence)
	defer f.silence.Stop()
	for range openPulls {
		if err := f.pull(); err != nil {
			return err
		}
	}
	for {
		m, err := f.next(ctx, lost)
		if err != nil {
			return err
		}
		if strings.HasPrefix(m.Subject, f.inbox) {
			err = f.status(m)
		} else {
			err = f.deliver(ctx, m)
		}
		if err != nil {
			return err
		}
	}
}

// start makes the consumer.
func (f *follower) start(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	bound, stop := f.log.link.within(ctx)
	defer stop()
	config := jetstream.ConsumerConfig{
		Name:              f.consumer,
		AckPolicy:         jetstream.AckNonePolicy,
		DeliverPolicy:     jetstream.DeliverByStartSequencePolicy,
		OptStartSeq:       f.last + 1,
		MemoryStorage:     true,
		Replicas:          1,
		InactiveThreshold: inactive,
	}
	if err := f.whole(bound); err != nil {
		return err
	}
	if _, err := f.log.js.CreateConsumer(bound, f.log.stream, config); err != nil {
		return fmt.Errorf("make a consumer: %w", err)
	}
	return nil
}

// lostAfter is how long a log may end before what it has delivered: a new leader
// may not have applied all that is committed yet, for the time of an election.
const lostAfter = 20 * time.Second

// whole checks that the log still holds what it has delivered. One that lost its
// end would give new records old sequences, which a follower never asks for.
func (f *follower) whole(ctx context.Context) error {
	if f.last == 0 {
		return nil
	}
	end, err := f.log.end(ctx)
	switch {
	case err != nil:
		return err
	case end >= f.last:
		f.back = time.Time{}
		return nil
	case f.back.IsZero():
		f.back = time.Now()
	case time.Since(f.back) > lostAfter:
		return fmt.Errorf("record %d was delivered, and %d is now the last: %w", f.last, end, eventlog.ErrLost)
	}
	return fmt.Errorf("record %d was delivered, and %d is the last", f.last, end)
}

// stop removes the consumer without waiting; the server would do so itself
// after a while.
func (f *follower) stop() {
	_ = f.log.nc.Publish("$JS.API.CONSUMER.DELETE."+f.log.stream+"."+f.consumer, nil)
}

// pull opens one more pull.
func (f *follower) pull() error {
	f.pullCount++
	p := pull{inbox: f.inbox + "." + strconv.Itoa(f.pullCount), left: pullRecords}
	body, err := json.Marshal(pullRequest{Batch: pullRecords, MaxBytes: pullBytes, Expires: pullExpires, Heartbeat: heartbeat})
	if err != nil {
		return err
	}
	if err := f.log.nc.PublishRequest("$JS.API.CONSUMER.MSG.NEXT."+f.log.stream+"."+f.consumer, p.inbox, body); err != nil {
		return fmt.Errorf("%w: pull: %w", errDoubt, err)
	}
	f.pulls = append(f.pulls, p)
	return nil
}

// pullRequest is the body of a pull (JSApiConsumerGetNextRequest of the server).
type pullRequest struct {
	Batch     int           `json:"batch"`
	MaxBytes  int           `json:"max_bytes"`
	Expires   time.Duration `json:"expires"`
	Heartbeat time.Duration `json:"idle_heartbeat"`
}

// next returns the next message. While messages are there it touches no timer.
func (f *follower) next(ctx, lost context.Context) (*nats.Msg, error) {
	select {
	case m := <-f.messages:
		return m, ctx.Err()
	default:
	}
	f.silence.Reset(maxSilence)
	select {
	case m := <-f.messages:
		return m, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	case <-lost.Done():
		return nil, fmt.Errorf("%w: %w", errDoubt, errLinkDown)
	case <-f.silence.C:
		return nil, fmt.Errorf("%w: silent for %s", errDoubt, maxSilence)
	}
}

// status handles a message about a pull: m.Subject is the pull's own inbox.
func (f *follower) status(m *nats.Msg) error {
	status, text := m.Header.Get(headerStatus), m.Header.Get(headerDescription)
	switch {
	case status == statusHeartbeat:
		return nil
	case status == statusTimeout,
		status == statusConflict && (text == "Message Size Exceeds MaxBytes" || text == "Batch Completed"):
		return f.ended(m.Subject)
	default: // deleted, moved to another server, server shutting down, nobody there …
		return fmt.Errorf("%w: status %s %s", errDoubt, status, text)
	}
}

// ended replaces a pull that the server ended. One that is no longer open was
// already replaced when its last record came.
func (f *follower) ended(inbox string) error {
	for i, p := range f.pulls {
		if p.inbox == inbox {
			f.pulls = append(f.pulls[:i], f.pulls[i+1:]...)
			return f.pull()
		}
	}
	return nil
}

// deliver hands one record to each, if it is the next.
func (f *follower) deliver(ctx context.Context, m *nats.Msg) error {
	at, ok := parseDelivery(m.Reply)
	switch {
	case !ok:
		return fmt.Errorf("%w: delivery without a position", errDoubt)
	case at.count != f.delivered+1:
		return fmt.Errorf("%w: delivery %d after %d", errDoubt, at.count, f.delivered)
	case at.sequence <= f.last:
		return fmt.Errorf("%w: record %d after %d", errDoubt, at.sequence, f.last)
	case at.sequence != f.last+1 && f.delivered > 0:
		// Sequences of this log have no holes but those that an archiver or damage
		// made. Ask another way.
		if next, err := f.log.next(ctx, f.last+1); err != nil || next != at.sequence {
			return fmt.Errorf("%w: record %d after %d, where a read finds %d: %w", errDoubt, at.sequence, f.last, next, err)
		}
	}
	f.delivered = at.count
	if err := f.each(eventlog.Decode(m.Subject, at.sequence, time.Unix(0, at.nanos).UTC(), m.Data)); err != nil {
		return err
	}
	f.last = at.sequence
	if len(f.pulls) == 0 {
		return fmt.Errorf("%w: delivery without a pull", errDoubt)
	}
	if f.pulls[0].left--; f.pulls[0].left > 0 {
		return nil
	}
	f.pulls = f.pulls[1:]
	return f.pull()
}

// delivery is what a delivered message's reply subject tells.
type delivery struct {
	sequence uint64 // in the stream
	count    uint64 // of the consumer's deliveries
	nanos    int64  // when stored, Unix
}

// parseDelivery reads a reply subject: nine tokens
// "$JS.ACK.<stream>.<consumer>.<times>.<sequence>.<count>.<nanos>.<pending>", or
// eleven and more with a domain and an account hash before the stream (ADR-15).
func parseDelivery(reply string) (delivery, bool) {
	rest, ok := strings.CutPrefix(reply, "$JS.ACK.")
	if !ok {
		return delivery{}, false
	}
	skip := 3
	if strings.Count(rest, ".") >= 8 {
		skip = 5
	}
	for range skip {
		if _, rest, ok = strings.Cut(rest, "."); !ok {
			return delivery{}, false
		}
	}
	var numbers [3]uint64
	for i := range numbers {
		var digits string
		digits, rest, _ = strings.Cut(rest, ".")
		n, err := strconv.ParseUint(digits, 10, 64)
		if err != nil {
			return delivery{}, false
		}
		numbers[i] = n
	}
	return delivery{sequence: numbers[0], count: numbers[1], nanos: int64(numbers[2])}, true //nolint:gosec // Unix nanoseconds fit until 2262
}
