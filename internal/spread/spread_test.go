package spread

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// replica answers with its name.
func replica(t *testing.T, name string, handler http.HandlerFunc) *httptest.Server {
	t.Helper()
	if handler == nil {
		handler = func(w http.ResponseWriter, r *http.Request) {
			text, _ := io.ReadAll(r.Body)
			_, _ = io.WriteString(w, name+string(text))
		}
	}
	s := httptest.NewUnstartedServer(handler)
	s.Config.Protocols = &http.Protocols{}
	s.Config.Protocols.SetHTTP1(true)
	s.Config.Protocols.SetUnencryptedHTTP2(true)
	s.Start()
	t.Cleanup(s.Close)
	return s
}

// front is where clients come.
func front(t *testing.T, p *Pool) string {
	t.Helper()
	s := httptest.NewUnstartedServer(p.Handler())
	s.Config.Protocols = &http.Protocols{}
	s.Config.Protocols.SetHTTP1(true)
	s.Config.Protocols.SetUnencryptedHTTP2(true)
	s.Start()
	t.Cleanup(s.Close)
	return s.URL
}

func post(t *testing.T, client *http.Client, url, text string) (int, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url, strings.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	resp, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	got, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(got)
}

func TestReplicasTakeTurns(t *testing.T) {
	p := New("test")
	for _, name := range []string{"a", "b", "c"} {
		p.Set(name, replica(t, name, nil).URL)
	}
	url, seen := front(t, p), ""
	for range 6 {
		_, text := post(t, http.DefaultClient, url, "")
		seen += text
	}
	if seen != "abcabc" {
		t.Errorf("asked %s", seen)
	}
	p.Set("b", "")
	seen = ""
	for range 4 {
		_, text := post(t, http.DefaultClient, url, "")
		seen += text
	}
	if strings.Contains(seen, "b") {
		t.Errorf("asked %s", seen)
	}
}

func TestWhoCannotBeReachedIsPassedByWithTheWholeRequest(t *testing.T) {
	p := New("test")
	gone := replica(t, "gone", nil)
	gone.Close()
	p.Set("gone", gone.URL)
	url := front(t, p)
	if status, text := post(t, http.DefaultClient, url, "hello"); status != http.StatusServiceUnavailable || !strings.Contains(text, ErrNobody.Error()) {
		t.Errorf("%d %s", status, text)
	}
	p.Set("here", replica(t, "here ", nil).URL)
	for range 4 {
		if status, text := post(t, http.DefaultClient, url, "hello"); status != http.StatusOK || text != "here hello" {
			t.Errorf("%d %s", status, text)
		}
	}
}

func TestHTTP2GoesThroughWithItsTrailers(t *testing.T) {
	p := New("test")
	p.Set("a", replica(t, "a", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Trailer", "Grpc-Status")
		_, _ = io.WriteString(w, r.Proto)
		w.Header().Set("Grpc-Status", "0")
	}).URL)
	protocols := &http.Protocols{}
	protocols.SetUnencryptedHTTP2(true)
	client := &http.Client{Transport: &http.Transport{Protocols: protocols}}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, front(t, p), strings.NewReader("x"))
	if err != nil {
		t.Fatal(err)
	}
	resp, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	text, err := io.ReadAll(resp.Body)
	if err != nil || string(text) != "HTTP/2.0" || resp.Trailer.Get("Grpc-Status") != "0" {
		t.Errorf("%s %v %v", text, resp.Trailer, err)
	}
}

// A replica that is frozen is given up: who waits there is let go, and others are
// not sent there.
func TestWhoWaitsAtAFrozenReplicaIsLetGo(t *testing.T) {
	p := New("test")
	var frozen atomic.Bool
	arrived := make(chan struct{})
	thaw := make(chan struct{})
	p.Set("a", replica(t, "a", func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/stream" {
			w.WriteHeader(http.StatusOK)
			_ = http.NewResponseController(w).Flush()
			close(arrived)
			<-thaw
		}
		if frozen.Load() {
			<-thaw
		}
	}).URL)
	t.Cleanup(func() { close(thaw) }) // before the server waits for its requests
	p.Set("b", replica(t, "b", nil).URL)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	go p.Watch(ctx)
	url := front(t, p)
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url+"/stream", nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	<-arrived
	frozen.Store(true)
	done := make(chan error, 1)
	go func() { _, err := io.ReadAll(resp.Body); done <- err }()
	select {
	case err := <-done:
		if err == nil {
			t.Error("the stream ended well")
		}
	case <-time.After(30 * time.Second):
		t.Fatal("it waits for ever")
	}
	for range 3 {
		if _, text := post(t, http.DefaultClient, url, ""); text != "b" {
			t.Errorf("asked %q", text)
		}
	}
}

// Nobody becomes a caller on this machine by way of us.
func TestStrangersStayStrangers(t *testing.T) {
	var saw http.Header
	p := New("test")
	p.Set("a", replica(t, "a", func(_ http.ResponseWriter, r *http.Request) { saw = r.Header.Clone() }).URL)
	for name, c := range map[string]struct {
		peer    string
		header  string
		strange bool
	}{
		"this machine":        {"127.0.0.1:5", "", false},
		"this machine, IPv6":  {"[::1]:5", "", false},
		"another":             {"192.0.2.7:5", "", true},
		"by way of a proxy":   {"127.0.0.1:5", "X-Forwarded-For", true},
		"by way of another":   {"127.0.0.1:5", "Forwarded", true},
		"by way of a third":   {"127.0.0.1:5", "Via", true},
		"without any address": {"", "", true},
	} {
		r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "http://example.org/", nil)
		r.RemoteAddr = c.peer
		if c.header != "" {
			r.Header.Set(c.header, "192.0.2.7")
		}
		p.Handler().ServeHTTP(httptest.NewRecorder(), r)
		if got := saw.Get("X-Forwarded-For") != "" || saw.Get("X-Forwarded-Host") != "" || saw.Get("Via") != ""; got != c.strange {
			t.Errorf("%s: passed on with %v", name, saw)
		}
	}
}

func TestAReplicaThatIsNotReadyIsTheLastToBeAsked(t *testing.T) {
	p := New("test")
	p.Set("a", replica(t, "a", nil).URL)
	p.Set("b", replica(t, "b", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusServiceUnavailable) }).URL)
	for _, m := range p.now() {
		p.look(t.Context(), m)
	}
	url := front(t, p)
	for range 4 {
		if _, text := post(t, http.DefaultClient, url, ""); text != "a" {
			t.Errorf("asked %q", text)
		}
	}
}
