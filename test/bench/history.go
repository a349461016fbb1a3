package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"path/filepath"
	"sync"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/slipway-hq/slipway/domain/identity"
	"github.com/slipway-hq/slipway/domain/lane"
	"github.com/slipway-hq/slipway/domain/pipeline"
	"github.com/slipway-hq/slipway/domain/run"
	eventv1 "github.com/slipway-hq/slipway/gen/slipway/event/v1"
	"github.com/slipway-hq/slipway/internal/configfile"
	"github.com/slipway-hq/slipway/internal/engine"
	"github.com/slipway-hq/slipway/internal/eventlog"
	"github.com/slipway-hq/slipway/internal/eventlog/jetlog"
	"github.com/slipway-hq/slipway/internal/natsnode"
	"github.com/slipway-hq/slipway/internal/topology"
)

// cohort is how many runs of a made-up history share a grant.
const cohort = quickSlots

// allSteps are those of the measured pipeline.
const allSteps = 3

// history writes a store until there is enough, all of runs of so many steps that have ended, as the services would have left it: through the same decisions and the same
// committer, but without waiting for the disk and without the services.
func history(ctx context.Context, dir string, steps int, enough func(runs, events int) bool) (err error) {
	node, err := natsnode.Start(natsnode.Config{Dir: filepath.Join(dir, "nats"), NoSync: true})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, node.Shutdown(context.WithoutCancel(ctx))) }()
	conn, err := node.Connect("history")
	if err != nil {
		return err
	}
	defer conn.Close()
	js, err := jetstream.New(conn)
	if err != nil {
		return err
	}
	if err := topology.Ensure(ctx, js, topology.Topology(1, topology.LimitsFor(node.Facts().MaxStore))); err != nil {
		return err
	}
	log, err := jetlog.New(conn, topology.StreamEvents)
	if err != nil {
		return err
	}
	return write(ctx, log, steps, enough)
}

func write(ctx context.Context, log eventlog.Log, steps int, enough func(runs, events int) bool) error {
	cfg, problems := configfile.Parse("bench", []byte(configuration(quickSlots)))
	if len(problems) > 0 {
		return problems.Err()
	}
	plan, _, err := pipeline.Resolve(cfg, pipeline.Request{Service: serviceQuick, Environment: environment})
	if err != nil {
		return err
	}
	plan.Steps = plan.GetSteps()[:min(steps, len(plan.GetSteps()))]
	slots := engine.Fresh(log, topology.LaneSubject(plan.GetLane()), lane.State{}, func(s lane.State, r eventlog.Record) lane.State {
		return lane.FoldCommit(s, r.Sequence, r.Commit)
	})
	for runs, events := 0, 0; !enough(runs, events); runs += cohort {
		n, err := writeCohort(ctx, log, plan, slots)
		if err != nil {
			return err
		}
		events += n
	}
	return nil
}

// writeCohort takes a cohort of runs from request to end, and returns how many
// events that took.
func writeCohort(ctx context.Context, log eventlog.Log, plan *eventv1.Plan, slots *engine.Handle[lane.State]) (events int, err error) {
	runs := make([]*past, cohort)
	queue := make([]lane.Unit, cohort)
	waits := map[string]bool{}
	for i := range runs {
		id := identity.RunID(identity.Deployment, rand.Text())
		runs[i] = &past{id: id, Handle: engine.Fresh(log, topology.RunSubject(id), run.State{}, func(s run.State, r eventlog.Record) run.State {
			return run.FoldCommit(s, r.Sequence, r.Commit)
		})}
		queue[i], waits[id] = lane.Unit{Members: []lane.Candidate{{Run: id}}}, true
	}
	if err := each(runs, func(p *past) error { return p.request(ctx, plan) }); err != nil {
		return 0, err
	}
	granted, err := slots.Do(ctx, engine.Meta{Time: time.Now()}, func(s lane.State) ([]*eventv1.Event, error) {
		ended := func(id string) bool { return !waits[id] } // the cohort before has
		return lane.Decide(s, lane.Grant{Lane: plan.GetLane(), Queue: queue, Ended: ended, Settings: plan.GetLaneSettings(), Now: time.Now()})
	})
	if err != nil {
		return 0, err
	}
	if err := each(runs, func(p *past) error { return p.work(ctx, granted.Record.Sequence) }); err != nil {
		return 0, err
	}
	events = 1
	for _, p := range runs {
		events += int(p.Version()) //nolint:gosec // a handful
	}
	return events, nil
}

func each(runs []*past, f func(*past) error) error {
	errs := make([]error, len(runs))
	var group sync.WaitGroup
	for i, p := range runs {
		group.Go(func() { errs[i] = f(p) })
	}
	group.Wait()
	return errors.Join(errs...)
}

// past is one run of a made-up history.
type past struct {
	*engine.Handle[run.State]
	id string
}

func (p *past) request(ctx context.Context, plan *eventv1.Plan) error {
	return p.do(ctx, run.Request{Event: &eventv1.RunRequested{
		Run: p.id, Identity: p.id, Digest: []byte(p.id), Plan: plan, Service: serviceQuick, Environment: environment,
		Origin: &eventv1.Origin{Door: eventv1.Origin_DOOR_API},
	}})
}

func (p *past) work(ctx context.Context, grant uint64) error {
	if err := p.do(ctx, run.TakeClaim{Runner: "r-history", Incarnation: "history", Host: "history", GrantSequence: grant, Now: time.Now()}); err != nil {
		return err
	}
	for s := p.State(); !s.Status.Ended(); s = p.State() {
		if err := p.do(ctx, run.FinishStep{Fence: s.Claim.Fence, Step: s.Current(), Attempt: 1, Now: time.Now()}); err != nil {
			return err
		}
	}
	return nil
}

func (p *past) do(ctx context.Context, c run.Command) error {
	meta := engine.Meta{CommandID: fmt.Sprintf("%T/%d", c, p.Version()), Actor: &eventv1.Principal{Kind: eventv1.Principal_KIND_SYSTEM, Name: "history"}, Time: time.Now()}
	_, err := p.Do(ctx, meta, func(s run.State) ([]*eventv1.Event, error) { return run.Decide(s, c) })
	return err
}
