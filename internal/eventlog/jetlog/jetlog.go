// Package jetlog is the event log on a JetStream stream. It appends through one
// committer per Log (make one Log per process and stream), reads by direct get
// without ever making a consumer (P13), and follows with a short-lived pull
// consumer of its own that it replaces at any doubt. It does not create or
// check the stream; topology does. For simulations use memlog.
//
// Invariants: every append compares the last sequence of its own, literal
// subject (P1); no Msg-Id (P3, P4) and no guard on another subject is ever sent;
// an append whose fate is not certain is reported as unknown, never as failed
// (P2); consumer acknowledgements carry no meaning (P5).
//
// The stream must allow direct gets and atomic batches, refuse when full
// (DiscardNew, P10), and have neither TTL, schedules nor rollups (P7).
package jetlog

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/slipway-hq/slipway/internal/eventlog"
)

// ErrBuffering: the connection keeps what is published while it is down, and
// would send it later behind everybody's back.
var ErrBuffering = errors.New("the NATS connection buffers while it reconnects; connect with nats.ReconnectBufSize(-1)")

// readTimeout bounds one read request whose caller set no earlier deadline. A
// leader election takes up to 7 s (P14), but any replica answers a direct get.
const readTimeout = 5 * time.Second

// Log is an eventlog.Log on a stream. Make it with New.
type Log struct {
	nc     *nats.Conn
	js     jetstream.JetStream
	stream string
	link   *link
	commit *committer
	logger *slog.Logger
}

// Option changes how a Log is made.
type Option func(*Log)

// WithLogger makes the log report followers that have to start again, which
// Follow otherwise keeps to itself.
func WithLogger(logger *slog.Logger) Option { return func(l *Log) { l.logger = logger } }

var (
	_ eventlog.Log    = (*Log)(nil)
	_ eventlog.Purger = (*Log)(nil)
)

// New returns the log in stream, over nc, which must have been made with
// nats.ReconnectBufSize(-1): else New returns ErrBuffering. The Log needs no
// closing; it ends with the connection. New does not touch the network.
func New(nc *nats.Conn, stream string, options ...Option) (*Log, error) {
	if nc.Opts.ReconnectBufSize >= 0 {
		return nil, fmt.Errorf("open log %s: %w", stream, ErrBuffering)
	}
	js, err := jetstream.New(nc)
	if err != nil {
		return nil, fmt.Errorf("open log %s: %w", stream, err)
	}
	l := &Log{nc: nc, js: js, stream: stream, link: newLink(nc), logger: slog.New(slog.DiscardHandler)}
	l.commit = newCommitter(&publisher{nc: nc, link: l.link}, l.lastSequences)
	for _, option := range options {
		option(l)
	}
	return l, nil
}

// Append implements eventlog.Log. When ctx ends while the commit waits for its
// turn, nothing was sent and the error is ctx's; once it was sent, ErrUnknown.
func (l *Log) Append(ctx context.Context, subject string, expect uint64, data []byte) (uint64, error) {
	if len(data) > eventlog.MaxCommit {
		return 0, fmt.Errorf("append %d bytes to %s: %w", len(data), subject, eventlog.ErrTooLarge)
	}
	sequence, err := l.commit.append(ctx, subject, expect, data)
	if err != nil {
		return 0, fmt.Errorf("append to %s after %d: %w", subject, expect, err)
	}
	return sequence, nil
}

// Load implements eventlog.Log.
func (l *Log) Load(ctx context.Context, subject string, after uint64) ([]eventlog.Record, error) {
	records, err := l.load(ctx, subject, after)
	if err != nil {
		return nil, fmt.Errorf("load %s: %w", subject, err)
	}
	return records, nil
}

// Last implements eventlog.Log.
func (l *Log) Last(ctx context.Context, subject string) (eventlog.Record, error) {
	rec, err := l.direct(ctx, directRequest{LastFor: subject})
	if err != nil {
		return eventlog.Record{}, fmt.Errorf("read the last of %s: %w", subject, err)
	}
	return rec, nil
}

// Get implements eventlog.Log.
func (l *Log) Get(ctx context.Context, sequence uint64) (eventlog.Record, error) {
	if sequence == 0 {
		return eventlog.Record{}, fmt.Errorf("read record 0: %w", eventlog.ErrNotFound)
	}
	rec, err := l.direct(ctx, directRequest{Seq: sequence})
	if err != nil {
		return eventlog.Record{}, fmt.Errorf("read record %d: %w", sequence, err)
	}
	return rec, nil
}

// Head implements eventlog.Log. It reads the last record of all, which costs
// less than asking for the stream's state, and may lag like any read (P9).
func (l *Log) Head(ctx context.Context) (uint64, error) {
	rec, err := l.direct(ctx, directRequest{LastFor: ">"})
	switch {
	case errors.Is(err, eventlog.ErrNotFound):
		return l.lastReadable(ctx)
	case err != nil:
		return 0, fmt.Errorf("read the head: %w", err)
	}
	return rec.Sequence, nil
}

// maxUnreadable bounds how many records in a row at the end of the log may be
// damaged for its head still to be found.
const maxUnreadable = 1000

// lastReadable finds the head of a log whose last record is damaged or deleted:
// the server then answers as if it were empty.
func (l *Log) lastReadable(ctx context.Context) (uint64, error) {
	end, err := l.end(ctx)
	if err != nil {
		return 0, fmt.Errorf("read the head: %w", err)
	}
	for at := end; at > 0 && end-at < maxUnreadable; at-- {
		rec, err := l.direct(ctx, directRequest{Seq: at})
		if err == nil {
			return rec.Sequence, nil
		}
		if !errors.Is(err, eventlog.ErrNotFound) {
			return 0, fmt.Errorf("read the head: %w", err)
		}
	}
	if end > maxUnreadable {
		return 0, fmt.Errorf("read the head: the last %d records before %d: %w", maxUnreadable, end, eventlog.ErrCorrupt)
	}
	return 0, nil
}

// end is the last sequence that the stream ever gave.
func (l *Log) end(ctx context.Context) (uint64, error) {
	ctx, cancel := l.readContext(ctx)
	defer cancel()
	stream, err := l.js.Stream(ctx, l.stream)
	if err != nil {
		return 0, unavailable(ctx, err)
	}
	return stream.CachedInfo().State.LastSeq, nil
}

// Purge implements eventlog.Purger.
func (l *Log) Purge(ctx context.Context, subject string, before uint64) error {
	ctx, cancel := l.readContext(ctx)
	defer cancel()
	stream, err := l.js.Stream(ctx, l.stream)
	if err == nil {
		err = stream.Purge(ctx, jetstream.WithPurgeSubject(subject), jetstream.WithPurgeSequence(before))
	}
	if err != nil {
		return fmt.Errorf("purge %s before %d: %w", subject, before, unavailable(ctx, err))
	}
	return nil
}
