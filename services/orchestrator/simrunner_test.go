package orchestrator

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/slipway-hq/slipway/domain/holder"
	"github.com/slipway-hq/slipway/domain/run"
	eventv1 "github.com/slipway-hq/slipway/gen/slipway/event/v1"
	"github.com/slipway-hq/slipway/internal/engine"
	"github.com/slipway-hq/slipway/internal/topology"
)

// simRunner is a model of a runner's hands around its real mind: it takes hints,
// claims, and puts what becomes of steps into the log under its fence; it dies,
// freezes and wakes up late.
type simRunner struct {
	process
	starts      int
	incarnation string
	holds       map[string]*simHold
	late        bool              // it woke up after its lease ran out, and ends itself
	before      map[string]string // runs that the incarnations before may hold, by the journal
}

// simHold is a run that the runner holds, or is about to.
type simHold struct {
	handle *engine.Handle[run.State]
	fence  uint64
	busy   bool
}

func (r *simRunner) start(s *sim) {
	r.starts++
	r.process = s.process(r.name)
	s.set(func() { r.incarnation = fmt.Sprintf("%s.%d", r.name, r.starts) })
	r.holds, r.late = map[string]*simHold{}, false
	if r.before == nil {
		r.before = map[string]string{}
	}
}

// restart is a crash and a new incarnation. It holds its data folder's lock, so
// that it may give back what its predecessor held.
func (r *simRunner) restart(s *sim) {
	s.note("%s dies, with %d runs", r.incarnation, len(r.holds))
	for id := range r.holds {
		r.before[id] = r.incarnation
	}
	lapsed := s.healed || s.chance(50) // or its successor was faster
	s.set(func() { s.lapsed[r.incarnation] = lapsed })
	s.die(&r.process)
	r.start(s)
}

// freeze stops the runner where it is, and at times wakes it up again: by then
// its lease may have run out.
func (r *simRunner) freeze(s *sim) {
	if r.frozen {
		if s.chance(60) {
			s.set(func() { s.lapsed[r.incarnation] = true })
			s.note("the lease of %s runs out", r.incarnation)
			return
		}
		r.thaw(s)
		return
	}
	s.note("%s freezes", r.incarnation)
	r.frozen = true
}

func (r *simRunner) thaw(s *sim) {
	s.note("%s goes on", r.incarnation)
	r.frozen, r.late = false, s.lapsed[r.incarnation]
}

// act does one thing.
func (r *simRunner) act(s *sim) {
	switch {
	case r.frozen:
		return
	case r.late:
		if r.flights == 0 {
			r.restart(s)
		}
		return
	case len(r.before) > 0 && (s.healed || s.chance(30)):
		r.release(s)
		return
	}
	for range 1 + 8*s.mercy() {
		if h := s.takeHint(); h != nil && (s.healed || s.chance(60)) && r.holds[h.run] == nil {
			r.claim(s, h)
		}
	}
	for _, id := range slices.Sorted(maps.Keys(r.holds)) {
		if h := r.holds[id]; !h.busy && (s.healed || s.chance(50)) {
			r.step(s, id, h)
		}
	}
}

// mercy is 1 in the healed world, where everything is done at once.
func (s *sim) mercy() int {
	if s.healed {
		return 1
	}
	return 0
}

// release gives the claims of the incarnations before back.
func (r *simRunner) release(s *sim) {
	for _, id := range slices.Sorted(maps.Keys(r.before)) {
		incarnation, now := r.before[id], s.now
		s.spawn(&r.process, "release "+id[:9], func(ctx context.Context) func() {
			h, err := engine.Open(ctx, r.port, topology.RunSubject(id), run.State{}, foldRun)
			if err != nil {
				return nil
			}
			if claim := h.State().Claim; claim.Incarnation == incarnation {
				_, err = h.Do(ctx, engine.Meta{Time: now}, func(st run.State) ([]*eventv1.Event, error) {
					return run.Decide(st, run.Release{Fence: claim.Fence, Reason: "its runner started again", Now: now})
				})
			}
			return func() {
				if s.lost(err) && r.before[id] == incarnation {
					delete(r.before, id)
				}
			}
		})
	}
}

// lost tells whether there is nothing left to try: no error, or a refusal.
func (s *sim) lost(err error) bool {
	var refusal *run.Refusal
	return err == nil || errors.As(err, &refusal)
}

// claim follows a hint.
func (r *simRunner) claim(s *sim, hint *simHint) {
	hold := &simHold{busy: true}
	r.holds[hint.run] = hold // the journal, written before the claim
	s.spawn(&r.process, "claim "+hint.run[:9], func(ctx context.Context) func() {
		r.take(ctx, s, hint, hold)
		return func() {
			hold.busy = false
			if hold.fence == 0 {
				delete(r.holds, hint.run)
			}
		}
	})
}

// take puts the claim into the log. It ends only when that is certain, or the
// runner is dead.
func (r *simRunner) take(ctx context.Context, s *sim, hint *simHint, hold *simHold) {
	rec, err := r.port.Get(ctx, hint.grant)
	if err != nil || rec.Subject != hint.lane || !slices.ContainsFunc(rec.Commit.GetEvents(), func(e *eventv1.Event) bool { return slices.Contains(e.GetLaneGranted().GetRuns(), hint.run) }) {
		return
	}
	if hold.handle, err = engine.Open(ctx, r.port, topology.RunSubject(hint.run), run.State{}, foldRun); err != nil {
		return
	}
	now := s.clock()
	res, err := hold.handle.Do(ctx, engine.Meta{Time: now}, func(st run.State) ([]*eventv1.Event, error) {
		return run.Decide(st, run.TakeClaim{Runner: r.name, Incarnation: r.incarnation, GrantSequence: hint.grant, Now: now})
	})
	if err == nil && res.State.Claim.Incarnation == r.incarnation {
		hold.fence = res.State.Claim.Fence
	}
}

// step does what is due on a run that the runner holds.
func (r *simRunner) step(s *sim, id string, h *simHold) {
	fate, look, now := s.rng.IntN(100), s.healed || s.chance(40), s.now
	if s.healed {
		fate = 0
	}
	h.busy = true
	s.spawn(&r.process, "step "+id[:9], func(ctx context.Context) func() {
		var err error
		if look {
			err = h.handle.Refresh(ctx)
		}
		st := h.handle.State()
		over := err == nil && (st.Status.Ended() || st.Claim.Fence != h.fence)
		if c := nextCommand(&st, h.fence, fate, now); err == nil && !over && c != nil {
			_, err = h.handle.Do(ctx, engine.Meta{Time: now}, func(st run.State) ([]*eventv1.Event, error) { return run.Decide(st, c) })
			over = errors.Is(err, run.ErrFenced) || errors.Is(err, run.ErrEnded)
		}
		return func() {
			h.busy = false
			if over {
				delete(r.holds, id)
			}
		}
	})
}

// nextCommand is what the holder of a claim commits next, by the mind of real
// runners; fate is what becomes of commands and probes. Nil: it waits.
func nextCommand(st *run.State, fence uint64, fate int, now time.Time) run.Command {
	switch a := holder.Next(*st, fence, now).(type) {
	case holder.Commit:
		return a.Command
	case holder.Execute:
		return executed(st, a, fence, fate, now)
	case holder.Probe:
		if fate%2 == 0 {
			return run.FinishStep{Fence: fence, Step: a.Step, Attempt: a.Attempt, Confirmed: true, Now: now}
		}
		return run.BeginAttempt{Fence: fence, Step: a.Step, Now: now}
	default:
		return nil
	}
}

func executed(st *run.State, a holder.Execute, fence uint64, fate int, now time.Time) run.Command {
	switch {
	case fate < 75:
		return run.FinishStep{Fence: fence, Step: a.Step, Attempt: a.Attempt, Now: now}
	case fate < 80:
		return run.FinishStep{Fence: fence, Step: a.Step, Attempt: a.Attempt, Release: "it drains", Now: now}
	case fate < 83:
		return run.Release{Fence: fence, Reason: "it drains", Now: now}
	}
	return run.FailStep{
		Fence: fence, Step: a.Step, Attempt: a.Attempt, Cause: eventv1.StepFailed_CAUSE_EXIT, ExitCode: 1, Error: "exit code 1",
		Final: fate > 96, Now: now,
	}
}
