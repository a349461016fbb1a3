package world

import (
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
	lose     func(replica string) bool
}

// Balance starts a balancer without replicas.
func (w *World) Balance() *Balancer {
	w.T.Helper()
	b := &Balancer{}
	server := httptest.NewServer(&httputil.ReverseProxy{
		Rewrite:       func(r *httputil.ProxyRequest) { r.Out.URL.Scheme = "http" },
		Transport:     b,
		FlushInterval: -1, // streams go through as they come
		ErrorHandler:  func(http.ResponseWriter, *http.Request, error) { panic(http.ErrAbortHandler) },
		ErrorLog:      log.New(io.Discard, "", 0), // replicas die all the time here
	})
	w.T.Cleanup(func() { server.CloseClientConnections(); server.Close() })
	b.URL = server.URL
	return b
}

// Lose chooses answers that are lost on their way back: lose is called with the
// address of the replica that has answered. nil: none.
func (b *Balancer) Lose(lose func(replica string) bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.lose = lose
}

var (
	errNoReplica = errors.New("no replica takes the connection")
	errLost      = errors.New("the answer is lost")
)

// wire opens a connection for every request, so that each can go elsewhere.
var wire = &http.Transport{DisableKeepAlives: true}

// RoundTrip gives a request to the next replica.
func (b *Balancer) RoundTrip(r *http.Request) (*http.Response, error) {
	b.mu.Lock()
	b.next++
	first, all, lose := b.next, slices.Clone(b.replicas), b.lose
	b.mu.Unlock()
	for i := range all {
		replica := all[(first+i)%len(all)]
		r.URL.Host = replica
		answer, err := wire.RoundTrip(r)
		var refused *net.OpError
		if errors.As(err, &refused) && refused.Op == "dial" {
			continue
		}
		if err == nil && lose != nil && lose(replica) {
			_ = answer.Body.Close() // nobody reads it
			return nil, errLost
		}
		return answer, err
	}
	return nil, errNoReplica
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
