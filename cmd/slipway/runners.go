package main

import (
	"cmp"
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/slipway-hq/slipway/domain/roster"
	apiv1 "github.com/slipway-hq/slipway/gen/slipway/api/v1"
)

// RunnersCmd lists the runners that are alive.
type RunnersCmd struct{}

// Help shows examples.
func (RunnersCmd) Help() string { return "Examples:\n\n  slipway runners\n  slipway runners --json" }

// Run lists them.
func (*RunnersCmd) Run(g *Globals) error {
	return g.ask(func(ctx context.Context, c *client) error {
		resp, err := c.system.ListRunners(ctx, &apiv1.ListRunnersRequest{})
		if err != nil {
			return err
		}
		if g.JSON {
			return g.printProto(resp)
		}
		g.printRunners(resp.GetRunners(), time.Now())
		return nil
	})
}

func (g *Globals) printRunners(runners []*apiv1.Runner, now time.Time) {
	if len(runners) == 0 {
		g.printf("No runner is alive: what is granted waits for one. Start one with the pool that it waits for.\n")
		return
	}
	t := table{head: []string{"RUNNER", "HOST", "POOLS", "LABELS", "BUSY", "LEASE", "VERSION", "RUNS"}}
	for _, r := range runners {
		busy := fmt.Sprintf("%d of %d", len(r.GetRuns()), r.GetCapacity())
		if r.GetDraining() {
			busy += ", draining"
		}
		var runs []string
		for _, run := range r.GetRuns() {
			runs = append(runs, run.GetShortId())
		}
		lease := max(0, now.Sub(r.GetRenewed().AsTime())).Round(time.Second).String() + " old"
		name := cmp.Or(r.GetName(), r.GetHost())
		t.add(text(name), text(r.GetHost()), text(strings.Join(r.GetPools(), " ")), text(roster.Text(r.GetLabels())), text(busy), text(lease), text(r.GetVersion()), text(strings.Join(runs, " ")))
	}
	t.write(g.out, g.outPaint())
}
