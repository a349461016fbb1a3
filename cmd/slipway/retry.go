package main

import (
	"context"
	"crypto/rand"

	apiv1 "github.com/slipway-hq/slipway/gen/slipway/api/v1"
)

// RetryCmd starts a run again.
type RetryCmd struct {
	ID   string `arg:"" help:"Id of the run that ended, or its unique beginning."`
	Key  string `placeholder:"KEY" help:"Idempotency key: the same key always means the same new run."`
	Wait bool   `help:"Show the new run until it ends, and exit by its outcome."`
}

// Help shows examples.
func (RetryCmd) Help() string {
	return "The new run has an id of its own, and carries over what had finished.\n\nExamples:\n\n  slipway retry d-4f7kq --wait"
}

// Run asks for the new run.
func (c *RetryCmd) Run(g *Globals) error {
	req := &apiv1.RetryRunRequest{Id: c.ID, IdempotencyKey: c.Key}
	if req.GetIdempotencyKey() == "" {
		req.IdempotencyKey = rand.Text()
	}
	return g.follow(func(ctx context.Context, api *client) error {
		run, err := again(ctx, func(ctx context.Context) (*apiv1.Run, error) {
			resp, err := api.runs.RetryRun(ctx, req)
			return resp.GetRun(), err
		})
		if err != nil {
			return err
		}
		return g.accepted(ctx, api, run, c.Wait)
	})
}
