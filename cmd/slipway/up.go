package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/slipway-hq/slipway/cmd/internal/host"
	"github.com/slipway-hq/slipway/examples"
	apiv1 "github.com/slipway-hq/slipway/gen/slipway/api/v1"
	"github.com/slipway-hq/slipway/internal/lifecycle"
	"github.com/slipway-hq/slipway/internal/localenv"
	"github.com/slipway-hq/slipway/internal/manifest"
	"github.com/slipway-hq/slipway/internal/natsconn"
	"github.com/slipway-hq/slipway/internal/natsnode"
	"github.com/slipway-hq/slipway/internal/settings"
	"github.com/slipway-hq/slipway/internal/telemetry"
	"github.com/slipway-hq/slipway/internal/topology"
	"github.com/slipway-hq/slipway/sandbox"
	"github.com/slipway-hq/slipway/services/notifier"
	"github.com/slipway-hq/slipway/services/orchestrator"
	"github.com/slipway-hq/slipway/services/runner"
	ingress "github.com/slipway-hq/slipway/services/slack-ingress"
)

// UpCmd runs everything in one process, or with --cluster 3 as the many that
// operators install.
type UpCmd struct {
	Data          string           `help:"Folder for everything that is kept." default:".slipway" env:"SLIPWAY_DATA" type:"path"`
	Config        string           `help:"Configuration; else slipway.yaml here or in a folder above, else the example." env:"SLIPWAY_CONFIG" type:"path"`
	SandboxListen settings.Address `help:"Address of the stand-in Slack, which starts when no bot token is set." default:"127.0.0.1:8065" env:"SLIPWAY_SANDBOX_LISTEN"`
	EnvPort       int              `name:"environments-port" help:"Port of the example's staging environment; production has the next. 0: free ones." default:"8091" env:"SLIPWAY_ENVIRONMENTS_PORT"`
	Cluster       int              `help:"NATS servers: 1, embedded, with everything in one process; or 3, each in a process of its own as several of each service are, to try out what happens when one dies." default:"1" env:"SLIPWAY_CLUSTER"`
	NoSync        bool             `help:"Do not flush every write to disk. Faster, and a power cut loses what was acknowledged." env:"SLIPWAY_NO_SYNC"`

	host.Flags   `embed:""`
	Ingress      ingress.Config   `embed:""`
	Runner       runner.Config    `embed:""`
	EditInterval time.Duration    `name:"card-edit-interval" env:"SLIPWAY_CARD_EDIT_INTERVAL" default:"3s" help:"Least time between two edits of one card."`
	Tick         time.Duration    `name:"card-tick" env:"SLIPWAY_CARD_TICK" default:"15s" help:"How often the elapsed time of a running card moves on."`
	APIToken     telemetry.Secret `name:"api-token" env:"SLIPWAY_API_TOKEN" hidden:"" help:"Token that API callers must give."`

	Logs    orchestrator.LogSettings     `embed:""`
	Archive orchestrator.ArchiveSettings `embed:""`
}

// Run starts everything and returns when it was told to stop and has drained.
func (u *UpCmd) Run(g *Globals) error {
	ctx, stop := lifecycle.Interruptible(context.Background())
	defer stop()
	logger, err := g.Log.Logger(os.Stderr)
	if err != nil {
		return err
	}
	if err := u.checkCluster(); err != nil {
		return err
	}
	up := &up{UpCmd: u, logger: logger}
	if err := up.begin(); err != nil {
		return err
	}
	if u.Cluster == clusterSize {
		return up.runCluster(ctx)
	}
	return up.run(ctx)
}

// up is one start.
type up struct {
	*UpCmd
	logger  *slog.Logger
	host    *host.Host
	config  string
	example bool
	sandbox *sandbox.Server
	local   *localenv.Server
	orch    *orchestrator.Orchestrator
	runner  *runner.Runner
	facts   func() natsnode.Facts // nil with an external cluster

	// How the services are reached, what runs beside them, and how a runner is
	// killed: they differ with how everything runs.
	url   func() string
	add   func(name string, run func(ctx context.Context, ready func()) error)
	crash func(context.Context) error
}

// begin settles what does not depend on how everything runs.
func (u *up) begin() error {
	// Before the sandbox puts its own in their place.
	if err := u.Ingress.CheckSecrets(); err != nil {
		return err
	}
	return u.findConfig()
}

func (u *up) run(ctx context.Context) error {
	if err := u.open(ctx); err != nil {
		return err
	}
	u.url, u.add, u.crash = u.host.URL, u.host.Add, u.killRunner
	if err := u.build(ctx); err != nil {
		return errors.Join(err, u.host.Close(ctx))
	}
	return u.host.Run(ctx, u.UpCmd.Runner.DrainTimeout+drainMore, func() { u.greet("") })
}

// drainMore is what stopping takes beyond the steps that run.
const drainMore = 10 * time.Second

// findConfig decides which configuration to use; the example is written into
// the data folder, where people may edit it.
func (u *up) findConfig() error {
	if u.config = u.Config; u.config != "" {
		if _, err := os.Stat(u.config); err != nil {
			return fmt.Errorf("cannot read the configuration: %w. Name another with --config, or leave it away for the example", err)
		}
		return nil
	}
	dir, err := os.Getwd()
	if err != nil {
		return fmt.Errorf("find the working folder: %w", err)
	}
	for {
		path := filepath.Join(dir, "slipway.yaml")
		if _, err := os.Stat(path); err == nil {
			u.config = path
			return nil
		}
		parent := filepath.Dir(dir)
		if parent == dir {
			break
		}
		dir = parent
	}
	u.example = true
	u.config, err = examples.Materialise(filepath.Join(u.Data, "example"))
	return err
}

// open brings NATS: the embedded server, unless a cluster is named.
func (u *up) open(ctx context.Context) (err error) {
	if u.NATS.External() {
		dial := func(name string) (*nats.Conn, error) { return natsconn.Dial(ctx, name, u.NATS.Settings(), u.logger) }
		u.host, err = host.Prepare(ctx, "slipway", u.Flags, u.logger, dial, topology.DefaultStore)
		return err
	}
	node, err := natsnode.Start(natsnode.Config{Dir: filepath.Join(u.Data, "nats"), NoSync: u.NoSync, Logger: u.logger.With("service", "nats")})
	if errors.Is(err, lifecycle.ErrLocked) {
		return fmt.Errorf("another slipway uses the data in %s: stop it, or give this one its own with --data (%w)", u.Data, err)
	}
	if err != nil {
		return err
	}
	u.facts = node.Facts
	flags := u.Flags
	flags.Replicas = 1
	dial := func(name string) (*nats.Conn, error) { return node.Connect(name) }
	if u.host, err = host.Prepare(ctx, "slipway", flags, u.logger, dial, node.Facts().MaxStore); err != nil {
		return errors.Join(err, node.Shutdown(ctx))
	}
	u.host.OnCloseLast(node.Shutdown)
	return nil
}

func (u *up) build(ctx context.Context) error {
	if err := u.openSlack(ctx); err != nil {
		return err
	}
	if err := u.openExample(); err != nil {
		return err
	}
	u.shareCache(ctx, filepath.Join(u.Data, "runner"))
	slack := notifier.Config{APIURL: u.Ingress.APIURL, EditInterval: u.EditInterval, Tick: u.Tick}
	if u.Logs.PublicURL == "" && u.sandbox != nil {
		u.Logs.PublicURL = u.url() // the browser of the sandbox is on this machine
	}
	slack.Output = u.Logs.Link()
	if u.Ingress.BotToken != nil {
		slack.BotToken = *u.Ingress.BotToken
	}
	messages, err := u.host.MessageChecks()
	if err != nil {
		return err
	}
	u.orch, err = u.host.Orchestrator(orchestrator.Config{File: u.config, Token: u.APIToken, Logs: u.Logs, Archive: u.Archive}, u.syncCheck, diskCheck(u.Data), host.SlackChecks(slack), messages, u.host.IngressChecks)
	if err != nil {
		return err
	}
	if err := u.host.Notifier(slack, u.orch); err != nil {
		return err
	}
	if err := u.openCallbacks(); err != nil {
		return err
	}
	u.runner, err = u.host.Runner(u.UpCmd.Runner, filepath.Join(u.Data, "runner"), runner.Deps{StepEnv: u.stepEnv})
	if err != nil {
		return err
	}
	return u.host.Ingress(u.Ingress)
}

// openCallbacks lets jobs speak while they run, and tells slack-ingress which
// configuration is in force.
func (u *up) openCallbacks() (err error) {
	settings := &u.UpCmd.Runner
	if settings.CallbackKey == "" {
		if settings.CallbackKey, err = callbackKey(u.Data); err != nil {
			return err
		}
	}
	if settings.CallbackURL == "" {
		settings.CallbackURL = u.url()
	}
	u.Ingress.File, u.Ingress.CallbackKey = u.config, &settings.CallbackKey
	return nil
}

// openSlack starts the stand-in when there is no real one.
func (u *up) openSlack(ctx context.Context) (err error) {
	if u.Ingress.BotToken != nil {
		return nil
	}
	if u.Ingress.SigningSecret != nil || u.Ingress.AppToken != nil {
		u.logger.Warn("the sandbox starts and the Slack app's secrets are not used: SLACK_BOT_TOKEN is not set")
	}
	u.sandbox, err = sandbox.New(sandbox.Config{
		Listen: string(u.SandboxListen), Target: u.url(), Delivery: sandbox.HTTP, StateFile: filepath.Join(u.Data, "sandbox.json"),
		KillRunner: u.crash, Logger: u.logger.With("service", "sandbox"),
		Subscriptions: manifest.Events(), Hints: func() []string { return hints(u.config) },
	})
	if err != nil {
		return fmt.Errorf("start the sandbox: %w", err)
	}
	// It outlives ctx: while the others drain they still talk to it.
	if err := u.sandbox.Start(context.WithoutCancel(ctx)); err != nil {
		return fmt.Errorf("cannot start the sandbox on %s: %w. Choose another address with --sandbox-listen", u.SandboxListen, err)
	}
	u.add("sandbox", func(ctx context.Context, ready func()) error {
		ready()
		<-ctx.Done()
		return u.sandbox.Close() //nolint:contextcheck // closing begins when ctx is over
	})
	secret := telemetry.Secret(u.sandbox.SigningSecret())
	bot := telemetry.Secret(u.sandbox.BotToken())
	u.Ingress.SigningSecret, u.Ingress.BotToken, u.Ingress.AppToken = &secret, &bot, nil
	u.Ingress.APIURL = u.sandbox.APIURL()
	return nil
}

func (u *up) killRunner(context.Context) error {
	u.runner.Crash()
	return nil
}

// openExample starts the environments that the example deploys to.
func (u *up) openExample() (err error) {
	if !u.example {
		return nil
	}
	if err := examples.CheckGo(); err != nil {
		u.logger.Warn("the example cannot be built here", "error", err)
	}
	dir, err := filepath.Abs(filepath.Join(u.Data, "environments"))
	if err != nil {
		return fmt.Errorf("find the data folder: %w", err)
	}
	u.local, err = localenv.New(localenv.Config{Dir: dir, Environments: u.environments(), Logger: u.logger.With("service", "environments")})
	if err != nil {
		return fmt.Errorf("start the local environments: %w", err)
	}
	u.add("environments", func(ctx context.Context, ready func()) error {
		ready()
		return u.local.Run(ctx)
	})
	return nil
}

// shareCache makes the first build of the example faster.
func (u *up) shareCache(ctx context.Context, runner string) {
	if !u.example || examples.CheckGo() != nil {
		return
	}
	if err := examples.ShareGoCache(ctx, filepath.Join(runner, "work", "cache")); err != nil {
		u.logger.Warn("the first build of the example will be slow", "error", err)
	}
}

// environments are the example's, on the ports asked for.
func (u *up) environments() []localenv.Environment {
	out := localenv.Defaults()
	for i := range out {
		port := 0
		if u.EnvPort != 0 {
			port = u.EnvPort + i
		}
		out[i].Listen = fmt.Sprintf("127.0.0.1:%d", port)
	}
	return out
}

// stepEnv is what the example's steps need to reach their environment.
func (u *up) stepEnv() map[string]string {
	if u.local == nil {
		return nil
	}
	bin, err := os.Executable()
	if err != nil {
		u.logger.Warn("own program not found, the example cannot deploy", "error", err)
		return nil
	}
	return map[string]string{localenv.URLVariable: u.local.URL(), localenv.BinVariable: bin}
}

// syncCheck tells whether an acknowledged write survives a power cut.
func (u *up) syncCheck(ctx context.Context) []*apiv1.Check {
	if u.facts == nil {
		return host.SyncUnseen(ctx)
	}
	if f := u.facts(); !f.SyncAlways {
		return []*apiv1.Check{{Name: "sync", Level: apiv1.Check_LEVEL_WARNING, Finding: fmt.Sprintf("writes are flushed every %s: a power cut loses acknowledged requests", f.SyncInterval), Remedy: "start without --no-sync"}}
	}
	return []*apiv1.Check{{Name: "sync", Level: apiv1.Check_LEVEL_OK, Finding: "every write is flushed before it is acknowledged"}}
}

// greet says where everything is and what to try; more is said about how it runs.
func (u *up) greet(more string) {
	fmt.Printf("\nSlipway is up. Data in %s, configuration %s\n\n", u.Data, u.config)
	if u.sandbox != nil {
		fmt.Printf("  Sandbox  %s   (a stand-in Slack in your browser)\n", u.sandbox.URL())
	} else {
		fmt.Printf("  Slack    %s/slack/events   (the request URL of your app; Socket Mode needs none)\n", u.url())
	}
	fmt.Printf("  API      %s   (Connect, gRPC and plain JSON; /healthz /readyz /metrics)\n%s\nTry:\n", u.url(), more)
	first := hints(u.config)[0] // what this configuration understands
	if u.example {
		first = "/deploy hello to staging"
	}
	if u.sandbox != nil {
		fmt.Printf("  1. open the sandbox and type   %s\n", first)
	} else {
		fmt.Printf("  1. in Slack, type              %s\n", first)
	}
	if u.example {
		fmt.Printf("  2. a job there                 /slipway test say hello to Ann\n")
		fmt.Printf("  3. a job from a terminal       %s\n", u.command("run test/hello name=Ann --follow"))
	} else {
		fmt.Printf("  2. what else can be run        /slipway jobs\n")
		fmt.Printf("  3. the same in a terminal      %s\n", u.command("jobs"))
	}
	fmt.Printf("  4. in another terminal         %s\n  5. see what it checks          %s\n\nCtrl-C stops; starting again goes on where it stopped.\n\n", u.command("runs"), u.command("doctor"))
}

// command is how to run another command of this program, as this one was run.
func (u *up) command(name string) string {
	line := os.Args[0] + " " + name
	if strings.Contains(os.Args[0], "go-build") { // a passing place of the Go tool
		line = "go run ./cmd/slipway " + name
	}
	if url := u.url(); url != defaultServer {
		line += " --server " + url
	}
	return line
}
