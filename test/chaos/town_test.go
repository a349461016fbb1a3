package chaos

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/slipway-hq/slipway/gen/slipway/api/v1/apiv1connect"
	"github.com/slipway-hq/slipway/internal/eventlog"
	"github.com/slipway-hq/slipway/internal/topology"
	"github.com/slipway-hq/slipway/test/internal/wire"
	"github.com/slipway-hq/slipway/test/internal/world"
)

const (
	// lookEvery is how often a condition is looked at that tells nobody of itself.
	lookEvery = 20 * time.Millisecond
	// each is how many processes there are of everything.
	each = 3
	// nowhere is what NATS servers tell others about themselves, so that nobody
	// finds a way around the links: nobody listens there.
	nowhere = "127.0.0.1:1"
)

// services are the kinds of processes, NATS apart, in the order of their start.
var services = []string{world.Orchestrator, world.Notifier, world.Runner, world.Ingress}

// town is a world with several of everything, and the ways between them.
type town struct {
	*world.World
	logs  string
	names []string            // of all processes, in a fixed order
	nodes []string            // of NATS, by name
	hosts map[string]*keeper  // by name: nats-1, orchestrator-2
	ways  map[way]*wire.Link  // who dials whom
	doors map[string]string   // where each service listens
	disks map[string]string   // folder of each NATS server
	front map[string]*balance // by service: where people and Slack go

	replicas []string                 // who is asked for views in the end
	read     func() []eventlog.Record // waits for the end of every run and reads the log
}

// way is from who dials to who listens.
type way struct{ from, to string }

type balance struct{ *wire.Link }

func newTown(w *world.World, logs string) *town {
	return &town{World: w, logs: logs, hosts: map[string]*keeper{}, ways: map[way]*wire.Link{}, doors: map[string]string{}, disks: map[string]string{}, front: map[string]*balance{}}
}

// buildTown makes a town of many and waits until everything is up.
func buildTown(t testing.TB, w *world.World, logs string) *town {
	t.Helper()
	c := newTown(w, logs)
	c.startNATS()
	for _, service := range services {
		for n := range each {
			c.startService(service, n+1)
		}
	}
	for _, service := range []string{world.Orchestrator, world.Ingress} {
		var targets []string
		for _, name := range c.of(service) {
			targets = append(targets, c.doors[name])
		}
		c.front[service] = &balance{c.listen(targets...)}
	}
	w.Reach(c.front[world.Orchestrator].Address(), c.front[world.Ingress].Address())
	c.replicas, c.read = append(c.of(world.Orchestrator), freshName), c.quiet
	c.names = slices.Clone(c.nodes)
	for _, service := range services {
		c.names = append(c.names, c.of(service)...)
	}
	c.ready()
	return c
}

// sockets waits until each door has opened one to Slack.
func (c *town) sockets() {
	c.T.Helper()
	doors := 1
	if len(c.nodes) > 0 {
		doors = each
	}
	c.Eventually("a socket of each door", func() bool { return c.Slack.SocketConnections() >= doors })
}

func host(kind string, n int) string { return fmt.Sprintf("%s-%d", kind, n) }

// of are the names of all processes of a kind.
func (c *town) of(kind string) []string {
	var names []string
	for n := range each {
		names = append(names, host(kind, n+1))
	}
	return names
}

// serving are the names of all processes but those of NATS.
func (c *town) serving() []string { return c.names[len(c.nodes):] }

func (c *town) listen(targets ...string) *wire.Link {
	c.T.Helper()
	l, err := wire.Listen(targets...)
	if err != nil {
		c.T.Fatal(err)
	}
	c.T.Cleanup(l.Close)
	return l
}

// lastPort is the last port that was given away: below those that the system
// gives to whoever dials, so that a process finds its own free when it is back.
var lastPort atomic.Int32

const (
	firstPort = 15000
	endPort   = 32000
)

func (c *town) address() string {
	c.T.Helper()
	lastPort.CompareAndSwap(0, firstPort+int32(os.Getpid()%1000)*16)
	for range endPort - firstPort {
		address := fmt.Sprint("127.0.0.1:", firstPort+(lastPort.Add(1)-firstPort)%(endPort-firstPort))
		l, err := net.Listen("tcp", address)
		if err == nil {
			_ = l.Close()
			return address
		}
	}
	c.T.Fatal("no port is free")
	return ""
}

func (c *town) startNATS() {
	c.T.Helper()
	routes := map[string]string{}
	for n := range each {
		name := host("nats", n+1)
		c.nodes = append(c.nodes, name)
		c.doors[name], routes[name] = c.address(), c.address()
		c.disks[name] = c.disk(name)
	}
	for _, from := range c.nodes {
		var others []string
		for _, to := range c.nodes {
			if from != to {
				link := c.listen(routes[to])
				c.ways[way{from, to}] = link
				others = append(others, link.Address())
			}
		}
		c.hosts[from] = keep(c.T, from, c.logs, filepath.Join(built, "nats"), []string{
			"-dir", c.disks[from], "-name", from, "-listen", c.doors[from], "-cluster", routes[from], "-routes", "nats://" + strings.Join(others, ",nats://"), "-advertise", nowhere,
		}, os.Environ())
	}
	c.formed()
}

// formed waits until the cluster can keep three copies.
func (c *town) formed() {
	c.T.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), world.Patience)
	defer cancel()
	c.Eventually("a cluster of three", func() bool {
		conn, err := c.dial(c.nodes[0])
		if err != nil {
			return false
		}
		defer conn.Close()
		js, err := jetstream.New(conn)
		if err != nil {
			return false
		}
		try, stop := context.WithTimeout(ctx, time.Second)
		defer stop()
		_, err = js.CreateOrUpdateStream(try, jetstream.StreamConfig{Name: "FORMING", Subjects: []string{"forming"}, Replicas: each, Storage: jetstream.MemoryStorage})
		return err == nil && js.DeleteStream(try, "FORMING") == nil
	})
}

// dial connects the harness itself to a NATS server, past all links.
func (c *town) dial(name string, options ...nats.Option) (*nats.Conn, error) {
	return nats.Connect("nats://"+c.doors[name], append([]nats.Option{nats.Name("harness"), nats.Timeout(time.Second)}, options...)...)
}

func (c *town) startService(service string, n int) {
	c.T.Helper()
	name := host(service, n)
	var urls []string
	for _, node := range c.nodes {
		link := c.listen(c.doors[node])
		c.ways[way{name, node}] = link
		urls = append(urls, "nats://"+link.Address())
	}
	// Each begins elsewhere, so that connections spread.
	urls = append(urls[n%each:], urls[:n%each]...)
	c.doors[name] = c.address()
	env := append(c.Environment(), "NATS_URL="+strings.Join(urls, ","), "SLIPWAY_LISTEN="+c.doors[name], "SLIPWAY_REPLICAS=3", "SLIPWAY_RUNNER_NAME="+name, "SLIPWAY_RUNNER_DRAIN_TIMEOUT=5s")
	var args []string
	if service == world.Runner {
		args = []string{"--data", filepath.Join(c.Dir, name)}
	}
	c.hosts[name] = keep(c.T, name, c.logs, filepath.Join(built, service), args, env)
}

// ready waits until every service says that it is.
func (c *town) ready() {
	c.T.Helper()
	for _, name := range c.serving() {
		c.Eventually(name+" to be ready", func() bool { return c.isReady(name) })
	}
}

func (c *town) isReady(name string) bool {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+c.doors[name]+"/readyz", http.NoBody)
	if err != nil {
		return false
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return false
	}
	_ = resp.Body.Close()
	return resp.StatusCode == http.StatusOK
}

// asks is a client of one replica of the API.
func (c *town) asks(name string) apiv1connect.RunServiceClient {
	return apiv1connect.NewRunServiceClient(&http.Client{Transport: &http.Transport{DisableKeepAlives: true}}, "http://"+c.doors[name])
}

// copies waits until every stream has a leader and all its copies are the same
// as the leader's, without counting those on nodes that are to be absent.
func (c *town) copies(ctx context.Context, absent ...string) error {
	tick := time.NewTicker(10 * lookEvery)
	defer tick.Stop()
	for {
		err := c.behind(ctx, absent)
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("the copies of the streams are not alike: %w", err)
		case <-tick.C:
		}
	}
}

// behind says what is not yet copied everywhere.
func (c *town) behind(ctx context.Context, absent []string) error {
	node := c.nodes[slices.IndexFunc(c.nodes, func(n string) bool { return !slices.Contains(absent, n) })]
	conn, err := c.dial(node)
	if err != nil {
		return err
	}
	defer conn.Close()
	js, err := jetstream.New(conn)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, 3*time.Second)
	defer cancel()
	n := 0
	streams := js.ListStreams(ctx)
	for info := range streams.Info() {
		n++
		if info.Cluster == nil || info.Cluster.Leader == "" {
			return fmt.Errorf("%s has no leader", info.Config.Name)
		}
		for _, r := range info.Cluster.Replicas {
			if !slices.Contains(absent, r.Name) && (!r.Current || r.Offline || r.Lag > 0) {
				return fmt.Errorf("%s of %s is %d behind, current: %t, offline: %t", info.Config.Name, r.Name, r.Lag, r.Current, r.Offline)
			}
		}
	}
	if err := streams.Err(); err != nil {
		return err
	}
	if n < len(topology.Topology(each, topology.LimitsFor(topology.DefaultStore)).Streams) {
		return fmt.Errorf("%d streams", n)
	}
	return nil
}
