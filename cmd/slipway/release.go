package main

import (
	"context"

	apiv1 "github.com/slipway-hq/slipway/gen/slipway/api/v1"
)

// ReleaseCmd gives the slot of a quarantined run to others.
type ReleaseCmd struct {
	ID     string `arg:"" help:"Id of the run, or its unique beginning."`
	Reason string `required:"" placeholder:"TEXT" help:"Why, for those who look later."`
}

// Help shows examples.
func (ReleaseCmd) Help() string {
	return "A run whose history is damaged keeps its slot, because nobody can know whether\nits processes live. Make sure that they do not, then give the slot to others.\n\nExamples:\n\n  slipway release d-4f7kq --reason \"runner machine is gone\""
}

// Run asks once; asking again changes nothing.
func (r *ReleaseCmd) Run(g *Globals) error {
	return g.ask(func(ctx context.Context, api *client) error {
		resp, err := api.lanes.ReleaseSlot(ctx, &apiv1.ReleaseSlotRequest{Id: r.ID, Reason: r.Reason})
		if err != nil {
			return err
		}
		if g.JSON {
			return g.printProto(resp)
		}
		g.printf("lane %s has its slot back\n", resp.GetLane())
		return nil
	})
}
