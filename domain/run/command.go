package run

import (
	"fmt"
	"time"

	"github.com/slipway-hq/slipway/domain/refusal"
	eventv1 "github.com/slipway-hq/slipway/gen/slipway/event/v1"
)

// Command is a wish to change a run. The set is closed.
type Command interface{ command() }

// Request opens a run. With Refusal set the run is refused in the same commit,
// so that a repeated delivery gets the same answer.
type Request struct {
	Event   *eventv1.RunRequested
	Refusal *Refusal
}

// RequestCancel asks for the end: at once when nobody holds the run, else from
// the claim holder.
type RequestCancel struct{ Reason string }

// Expire says what time it is; it ends or stops a run whose deadline passed.
// Held is when the last hold ended that kept it from starting: the wait for a
// slot counts from there.
type Expire struct{ Now, Held time.Time }

// TakeClaim gives a runner the run and opens the step that is due.
type TakeClaim struct {
	Runner, Incarnation, Host string
	GrantSequence             uint64
	Now                       time.Time
	// Pools and Labels of the runner.
	Pools  []string
	Labels map[string]string
}

// BeginAttempt starts the current step again after its retry delay, a probe
// or an answer.
type BeginAttempt struct {
	Fence uint64
	Step  uint32
	Now   time.Time
}

// FinishStep closes a step and opens the next, or ends the run. With Release
// the claim is given back at this boundary.
type FinishStep struct {
	Fence     uint64
	Step      uint32
	Attempt   uint32
	Artefacts []*eventv1.Artefact
	Output    *eventv1.StepOutput
	Source    *eventv1.SourceResolved
	Confirmed bool
	Release   string
	Now       time.Time
}

// FailStep closes an attempt that failed: the step waits for its next attempt,
// or the run ends. Final forbids another attempt.
type FailStep struct {
	Fence    uint64
	Step     uint32
	Attempt  uint32
	Cause    eventv1.StepFailed_Cause
	ExitCode int32
	Signal   string
	Error    string
	Output   *eventv1.StepOutput
	Source   *eventv1.SourceResolved
	Final    bool
	Now      time.Time
}

// Stop ends a run that is to be stopped while none of its processes live.
type Stop struct {
	Fence uint64
	Now   time.Time
}

// Answer is a person's word on the open question. Seen is the sequence of the
// run that the person saw, 0 when that is not known: a word on an earlier
// question is none on this one.
type Answer struct {
	Step   uint32
	Answer eventv1.StepAnswered_Answer
	Seen   uint64
}

// Release gives the claim back, with all processes dead.
type Release struct {
	Fence  uint64
	Reason string
	Now    time.Time
}

// Lapse takes the claim from a runner whose lease ran out.
type Lapse struct {
	Fence  uint64
	Reason string
	Now    time.Time
}

// Yield ends a waiting run that will not execute, because its lane decided that
// Into does so for it, has taken its place, or was there first.
type Yield struct {
	Into   string
	Kind   eventv1.Absorbed_Kind
	Reason string
	Now    time.Time
}

// Say adds a note of the job itself.
type Say struct {
	ID, Text string
	Format   eventv1.Report_Format
	// Received is when the door took it; what was said before the run's end counts
	// however late it is decided on. Zero: now, so that an ended run says nothing.
	Received time.Time
}

// Archive ends the life of an ended run in the log: its records are in an object.
type Archive struct {
	Object         string
	Digest         []byte
	Offset, Length uint64
	// Versions is how many records are archived, from Request on; End is the
	// sequence of the one that ended the run.
	Versions, Request, End uint64
}

func (Archive) command()       {}
func (Yield) command()         {}
func (Say) command()           {}
func (Request) command()       {}
func (RequestCancel) command() {}
func (Expire) command()        {}
func (TakeClaim) command()     {}
func (BeginAttempt) command()  {}
func (FinishStep) command()    {}
func (FailStep) command()      {}
func (Stop) command()          {}
func (Answer) command()        {}
func (Release) command()       {}
func (Lapse) command()         {}

// Refusal says why a command causes nothing.
type Refusal = refusal.Refusal

// Refusals by code; the sentence of a real one names the run.
var (
	ErrAbsent    = &Refusal{Code: "E-RUN-404", Sentence: "there is no such run"}
	ErrIdentity  = &Refusal{Code: "E-RUN-IDENTITY", Sentence: "this id belongs to another request"}
	ErrEnded     = &Refusal{Code: "E-RUN-ENDED", Sentence: "the run has ended"}
	ErrClaimed   = &Refusal{Code: "E-RUN-CLAIMED", Sentence: "another runner holds the run"}
	ErrFenced    = &Refusal{Code: "E-RUN-FENCED", Sentence: "the claim is no longer held"}
	ErrNotOpen   = &Refusal{Code: "E-STEP-CLOSED", Sentence: "the step is not open"}
	ErrNoAsk     = &Refusal{Code: "E-RUN-NOASK", Sentence: "the run asks nothing"}
	ErrMisfit    = &Refusal{Code: "E-RUN-MISFIT", Sentence: "the run is for another runner"}
	ErrNoGrant   = &Refusal{Code: "E-RUN-NOGRANT", Sentence: "the run has no slot"}
	ErrStopping  = &Refusal{Code: "E-RUN-STOPPING", Sentence: "the run is being stopped"}
	ErrNotes     = &Refusal{Code: "E-RUN-NOTES", Sentence: "the run has said enough"}
	ErrDouble    = &Refusal{Code: "E-RUN-DOUBLE", Sentence: "the same is waiting or running already"}
	ErrArchived  = &Refusal{Code: "E-RUN-ARCHIVED", Sentence: "the run is archived"}
	ErrRetryLive = &Refusal{Code: "E-RUN-LIVE", Sentence: "the run has not ended yet"}
)

func refuse(kind *Refusal, format string, args ...any) error {
	return &Refusal{Code: kind.Code, Sentence: fmt.Sprintf(format, args...)}
}
