package orchestrator

import (
	"context"
	"errors"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/slipway-hq/slipway/domain/board"
	"github.com/slipway-hq/slipway/domain/schedule"
	eventv1 "github.com/slipway-hq/slipway/gen/slipway/event/v1"
	"github.com/slipway-hq/slipway/internal/engine"
	"github.com/slipway-hq/slipway/internal/eventlog"
	"github.com/slipway-hq/slipway/internal/topology"
)

const (
	// scheduleWorkers bounds the schedules that are decided on at once: at midnight
	// many tick together, and the committer puts them into one batch.
	scheduleWorkers = 16
	// maxCatchUp bounds the commits of one visit, so that one schedule that was
	// missed for long does not hold up the others.
	maxCatchUp = 20
	// triggerGrace is how long a triggered run is left to whoever asked for it, who
	// knows where its report goes.
	triggerGrace = 15 * time.Second
)

// scheduler is the clock: it arms what is configured, decides what becomes of
// each tick and starts the runs. The holder of the dispatcher's office runs it;
// two at once are harmless: they conflict, and a tick's run has one identity.
type scheduler struct {
	desk   *desk
	logger *slog.Logger

	of    *adopted // that timetable is made from
	times timetable

	mu      sync.Mutex
	handles map[string]*scheduleHandle
	started map[string]uint64 // by schedule: its runs up to this sequence have started
}

type scheduleHandle = engine.Handle[schedule.State]

func newScheduler(d *desk, logger *slog.Logger) *scheduler {
	return &scheduler{desk: d, logger: logger}
}

// run ticks until ctx ends.
func (s *scheduler) run(ctx context.Context) error {
	s.handles, s.started = map[string]*scheduleHandle{}, map[string]uint64{} // another replica may have decided meanwhile
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-timer.C:
			timer.Reset(s.round(ctx))
		}
	}
}

// round visits every schedule that has something to do, and returns when to look
// again: at the next tick, but soon enough for a changed configuration and for
// what did not work.
func (s *scheduler) round(ctx context.Context) time.Duration {
	cfg := s.desk.config()
	if cfg == nil {
		return sweepEvery
	}
	if s.of != cfg {
		s.of, s.times = cfg, s.timetable(cfg)
	}
	now, next := s.desk.now(), sweepEvery
	var due []visit
	s.desk.view.proj.Read(func(b *board.Board) {
		for name, p := range s.times {
			st, _ := b.Schedule(name)
			if s.wants(st, p, now) {
				due = append(due, visit{planned: p, cfg: cfg})
			}
			if at := st.Due(p.spec); at.After(now) {
				next = min(next, at.Sub(now))
			}
		}
		b.Schedules(func(name string, st schedule.State) {
			if _, ok := s.times[name]; !ok && st.Armed() && st.ConfigSequence < cfg.sequence {
				due = append(due, visit{planned: planned{name: name}, cfg: cfg, gone: true})
			}
		})
	})
	s.visitAll(ctx, due)
	return next
}

// visit is one schedule that has something to do.
type visit struct {
	planned
	cfg *adopted
	// gone: it is not in the configuration any more.
	gone bool
}

// wants tells whether a schedule has something to do.
func (s *scheduler) wants(st schedule.State, p planned, now time.Time) bool {
	due := st.Due(p.spec)
	s.mu.Lock()
	defer s.mu.Unlock()
	return st.Spec != p.spec.Text() || !due.IsZero() && !due.After(now) || s.started[p.name] < st.Sequence
}

func (s *scheduler) visitAll(ctx context.Context, due []visit) {
	slots := make(chan struct{}, scheduleWorkers)
	var wg sync.WaitGroup
	for _, v := range due {
		slots <- struct{}{}
		wg.Go(func() {
			defer func() { <-slots }()
			ctx, cancel := context.WithTimeout(ctx, commandWait)
			defer cancel()
			if err := s.work(ctx, v); err != nil && !errors.Is(err, context.Canceled) {
				s.logger.Warn("schedule not worked, it will be tried again", "schedule", v.name, "error", err)
			}
		})
	}
	wg.Wait()
}

// work arms one schedule, decides its ticks and starts its runs.
func (s *scheduler) work(ctx context.Context, v visit) error {
	h := s.handle(v.name)
	if v.gone {
		_, err := s.do(ctx, h, schedule.Disarm{ConfigSequence: v.cfg.sequence, Now: s.desk.now()})
		return err
	}
	res, err := s.do(ctx, h, v.arm(v.cfg, s.desk.now()))
	if err != nil {
		return err
	}
	if err := s.start(ctx, v, res.State); err != nil { // what was decided goes first
		return err
	}
	for range maxCatchUp {
		if res, err = s.do(ctx, h, schedule.Tick{Spec: v.spec, Misfire: v.misfire, Now: s.desk.now()}); err != nil || !res.Appended {
			break
		}
		s.told(v.name, res.Record)
		if err = s.start(ctx, v, res.State); err != nil {
			return err
		}
	}
	if err != nil {
		return err
	}
	return s.start(ctx, v, res.State)
}

func (s *scheduler) do(ctx context.Context, h *scheduleHandle, c schedule.Command) (engine.Result[schedule.State], error) {
	return h.Do(ctx, engine.Meta{Actor: schedulerActor, Time: s.desk.now()}, func(st schedule.State) ([]*eventv1.Event, error) {
		return schedule.Decide(st, c)
	})
}

// told logs what the clock decided.
func (s *scheduler) told(name string, rec eventlog.Record) {
	for _, e := range rec.Commit.GetEvents() {
		fired := e.GetScheduleFired()
		if fired.GetSkipped() > 0 {
			s.logger.Warn("a schedule's ticks were missed and are not run", "schedule", name, "skipped", fired.GetSkipped(), "through", fired.GetThrough().AsTime())
		}
		for _, r := range fired.GetRuns() {
			s.logger.Info("schedule fired", "schedule", name, "tick", r.GetTick().AsTime(), "run", r.GetRun())
		}
	}
}

// handle is the schedule's, from what the projection knows.
func (s *scheduler) handle(name string) *scheduleHandle {
	fresh := s.desk.scheduleHandle(name)
	s.mu.Lock()
	defer s.mu.Unlock()
	if h := s.handles[name]; h != nil && h.Sequence() >= fresh.Sequence() {
		return h // ours is not yet in the projection
	}
	s.handles[name] = fresh
	return fresh
}

// start starts the runs that were decided on and are not there yet: those of
// this commit, and those of a process that died in between. A refusal is
// recorded as the run's end and holds up nothing.
func (s *scheduler) start(ctx context.Context, v visit, st schedule.State) error {
	all := true
	for _, f := range st.Recent {
		age := s.desk.now().Sub(f.At)
		if age > schedule.KeepFor || s.desk.view.known(f.Run) {
			continue
		}
		if f.Cause == eventv1.ScheduleFired_CAUSE_TRIGGERED && age < triggerGrace {
			all = false
			continue
		}
		_, err := s.desk.startFiring(ctx, v.cfg, v.planned, f, asker{})
		if refusal, refused := refusalOf(err); refused {
			s.logger.Warn("a schedule's run was refused", "schedule", v.name, "run", f.Run, "code", refusal.Code, "reason", refusal.Sentence)
		} else if err != nil {
			return err
		}
	}
	if all {
		s.mu.Lock()
		s.started[v.name] = max(s.started[v.name], st.Sequence)
		s.mu.Unlock()
	}
	return nil
}

var schedulerActor = &eventv1.Principal{Kind: eventv1.Principal_KIND_SYSTEM, Name: "scheduler"}

func foldSchedule(s schedule.State, rec eventlog.Record) schedule.State {
	return schedule.FoldCommit(s, rec.Sequence, rec.Commit)
}

// scheduleHandle continues from what the projection knows of a schedule.
func (d *desk) scheduleHandle(name string) *scheduleHandle {
	subject := topology.ScheduleSubject(name)
	var st schedule.State
	var at eventlog.Position
	d.view.proj.ReadAt(subject, func(b *board.Board, end eventlog.Position) {
		st, _ = b.Schedule(name)
		at = end
	})
	return engine.Resume(d.log, subject, st, at, foldSchedule)
}

// timetable makes the planned schedules of a configuration, and says which of
// them cannot be read: config check refuses those, so one comes from a newer
// version.
func (s *scheduler) timetable(cfg *adopted) timetable {
	times, problems := timetableOf(cfg.config)
	for _, name := range slices.Sorted(maps.Keys(problems)) {
		s.logger.Error("schedule not understood, it does not tick", "schedule", name, "error", problems[name])
	}
	return times
}
