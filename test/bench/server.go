package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/slipway-hq/slipway/internal/natsnode"
)

// serverJob is a NATS server as a process of its own, alone or one of several.
type serverJob struct {
	Name   string
	Listen string   // host:port for clients
	Route  string   // host:port for the other servers; empty: alone
	Peers  []string // routes of all
}

// serverStore is what each server may use, at least what the streams reserve,
// however little of the disk is left for three.
const serverStore = 12 << 30

// serve is the body of a child that is a NATS server. SIGTERM stops it well.
func (j *serverJob) serve(ctx context.Context, dir string) error {
	ctx, stop := signal.NotifyContext(ctx, syscall.SIGTERM)
	defer stop()
	cfg := natsnode.Config{Dir: filepath.Join(dir, "nats"), Listen: j.Listen, ServerName: j.Name, MaxFileStore: serverStore}
	if j.Route != "" {
		cfg.Cluster = &natsnode.Cluster{Name: "bench", Listen: j.Route, Routes: j.Peers}
	}
	node, err := natsnode.Start(cfg)
	if err != nil {
		return err
	}
	fmt.Println(wordReady, node.ClientURL())
	<-ctx.Done()
	stopping, cancel := context.WithTimeout(context.Background(), stopWait)
	defer cancel()
	return node.Shutdown(stopping)
}

// servers are NATS servers that run apart.
type servers struct {
	URL   string // of all, separated by commas
	jobs  []job
	nodes []*process
}

// startServers starts n servers, 1 or 3, below dir.
func startServers(ctx context.Context, dir string, n int) (*servers, error) {
	addresses, err := freeAddresses(2 * n)
	if err != nil {
		return nil, err
	}
	s := &servers{}
	var urls, peers []string
	for i := range n {
		urls, peers = append(urls, "nats://"+addresses[i]), append(peers, "nats://"+addresses[n+i])
	}
	s.URL = strings.Join(urls, ",")
	for i := range n {
		j := &serverJob{Name: fmt.Sprintf("n%d", i+1), Listen: addresses[i]}
		if n > 1 {
			j.Route, j.Peers = addresses[n+i], peers
		}
		s.jobs = append(s.jobs, job{Dir: filepath.Join(dir, j.Name), Server: j})
		node, err := start(ctx, s.jobs[i])
		if err != nil {
			return nil, errors.Join(err, s.kill())
		}
		s.nodes = append(s.nodes, node)
	}
	return s, s.whole(ctx, true)
}

// again starts a server again that has ended.
func (s *servers) again(ctx context.Context, i int) (err error) {
	s.nodes[i], err = start(ctx, s.jobs[i])
	return err
}

func (s *servers) kill() (err error) {
	for _, n := range s.nodes {
		err = errors.Join(err, n.kill())
	}
	return err
}

// lookEvery is how often a condition is looked at that nobody announces.
const lookEvery = 5 * time.Millisecond

// eventually looks until a condition holds.
func eventually(ctx context.Context, what string, holds func(context.Context) bool) error {
	ctx, cancel := context.WithTimeout(ctx, startWait)
	defer cancel()
	for !holds(ctx) {
		select {
		case <-time.After(lookEvery):
		case <-ctx.Done():
			return fmt.Errorf("wait for %s: %w", what, ctx.Err())
		}
	}
	return nil
}

// whole waits until every replica of every stream is heard and has everything;
// of a young cluster, until it makes a stream of three at all.
func (s *servers) whole(ctx context.Context, young bool) error {
	if len(s.nodes) == 1 {
		return nil
	}
	nc, err := nats.Connect(s.URL)
	if err != nil {
		return err
	}
	defer nc.Close()
	js, err := jetstream.New(nc)
	if err != nil {
		return err
	}
	asked := time.Now()
	return eventually(ctx, "a whole cluster", func(ctx context.Context) bool {
		ctx, cancel := context.WithTimeout(ctx, time.Second)
		defer cancel()
		if young {
			forming := jetstream.StreamConfig{Name: "FORMING", Subjects: []string{"forming"}, Replicas: len(s.nodes), Storage: jetstream.MemoryStorage}
			if _, err := js.CreateOrUpdateStream(ctx, forming); err != nil {
				return false
			}
			return js.DeleteStream(ctx, "FORMING") == nil
		}
		streams := js.ListStreams(ctx)
		whole := true
		for info := range streams.Info() {
			whole = whole && current(info.Cluster, asked)
		}
		return whole && streams.Err() == nil
	})
}

func current(c *jetstream.ClusterInfo, since time.Time) bool {
	if c == nil || c.Leader == "" {
		return false
	}
	for _, r := range c.Replicas {
		if !r.Current || r.Offline || r.Lag > 0 || r.Active > time.Since(since) {
			return false
		}
	}
	return true
}

// leader is the index of the server that leads a stream.
func (s *servers) leader(ctx context.Context, js jetstream.JetStream, stream string) (at int, err error) {
	err = eventually(ctx, "a leader of "+stream, func(ctx context.Context) bool {
		ctx, cancel := context.WithTimeout(ctx, time.Second)
		defer cancel()
		info, err := js.Stream(ctx, stream)
		if err != nil || info.CachedInfo().Cluster == nil {
			return false
		}
		for i, j := range s.jobs {
			if j.Server.Name == info.CachedInfo().Cluster.Leader {
				at = i
				return true
			}
		}
		return false
	})
	return at, err
}

// freeAddresses were free a moment ago: servers of a cluster have to know each
// other's before they start.
func freeAddresses(n int) (out []string, err error) {
	for range n {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return nil, err
		}
		defer func() { _ = l.Close() }()
		out = append(out, l.Addr().String())
	}
	return out, nil
}
