package orchestrator

import (
	"fmt"
	"strings"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	apiv1 "github.com/slipway-hq/slipway/gen/slipway/api/v1"
	eventv1 "github.com/slipway-hq/slipway/gen/slipway/event/v1"
	"github.com/slipway-hq/slipway/internal/eventlog"
)

// narrator tells the history of one run, record by record from its first, which
// names the steps.
type narrator struct{ steps []string }

// record is one record as people and tools read it: one entry per event.
func (n *narrator) record(rec eventlog.Record) []*apiv1.RunEvent {
	if rec.Commit == nil {
		return []*apiv1.RunEvent{{Sequence: rec.Sequence, Time: timestamppb.New(rec.Time), Name: "Unreadable", Sentence: rec.Err.Error()}}
	}
	var out []*apiv1.RunEvent
	fence := uint64(0)
	for _, e := range rec.Commit.GetEvents() {
		name, msg := eventName(e)
		if msg == nil {
			name = "Unknown"
		}
		text, err := protojson.Marshal(e)
		if err != nil {
			text = []byte("{}")
		}
		if f, ok := msg.(interface{ GetFence() uint64 }); ok && f.GetFence() != 0 {
			fence = f.GetFence()
		} else if name == "RunClaimed" {
			fence = rec.Sequence
		}
		out = append(out, &apiv1.RunEvent{
			Sequence: rec.Sequence, Version: rec.Commit.GetVersion(), Time: rec.Commit.GetTime(), Actor: actorName(rec.Commit.GetActor()),
			Name: name, Sentence: n.sentence(msg), Json: string(text), Fence: fence,
		})
	}
	return out
}

// eventName is the message's name of the one field that is set.
func eventName(e *eventv1.Event) (string, proto.Message) {
	m := e.ProtoReflect()
	field := m.WhichOneof(m.Descriptor().Oneofs().ByName("kind"))
	if field == nil {
		return "", nil
	}
	inner := m.Get(field).Message().Interface()
	return string(inner.ProtoReflect().Descriptor().Name()), inner
}

func actorName(p *eventv1.Principal) string {
	switch p.GetKind() {
	case eventv1.Principal_KIND_SLACK_USER:
		return p.GetUser()
	case eventv1.Principal_KIND_API:
		return "api:" + p.GetName()
	case eventv1.Principal_KIND_SYSTEM:
		return p.GetName()
	case eventv1.Principal_KIND_UNSPECIFIED:
	}
	return "unknown"
}

// step is what the plan calls a step.
func (n *narrator) step(i uint32) string {
	if int(i) < len(n.steps) {
		return n.steps[i]
	}
	return fmt.Sprintf("step %d", i+1)
}

// sentence is one line for people.
func (n *narrator) sentence(msg proto.Message) string {
	switch e := msg.(type) {
	case *eventv1.RunRequested:
		for _, s := range e.GetPlan().GetSteps() {
			n.steps = append(n.steps, s.GetName())
		}
		what := strings.TrimSpace(e.GetService()+" "+e.GetVersion()) + " to " + e.GetEnvironment()
		if e.GetJob() != "" {
			what = e.GetNamespace() + "/" + e.GetJob()
		}
		return fmt.Sprintf("asked for %s, %d steps in lane %s", what, len(e.GetPlan().GetSteps()), e.GetPlan().GetLane())
	case *eventv1.RunRefused:
		return e.GetCode() + ": " + e.GetSentence()
	case *eventv1.RunClaimed:
		return fmt.Sprintf("runner %s on %s claimed the run (grant %d)", e.GetRunner(), e.GetHost(), e.GetGrantSequence())
	case *eventv1.StepStarted:
		return fmt.Sprintf("%s started, attempt %d", n.step(e.GetStep()), e.GetAttempt())
	case *eventv1.StepFinished:
		return fmt.Sprintf("%s finished, %d bytes printed", n.step(e.GetStep()), e.GetOutput().GetBytes())
	case *eventv1.StepFailed:
		text := fmt.Sprintf("%s failed at attempt %d: %s", n.step(e.GetStep()), e.GetAttempt(), e.GetError())
		if e.GetRetryAt() != nil {
			text += "; next attempt at " + e.GetRetryAt().AsTime().Format("15:04:05")
		}
		return text
	case *eventv1.StepInterrupted:
		return fmt.Sprintf("%s was interrupted at attempt %d: %s", n.step(e.GetStep()), e.GetAttempt(), e.GetReason())
	case *eventv1.StepAsked:
		return e.GetQuestion()
	case *eventv1.StepAnswered:
		return "answered " + strings.ToLower(strings.TrimPrefix(e.GetAnswer().String(), "ANSWER_"))
	case *eventv1.CancelRequested:
		return "cancel requested " + e.GetReason()
	case *eventv1.TimeoutRequested:
		return "the run's limit passed"
	case *eventv1.ClaimReleased:
		return "claim given back: " + e.GetReason()
	case *eventv1.ClaimLapsed:
		return "claim taken away: " + e.GetReason()
	case *eventv1.SourceResolved:
		text := "source is " + e.GetKind() + " " + e.GetCommit()
		if e.GetStale() != "" {
			text += "; " + e.GetStale()
		}
		return text
	case *eventv1.RunNoted:
		return "said: " + clip(e.GetText())
	case *eventv1.RunArchived:
		return fmt.Sprintf("its %d records were archived", e.GetVersions())
	case *eventv1.RunEnded:
		text := strings.ToLower(strings.TrimPrefix(e.GetOutcome().String(), "OUTCOME_")) + " after " + spent(e.GetElapsed().AsDuration())
		if e.GetReason() != "" {
			text += ": " + e.GetReason()
		}
		return text
	}
	return ""
}
