package jetlog

import (
	"context"
	"errors"
	"sync"

	"github.com/nats-io/nats.go"
)

// errLinkDown is why a request ends early: the answer to what was sent over a
// broken connection does not come over the next one.
var errLinkDown = errors.New("connection to NATS lost")

// link tells whoever waits for an answer that the connection broke, and whoever
// waits for a connection that it is back.
type link struct {
	nc *nats.Conn

	mu   sync.Mutex
	life context.Context // ends when the present connection does
	end  context.CancelCauseFunc
	back chan struct{} // closes when there is a connection again; nil while there is
}

func newLink(nc *nats.Conn) *link {
	l := &link{nc: nc}
	l.life, l.end = context.WithCancelCause(context.Background())
	go l.watch(nc.StatusChanged(nats.CONNECTED, nats.DISCONNECTED, nats.RECONNECTING, nats.CLOSED))
	return l
}

// watch runs until the connection is closed for good.
func (l *link) watch(changes chan nats.Status) {
	defer l.nc.RemoveStatusListener(changes)
	if l.nc.IsClosed() {
		l.down()
		return
	}
	for status := range changes {
		switch status {
		case nats.CONNECTED:
			l.up()
		case nats.CLOSED:
			l.down()
			return
		default:
			l.down()
		}
	}
}

func (l *link) down() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.end(errLinkDown)
	if l.back == nil {
		l.back = make(chan struct{})
	}
}

func (l *link) up() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.renew()
}

// renew starts a new life. The caller holds mu.
func (l *link) renew() {
	l.end(errLinkDown)
	l.life, l.end = context.WithCancelCause(context.Background())
	if l.back != nil {
		close(l.back)
		l.back = nil
	}
}

// current returns a context that ends when the present connection breaks, and
// has ended when there is none. Status changes are dropped when too many come at
// once, so the connection itself is asked too.
func (l *link) current() context.Context {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.life.Err() != nil && l.nc.IsConnected() {
		l.renew()
	}
	return l.life
}

// returned returns a channel that is closed once there is a connection.
func (l *link) returned() <-chan struct{} {
	if l.current().Err() == nil {
		return closed
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.back == nil {
		return closed
	}
	return l.back
}

var closed = func() chan struct{} {
	c := make(chan struct{})
	close(c)
	return c
}()

// within returns ctx, ended early when the present connection breaks.
func (l *link) within(ctx context.Context) (context.Context, context.CancelFunc) {
	bound, cancel := context.WithCancelCause(ctx)
	life := l.current()
	stop := context.AfterFunc(life, func() { cancel(context.Cause(life)) })
	return bound, func() { stop(); cancel(nil) }
}
