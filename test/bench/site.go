package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"google.golang.org/protobuf/proto"

	apiv1 "github.com/slipway-hq/slipway/gen/slipway/api/v1"
	"github.com/slipway-hq/slipway/gen/slipway/api/v1/apiv1connect"
	commandv1 "github.com/slipway-hq/slipway/gen/slipway/command/v1"
	"github.com/slipway-hq/slipway/internal/topology"
	"github.com/slipway-hq/slipway/sandbox"
)

// The product's binaries.
const (
	cmdOrchestrator = "orchestrator"
	cmdNotifier     = "notifier"
	cmdRunner       = "runner"
	cmdIngress      = "slack-ingress"
)

// replicas of each service of a site.
const replicas = 3

// site is what fails over: three of each service and of NATS, as real processes
// on this machine, and a stand-in for Slack.
type site struct {
	dir      string
	slack    *sandbox.Server
	servers  *servers
	services map[string][]*daemon
	nc       *nats.Conn
	js       jetstream.JetStream
	cards    int // asked for so far
}

// daemon is one process of the product.
type daemon struct {
	cmd  *exec.Cmd
	url  string
	gone chan struct{}
	runs apiv1connect.RunServiceClient // of an orchestrator
}

// openSite builds the binaries and starts everything.
func openSite(ctx context.Context, dir string) (s *site, err error) {
	s = &site{dir: dir, services: map[string][]*daemon{}}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.close())
		}
	}()
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return s, err
	}
	build := exec.CommandContext(ctx, "go", "build", "-o", filepath.Join(dir, "bin")+string(filepath.Separator), "github.com/slipway-hq/slipway/cmd/...")
	if out, err := build.CombinedOutput(); err != nil {
		return s, fmt.Errorf("build the binaries: %w: %s", err, out)
	}
	if err := os.WriteFile(filepath.Join(dir, "slipway.yaml"), []byte(failoverConfig), 0o600); err != nil {
		return s, err
	}
	if s.slack, err = sandbox.New(sandbox.Config{NoRateLimits: true, EventRetries: []time.Duration{}}); err != nil {
		return s, err
	}
	if err = s.slack.Start(ctx); err != nil {
		return s, err
	}
	if s.servers, err = startServers(ctx, dir, 3); err != nil {
		return s, err
	}
	if s.nc, err = nats.Connect(s.servers.URL, nats.MaxReconnects(-1), nats.ReconnectWait(lookEvery)); err != nil {
		return s, err
	}
	if s.js, err = jetstream.New(s.nc); err != nil {
		return s, err
	}
	for _, name := range []string{cmdOrchestrator, cmdNotifier, cmdRunner, cmdIngress} {
		s.services[name] = make([]*daemon, replicas)
		for i := range replicas {
			if err = s.start(ctx, name, i); err != nil {
				return s, err
			}
		}
	}
	s.slack.SetTarget(s.services[cmdIngress][0].url)
	return s, nil
}

// start starts a replica, again with the folder and name that it had.
func (s *site) start(ctx context.Context, name string, i int) (err error) {
	var args []string
	if name == cmdRunner {
		args = s.runnerArgs(fmt.Sprint("r", i))
	}
	s.services[name][i], err = s.launch(ctx, name, args...)
	return err
}

func (s *site) runnerArgs(name string, more ...string) []string {
	return append([]string{"--data", filepath.Join(s.dir, name), "--runner-name", name}, more...)
}

// launch starts a binary and waits until it says that it is up.
func (s *site) launch(ctx context.Context, name string, args ...string) (*daemon, error) {
	d := &daemon{cmd: exec.CommandContext(ctx, filepath.Join(s.dir, "bin", name), args...), gone: make(chan struct{})}
	d.cmd.Env = append(os.Environ(), "NATS_URL="+s.servers.URL, "SLIPWAY_CONFIG="+filepath.Join(s.dir, "slipway.yaml"), "SLIPWAY_LISTEN=127.0.0.1:0",
		"SLACK_API_URL="+s.slack.APIURL(), "SLACK_BOT_TOKEN="+s.slack.BotToken(), "SLACK_SIGNING_SECRET="+s.slack.SigningSecret())
	d.cmd.Dir, d.cmd.WaitDelay = s.dir, time.Second // a step may hold the pipe
	read, write := io.Pipe()
	d.cmd.Stdout, d.cmd.Stderr = write, write
	if err := d.cmd.Start(); err != nil {
		return nil, err
	}
	go func() {
		_ = d.cmd.Wait() // how it ends is no matter
		_ = write.Close()
		close(d.gone)
	}()
	up := make(chan string, 1)
	go func() {
		for in := bufio.NewScanner(read); in.Scan(); {
			if _, rest, ok := strings.Cut(in.Text(), "msg=up url="); ok {
				url, _, _ := strings.Cut(rest, " ")
				up <- url
			}
		}
		_, _ = io.Copy(io.Discard, read)
	}()
	wait, cancel := context.WithTimeout(ctx, startWait)
	defer cancel()
	select {
	case d.url = <-up:
	case <-d.gone:
		return nil, fmt.Errorf("%s ended at its start", name)
	case <-wait.Done():
		return nil, fmt.Errorf("start %s: %w", name, wait.Err())
	}
	d.runs = apiv1connect.NewRunServiceClient(client, d.url)
	return d, nil
}

// end sends a signal; it does not wait.
func (d *daemon) end(signal syscall.Signal) { _ = d.cmd.Process.Signal(signal) } // it may have ended

// close kills everything.
func (s *site) close() (err error) {
	for _, replicas := range s.services {
		for _, d := range replicas {
			if d != nil {
				d.end(syscall.SIGKILL)
				<-d.gone
			}
		}
	}
	if s.nc != nil {
		s.nc.Close()
	}
	if s.servers != nil {
		err = s.servers.kill()
	}
	if s.slack != nil {
		err = errors.Join(err, s.slack.Close())
	}
	return err
}

// holder is the index of the replica that has an office; the name of a holder ends
// with the process's number and a nonce.
func (s *site) holder(ctx context.Context, office, service string) (at int, err error) {
	err = eventually(ctx, "a holder of the office "+office, func(ctx context.Context) bool {
		kv, err := s.js.KeyValue(ctx, topology.BucketLeases)
		if err != nil {
			return false
		}
		entry, err := kv.Get(ctx, "office."+topology.Safe(office))
		if err != nil {
			return false
		}
		lease := &commandv1.Lease{}
		if proto.Unmarshal(entry.Value(), lease) != nil {
			return false
		}
		for i, d := range s.services[service] {
			if strings.Contains(lease.GetHolder(), fmt.Sprintf("/%d/", d.cmd.Process.Pid)) {
				at = i
				return true
			}
		}
		return false
	})
	return at, err
}

// ask starts a run at an orchestrator, again and again until that is accepted.
func (s *site) ask(ctx context.Context, at *daemon, service, key string) (*apiv1.Run, error) {
	var run *apiv1.Run
	err := eventually(ctx, "a command to be accepted", func(ctx context.Context) bool {
		ctx, cancel := context.WithTimeout(ctx, quickly)
		defer cancel()
		answer, err := at.runs.StartRun(ctx, &apiv1.StartRunRequest{Service: service, Environment: environment, IdempotencyKey: key})
		run = answer.GetRun()
		return err == nil
	})
	return run, err
}

// await waits until a run is as wanted.
func (s *site) await(ctx context.Context, at *daemon, id, what string, ok func(*apiv1.Run) bool) (run *apiv1.Run, err error) {
	err = eventually(ctx, what, func(ctx context.Context) bool {
		ctx, cancel := context.WithTimeout(ctx, quickly)
		defer cancel()
		answer, err := at.runs.GetRun(ctx, &apiv1.GetRunRequest{Id: id})
		run = answer.GetRun()
		return err == nil && ok(run)
	})
	return run, err
}
