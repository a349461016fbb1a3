package runner

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/trace"

	"github.com/slipway-hq/slipway/domain/holder"
	"github.com/slipway-hq/slipway/domain/run"
	eventv1 "github.com/slipway-hq/slipway/gen/slipway/event/v1"
	"github.com/slipway-hq/slipway/internal/engine"
	"github.com/slipway-hq/slipway/internal/eventlog"
	"github.com/slipway-hq/slipway/internal/topology"
)

const (
	// pollEvery is how often a held run is looked at in the log, give or take a
	// quarter, in case a nudge was lost.
	pollEvery = time.Second
	// lookTimeout bounds one such look.
	lookTimeout = 2 * time.Second
	// maxCommitPause is the longest pause between tries of a commit that the log
	// could not take.
	maxCommitPause = time.Second
	// maxSentence bounds the words of a failure in a commit, in bytes.
	maxSentence = 2000
)

// errStop is the cause with which an attempt is stopped on request.
var errStop = errors.New("the run is to be stopped")

// ending is how a hold ended.
type ending uint8

const (
	dropped  ending = iota // nothing more may be committed; the claim may still stand
	lost                   // the claim was taken away
	released               // the claim was given back
	ended                  // the run has ended
)

func (e ending) metric() metric.MeasurementOption {
	return [...]metric.MeasurementOption{outcomeFailed, outcomeLost, outcomeReleased, outcomeEnded}[e]
}

// hold is a run that this incarnation holds under one fence. It belongs to one
// goroutine; only nudged may be used by others.
type hold struct {
	*incarnation
	run      string
	handle   *engine.Handle[run.State]
	fence    uint64
	nudged   chan struct{}
	poll     *time.Timer
	released bool // the claim was given back by ourselves
}

func (i *incarnation) newHold(handle *engine.Handle[run.State], id string) *hold {
	return &hold{incarnation: i, run: id, handle: handle, nudged: make(chan struct{}, 1)}
}

// lane is where the run was queued.
func (h *hold) lane() string {
	s := h.handle.State()
	return s.Plan.GetLane()
}

// traced returns ctx as a part of the trace of the request.
func (h *hold) traced(ctx context.Context) context.Context {
	parent := h.handle.State().TraceParent
	if parent == "" {
		return ctx
	}
	return engine.ContextOf(ctx, &eventv1.Commit{Trace: map[string]string{"traceparent": parent}})
}

// work does what is to be done until the run is held no more.
func (h *hold) work(ctx context.Context) ending {
	ctx = h.traced(ctx)
	h.poll = time.NewTimer(jitter(h.lookEvery))
	defer h.poll.Stop()
	for {
		var err error
		switch a := h.next().(type) {
		case holder.Done:
			s := h.handle.State()
			h.log.Info("run ended", "run", h.run, "status", s.Status.String(), "reason", s.Reason)
			return ended
		case holder.Lost:
			if h.released {
				return released
			}
			h.log.Warn("the claim of a run was taken away", "run", h.run, "fence", h.fence)
			return lost
		case holder.Execute:
			err = h.execute(ctx, a.Step, a.Attempt, false)
		case holder.Probe:
			err = h.execute(ctx, a.Step, a.Attempt, true)
		case holder.Wait:
			err = h.wait(ctx, a.Until)
		case holder.Commit:
			err = h.apply(ctx, a.Command)
		}
		if err != nil {
			return h.giveUp(ctx, err)
		}
	}
}

// next is what a holder does, unless the runner drains and nothing of the run is
// under way.
func (h *hold) next() holder.Action {
	now := time.Now()
	action := holder.Next(h.handle.State(), h.fence, now)
	if !isClosed(h.draining) {
		return action
	}
	switch a := action.(type) {
	case holder.Wait, holder.Probe:
	case holder.Commit:
		if _, begin := a.Command.(run.BeginAttempt); !begin {
			return action
		}
	default:
		return action
	}
	return holder.Commit{Command: run.Release{Fence: h.fence, Reason: reasonDrain, Now: now}}
}

const (
	reasonDrain   = "the runner is draining"
	reasonOverdue = "the runner was stopped while the step ran"
	reasonKilled  = "the step's supervisor was lost"
)

// wait returns when it is time, when the run has changed, or when the runner
// drains.
func (h *hold) wait(ctx context.Context, until time.Time) error {
	timer := time.NewTimer(time.Until(until))
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-timer.C:
			return nil
		case <-h.draining:
			return nil
		case <-h.nudged:
		case <-h.poll.C:
			h.poll.Reset(jitter(h.lookEvery))
		}
		if h.look(ctx) {
			return nil
		}
	}
}

// look loads what is new in the run, if the log can be read, and tells whether
// there was anything.
func (h *hold) look(ctx context.Context) bool {
	ctx, cancel := context.WithTimeout(ctx, lookTimeout)
	defer cancel()
	last, err := h.deps.Log.Last(ctx, topology.RunSubject(h.run))
	if err != nil || last.Sequence <= h.handle.Sequence() {
		return false
	}
	return h.handle.Refresh(ctx) == nil
}

// outcome is what an executor returned.
type outcomeOf struct {
	result Result
	err    error
}

// execute runs one attempt, or the probe, and commits what came of it.
func (h *hold) execute(ctx context.Context, at, number uint32, probe bool) error {
	s := h.handle.State()
	a := h.attempt(&s, at, number, probe)
	ctx, span := otel.Tracer(scope).Start(ctx, "step "+a.Command().GetName(), trace.WithAttributes(
		attribute.String("slipway.run", h.run), attribute.Int64("slipway.attempt", int64(number)), attribute.Bool("slipway.probe", probe),
	))
	defer span.End()
	began := time.Now()
	result, err := h.oversee(ctx, a)
	h.metrics.attempt(ctx, began, err == nil && result.OK())
	if errors.Is(err, ErrAbandon) {
		span.SetStatus(codes.Error, "abandoned")
		return h.abandoned(ctx)
	}
	if err != nil {
		result = Result{Failure: eventv1.StepFailed_CAUSE_SETUP, ExitCode: holder.NoExit, Error: err.Error()}
	}
	if !result.OK() {
		span.SetStatus(codes.Error, result.Error)
	}
	if command := h.conclude(a, result); command != nil {
		return h.apply(ctx, command)
	}
	return nil
}

func (h *hold) attempt(s *run.State, at, number uint32, probe bool) Attempt {
	a := Attempt{
		Run: h.run, Service: s.Service, Environment: s.Environment, Version: s.Version, Namespace: s.Namespace, Job: s.Job,
		Plan: s.Plan, Step: at, Number: number, Fence: h.fence, Probe: probe, Commit: s.Commit, Alive: h.alive,
	}
	for i := range s.Steps[:at] {
		a.Done = append(a.Done, s.Steps[i].Artefacts...)
	}
	return a
}

// oversee runs the executor and stops it when the run is to stop, when the claim
// is gone, or when the drain is overdue. It returns when the executor has.
func (h *hold) oversee(ctx context.Context, a Attempt) (Result, error) {
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	done := make(chan outcomeOf, 1)
	go func() {
		out := h.output.Attempt(topology.LogSubject(a.Run, a.Step, a.Number, a.Fence))
		result, err := h.exec.Execute(ctx, a, out)
		out.Close()
		done <- outcomeOf{result, err}
	}()
	overdue := h.overdue
	for {
		select {
		case o := <-done:
			return o.result, o.err
		case <-overdue:
			overdue = nil
			stop(ErrAbandon)
			continue
		case <-h.nudged:
		case <-h.poll.C:
			h.poll.Reset(jitter(h.lookEvery))
		}
		if h.look(ctx) {
			h.obey(stop)
		}
	}
}

// obey stops a running attempt when the run says so.
func (h *hold) obey(stop context.CancelCauseFunc) {
	s := h.handle.State()
	switch {
	case s.Claim.Fence != h.fence: // ended, or another's
		stop(ErrAbandon)
	case s.Stopping():
		stop(errStop)
	}
}

// abandoned follows an attempt that was ended without a result. Unless the right
// to work is gone, too, the claim is given back, and the step's resume policy
// says what its next holder does.
func (h *hold) abandoned(ctx context.Context) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	reason := reasonKilled
	if isClosed(h.overdue) {
		reason = reasonOverdue
	}
	return h.apply(ctx, run.Release{Fence: h.fence, Reason: reason, Now: time.Now()})
}

// conclude turns a result into the command that closes the attempt; nil when
// there is nothing to say.
func (h *hold) conclude(a Attempt, r Result) run.Command {
	s := h.handle.State()
	if s.Commit != "" {
		r.Source = nil
	}
	switch {
	case r.OK():
		finish := run.FinishStep{
			Fence: h.fence, Step: a.Step, Attempt: a.Number, Artefacts: r.Artefacts, Output: r.Output, Source: r.Source,
			Confirmed: a.Probe, Now: time.Now(),
		}
		if isClosed(h.draining) {
			finish.Release = reasonDrain
		}
		return finish
	case a.Probe && s.Stopping():
		return nil // it ends as stopped
	case a.Probe && answered(r):
		return run.BeginAttempt{Fence: h.fence, Step: a.Step, Now: time.Now()}
	case s.Stopping():
		r.Failure = eventv1.StepFailed_CAUSE_STOPPED
	}
	return run.FailStep{
		Fence: h.fence, Step: a.Step, Attempt: a.Number, Cause: r.Failure, ExitCode: r.ExitCode, Signal: r.Signal,
		Error: bounded(r.Error), Output: r.Output, Source: r.Source, Final: r.Final || a.Probe, Now: time.Now(),
	}
}

// answered tells whether a failed probe ran at all: one that could not says
// nothing about the step, and repeating the step blindly would be a guess.
func answered(r Result) bool {
	return r.Failure != eventv1.StepFailed_CAUSE_SETUP && r.Failure != eventv1.StepFailed_CAUSE_START
}

// bounded cuts a sentence to what a commit can hold.
func bounded(sentence string) string {
	if len(sentence) <= maxSentence {
		return sentence
	}
	cut := maxSentence
	for cut > 0 && sentence[cut]&0xC0 == 0x80 { // within a rune
		cut--
	}
	return sentence[:cut] + " …"
}

// apply commits a command. That the run has ended, or is another's, is for the
// next look at the state to find out.
func (h *hold) apply(ctx context.Context, c run.Command) error {
	s, err := h.commit(ctx, fmt.Sprintf("%T", c), c)
	if errors.Is(err, run.ErrFenced) || errors.Is(err, run.ErrEnded) {
		return nil
	}
	if err == nil && !s.Claimed() && !s.Status.Ended() {
		h.released = true
	}
	return err
}

// commit puts a command into the log and returns the state after it. It tries
// until the log takes it, refuses it, or ctx ends; it returns the refusals of
// domain/run and eventlog's ErrCorrupt and ErrTooLarge as they are.
func (h *hold) commit(ctx context.Context, what string, c run.Command) (run.State, error) {
	meta := engine.Meta{
		CommandID: fmt.Sprintf("%s/%d/%d/%s", h.incarnation.id, h.fence, h.handle.Version(), what),
		Actor:     h.actor(), Time: time.Now(),
	}
	for wait := time.Millisecond; ; wait = min(2*wait, maxCommitPause) {
		result, err := h.handle.Do(ctx, meta, func(s run.State) ([]*eventv1.Event, error) { return run.Decide(s, c) })
		var refusal *run.Refusal
		if err == nil || errors.As(err, &refusal) || errors.Is(err, eventlog.ErrCorrupt) || errors.Is(err, eventlog.ErrTooLarge) {
			return result.State, err
		}
		if wait == maxCommitPause {
			h.log.Warn("a commit is not confirmed yet, trying again", "run", h.run, "fence", h.fence, "error", err)
		}
		if pause(ctx, wait) != nil {
			return run.State{}, err
		}
	}
}

func (r *Runner) actor() *eventv1.Principal {
	return &eventv1.Principal{Kind: eventv1.Principal_KIND_SYSTEM, Name: "runner " + r.cfg.Name}
}

// giveUp ends a hold that cannot go on. No process of the run lives any more.
func (h *hold) giveUp(ctx context.Context, err error) ending {
	switch {
	case ctx.Err() != nil:
		h.log.Warn("a run was dropped", "run", h.run, "fence", h.fence, "error", context.Cause(ctx))
		return dropped
	case errors.Is(err, eventlog.ErrCorrupt):
		h.log.Error("a run is broken and was dropped", "run", h.run, "fence", h.fence, "error", err)
		return dropped
	}
	h.log.Error("a run cannot go on and is given back", "run", h.run, "fence", h.fence, "error", err)
	reason := bounded("the runner could not go on: " + err.Error())
	if err := h.apply(ctx, run.Release{Fence: h.fence, Reason: reason, Now: time.Now()}); err != nil {
		return dropped
	}
	return released
}

// jitter returns d give or take a quarter, so that many do not meet.
func jitter(d time.Duration) time.Duration { return d*3/4 + rand.N(d/2) }

// pause waits, or returns why not to.
func pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}
