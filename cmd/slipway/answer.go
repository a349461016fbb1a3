package main

import (
	"context"

	apiv1 "github.com/slipway-hq/slipway/gen/slipway/api/v1"
)

// AnswerCmd answers a waiting run.
type AnswerCmd struct {
	ID     string `arg:"" help:"Id of the run, or its unique beginning."`
	Answer string `arg:"" enum:"repeat,done,fail" help:"repeat: start the step again. done: it had finished. fail: it has failed."`
}

// Help shows examples.
func (AnswerCmd) Help() string {
	return "A run asks when a runner was lost in the middle of a step with `resume: ask`.\n\nExamples:\n\n  slipway answer d-4f7kq done"
}

// Run gives the answer.
func (c *AnswerCmd) Run(g *Globals) error {
	return g.ask(func(ctx context.Context, api *client) error {
		resp, err := api.runs.AnswerRun(ctx, &apiv1.AnswerRunRequest{Id: c.ID, Answer: c.Answer})
		if err != nil {
			return err
		}
		return g.changed(resp.GetRun())
	})
}
