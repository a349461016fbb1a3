package jetlog

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nuid"

	"github.com/slipway-hq/slipway/internal/eventlog"
	"github.com/slipway-hq/slipway/internal/natsconn"
)

// publishTimeout is how long one publish or batch may stay without an answer.
// Retrying the same bytes is always safe, so it need not outlast an election
// (P14); it should outlast a slow flush.
const publishTimeout = 3 * time.Second

// Headers of a publish (ADR-50 for the batch).
const (
	headerExpect        = "Nats-Expected-Last-Subject-Sequence"
	headerBatch         = "Nats-Batch-Id"
	headerBatchSequence = "Nats-Batch-Sequence"
	headerBatchCommit   = "Nats-Batch-Commit"
)

// Error codes of the server that mean something here.
const (
	codeStale     = 10071 // the expectation is wrong: somebody else's commit is stored
	codeInProcess = 10164 // somebody else's commit is on its way; on R3 most conflicts say so at first (P2)
	codeStoreFull = 10077 // the stream's limit (P10)
	codeNoRoom    = 10023 // the server's limit (P10)
	codeTooLarge  = 10054
)

// errInProcess: another write to the subject is on its way. This one was not
// stored; the same append may be tried again (P2).
var errInProcess = errors.New("another write to the subject is in process")

// refusal is a definite answer of the server: nothing was stored.
type refusal struct {
	Code        int    `json:"err_code"`
	Description string `json:"description"`
}

func (r *refusal) Error() string { return fmt.Sprintf("refused with %d: %s", r.Code, r.Description) }

// Unwrap makes errors.Is work on the log's own words. A code without a word is
// unknown: it may come from any layer on the way.
func (r *refusal) Unwrap() error {
	switch r.Code {
	case codeStale:
		return eventlog.ErrConflict
	case codeInProcess:
		return errInProcess
	case codeStoreFull, codeNoRoom:
		return eventlog.ErrFull
	case codeTooLarge:
		return eventlog.ErrTooLarge
	default:
		return eventlog.ErrUnknown
	}
}

// ack is the server's answer to a publish.
type ack struct {
	Sequence uint64   `json:"seq"`
	Batch    string   `json:"batch"`
	Count    int      `json:"count"`
	Error    *refusal `json:"error"`
}

// publisher puts commits on the wire and waits for the answer.
type publisher struct {
	nc   *nats.Conn
	link *link
}

// one publishes a single commit and returns its sequence.
func (p *publisher) one(c *pending) (uint64, error) {
	answer, err := p.request(c.message())
	if err != nil {
		return 0, err
	}
	return answer.Sequence, nil
}

// batch publishes commits of distinct subjects as one atomic batch and returns
// the sequence of the first. All are stored or none.
//
// Only the last message asks for an answer, so that a batch costs one round
// trip. The answer names the last sequence and the count; the stream stores a
// batch under one lock (one replica) or as one Raft proposal (several), so the
// sequences of a batch have no gaps and the first is last - count + 1.
func (p *publisher) batch(commits []*pending) (uint64, error) {
	id := nuid.Next()
	var last *nats.Msg
	for i, c := range commits {
		last = c.message()
		last.Header[headerBatch] = []string{id}
		last.Header[headerBatchSequence] = []string{strconv.Itoa(i + 1)}
		if i == len(commits)-1 {
			last.Header[headerBatchCommit] = []string{"1"}
			break
		}
		if err := p.nc.PublishMsg(last); err != nil {
			return 0, notSent(err) // without its commit message a batch is nothing
		}
	}
	answer, err := p.request(last)
	if err != nil {
		return 0, err
	}
	if answer.Batch != id || answer.Count != len(commits) || answer.Sequence < uint64(len(commits)) {
		return 0, fmt.Errorf("%w: the answer is of batch %q with %d messages, not %q with %d", eventlog.ErrUnknown, answer.Batch, answer.Count, id, len(commits))
	}
	return answer.Sequence - uint64(len(commits)) + 1, nil
}

// request publishes m and returns the server's answer. Its errors are a
// *refusal, wrap ErrUnavailable (not sent), or wrap ErrUnknown: a time-out, a
// broken connection, no responders.
func (p *publisher) request(m *nats.Msg) (ack, error) {
	timed, stop := context.WithTimeout(context.Background(), publishTimeout)
	defer stop()
	permitted, forget := natsconn.Until(timed, p.nc, m.Subject)
	defer forget()
	ctx, cancel := p.link.within(permitted)
	defer cancel()
	if p.link.current().Err() != nil {
		return ack{}, notSent(errLinkDown)
	}
	reply, err := p.nc.RequestMsgWithContext(ctx, m)
	err = natsconn.Why(ctx, err)
	switch {
	case errors.Is(err, natsconn.ErrRefused):
		return ack{}, notSent(err)
	case errors.Is(err, nats.ErrReconnectBufExceeded): // the client refused to keep it for later
		return ack{}, notSent(err)
	case err != nil:
		if cause := context.Cause(ctx); cause != nil {
			err = cause
		}
		return ack{}, fmt.Errorf("%w: %w", eventlog.ErrUnknown, err)
	}
	var answer ack
	if err := json.Unmarshal(reply.Data, &answer); err != nil {
		return ack{}, fmt.Errorf("%w: unreadable answer: %w", eventlog.ErrUnknown, err)
	}
	switch {
	case answer.Error != nil:
		return ack{}, answer.Error
	case answer.Sequence == 0:
		return ack{}, fmt.Errorf("%w: answer without a sequence", eventlog.ErrUnknown)
	}
	return answer, nil
}

// notSent: the client library refused before anything went on the wire.
func notSent(err error) error {
	return fmt.Errorf("%w: not sent: %w", eventlog.ErrUnavailable, err)
}
