package world

import (
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/slipway-hq/slipway/internal/topology"
)

// clusterSize is how many servers a cluster has, and replicas a stream.
const clusterSize = 3

// Node is one server of a cluster: a name, two ports and a folder that it keeps
// over every restart.
type Node struct {
	*Process // that runs, or ran last
	Name     string
	URL      string // for clients

	w     *World
	route string // host:port for the other servers
	peers string // routes of all, separated by commas
}

// Cluster starts three NATS servers, each a process. Services that start later
// know all three, and make their streams with three replicas.
func (w *World) Cluster() []*Node {
	w.T.Helper()
	ports := w.freeAddresses(2 * clusterSize)
	var peers, clients []string
	for i := range clusterSize {
		clients = append(clients, "nats://"+ports[i])
		peers = append(peers, "nats://"+ports[clusterSize+i])
	}
	var nodes []*Node
	for i := range clusterSize {
		n := &Node{w: w, Name: fmt.Sprintf("n%d", i+1), URL: clients[i], route: ports[clusterSize+i], peers: strings.Join(peers, ",")}
		nodes = append(nodes, n)
		n.Start()
	}
	for _, n := range nodes {
		n.Said(natsReady)
	}
	w.natsAt = strings.Join(clients, ",")
	w.env = append(w.env, "NATS_URL="+w.natsAt)
	w.Eventually("the three servers to take streams", w.formed)
	return nodes
}

// Start runs the server, again on the same data and ports, and waits for nothing.
func (n *Node) Start() {
	n.w.T.Helper()
	self, err := os.Executable()
	if err != nil {
		n.w.T.Fatal(err)
	}
	env := append(os.Environ(), natsDir+"="+filepath.Join(n.w.Dir, n.Name), natsListen+"="+strings.TrimPrefix(n.URL, "nats://"),
		natsName+"="+n.Name, natsRoute+"="+n.route, natsPeers+"="+n.peers)
	n.Process = n.w.launch(n.Name, self, env, nil)
}

// Stop ends the server as an operator does.
func (n *Node) Stop() {
	n.w.T.Helper()
	n.Signal(syscall.SIGTERM)
	n.ExitCode()
}

// formed tells whether the servers make a stream of three replicas.
func (w *World) formed() bool {
	const name = "FORMING"
	err := w.jetstream(func(ctx context.Context, js jetstream.JetStream) error {
		_, err := js.CreateOrUpdateStream(ctx, jetstream.StreamConfig{Name: name, Subjects: []string{"forming"}, Replicas: clusterSize, Storage: jetstream.MemoryStorage})
		if err != nil {
			return err
		}
		return js.DeleteStream(ctx, name)
	})
	return err == nil
}

// Whole waits until every replica of every stream has all there is. Before that
// another server must not be stopped: two of three have to have what is stored.
func (w *World) Whole() {
	w.T.Helper()
	asked := time.Now()
	w.Eventually("all replicas to be current", func() bool {
		whole := true
		err := w.jetstream(func(ctx context.Context, js jetstream.JetStream) error {
			streams := js.ListStreams(ctx)
			for info := range streams.Info() {
				whole = whole && current(info.Cluster, asked)
			}
			return streams.Err()
		})
		return err == nil && whole
	})
}

// current tells whether all replicas were heard since then, and lack nothing.
func current(c *jetstream.ClusterInfo, since time.Time) bool {
	if c == nil || c.Leader == "" || len(c.Replicas) != clusterSize-1 {
		return false
	}
	for _, r := range c.Replicas {
		if !r.Current || r.Offline || r.Lag > 0 || r.Active > time.Since(since) {
			return false
		}
	}
	return true
}

// Leader is the server that leads a stream.
func (w *World) Leader(stream string, nodes []*Node) *Node {
	w.T.Helper()
	var leads *Node
	w.Eventually("a leader of "+stream, func() bool {
		err := w.jetstream(func(ctx context.Context, js jetstream.JetStream) error {
			s, err := js.Stream(ctx, stream)
			if err != nil {
				return err
			}
			for _, n := range nodes {
				if c := s.CachedInfo().Cluster; c != nil && c.Leader == n.Name {
					leads = n
				}
			}
			return nil
		})
		return err == nil && leads != nil
	})
	return leads
}

// Stored is one message of the log.
type Stored struct {
	Subject  string
	Sequence uint64
	Time     time.Time
	Data     []byte
}

// Log is everything that is in the log.
func (w *World) Log() (out []Stored) {
	w.T.Helper()
	err := w.jetstream(func(ctx context.Context, js jetstream.JetStream) error {
		events, err := js.Stream(ctx, topology.StreamEvents)
		if err != nil {
			return err
		}
		for n := events.CachedInfo().State.FirstSeq; n <= events.CachedInfo().State.LastSeq; n++ {
			m, err := events.GetMsg(ctx, n)
			if err != nil {
				return err
			}
			out = append(out, Stored{m.Subject, m.Sequence, m.Time, m.Data})
		}
		return nil
	})
	if err != nil {
		w.T.Fatalf("read the log: %v", err)
	}
	return out
}

// jetstream asks the servers something over a connection of its own.
func (w *World) jetstream(ask func(context.Context, jetstream.JetStream) error) error {
	nc, err := nats.Connect(w.natsAt)
	if err != nil {
		return err
	}
	defer nc.Close()
	js, err := jetstream.New(nc)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	return ask(ctx, js)
}

// freeAddresses are on ports that were free a moment ago: servers of a cluster
// have to know each other's before they start.
func (w *World) freeAddresses(n int) []string {
	w.T.Helper()
	var out []string
	for range n {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			w.T.Fatal(err)
		}
		defer func() { _ = l.Close() }()
		out = append(out, l.Addr().String())
	}
	return out
}
