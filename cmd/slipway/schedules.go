package main

import (
	"context"
	"crypto/rand"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/slipway-hq/slipway/domain/grammar"
	apiv1 "github.com/slipway-hq/slipway/gen/slipway/api/v1"
)

// SchedulesCmd is about jobs that start by the clock.
type SchedulesCmd struct {
	List     SchedulesListCmd     `cmd:"" default:"withargs" help:"List the schedules with their last and next tick."`
	Pause    SchedulesPauseCmd    `cmd:"" help:"Stop the clock for a schedule."`
	Resume   SchedulesResumeCmd   `cmd:"" help:"Start the clock of a schedule again."`
	Trigger  SchedulesTriggerCmd  `cmd:"" help:"Run a schedule's job once now."`
	Backfill SchedulesBackfillCmd `cmd:"" help:"Run the ticks of a time that is over."`
}

// SchedulesListCmd lists them.
type SchedulesListCmd struct{}

// Help shows examples.
func (SchedulesListCmd) Help() string {
	return "Examples:\n\n  slipway schedules\n  slipway schedules list --json"
}

// Run lists all.
func (SchedulesListCmd) Run(g *Globals) error {
	return g.ask(func(ctx context.Context, api *client) error {
		resp, err := api.jobs.ListSchedules(ctx, &apiv1.ListSchedulesRequest{})
		if err != nil {
			return err
		}
		if g.JSON {
			return g.printProto(resp)
		}
		if len(resp.GetSchedules()) == 0 {
			g.printf("no schedules\n")
			return nil
		}
		t := table{head: []string{"NAME", "JOB", "WHEN", "ZONE", "NEXT", "LAST", "RUN", "WHY"}}
		for _, s := range resp.GetSchedules() {
			next := at(s.GetNext())
			if s.GetPaused() {
				next = "paused"
			}
			t.add(cell{s.GetName(), bold}, text(s.GetJob()), text(s.GetSpec()), text(s.GetZone()), text(next), text(at(s.GetLast())), text(s.GetLastRun()), text(standingOf(s)))
		}
		t.write(g.out, g.outPaint())
		return nil
	})
}

// standingOf says who paused a schedule and why.
func standingOf(s *apiv1.Schedule) string {
	out := s.GetReason()
	if s.GetPaused() && s.GetPausedBy() != "" {
		out = "paused by " + s.GetPausedBy() + because(out)
	}
	return out
}

// changedSchedule prints where a schedule stands.
func (g *Globals) changedSchedule(s *apiv1.Schedule) error {
	if g.JSON {
		return g.printProto(s)
	}
	if s.GetPaused() {
		g.printf("%s is paused\n", clean(s.GetName()))
		return nil
	}
	g.printf("%s ticks next at %s\n", clean(s.GetName()), at(s.GetNext()))
	return nil
}

// SchedulesPauseCmd pauses one.
type SchedulesPauseCmd struct {
	Name    string `arg:"" name:"namespace/name" help:"The schedule."`
	Because string `required:"" placeholder:"TEXT" help:"Why, for those who wait for it."`
}

// Help shows examples.
func (SchedulesPauseCmd) Help() string {
	return "What is missed meanwhile follows its misfire policy.\n\nExamples:\n\n  slipway schedules pause rota/monday --because 'holidays'"
}

// Run asks once; asking again changes nothing.
func (c *SchedulesPauseCmd) Run(g *Globals) error {
	return g.ask(func(ctx context.Context, api *client) error {
		resp, err := api.jobs.PauseSchedule(ctx, &apiv1.PauseScheduleRequest{Name: c.Name, Reason: c.Because})
		if err != nil {
			return err
		}
		return g.changedSchedule(resp.GetSchedule())
	})
}

// SchedulesResumeCmd resumes one.
type SchedulesResumeCmd struct {
	Name    string `arg:"" name:"namespace/name" help:"The schedule."`
	Because string `placeholder:"TEXT" help:"Why, for those who look later."`
}

// Help shows examples.
func (SchedulesResumeCmd) Help() string { return "Examples:\n\n  slipway schedules resume rota/monday" }

// Run asks once; asking again changes nothing.
func (c *SchedulesResumeCmd) Run(g *Globals) error {
	return g.ask(func(ctx context.Context, api *client) error {
		resp, err := api.jobs.ResumeSchedule(ctx, &apiv1.ResumeScheduleRequest{Name: c.Name, Reason: c.Because})
		if err != nil {
			return err
		}
		return g.changedSchedule(resp.GetSchedule())
	})
}

// SchedulesTriggerCmd runs one now.
type SchedulesTriggerCmd struct {
	Name string `arg:"" name:"namespace/name" help:"The schedule."`
	Key  string `placeholder:"KEY" help:"Idempotency key: the same key always means the same run."`
	Wait bool   `help:"Show the run until it ends, and exit by its outcome."`
}

// Help shows examples.
func (SchedulesTriggerCmd) Help() string {
	return "Paused or not; its ticks stay as they are.\n\nExamples:\n\n  slipway schedules trigger rota/monday --wait"
}

// Run asks, and asks again while it is not known whether it was heard.
func (c *SchedulesTriggerCmd) Run(g *Globals) error {
	key := c.Key
	if key == "" {
		key = rand.Text()
	}
	return g.follow(func(ctx context.Context, api *client) error {
		run, err := again(ctx, func(ctx context.Context) (*apiv1.Run, error) {
			resp, err := api.jobs.TriggerSchedule(ctx, &apiv1.TriggerScheduleRequest{Name: c.Name, IdempotencyKey: key})
			return resp.GetRun(), err
		})
		if err != nil {
			return err
		}
		return g.accepted(ctx, api, run, c.Wait)
	})
}

// SchedulesBackfillCmd makes up for ticks.
type SchedulesBackfillCmd struct {
	Name  string `arg:"" name:"namespace/name" help:"The schedule."`
	Since string `required:"" placeholder:"TIME" help:"From when on: 7d, 24h, yesterday, 2026-11-01."`
	Until string `placeholder:"TIME" help:"Until before when. Left out: now."`
}

// Help shows examples.
func (SchedulesBackfillCmd) Help() string {
	return "Each tick runs at most once ever, whoever asks. At most 100 ticks at once.\n\nExamples:\n\n  slipway schedules backfill rota/monday --since 2026-11-01"
}

// Run asks for the ticks; asking again runs none twice.
func (c *SchedulesBackfillCmd) Run(g *Globals) error {
	now := time.Now()
	since, err := lookBack(c.Since, now)
	if err != nil {
		return err
	}
	until := timestamppb.New(now)
	if c.Until != "" {
		if until, err = lookBack(c.Until, now); err != nil {
			return err
		}
	}
	if !since.AsTime().Before(until.AsTime()) {
		return &failure{code: exitUsage, message: grammar.Quote(c.Since) + " is not before " + grammar.Quote(c.Until)}
	}
	return g.ask(func(ctx context.Context, api *client) error {
		resp, err := api.jobs.BackfillSchedule(ctx, &apiv1.BackfillScheduleRequest{Name: c.Name, Since: since, Until: until})
		if err != nil {
			return err
		}
		if g.JSON {
			return g.printProto(resp)
		}
		if len(resp.GetRuns()) == 0 {
			g.printf("every tick of that time had its run\n")
		}
		for _, id := range resp.GetRuns() {
			g.printf("%s\n", clean(id))
		}
		return nil
	})
}
