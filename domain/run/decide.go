package run

import (
	"bytes"
	"fmt"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/slipway-hq/slipway/domain/roster"
	eventv1 "github.com/slipway-hq/slipway/gen/slipway/event/v1"
)

// MaxIdleClaims is how often a run may be claimed without finishing a step: one
// whose runners die again and again would otherwise hold its slot for ever.
const MaxIdleClaims = 25

// Decide returns the events that a command causes in a state, or the Refusal
// that says why it causes none. No events and no error: already so.
func Decide(s State, c Command) ([]*eventv1.Event, error) {
	if r, ok := c.(Request); ok {
		return request(s, r)
	}
	if s.Status == Absent {
		return nil, ErrAbsent
	}
	if a, ok := c.(Archive); ok {
		return archive(s, a)
	}
	if s.Archived {
		return nil, refuse(ErrArchived, "the run has ended (%s) and is archived. Nothing was changed", s.Status)
	}
	switch c := c.(type) {
	case RequestCancel:
		return requestCancel(s, c)
	case Expire:
		return expire(s, c)
	case TakeClaim:
		return takeClaim(s, c)
	case Answer:
		return answer(s, c)
	case Lapse:
		return unclaim(s, c.Fence, c.Now, claimLapsed(c.Fence, c.Reason))
	case Yield:
		return yield(s, c)
	case Say:
		return say(s, c)
	case Release:
		return unclaim(s, c.Fence, c.Now, claimReleased(c.Fence, c.Reason))
	}
	return decideHeld(s, c)
}

// decideHeld handles what only the holder of the live claim may decide.
func decideHeld(s State, c Command) ([]*eventv1.Event, error) {
	switch c := c.(type) {
	case BeginAttempt:
		return beginAttempt(s, c)
	case FinishStep:
		return finishStep(s, c)
	case FailStep:
		return failStep(s, c)
	case Stop:
		if err := s.held(c.Fence); err != nil {
			return nil, err
		}
		if !s.Stopping() {
			return nil, refuse(ErrNotOpen, "nobody asked to stop the run")
		}
		return []*eventv1.Event{s.stopped(c.Fence, c.Now)}, nil
	}
	return nil, fmt.Errorf("run: command %T is not known", c)
}

func request(s State, c Request) ([]*eventv1.Event, error) {
	if s.Status != Absent {
		if s.Identity == c.Event.GetIdentity() && bytes.Equal(s.Digest, c.Event.GetDigest()) {
			return nil, nil
		}
		return nil, refuse(ErrIdentity, "the id %s was already used for a different request: %s. Repeat it with a new idempotency key", s.ID, s.Name())
	}
	events := []*eventv1.Event{{Kind: &eventv1.Event_RunRequested{RunRequested: c.Event}}}
	if c.Refusal != nil {
		events = append(events, &eventv1.Event{Kind: &eventv1.Event_RunRefused{RunRefused: &eventv1.RunRefused{Code: c.Refusal.Code, Sentence: c.Refusal.Sentence}}})
	}
	return events, nil
}

func requestCancel(s State, c RequestCancel) ([]*eventv1.Event, error) {
	switch {
	case s.Status == Cancelled || s.Cancel != nil && !s.Status.Ended():
		return nil, nil
	case s.Status.Ended():
		return nil, refuse(ErrEnded, "the run has already ended: %s. Nothing was changed", s.Status)
	}
	cancel := &eventv1.Event{Kind: &eventv1.Event_CancelRequested{CancelRequested: &eventv1.CancelRequested{Reason: c.Reason}}}
	if s.Claimed() {
		return []*eventv1.Event{cancel}, nil
	}
	return []*eventv1.Event{cancel, end(0, eventv1.RunEnded_OUTCOME_CANCELLED, cancelReason(c.Reason), 0)}, nil
}

func cancelReason(reason string) string {
	if reason == "" {
		return "cancelled on request"
	}
	return "cancelled: " + reason
}

func takeClaim(s State, c TakeClaim) ([]*eventv1.Event, error) {
	switch {
	case s.Status.Ended():
		return nil, refuse(ErrEnded, "the run has already ended: %s", s.Status)
	case s.Claimed() && s.Claim.Incarnation == c.Incarnation:
		return nil, nil
	case s.Claimed():
		return nil, refuse(ErrClaimed, "runner %s holds the run under fence %d", s.Claim.Runner, s.Claim.Fence)
	case c.GrantSequence == 0:
		return nil, ErrNoGrant
	}
	if err := s.fits(c); err != nil {
		return nil, err
	}
	events := []*eventv1.Event{{Kind: &eventv1.Event_RunClaimed{RunClaimed: &eventv1.RunClaimed{
		Runner: c.Runner, Incarnation: c.Incarnation, Host: c.Host, GrantSequence: c.GrantSequence,
	}}}}
	if s.Idle >= MaxIdleClaims {
		reason := fmt.Sprintf("its runner was lost %d times without finishing a step", s.Idle)
		return append(events, end(0, eventv1.RunEnded_OUTCOME_FAILED, reason, s.elapsed(c.Now))), nil
	}
	return append(events, s.open(c.Now)...), nil
}

// fits refuses a runner that the plan does not ask for. That of a plan which asks
// for a pool alone is the dispatcher's choice: it is offered to that pool alone.
func (s *State) fits(c TakeClaim) error {
	needs := roster.Of(s.Plan)
	if !needs.Picky() || (roster.Runner{ID: c.Runner, Name: c.Host, Pools: c.Pools, Labels: c.Labels}).Fits(needs) {
		return nil
	}
	return refuse(ErrMisfit, "the run is for %s, which this runner is not", needs)
}

// open returns what a new claim begins with: the events that open the step that
// is due, or the end when none is left.
func (s *State) open(now time.Time) []*eventv1.Event {
	at := s.Current()
	if int(at) == len(s.Steps) {
		return []*eventv1.Event{end(0, eventv1.RunEnded_OUTCOME_SUCCEEDED, "", s.elapsed(now))}
	}
	step, plan := &s.Steps[at], s.Plan.GetSteps()[at]
	switch {
	case step.Status == StepRunning:
		return s.interrupted(at, now)
	case step.Status == StepWaiting, step.Interrupted && plan.GetResume() == eventv1.Step_RESUME_PROBE:
		return nil // the holder waits for the delay or the answer, or probes
	}
	return []*eventv1.Event{stepStarted(0, at, step.Attempts+1)}
}

// interrupted closes the attempt of a lost runner and follows the step's
// resume policy.
func (s *State) interrupted(at uint32, now time.Time) []*eventv1.Event {
	step, plan := &s.Steps[at], s.Plan.GetSteps()[at]
	events := []*eventv1.Event{{Kind: &eventv1.Event_StepInterrupted{StepInterrupted: &eventv1.StepInterrupted{
		Step: at, Attempt: step.Attempts, Reason: "its runner was lost",
	}}}}
	switch plan.GetResume() {
	case eventv1.Step_RESUME_UNSPECIFIED, eventv1.Step_RESUME_RETRY:
	case eventv1.Step_RESUME_PROBE:
		return events
	case eventv1.Step_RESUME_ASK:
		wait := plan.GetAskTimeout().AsDuration()
		if wait <= 0 {
			wait = DefaultAskTimeout
		}
		return append(events, &eventv1.Event{Kind: &eventv1.Event_StepAsked{StepAsked: &eventv1.StepAsked{
			Step:     at,
			Question: fmt.Sprintf("The runner was lost while step %s ran. Did it do its work?", step.Name),
			Deadline: timestamppb.New(now.Add(wait)),
		}}})
	}
	return append(events, stepStarted(0, at, step.Attempts+1))
}

// DefaultAskTimeout bounds a question whose plan names no limit: a working day.
const DefaultAskTimeout = 8 * time.Hour

func (s *State) held(fence uint64) error {
	switch {
	case s.Status.Ended():
		return refuse(ErrEnded, "the run has already ended: %s", s.Status)
	case fence == 0 || s.Claim.Fence != fence:
		return refuse(ErrFenced, "the claim under fence %d is no longer held", fence)
	}
	return nil
}

func beginAttempt(s State, c BeginAttempt) ([]*eventv1.Event, error) {
	if err := s.held(c.Fence); err != nil {
		return nil, err
	}
	if s.Stopping() {
		return []*eventv1.Event{s.stopped(c.Fence, c.Now)}, nil
	}
	if c.Step != s.Current() {
		return nil, refuse(ErrNotOpen, "step %d is not the current one", c.Step)
	}
	step := &s.Steps[c.Step]
	switch {
	case step.Status == StepRunning:
		return nil, nil
	case step.Status == StepWaiting && !step.Due(c.Now):
		return nil, refuse(ErrNotOpen, "step %s waits until %s", step.Name, step.RetryAt.UTC().Format(time.RFC3339))
	case s.Question != nil && s.Question.Answer != eventv1.StepAnswered_ANSWER_REPEAT:
		return nil, refuse(ErrNotOpen, "step %s waits for an answer", step.Name)
	}
	return []*eventv1.Event{stepStarted(c.Fence, c.Step, step.Attempts+1)}, nil
}

func finishStep(s State, c FinishStep) ([]*eventv1.Event, error) {
	if err := s.attempt(c.Fence, c.Step, c.Attempt, c.Confirmed); err != nil {
		return nil, err
	}
	if s.Steps[c.Step].Status.Done() {
		return nil, nil
	}
	if c.Confirmed && !s.confirmable(c.Step) {
		return nil, refuse(ErrNotOpen, "nobody said that step %s had finished", s.Steps[c.Step].Name)
	}
	events := append(source(c.Fence, c.Source), &eventv1.Event{Kind: &eventv1.Event_StepFinished{StepFinished: &eventv1.StepFinished{
		Fence: c.Fence, Step: c.Step, Attempt: c.Attempt, Artefacts: c.Artefacts, Output: c.Output, Confirmed: c.Confirmed,
	}}})
	next := s.after(c.Step)
	switch {
	case int(next) == len(s.Steps):
		return append(events, end(c.Fence, eventv1.RunEnded_OUTCOME_SUCCEEDED, "", s.elapsed(c.Now))), nil
	case s.Stopping():
		return append(events, s.stopped(c.Fence, c.Now)), nil
	case c.Release != "":
		return append(events, claimReleased(c.Fence, c.Release)), nil
	}
	return append(events, stepStarted(c.Fence, next, s.Steps[next].Attempts+1)), nil
}

// confirmable tells whether an interrupted step may count as finished without
// running: its probe is the holder's word, its question a person's.
func (s *State) confirmable(step uint32) bool {
	return s.Steps[step].Interrupted && (s.Question == nil || s.Question.Answer == eventv1.StepAnswered_ANSWER_DONE)
}

// after is the next step that is not done, behind step i.
func (s *State) after(i uint32) uint32 {
	for i++; int(i) < len(s.Steps) && s.Steps[i].Status.Done(); i++ { //nolint:revive // the loop is the search
	}
	return i
}

func failStep(s State, c FailStep) ([]*eventv1.Event, error) {
	if err := s.attempt(c.Fence, c.Step, c.Attempt, true); err != nil {
		return nil, err
	}
	step := &s.Steps[c.Step]
	if step.Status == StepFailed || step.Status == StepWaiting && s.Question == nil {
		return nil, nil
	}
	failure := &eventv1.StepFailed{
		Fence: c.Fence, Step: c.Step, Attempt: c.Attempt, Cause: c.Cause, ExitCode: c.ExitCode, Signal: c.Signal, Error: c.Error, Output: c.Output,
	}
	events := append(source(c.Fence, c.Source), &eventv1.Event{Kind: &eventv1.Event_StepFailed{StepFailed: failure}})
	if s.Stopping() {
		return append(events, s.stopped(c.Fence, c.Now)), nil
	}
	if !c.Final && step.Failures+1 < MaxAttempts(s.Plan.GetSteps()[c.Step]) {
		failure.RetryAt = timestamppb.New(c.Now.Add(RetryDelay(s.Plan.GetSteps()[c.Step].GetRetry(), step.Failures)))
		return events, nil
	}
	outcome := eventv1.RunEnded_OUTCOME_FAILED
	if c.Cause == eventv1.StepFailed_CAUSE_TIMEOUT {
		outcome = eventv1.RunEnded_OUTCOME_TIMED_OUT
	}
	return append(events, end(c.Fence, outcome, fmt.Sprintf("step %s failed: %s", step.Name, c.Error), s.elapsed(c.Now))), nil
}

// attempt checks that the holder speaks of the open attempt. A repeated word on
// a closed one passes: the caller answers it from state.
func (s *State) attempt(fence uint64, step, attempt uint32, waiting bool) error {
	if err := s.held(fence); err != nil {
		return err
	}
	if int(step) >= len(s.Steps) || s.Steps[step].Attempts != attempt {
		return refuse(ErrNotOpen, "attempt %d of step %d is not open", attempt, step)
	}
	st := &s.Steps[step]
	if st.Status.Done() || st.Status == StepRunning || st.Status == StepFailed || waiting {
		return nil
	}
	return refuse(ErrNotOpen, "step %s is not running", st.Name)
}

func answer(s State, c Answer) ([]*eventv1.Event, error) {
	switch {
	case s.Status.Ended():
		return nil, refuse(ErrEnded, "the run has already ended: %s. Nothing was changed", s.Status)
	case s.Question == nil || s.Question.Step != c.Step:
		return nil, refuse(ErrNoAsk, "the run asks nothing now; nothing was changed")
	case c.Seen != 0 && c.Seen < s.Question.Asked:
		return nil, refuse(ErrNoAsk, "that answer was to an earlier question; the run asks again now, and nothing was changed")
	case s.Question.Answer == c.Answer:
		return nil, nil
	case s.Question.Answer != eventv1.StepAnswered_ANSWER_UNSPECIFIED:
		return nil, refuse(ErrNoAsk, "somebody else has answered already; nothing was changed")
	}
	return []*eventv1.Event{{Kind: &eventv1.Event_StepAnswered{StepAnswered: &eventv1.StepAnswered{Step: c.Step, Answer: c.Answer}}}}, nil
}

// unclaim gives or takes the claim back; a run that is to stop ends with it,
// since no process of it lives.
func unclaim(s State, fence uint64, now time.Time, event *eventv1.Event) ([]*eventv1.Event, error) {
	if s.Status.Ended() || !s.Claimed() {
		return nil, nil
	}
	if s.Claim.Fence != fence {
		return nil, refuse(ErrFenced, "fence %d is not the live claim's %d", fence, s.Claim.Fence)
	}
	if s.Stopping() {
		return []*eventv1.Event{event, s.stopped(0, now)}, nil
	}
	return []*eventv1.Event{event}, nil
}

// stopped is the end of a run that was cancelled or whose deadline passed.
func (s *State) stopped(fence uint64, now time.Time) *eventv1.Event {
	if s.Cancel != nil {
		return end(fence, eventv1.RunEnded_OUTCOME_CANCELLED, cancelReason(s.Cancel.Reason), s.elapsed(now))
	}
	return end(fence, eventv1.RunEnded_OUTCOME_TIMED_OUT, fmt.Sprintf("its limit passed at %s", s.Deadline.UTC().Format(time.RFC3339)), s.elapsed(now))
}

func (s *State) elapsed(now time.Time) time.Duration {
	if s.Started.IsZero() {
		return 0
	}
	return max(0, now.Sub(s.Started))
}

// MaxAttempts is how many attempts a step has in all.
func MaxAttempts(step *eventv1.Step) uint32 { return max(1, step.GetRetry().GetAttempts()) }

// RetryDelay is the pause after the failure with this index from 0: delay *
// backoff^failures, at most max_delay.
func RetryDelay(r *eventv1.Retry, failures uint32) time.Duration {
	delay, limit := float64(r.GetDelay().AsDuration()), float64(r.GetMaxDelay().AsDuration())
	factor := max(1, r.GetBackoff())
	for range failures {
		delay *= factor
		if limit > 0 && delay >= limit {
			break
		}
	}
	if limit > 0 {
		delay = min(delay, limit)
	}
	return time.Duration(min(delay, float64(MaxRetryDelay)))
}

// MaxRetryDelay bounds every retry delay, so that a large backoff cannot
// overflow.
const MaxRetryDelay = 24 * time.Hour

func stepStarted(fence uint64, step, attempt uint32) *eventv1.Event {
	return &eventv1.Event{Kind: &eventv1.Event_StepStarted{StepStarted: &eventv1.StepStarted{Fence: fence, Step: step, Attempt: attempt}}}
}

func claimReleased(fence uint64, reason string) *eventv1.Event {
	return &eventv1.Event{Kind: &eventv1.Event_ClaimReleased{ClaimReleased: &eventv1.ClaimReleased{Fence: fence, Reason: reason}}}
}

func claimLapsed(fence uint64, reason string) *eventv1.Event {
	return &eventv1.Event{Kind: &eventv1.Event_ClaimLapsed{ClaimLapsed: &eventv1.ClaimLapsed{Fence: fence, Reason: reason}}}
}

func source(fence uint64, resolved *eventv1.SourceResolved) []*eventv1.Event {
	if resolved == nil {
		return nil
	}
	resolved.Fence = fence
	return []*eventv1.Event{{Kind: &eventv1.Event_SourceResolved{SourceResolved: resolved}}}
}

func end(fence uint64, outcome eventv1.RunEnded_Outcome, reason string, elapsed time.Duration) *eventv1.Event {
	return &eventv1.Event{Kind: &eventv1.Event_RunEnded{RunEnded: &eventv1.RunEnded{
		Fence: fence, Outcome: outcome, Reason: reason, Elapsed: durationpb.New(elapsed),
	}}}
}
