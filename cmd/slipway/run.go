package main

import (
	"context"
	"crypto/rand"
	"errors"
	"strings"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/slipway-hq/slipway/domain/grammar"
	apiv1 "github.com/slipway-hq/slipway/gen/slipway/api/v1"
)

// RunCmd asks for a run of a job.
type RunCmd struct {
	Job         string        `arg:"" name:"namespace/job" help:"The job, as slipway jobs lists it."`
	Arguments   []string      `arg:"" optional:"" sep:"none" name:"name=value" help:"Its parameters."`
	In          time.Duration `placeholder:"DURATION" help:"Start it so much later."`
	At          string        `placeholder:"TIME" help:"Start it then: 14:30, or 2026-12-24 14:30, in this machine's zone unless another stands behind it."`
	DespiteHold string        `placeholder:"REASON" help:"Start it although a hold is on it, where the policy lets you; say why."`
	Key         string        `placeholder:"KEY" help:"Idempotency key: the same key always means the same run."`
	Wait        bool          `xor:"stay" help:"Show the run until it ends, and exit by its outcome."`
	Follow      bool          `short:"f" xor:"stay" help:"Print its output until it ends, and exit by its outcome."`
}

// Help shows examples.
func (RunCmd) Help() string {
	return "An equal request that waits already is one execution with this one: --wait and --follow\nthen follow that one.\n\nExamples:\n\n  slipway run op/deploy\n  slipway run test/hello_name name='Ann Lee' --follow\n  slipway run op/deploy --at 14:30 --key nightly-17\n  slipway run op/deploy --despite-hold 'fixes the outage' --wait"
}

// Run asks, and asks again while it is not known whether it was heard.
func (c *RunCmd) Run(g *Globals) error {
	req, err := c.request(time.Now())
	if err != nil {
		return err
	}
	return g.follow(func(ctx context.Context, api *client) error {
		run, err := again(ctx, func(ctx context.Context) (*apiv1.Run, error) {
			resp, err := api.jobs.RunJob(ctx, req)
			return resp.GetRun(), err
		})
		if err != nil {
			return err
		}
		if c.Follow {
			return g.followJob(ctx, api, run)
		}
		return g.accepted(ctx, api, run, c.Wait)
	})
}

// request is the command line as the API takes it.
func (c *RunCmd) request(now time.Time) (*apiv1.RunJobRequest, error) {
	namespace, job, err := jobName(c.Job)
	if err != nil {
		return nil, err
	}
	params, err := assignments(c.Arguments)
	if err != nil {
		return nil, err
	}
	req := &apiv1.RunJobRequest{Namespace: namespace, Job: job, Parameters: params, IdempotencyKey: c.Key, DespiteHold: c.DespiteHold}
	if req.GetIdempotencyKey() == "" {
		req.IdempotencyKey = rand.Text() // ours, so that asking again means the same run
	}
	switch {
	case c.In != 0 && c.At != "":
		return nil, &failure{code: exitUsage, message: "--in and --at exclude each other"}
	case c.In < 0:
		return nil, &failure{code: exitUsage, message: "--in lies in the past"}
	case c.In > 0:
		req.StartAfter = timestamppb.New(now.Add(c.In))
	case c.At != "":
		at, err := grammar.ParseMoment(c.At, now, time.Local)
		if err != nil {
			return nil, ungrammaticalTime(err)
		}
		req.StartAfter = timestamppb.New(at)
	}
	return req, nil
}

// ungrammaticalTime says how a time is written, and no sentence of Slack's.
func ungrammaticalTime(err error) error {
	f := &failure{code: exitUsage, message: err.Error()}
	var e *grammar.Error
	if errors.As(err, &e) {
		f.message = shellWords.Replace(e.Sentence)
	}
	return f
}

// jobName splits NAMESPACE/JOB.
func jobName(text string) (namespace, job string, err error) {
	namespace, job, ok := strings.Cut(text, "/")
	if !ok || namespace == "" || job == "" || strings.Contains(job, "/") {
		return "", "", &failure{code: exitUsage, message: grammar.Quote(text) + " is no job", next: "write NAMESPACE/JOB; `slipway jobs` lists them"}
	}
	return namespace, job, nil
}

// assignments reads NAME=VALUE words.
func assignments(words []string) (map[string]string, error) {
	out := map[string]string{}
	for _, word := range words {
		name, value, ok := strings.Cut(word, "=")
		if !ok || name == "" {
			return nil, &failure{code: exitUsage, message: grammar.Quote(word) + " is no NAME=VALUE"}
		}
		if _, twice := out[name]; twice {
			return nil, &failure{code: exitUsage, message: "the parameter " + grammar.Quote(name) + " is set twice"}
		}
		out[name] = value
	}
	return out, nil
}

// followJob prints the output of a run, and of the one that executes for it.
func (g *Globals) followJob(ctx context.Context, c *client, run *apiv1.Run) error {
	if !g.JSON {
		g.notef("%s %s, asked by %s\n", name(run), title(run), clean(run.GetRequester()))
	}
	for range maxMerges {
		logs := &LogsCmd{ID: run.GetId(), Follow: true}
		if err := logs.print(ctx, c, g); err != nil {
			return err
		}
		// The output ends with the run; how it ended may be known a moment later.
		end := &follower{lost: g.lost, heard: time.Now()}
		if err := end.runs(ctx, c, run.GetId(), 0, func(r *apiv1.Run) { run = r }); err != nil {
			return err
		}
		if run.GetStatus() != apiv1.RunStatus_RUN_STATUS_MERGED {
			break
		}
		g.merged(run)
		run = &apiv1.Run{Id: run.GetMergedInto()}
	}
	if !g.JSON {
		g.notef("%s %s\n", name(run), standing(run))
	}
	return outcome(run)
}

// maxMerges bounds how often one run hands over to another: it does so once,
// unless that one is absorbed as well.
const maxMerges = 10

// merged tells that another run executes for this one.
func (g *Globals) merged(run *apiv1.Run) {
	if !g.JSON {
		g.notef("%s is one execution with %s, which goes on here\n", name(run), run.GetMergedInto())
	}
}
