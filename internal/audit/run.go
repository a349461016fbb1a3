package audit

import (
	"time"

	eventv1 "github.com/slipway-hq/slipway/gen/slipway/event/v1"
	"github.com/slipway-hq/slipway/internal/eventlog"
)

// entry is one run.
type entry struct {
	id      string
	request *eventv1.RunRequested
	asked   time.Time

	fence     uint64 // of the live claim
	started   bool   // it was claimed once
	steps     []step
	cancelled bool // somebody asked for it
	ended     bool
	archived  bool
	outcome   eventv1.RunEnded_Outcome

	grant    uint64
	released bool              // its slot was given to others
	yield    *eventv1.Absorbed // the lane's last word that it does not execute itself
}

// step of a run.
type step struct {
	attempts         uint32
	open, done, lost bool // lost: interrupted, so that somebody may say that it was done
}

// occupies tells whether the run holds a slot.
func (r *entry) occupies() bool { return r.grant != 0 && !r.ended && !r.released }

func (b *book) readRun(id string, rec eventlog.Record) {
	own := false // the claim was taken in this very commit, whose events then say fence 0
	for i, e := range rec.Commit.GetEvents() {
		if q := e.GetRunRequested(); q != nil {
			b.requested(id, rec, i, q)
			continue
		}
		r := b.runs[id]
		if b.gone[id] {
			if e.GetRunArchived() == nil {
				b.fault("end", "record %d changes %s after it was archived: %T", rec.Sequence, id, e.GetKind())
			}
			continue
		}
		if e.GetRunArchived() != nil {
			if r == nil || !r.ended {
				b.fault("end", "record %d archives %s, which has not ended", rec.Sequence, id)
			} else if r.archived {
				b.fault("end", "record %d archives %s again", rec.Sequence, id)
			} else {
				r.archived = true
			}
			continue
		}
		if r != nil && r.archived {
			b.fault("end", "record %d changes %s after it was archived: %T", rec.Sequence, id, e.GetKind())
			continue
		}
		if r == nil {
			b.fault("command", "record %d is of %s, which nobody asked for", rec.Sequence, id)
			return
		}
		if r.ended {
			if e.GetRunNoted() == nil && known(e) {
				b.fault("end", "record %d changes %s after its end: %T", rec.Sequence, id, e.GetKind())
			}
			continue
		}
		if c := e.GetRunClaimed(); c != nil {
			b.claimed(r, rec, c)
			own = true
			continue
		}
		b.fenced(r, rec, e, own)
		b.changed(r, rec, e)
	}
}

// known tells whether the event is one of a run that this package understands.
func known(e *eventv1.Event) bool {
	switch e.GetKind().(type) {
	case *eventv1.Event_CancelRequested, *eventv1.Event_TimeoutRequested, *eventv1.Event_StepAnswered, *eventv1.Event_RunRefused, *eventv1.Event_RunClaimed:
		return true
	}
	_, ok := fenceOf(e)
	return ok
}

func (b *book) requested(id string, rec eventlog.Record, index int, q *eventv1.RunRequested) {
	if b.runs[id] != nil || rec.Commit.GetVersion() != 1 || index != 0 || q.GetRun() != id {
		b.fault("command", "record %d requests %s on the subject of %s, as event %d of version %d", rec.Sequence, q.GetRun(), id, index, rec.Commit.GetVersion())
		return
	}
	if other := b.identities[q.GetIdentity()]; other != "" {
		b.fault("command", "%s and %s are of one request: %q", other, id, q.GetIdentity())
	}
	b.identities[q.GetIdentity()] = id
	r := &entry{id: id, request: q, asked: rec.Commit.GetTime().AsTime(), steps: make([]step, len(q.GetPlan().GetSteps()))}
	for _, c := range q.GetCarried() {
		r.steps[c.GetStep()].done = true
	}
	b.runs[id] = r
}

func (b *book) claimed(r *entry, rec eventlog.Record, c *eventv1.RunClaimed) {
	if r.fence != 0 {
		b.fault("fence", "record %d claims %s, which is claimed under fence %d", rec.Sequence, r.id, r.fence)
	}
	if r.grant == 0 || r.grant != c.GetGrantSequence() {
		b.fault("lane", "record %d claims %s under grant %d; it was granted at %d", rec.Sequence, r.id, c.GetGrantSequence(), r.grant)
	}
	r.fence, r.started = rec.Sequence, true
}

// fenceOf is the fence that an event names, if it is of the kinds that name one.
func fenceOf(e *eventv1.Event) (uint64, bool) {
	switch k := e.GetKind().(type) {
	case *eventv1.Event_StepStarted:
		return k.StepStarted.GetFence(), true
	case *eventv1.Event_StepFinished:
		return k.StepFinished.GetFence(), true
	case *eventv1.Event_StepFailed:
		return k.StepFailed.GetFence(), true
	case *eventv1.Event_StepInterrupted:
		return k.StepInterrupted.GetFence(), true
	case *eventv1.Event_StepAsked:
		return k.StepAsked.GetFence(), true
	case *eventv1.Event_SourceResolved:
		return k.SourceResolved.GetFence(), true
	case *eventv1.Event_ClaimReleased:
		return k.ClaimReleased.GetFence(), true
	case *eventv1.Event_ClaimLapsed:
		return k.ClaimLapsed.GetFence(), true
	case *eventv1.Event_RunEnded:
		return k.RunEnded.GetFence(), true
	}
	return 0, false
}

// fenced checks that what only the holder of the claim may do is under its
// fence, and an end without one only where nobody holds the run.
func (b *book) fenced(r *entry, rec eventlog.Record, e *eventv1.Event, own bool) {
	fence, names := fenceOf(e)
	if !names || fence == r.fence && (fence != 0 || e.GetRunEnded() != nil) || own && fence == 0 {
		return
	}
	b.fault("fence", "record %d: %T of %s under fence %d, where %d is live", rec.Sequence, e.GetKind(), r.id, fence, r.fence)
}

func (b *book) changed(r *entry, rec eventlog.Record, e *eventv1.Event) {
	switch k := e.GetKind().(type) {
	case *eventv1.Event_StepStarted:
		b.stepStarted(r, rec, k.StepStarted)
	case *eventv1.Event_StepFinished:
		b.stepFinished(r, rec, k.StepFinished)
	case *eventv1.Event_StepFailed:
		b.step(r, rec, k.StepFailed.GetStep(), func(s *step) {
			if s.done {
				b.fault("step", "record %d fails step %d of %s, which had finished", rec.Sequence, k.StepFailed.GetStep(), r.id)
			}
			s.open = false
		})
	case *eventv1.Event_StepInterrupted:
		b.step(r, rec, k.StepInterrupted.GetStep(), func(s *step) { s.open, s.lost = false, true })
	case *eventv1.Event_ClaimReleased, *eventv1.Event_ClaimLapsed:
		r.fence = 0
	case *eventv1.Event_CancelRequested:
		r.cancelled = true
	case *eventv1.Event_RunRefused:
		r.ended = true
		if r.started {
			b.fault("end", "record %d refuses %s, which has started", rec.Sequence, r.id)
		}
	case *eventv1.Event_RunEnded:
		b.runEnded(r, rec, k.RunEnded)
	}
}

func (b *book) step(r *entry, rec eventlog.Record, i uint32, change func(*step)) {
	if int(i) >= len(r.steps) {
		b.fault("step", "record %d: %s has no step %d", rec.Sequence, r.id, i)
		return
	}
	change(&r.steps[i])
}

func (b *book) stepStarted(r *entry, rec eventlog.Record, e *eventv1.StepStarted) {
	b.step(r, rec, e.GetStep(), func(s *step) {
		switch {
		case s.done:
			b.fault("step", "record %d starts step %d of %s again, which had finished", rec.Sequence, e.GetStep(), r.id)
		case s.open:
			b.fault("step", "record %d starts step %d of %s while an attempt is open", rec.Sequence, e.GetStep(), r.id)
		case e.GetAttempt() != s.attempts+1:
			b.fault("step", "record %d: attempt %d of step %d of %s after %d", rec.Sequence, e.GetAttempt(), e.GetStep(), r.id, s.attempts)
		}
		for i := range r.steps[:e.GetStep()] {
			if !r.steps[i].done {
				b.fault("step", "record %d starts step %d of %s before step %d has finished", rec.Sequence, e.GetStep(), r.id, i)
			}
		}
		s.attempts, s.open, s.lost = e.GetAttempt(), true, false
	})
}

func (b *book) stepFinished(r *entry, rec eventlog.Record, e *eventv1.StepFinished) {
	b.step(r, rec, e.GetStep(), func(s *step) {
		switch {
		case s.done:
			b.fault("step", "record %d finishes step %d of %s a second time", rec.Sequence, e.GetStep(), r.id)
		case e.GetAttempt() != s.attempts || !s.open && (!e.GetConfirmed() || !s.lost):
			b.fault("step", "record %d finishes attempt %d of step %d of %s, which is not open", rec.Sequence, e.GetAttempt(), e.GetStep(), r.id)
		}
		s.done, s.open = true, false
	})
}

func (b *book) runEnded(r *entry, rec eventlog.Record, e *eventv1.RunEnded) {
	r.ended, r.outcome, r.fence = true, e.GetOutcome(), 0
	switch e.GetOutcome() {
	case eventv1.RunEnded_OUTCOME_SUCCEEDED:
		for i, s := range r.steps {
			if !s.done {
				b.fault("step", "record %d: %s succeeded without step %d", rec.Sequence, r.id, i)
			}
		}
	case eventv1.RunEnded_OUTCOME_MERGED:
		into := b.runs[e.GetMergedInto()]
		switch {
		case b.gone[e.GetMergedInto()]:
		case r.started:
			b.fault("merge", "record %d: %s has started and ends as merged", rec.Sequence, r.id)
		case into == nil || !into.started:
			b.fault("merge", "record %d: %s merged into %s, which has not started", rec.Sequence, r.id, e.GetMergedInto())
		case r.yield == nil || r.yield.GetInto() != into.id || r.yield.GetKind() != eventv1.Absorbed_KIND_MERGED:
			b.fault("merge", "record %d: no lane let %s merge into %s", rec.Sequence, r.id, e.GetMergedInto())
		}
	case eventv1.RunEnded_OUTCOME_UNSPECIFIED, eventv1.RunEnded_OUTCOME_FAILED, eventv1.RunEnded_OUTCOME_CANCELLED, eventv1.RunEnded_OUTCOME_TIMED_OUT:
	}
}
