package main

import (
	"context"
	"strconv"

	apiv1 "github.com/slipway-hq/slipway/gen/slipway/api/v1"
)

// EventsCmd prints a run's history.
type EventsCmd struct {
	ID string `arg:"" help:"Id of the run, or its unique beginning."`
}

// Help shows examples.
func (EventsCmd) Help() string {
	return "What is printed is the run: everything else is derived from it. FENCE is the claim under which a runner wrote.\n\nExamples:\n\n  slipway events d-4f7kq\n  slipway events d-4f7kq --json | jq '.events[].json | fromjson'"
}

// Run prints all events, oldest first.
func (c *EventsCmd) Run(g *Globals) error {
	return g.ask(func(ctx context.Context, api *client) error {
		resp, err := api.runs.GetRunEvents(ctx, &apiv1.GetRunEventsRequest{Id: c.ID})
		if err != nil {
			return err
		}
		if g.JSON {
			return g.printProto(resp)
		}
		t := table{head: []string{"SEQUENCE", "TIME", "BY", "EVENT", "FENCE", "WHAT"}}
		for _, e := range resp.GetEvents() {
			fence := ""
			if e.GetFence() > 0 {
				fence = strconv.FormatUint(e.GetFence(), 10)
			}
			t.add(text(strconv.FormatUint(e.GetSequence(), 10)), text(at(e.GetTime())), text(e.GetActor()), cell{e.GetName(), bold}, text(fence), text(e.GetSentence()))
		}
		t.write(g.out, g.outPaint())
		return nil
	})
}
