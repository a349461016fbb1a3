package run

import (
	"time"

	eventv1 "github.com/slipway-hq/slipway/gen/slipway/event/v1"
)

// Status is where a run is. Absent is the zero value: nothing was requested.
type Status uint8

// The statuses. Queued has no slot yet; Waiting has had one and waits for a
// runner, a person or a retry delay; those from Succeeded on are terminal.
const (
	Absent Status = iota
	Queued
	Running
	Waiting
	Succeeded
	Failed
	Cancelled
	TimedOut
	Refused
	Merged
)

var statusNames = [...]string{"absent", "queued", "running", "waiting", "succeeded", "failed", "cancelled", "timed out", "refused", "merged"}

// String is the word that people see.
func (s Status) String() string { return statusNames[s] }

// Ended tells whether the status is terminal.
func (s Status) Ended() bool { return s >= Succeeded }

// StepStatus is where a step is.
type StepStatus uint8

// The statuses of a step.
const (
	StepPending StepStatus = iota
	StepRunning
	StepWaiting // for its retry delay or for a person
	StepSucceeded
	StepFailed
	StepCarried // finished by the run that this one retries
)

// Done tells whether the step never needs to run again.
func (s StepStatus) Done() bool { return s == StepSucceeded || s == StepCarried }

// clockDoubt is how far two clocks may differ before one of them must be wrong.
const clockDoubt = time.Minute

// Due tells whether a step that waits for its next attempt need not wait longer.
// A failure that lies in the future was written by a clock that was ahead; its
// delay is then not waited for, since nobody can tell how much of it is over.
func (st *Step) Due(now time.Time) bool {
	return !now.Before(st.RetryAt) || now.Add(clockDoubt).Before(st.Finished)
}

// Step is one step of a run.
type Step struct {
	Name        string
	Status      StepStatus
	Attempts    uint32 // attempts started
	Failures    uint32 // attempts that failed by themselves, which count against the retries
	Started     time.Time
	Finished    time.Time
	RetryAt     time.Time // when the next attempt is due
	Interrupted bool      // the last attempt's runner was lost
	ExitCode    int32
	Error       string
	Tail        string
	Note        string
	Artefacts   []*eventv1.Artefact
	CarriedFrom string
	// What a reporting step printed: the text, or the object that holds it, and
	// its size in bytes before any cut.
	Stdout       []byte
	StdoutObject string
	StdoutBytes  uint64
}

// Note is something that a job said while it ran.
type Note struct {
	ID       string
	Text     string
	Format   eventv1.Report_Format
	Sequence uint64
}

// Claim is a runner's exclusive right to a run. Fence 0: no claim.
type Claim struct {
	Runner        string
	Incarnation   string
	Host          string
	Fence         uint64 // log sequence of the claiming commit
	GrantSequence uint64
	At            time.Time
}

// Question is what a run asks of a person.
type Question struct {
	Step     uint32
	Text     string
	Deadline time.Time
	Answer   eventv1.StepAnswered_Answer // unspecified: still open
	Asked    uint64                      // sequence of the asking commit
}

// Cancel is a request to end.
type Cancel struct {
	By     *eventv1.Principal
	Reason string
	At     time.Time
}

// State is everything that a run's events say. The zero value is an absent
// run. Slices are replaced, never changed, so a State may be shared.
type State struct {
	ID       string
	Identity string
	Digest   []byte

	Service, Environment, Version string
	Parameters                    map[string]string
	Plan                          *eventv1.Plan
	Requester                     *eventv1.Principal
	Origin                        *eventv1.Origin
	RetryOf                       string
	Command                       string // id of the command that asked for the run
	ConfigSequence                uint64

	// Of a job; empty for a deployment.
	Namespace, Job string
	Said           string    // what was typed after the namespace
	StartAfter     time.Time // no slot before; zero: at once
	DespiteHold    string    // why holds do not stop it; empty: they do

	Status   Status
	Reason   string // of the end
	Code     string // of the refusal
	Steps    []Step
	Claim    Claim
	Runner   string // of the last claim, also after it
	Idle     uint32 // claims since a step last finished, see MaxIdleClaims
	Cancel   *Cancel
	Deadline time.Time // set once the run's own deadline has passed
	Question *Question
	Commit   string // what was checked out
	Stale    string // why the source is its last good copy; empty: it is fresh
	// MergedInto is the run that executes for this one, or took its place.
	MergedInto string
	// Archived: its records are in the archive, and nothing is decided about it any
	// more. Of a run whose records are purged only what lists show is known.
	Archived bool
	Notes    []Note

	Created, Started, Finished, Unclaimed time.Time

	Sequence    uint64 // of the last commit folded
	TraceParent string // of the request
}

// Current is the index of the first step that is not done; len(Steps) when
// all are.
func (s *State) Current() uint32 {
	for i := range s.Steps {
		if !s.Steps[i].Status.Done() {
			return uint32(i) //nolint:gosec // at most pipeline.MaxSteps
		}
	}
	return uint32(len(s.Steps)) //nolint:gosec // as above
}

// Claimed tells whether a runner holds the run.
func (s *State) Claimed() bool { return s.Claim.Fence != 0 }

// Stopping tells whether the run is to end before its steps are done.
func (s *State) Stopping() bool { return s.Cancel != nil || !s.Deadline.IsZero() }

// IsJob tells whether the run has no target.
func (s *State) IsJob() bool { return s.Job != "" }

// Name is what people call the run: "NAMESPACE JOB", or
// "SERVICE@VERSION to ENVIRONMENT".
func (s *State) Name() string {
	if s.IsJob() {
		return s.Namespace + " " + s.Job
	}
	name := s.Service
	if s.Version != "" {
		name += "@" + s.Version
	}
	if s.Environment != "" {
		name += " to " + s.Environment
	}
	return name
}

// derive says the status of a run that has not ended from what it holds.
func (s *State) derive() Status {
	switch {
	case s.Status == Absent || s.Status.Ended():
		return s.Status
	case !s.Claimed() && s.Started.IsZero():
		return Queued
	case !s.Claimed():
		return Waiting
	}
	if at := s.Current(); at < uint32(len(s.Steps)) && s.Steps[at].Status == StepWaiting { //nolint:gosec // bounded
		return Waiting
	}
	return Running
}
