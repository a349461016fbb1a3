// Package wire carries the TCP connections of a test and can be as bad as a
// network: it holds what is sent, both ways or one, delays it, or breaks
// connections and refuses new ones. What was held arrives when the link is well
// again, late and in order, as TCP does it; nothing is lost but by a break.
//
// A Link stands between who dials and one or several that listen; several take
// turns, and one that does not listen is passed by, as a load balancer does.
// It is for tests of whole processes alone.
//
// Invariants: bytes of a connection never change their order; after Close no
// goroutine and no connection of the link is left.
package wire

import (
	"context"
	"io"
	"net"
	"sync"
	"time"
)

const (
	// chunk is how much is carried at a time, window how many chunks are on their
	// way in one direction: beyond, the sender waits, as it would for the window
	// of TCP.
	chunk  = 32 << 10
	window = 64
)

// Flow is how well one direction is.
type Flow struct {
	Held  bool          // nothing arrives
	Delay time.Duration // everything arrives so much later
}

// State is how well a link is; the zero State is a perfect one.
type State struct {
	Forth, Back Flow // from who dials to who listens, and back
	// Refuse breaks every connection and every new one.
	Refuse bool
}

// Link is one way through.
type Link struct {
	listener net.Listener
	all      sync.WaitGroup

	mu      sync.Mutex
	targets []string
	next    int
	state   State
	changed chan struct{} // closed with every change
	broken  context.Context
	snap    context.CancelFunc
	closed  bool
}

// Listen makes a link to targets, host:port each, on a free port of the
// loopback interface.
func Listen(targets ...string) (*Link, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	l := &Link{listener: listener, targets: targets, changed: make(chan struct{})}
	l.broken, l.snap = context.WithCancel(context.Background())
	l.all.Go(l.accept)
	return l, nil
}

// Address is where to dial.
func (l *Link) Address() string { return l.listener.Addr().String() }

// Set changes how well the link is, from now on and for connections that are.
func (l *Link) Set(s State) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return
	}
	l.state = s
	close(l.changed)
	l.changed = make(chan struct{})
	if s.Refuse {
		l.snap()
		l.broken, l.snap = context.WithCancel(context.Background())
	}
}

// Close breaks everything and stops listening.
func (l *Link) Close() {
	l.mu.Lock()
	l.closed = true
	l.snap()
	l.mu.Unlock()
	_ = l.listener.Close() // it accepts no more, whatever it says
	l.all.Wait()
}

func (l *Link) now() (State, <-chan struct{}, context.Context) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.state, l.changed, l.broken
}

func (l *Link) accept() {
	for {
		from, err := l.listener.Accept()
		if err != nil {
			return
		}
		state, _, broken := l.now()
		if state.Refuse || broken.Err() != nil {
			reset(from)
			continue
		}
		l.all.Go(func() { l.carry(broken, from) })
	}
}

// reset ends a connection so that the other side sees it as broken.
func reset(c net.Conn) {
	if tcp, ok := c.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0) // what follows is the end in any case
	}
	_ = c.Close() // as above
}

// carry serves one connection.
func (l *Link) carry(broken context.Context, from net.Conn) {
	ctx, cancel := context.WithCancel(broken)
	defer cancel()
	defer reset(from)
	// A connection is made only where packets go both ways.
	if !l.passes(ctx, func(s State) Flow {
		return Flow{Held: s.Forth.Held || s.Back.Held, Delay: s.Forth.Delay + s.Back.Delay}
	}, time.Now()) {
		return
	}
	to := l.dial(ctx)
	if to == nil {
		return
	}
	defer reset(to)
	stop := context.AfterFunc(ctx, func() { reset(from); reset(to) })
	defer stop()
	var both sync.WaitGroup
	both.Go(func() { l.pump(ctx, cancel, from, to, func(s State) Flow { return s.Forth }) })
	both.Go(func() { l.pump(ctx, cancel, to, from, func(s State) Flow { return s.Back }) })
	both.Wait()
}

func (l *Link) dial(ctx context.Context) net.Conn {
	l.mu.Lock()
	targets, first := l.targets, l.next
	l.next++
	l.mu.Unlock()
	for i := range targets {
		c, err := (&net.Dialer{}).DialContext(ctx, "tcp", targets[(first+i)%len(targets)])
		if err == nil {
			return c
		}
	}
	return nil
}

// piece is what was sent at one time.
type piece struct {
	data []byte
	at   time.Time
}

// pump carries one direction until its end; an error ends the connection.
func (l *Link) pump(ctx context.Context, cancel func(), from, to net.Conn, flow func(State) Flow) {
	way := make(chan piece, window)
	var reading sync.WaitGroup
	defer reading.Wait()
	reading.Go(func() {
		defer close(way)
		for {
			buffer := make([]byte, chunk)
			n, err := from.Read(buffer)
			if n > 0 {
				select {
				case way <- piece{buffer[:n], time.Now()}:
				case <-ctx.Done():
					return
				}
			}
			if err != nil {
				if err != io.EOF { //nolint:errorlint // a connection's Read returns io.EOF itself
					cancel()
				}
				return
			}
		}
	})
	for p := range way {
		if !l.passes(ctx, flow, p.at) {
			return
		}
		if _, err := to.Write(p.data); err != nil {
			cancel()
			return
		}
	}
	if !l.passes(ctx, flow, time.Now()) {
		return
	}
	if tcp, ok := to.(*net.TCPConn); ok {
		_ = tcp.CloseWrite() // the other direction may go on, or finds out
	}
}

// passes waits until what was sent at a time may arrive; false: the connection
// is broken.
func (l *Link) passes(ctx context.Context, flow func(State) Flow, at time.Time) bool {
	for {
		state, changed, _ := l.now()
		f := flow(state)
		wait := time.Until(at.Add(f.Delay))
		if !f.Held && wait <= 0 {
			return ctx.Err() == nil
		}
		var due <-chan time.Time
		if !f.Held {
			timer := time.NewTimer(wait)
			defer timer.Stop()
			due = timer.C
		}
		select {
		case <-due:
		case <-changed:
		case <-ctx.Done():
			return false
		}
	}
}
