package orchestrator

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/slipway-hq/slipway/domain/grammar"
	"github.com/slipway-hq/slipway/domain/pipeline"
	"github.com/slipway-hq/slipway/domain/policy"
	"github.com/slipway-hq/slipway/domain/run"
	"github.com/slipway-hq/slipway/domain/schedule"
	eventv1 "github.com/slipway-hq/slipway/gen/slipway/event/v1"
)

// planned is a schedule of the configuration in force.
type planned struct {
	// name is "NAMESPACE/NAME".
	name, namespace string
	config          pipeline.Schedule
	spec            schedule.Spec
	misfire         schedule.Misfire
	// channel is told of its runs; may be empty.
	channel string
}

// timetable is all of them, by name.
type timetable map[string]planned

// timetableOf reads the schedules of a configuration; problems are by name.
func timetableOf(cfg pipeline.Config) (timetable, map[string]error) {
	times, problems := timetable{}, map[string]error{}
	for namespace, ns := range cfg.Namespaces {
		for short, c := range ns.Schedules {
			name := namespace + "/" + short
			spec, err := schedule.ParseSpec(c.Cron, c.At, c.Zone)
			if err != nil {
				problems[name] = err
				continue
			}
			times[name] = planned{
				name: name, namespace: namespace, config: c, spec: spec, misfire: misfireOf(c.Misfire),
				channel: cmp.Or(c.Channel, ns.DefaultChannel),
			}
		}
	}
	return times, problems
}

// misfireLimit is how many missed ticks "all" makes up for, when the
// configuration does not say.
const misfireLimit = 100

func misfireOf(m pipeline.Misfire) schedule.Misfire {
	policies := map[string]schedule.Policy{pipeline.MisfireSkip: schedule.Skip, pipeline.MisfireAll: schedule.All}
	return schedule.Misfire{
		Policy: policies[m.Policy], Grace: cmp.Or(m.Grace, pipeline.DefaultMisfireGrace), Limit: cmp.Or(m.Limit, misfireLimit),
	}
}

// find returns a schedule by its name, with or without its namespace.
func (t timetable) find(asked string) (planned, error) {
	if p, ok := t[asked]; ok {
		return p, nil
	}
	names := slices.Sorted(maps.Keys(t))
	var fit, known []string
	for _, name := range names {
		_, short, _ := strings.Cut(name, "/")
		known = append(known, name, short)
		if strings.EqualFold(name, asked) || strings.EqualFold(short, asked) {
			fit = append(fit, name)
		}
	}
	switch {
	case len(fit) == 1:
		return t[fit[0]], nil
	case len(fit) > 1:
		return planned{}, &run.Refusal{Code: "E-SCHEDULE-WHICH", Sentence: fmt.Sprintf("Several schedules are called %s: say %s.", grammar.Quote(asked), strings.Join(fit, " or "))}
	case len(names) == 0:
		return planned{}, &run.Refusal{Code: schedule.ErrAbsent.Code, Sentence: "The configuration has no schedules."}
	}
	return planned{}, &run.Refusal{Code: schedule.ErrAbsent.Code, Sentence: fmt.Sprintf("I know no schedule %s.%s", grammar.Quote(asked), didYouMean(grammar.Suggest(asked, known, maxSuggested)))}
}

func (p planned) arm(cfg *adopted, now time.Time) schedule.Arm {
	return schedule.Arm{Schedule: p.name, Spec: p.spec, Paused: p.config.Paused, ConfigSequence: cfg.sequence, Now: now}
}

// text is the times as configured.
func (p planned) text() string { return cmp.Or(p.config.Cron, p.config.At) }

// startFiring starts the run of a firing, or returns the refusal that is recorded
// in its place. asked, when it has a principal, is the person who triggers it;
// that it may run was checked when the firing was decided on, or by whoever
// wrote the schedule.
func (d *desk) startFiring(ctx context.Context, cfg *adopted, p planned, f schedule.Firing, asked asker) (run.State, error) {
	who := asker{
		principal: &eventv1.Principal{Kind: eventv1.Principal_KIND_SYSTEM, Name: "schedule " + p.name},
		subject:   policy.Subject{Kind: policy.KindSystem},
		origin:    &eventv1.Origin{Door: eventv1.Origin_DOOR_SCHEDULE, Channel: p.channel, Source: p.name},
	}
	if f.Cause != eventv1.ScheduleFired_CAUSE_CLOCK {
		who.principal, who.command = f.By, f.Key
	}
	if asked.origin.GetChannel() != "" {
		who.origin = asked.origin
	}
	return d.startJob(ctx, who, jobWish{
		identity: f.Identity(p.name), namespace: p.namespace, job: p.config.Job, parameters: p.config.Params, record: true,
	})
}
