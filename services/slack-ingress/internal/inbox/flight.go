package inbox

import (
	"container/list"
	"context"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"google.golang.org/protobuf/proto"

	commandv1 "github.com/slipway-hq/slipway/gen/slipway/command/v1"
)

const (
	// answerLife is how long after its request an answer is still told.
	answerLife = time.Minute
	// maxFlights bounds the memory of requests whose answer may come: two
	// minutes' worth at 70 a second. Beyond it the oldest is forgotten; its
	// person was already told that the request is stored.
	maxFlights = 8192
)

// flight is one stored request on its way to its first answer.
type flight struct {
	identity, nonce string
	begun           time.Time

	stored    chan struct{} // closed when the outcome of storing is known
	duplicate bool          // read after stored
	err       error         // read after stored

	answered chan struct{} // closed when answer is set
	answer   *commandv1.Answer
	late     func(*commandv1.Answer) // called instead, once the wait is over
}

// flights is every flight, oldest first. Guarded by Inbox.mu.
type flights struct {
	order      *list.List // of *flight
	byNonce    map[string]*list.Element
	byIdentity map[string]*flight
}

func newFlights() flights {
	return flights{order: list.New(), byNonce: map[string]*list.Element{}, byIdentity: map[string]*flight{}}
}

func (f *flights) add(fl *flight) {
	f.byNonce[fl.nonce] = f.order.PushBack(fl)
	f.byIdentity[fl.identity] = fl
}

func (f *flights) remove(fl *flight) {
	if e, ok := f.byNonce[fl.nonce]; ok {
		f.order.Remove(e)
		delete(f.byNonce, fl.nonce)
	}
	f.unlist(fl)
}

// unlist makes the next request of the same identity a flight of its own.
func (f *flights) unlist(fl *flight) {
	if f.byIdentity[fl.identity] == fl {
		delete(f.byIdentity, fl.identity)
	}
}

// expire forgets what is too old or too much.
func (f *flights) expire(now time.Time) {
	for e := f.order.Front(); e != nil; e = f.order.Front() {
		fl := e.Value.(*flight) //nolint:forcetypeassert // nothing else is ever put in
		if now.Sub(fl.begun) < answerLife && f.order.Len() <= maxFlights {
			return
		}
		f.remove(fl)
	}
}

// join finds the flight of an identity or begins one.
func (b *Inbox) join(identity string) (fl *flight, first bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	now := time.Now()
	b.flights.expire(now)
	if fl, ok := b.flights.byIdentity[identity]; ok {
		return fl, false
	}
	fl = &flight{identity: identity, nonce: nonce(), begun: now, stored: make(chan struct{}), answered: make(chan struct{})}
	b.flights.add(fl)
	return fl, true
}

// settle makes the outcome of storing known. A failed flight gives way to the
// next try of the same request; of one that may be stored after all, the
// answer is still awaited.
func (b *Inbox) settle(fl *flight, duplicate bool, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	fl.duplicate, fl.err = duplicate, err
	close(fl.stored)
	if err != nil {
		b.flights.unlist(fl)
	}
}

// receive takes one answer from the wire.
func (b *Inbox) receive(msg *nats.Msg) {
	answer := &commandv1.Answer{}
	if proto.Unmarshal(msg.Data, answer) != nil {
		return // an answer is best effort; a broken one is none
	}
	if late := b.deliver(msg.Subject[strings.LastIndexByte(msg.Subject, '.')+1:], answer); late != nil {
		late(answer)
	}
}

// deliver hands the first answer to who waits, or returns who wants it late.
func (b *Inbox) deliver(nonce string, answer *commandv1.Answer) func(*commandv1.Answer) {
	b.mu.Lock()
	defer b.mu.Unlock()
	e, ok := b.flights.byNonce[nonce]
	if !ok {
		return nil
	}
	fl := e.Value.(*flight) //nolint:forcetypeassert // nothing else is ever put in
	if fl.answer != nil || time.Since(fl.begun) > answerLife {
		return nil
	}
	fl.answer = answer
	close(fl.answered)
	return fl.late
}

// Ticket is a caller's share of a flight.
type Ticket struct {
	inbox  *Inbox
	flight *flight
	// First is true for the one submission, of all replicas, whose message
	// was stored: its holder tells the person, the others need not.
	First bool
}

// Await returns the first answer. When ctx ends before it comes, later is
// called with it instead, at most once, if it comes within a minute of the
// request. later must not block; it may be nil, and only the first ticket's
// counts.
func (t *Ticket) Await(ctx context.Context, later func(*commandv1.Answer)) (*commandv1.Answer, bool) {
	select {
	case <-t.flight.answered:
		return t.flight.answer, true
	case <-ctx.Done():
	}
	t.inbox.mu.Lock()
	defer t.inbox.mu.Unlock()
	if t.flight.answer != nil {
		return t.flight.answer, true
	}
	if t.First {
		t.flight.late = later
	}
	return nil, false
}
