package main

import (
	"context"
	"strconv"

	"github.com/slipway-hq/slipway/domain/grammar"
	apiv1 "github.com/slipway-hq/slipway/gen/slipway/api/v1"
)

// LanesSetCmd changes a queue at run time.
type LanesSetCmd struct {
	Name    string `arg:"" help:"Name of the queue, as slipway lanes shows it."`
	Limit   string `placeholder:"N" help:"How many may go at once; default gives the limit back to the configuration."`
	Pause   bool   `xor:"pause" help:"Let nothing start. What runs goes on."`
	Resume  bool   `xor:"pause" help:"Let things start again."`
	Because string `required:"" placeholder:"TEXT" help:"Why, for those who wait."`
}

// Help shows examples.
func (LanesSetCmd) Help() string {
	return "It wins over the configuration until it is given back.\n\nExamples:\n\n  slipway lanes set op:deploy --pause --because 'database moves'\n  slipway lanes set reports --limit 4 --because 'end of the month'\n  slipway lanes set reports --limit default --because 'done'"
}

// Run asks once; asking again changes nothing.
func (c *LanesSetCmd) Run(g *Globals) error {
	req, err := c.request()
	if err != nil {
		return err
	}
	return g.ask(func(ctx context.Context, api *client) error {
		resp, err := api.lanes.SetLane(ctx, req)
		if err != nil {
			return err
		}
		if g.JSON {
			return g.printProto(resp)
		}
		g.printLanes([]*apiv1.Lane{resp.GetLane()})
		return nil
	})
}

func (c *LanesSetCmd) request() (*apiv1.SetLaneRequest, error) {
	req := &apiv1.SetLaneRequest{Lane: c.Name, Reason: c.Because}
	if c.Pause || c.Resume {
		req.Paused = &c.Pause
	}
	switch n, err := strconv.ParseUint(c.Limit, 10, 16); {
	case c.Limit == "" && req.Paused == nil:
		return nil, &failure{code: exitUsage, message: "say what to change: --limit, --pause or --resume"}
	case c.Limit == "":
	case c.Limit == "default":
		none := uint32(0)
		req.Concurrency = &none
	case err != nil || n == 0:
		return nil, &failure{code: exitUsage, message: grammar.Quote(c.Limit) + " is no limit", next: "write a number from 1 on, or default; --pause lets nothing start"}
	default:
		limit := uint32(n)
		req.Concurrency = &limit
	}
	return req, nil
}
