package jetlog

import (
	"context"
	"errors"
	"slices"
	"strconv"

	"github.com/slipway-hq/slipway/internal/eventlog"
)

// maxWalk is how many records are read one by one, a round trip each. Beyond it
// pages are quicker, although the server searches its blocks for each record of
// a page: 20 records scattered over 100,000 cost 5 ms so, and 1 ms by walking.
const maxWalk = 24

// load returns the records of subject above after.
func (l *Log) load(ctx context.Context, subject string, after uint64) ([]eventlog.Record, error) {
	records, whole, err := l.walk(ctx, subject, after)
	if whole || err != nil {
		return records, err
	}
	return l.page(ctx, subject, after)
}

// walk reads backwards from the last record: the server stores with each record
// the expectation it was appended with, which is the sequence of the one before.
// whole is false when that does not lead down to after: the aggregate is long,
// an archiver has been there, or the answering replica lags (P9).
func (l *Log) walk(ctx context.Context, subject string, after uint64) (records []eventlog.Record, whole bool, err error) {
	request := directRequest{LastFor: subject}
	for range maxWalk {
		answer, err := l.ask(ctx, request)
		if errors.Is(err, eventlog.ErrNotFound) {
			return nil, len(records) == 0, nil
		}
		if err != nil {
			return nil, false, err
		}
		rec, err := directRecord(answer)
		if err != nil {
			return nil, false, err
		}
		if rec.Sequence <= after {
			return nil, true, nil
		}
		previous, err := strconv.ParseUint(answer.Header.Get(headerExpect), 10, 64)
		if err != nil || rec.Subject != subject || after == 0 && rec.Commit.GetVersion() > maxWalk {
			return nil, false, nil
		}
		records = append(records, rec)
		if previous <= after {
			slices.Reverse(records)
			return records, true, nil
		}
		request = directRequest{Seq: previous}
	}
	return nil, false, nil
}

// page reads forwards, many records at a time.
func (l *Log) page(ctx context.Context, subject string, after uint64) ([]eventlog.Record, error) {
	var records []eventlog.Record
	for more := true; more; {
		found, pending, err := l.directMany(ctx, directRequest{Seq: after + 1, NextFor: subject, Batch: pageRecords, MaxBytes: pageBytes})
		if err != nil {
			return nil, err
		}
		records = append(records, found...)
		if more = pending > 0 && len(found) > 0; more {
			after = found[len(found)-1].Sequence
		}
	}
	return records, nil
}
