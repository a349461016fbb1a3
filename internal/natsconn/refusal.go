package natsconn

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
)

// ErrRefused: the credential of this connection may not do that. It is certain
// that nothing happened.
var ErrRefused = errors.New("NATS does not permit it to this credential")

// refusedFor is how long Refused goes on telling of a refusal. Services repeat
// what they need at least every half a minute.
const refusedFor = time.Minute

// refusedPublish finds the subject in the words of the server, which names
// neither the message nor where its answer was to go.
var refusedPublish = regexp.MustCompile(`(?i)permissions violation for publish to "([^"]+)"`)

// ledgers hold what the server refused, by connection. The server tells of a
// refusal apart from the request, so that the request itself only times out;
// and a *nats.Conn has no room of its own to keep anything.
var ledgers sync.Map // *nats.Conn → *ledger

// ledger is what was refused on one connection, and why there is none.
type ledger struct {
	mu      sync.Mutex
	words   string // of the last refusal
	at      time.Time
	waiting map[*waiter]struct{}

	away error     // why the last attempt to reconnect failed
	told time.Time // when the log said so
}

// waiter wants to hear of refusals.
type waiter struct {
	subject string // empty: of any
	cancel  context.CancelCauseFunc
}

func ledgerOf(conn *nats.Conn) *ledger {
	l, _ := ledgers.LoadOrStore(conn, &ledger{waiting: map[*waiter]struct{}{}})
	return l.(*ledger) //nolint:forcetypeassert,errcheck // nothing else is stored
}

// Until returns ctx, ended early when the server refuses conn a publish to
// subject, or to any subject when it is empty. Why then tells of it. Without it
// a refused request waits for its deadline. stop has to be called.
func Until(ctx context.Context, conn *nats.Conn, subject string) (bound context.Context, stop context.CancelFunc) {
	bound, cancel := context.WithCancelCause(ctx)
	l, w := ledgerOf(conn), &waiter{subject: subject, cancel: cancel}
	l.mu.Lock()
	l.waiting[w] = struct{}{}
	l.mu.Unlock()
	return bound, func() {
		l.mu.Lock()
		delete(l.waiting, w)
		l.mu.Unlock()
		cancel(nil)
	}
}

// Why returns the refusal that ended ctx, or err where there was none.
func Why(ctx context.Context, err error) error {
	if cause := context.Cause(ctx); err != nil && errors.Is(cause, ErrRefused) {
		return cause
	}
	return err
}

// Refused returns what the server refused conn within the last minute, nil when
// nothing: a readiness check.
func Refused(conn *nats.Conn) error {
	found, ok := ledgers.Load(conn)
	if !ok {
		return nil
	}
	l := found.(*ledger) //nolint:forcetypeassert,errcheck // nothing else is stored
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.words == "" || time.Since(l.at) > refusedFor {
		return nil
	}
	return fmt.Errorf("%w: %s", ErrRefused, l.words)
}

// note keeps a refusal and wakes those who wait for it.
func (l *ledger) note(err error) {
	words := err.Error()
	subject := ""
	if match := refusedPublish.FindStringSubmatch(words); match != nil {
		subject = match[1]
		words = "publish to " + subject
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.words, l.at = words, time.Now()
	for w := range l.waiting {
		if w.subject == "" || w.subject == subject {
			w.cancel(fmt.Errorf("%w: %s", ErrRefused, words))
		}
	}
}
