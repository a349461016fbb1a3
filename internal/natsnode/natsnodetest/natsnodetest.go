// Package natsnodetest gives tests real servers: one, or a cluster of three,
// stopped at the end of the test. Only tests import it. Servers started here
// do not sync every write unless asked to.
package natsnodetest

import (
	"context"
	"fmt"
	"net"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/slipway-hq/slipway/internal/natsnode"
)

const (
	// store is plenty for a test and little enough for a small disk.
	store = 1 << 30
	// formTimeout: three servers in one process need about a second.
	formTimeout = 30 * time.Second
	stopTimeout = 20 * time.Second
)

// One starts one server on an empty data folder.
func One(t testing.TB) *natsnode.Node {
	t.Helper()
	return Start(t, natsnode.Config{Dir: t.TempDir(), NoSync: true, MaxFileStore: store})
}

// Start starts a server that stops with the test.
func Start(t testing.TB, cfg natsnode.Config) *natsnode.Node {
	t.Helper()
	node, err := natsnode.Start(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), stopTimeout)
		defer cancel()
		if err := node.Shutdown(ctx); err != nil {
			t.Error(err)
		}
	})
	return node
}

// Three starts a cluster of three, ready for streams of three replicas.
func Three(t testing.TB) []*natsnode.Node {
	t.Helper()
	addrs := freeAddresses(t, 3)
	var routes []string
	for _, addr := range addrs {
		routes = append(routes, "nats://"+addr)
	}
	var nodes []*natsnode.Node
	for i, addr := range addrs {
		nodes = append(nodes, Start(t, natsnode.Config{
			Dir: t.TempDir(), NoSync: true, MaxFileStore: store, ServerName: fmt.Sprintf("n%d", i+1),
			Listen:  "127.0.0.1:0",
			Cluster: &natsnode.Cluster{Name: "test", Listen: addr, Routes: routes},
		}))
	}
	awaitCluster(t, Connect(t, nodes[0]))
	return nodes
}

// Connect connects to a node through memory, until the end of the test.
func Connect(t testing.TB, node *natsnode.Node, opts ...nats.Option) jetstream.JetStream {
	t.Helper()
	nc, err := node.Connect(t.Name(), opts...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	return js
}

// awaitCluster makes a stream of three replicas as soon as that is possible.
func awaitCluster(t testing.TB, js jetstream.JetStream) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), formTimeout)
	defer cancel()
	const name = "FORMING"
	for {
		try, stop := context.WithTimeout(ctx, time.Second)
		_, err := js.CreateOrUpdateStream(try, jetstream.StreamConfig{Name: name, Subjects: []string{"forming"}, Replicas: 3, Storage: jetstream.MemoryStorage})
		stop()
		if err == nil {
			break
		}
		select {
		case <-ctx.Done():
			t.Fatalf("the cluster did not form: %v", err)
		case <-time.After(20 * time.Millisecond):
		}
	}
	if err := js.DeleteStream(ctx, name); err != nil {
		t.Fatal(err)
	}
}

// freeAddresses returns addresses on which nobody listens just now: the first
// servers of a cluster have to know each other's before they start.
func freeAddresses(t testing.TB, n int) []string {
	t.Helper()
	var addrs []string
	for range n {
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = listener.Close() }()
		addrs = append(addrs, listener.Addr().String())
	}
	return addrs
}
