package jetlog_test

import (
	"io"
	"net"
	"sync"
	"testing"
)

// proxy stands between clients and a server. What clients send can be held and
// later let go, as a slow network does.
type proxy struct {
	listener net.Listener
	target   string

	mu   sync.Mutex
	gate chan struct{} // closed: open; else what clients send waits here
	held chan struct{} // one token for every piece that had to wait
}

func newProxy(t *testing.T, target string) *proxy {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &proxy{listener: listener, target: target, gate: make(chan struct{}), held: make(chan struct{}, 1024)}
	close(p.gate)
	t.Cleanup(func() { _ = listener.Close() })
	go p.accept()
	return p
}

func (p *proxy) url() string { return "nats://" + p.listener.Addr().String() }

func (p *proxy) hold() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.gate = make(chan struct{})
}

func (p *proxy) release() {
	p.mu.Lock()
	defer p.mu.Unlock()
	close(p.gate)
}

func (p *proxy) wait() {
	p.mu.Lock()
	gate := p.gate
	p.mu.Unlock()
	select {
	case <-gate:
		return
	default:
	}
	p.held <- struct{}{}
	<-gate
}

// awaitHeld returns once something that a client sent is being held.
func (p *proxy) awaitHeld() { <-p.held }

func (p *proxy) accept() {
	for {
		client, err := p.listener.Accept()
		if err != nil {
			return
		}
		server, err := net.Dial("tcp", p.target)
		if err != nil {
			_ = client.Close()
			continue
		}
		go p.forward(server, client)
		go func() { _, _ = io.Copy(client, server); _ = client.Close() }()
	}
}

// forward copies what the client sends, while the gate is open.
func (p *proxy) forward(server, client net.Conn) {
	defer func() { _ = server.Close() }()
	buffer := make([]byte, 64<<10)
	for {
		n, err := client.Read(buffer)
		if err != nil {
			return
		}
		p.wait()
		if _, err := server.Write(buffer[:n]); err != nil {
			return
		}
	}
}
