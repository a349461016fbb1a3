package main

import (
	"context"

	apiv1 "github.com/slipway-hq/slipway/gen/slipway/api/v1"
)

// CancelCmd asks for the end of a run.
type CancelCmd struct {
	ID     string `arg:"" help:"Id of the run, or its unique beginning."`
	Reason string `placeholder:"TEXT" help:"Why, for those who look later."`
}

// Help shows examples.
func (CancelCmd) Help() string {
	return "The run's processes are asked to stop, and killed after a grace time.\n\nExamples:\n\n  slipway cancel d-4f7kq --reason \"wrong version\""
}

// Run asks once; asking again changes nothing.
func (c *CancelCmd) Run(g *Globals) error {
	return g.ask(func(ctx context.Context, api *client) error {
		resp, err := api.runs.CancelRun(ctx, &apiv1.CancelRunRequest{Id: c.ID, Reason: c.Reason})
		if err != nil {
			return err
		}
		return g.changed(resp.GetRun())
	})
}

// changed prints where a run stands after something was done to it.
func (g *Globals) changed(r *apiv1.Run) error {
	if g.JSON {
		return g.printProto(r)
	}
	g.printf("%s %s: %s\n", g.outPaint().in(bold, name(r)), title(r), g.outPaint().in(statusColours[r.GetStatus()], standing(r)))
	return nil
}
