package jetlog

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/slipway-hq/slipway/internal/eventlog"
)

// One page of a batched direct get. The server refuses more than 1024 answers
// to a question for last records and holds the stream's lock while it answers.
const (
	pageRecords = 512
	pageBytes   = 4 << 20
	// pageAnswers is the most messages that answer one request: the records and
	// the end of the page. One too many would be dropped, and noticed as a gap.
	pageAnswers = pageRecords + 1
	// lastSubjects bounds how many last records one request asks for: they come
	// with their content, 64 KiB each at worst.
	lastSubjects = 256
)

// Statuses of direct get answers (ADR-31).
const (
	statusEndOfBatch   = "204"
	statusNotFound     = "404"
	statusNoResponders = "503"

	headerStatus      = "Status"
	headerDescription = "Description"
	headerSubject     = "Nats-Subject"
	headerSequence    = "Nats-Sequence"
	headerTime        = "Nats-Time-Stamp"
	headerPending     = "Nats-Num-Pending"
	headerPrevious    = "Nats-Last-Sequence"
)

// errGap: an answer of several messages is incomplete.
var errGap = errors.New("part of the answer was lost")

// directRequest is the body of a direct get (JSApiMsgGetRequest of the server).
type directRequest struct {
	Seq       uint64   `json:"seq,omitempty"`
	LastFor   string   `json:"last_by_subj,omitempty"`
	NextFor   string   `json:"next_by_subj,omitempty"`
	Batch     int      `json:"batch,omitempty"`
	MaxBytes  int      `json:"max_bytes,omitempty"`
	MultiLast []string `json:"multi_last,omitempty"`
}

func (l *Log) directSubject() string { return "$JS.API.DIRECT.GET." + l.stream }

// direct reads one record: it returns ErrNotFound or ErrUnavailable.
func (l *Log) direct(ctx context.Context, request directRequest) (eventlog.Record, error) {
	answer, err := l.ask(ctx, request)
	if err != nil {
		return eventlog.Record{}, err
	}
	return directRecord(answer)
}

// next returns the first sequence from at on that has a record.
func (l *Log) next(ctx context.Context, at uint64) (uint64, error) {
	rec, err := l.direct(ctx, directRequest{Seq: at, NextFor: ">"})
	return rec.Sequence, err
}

// ask returns the answer to a request for one record.
func (l *Log) ask(ctx context.Context, request directRequest) (*nats.Msg, error) {
	body, err := json.Marshal(request)
	if err != nil {
		return nil, err
	}
	ctx, cancel := l.readContext(ctx)
	defer cancel()
	answer, err := l.nc.RequestMsgWithContext(ctx, &nats.Msg{Subject: l.directSubject(), Data: body})
	if err != nil {
		return nil, unavailable(ctx, err)
	}
	return answer, directStatus(answer)
}

// directMany reads several records in order, and how many more there are.
func (l *Log) directMany(ctx context.Context, request directRequest) ([]eventlog.Record, uint64, error) {
	body, err := json.Marshal(request)
	if err != nil {
		return nil, 0, err
	}
	ctx, cancel := l.readContext(ctx)
	defer cancel()
	inbox := l.nc.NewInbox()
	answers := make(chan *nats.Msg, pageAnswers) // SubscribeSync would make room for 65,536 of them, half a MiB
	sub, err := l.nc.ChanSubscribe(inbox, answers)
	if err != nil {
		return nil, 0, unavailable(ctx, err)
	}
	defer func() { _ = sub.Unsubscribe() }() // fails only when the connection is gone, and the subscription with it
	if err := l.nc.PublishRequest(l.directSubject(), inbox, body); err != nil {
		return nil, 0, unavailable(ctx, err)
	}
	var records []eventlog.Record
	var previous uint64
	for {
		var answer *nats.Msg
		select {
		case answer = <-answers:
		case <-ctx.Done():
			return nil, 0, unavailable(ctx, ctx.Err())
		}
		switch status := answer.Header.Get(headerStatus); {
		case status == statusNotFound && len(records) == 0:
			return nil, 0, nil
		case status != "" && status != statusEndOfBatch:
			return nil, 0, directStatus(answer)
		case answer.Header.Get(headerPrevious) != strconv.FormatUint(previous, 10):
			return nil, 0, fmt.Errorf("%w: %w", eventlog.ErrUnavailable, errGap)
		case status == statusEndOfBatch:
			pending, err := strconv.ParseUint(answer.Header.Get(headerPending), 10, 64)
			if err != nil {
				return nil, 0, fmt.Errorf("%w: end of batch: %w", eventlog.ErrUnavailable, err)
			}
			return records, pending, nil
		}
		rec, err := directRecord(answer)
		if err != nil {
			return nil, 0, err
		}
		previous = rec.Sequence
		records = append(records, rec)
	}
}

// lastSequences returns the last sequence of each subject; those without a
// record, or beyond what one answer holds, are missing from the map.
func (l *Log) lastSequences(ctx context.Context, subjects []string) (map[string]uint64, error) {
	last := make(map[string]uint64, len(subjects))
	for len(subjects) > 0 {
		n := min(lastSubjects, len(subjects))
		found, _, err := l.directMany(ctx, directRequest{MultiLast: subjects[:n]})
		if err != nil {
			return nil, err
		}
		for _, rec := range found {
			last[rec.Subject] = rec.Sequence
		}
		subjects = subjects[n:]
	}
	return last, nil
}

func (l *Log) readContext(ctx context.Context) (context.Context, context.CancelFunc) {
	timed, stop := context.WithTimeout(ctx, readTimeout)
	bound, cancel := l.link.within(timed)
	return bound, func() { cancel(); stop() }
}

// unavailable wraps the failure of a read; why ctx ended says more than that it did.
func unavailable(ctx context.Context, err error) error {
	if cause := context.Cause(ctx); cause != nil {
		err = cause
	}
	return fmt.Errorf("%w: %w", eventlog.ErrUnavailable, err)
}

func directStatus(answer *nats.Msg) error {
	switch status := answer.Header.Get(headerStatus); status {
	case "":
		return nil
	case statusNotFound:
		return eventlog.ErrNotFound
	case statusNoResponders:
		return fmt.Errorf("%w: %w", eventlog.ErrUnavailable, nats.ErrNoResponders)
	default:
		return fmt.Errorf("%w: status %s %s", eventlog.ErrUnavailable, status, answer.Header.Get(headerDescription))
	}
}

func directRecord(answer *nats.Msg) (eventlog.Record, error) {
	sequence, err := strconv.ParseUint(answer.Header.Get(headerSequence), 10, 64)
	if err != nil {
		return eventlog.Record{}, fmt.Errorf("%w: sequence of an answer: %w", eventlog.ErrUnavailable, err)
	}
	at, err := time.Parse(time.RFC3339Nano, answer.Header.Get(headerTime))
	if err != nil {
		return eventlog.Record{}, fmt.Errorf("%w: time of an answer: %w", eventlog.ErrUnavailable, err)
	}
	return eventlog.Decode(answer.Header.Get(headerSubject), sequence, at, answer.Data), nil
}
