package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	apiv1 "github.com/slipway-hq/slipway/gen/slipway/api/v1"
	"github.com/slipway-hq/slipway/sandbox"
)

// row is one way to run the product, and what was measured of it.
type row struct {
	Name     string `json:"name"`
	Service  string `json:"service"`
	Notifier bool   `json:"notifier"`
	Slots    int    `json:"slots"`
	Servers  int    `json:"servers"` // NATS servers that run apart; 0: one in the process

	RunsPerSecond samples `json:"runs_per_second"`
	Cost          samples `json:"processor_ms_per_run"`
	FromSlack     samples `json:"runs_per_second_from_slack"`
	Idle          rounds  `json:"start_to_complete_idle"`
	Ack           rounds  `json:"ack_at_50_per_second"`
	AckSaturated  rounds  `json:"ack_saturated"`
	Status        rounds  `json:"status_saturated"`
	StatusHalf    rounds  `json:"status_at_half_load"`
	Peak          int64   `json:"peak_bytes"`
	Resting       int64   `json:"resting_bytes"`

	process *process
	servers *servers
	newest  atomic.Pointer[string] // id of the run that was started last
}

// plan says how much is measured.
type plan struct {
	Rounds  int
	Each    time.Duration // of a saturated round
	Idle    int           // runs of an idle round
	History int           // events of the cold start
	Ended   int           // runs before kill -9
	// Finished runs behind the start of each service.
	Finished int
	Failover int    // rounds of failing over
	Fails    string // what fails; empty: everything
	Dir      string
	Profile  string // folder for profiles of the saturated rounds; empty: none
}

const (
	// ackRate is what a busy workspace sends, and far more.
	ackRate = 50
	// warmUp comes before: connections, the directory of people, pages of memory.
	warmUp = time.Second
	// statusRate is how often somebody asks for a status during a round.
	statusRate = 50
)

// round measures everything of a row once.
func (r *row) round(ctx context.Context, p plan, slack *sandbox.Server) error {
	whole, stages, began, err := idle(ctx, r.process, r.Service, p.Idle)
	if err != nil {
		return fmt.Errorf("idle: %w", err)
	}
	r.Idle.add(whole)
	if os.Getenv("SLIPWAY_BENCH_STAGES") != "" {
		printStages(stages, began)
	}
	ask := func(ctx context.Context) error { return r.process.slash(ctx, slack, r.Service) }
	if _, err := paced(ctx, ackRate, warmUp, ask); err != nil {
		return fmt.Errorf("warm up: %w", err)
	}
	acks, err := paced(ctx, ackRate, p.Each, ask)
	if err != nil {
		return fmt.Errorf("ack at %d/s: %w", ackRate, err)
	}
	r.Ack.add(acks)
	if err := r.process.settle(ctx); err != nil {
		return err
	}
	profiled := r.process.profile(ctx, p, r.Service)
	speed, cost, status, err := r.saturated(ctx, p.Each, r.start)
	profiled()
	if err != nil {
		return fmt.Errorf("saturated: %w", err)
	}
	r.RunsPerSecond = append(r.RunsPerSecond, speed)
	r.Cost.add(cost)
	r.Status.add(status)
	if err := r.half(ctx, p, int(speed/2)); err != nil {
		return fmt.Errorf("half load: %w", err)
	}
	var mu sync.Mutex
	var took samples
	fromSlack, _, _, err := r.saturated(ctx, p.Each, func(ctx context.Context) error {
		at := time.Now()
		err := ask(ctx)
		mu.Lock()
		defer mu.Unlock()
		took.add(time.Since(at))
		return err
	})
	if err != nil {
		return fmt.Errorf("saturated from Slack: %w", err)
	}
	r.FromSlack = append(r.FromSlack, fromSlack)
	r.AckSaturated.add(took)
	return nil
}

// saturated is a saturated round beside which somebody asks for the status.
func (r *row) saturated(ctx context.Context, d time.Duration, ask func(context.Context) error) (speed float64, cost time.Duration, status samples, err error) {
	var group sync.WaitGroup
	var failed error
	group.Go(func() { status, failed = r.statuses(ctx, d) })
	speed, cost, err = saturate(ctx, r.process, window(r.Slots), d, ask)
	group.Wait()
	if err == nil {
		err = failed
	}
	return speed, cost, status, err
}

func (r *row) start(ctx context.Context) error {
	started, err := r.process.startRun(ctx, r.Service)
	if err == nil {
		id := started.GetId()
		r.newest.Store(&id)
	}
	return err
}

// statuses asks for the run that was started last.
func (r *row) statuses(ctx context.Context, d time.Duration) (samples, error) {
	if err := r.start(ctx); err != nil {
		return nil, err
	}
	return paced(ctx, statusRate, d, func(ctx context.Context) error {
		ctx, cancel := context.WithTimeout(ctx, quickly)
		defer cancel()
		_, err := r.process.runs.GetRun(ctx, &apiv1.GetRunRequest{Id: *r.newest.Load()})
		return err
	})
}

// half asks for the status while half of what saturates is asked for.
func (r *row) half(ctx context.Context, p plan, perSecond int) error {
	var group sync.WaitGroup
	var failed, asked error
	var status samples
	group.Go(func() { status, asked = r.statuses(ctx, p.Each) })
	_, failed = paced(ctx, max(1, perSecond), p.Each, r.start)
	group.Wait()
	r.StatusHalf.add(status)
	if failed == nil {
		failed = asked
	}
	if failed != nil {
		return failed
	}
	return r.process.settle(ctx)
}

// floorRow is what the committer alone does.
type floorRow struct {
	RunsPerSecond samples `json:"runs_per_second"`
	Sizes         []int   `json:"commit_bytes"`
	process       *process
}

// grantBytes is what one more run adds to a grant, freed slot included.
const grantBytes = 60

func (f *floorRow) round(ctx context.Context, p plan) error {
	var runs int64
	if err := f.process.ask(ctx, "POST", "/bench/floor", floorJob{Writers: window(quickSlots), For: p.Each, Sizes: f.Sizes, Grant: grantBytes}, &runs); err != nil {
		return fmt.Errorf("floor: %w", err)
	}
	f.RunsPerSecond = append(f.RunsPerSecond, float64(runs)/p.Each.Seconds())
	return nil
}

// sizesOf returns the bytes of the commits of a real run.
func sizesOf(ctx context.Context, p *process, service string) ([]int, error) {
	_, stages, _, err := idle(ctx, p, service, 1)
	if err != nil {
		return nil, err
	}
	var sizes []int
	for _, c := range stages[0] {
		sizes = append(sizes, c.Bytes)
	}
	return sizes, nil
}

// printStages shows where the time of an idle run goes: for each commit of the
// run, when it was asked for and confirmed, in ms since the request, medians.
func printStages(stages [][]commit, began []int64) {
	for i := range stages[0] {
		var asked, confirmed samples
		for n, s := range stages {
			if i < len(s) {
				asked.add(time.Duration(s[i].Asked - began[n]))
				confirmed.add(time.Duration(s[i].Confirmed - began[n]))
			}
		}
		fmt.Printf("  commit %d: asked %.2f, confirmed %.2f\n", i+1, asked.quantile(0.5), confirmed.quantile(0.5))
	}
}

// starts is what the bench says of starting.
type starts struct {
	Ended          int     `json:"ended_runs"`
	RecoveryReady  samples `json:"recovery_ready_ms"`
	RecoveryResume samples `json:"recovery_first_resumed_step_ms"`
	Events         int     `json:"history_events"`
	ColdReady      samples `json:"cold_ready_ms"`
	ColdBytes      int64   `json:"cold_resident_bytes"`
	ColdPeak       int64   `json:"cold_peak_bytes"`
}

// recovery kills a process that has a run under way and many behind it, and
// times its successor, again and again.
func (s *starts) recovery(ctx context.Context, p plan, j job) error {
	j.Dir = filepath.Join(p.Dir, "recovery")
	child, err := start(ctx, j)
	if err != nil {
		return err
	}
	s.Ended = p.Ended
	var left sync.Mutex
	n := p.Ended
	var group sync.WaitGroup
	errs := make([]error, workers)
	for i := range workers {
		group.Go(func() {
			for errs[i] == nil {
				left.Lock()
				n--
				more := n >= 0
				left.Unlock()
				if !more {
					return
				}
				_, errs[i] = child.startRun(ctx, serviceQuick)
			}
		})
	}
	group.Wait()
	if err := first(errs, child.settle(ctx)); err != nil {
		return err
	}
	if _, err := child.startRun(ctx, serviceStuck); err != nil {
		return err
	}
	for range p.Rounds {
		if _, err := child.await(ctx, wordStarted); err != nil {
			return err
		}
		if err := child.kill(); err != nil {
			return err
		}
		if child, err = s.again(ctx, j); err != nil {
			return err
		}
	}
	return child.kill()
}

// again starts the successor and notes when it is ready, and when the step that
// was interrupted starts again.
func (s *starts) again(ctx context.Context, j job) (*process, error) {
	child, err := start(ctx, j)
	if err != nil {
		return nil, err
	}
	s.RecoveryReady.add(time.Since(child.born))
	l, err := child.await(ctx, wordStarted)
	if err != nil {
		return nil, err
	}
	s.RecoveryResume.add(l.at.Sub(child.born))
	child.past = append(child.past, l) // for the next round
	return child, nil
}

func first(errs []error, more ...error) error {
	for _, err := range append(errs, more...) {
		if err != nil {
			return err
		}
	}
	return nil
}

// cold starts a process on a long history, several times.
func (s *starts) cold(ctx context.Context, p plan, j job) error {
	j.Dir = filepath.Join(p.Dir, "history")
	if err := history(ctx, j.Dir, allSteps, func(_, events int) bool { return events >= p.History }); err != nil {
		return fmt.Errorf("write a history: %w", err)
	}
	fmt.Fprintf(os.Stderr, "history of %d events written\n", p.History)
	s.Events = p.History
	for range p.Rounds {
		child, err := start(ctx, j)
		if err != nil {
			return err
		}
		s.ColdReady.add(time.Since(child.born))
		now, peak := child.memory()
		s.ColdBytes, s.ColdPeak = now, max(s.ColdPeak, peak)
		if err := child.kill(); err != nil {
			return err
		}
	}
	return nil
}
