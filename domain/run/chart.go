package run

import (
	"fmt"
	"strings"
)

// Transition is one allowed change of a run's status.
type Transition struct {
	From  Status
	Event string // name of the event
	To    Status
}

// Transitions is the one table of what may follow what. Property tests hold
// Decide and Fold to it in both directions, and the documents' state chart is
// printed from it. Events that leave the status as it is are not listed.
var Transitions = []Transition{
	{Absent, "RunRequested", Queued},
	{Queued, "RunRefused", Refused},
	{Queued, "RunClaimed", Running},
	{Queued, "RunEnded", Cancelled},
	{Queued, "RunEnded", TimedOut},
	{Queued, "RunEnded", Merged},
	{Running, "StepFailed", Waiting},
	{Running, "StepAsked", Waiting},
	{Running, "ClaimReleased", Waiting},
	{Running, "ClaimLapsed", Waiting},
	{Running, "RunEnded", Succeeded},
	{Running, "RunEnded", Failed},
	{Running, "RunEnded", Cancelled},
	{Running, "RunEnded", TimedOut},
	{Waiting, "RunClaimed", Running},
	{Waiting, "StepStarted", Running},
	{Waiting, "StepFinished", Running},
	{Waiting, "StepFailed", Running},
	{Waiting, "RunEnded", Cancelled},
	{Waiting, "RunEnded", TimedOut},
}

// Chart is the table as a Mermaid state diagram.
func Chart() string {
	var b strings.Builder
	b.WriteString("stateDiagram-v2\n")
	name := func(s Status) string { return strings.ReplaceAll(strings.ToUpper(s.String()), " ", "_") }
	for _, t := range Transitions {
		from := name(t.From)
		if t.From == Absent {
			from = "[*]"
		}
		fmt.Fprintf(&b, "    %s --> %s: %s\n", from, name(t.To), t.Event)
	}
	for s := Succeeded; s <= Merged; s++ {
		fmt.Fprintf(&b, "    %s --> [*]\n", name(s))
	}
	return b.String()
}
