package card

import (
	"cmp"
	"fmt"
	"time"

	"github.com/slipway-hq/slipway/domain/run"
	eventv1 "github.com/slipway-hq/slipway/gen/slipway/event/v1"
)

// maxMilestones bounds the thread of one run. Later ones but the end are left
// out: the card shows where the run is.
const maxMilestones = 20

// Names of messages that are keys of CARDS. Other milestones are named after
// their step and attempt, or their sequence.
const (
	NameCard    = "card"
	NameStarted = "started"
	NameEnded   = "ended"
	// NameNotice is the direct message that says why the card cannot be shown.
	NameNotice = "notice"
	// Of jobs: the report of a place (followed by "-" and the place), what is
	// passed on to support, the line about the start, and what is said on the way.
	NameReport     = "report"
	NameEscalation = "escalation"
	NameStart      = "start"
	NameHeld       = "held"
	NameSource     = "source"
	// Of the marks that mirror a claim.
	NameReaction = "mirror-reaction"
	NamePin      = "mirror-pin"
	// Of a message that is passed on.
	NameRelay = "relay"
	NameAway  = "away"
)

// Mirrors tells whether a key is that of a mark that mirrors a claim.
func Mirrors(name string) bool { return name == NameReaction || name == NamePin }

// NoteName is the key of what a job itself said; number counts from 1.
func NoteName(number int) string { return fmt.Sprintf("note-%d", number) }

// Kind says what a milestone tells.
type Kind uint8

// The kinds of milestones.
const (
	Started Kind = iota + 1
	StepFailed
	Asked
	Resumed
	Ended
)

// Milestone is something worth a reply in the thread. It is told once.
type Milestone struct {
	Name     string // unique within the run, and the same in every process
	Kind     Kind
	Sequence uint64
	Step     string
	Attempt  uint32
	Attempts uint32 // that the step has in all
	ExitCode int32
	Error    string
	Tail     string
	RetryAt  time.Time
	Host     string
	Question string
	Deadline time.Time
}

// Story is a run as its commits tell it. The zero value is before the first.
type Story struct {
	State      run.State
	Milestones []Milestone
	// Updated is the time of the newest commit.
	Updated time.Time
	// Newest is the newest commit: what follows from it continues its trace.
	Newest *eventv1.Commit
	// After is the sequence of the newest commit, readable or not.
	After uint64
	// AtDoor: the request itself was refused, and who made it was told so.
	AtDoor bool
	// Runner is who has the run, or had it last, as people call it.
	Runner string
	lost   bool
}

// Fold adds a commit; nil is one that cannot be read and changes nothing.
func (s *Story) Fold(sequence uint64, c *eventv1.Commit) {
	s.After = sequence
	if c == nil {
		return
	}
	before := s.State
	s.State = run.FoldCommit(s.State, sequence, c)
	s.Updated, s.Newest = c.GetTime().AsTime(), c
	s.AtDoor = s.AtDoor || before.Status == run.Absent && s.State.Status == run.Refused
	for _, e := range c.GetEvents() {
		s.tell(before, sequence, e)
	}
}

func (s *Story) tell(before run.State, sequence uint64, e *eventv1.Event) {
	switch k := e.GetKind().(type) {
	case *eventv1.Event_RunClaimed:
		s.claimed(before, sequence, k.RunClaimed)
	case *eventv1.Event_ClaimLapsed, *eventv1.Event_StepInterrupted:
		s.lost = true
		if _, interrupted := k.(*eventv1.Event_StepInterrupted); interrupted && s.State.Claimed() {
			s.resumed(sequence, s.State.Claim.Host) // said in the commit of the new claim
		}
	case *eventv1.Event_StepFailed:
		s.failed(sequence, k.StepFailed)
	case *eventv1.Event_StepAsked:
		s.add(Milestone{
			Name: fmt.Sprintf("asked-%d", sequence), Kind: Asked, Step: s.stepName(k.StepAsked.GetStep()),
			Question: k.StepAsked.GetQuestion(), Deadline: k.StepAsked.GetDeadline().AsTime(), Sequence: sequence,
		})
	case *eventv1.Event_RunEnded:
		if !before.Status.Ended() {
			s.Milestones = append(s.Milestones, Milestone{Name: NameEnded, Kind: Ended, Sequence: sequence})
		}
	}
}

func (s *Story) claimed(before run.State, sequence uint64, e *eventv1.RunClaimed) {
	s.Runner = cmp.Or(e.GetHost(), e.GetRunner())
	if before.Started.IsZero() {
		s.add(Milestone{Name: NameStarted, Kind: Started, Host: e.GetHost(), Sequence: sequence})
		return
	}
	if s.lost {
		s.resumed(sequence, e.GetHost())
	}
}

func (s *Story) resumed(sequence uint64, host string) {
	s.lost = false
	name := fmt.Sprintf("resumed-%d", sequence)
	if n := len(s.Milestones); n > 0 && s.Milestones[n-1].Name == name {
		return
	}
	s.add(Milestone{Name: name, Kind: Resumed, Host: host, Sequence: sequence, Step: s.stepName(s.State.Current())})
}

func (s *Story) failed(sequence uint64, e *eventv1.StepFailed) {
	if e.GetCause() == eventv1.StepFailed_CAUSE_STOPPED {
		return // stopped on request: the end says so
	}
	m := Milestone{
		Name: fmt.Sprintf("failed-%d-%d", e.GetStep(), e.GetAttempt()), Kind: StepFailed, Sequence: sequence,
		Step: s.stepName(e.GetStep()), Attempt: e.GetAttempt(), Attempts: s.attempts(e.GetStep()),
		ExitCode: e.GetExitCode(), Error: e.GetError(), Tail: e.GetOutput().GetTail(),
	}
	if e.GetRetryAt() != nil {
		m.RetryAt = e.GetRetryAt().AsTime()
	}
	s.add(m)
}

func (s *Story) add(m Milestone) {
	if len(s.Milestones) < maxMilestones {
		s.Milestones = append(s.Milestones, m)
	}
}

func (s *Story) stepName(i uint32) string {
	if int(i) >= len(s.State.Steps) {
		return ""
	}
	return s.State.Steps[i].Name
}

func (s *Story) attempts(i uint32) uint32 {
	if steps := s.State.Plan.GetSteps(); int(i) < len(steps) {
		return run.MaxAttempts(steps[i])
	}
	return 1
}

// Passed tells whether a milestone that was not told yet need not be told any
// more: it is routine, or a question, and the run has moved past it.
func (s *Story) Passed(m Milestone) bool {
	switch m.Kind {
	case Started, Resumed:
		return s.State.Status.Ended()
	case Asked:
		return !s.Asking() || m.Name != fmt.Sprintf("asked-%d", s.asked())
	case StepFailed, Ended:
		return false
	}
	return false
}

// Asking tells whether the run waits for a person's answer.
func (s *Story) Asking() bool {
	q := s.State.Question
	return q != nil && q.Answer == eventv1.StepAnswered_ANSWER_UNSPECIFIED && !s.State.Status.Ended()
}

// asked is the sequence of the newest question.
func (s *Story) asked() uint64 {
	for i := len(s.Milestones) - 1; i >= 0; i-- {
		if s.Milestones[i].Kind == Asked {
			return s.Milestones[i].Sequence
		}
	}
	return 0
}
