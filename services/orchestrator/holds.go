package orchestrator

import (
	"context"
	"crypto/rand"
	"fmt"
	"slices"
	"strings"

	"github.com/slipway-hq/slipway/domain/board"
	"github.com/slipway-hq/slipway/domain/lane"
	"github.com/slipway-hq/slipway/domain/pipeline"
	"github.com/slipway-hq/slipway/domain/policy"
	"github.com/slipway-hq/slipway/domain/run"
	apiv1 "github.com/slipway-hq/slipway/gen/slipway/api/v1"
	eventv1 "github.com/slipway-hq/slipway/gen/slipway/event/v1"
	"github.com/slipway-hq/slipway/internal/engine"
	"github.com/slipway-hq/slipway/internal/topology"
)

// held is a job that somebody wants to hold or release, and its lane.
type held struct{ namespace, job, lane string }

func (h held) name() string { return board.JobName(h.namespace, h.job) }

// holdable finds the job that a person names, "NAMESPACE/JOB" or JOB when only
// one namespace has it, and checks that he may.
func (d *desk) holdable(who asker, asked string) (held, error) {
	cfg := d.config()
	if cfg == nil {
		return held{}, errNoConfig
	}
	var h held
	var refusal *pipeline.Refusal
	namespace, job, qualified := strings.Cut(asked, "/")
	if !qualified {
		if namespace, job = cfg.onlyJob(asked), asked; namespace == "" {
			return held{}, &run.Refusal{Code: "E-JOB-WHICH", Sentence: fmt.Sprintf("Which job is that: say NAMESPACE/JOB. `jobs` lists them. I know no single one called %q.", asked)}
		}
	}
	if h.namespace, refusal = cfg.config.FindNamespace(namespace); refusal != nil {
		return held{}, refusal
	}
	if h.job, refusal = cfg.config.FindJob(h.namespace, job); refusal != nil {
		return held{}, refusal
	}
	h.lane = cfg.config.JobLane(h.namespace, h.job)
	if denial := policy.MayRunJob(cfg.jobRule(h.namespace, h.job), who.subject, who.origin.GetChannel()); denial != nil {
		return held{}, denial
	}
	return h, nil
}

// onlyJob is the one namespace that has a job of this name; empty: none, or
// several.
func (a *adopted) onlyJob(job string) string {
	var found []string
	for name, ns := range a.config.Namespaces {
		if _, ok := ns.Jobs[job]; ok {
			found = append(found, name)
		}
	}
	if len(found) != 1 {
		return ""
	}
	return found[0]
}

// hasLane tells whether a job of the configuration queues there.
func (a *adopted) hasLane(name string) bool {
	if a == nil {
		return false
	}
	if _, ok := a.config.Lanes[name]; ok {
		return true
	}
	for namespace, ns := range a.config.Namespaces {
		for job := range ns.Jobs {
			if a.config.JobLane(namespace, job) == name {
				return true
			}
		}
	}
	return false
}

// hold keeps a job from starting for a while. The same command delivered again
// is the same hold.
func (d *desk) hold(ctx context.Context, who asker, job string, h lane.Hold) (string, lane.Hold, error) {
	target, err := d.holdable(who, job)
	if err != nil {
		return "", h, err
	}
	command := who.command
	if command == "" {
		command = rand.Text()
	}
	h.ID, h.Job, h.Reason, h.By = "h-"+topology.Token("hold|" + command)[:8], target.name(), clip(h.Reason), who.principal
	_, err = d.decideLane(ctx, who, target.lane, func(s lane.State) ([]*eventv1.Event, error) {
		return lane.SetHold(s, target.lane, h, d.now())
	})
	return target.lane, h, err
}

// releaseHolds ends the holds of a job, or the one with this id.
func (d *desk) releaseHolds(ctx context.Context, who asker, job, id, reason string) (string, []lane.Hold, error) {
	target, err := d.holdable(who, job)
	if err != nil {
		return "", nil, err
	}
	var released []lane.Hold
	_, err = d.decideLane(ctx, who, target.lane, func(s lane.State) ([]*eventv1.Event, error) {
		events, err := lane.ReleaseHolds(s, target.lane, target.name(), id, clip(reason), d.now())
		released = nil
		for _, e := range events {
			for _, h := range s.Holds {
				if slices.Contains(e.GetHoldReleased().GetHolds(), h.ID) {
					released = append(released, h)
				}
			}
		}
		return events, err
	})
	return target.lane, released, err
}

// setLane pauses, resumes or resizes a lane, and returns the sequence.
func (d *desk) setLane(ctx context.Context, who asker, name string, paused *bool, concurrency *uint32, reason string) (uint64, error) {
	return d.decideLane(ctx, who, name, func(s lane.State) ([]*eventv1.Event, error) {
		return lane.SetLimits(s, name, paused, concurrency, clip(reason))
	})
}

// decideLane appends what decide says to a lane's subject.
func (d *desk) decideLane(ctx context.Context, who asker, name string, decide func(lane.State) ([]*eventv1.Event, error)) (uint64, error) {
	h, err := engine.Open(ctx, d.log, topology.LaneSubject(name), lane.State{}, foldLane)
	if err != nil {
		return 0, err
	}
	res, err := h.Do(ctx, engine.Meta{CommandID: who.command, Actor: who.principal, Time: d.now()}, decide)
	return res.State.Sequence, err
}

// lane is one lane as the API shows it; nil when it was never used.
func (v *view) lane(name string) (out *apiv1.Lane) {
	v.proj.Read(func(b *board.Board) {
		if ln, ok := b.Lane(name); ok {
			out = apiLane(b, ln, v.world())
		}
	})
	return out
}
