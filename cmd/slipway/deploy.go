package main

import (
	"context"
	"crypto/rand"
	"errors"
	"maps"
	"strings"
	"time"

	"connectrpc.com/connect"

	"github.com/slipway-hq/slipway/domain/grammar"
	apiv1 "github.com/slipway-hq/slipway/gen/slipway/api/v1"
)

// DeployCmd asks for a deployment.
type DeployCmd struct {
	Words []string `arg:"" optional:"" name:"sentence" help:"SERVICE[@REF] [to ENV] [KEY=VALUE]..., as after /deploy. What is left out is the configuration's default."`
	Param []string `sep:"none" placeholder:"KEY=VALUE" help:"Set a parameter; may be repeated."`
	Key   string   `placeholder:"KEY" help:"Idempotency key: the same key always means the same run."`
	Wait  bool     `help:"Show the run until it ends, and exit by its outcome."`
}

// Help shows examples.
func (DeployCmd) Help() string {
	return "Examples:\n\n  slipway deploy\n  slipway deploy hello to staging\n  slipway deploy hello@v1.2 to production --param replicas=3 --wait\n  slipway deploy hello to staging --key ci-1234 --json"
}

// Run asks, and asks again while it is not known whether it was heard.
func (d *DeployCmd) Run(g *Globals) error {
	req, err := d.request()
	if err != nil {
		return err
	}
	return g.follow(func(ctx context.Context, c *client) error {
		run, err := start(ctx, c, req)
		if err != nil {
			return err
		}
		return g.accepted(ctx, c, run, d.Wait)
	})
}

// request is the sentence as the API takes it.
func (d *DeployCmd) request() (*apiv1.StartRunRequest, error) {
	s, err := grammar.Parse("/deploy", strings.Join(d.Words, " "))
	if err != nil {
		return nil, ungrammatical(err)
	}
	if s.Verb != grammar.VerbDeploy {
		return nil, &failure{code: exitUsage, message: "that is not a deployment", next: "`slipway deploy --help` shows examples"}
	}
	params, err := parameters(s.Parameters, d.Param)
	if err != nil {
		return nil, err
	}
	key := d.Key
	if key == "" {
		key = rand.Text() // ours, so that asking again means the same run
	}
	return &apiv1.StartRunRequest{Service: s.Service, Environment: s.Environment, Version: s.Ref, Parameters: params, IdempotencyKey: key}, nil
}

// shellWords says on a terminal what a sentence says in Slack.
var shellWords = strings.NewReplacer("`/deploy", "`slipway deploy", "`/slipway", "`slipway", "`/check_status", "`slipway status")

func ungrammatical(err error) error {
	f := &failure{code: exitUsage, message: err.Error()}
	var e *grammar.Error
	if errors.As(err, &e) {
		f.message = shellWords.Replace(e.Sentence)
		if e.Usage != "" {
			f.next = "usage: slipway " + strings.TrimPrefix(e.Usage, "/")
		}
	}
	return f
}

// parameters joins those of the sentence and of --param.
func parameters(said map[string]string, flags []string) (map[string]string, error) {
	out := maps.Clone(said)
	if out == nil {
		out = map[string]string{}
	}
	for _, flag := range flags {
		key, value, ok := strings.Cut(flag, "=")
		if !ok || key == "" {
			return nil, &failure{code: exitUsage, message: "--param wants KEY=VALUE, not " + grammar.Quote(flag)}
		}
		if _, twice := out[key]; twice {
			return nil, &failure{code: exitUsage, message: "the parameter " + grammar.Quote(key) + " is set twice"}
		}
		out[key] = value
	}
	return out, nil
}

const (
	// startTries is how often a start is asked for when its outcome is unknown:
	// together with startPause longer than the election of a new leader.
	startTries = 5
	startPause = time.Second
)

// start asks for a run. "Not confirmed" is asked again with the same key, which
// can not start a second run.
func start(ctx context.Context, c *client, req *apiv1.StartRunRequest) (*apiv1.Run, error) {
	return again(ctx, func(ctx context.Context) (*apiv1.Run, error) {
		resp, err := c.runs.StartRun(ctx, req)
		return resp.GetRun(), err
	})
}

// again repeats a call that is safe to repeat while the API says unavailable. A
// server that does not answer at all is not waited for.
func again(ctx context.Context, call func(context.Context) (*apiv1.Run, error)) (*apiv1.Run, error) {
	for try := 1; ; try++ {
		one, cancel := context.WithTimeout(ctx, callTimeout)
		run, err := call(one)
		cancel()
		if err == nil || try == startTries || connect.CodeOf(err) != connect.CodeUnavailable || !connect.IsWireError(err) {
			return run, err
		}
		select {
		case <-time.After(startPause):
		case <-ctx.Done():
			return nil, err
		}
	}
}

// accepted says that a run exists and what can be done now, or follows it.
func (g *Globals) accepted(ctx context.Context, c *client, run *apiv1.Run, wait bool) error {
	if wait {
		if !g.JSON {
			g.printf("%s %s, asked by %s\n", g.outPaint().in(bold, name(run)), title(run), clean(run.GetRequester()))
		}
		return g.wait(ctx, c, run)
	}
	if g.JSON {
		return g.printProto(run)
	}
	g.printf("%s %s, asked by %s\n", g.outPaint().in(bold, name(run)), title(run), clean(run.GetRequester()))
	g.printf("%s\n", g.outPaint().in(statusColours[run.GetStatus()], standing(run)))
	if !ended(run.GetStatus()) {
		g.notef("see it: slipway watch %[1]s   what it prints: slipway logs %[1]s --follow   stop it: slipway cancel %[1]s\n", name(run))
		return nil
	}
	return outcome(run)
}

// wait follows a run to its end.
func (g *Globals) wait(ctx context.Context, c *client, run *apiv1.Run) error {
	last, err := g.show(ctx, c, run.GetId(), 0, true)
	for n := 0; err == nil && last.GetStatus() == apiv1.RunStatus_RUN_STATUS_MERGED && n < maxMerges; n++ {
		g.merged(last)
		last, err = g.show(ctx, c, last.GetMergedInto(), 0, true)
	}
	if err != nil {
		if ctx.Err() != nil {
			g.notef("not waiting any longer; %s goes on: slipway watch %[1]s\n", name(run))
		}
		return err
	}
	if g.JSON {
		if err := g.printProto(last); err != nil {
			return err
		}
	}
	return outcome(last)
}
