package board_test

import (
	"strings"
	"testing"
	"time"

	"github.com/slipway-hq/slipway/domain/board"
	"github.com/slipway-hq/slipway/domain/lane"
	"github.com/slipway-hq/slipway/domain/run"
	eventv1 "github.com/slipway-hq/slipway/gen/slipway/event/v1"
)

// TestAPauseIsNotWaitedFor resumes a lane that was paused for longer than its runs
// may wait for a slot: they get the whole of that wait again.
func TestAPauseIsNotWaitedFor(t *testing.T) {
	w := newWorld()
	id := w.request("one", "a", 0) // waits an hour at most
	set := func(paused bool, concurrency uint32) {
		ln, _ := w.board.Lane("a")
		events, err := lane.SetLimits(ln.State, "a", &paused, &concurrency, "maintenance")
		if err != nil {
			t.Fatal(err)
		}
		w.commit(events, (*board.Board).FoldLane)
	}
	set(true, 0)
	w.now = w.now.Add(3 * time.Hour)
	set(false, 0)
	w.now = w.now.Add(time.Minute)
	set(false, 3) // the end of the pause is remembered
	due := func() bool {
		l, _ := w.board.Live(id)
		last, holding := w.board.Held(l, w.now)
		at, _ := l.State.Due(last)
		return !holding && !w.now.Before(at)
	}
	if due() {
		t.Error("a run times out as soon as its lane is resumed")
	}
	if w.now = w.now.Add(time.Hour); !due() {
		t.Error("the pause is counted for ever")
	}
}

// TestAQuarantinedRunDoesNotWaitAgain: it would get a slot that no runner can use.
func TestAQuarantinedRunDoesNotWaitAgain(t *testing.T) {
	w := newWorld()
	w.job("first", eventv1.Dedupe_POLICY_MERGE, "x", 0)
	w.job("second", eventv1.Dedupe_POLICY_MERGE, "x", 0)
	w.tick("a")
	w.board.QuarantineRun(w.ids[1], "its chain is broken")
	if err := w.run(w.ids[0], run.RequestCancel{}); err != nil {
		t.Fatal(err)
	}
	if ln, _ := w.board.Lane("a"); ln.Queue.Len() != 0 {
		t.Error("it waits for a slot")
	}
}

// TestWhoeverWaitsForAQuarantinedRunIsToldSo: only an operator can end that wait.
func TestWhoeverWaitsForAQuarantinedRunIsToldSo(t *testing.T) {
	w := newWorld()
	w.job("first", eventv1.Dedupe_POLICY_MERGE, "x", 0)
	w.job("second", eventv1.Dedupe_POLICY_MERGE, "x", 0)
	w.tick("a")
	w.board.QuarantineRun(w.ids[0], "its chain is broken")
	if s := w.show(w.ids[1]); !strings.Contains(s.Reason, "quarantined: its chain is broken") || !strings.Contains(s.Reason, "slipway release") {
		t.Errorf("said: %s", s.Reason)
	}
}
