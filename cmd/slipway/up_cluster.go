package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"golang.org/x/sync/errgroup"

	"github.com/slipway-hq/slipway/deploy/nats"
	"github.com/slipway-hq/slipway/internal/credential"
	"github.com/slipway-hq/slipway/internal/lifecycle"
	"github.com/slipway-hq/slipway/internal/natsconn"
	"github.com/slipway-hq/slipway/internal/natsnode"
	"github.com/slipway-hq/slipway/internal/settings"
	"github.com/slipway-hq/slipway/internal/spread"
	"github.com/slipway-hq/slipway/internal/supervise"
	"github.com/slipway-hq/slipway/internal/topology"
	ingress "github.com/slipway-hq/slipway/services/slack-ingress"
)

const (
	// clusterSize is how many NATS servers a cluster has.
	clusterSize = 3
	// clusterRunners: two show that a run goes on elsewhere.
	clusterRunners = 2
	// clusterDir below the data folder holds everything of a cluster's; nodeDir that
	// of one embedded server.
	clusterDir = "cluster"
	nodeDir    = "nats"
	// formWait is how long the servers may take to find each other and to make the
	// streams, on a busy machine.
	formWait = 2 * time.Minute
	// helloTry is how long servers that have a leader take to answer at most, formTry
	// how long the streams may take: what is asked of a server that is not up yet is
	// never answered, so that many short attempts do more than a long one. formPause
	// lies between two.
	helloTry  = time.Second
	formTry   = 4 * time.Second
	formPause = 250 * time.Millisecond
)

// replicas are how many there are of each service.
var replicas = map[string]int{kindNATS: clusterSize, kindOrchestrator: 3, kindNotifier: 3, kindRunner: clusterRunners, kindIngress: 3}

// cluster is a start of everything as many processes: what operators install, on
// one machine.
type cluster struct {
	*up
	dir      string
	args     []string // of this process, for the replicas
	kinds    map[string][]*supervise.Child
	api      *spread.Pool
	doors    *spread.Pool
	listener net.Listener
	nats     settings.NATS
	store    int64
	extra    []lifecycle.Part // what runs beside the services
}

// checkCluster says whether the data folder is for as many servers as asked for.
func (u *UpCmd) checkCluster() error {
	made := func(name string) bool {
		_, err := os.Stat(filepath.Join(u.Data, name))
		return !errors.Is(err, fs.ErrNotExist)
	}
	switch {
	case u.Cluster != 1 && u.Cluster != clusterSize:
		return &failure{code: exitUsage, message: fmt.Sprintf("a cluster is one NATS server or three, not %d", u.Cluster), next: "leave --cluster away, or say --cluster 3"}
	case u.Cluster == clusterSize && u.NATS.External():
		return &failure{code: exitUsage, message: "--cluster 3 brings its own NATS servers, and --nats-url (NATS_URL) names others", next: "leave one of the two away"}
	case u.Cluster == clusterSize && made(nodeDir):
		return &failure{code: exitUsage, message: fmt.Sprintf("the data in %s is that of one server", u.Data), next: "leave --cluster away, or give the cluster a folder of its own with --data; `slipway backup` and `restore` carry data over"}
	case u.Cluster == 1 && made(clusterDir) && !u.NATS.External():
		return &failure{code: exitUsage, message: fmt.Sprintf("the data in %s is that of a cluster of three", u.Data), next: "say --cluster 3, or give one server a folder of its own with --data"}
	}
	return nil
}

// runCluster is run for --cluster 3.
func (u *up) runCluster(ctx context.Context) error {
	c := &cluster{up: u, dir: filepath.Join(u.Data, clusterDir), args: replicaArgs(os.Args[1:]), kinds: map[string][]*supervise.Child{}, api: spread.New(kindOrchestrator), doors: spread.New(kindIngress)}
	u.url = func() string { return "http://" + c.listener.Addr().String() }
	u.add = func(name string, run func(context.Context, func()) error) {
		c.extra = append(c.extra, lifecycle.Part{Name: name, Run: run})
	}
	u.crash = c.killRunners
	lock, err := lifecycle.LockDir(c.dir)
	if errors.Is(err, lifecycle.ErrLocked) {
		return fmt.Errorf("another slipway uses the data in %s: stop it, or give this one its own with --data (%w)", u.Data, err)
	}
	if err != nil {
		return err
	}
	parts, err := c.parts(ctx)
	if err == nil {
		drain := c.grace(kindNATS) + c.grace(kindRunner) + 3*c.grace(kindIngress) + drainMore
		err = lifecycle.Group{Log: u.logger, Drain: drain}.Run(ctx, parts...)
	}
	if c.listener != nil {
		_ = c.listener.Close() // it may be closed
	}
	for _, children := range c.kinds {
		for _, child := range children {
			err = errors.Join(err, child.Journal.Close())
		}
	}
	return errors.Join(err, lock.Release())
}

// replicaArgs are the arguments of a replica: those of this process, with another
// command. Flags may come before the command.
func replicaArgs(args []string) []string {
	out := slices.Clone(args)
	if i := slices.Index(out, "up"); i >= 0 {
		out[i] = "replica"
	}
	return out
}

// parts are everything that runs, in the order of its start.
func (c *cluster) parts(ctx context.Context) ([]lifecycle.Part, error) {
	listener, err := net.Listen("tcp", string(c.Flags.Listen))
	if err != nil {
		return nil, fmt.Errorf("cannot listen on %s: %w. Another program has the port, or another Slipway: choose a different one with --listen", c.Flags.Listen, err)
	}
	c.listener = listener
	servers, err := c.prepareNATS()
	if err != nil {
		return nil, err
	}
	out := []lifecycle.Part{c.part(kindNATS, servers), {Name: "streams", Run: c.form}}
	beside, err := c.beside(ctx)
	if err != nil {
		return nil, err
	}
	out = append(out, beside...)
	for _, kind := range []string{kindOrchestrator, kindNotifier, kindRunner, kindIngress} {
		children, err := c.replicas(ctx, kind)
		if err != nil {
			return nil, err
		}
		out = append(out, c.part(kind, children))
	}
	return append(out, lifecycle.Part{Name: "doors", Run: c.serve}), nil
}

// beside are the parts that are not Slipway's: the stand-in Slack, and where the
// example goes. Keys and addresses are settled with it.
func (c *cluster) beside(ctx context.Context) ([]lifecycle.Part, error) {
	if err := c.openSlack(ctx); err != nil {
		return nil, err
	}
	if err := c.openExample(); err != nil {
		return nil, err
	}
	if c.Logs.PublicURL == "" && c.sandbox != nil {
		c.Logs.PublicURL = c.url()
	}
	return c.extra, c.openCallbacks()
}

// part runs all replicas of a kind.
func (c *cluster) part(kind string, children []*supervise.Child) lifecycle.Part {
	c.kinds[kind] = children
	return lifecycle.Part{Name: kind, Run: func(ctx context.Context, ready func()) error {
		up := make(chan struct{}, len(children))
		group, ctx := errgroup.WithContext(ctx)
		for _, child := range children {
			group.Go(func() error { return child.Run(ctx, func() { up <- struct{}{} }) })
		}
		group.Go(func() error {
			for range children {
				select {
				case <-up:
				case <-ctx.Done():
					return nil
				}
			}
			ready()
			return nil
		})
		return group.Wait()
	}}
}

// prepareNATS writes keys, certificates and configurations of three servers.
func (c *cluster) prepareNATS() ([]*supervise.Child, error) {
	tls, seeds := filepath.Join(c.dir, "tls"), filepath.Join(c.dir, "nkeys")
	for _, dir := range []string{tls, seeds} {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return nil, fmt.Errorf("make the folder of the cluster: %w", err)
		}
	}
	keys, err := credential.WriteKeys(seeds)
	if err != nil {
		return nil, fmt.Errorf("make the keys of the cluster: %w", err)
	}
	if err := credential.WriteCertificates(tls, []string{"localhost"}); err != nil {
		return nil, fmt.Errorf("make the certificate of the cluster: %w", err)
	}
	if c.store, err = natsnode.SharedStore(c.dir, clusterSize); err != nil {
		return nil, err
	}
	ports, err := natsnode.FreePorts(2 * clusterSize)
	if err != nil {
		return nil, err
	}
	var urls []string
	var children []*supervise.Child
	for i := range clusterSize {
		urls = append(urls, fmt.Sprintf("tls://localhost:%d", ports[i]))
		child, err := c.natsServer(i, nats.Server{
			Name: fmt.Sprintf("n%d", i+1), Client: ports[i], Peers: ports[clusterSize:], Peer: i, MaxStore: c.store, TLS: tls, Keys: keys, Flush: !c.NoSync,
		})
		if err != nil {
			return nil, err
		}
		children = append(children, child)
	}
	c.nats = settings.NATS{URL: strings.Join(urls, ","), CA: filepath.Join(tls, "ca.crt")}
	return children, nil
}

func (c *cluster) natsServer(i int, s nats.Server) (*supervise.Child, error) {
	dir := filepath.Join(c.dir, fmt.Sprintf("nats-%d", i+1))
	s.Store = filepath.Join(dir, "data")
	if err := os.MkdirAll(s.Store, 0o700); err != nil {
		return nil, fmt.Errorf("make the folder of a server: %w", err)
	}
	file, err := nats.Local(dir, s)
	if err != nil {
		return nil, fmt.Errorf("write the configuration of a server: %w", err)
	}
	return c.child(kindNATS, i, order{Kind: kindNATS, Dir: dir, File: file}, nil)
}

// child is one process.
func (c *cluster) child(kind string, i int, o order, changed func(name string, s supervise.State)) (*supervise.Child, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("find our own program: %w", err)
	}
	name := fmt.Sprintf("%s-%d", kind, i+1)
	if err := os.MkdirAll(filepath.Join(c.dir, "log"), 0o700); err != nil {
		return nil, fmt.Errorf("make the folder for logs: %w", err)
	}
	journal, err := supervise.OpenJournal(filepath.Join(c.dir, "log", name+".log"))
	if err != nil {
		return nil, err
	}
	line, err := json.Marshal(o)
	if err != nil {
		return nil, fmt.Errorf("write the order of %s: %w", name, err)
	}
	child := &supervise.Child{
		Name: name, Order: line, Journal: journal, Grace: c.grace(kind) + killMore, Logger: c.logger,
		Command: func() *exec.Cmd { return exec.Command(self, c.args...) },
	}
	if changed != nil {
		child.Changed = func(s supervise.State) { changed(name, s) }
	}
	return child, nil
}

// replicas are the processes of a service.
func (c *cluster) replicas(ctx context.Context, kind string) ([]*supervise.Child, error) {
	o := order{
		Kind: kind, NATS: c.nats, Config: c.config, Sandbox: c.sandbox != nil, APIURL: c.UpCmd.Ingress.APIURL, PublicURL: c.Logs.PublicURL,
		CallbackURL: c.UpCmd.Runner.CallbackURL, CallbackKey: string(c.UpCmd.Runner.CallbackKey), StepEnv: c.stepEnv(),
	}
	o.NATS.NKey = filepath.Join(c.dir, "nkeys", kind)
	if s := c.UpCmd.Ingress.BotToken; s != nil {
		o.BotToken = string(*s)
	}
	if s := c.UpCmd.Ingress.SigningSecret; s != nil {
		o.SigningSecret = string(*s)
	}
	var changed func(string, supervise.State)
	switch kind {
	case kindOrchestrator:
		changed = func(name string, s supervise.State) { c.api.Set(name, s.URL) }
	case kindIngress:
		changed = func(name string, s supervise.State) { c.doors.Set(name, s.URL) }
	}
	var out []*supervise.Child
	for i := range replicas[kind] {
		if kind == kindRunner {
			o.Name = fmt.Sprintf("runner-%d", i+1)
			o.Dir = filepath.Join(c.dir, o.Name)
			c.shareCache(ctx, o.Dir)
		}
		child, err := c.child(kind, i, o, changed)
		if err != nil {
			return nil, err
		}
		out = append(out, child)
	}
	return out, nil
}

// form waits until the servers have found each other, and makes the streams.
func (c *cluster) form(ctx context.Context, ready func()) error {
	where := c.nats.Settings()
	where.NKey, where.Service = filepath.Join(c.dir, "nkeys", "bootstrap"), "bootstrap"
	trying, cancel := context.WithTimeout(ctx, formWait)
	defer cancel()
	for {
		err := c.makeStreams(trying, where)
		if err == nil {
			ready()
			<-ctx.Done()
			return nil
		}
		c.logger.Debug("the cluster is not ready yet", "error", err)
		select {
		case <-ctx.Done():
			return nil
		case <-trying.Done():
			return fmt.Errorf("the three servers did not become a cluster in %s: %w; what they say is in %s", formWait, err, filepath.Join(c.dir, "log"))
		case <-time.After(formPause):
		}
	}
}

func (c *cluster) makeStreams(ctx context.Context, where natsconn.Settings) error {
	hello, cancel := context.WithTimeout(ctx, helloTry)
	defer cancel()
	conn, err := natsconn.Dial(hello, "slipway-up", where, slog.New(slog.DiscardHandler))
	if err != nil {
		return err
	}
	defer conn.Close()
	js, err := jetstream.New(conn)
	if err != nil {
		return fmt.Errorf("open JetStream: %w", err)
	}
	if _, err := js.AccountInfo(hello); err != nil {
		return fmt.Errorf("ask for JetStream: %w", err)
	}
	ctx, cancel = context.WithTimeout(ctx, formTry)
	defer cancel()
	return topology.Ensure(ctx, js, topology.Topology(clusterSize, topology.LimitsFor(c.store), c.UpCmd.Runner.Pools...))
}

// serve passes requests on to the replicas until ctx ends.
func (c *cluster) serve(ctx context.Context, ready func()) error {
	mux := http.NewServeMux()
	doors := c.doors.Handler()
	for _, path := range ingress.Paths() {
		mux.Handle(path, doors)
	}
	mux.Handle("/", c.api.Handler())
	protocols := &http.Protocols{}
	protocols.SetHTTP1(true)
	protocols.SetUnencryptedHTTP2(true)
	server := &http.Server{Handler: mux, Protocols: protocols, ReadHeaderTimeout: 5 * time.Second, IdleTimeout: 2 * time.Minute, ErrorLog: slog.NewLogLogger(c.logger.Handler(), slog.LevelDebug)}
	group, serving := errgroup.WithContext(ctx)
	group.Go(func() error {
		if err := server.Serve(c.listener); !errors.Is(err, http.ErrServerClosed) {
			return fmt.Errorf("serve: %w", err)
		}
		return nil
	})
	group.Go(func() error { c.api.Watch(serving); return nil })
	group.Go(func() error { c.doors.Watch(serving); return nil })
	group.Go(func() error {
		<-serving.Done()
		c.logger.Info("stopping: first the doors, then the services, then NATS")
		stopping, cancel := context.WithTimeout(context.WithoutCancel(serving), time.Second)
		defer cancel()
		if server.Shutdown(stopping) != nil { // streams
			return server.Close()
		}
		return nil
	})
	c.greet(c.table())
	ready()
	return group.Wait()
}

// table lists the processes.
func (c *cluster) table() string {
	var b strings.Builder
	b.WriteString("\n")
	for _, kind := range []string{kindNATS, kindOrchestrator, kindNotifier, kindRunner, kindIngress} {
		fmt.Fprintf(&b, "  %-13s", kind)
		for _, child := range c.kinds[kind] {
			fmt.Fprintf(&b, "  %s pid %d", child.Name, child.State().PID)
		}
		b.WriteString("\n")
	}
	fmt.Fprintf(&b, "  Kill any one (kill -9 PID, kill -STOP PID): everything goes on, and it comes back. Logs in %s\n", filepath.Join(c.dir, "log"))
	return b.String()
}

// killRunners is the sandbox's button.
func (c *cluster) killRunners(context.Context) error {
	var errs []error
	for _, child := range c.kinds[kindRunner] {
		errs = append(errs, child.Kill())
	}
	return errors.Join(errs...)
}
