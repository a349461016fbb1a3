package runlog

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strings"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"google.golang.org/protobuf/proto"

	commandv1 "github.com/slipway-hq/slipway/gen/slipway/command/v1"
	"github.com/slipway-hq/slipway/internal/topology"
)

const (
	// patience is how long a chunk that is known to be stored is waited for.
	patience = 2 * time.Second
	// maxLooks and lookPause bound how an object that is replaced while it is read
	// is looked up again: it happens when late output is packed, and when a server
	// of a cluster is a moment behind.
	maxLooks  = 8
	lookPause = 50 * time.Millisecond
)

// Request says how much of a run's output to read. The zero value is all that is
// stored.
type Request struct {
	// After is the sequence of the last entry that the caller has.
	After uint64
	// Done tells whether nothing more will come; nil: nothing is waited for.
	Done func() bool
	// Wake, if set, makes Done be asked again.
	Wake <-chan struct{}
}

// Read sends a run's output in the order of its sequences, and goes on until
// everything stored was sent and Done says that nothing will follow. It returns
// send's error as it is.
func (l *Logs) Read(ctx context.Context, run string, r Request, send func(Entry) error) error {
	p := &reading{Logs: l, run: run, seen: r.After, send: send}
	if err := p.packed(ctx, p.pass); err != nil {
		return err
	}
	if err := p.live(ctx, r); err != nil {
		return err
	}
	// It may have been packed, and removed from LOGS, since we looked.
	return p.packed(ctx, p.pass)
}

// reading is one Read.
type reading struct {
	*Logs
	run      string
	seen     uint64 // sequence of the last entry sent
	packedAt uint64 // sequence of the object that was read last, 0: none
	send     func(Entry) error
}

func (p *reading) pass(e Entry) error {
	if e.Sequence <= p.seen {
		return nil
	}
	p.seen = e.Sequence
	return p.send(e)
}

// packed calls each with what the run's object holds, unless it is the one that
// was read last.
func (p *reading) packed(ctx context.Context, each func(Entry) error) error {
	for range maxLooks {
		info, at, err := p.objects.lookup(ctx, packedObject(p.run))
		if err != nil || info == nil || at == p.packedAt {
			return err
		}
		err = p.unpack(ctx, info, each)
		if !errors.Is(err, errGone) {
			p.packedAt = at
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(lookPause):
		}
	}
	return fmt.Errorf("read the packed logs of %s: %w", p.run, errGone)
}

// live sends what LOGS holds, from what was sent on.
func (p *reading) live(ctx context.Context, r Request) error {
	done := r.Done
	if done == nil {
		done = func() bool { return true }
	}
	last, err := p.end(ctx, p.run)
	if err != nil || last <= p.seen && done() {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	arrivals, err := p.arrivals(ctx)
	if err != nil {
		return err
	}
	timer := time.NewTimer(patience)
	defer timer.Stop()
	for {
		if p.seen >= last && done() {
			if last, err = p.end(ctx, p.run); err != nil || p.seen >= last {
				return err
			}
		}
		select {
		case a := <-arrivals:
			if err := p.arrived(ctx, together(a, arrivals)); err != nil {
				return err
			}
			timer.Reset(patience)
		case <-r.Wake:
		case <-timer.C:
			if done() {
				return nil
			}
			timer.Reset(patience)
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// arrival is one message of LOGS, or why there are no more.
type arrival struct {
	msg jetstream.Msg
	err error
}

// maxTogether bounds the messages that are looked at as one.
const maxTogether = 256

// together is an arrival with those that have come behind it.
func together(a arrival, more <-chan arrival) []arrival {
	out := []arrival{a}
	for len(out) < maxTogether {
		select {
		case a := <-more:
			out = append(out, a)
		default:
			return out
		}
	}
	return out
}

// arrivals reads LOGS in the background until ctx ends.
func (p *reading) arrivals(ctx context.Context) (<-chan arrival, error) {
	cfg := jetstream.OrderedConsumerConfig{FilterSubjects: []string{topology.LogFilter(p.run)}, DeliverPolicy: jetstream.DeliverAllPolicy}
	if p.seen > 0 {
		cfg.DeliverPolicy, cfg.OptStartSeq = jetstream.DeliverByStartSequencePolicy, p.seen+1
	}
	consumer, err := p.js.OrderedConsumer(ctx, topology.StreamLogs, cfg)
	if err != nil {
		return nil, fmt.Errorf("open logs of %s: %w", p.run, err)
	}
	messages, err := consumer.Messages()
	if err != nil {
		return nil, fmt.Errorf("open logs of %s: %w", p.run, err)
	}
	out := make(chan arrival, maxTogether)
	go func() {
		defer messages.Stop()
		for {
			a := arrival{}
			a.msg, a.err = messages.Next(jetstream.NextContext(ctx))
			select {
			case out <- a:
			case <-ctx.Done():
				return
			}
			if a.err != nil {
				return
			}
		}
	}()
	return out, nil
}

// arrived sends messages of LOGS. What was removed before they came was packed
// before that: so the object is looked at once more, and what it holds comes
// between them in the order of sequences.
func (p *reading) arrived(ctx context.Context, come []arrival) error {
	upTo := func(sequence uint64) error {
		for ; len(come) > 0; come = come[1:] {
			if come[0].err != nil {
				return fmt.Errorf("read logs of %s: %w", p.run, come[0].err)
			}
			e, ok := entryOf(come[0].msg)
			if e.Sequence >= sequence {
				return nil
			}
			if !ok {
				p.seen = max(p.seen, e.Sequence)
				continue
			}
			if err := p.pass(e); err != nil {
				return err
			}
		}
		return nil
	}
	err := p.packed(ctx, func(x Entry) error {
		if err := upTo(x.Sequence); err != nil {
			return err
		}
		return p.pass(x)
	})
	if err != nil {
		return err
	}
	return upTo(math.MaxUint64)
}

// entryOf reads a message of LOGS; ok is false when it is no output, and then
// only the sequence is set.
func entryOf(m jetstream.Msg) (e Entry, ok bool) {
	meta, err := m.Metadata()
	if err != nil {
		return e, false
	}
	e.Sequence = meta.Sequence.Stream
	at, ok := topology.ParseLogSubject(m.Subject())
	chunk := &commandv1.LogChunk{}
	if !ok || proto.Unmarshal(m.Data(), chunk) != nil {
		return e, false
	}
	e.Step, e.Attempt, e.Fence = at.Step, at.Attempt, at.Fence
	e.Stream, e.Time = chunk.GetStream(), chunk.GetTime().AsTime()
	e.Text = strings.ToValidUTF8(string(chunk.GetData()), "\uFFFD")
	return e, true
}

// end is the sequence of the last chunk that LOGS holds of the run; 0 for none.
func (l *Logs) end(ctx context.Context, run string) (uint64, error) {
	stream, err := l.js.Stream(ctx, topology.StreamLogs)
	if err != nil {
		return 0, fmt.Errorf("open logs: %w", err)
	}
	m, err := stream.GetLastMsgForSubject(ctx, topology.LogFilter(run))
	switch {
	case errors.Is(err, jetstream.ErrMsgNotFound):
		return 0, nil
	case err != nil:
		return 0, fmt.Errorf("find the end of the logs of %s: %w", run, err)
	}
	return m.Sequence, nil
}
