package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"github.com/slipway-hq/slipway/internal/lifecycle"
	"github.com/slipway-hq/slipway/internal/localenv"
)

// EnvCmd reaches the local environment of slipway up.
type EnvCmd struct {
	Deploy EnvDeployCmd `cmd:"" help:"Serve a program there, and wait until it is healthy."`
	Status EnvStatusCmd `cmd:"" help:"Say what each environment serves."`
}

// envSocket says where the environments are.
type envSocket struct {
	URL string `name:"env-url" env:"SLIPWAY_LOCALENV_URL" placeholder:"unix://PATH" help:"Socket of the local environment; steps of slipway up find it in their environment."`
}

func (e envSocket) check() error {
	if e.URL != "" {
		return nil
	}
	return &failure{code: exitUsage, message: "where is the local environment?", next: "SLIPWAY_LOCALENV_URL is set for the steps that `slipway up` runs; elsewhere name it with --env-url"}
}

// EnvDeployCmd deploys a program; it is what the example's last step calls.
type EnvDeployCmd struct {
	envSocket

	Environment string        `required:"" placeholder:"NAME" help:"Where to: staging or production."`
	Artefact    string        `required:"" placeholder:"FILE" help:"The program to serve. It listens on the address in ADDR and answers on /healthz."`
	Service     string        `env:"SLIPWAY_SERVICE" placeholder:"NAME" help:"Which service it is."`
	Version     string        `env:"SLIPWAY_VERSION" placeholder:"TEXT" help:"Which version it is."`
	RunID       string        `name:"run" env:"SLIPWAY_RUN" placeholder:"ID" help:"The run that deploys."`
	Fence       uint64        `env:"SLIPWAY_FENCE" placeholder:"N" help:"Fence of that run's claim; an older one than the last is refused."`
	Timeout     time.Duration `default:"1m" help:"How long to wait for a healthy release."`
}

// Help shows examples.
func (EnvDeployCmd) Help() string {
	return "Asking again for the same release changes nothing, so a step with it is safe to repeat.\n\nExamples:\n\n  slipway env deploy --environment staging --artefact dist/hello"
}

// Run deploys and waits.
func (e *EnvDeployCmd) Run(g *Globals) error {
	if err := e.check(); err != nil {
		return err
	}
	artefact, err := filepath.Abs(e.Artefact)
	if err != nil {
		return fmt.Errorf("find the artefact: %w", err)
	}
	return reachEnv(e.Timeout, func(ctx context.Context) error {
		s, err := localenv.Deploy(ctx, e.URL, localenv.Request{
			Environment: e.Environment, Service: e.Service, Version: e.Version, Run: e.RunID, Fence: e.Fence, Artefact: artefact,
		})
		if err != nil {
			return err
		}
		if g.JSON {
			return g.printJSON(s)
		}
		how := "serves"
		if s.Unchanged {
			how = "already serves"
		}
		g.printf("%s %s %s %s at %s\n", s.Environment, how, s.Service, s.Version, s.URL)
		return nil
	})
}

// EnvStatusCmd lists the environments.
type EnvStatusCmd struct {
	envSocket
}

// statusTimeout bounds a question to a socket of this machine.
const statusTimeout = 10 * time.Second

// Run prints the table.
func (e *EnvStatusCmd) Run(g *Globals) error {
	if err := e.check(); err != nil {
		return err
	}
	return reachEnv(statusTimeout, func(ctx context.Context) error {
		all, err := localenv.List(ctx, e.URL)
		if err != nil {
			return err
		}
		if g.JSON {
			return g.printJSON(all)
		}
		t := table{head: []string{"ENV", "STATE", "SERVICE", "VERSION", "RUN", "URL", "RESTARTS"}}
		for _, s := range all {
			restarts := ""
			if s.Restarts > 0 {
				restarts = fmt.Sprint(s.Restarts)
			}
			t.add(cell{s.Environment, bold}, cell{string(s.State), envColours[s.State]}, text(s.Service), text(s.Version), text(s.Run), text(s.URL), text(restarts))
		}
		t.write(g.out, g.outPaint())
		return nil
	})
}

var envColours = map[localenv.State]colour{localenv.Running: green, localenv.Starting: yellow, localenv.Down: red, localenv.Empty: faint}

// envFaults is the one table of what the environment answers.
var envFaults = []struct {
	err  error
	code int
	next string
}{
	{localenv.ErrFence, exitFence, "a newer run deployed here already; this one must not undo it"},
	{localenv.ErrUnhealthy, exitUnhealthy, "what was served before, if anything, is served again; `slipway env status --json` names the log of the service"},
	{localenv.ErrInvalid, exitUsage, ""},
	{localenv.ErrUnavailable, exitUnavailable, ""},
}

func reachEnv(timeout time.Duration, do func(context.Context) error) error {
	ctx, stop := lifecycle.Interruptible(context.Background())
	defer stop()
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	err := do(ctx)
	for _, f := range envFaults {
		if errors.Is(err, f.err) {
			return &failure{code: f.code, message: err.Error(), next: f.next}
		}
	}
	return err
}
