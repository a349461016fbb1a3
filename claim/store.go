package claim

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	mathrand "math/rand/v2"
	"net/http"
	"slices"
	"strconv"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

const (
	headerExpect = "Nats-Expected-Last-Subject-Sequence"
	headerTTL    = "Nats-TTL"
	headerKVOp   = "KV-Operation"

	// pauseMin and pauseMax bound the wait before a write is tried again: short
	// for the server's "another write is in process", no storm on one that is away.
	pauseMin = 2 * time.Millisecond
	pauseMax = 250 * time.Millisecond
)

// states of a record.
const (
	stateHeld     = "held"
	stateDone     = "done"
	stateReleased = "released"
)

// full are the codes by which a server says that there is no room.
var full = []jetstream.ErrorCode{10023, 10047, 10077}

// errConflict: the key was written since.
var errConflict = errors.New("the key was written by somebody else")

// record is what a key holds, as JSON so that `nats kv get` shows it.
type record struct {
	State  string        `json:"state"`
	Key    string        `json:"key"`
	Holder string        `json:"holder"`
	Fence  uint64        `json:"fence,omitempty"` // 0 in the first record of a claim: its own sequence
	At     time.Time     `json:"at"`              // for people; nothing is decided by it
	Lease  time.Duration `json:"lease_ns"`        // how long others have to see no renewal
	Guard  string        `json:"guard"`           // the process that wrote it
	Claim  string        `json:"claim"`           // the claim that it belongs to
	Write  string        `json:"write"`           // this very write, however often it was sent
}

// entry is a record and where it stands; sequence 0: there is none.
type entry struct {
	record
	sequence uint64
}

func (e entry) fence() uint64 {
	if e.Fence != 0 {
		return e.Fence
	}
	return e.sequence
}

// store reads and writes the subjects of one bucket.
type store struct {
	js      jetstream.JetStream
	stream  jetstream.Stream
	prefix  string        // of subjects
	attempt time.Duration // bounds one request
	clock   func() reading
}

// last reads what key holds, until ctx ends. It may be behind, since any replica
// of the stream answers; a write that relies on it is then refused.
func (s *store) last(ctx context.Context, key string) (entry, error) {
	var now entry
	err := retry(ctx, func() (err error) {
		attempt, cancel := context.WithTimeout(ctx, s.attempt)
		defer cancel()
		now, err = s.read(attempt, key)
		return err
	})
	return now, err
}

func (s *store) read(ctx context.Context, key string) (entry, error) {
	msg, err := s.stream.GetLastMsgForSubject(ctx, s.prefix+key)
	switch {
	case errors.Is(err, jetstream.ErrMsgNotFound):
		return entry{}, nil
	case err != nil:
		return entry{}, fmt.Errorf("read: %w", err)
	case msg.Header.Get(headerKVOp) != "":
		// An operator deleted it (`nats kv del`). Its holder may not know yet.
		return entry{record{State: stateHeld, Holder: "an operator, who deleted it"}, msg.Sequence}, nil
	}
	now := entry{sequence: msg.Sequence}
	if err := json.Unmarshal(msg.Data, &now.record); err != nil {
		return entry{}, definite{fmt.Errorf("read: what the key holds is no claim: %w", err)}
	}
	return now, nil
}

// write stores next where the key's last sequence is expect. It repeats the same
// write until it knows the outcome: once one copy was stored or refused, none that
// is still on its way can be stored. began is when the copy that was stored was
// sent, at the latest. With errConflict, now is what the key holds instead. With
// any other error the outcome is unknown.
func (s *store) write(ctx context.Context, key string, next record, expect uint64, ttl time.Duration) (now entry, began reading, err error) {
	next.Write, next.At = rand.Text(), time.Now().UTC()
	data, err := json.Marshal(next)
	if err != nil {
		return entry{}, reading{}, fmt.Errorf("encode a claim: %w", err)
	}
	first := s.clock()
	err = retry(ctx, func() error {
		began = s.clock()
		now.record = next
		now.sequence, err = s.put(ctx, key, data, expect, ttl)
		if !errors.Is(err, errConflict) {
			return err
		}
		if now, err = s.last(ctx, key); err != nil {
			return err
		}
		switch behind := now.sequence <= expect && (now.sequence != 0 || expect == 0); {
		case now.Write == next.Write:
			began = first
			return nil
		case behind:
			return errors.New("a replica of the stream is behind")
		default:
			return definite{errConflict}
		}
	})
	return now, began, err
}

func (s *store) put(ctx context.Context, key string, data []byte, expect uint64, ttl time.Duration) (uint64, error) {
	ctx, cancel := context.WithTimeout(ctx, s.attempt)
	defer cancel()
	msg := nats.NewMsg(s.prefix + key)
	msg.Data = data
	msg.Header.Set(headerExpect, strconv.FormatUint(expect, 10))
	msg.Header.Set(headerTTL, ttl.String())
	ack, err := s.js.PublishMsg(ctx, msg, jetstream.WithRetryAttempts(0))
	var api *jetstream.APIError
	switch {
	case err == nil:
		return ack.Sequence, nil
	case !errors.As(err, &api):
		return 0, fmt.Errorf("write: %w", err)
	case api.ErrorCode == jetstream.JSErrCodeStreamWrongLastSequence:
		return 0, errConflict
	case api.ErrorCode == jetstream.JSErrCodeStreamWrongLastSequenceConstant, api.Code == http.StatusServiceUnavailable && !slices.Contains(full, api.ErrorCode):
		return 0, fmt.Errorf("write: %w", err) // passes: another write is in process, an election
	default:
		return 0, definite{fmt.Errorf("write: %w", err)}
	}
}

// definite marks errors that trying again does not help.
type definite struct{ error }

func (d definite) Unwrap() error { return d.error }

// retry calls try until it succeeds, fails for good or ctx ends, with growing
// pauses. The error is the last one that says more than that time was up.
func retry(ctx context.Context, try func() error) error {
	var last error
	for limit := pauseMin; ; limit = min(2*limit, pauseMax) {
		err := try()
		if err == nil || errors.As(err, new(definite)) {
			return err
		}
		if last == nil || ctx.Err() == nil {
			last = err
		}
		if !pause(ctx, limit/2+mathrand.N(limit/2)) { //nolint:gosec // jitter keeps no secret
			return errors.Join(last, context.Cause(ctx))
		}
	}
}

// pause waits and tells whether ctx still lives.
func pause(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}
