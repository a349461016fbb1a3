package main

import (
	"fmt"
	"io"
	"log/slog"
	"os"
	"strconv"

	"github.com/alecthomas/kong"

	"github.com/slipway-hq/slipway/internal/settings"
	"github.com/slipway-hq/slipway/internal/topology"
)

// CLI is the tree of commands.
type CLI struct {
	Globals

	Up UpCmd `cmd:"" group:"serve" help:"Run everything here: embedded NATS, all services, the sandbox."`

	Deploy  DeployCmd  `cmd:"" group:"runs" help:"Ask for a deployment."`
	Run     RunCmd     `cmd:"" group:"runs" help:"Ask for a run of a job."`
	Status  StatusCmd  `cmd:"" group:"runs" help:"Say what runs and waits now and why, or all about one run."`
	Runs    RunsCmd    `cmd:"" group:"runs" help:"List runs, newest first."`
	Jobs    JobsCmd    `cmd:"" group:"runs" help:"List the jobs that can be run, and what people say to run them."`
	History HistoryCmd `cmd:"" group:"runs" help:"Search what jobs did, newest first."`
	Watch   WatchCmd   `cmd:"" group:"runs" help:"Follow a run until it ends."`
	Logs    LogsCmd    `cmd:"" group:"runs" help:"Print what the steps of a run printed."`
	Events  EventsCmd  `cmd:"" group:"runs" help:"Print the history of a run."`
	Cancel  CancelCmd  `cmd:"" group:"runs" help:"Ask for the end of a run."`
	Retry   RetryCmd   `cmd:"" group:"runs" help:"Start a run again, carrying finished steps over."`
	Answer  AnswerCmd  `cmd:"" group:"runs" help:"Answer the question that a run waits with."`
	Lanes   LanesCmd   `cmd:"" group:"runs" help:"List the queues, and why each run waits; change one."`
	Holds   HoldsCmd   `cmd:"" group:"runs" help:"Keep jobs from starting for a while."`

	Schedules SchedulesCmd `cmd:"" group:"runs" help:"List the schedules, pause, resume and trigger them."`

	Replica ReplicaCmd `cmd:"" hidden:"" help:"One process of slipway up --cluster 3."`
	Sandbox SandboxCmd `cmd:"" group:"serve" help:"Run only the stand-in for Slack."`

	Doctor    DoctorCmd    `cmd:"" group:"operate" help:"Check what an operator would."`
	Runners   RunnersCmd   `cmd:"" group:"operate" help:"List the runners that are alive, and what each runs."`
	Replay    ReplayCmd    `cmd:"" group:"operate" help:"Refold the whole log and compare with the live view."`
	Release   ReleaseCmd   `cmd:"" group:"operate" help:"Give the slot of a quarantined run to others."`
	Dead      DeadCmd      `cmd:"" group:"operate" help:"Look at messages that could not be handled."`
	Backup    BackupCmd    `cmd:"" group:"operate" help:"Copy everything that is kept, and check such a copy."`
	Restore   RestoreCmd   `cmd:"" group:"operate" help:"Bring a copy back into an empty place."`
	Bootstrap BootstrapCmd `cmd:"" group:"operate" help:"Create streams and buckets on a NATS cluster."`
	Env       EnvCmd       `cmd:"" group:"operate" help:"Deploy to the local environment of slipway up."`

	Init       InitCmd       `cmd:"" group:"setup" help:"Write a commented slipway.yaml for this repository."`
	Config     ConfigCmd     `cmd:"" group:"setup" help:"Check slipway.yaml, or print its JSON Schema."`
	Import     ImportCmd     `cmd:"" group:"setup" help:"Take over the configuration of another system."`
	Manifest   ManifestCmd   `cmd:"" group:"setup" help:"Print the manifest that creates the Slack app."`
	Completion CompletionCmd `cmd:"" group:"setup" help:"Print completions for a shell."`
	Version    VersionCmd    `cmd:"" group:"setup" help:"Print the version."`
}

// groups are the headings of --help.
var groups = map[string]string{
	"serve":   "Serve",
	"runs":    "Runs and queues",
	"operate": "Operate",
	"setup":   "Set up",
}

// newParser reads the command line into cli.
func newParser(cli *CLI, stdout, stderr io.Writer) (*kong.Kong, error) {
	return kong.New(cli, append(settings.Options(),
		kong.Name("slipway"),
		kong.Vars{"server": defaultServer, "store": strconv.FormatInt(topology.DefaultStore, 10)},
		kong.Description("Deployments and jobs from Slack and from here, durable."),
		kong.Help(help),
		kong.Bind(&cli.Globals),
		kong.ConfigureHelp(kong.HelpOptions{Compact: true}),
		kong.ExplicitGroups(explicitGroups()),
		kong.Writers(stdout, stderr),
	)...)
}

// help is kong's, and below the list of commands the exit codes.
func help(o kong.HelpOptions, ctx *kong.Context) error {
	if err := kong.DefaultHelpPrinter(o, ctx); err != nil || ctx.Selected() != nil {
		return err
	}
	_, err := fmt.Fprintf(ctx.Stdout, "\n%s", exitTable())
	return err
}

func explicitGroups() []kong.Group {
	var out []kong.Group
	for _, key := range []string{"serve", "runs", "operate", "setup"} {
		out = append(out, kong.Group{Key: key, Title: groups[key] + ":"})
	}
	return out
}

// run does what args say and returns the exit code.
func run(args []string, stdout, stderr io.Writer) int {
	if len(args) == 0 {
		args = []string{"--help"}
	}
	cli := &CLI{}
	cli.Globals.out, cli.Globals.err = stdout, stderr
	parser, err := newParser(cli, stdout, stderr)
	if err != nil {
		fmt.Fprintln(stderr, "slipway:", err)
		return exitFailed
	}
	cli.Globals.parser = parser
	command, err := parser.Parse(args)
	if err != nil {
		return report(&cli.Globals, &failure{code: exitUsage, message: err.Error(), next: "`slipway --help` lists the commands, `slipway COMMAND --help` explains one"})
	}
	return report(&cli.Globals, command.Run())
}

// Globals are the flags of every command, and where it speaks.
type Globals struct {
	Server string       `env:"SLIPWAY_API_URL" default:"${server}" placeholder:"URL" help:"Address of the Slipway API. Its token comes from SLIPWAY_API_TOKEN or SLIPWAY_API_TOKEN_FILE."`
	JSON   bool         `name:"json" help:"Print JSON: one document, or one per line where it goes on."`
	Log    settings.Log `embed:""`

	out, err io.Writer    `kong:"-"`
	parser   *kong.Kong   `kong:"-"`
	log      *slog.Logger `kong:"-"`
}

// AfterApply makes the logger, which writes beside the answer.
func (g *Globals) AfterApply() (err error) {
	g.log, err = g.Log.Logger(g.err)
	return err
}

// printf writes a part of the answer.
func (g *Globals) printf(format string, args ...any) { fmt.Fprintf(g.out, format, args...) }

// notef writes what is not part of the answer.
func (g *Globals) notef(format string, args ...any) { fmt.Fprintf(g.err, format, args...) }

// outPaint colours the answer when a person sees it.
func (g *Globals) outPaint() paint { return paint(colourful(g.out)) }

// file is the terminal's file behind w, or nil.
func file(w io.Writer) *os.File {
	f, _ := w.(*os.File)
	return f
}
