package wire

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"testing"
	"time"
)

// echo listens and answers every line with its name before it.
func echo(t *testing.T, name string) net.Listener {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer func() { _ = c.Close() }()
				for lines := bufio.NewScanner(c); lines.Scan(); {
					fmt.Fprintln(c, name, lines.Text())
				}
			}()
		}
	}()
	return l
}

func link(t *testing.T, targets ...string) *Link {
	t.Helper()
	l, err := Listen(targets...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(l.Close)
	return l
}

// caller is one connection through a link.
type caller struct {
	net.Conn
	t     *testing.T
	lines *bufio.Reader
}

func dial(t *testing.T, l *Link) *caller {
	t.Helper()
	c, err := net.Dial("tcp", l.Address())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return &caller{c, t, bufio.NewReader(c)}
}

func (c *caller) say(line string) {
	c.t.Helper()
	if _, err := fmt.Fprintln(c, line); err != nil {
		c.t.Fatal(err)
	}
}

func (c *caller) hears(want string) {
	c.t.Helper()
	_ = c.SetReadDeadline(time.Now().Add(10 * time.Second))
	if got, err := c.lines.ReadString('\n'); got != want+"\n" {
		c.t.Fatalf("heard %q, not %q: %v", got, want, err)
	}
}

func (c *caller) hearsNothing() {
	c.t.Helper()
	_ = c.SetReadDeadline(time.Now().Add(100 * time.Millisecond))
	if got, err := c.lines.ReadString('\n'); !errors.Is(err, os.ErrDeadlineExceeded) {
		c.t.Fatalf("heard %q: %v", got, err)
	}
}

func TestWhatIsHeldArrivesLateAndInOrder(t *testing.T) {
	t.Parallel()
	for name, held := range map[string]State{
		"both ways": {Forth: Flow{Held: true}, Back: Flow{Held: true}}, "forth": {Forth: Flow{Held: true}}, "back": {Back: Flow{Held: true}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := link(t, echo(t, "a").Addr().String())
			c := dial(t, l)
			c.say("before")
			c.hears("a before")
			l.Set(held)
			c.say("one")
			c.say("two")
			c.hearsNothing()
			l.Set(State{})
			c.hears("a one")
			c.hears("a two")
		})
	}
}

func TestNoConnectionIsMadeThroughACut(t *testing.T) {
	t.Parallel()
	l := link(t, echo(t, "a").Addr().String())
	l.Set(State{Back: Flow{Held: true}})
	c := dial(t, l)
	c.say("hello")
	c.hearsNothing()
	l.Set(State{})
	c.hears("a hello")
}

func TestADelayIsOneForAllThatIsOnItsWay(t *testing.T) {
	t.Parallel()
	l := link(t, echo(t, "a").Addr().String())
	c := dial(t, l)
	c.say("before")
	c.hears("a before")
	const delay = 200 * time.Millisecond
	l.Set(State{Forth: Flow{Delay: delay}})
	began := time.Now()
	const lines = 20
	for n := range lines {
		c.say(fmt.Sprint(n))
	}
	for n := range lines {
		c.hears(fmt.Sprint("a ", n))
	}
	if took := time.Since(began); took < delay || took > lines*delay/2 {
		t.Errorf("%d lines took %s", lines, took)
	}
}

func TestARefusalBreaksWhatThereIsAndWhatComes(t *testing.T) {
	t.Parallel()
	l := link(t, echo(t, "a").Addr().String())
	c := dial(t, l)
	c.say("before")
	c.hears("a before")
	l.Set(State{Refuse: true})
	_ = c.SetReadDeadline(time.Now().Add(10 * time.Second))
	if _, err := c.Read(make([]byte, 1)); err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("a broken connection reads: %v", err)
	}
	again := dial(t, l)
	_ = again.SetReadDeadline(time.Now().Add(10 * time.Second))
	if _, err := again.Read(make([]byte, 1)); err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("a refused connection reads: %v", err)
	}
	l.Set(State{})
	well := dial(t, l)
	well.say("after")
	well.hears("a after")
}

func TestSeveralTakeTurnsAndWhoIsAwayIsPassedBy(t *testing.T) {
	t.Parallel()
	a, b := echo(t, "a"), echo(t, "b")
	l := link(t, a.Addr().String(), b.Addr().String())
	for _, want := range []string{"a", "b", "a"} {
		c := dial(t, l)
		c.say("x")
		c.hears(want + " x")
	}
	_ = a.Close()
	for range 3 {
		c := dial(t, l)
		c.say("x")
		c.hears("b x")
	}
}

func TestAnEndIsPassedOn(t *testing.T) {
	t.Parallel()
	l := link(t, echo(t, "a").Addr().String())
	c := dial(t, l)
	c.say("last")
	if tcp, ok := c.Conn.(*net.TCPConn); ok {
		_ = tcp.CloseWrite()
	}
	c.hears("a last")
	_ = c.SetReadDeadline(time.Now().Add(10 * time.Second))
	if _, err := c.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
		t.Errorf("after the end: %v", err)
	}
}
