package jetlog_test

import (
	"context"
	"fmt"
	"net"
	"net/url"
	"strconv"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/slipway-hq/slipway/internal/eventlog/eventlogtest"
	"github.com/slipway-hq/slipway/internal/eventlog/jetlog"
)

const (
	stream      = "EVENTS"
	readyWithin = 20 * time.Second
	gib         = 1 << 30
)

// node is an embedded server that can be restarted on its own store and port.
type node struct {
	*server.Server
	opts *server.Options
}

// startServer runs an embedded server until the test ends.
func startServer(t testing.TB, opts *server.Options) *node {
	t.Helper()
	opts.JetStream, opts.NoSigs, opts.NoLog = true, true, true
	opts.JetStreamMaxStore, opts.JetStreamMaxMemory = gib, gib
	opts.Host = "127.0.0.1"
	n := &node{opts: opts}
	n.start(t)
	n.opts.Port = n.Addr().(*net.TCPAddr).Port
	t.Cleanup(n.stop)
	return n
}

func (n *node) start(t testing.TB) {
	t.Helper()
	s, err := server.NewServer(n.opts.Clone())
	if err != nil {
		t.Fatal(err)
	}
	n.Server = s
	s.Start()
	if !s.ReadyForConnections(readyWithin) {
		t.Fatal("the server does not accept connections")
	}
}

func (n *node) stop() {
	n.Shutdown()
	n.WaitForShutdown()
}

func (n *node) restart(t testing.TB) {
	t.Helper()
	n.stop()
	n.start(t)
}

func single(t testing.TB, syncAlways bool) *node {
	t.Helper()
	return startServer(t, &server.Options{Port: server.RANDOM_PORT, StoreDir: t.TempDir(), SyncAlways: syncAlways})
}

// cluster runs three servers in this process and returns when they have a leader.
func cluster(t *testing.T) []*node {
	t.Helper()
	const size = 3
	var routes []*url.URL
	ports := freePorts(t, size)
	for _, port := range ports {
		routes = append(routes, &url.URL{Scheme: "nats", Host: net.JoinHostPort("127.0.0.1", strconv.Itoa(port))})
	}
	servers := make([]*node, size)
	for i := range servers {
		opts := &server.Options{
			ServerName: fmt.Sprintf("n%d", i), Port: server.RANDOM_PORT, StoreDir: t.TempDir(), SyncAlways: true,
			Cluster: server.ClusterOpts{Name: "test", Host: "127.0.0.1", Port: ports[i], NoAdvertise: true},
			Routes:  routes,
		}
		servers[i] = startServer(t, opts)
	}
	eventlogtest.Eventually(t, "the cluster has a leader", func() bool {
		for _, s := range servers {
			if s.JetStreamIsLeader() {
				return len(s.JetStreamClusterPeers()) == size
			}
		}
		return false
	})
	return servers
}

// freePorts returns ports that were free a moment ago; route ports must be known
// before any server starts.
func freePorts(t *testing.T, n int) []int {
	t.Helper()
	var ports []int
	for range n {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = l.Close() }()
		ports = append(ports, l.Addr().(*net.TCPAddr).Port)
	}
	return ports
}

// connect connects as the product does.
func connect(t testing.TB, urls string, opts ...nats.Option) *nats.Conn {
	t.Helper()
	opts = append([]nats.Option{
		nats.ReconnectBufSize(-1), nats.MaxReconnects(-1),
		nats.ReconnectWait(10 * time.Millisecond), nats.ReconnectJitter(10*time.Millisecond, 0),
	}, opts...)
	nc, err := nats.Connect(urls, opts...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	return nc
}

// eventsConfig is the stream as topology declares it.
func eventsConfig(replicas int) jetstream.StreamConfig {
	return jetstream.StreamConfig{
		Name: stream, Subjects: []string{"ev.>"}, Replicas: replicas,
		Storage: jetstream.FileStorage, Discard: jetstream.DiscardNew, MaxBytes: gib / 2,
		MaxMsgSize: 64 << 10, AllowDirect: true, AllowAtomicPublish: true,
	}
}

// newLog makes the stream and returns its log.
func newLog(t testing.TB, nc *nats.Conn, config jetstream.StreamConfig) *jetlog.Log {
	t.Helper()
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), readyWithin)
	defer cancel()
	for {
		if _, err = js.CreateStream(ctx, config); err == nil {
			break
		}
		select {
		case <-ctx.Done():
			t.Fatalf("create the stream: %v", err)
		case <-time.After(50 * time.Millisecond): // a young cluster has no room yet
		}
	}
	return openLog(t, nc)
}

func openLog(t testing.TB, nc *nats.Conn) *jetlog.Log {
	t.Helper()
	log, err := jetlog.New(nc, stream)
	if err != nil {
		t.Fatal(err)
	}
	return log
}
