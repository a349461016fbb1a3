package run_test

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/slipway-hq/slipway/domain/run"
	eventv1 "github.com/slipway-hq/slipway/gen/slipway/event/v1"
)

// world is one run and its log, with a clock that moves only when told.
type world struct {
	state    run.State
	sequence uint64
	now      time.Time
	history  []entry
}

type entry struct {
	sequence uint64
	commit   *eventv1.Commit
}

func newWorld() *world {
	return &world{now: time.Date(2026, 1, 2, 10, 0, 0, 0, time.UTC), sequence: 100}
}

// do decides and, if anything happened, commits.
func (w *world) do(c run.Command) ([]*eventv1.Event, error) {
	events, err := run.Decide(w.state, c)
	if err != nil || len(events) == 0 {
		return nil, err
	}
	w.sequence++
	commit := &eventv1.Commit{Events: events, Time: timestamppb.New(w.now), Actor: &eventv1.Principal{Kind: eventv1.Principal_KIND_SLACK_USER, User: "U1"}}
	w.history = append(w.history, entry{w.sequence, commit})
	w.state = run.FoldCommit(w.state, w.sequence, commit)
	return events, nil
}

func request(steps []*eventv1.Step, timeout, queue time.Duration) run.Request {
	return run.Request{Event: &eventv1.RunRequested{
		Run: "d-abcdefgh", Identity: "slash|T1|x", Digest: []byte{1}, Service: "checkout", Environment: "production", Version: "v2",
		Plan: &eventv1.Plan{Lane: "checkout/production", Pool: "default", Steps: steps, Timeout: durationpb.New(timeout), QueueTimeout: durationpb.New(queue)},
	}}
}

// step is written name[:attempts[:resume]].
func step(text string) *eventv1.Step {
	parts := strings.Split(text, ":")
	s := &eventv1.Step{Name: parts[0], Shell: "true"}
	if len(parts) > 1 {
		n, _ := strconv.Atoi(parts[1])
		s.Retry = &eventv1.Retry{Attempts: uint32(n), Delay: durationpb.New(time.Second), Backoff: 2, MaxDelay: durationpb.New(3 * time.Second)} //nolint:gosec // a small number of a test
	}
	if len(parts) > 2 {
		s.Resume = map[string]eventv1.Step_Resume{"probe": eventv1.Step_RESUME_PROBE, "ask": eventv1.Step_RESUME_ASK}[parts[2]]
	}
	return s
}

func narrate(events []*eventv1.Event) string {
	var lines []string
	for _, e := range events {
		lines = append(lines, "  "+kind(e)+detail(e))
	}
	return strings.Join(lines, "\n")
}

func kind(e *eventv1.Event) string {
	m := e.ProtoReflect()
	return string(m.Get(m.WhichOneof(m.Descriptor().Oneofs().ByName("kind"))).Message().Descriptor().Name())
}

func detail(e *eventv1.Event) string {
	switch k := e.GetKind().(type) {
	case *eventv1.Event_StepStarted:
		return fmt.Sprintf(" step %d attempt %d fence %d", k.StepStarted.GetStep(), k.StepStarted.GetAttempt(), k.StepStarted.GetFence())
	case *eventv1.Event_StepFinished:
		return fmt.Sprintf(" step %d attempt %d", k.StepFinished.GetStep(), k.StepFinished.GetAttempt())
	case *eventv1.Event_StepFailed:
		text := fmt.Sprintf(" step %d attempt %d: %s", k.StepFailed.GetStep(), k.StepFailed.GetAttempt(), k.StepFailed.GetError())
		if k.StepFailed.GetRetryAt() != nil {
			text += ", again at " + k.StepFailed.GetRetryAt().AsTime().Format("15:04:05")
		}
		return text
	case *eventv1.Event_StepInterrupted:
		return fmt.Sprintf(" step %d attempt %d", k.StepInterrupted.GetStep(), k.StepInterrupted.GetAttempt())
	case *eventv1.Event_StepAsked:
		return " until " + k.StepAsked.GetDeadline().AsTime().Format("15:04:05")
	case *eventv1.Event_RunClaimed:
		return " by " + k.RunClaimed.GetRunner()
	case *eventv1.Event_RunEnded:
		text := " " + strings.ToLower(strings.TrimPrefix(k.RunEnded.GetOutcome().String(), "OUTCOME_"))
		if k.RunEnded.GetReason() != "" {
			text += ": " + k.RunEnded.GetReason()
		}
		return text
	}
	return ""
}
