package claim_test

import (
	"bytes"
	"net"
	"strings"
	"sync"
	"testing"
)

// proxy stands between a replica and the server. It can swallow what passes: all
// of it, or only the answers from the moment on when the client writes.
type proxy struct {
	listener net.Listener
	target   string

	mu      sync.Mutex
	up      bool   // what the server says passes
	down    bool   // what the client says passes
	trigger []byte // cuts up when the client says it
	cut     chan struct{}
	open    []net.Conn
}

func newProxy(t *testing.T, url string) *proxy {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &proxy{listener: listener, target: strings.TrimPrefix(url, "nats://"), up: true, down: true}
	t.Cleanup(func() { _ = listener.Close(); p.restore() })
	go p.accept()
	return p
}

func (p *proxy) url() string { return "nats://" + p.listener.Addr().String() }

// silence swallows everything, both ways, and breaks nothing.
func (p *proxy) silence() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.up, p.down = false, false
}

// swallowAnswerTo cuts the answers off as soon as the client sends text, which
// passes. The channel is closed then.
func (p *proxy) swallowAnswerTo(text string) <-chan struct{} {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.trigger, p.cut = []byte(text), make(chan struct{})
	return p.cut
}

// restore breaks what is open, since bytes are missing there, and lets all pass.
func (p *proxy) restore() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, c := range p.open {
		_ = c.Close()
	}
	p.open, p.trigger, p.up, p.down = nil, nil, true, true
}

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
		p.mu.Lock()
		p.open = append(p.open, client, server)
		p.mu.Unlock()
		go forward(client, server, p.passesUp)
		go forward(server, client, p.passesDown)
	}
}

func forward(to, from net.Conn, passes func([]byte) bool) {
	defer func() { _ = to.Close() }()
	buffer := make([]byte, 64<<10)
	for {
		n, err := from.Read(buffer)
		if err != nil {
			return
		}
		if !passes(buffer[:n]) {
			continue
		}
		if _, err := to.Write(buffer[:n]); err != nil {
			return
		}
	}
}

func (p *proxy) passesUp([]byte) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.up
}

func (p *proxy) passesDown(said []byte) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.trigger != nil && bytes.Contains(said, p.trigger) {
		p.trigger, p.up = nil, false
		close(p.cut)
	}
	return p.down
}
