package main

import (
	"context"
	"strings"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/slipway-hq/slipway/domain/grammar"
	apiv1 "github.com/slipway-hq/slipway/gen/slipway/api/v1"
)

// HistoryCmd searches runs of jobs.
type HistoryCmd struct {
	Job     string   `arg:"" optional:"" name:"namespace/job" help:"Only this namespace, or this job of it."`
	By      string   `placeholder:"WHO" help:"Only what this person or tool asked for: U012ABC or api:NAME."`
	Since   string   `placeholder:"TIME" help:"Only what was asked for since then: 7d, 24h, today, 2026-11-01."`
	Until   string   `placeholder:"TIME" help:"Only what was asked for before then."`
	Outcome []string `placeholder:"STATUS" help:"Only what ended so: succeeded, failed, cancelled, timed-out, refused, merged. Or what has not ended: queued, running, waiting."`
	Param   []string `sep:"none" placeholder:"NAME=VALUE" help:"Only with this argument; may be repeated."`
	Limit   uint32   `default:"20" placeholder:"N" help:"How many, at most 200."`
	Page    string   `placeholder:"TOKEN" help:"Go on where the page before ended."`
}

// Help shows examples.
func (HistoryCmd) Help() string {
	return "Newest first.\n\nExamples:\n\n  slipway history op/deploy --since 7d --outcome failed,timed-out\n  slipway history rota --by U012ABC --param day=monday\n  slipway history --since 2026-11-01 --until 2026-12-01 --json | jq -r '.runs[].id'"
}

// Run lists one page.
func (c *HistoryCmd) Run(g *Globals) error {
	req, err := c.request(time.Now())
	if err != nil {
		return err
	}
	return g.ask(func(ctx context.Context, api *client) error {
		resp, err := api.runs.ListRuns(ctx, req)
		if err != nil {
			return err
		}
		if g.JSON {
			return g.printProto(resp)
		}
		if len(resp.GetRuns()) == 0 {
			g.notef("nothing like that was run\n")
			return nil
		}
		g.printRuns(resp.GetRuns())
		if resp.GetNextPageToken() != "" {
			g.notef("more: the same with --page %s\n", resp.GetNextPageToken())
		}
		return nil
	})
}

func (c *HistoryCmd) request(now time.Time) (*apiv1.ListRunsRequest, error) {
	outcomes, err := statuses(c.Outcome)
	if err != nil {
		return nil, err
	}
	params, err := assignments(c.Param)
	if err != nil {
		return nil, err
	}
	req := &apiv1.ListRunsRequest{Kind: "job", Requester: c.By, Statuses: outcomes, Parameters: params, PageSize: c.Limit, PageToken: c.Page}
	req.Namespace = c.Job
	if strings.Contains(c.Job, "/") {
		if req.Namespace, req.Job, err = jobName(c.Job); err != nil {
			return nil, err
		}
	}
	if req.Since, err = lookBack(c.Since, now); err != nil {
		return nil, err
	}
	req.Until, err = lookBack(c.Until, now)
	return req, err
}

// lookBack reads a moment that lies behind; empty is none.
func lookBack(text string, now time.Time) (*timestamppb.Timestamp, error) {
	if text == "" {
		return nil, nil
	}
	at, err := grammar.ParseSince(text, now, time.Local)
	if err != nil {
		return nil, ungrammaticalTime(err)
	}
	return timestamppb.New(at), nil
}
