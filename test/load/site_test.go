package load

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/slipway-hq/slipway/gen/slipway/api/v1/apiv1connect"
	"github.com/slipway-hq/slipway/internal/eventlog"
	"github.com/slipway-hq/slipway/internal/eventlog/jetlog"
	"github.com/slipway-hq/slipway/internal/lease"
	"github.com/slipway-hq/slipway/internal/lifecycle"
	"github.com/slipway-hq/slipway/internal/natsnode"
	"github.com/slipway-hq/slipway/internal/natsnode/natsnodetest"
	"github.com/slipway-hq/slipway/internal/topology"
	"github.com/slipway-hq/slipway/services/orchestrator"
	"github.com/slipway-hq/slipway/services/runner"
)

const (
	namespaces = 20
	types      = 50
	perType    = 200
	total      = types * perType
	// together is the lane that half of the types share, in turns.
	together = "together"
	slots    = 20
	// fair and alike are the shared lane's limits per namespace and per job.
	fair  = 3
	alike = 2
)

func namespaceOf(kind int) string { return fmt.Sprintf("n%02d", kind%namespaces) }
func jobOf(kind int) string       { return fmt.Sprintf("j%02d", kind) }

// shares tells whether the jobs of a type queue in the shared lane. All
// namespaces have at least one that does.
func shares(kind int) bool { return kind < types/2 }

// doubles tells whether the requests of a type come in equal pairs, which merge.
func doubles(kind int) bool { return kind%5 == 0 }

// configuration is 50 jobs in 20 namespaces.
func configuration() string {
	var b strings.Builder
	fmt.Fprintf(&b, "lanes:\n  %s: {concurrency: %d, per_namespace: %d, per_job: %d, turns: true}\nnamespaces:\n", together, slots, fair, alike)
	for n := range namespaces {
		fmt.Fprintf(&b, "  %s:\n    jobs:\n", namespaceOf(n))
		for kind := n; kind < types; kind += namespaces {
			lane, dedupe := "", "all"
			if shares(kind) {
				lane = ", lane: " + together
			}
			if doubles(kind) {
				dedupe = "merge"
			}
			fmt.Fprintf(&b, "      %s: {run: \"true {n}\", params: {n: {type: string}}, dedupe: {policy: %s}%s}\n", jobOf(kind), dedupe, lane)
		}
	}
	return b.String()
}

// site is the orchestrator with a server of its own, and its doors. The runner
// is started when the queues are full.
type site struct {
	t    testing.TB
	dir  string
	node *natsnode.Node
	conn *nats.Conn
	log  eventlog.Log
	url  string
	jobs apiv1connect.JobServiceClient
	runs apiv1connect.RunServiceClient
}

// noopPath answers nothing, at once: how long that takes is the machine's.
const noopPath = "/noop"

func open(t testing.TB) *site {
	t.Helper()
	s := &site{t: t, dir: t.TempDir()}
	s.node = natsnodetest.Start(t, natsnode.Config{Dir: filepath.Join(s.dir, "nats"), MaxFileStore: 2 << 30})
	s.conn = s.connect("orchestrator")
	js, err := jetstream.New(s.conn)
	s.must(err)
	s.must(topology.Ensure(t.Context(), js, topology.Topology(1, topology.LimitsFor(2<<30))))
	s.log, err = jetlog.New(s.connect("log"), topology.StreamEvents)
	s.must(err)
	config := filepath.Join(s.dir, "slipway.yaml")
	s.must(os.WriteFile(config, []byte(configuration()), 0o600))
	o, err := orchestrator.New(orchestrator.Config{File: config, Replicas: 1}, orchestrator.Deps{
		Log: s.log, Conn: s.conn, Holder: "load", Timing: lease.DefaultTiming(), Logger: slog.New(slog.DiscardHandler),
	})
	s.must(err)
	s.run("orchestrator", o.Run)
	mux := http.NewServeMux()
	for path, handler := range o.Handlers() {
		mux.Handle(path, handler)
	}
	mux.HandleFunc(noopPath, func(http.ResponseWriter, *http.Request) {})
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: askers + 8}}
	s.url, s.jobs, s.runs = server.URL, apiv1connect.NewJobServiceClient(client, server.URL), apiv1connect.NewRunServiceClient(client, server.URL)
	return s
}

func (s *site) must(err error) {
	s.t.Helper()
	if err != nil {
		s.t.Fatal(err)
	}
}

func (s *site) connect(name string) *nats.Conn {
	s.t.Helper()
	conn, err := s.node.Connect(name)
	s.must(err)
	return conn
}

// run runs a part until the test ends, and returns when it is ready.
func (s *site) run(name string, part func(context.Context, func()) error) {
	s.t.Helper()
	ctx, cancel := context.WithCancel(s.t.Context())
	done, ready := make(chan error, 1), make(chan struct{})
	group := lifecycle.Group{Log: slog.New(slog.DiscardHandler), Drain: time.Second}
	go func() {
		done <- group.Run(ctx, lifecycle.Part{Name: name, Run: func(ctx context.Context, up func()) error {
			return part(ctx, func() { up(); close(ready) })
		}})
	}()
	s.t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			s.t.Errorf("%s: %v", name, err)
		}
	})
	select {
	case <-ready:
	case err := <-done:
		done <- err
		s.t.Fatalf("%s: %v", name, err)
	}
}

// instant is a step that does nothing, so that the queues are what is measured.
type instant struct{}

// Execute succeeds at once.
func (instant) Execute(context.Context, runner.Attempt, runner.Sink) (runner.Result, error) {
	return runner.Result{}, nil
}

// drain starts the runner.
func (s *site) drain() {
	s.t.Helper()
	r, err := runner.New(runner.Config{Dir: filepath.Join(s.dir, "runner"), Capacity: 4 * slots}, runner.Deps{
		Log: s.log, Conn: s.connect("runner"), Logger: slog.New(slog.DiscardHandler), Replicas: 1, Executor: instant{},
	})
	s.must(err)
	s.run("runner", r.Run)
}
