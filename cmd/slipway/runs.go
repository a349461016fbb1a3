package main

import (
	"context"
	"strings"
	"time"

	"github.com/slipway-hq/slipway/domain/grammar"
	apiv1 "github.com/slipway-hq/slipway/gen/slipway/api/v1"
)

// RunsCmd lists runs.
type RunsCmd struct {
	Service   string   `placeholder:"NAME" help:"Only runs of this service."`
	Env       string   `placeholder:"NAME" help:"Only runs to this environment."`
	Status    []string `placeholder:"STATUS" help:"Only runs with one of these: queued, running, waiting, succeeded, failed, cancelled, timed-out, refused, merged."`
	Requester string   `placeholder:"WHO" help:"Only runs this person or tool asked for: U012ABC or api:NAME."`
	Lane      string   `placeholder:"NAME" help:"Only runs of this lane."`
	Active    bool     `help:"Only runs that have not ended."`
	Limit     uint32   `default:"20" placeholder:"N" help:"How many, at most 200."`
	Page      string   `placeholder:"TOKEN" help:"Go on where the page before ended."`
}

// Help shows examples.
func (RunsCmd) Help() string {
	return "Examples:\n\n  slipway runs --active\n  slipway runs --service hello --env production --status failed,timed-out\n  slipway runs --json | jq -r '.runs[].id'"
}

// Run lists one page.
func (c *RunsCmd) Run(g *Globals) error {
	statuses, err := statuses(c.Status)
	if err != nil {
		return err
	}
	return g.ask(func(ctx context.Context, api *client) error {
		resp, err := api.runs.ListRuns(ctx, &apiv1.ListRunsRequest{
			Service: c.Service, Environment: c.Env, Statuses: statuses, Requester: c.Requester, Lane: c.Lane,
			Active: c.Active, PageSize: c.Limit, PageToken: c.Page,
		})
		if err != nil {
			return err
		}
		if g.JSON {
			return g.printProto(resp)
		}
		g.printRuns(resp.GetRuns())
		if resp.GetNextPageToken() != "" {
			g.notef("more: slipway runs --page %s\n", resp.GetNextPageToken())
		}
		return nil
	})
}

// statuses reads names such as "timed-out".
func statuses(words []string) ([]apiv1.RunStatus, error) {
	var out []apiv1.RunStatus
	for _, word := range words {
		key := "RUN_STATUS_" + strings.ToUpper(strings.NewReplacer("-", "_", " ", "_").Replace(word))
		number, ok := apiv1.RunStatus_value[key]
		if !ok || number == 0 {
			f := &failure{code: exitUsage, message: "there is no status " + grammar.Quote(word)}
			if near := grammar.Suggest(word, statusNames(), 1); len(near) > 0 {
				f.next = "did you mean " + near[0] + "?"
			}
			return nil, f
		}
		out = append(out, apiv1.RunStatus(number))
	}
	return out, nil
}

func statusNames() []string {
	var out []string
	for number := range apiv1.RunStatus_name {
		if number > 0 {
			out = append(out, strings.ReplaceAll(statusWord(apiv1.RunStatus(number)), " ", "-"))
		}
	}
	return out
}

// maxArguments is how much of a job's arguments a table shows.
const maxArguments = 40

// arguments are those of a job; a deployment's parameters are in its status.
func arguments(r *apiv1.Run) string {
	if r.GetJob() == "" {
		return ""
	}
	return fit(pairs(r.GetParameters()), maxArguments)
}

// printRuns is the table of runs.
func (g *Globals) printRuns(runs []*apiv1.Run) {
	if len(runs) == 0 {
		g.notef("no runs; `slipway deploy` starts one\n")
		return
	}
	now := time.Now()
	t := table{head: []string{"ID", "SERVICE", "ENV", "VERSION", "JOB", "ARGUMENTS", "STATUS", "PLACE", "BY", "AGE", "TOOK", "MERGED", "WHY"}}
	for _, r := range runs {
		t.add(
			cell{name(r), bold}, text(r.GetService()), text(r.GetEnvironment()), text(fit(r.GetVersion(), 20)), text(job(r)), text(arguments(r)), statusCell(r), text(place(r)),
			text(r.GetRequester()), text(age(r.GetCreated(), now)), text(took(r.GetStarted(), r.GetFinished(), now)), text(merging(r)), text(r.GetReason()),
		)
	}
	t.write(g.out, g.outPaint())
}
