package main

import (
	"context"
	"slices"
	"strings"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/slipway-hq/slipway/domain/grammar"
	apiv1 "github.com/slipway-hq/slipway/gen/slipway/api/v1"
)

// HoldsCmd keeps jobs from starting for a while.
type HoldsCmd struct {
	List    HoldsListCmd    `cmd:"" default:"withargs" help:"List the holds, active and coming."`
	Set     HoldsSetCmd     `cmd:"" help:"Keep a job from starting for a while. What is asked for meanwhile waits."`
	Release HoldsReleaseCmd `cmd:"" help:"End the holds of a job."`
}

// HoldsListCmd lists holds.
type HoldsListCmd struct{}

// Help shows examples.
func (HoldsListCmd) Help() string { return "Examples:\n\n  slipway holds\n  slipway holds list --json" }

// Run lists them by their start.
func (HoldsListCmd) Run(g *Globals) error {
	return g.ask(func(ctx context.Context, api *client) error {
		resp, err := api.lanes.ListLanes(ctx, &apiv1.ListLanesRequest{})
		if err != nil {
			return err
		}
		var all []*apiv1.Hold
		for _, l := range resp.GetLanes() {
			all = append(all, l.GetHolds()...)
		}
		slices.SortStableFunc(all, func(a, b *apiv1.Hold) int { return a.GetFrom().AsTime().Compare(b.GetFrom().AsTime()) })
		if g.JSON {
			return g.printProto(&apiv1.ReleaseHoldsResponse{Released: all})
		}
		if len(all) == 0 {
			g.printf("no holds\n")
			return nil
		}
		t := table{head: []string{"ID", "JOB", "FROM", "UNTIL", "NOW", "BY", "WHY"}}
		for _, h := range all {
			now := ""
			if h.GetActive() {
				now = "active"
			}
			t.add(cell{h.GetId(), bold}, text(held(h)), text(at(h.GetFrom())), text(at(h.GetUntil())), cell{now, yellow}, text(h.GetBy()), text(h.GetReason()))
		}
		t.write(g.out, g.outPaint())
		return nil
	})
}

// held is what a hold keeps from starting.
func held(h *apiv1.Hold) string {
	if h.GetJob() != "" {
		return h.GetJob()
	}
	return "all of lane " + h.GetLane()
}

// HoldsSetCmd sets one.
type HoldsSetCmd struct {
	Job     string   `arg:"" name:"namespace/job" help:"The job."`
	Window  []string `arg:"" help:"11:20-11:30, 1120 to 1130, until 15:00, for 2h, or with dates: 2026-11-30 22:00 to 2026-12-01 06:00. In this machine's zone unless one stands behind it."`
	Because string   `required:"" placeholder:"TEXT" help:"Why, for those who wait."`
}

// Help shows examples.
func (HoldsSetCmd) Help() string {
	return "Several windows may be set. A running one goes on.\n\nExamples:\n\n  slipway holds set op/deploy 11:20-11:30 --because 'talk to the press'\n  slipway holds set op/deploy for 2h --because 'database moves'"
}

// Run sets it.
func (c *HoldsSetCmd) Run(g *Globals) error {
	if _, _, err := jobName(c.Job); err != nil {
		return err
	}
	from, until, err := grammar.ParseWindow(strings.Join(c.Window, " "), time.Now(), time.Local)
	if err != nil {
		return ungrammaticalTime(err)
	}
	return g.ask(func(ctx context.Context, api *client) error {
		resp, err := api.lanes.HoldJob(ctx, &apiv1.HoldJobRequest{Job: c.Job, From: timestamppb.New(from), Until: timestamppb.New(until), Reason: c.Because})
		if err != nil {
			return err
		}
		if g.JSON {
			return g.printProto(resp)
		}
		h := resp.GetHold()
		g.printf("%s is held from %s until %s (%s)\n", clean(held(h)), at(h.GetFrom()), at(h.GetUntil()), clean(h.GetId()))
		g.notef("end it: slipway holds release %s\n", c.Job)
		return nil
	})
}

// HoldsReleaseCmd ends holds.
type HoldsReleaseCmd struct {
	Job     string `arg:"" name:"namespace/job" help:"The job."`
	Hold    string `placeholder:"ID" help:"Only this hold. Left out: all of the job's, current and coming."`
	Because string `placeholder:"TEXT" help:"Why, for those who look later."`
}

// Help shows examples.
func (HoldsReleaseCmd) Help() string {
	return "Examples:\n\n  slipway holds release op/deploy\n  slipway holds release op/deploy --hold h-2 --because 'over early'"
}

// Run ends them; asking again changes nothing.
func (c *HoldsReleaseCmd) Run(g *Globals) error {
	if _, _, err := jobName(c.Job); err != nil {
		return err
	}
	return g.ask(func(ctx context.Context, api *client) error {
		resp, err := api.lanes.ReleaseHolds(ctx, &apiv1.ReleaseHoldsRequest{Job: c.Job, Hold: c.Hold, Reason: c.Because})
		if err != nil {
			return err
		}
		if g.JSON {
			return g.printProto(resp)
		}
		if len(resp.GetReleased()) == 0 {
			g.printf("%s was not held\n", c.Job)
		}
		for _, h := range resp.GetReleased() {
			g.printf("%s is no longer held from %s until %s\n", clean(held(h)), at(h.GetFrom()), at(h.GetUntil()))
		}
		return nil
	})
}
