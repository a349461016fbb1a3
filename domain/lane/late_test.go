package lane_test

import (
	"fmt"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/slipway-hq/slipway/domain/lane"
	eventv1 "github.com/slipway-hq/slipway/gen/slipway/event/v1"
)

// TestWhoWaitedAgainIsGrantedOnce decides on a state that is newer than the
// queue: b had merged into a, which was cancelled, and has a slot by now.
func TestWhoWaitedAgainIsGrantedOnce(t *testing.T) {
	w := newWorld()
	w.settings = &eventv1.LaneSettings{Concurrency: 1}
	merge := lane.Candidate{Policy: eventv1.Dedupe_POLICY_MERGE, Key: "k"}
	a, b := merge, merge
	a.Run, b.Run = "a", "b"
	w.ask(a)
	w.ask(b)
	w.tick(t) // a has the slot, b merged
	w.ended["a"], w.void["a"] = true, true
	w.queue.Add(w.asked["b"])
	late := w.grant()
	late.Queue = lane.Ready(&w.queue, w.state, late)
	if e := w.tick(t); len(e.GetRuns()) != 1 || e.GetRuns()[0] != "b" {
		t.Fatalf("granted %v, want b", e.GetRuns())
	}
	late.Settings = &eventv1.LaneSettings{Concurrency: 2}
	if events, err := lane.Decide(w.state, late); err != nil || len(events) > 0 {
		t.Errorf("b was granted a second slot: %v, %v", events, err)
	}
}

// TestWhoWaitsAgainKeepsItsAge puts an old request back behind which others were
// made.
func TestWhoWaitsAgainKeepsItsAge(t *testing.T) {
	w := newWorld()
	for _, run := range []string{"old", "middle", "young"} {
		w.ask(lane.Candidate{Run: run})
		w.now = w.now.Add(time.Minute)
	}
	w.queue.Remove("old")
	w.queue.Add(w.asked["old"])
	if _, place, _ := w.queue.Find("old"); place != 0 {
		t.Errorf("the oldest request has place %d, want 0", place)
	}
}

// TestTheStartOfWhoExecutesCounts: who yields takes its own start along.
func TestTheStartOfWhoExecutesCounts(t *testing.T) {
	for _, c := range []struct {
		name         string
		policy       eventv1.Dedupe_Policy
		first, later time.Duration
	}{
		{"newest, put off by its requester", eventv1.Dedupe_POLICY_NEWEST, 0, 3 * time.Hour},
		{"reject, where the later one would start at once", eventv1.Dedupe_POLICY_REJECT, 3 * time.Hour, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld()
			ask := func(run string, delay time.Duration) {
				w.ask(lane.Candidate{Run: run, Policy: c.policy, Key: "k", MaxDelay: time.Hour, Start: w.now.Add(delay)})
			}
			ask("first", c.first)
			w.now = w.now.Add(time.Hour)
			ask("later", c.later)
			if e := w.tick(t); len(e.GetRuns()) > 0 || len(e.GetAbsorbs()) != 1 {
				t.Errorf("started %v and let %d yield, want none and 1", e.GetRuns(), len(e.GetAbsorbs()))
			}
		})
	}
}

// TestMoreDoublesThanOneCommitHolds: one executes, and no other before or after.
func TestMoreDoublesThanOneCommitHolds(t *testing.T) {
	const many = 2*lane.MaxAbsorbs + 50
	for policy, want := range map[eventv1.Dedupe_Policy]string{
		eventv1.Dedupe_POLICY_MERGE: "0", eventv1.Dedupe_POLICY_REJECT: "0", eventv1.Dedupe_POLICY_NEWEST: fmt.Sprint(many - 1),
	} {
		t.Run(policy.String(), func(t *testing.T) {
			w := newWorld()
			for i := range many {
				w.ask(lane.Candidate{Run: fmt.Sprint(i), Policy: policy, Key: "k"})
			}
			yielded := 0
			for range 5 {
				e := w.tick(t)
				yielded += len(e.GetAbsorbs())
				for _, a := range e.GetAbsorbs() {
					if a.GetInto() != want {
						t.Fatalf("%s yields to %s, want %s", a.GetRun(), a.GetInto(), want)
					}
				}
				for _, run := range e.GetRuns() {
					w.ended[run] = true
				}
			}
			if len(w.granted) != 1 || w.granted[0] != want || yielded != many-1 {
				t.Errorf("granted %v and let %d yield, want [%s] and %d", w.granted, yielded, want, many-1)
			}
		})
	}
}

// TestNoClockIsTooLateForAHold: who decides by a clock that is behind starts
// nothing that was held before in the log. (Seed 597 of the simulation.)
func TestNoClockIsTooLateForAHold(t *testing.T) {
	w := newWorld()
	w.ask(lane.Candidate{Run: "a", Job: "n/j"})
	held := &eventv1.Event{Kind: &eventv1.Event_LaneHeld{LaneHeld: &eventv1.LaneHeld{
		Lane: "l", Hold: "h-1", Job: "n/j", From: timestamppb.New(w.now), Until: timestamppb.New(w.now.Add(time.Minute)),
	}}}
	w.state = lane.Fold(w.state, lane.At{Sequence: 1000, Time: w.now}, held)
	w.now = w.now.Add(-time.Second)
	if e := w.tick(t); len(e.GetRuns()) > 0 {
		t.Errorf("%v started after the hold", e.GetRuns())
	}
}
