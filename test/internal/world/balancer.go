package world

import (
	"context"
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"slices"
	"strings"
	"sync"
)

// Balancer is what stands before replicas: it gives each request to the next of
// them, and passes by who does not take the connection. It knows nothing of what
// it carries and repeats nothing.
type Balancer struct {
	URL string

	mu       sync.Mutex
	replicas []string // host:port
	next     int
}

// Balance starts a balancer without replicas.
func (w *World) Balance() *Balancer {
	w.T.Helper()
	b := &Balancer{}
	server := httptest.NewServer(&httputil.ReverseProxy{
		Rewrite:       func(r *httputil.ProxyRequest) { r.Out.URL.Scheme, r.Out.URL.Host = "http", "replica" },
		Transport:     &http.Transport{DialContext: b.dial, DisableKeepAlives: true},
		FlushInterval: -1,                         // streams go through as they come
		ErrorLog:      log.New(io.Discard, "", 0), // replicas die all the time here
	})
	w.T.Cleanup(func() { server.CloseClientConnections(); server.Close() })
	b.URL = server.URL
	return b
}

// Add gives the replica at this address its share.
func (b *Balancer) Add(replica string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.replicas = append(b.replicas, strings.TrimPrefix(replica, "http://"))
}

// Remove takes it away again.
func (b *Balancer) Remove(replica string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.replicas = slices.DeleteFunc(b.replicas, func(r string) bool { return r == strings.TrimPrefix(replica, "http://") })
}

var errNoReplica = errors.New("no replica takes the connection")

func (b *Balancer) dial(ctx context.Context, network, _ string) (net.Conn, error) {
	b.mu.Lock()
	b.next++
	first, all := b.next, slices.Clone(b.replicas)
	b.mu.Unlock()
	for i := range all {
		if conn, err := (&net.Dialer{}).DialContext(ctx, network, all[(first+i)%len(all)]); err == nil {
			return conn, nil
		}
	}
	return nil, errNoReplica
}
