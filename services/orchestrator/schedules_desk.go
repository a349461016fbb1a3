package orchestrator

import (
	"context"
	"maps"
	"slices"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/slipway-hq/slipway/domain/board"
	"github.com/slipway-hq/slipway/domain/identity"
	"github.com/slipway-hq/slipway/domain/policy"
	"github.com/slipway-hq/slipway/domain/run"
	"github.com/slipway-hq/slipway/domain/schedule"
	apiv1 "github.com/slipway-hq/slipway/gen/slipway/api/v1"
	eventv1 "github.com/slipway-hq/slipway/gen/slipway/event/v1"
	"github.com/slipway-hq/slipway/internal/engine"
)

// schedules lists what is configured and the asker may see, by name.
func (d *desk) schedules(who policy.Subject) []*apiv1.Schedule {
	cfg := d.config()
	if cfg == nil {
		return nil
	}
	times, _ := timetableOf(cfg.config)
	var out []*apiv1.Schedule
	for _, name := range slices.Sorted(maps.Keys(times)) {
		p := times[name]
		if policy.MaySeeJob(cfg.jobRule(p.namespace, p.config.Job), who) != nil {
			continue
		}
		var st schedule.State
		d.view.proj.Read(func(b *board.Board) { st, _ = b.Schedule(name) })
		out = append(out, shownSchedule(p, st, d.now()))
	}
	return out
}

func shownSchedule(p planned, st schedule.State, now time.Time) *apiv1.Schedule {
	out := &apiv1.Schedule{
		Name: p.name, Job: p.config.Job, Spec: p.text(), Zone: p.spec.Zone().String(),
		Skipped: uint32(min(st.Skipped, 1<<32-1)), //nolint:gosec // bounded
	}
	next := st.Due(p.spec)
	if st.Spec != p.spec.Text() {
		next = p.spec.Next(now) // about to be armed
	}
	if st.Paused != nil {
		next, out.Paused, out.PausedBy, out.Reason = time.Time{}, true, actorName(st.Paused.By), st.Paused.Reason
	}
	if !next.IsZero() {
		out.Next = timestamppb.New(next)
	}
	if st.Last != nil {
		out.Last, out.LastRun = timestamppb.New(st.Last.Tick), st.Last.Run
	}
	return out
}

// planOf finds a schedule that the asker may change: whoever may run its job.
func (d *desk) planOf(who asker, name string) (*adopted, planned, error) {
	cfg := d.config()
	if cfg == nil {
		return nil, planned{}, errNoConfig
	}
	times, _ := timetableOf(cfg.config)
	p, err := times.find(name)
	if err != nil {
		maps.DeleteFunc(times, func(_ string, p planned) bool { // names of a restricted namespace are no suggestions
			return policy.MaySeeJob(cfg.jobRule(p.namespace, p.config.Job), who.subject) != nil
		})
		_, err = times.find(name)
		return cfg, p, err
	}
	if denial := policy.MayRunJob(cfg.jobRule(p.namespace, p.config.Job), who.subject, who.origin.GetChannel()); denial != nil {
		return cfg, p, denial
	}
	return cfg, p, nil
}

// changeSchedule decides on a schedule; one that the clock has not armed yet is
// armed first.
func (d *desk) changeSchedule(ctx context.Context, who asker, cfg *adopted, p planned, c schedule.Command) (engine.Result[schedule.State], error) {
	h := d.scheduleHandle(p.name)
	if err := h.Refresh(ctx); err != nil { // a repeat is answered from what is true now
		return engine.Result[schedule.State]{}, err
	}
	_, err := h.Do(ctx, engine.Meta{Actor: schedulerActor, Time: d.now()}, func(s schedule.State) ([]*eventv1.Event, error) {
		return schedule.Decide(s, p.arm(cfg, d.now()))
	})
	if err != nil {
		return engine.Result[schedule.State]{}, err
	}
	return h.Do(ctx, engine.Meta{CommandID: who.command, Actor: who.principal, Time: d.now()}, func(s schedule.State) ([]*eventv1.Event, error) {
		return schedule.Decide(s, c)
	})
}

// pauseSchedule stops the clock for one schedule.
func (d *desk) pauseSchedule(ctx context.Context, who asker, name, reason string) (*apiv1.Schedule, error) {
	return d.switchSchedule(ctx, who, name, schedule.Pausing{Command: who.command, Reason: clip(reason)})
}

// resumeSchedule starts it again.
func (d *desk) resumeSchedule(ctx context.Context, who asker, name, reason string) (*apiv1.Schedule, error) {
	return d.switchSchedule(ctx, who, name, schedule.Resuming{Command: who.command, Reason: clip(reason)})
}

func (d *desk) switchSchedule(ctx context.Context, who asker, name string, c schedule.Command) (*apiv1.Schedule, error) {
	cfg, p, err := d.planOf(who, name)
	if err != nil {
		return nil, err
	}
	res, err := d.changeSchedule(ctx, who, cfg, p, c)
	if err != nil {
		return nil, err
	}
	return shownSchedule(p, res.State, d.now()), nil
}

// triggerSchedule starts one run now. The same command id means the same run.
func (d *desk) triggerSchedule(ctx context.Context, who asker, name string) (run.State, error) {
	cfg, p, err := d.planOf(who, name)
	if err != nil {
		return run.State{}, err
	}
	id := identity.RunID(identity.Job, schedule.TriggerIdentity(p.name, who.command))
	if d.view.known(id) {
		s, err := d.view.state(ctx, id)
		if err == nil && s.Status == run.Refused {
			err = &run.Refusal{Code: s.Code, Sentence: s.Reason}
		}
		return s, err
	}
	if _, err := d.changeSchedule(ctx, who, cfg, p, schedule.Trigger{Key: who.command, Now: d.now()}); err != nil {
		return run.State{ID: id}, err
	}
	return d.startFiring(ctx, cfg, p, schedule.Firing{Run: id, Cause: eventv1.ScheduleFired_CAUSE_TRIGGERED, Key: who.command, By: who.principal}, who)
}

// backfillSchedule starts the ticks of a time that passed, and returns the ids of
// their runs. It is durable when it returns: what did not start now is started
// by the clock.
func (d *desk) backfillSchedule(ctx context.Context, who asker, name string, since, until time.Time) ([]string, error) {
	cfg, p, err := d.planOf(who, name)
	if err != nil {
		return nil, err
	}
	res, err := d.changeSchedule(ctx, who, cfg, p, schedule.Backfill{Spec: p.spec, Since: since, Until: until, Now: d.now(), Ran: d.view.known})
	if err != nil || !res.Appended {
		return nil, err
	}
	var ids []string
	for _, e := range res.Record.Commit.GetEvents() {
		for _, r := range e.GetScheduleFired().GetRuns() {
			ids = append(ids, r.GetRun())
		}
	}
	for _, f := range res.State.Recent {
		if !slices.Contains(ids, f.Run) {
			continue
		}
		_, err := d.startFiring(ctx, cfg, p, f, asker{})
		if _, refused := refusalOf(err); err != nil && !refused {
			d.logger.Warn("a backfilled run did not start, the clock starts it", "schedule", p.name, "run", f.Run, "error", err)
			break
		}
	}
	return ids, nil
}
