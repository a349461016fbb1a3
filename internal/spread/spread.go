// Package spread passes HTTP requests on to the replicas of a service, in turn: a
// balancer for one machine. cmd/slipway puts it before the services of a cluster
// that it runs here; where there is a real balancer, nothing of this is used.
//
// Invariants: a request goes to one replica; to another only when the first could
// not be reached at all. What waits at a replica that stops answering is cut off,
// so that its client goes on elsewhere. A request that did not come from this
// machine is never passed on as if it did.
package spread

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httputil"
	"net/netip"
	"net/url"
	"sync"
	"time"
)

const (
	// lookEvery and lookWait: a replica that is frozen is out after two looks.
	lookEvery = time.Second
	lookWait  = 2 * time.Second
	maxMisses = 2
	// dialWait is for a replica on this machine.
	dialWait = 2 * time.Second
	// idlePerReplica is how many connections to a replica are kept.
	idlePerReplica = 16
)

// ErrNobody: no replica can be reached.
var ErrNobody = errors.New("no replica can be reached just now")

// Pool are the replicas of one service. Its methods may be called at any time.
type Pool struct {
	service  string
	one, two http.RoundTripper // HTTP/1.1 and HTTP/2
	looks    *http.Client

	mu      sync.Mutex
	members []*member
	next    int
}

// member is a replica that may be reached.
type member struct {
	name   string
	url    *url.URL
	ready  bool
	misses int
	alive  context.Context //nolint:containedctx // ends when the replica is given up, and with it what waits for it
	end    context.CancelFunc
}

// New returns a pool without replicas. service is its name, for people.
func New(service string) *Pool {
	transport := func(two bool) *http.Transport {
		protocols := &http.Protocols{}
		protocols.SetHTTP1(!two)
		protocols.SetUnencryptedHTTP2(two)
		return &http.Transport{
			Protocols: protocols, MaxIdleConnsPerHost: idlePerReplica, DisableCompression: true,
			DialContext: (&net.Dialer{Timeout: dialWait}).DialContext,
		}
	}
	one := transport(false)
	return &Pool{service: service, one: one, two: transport(true), looks: &http.Client{Transport: one, Timeout: lookWait}}
}

// Set says where a replica listens, from now on; an empty address: nowhere.
func (p *Pool) Set(name, address string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for i, m := range p.members {
		if m.name != name {
			continue
		}
		if address == m.url.String() {
			return
		}
		m.end()
		p.members = append(p.members[:i], p.members[i+1:]...)
		break
	}
	at, err := url.Parse(address)
	if address == "" || err != nil {
		return
	}
	m := &member{name: name, url: at, ready: true}
	m.alive, m.end = context.WithCancel(context.Background())
	p.members = append(p.members, m)
}

// Watch looks after the replicas until ctx ends.
func (p *Pool) Watch(ctx context.Context) {
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		var all sync.WaitGroup
		for _, m := range p.now() {
			all.Go(func() { p.look(ctx, m) })
		}
		all.Wait()
	}
}

func (p *Pool) now() []*member {
	p.mu.Lock()
	defer p.mu.Unlock()
	return append([]*member(nil), p.members...)
}

// look asks a replica whether it is ready.
func (p *Pool) look(ctx context.Context, m *member) {
	ready := false
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, m.url.JoinPath("/readyz").String(), nil)
	if err != nil {
		return
	}
	resp, err := p.looks.Do(req)
	if err == nil {
		_, _ = io.Copy(io.Discard, io.LimitReader(resp.Body, 64<<10)) // so that the connection can be used again
		_ = resp.Body.Close()
		ready = resp.StatusCode == http.StatusOK
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case ready && m.misses >= maxMisses:
		m.alive, m.end = context.WithCancel(context.Background())
		m.misses, m.ready = 0, true
	case ready:
		m.misses, m.ready = 0, true
	case err == nil:
		m.misses, m.ready = 0, false // it answers: what waits there may go on waiting
	default:
		if m.misses++; m.misses == maxMisses {
			m.ready = false
			m.end()
		}
	}
}

// turn lists the replicas in the order in which to try them: those that are ready,
// each in its turn, then the others.
func (p *Pool) turn() []*member {
	p.mu.Lock()
	defer p.mu.Unlock()
	var ready, others []*member
	for i := range p.members {
		m := p.members[(p.next+i)%len(p.members)]
		if m.ready {
			ready = append(ready, m)
		} else {
			others = append(others, m)
		}
	}
	p.next++
	return append(ready, others...)
}

// RoundTrip implements http.RoundTripper.
func (p *Pool) RoundTrip(r *http.Request) (*http.Response, error) {
	failure := ErrNobody
	for _, m := range p.turn() {
		resp, err := p.ask(r, m)
		if err == nil || !unreached(err) || r.Context().Err() != nil {
			return resp, err
		}
		failure = errors.Join(failure, err)
	}
	return nil, fmt.Errorf("%s: %w", p.service, failure)
}

// unreached tells whether a request went nowhere.
func unreached(err error) bool {
	var op *net.OpError
	return errors.As(err, &op) && op.Op == "dial"
}

// ask passes the request on to one replica; it is cut off when that is given up.
func (p *Pool) ask(r *http.Request, m *member) (*http.Response, error) {
	p.mu.Lock()
	alive := m.alive
	p.mu.Unlock()
	ctx, cancel := context.WithCancel(r.Context())
	stop := context.AfterFunc(alive, cancel) //nolint:contextcheck // the replica's life, which ends by itself
	free := func() { stop(); cancel() }
	out := r.Clone(ctx)
	out.URL.Scheme, out.URL.Host = m.url.Scheme, m.url.Host
	if r.Body != nil {
		out.Body = io.NopCloser(r.Body) // the next replica may need it
	}
	transport := p.one
	if r.ProtoMajor == 2 {
		transport = p.two
	}
	resp, err := transport.RoundTrip(out) //nolint:bodyclose // the caller's
	if err != nil {
		free()
		return nil, err
	}
	resp.Body = &body{resp.Body, free}
	return resp, nil
}

// body frees what a request held once its answer is read.
type body struct {
	io.ReadCloser
	free func()
}

// Close implements io.Closer.
func (b *body) Close() error {
	defer b.free()
	return b.ReadCloser.Close()
}

// Handler passes requests on to a replica.
func (p *Pool) Handler() http.Handler {
	return &httputil.ReverseProxy{
		Transport: p, FlushInterval: -1, // streams are told what there is at once
		Rewrite: func(r *httputil.ProxyRequest) {
			r.Out.Host = r.In.Host
			if strange(r.In) {
				r.SetXForwarded() // the services tell callers on this machine by its absence
			}
		},
		ErrorHandler: func(w http.ResponseWriter, _ *http.Request, err error) {
			w.Header().Set("Content-Type", "application/json")
			w.WriteHeader(http.StatusServiceUnavailable)
			_, _ = fmt.Fprintf(w, `{"code":"unavailable","message":%q}`, "a replica went away: try again ("+err.Error()+")")
		},
	}
}

// forwarding headers tell that a request was passed on before it came here.
var forwarding = []string{"Forwarded", "X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto", "X-Real-Ip", "Via"}

// strange tells whether a request comes, or may come, from another machine.
func strange(r *http.Request) bool {
	for _, name := range forwarding {
		if r.Header.Get(name) != "" {
			return true
		}
	}
	peer, err := netip.ParseAddrPort(r.RemoteAddr)
	return err != nil || !peer.Addr().Unmap().IsLoopback()
}
