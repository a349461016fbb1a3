package main

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	apiv1 "github.com/slipway-hq/slipway/gen/slipway/api/v1"
)

const (
	// workers is how many requests are under way at once in a saturated round.
	workers = 128
	// quickSlots is how many runs that do nothing are under way at once, realSlots
	// how many that start processes, which only wait for each other's processor.
	quickSlots = 500
	realSlots  = 16
	// quickly bounds one request of a measurement.
	quickly = 10 * time.Second
)

// window is how many runs are asked for and not ended in a saturated round: some
// more than can be under way, so that always some wait.
func window(slots int) int { return slots + slots/5 }

// saturate keeps so many runs asked for for as long as d, by calls of ask, and
// returns how many ended per second after the first quarter, which warms up, and
// the processor time that the child used for each.
func saturate(ctx context.Context, p *process, window int, d time.Duration, ask func(context.Context) error) (perSecond float64, cost time.Duration, err error) {
	ctx, cancel := context.WithTimeout(ctx, d)
	defer cancel()
	room := make(chan struct{}, window)
	for range window {
		room <- struct{}{}
	}
	meter := meter{used: p.processor}
	var group sync.WaitGroup
	group.Go(func() {
		last := -1
		_ = p.counts(ctx, func(n int) {
			if last >= 0 {
				for range n - last {
					select {
					case room <- struct{}{}:
					default: // of an earlier round
					}
				}
			}
			last = n
			meter.note(n, d/4)
		})
	})
	var failed atomic.Pointer[error]
	for range workers {
		group.Go(func() {
			for {
				select {
				case <-room:
				case <-ctx.Done():
					return
				}
				if err := ask(context.WithoutCancel(ctx)); err != nil {
					failed.Store(&err)
					cancel()
					return
				}
			}
		})
	}
	group.Wait()
	if err := failed.Load(); err != nil {
		return 0, 0, *err
	}
	return meter.rate(), meter.cost(), p.settle(context.WithoutCancel(ctx))
}

// meter is the speed of a counter, from when it has run for a while.
type meter struct {
	born        time.Time
	from, until time.Time
	first, last int

	used          func() time.Duration
	before, after time.Duration
}

func (m *meter) note(n int, warm time.Duration) {
	now := time.Now()
	switch {
	case m.born.IsZero():
		m.born = now
	case now.Sub(m.born) < warm:
	case m.from.IsZero():
		m.from, m.first, m.before = now, n, m.used()
	}
	m.until, m.last, m.after = now, n, m.used()
}

func (m *meter) cost() time.Duration {
	return (m.after - m.before) / time.Duration(max(1, m.last-m.first))
}

func (m *meter) rate() float64 {
	if m.from.IsZero() || !m.until.After(m.from) {
		return 0
	}
	return float64(m.last-m.first) / m.until.Sub(m.from).Seconds()
}

// settle returns when nothing is active any more.
func (p *process) settle(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, startWait)
	defer cancel()
	for {
		active, err := p.runs.ListRuns(ctx, &apiv1.ListRunsRequest{Active: true, PageSize: 1})
		if err != nil {
			return err
		}
		if len(active.GetRuns()) == 0 {
			return nil
		}
		r := active.GetRuns()[0]
		if _, err := p.runs.GetRun(ctx, &apiv1.GetRunRequest{Id: r.GetId(), AfterSequence: r.GetSequence()}); err != nil {
			return err
		}
	}
}

// startRun asks for a run through the API.
func (p *process) startRun(ctx context.Context, service string) (*apiv1.Run, error) {
	ctx, cancel := context.WithTimeout(ctx, quickly)
	defer cancel()
	answer, err := p.runs.StartRun(ctx, &apiv1.StartRunRequest{Service: service, Environment: environment})
	return answer.GetRun(), err
}

var errNotEnded = errors.New("a run did not succeed")

// end waits for the end of a run.
func (p *process) end(ctx context.Context, r *apiv1.Run) error {
	ctx, cancel := context.WithTimeout(ctx, startWait)
	defer cancel()
	for r.GetFinished() == nil {
		answer, err := p.runs.GetRun(ctx, &apiv1.GetRunRequest{Id: r.GetId(), AfterSequence: r.GetSequence()})
		if err != nil {
			return err
		}
		r = answer.GetRun()
	}
	if r.GetStatus() != apiv1.RunStatus_RUN_STATUS_SUCCEEDED {
		return errNotEnded
	}
	return nil
}

// idle starts runs one after the other and returns, of each, the time from the
// request to the confirmed end commit, and the stages between.
func idle(ctx context.Context, p *process, service string, n int) (whole samples, stages [][]commit, began []int64, err error) {
	if err := p.ask(ctx, "POST", "/bench/tap?on=true", nil, nil); err != nil {
		return nil, nil, nil, err
	}
	for i := range n + n/4 {
		at := time.Now()
		r, err := p.startRun(ctx, service)
		if err == nil {
			err = p.end(ctx, r)
		}
		if err != nil {
			return nil, nil, nil, err
		}
		commits, err := p.commits(ctx, r.GetId())
		if err != nil || len(commits) == 0 {
			return nil, nil, nil, errors.Join(errNotEnded, err)
		}
		if i < n/4 {
			continue // to warm up
		}
		whole.add(time.Duration(commits[len(commits)-1].Confirmed - at.UnixNano()))
		stages, began = append(stages, commits), append(began, at.UnixNano())
	}
	return whole, stages, began, p.ask(ctx, "POST", "/bench/tap?on=false", nil, nil)
}

// paced calls ask so often per second for d, whether or not the earlier calls
// have returned, and returns how long each took from when it was due.
func paced(ctx context.Context, perSecond int, d time.Duration, ask func(context.Context) error) (samples, error) {
	var mu sync.Mutex
	var took samples
	var failed error
	var group sync.WaitGroup
	every := time.Second / time.Duration(perSecond)
	begin := time.Now()
	for due := begin; due.Before(begin.Add(d)); due = due.Add(every) {
		select {
		case <-time.After(time.Until(due)):
		case <-ctx.Done():
			return took, ctx.Err()
		}
		sent := time.Now() // the pace is a timer's, whose own delay is not the product's
		group.Go(func() {
			err := ask(ctx)
			mu.Lock()
			defer mu.Unlock()
			took.add(time.Since(sent))
			failed = errors.Join(failed, err)
		})
	}
	group.Wait()
	return took, failed
}
