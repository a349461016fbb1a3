// Package natsnode runs a NATS server with JetStream inside this process, by
// settings of its own or by a configuration file, and connects to it without a
// socket. It is the only package that links
// nats-server; connections to an external cluster are natsconn's. cmd/slipway
// and tests use it.
//
// Invariants: one process per data folder; every write is on disk before it is
// acknowledged, unless a test asks otherwise; all sizes are limited.
package natsnode

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/url"
	"path/filepath"
	"strconv"
	"sync"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"

	"github.com/slipway-hq/slipway/internal/lifecycle"
	"github.com/slipway-hq/slipway/internal/natsconn"
)

const (
	// maxPayload bounds any message: object chunks (128 KiB) are the largest.
	maxPayload = 1 << 20
	// maxMemory bounds memory streams: hints and leases, both disposable.
	maxMemory = 64 << 20
	// startTimeout: measured 7-16 ms empty, 0.9 s for 10^6 subjects after a kill.
	startTimeout = 60 * time.Second
	// defaultName is the server's name outside a cluster.
	defaultName = "slipway"
)

// Config says how to run the server. Only Dir is required.
type Config struct {
	// Dir is the data folder; it is created and locked.
	Dir string
	// NoSync leaves flushing to the operating system: for tests and measurements.
	NoSync bool
	// Listen is host:port for clients of other processes, port 0 for a free
	// one. Empty: no socket at all.
	Listen string
	// ServerName is unique in a cluster.
	ServerName string
	// Cluster makes this one of several servers; nil for one alone.
	Cluster *Cluster
	// MaxFileStore limits the streams on disk, in bytes; 0 chooses by the free
	// disk, once per data folder.
	MaxFileStore int64
	// Logger gets what the server has to say. nil: nobody.
	Logger *slog.Logger
}

// Cluster says how servers find each other.
type Cluster struct {
	Name   string
	Listen string   // host:port for the other servers; port 0 for a free one
	Routes []string // nats://host:port of the others
	// Advertise is the host:port that the others are told instead of Listen, for
	// servers that reach each other by other ways. Clients are then told of no
	// server but those they know. Empty: Listen, and all of them.
	Advertise string
}

// Node is a running server.
type Node struct {
	lock *lifecycle.DirLock
	log  *slog.Logger

	mu   sync.Mutex // guards what follows; held during Restart
	opts *server.Options
	srv  *server.Server
}

// Start runs the server and returns when it accepts connections. It refuses a
// data folder that another process uses (lifecycle.ErrLocked).
func Start(cfg Config) (*Node, error) {
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	lock, err := lifecycle.LockDir(cfg.Dir)
	if err != nil {
		return nil, err
	}
	node := &Node{lock: lock, log: cfg.Logger}
	if node.opts, err = cfg.options(); err == nil {
		err = node.start()
	}
	if err != nil {
		return nil, errors.Join(err, lock.Release())
	}
	return node, nil
}

func (c Config) options() (*server.Options, error) {
	limit, err := storeLimit(c.Dir, c.MaxFileStore)
	if err != nil {
		return nil, err
	}
	opts := &server.Options{
		ServerName:         c.ServerName,
		DontListen:         c.Listen == "",
		JetStream:          true,
		StoreDir:           filepath.Clean(c.Dir),
		SyncAlways:         !c.NoSync,
		JetStreamMaxStore:  limit,
		JetStreamMaxMemory: maxMemory,
		MaxPayload:         maxPayload,
		NoSigs:             true, // signals are lifecycle's

		DisableJetStreamBanner: true,
	}
	if opts.ServerName == "" {
		opts.ServerName = defaultName
	}
	if !opts.DontListen {
		if opts.Host, opts.Port, err = splitAddress(c.Listen); err != nil {
			return nil, err
		}
	}
	if c.Cluster != nil {
		err = c.Cluster.apply(opts)
	}
	return opts, err
}

func (c Cluster) apply(opts *server.Options) (err error) {
	opts.Cluster.Name = c.Name
	opts.Cluster.Advertise, opts.Cluster.NoAdvertise = c.Advertise, c.Advertise != ""
	if opts.Cluster.Host, opts.Cluster.Port, err = splitAddress(c.Listen); err != nil {
		return err
	}
	for _, route := range c.Routes {
		u, err := url.Parse(route)
		if err != nil {
			return fmt.Errorf("route of the NATS cluster: %w", err)
		}
		opts.Routes = append(opts.Routes, u)
	}
	return nil
}

// splitAddress returns port -1, the server's word for "any", for port 0.
func splitAddress(addr string) (host string, port int, err error) {
	host, text, err := net.SplitHostPort(addr)
	if err != nil {
		return "", 0, fmt.Errorf("address for NATS to listen on: %w", err)
	}
	if port, err = strconv.Atoi(text); err != nil {
		return "", 0, fmt.Errorf("address for NATS to listen on: %w", err)
	}
	if port == 0 {
		port = server.RANDOM_PORT
	}
	return host, port, nil
}

// start runs a new server with n.opts. The caller holds n.mu or owns n alone.
func (n *Node) start() error {
	srv, err := server.NewServer(n.opts.Clone())
	if err != nil {
		return fmt.Errorf("set up the NATS server: %w", err)
	}
	log := newServerLog(n.log)
	srv.SetLoggerV2(log, false, false, false)
	go srv.Start()
	if err := awaitReady(srv, log.fatal); err != nil {
		srv.Shutdown()
		srv.WaitForShutdown()
		return err
	}
	n.srv = srv
	return nil
}

func awaitReady(srv *server.Server, fatal <-chan string) error {
	ready := make(chan bool, 1)
	go func() { ready <- srv.ReadyForConnections(startTimeout) }()
	select {
	case text := <-fatal:
		return fmt.Errorf("start the NATS server: %s", text)
	case ok := <-ready:
		if ok && srv.JetStreamEnabled() {
			return nil
		}
	}
	select {
	case text := <-fatal:
		return fmt.Errorf("start the NATS server: %s", text)
	default:
		return fmt.Errorf("start the NATS server: not ready after %s", startTimeout)
	}
}

// Connect returns a connection through memory. It outlives Restart.
func (n *Node) Connect(name string, opts ...nats.Option) (*nats.Conn, error) {
	all := append(natsconn.Options(name, n.log), nats.InProcessServer(n))
	conn, err := nats.Connect("", append(all, opts...)...)
	if err != nil {
		return nil, fmt.Errorf("connect to the embedded NATS server: %w", err)
	}
	return conn, nil
}

// InProcessConn implements nats.InProcessConnProvider for the server of now.
func (n *Node) InProcessConn() (net.Conn, error) {
	n.mu.Lock()
	srv := n.srv
	n.mu.Unlock()
	if srv == nil {
		return nil, server.ErrServerNotRunning
	}
	return srv.InProcessConn()
}

// Restart stops the server and starts it again on the same data and the same
// ports: memory streams are gone, connections come back by themselves. For tests.
func (n *Node) Restart() error {
	if err := n.Stop(); err != nil {
		return err
	}
	return n.Resume()
}

// Stop stops the server but keeps the lock of its data, until Resume. For tests.
func (n *Node) Stop() error {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.srv == nil {
		return server.ErrServerNotRunning
	}
	n.keepPorts()
	n.srv.Shutdown()
	n.srv.WaitForShutdown()
	n.srv = nil
	return nil
}

// Resume starts the server after Stop. For tests.
func (n *Node) Resume() error {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.start()
}

func (n *Node) keepPorts() {
	if addr, ok := n.srv.Addr().(*net.TCPAddr); ok && addr != nil {
		n.opts.Port = addr.Port
	}
	if addr := n.srv.ClusterAddr(); addr != nil {
		n.opts.Cluster.Port = addr.Port
	}
}

// Shutdown stops the server, waits until its files are closed, and unlocks the
// data folder. It gives up waiting when ctx ends.
func (n *Node) Shutdown(ctx context.Context) error {
	n.mu.Lock()
	srv := n.srv
	n.srv = nil
	n.mu.Unlock()
	if srv == nil {
		return n.lock.Release()
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		srv.Shutdown()
		srv.WaitForShutdown()
	}()
	select {
	case <-done:
		return n.lock.Release()
	case <-ctx.Done(): // still locked, and rightly so: its files are open
		return fmt.Errorf("stop the NATS server: %w", ctx.Err())
	}
}
