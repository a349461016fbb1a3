package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"time"

	"github.com/slipway-hq/slipway/cmd/internal/host"
	apiv1 "github.com/slipway-hq/slipway/gen/slipway/api/v1"
	"github.com/slipway-hq/slipway/internal/lifecycle"
	"github.com/slipway-hq/slipway/internal/natsnode"
	"github.com/slipway-hq/slipway/internal/settings"
	"github.com/slipway-hq/slipway/internal/supervise"
	"github.com/slipway-hq/slipway/internal/telemetry"
	"github.com/slipway-hq/slipway/services/notifier"
	"github.com/slipway-hq/slipway/services/orchestrator"
	"github.com/slipway-hq/slipway/services/runner"
)

// The kinds of processes that slipway up --cluster 3 consists of.
const (
	kindNATS         = "nats"
	kindOrchestrator = "orchestrator"
	kindNotifier     = "notifier"
	kindRunner       = "runner"
	kindIngress      = "slack-ingress"
)

// ReplicaCmd is one process of slipway up --cluster 3, which alone starts it, with
// its own flags and an order on standard input.
type ReplicaCmd struct {
	UpCmd `embed:""`
}

// order is what only the parent knows. It goes through a pipe: some of it is secret.
type order struct {
	Kind string
	// Of a NATS server: its folder and its configuration.
	Dir, File string
	// Of a service: how it reaches NATS, and everything that the parent decided.
	NATS          settings.NATS
	Config        string
	Sandbox       bool // Slack is the stand-in
	APIURL        string
	BotToken      string
	SigningSecret string
	PublicURL     string
	CallbackURL   string
	CallbackKey   string
	// Of a runner, beside Dir.
	Name    string
	StepEnv map[string]string
}

// errOrphan: the parent is no more; whatever it was, nothing goes on without it.
var errOrphan = errors.New("slipway up has ended")

// Run does what the order says until it is told to stop.
func (r *ReplicaCmd) Run(g *Globals) error {
	ctx, stop := lifecycle.Interruptible(context.Background())
	defer stop()
	var o order
	gone, err := supervise.Attend(os.Stdin, &o)
	if err != nil {
		return &failure{code: exitUsage, message: "only slipway up --cluster 3 runs this: " + err.Error()}
	}
	go func() {
		<-gone
		fmt.Fprintln(os.Stderr, "slipway:", errOrphan)
		os.Exit(exitFailed) // as a crash would: a parent that is killed frees everything at once
	}()
	logger := g.log.With("replica", o.Kind, "pid", os.Getpid())
	if o.Kind == kindNATS {
		return o.serveNATS(ctx, logger)
	}
	return r.serve(ctx, o, logger)
}

// serveNATS runs a NATS server.
func (o order) serveNATS(ctx context.Context, logger *slog.Logger) error {
	node, err := natsnode.StartConfigured(o.Dir, o.File, logger)
	if err != nil {
		return err
	}
	err = supervise.Announce(os.Stdout, "")
	if err == nil {
		<-ctx.Done()
	}
	stopping, cancel := context.WithTimeout(context.WithoutCancel(ctx), natsGrace)
	defer cancel()
	return errors.Join(err, node.Shutdown(stopping))
}

// serve runs one service.
func (r *ReplicaCmd) serve(ctx context.Context, o order, logger *slog.Logger) error {
	r.take(o)
	h, err := host.Open(ctx, o.Kind, r.Flags, logger)
	if err != nil {
		return err
	}
	if err := r.build(h, o); err != nil {
		return errors.Join(err, h.Close(ctx))
	}
	var told error
	err = h.Run(ctx, r.grace(o.Kind), func() { told = supervise.Announce(os.Stdout, h.URL()) })
	return errors.Join(err, told)
}

// take puts the parent's decisions in the place of what flags and environment say.
func (r *ReplicaCmd) take(o order) {
	r.Flags.Listen, r.Flags.NATS, r.Flags.Replicas = "127.0.0.1:0", o.NATS, clusterSize
	r.Config, r.Ingress.File = o.Config, o.Config
	r.Ingress.APIURL = o.APIURL
	secret := func(text string) *telemetry.Secret {
		if text == "" {
			return nil
		}
		s := telemetry.Secret(text)
		return &s
	}
	r.Ingress.BotToken, r.Ingress.SigningSecret = secret(o.BotToken), secret(o.SigningSecret)
	if o.Sandbox {
		r.Ingress.AppToken = nil // it is another Slack's
	}
	if r.Runner.Name == "" {
		r.Runner.Name = o.Name
	}
	r.Logs.PublicURL = o.PublicURL
	r.Runner.CallbackURL, r.Runner.CallbackKey = o.CallbackURL, telemetry.Secret(o.CallbackKey)
	r.Ingress.CallbackKey = &r.Runner.CallbackKey
}

func (r *ReplicaCmd) build(h *host.Host, o order) error {
	slack := notifier.Config{APIURL: r.Ingress.APIURL, EditInterval: r.EditInterval, Tick: r.Tick, Output: r.Logs.Link()}
	if r.Ingress.BotToken != nil {
		slack.BotToken = *r.Ingress.BotToken
	}
	switch o.Kind {
	case kindOrchestrator:
		messages, err := h.MessageChecks()
		if err != nil {
			return err
		}
		_, err = h.Orchestrator(orchestrator.Config{File: r.Config, Token: r.APIToken, Logs: r.Logs}, r.flushes, diskCheck(r.Data), host.SlackChecks(slack), messages)
		return err
	case kindNotifier:
		return h.Notifier(slack, nil)
	case kindRunner:
		_, err := h.Runner(r.Runner, o.Dir, runner.Deps{StepEnv: func() map[string]string { return o.StepEnv }})
		return err
	case kindIngress:
		return h.Ingress(r.Ingress)
	}
	return fmt.Errorf("nothing is called %q", o.Kind)
}

// flushes tells whether an acknowledged write survives a power cut: the servers'
// configuration is ours.
func (r *ReplicaCmd) flushes(context.Context) []*apiv1.Check {
	if r.NoSync {
		return []*apiv1.Check{{Name: "sync", Level: apiv1.Check_LEVEL_WARNING, Finding: "the three servers flush now and then: a power cut loses acknowledged requests", Remedy: "start without --no-sync"}}
	}
	return []*apiv1.Check{{Name: "sync", Level: apiv1.Check_LEVEL_OK, Finding: "each of the three servers flushes every write before it is acknowledged"}}
}

const (
	// natsGrace is how long a server may take to close its files.
	natsGrace = 20 * time.Second
	// serviceGrace is the same for a service that has nothing to finish.
	serviceGrace = 15 * time.Second
	// killMore is what a process gets beyond the time it gives itself.
	killMore = 5 * time.Second
)

// grace is how long a kind of process gives itself to stop.
func (u *UpCmd) grace(kind string) time.Duration {
	switch kind {
	case kindNATS:
		return natsGrace
	case kindRunner:
		return u.Runner.DrainTimeout + drainMore
	}
	return serviceGrace
}
