package orchestrator

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/slipway-hq/slipway/domain/lane"
	"github.com/slipway-hq/slipway/domain/run"
	"github.com/slipway-hq/slipway/internal/eventlog/memlog"
	"github.com/slipway-hq/slipway/internal/topology"
)

func TestQueueOfThreeRunsInOrder(t *testing.T) {
	inHouse(t, 1, func(h *house) {
		var ids []string
		for i := range 3 {
			ids = append(ids, h.deploy(fmt.Sprintf("v%d", i), "checkout", "staging").ID)
		}
		for i, id := range ids {
			hints := h.hinted()
			if len(hints) != 1 || hints[0].GetRun() != id {
				t.Fatalf("run %d: hints %v", i, hints)
			}
			for j, later := range ids[i+1:] {
				if got := h.shown(later); !strings.HasPrefix(got, fmt.Sprintf("queued %d ", j+1)) {
					t.Errorf("run %d: %s", i+1+j, got)
				}
			}
			h.claim(hints[0], "r1")
			h.finish(id)
		}
	})
}

func TestLanesRunInParallelAndTheConfiguredLimitHolds(t *testing.T) {
	inHouse(t, 1, func(h *house) {
		h.deploy("a", "checkout", "staging")
		h.deploy("b", "search", "staging")
		for i := range 3 {
			h.deploy(fmt.Sprintf("p%d", i), "search", "production")
		}
		started := map[string]bool{}
		for _, hint := range h.hinted() { // a dispatcher that begins may hint twice
			started[hint.GetRun()] = true
		}
		if got := len(started); got != 4 {
			t.Errorf("%d runs started, want one in each staging lane and two in production", got)
		}
	})
}

func TestAHintThatNobodyFollowsIsRepeated(t *testing.T) {
	inHouse(t, 1, func(h *house) {
		id := h.deploy("a", "checkout", "staging").ID
		first := h.hinted()
		time.Sleep(hintAgain + 2*sweepEvery) // fake time
		again := h.hinted()
		if len(first) != 1 || len(again) == 0 || again[0].GetRun() != id || again[0].GetGrantSequence() != first[0].GetGrantSequence() {
			t.Fatalf("hints %v, then %v", first, again)
		}
		h.claim(again[0], "r1")
		time.Sleep(5 * hintAgain)
		if late := h.hinted(); len(late) > 0 {
			t.Errorf("claimed, and still hinted at: %v", late)
		}
	})
}

func TestALapsedRunnerLosesItsRunsAndTheyResume(t *testing.T) {
	inHouse(t, 1, func(h *house) {
		id := h.deploy("a", "checkout", "staging").ID
		h.claim(h.hinted()[0], "r1")
		h.mu.Lock()
		h.lapsed["r1"] = true
		h.mu.Unlock()
		time.Sleep(2 * sweepEvery)
		hints := h.hinted()
		if len(hints) == 0 || hints[0].GetRun() != id {
			t.Fatalf("after the lapse: hints %v, %s", hints, h.shown(id))
		}
		if s := h.claim(hints[0], "r2"); s.Steps[0].Attempts != 2 {
			t.Errorf("the interrupted step was not started again: %+v", s.Steps[0])
		}
		h.finish(id)
		if got := h.shown(id); !strings.HasPrefix(got, "succeeded") {
			t.Error(got)
		}
	})
}

func TestWaitingTooLongEndsARun(t *testing.T) {
	inHouse(t, 1, func(h *house) {
		h.deploy("a", "checkout", "staging")
		h.claim(h.hinted()[0], "r1")
		id := h.deploy("b", "checkout", "staging").ID
		time.Sleep(time.Hour + 2*sweepEvery)
		if got := h.shown(id); !strings.HasPrefix(got, "timed out 0 waited for a slot and a runner for longer than 1h0m0s") {
			t.Error(got)
		}
	})
}

// Two dispatchers over a log that loses answers and lets appends land late:
// they may only conflict.
func TestTwoDispatchersOverABadLogNeverExceedALimit(t *testing.T) {
	for seed := range uint64(20) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			inHouse(t, 2, func(h *house) { manyRuns(h, rand.New(rand.NewPCG(seed, 1))) }) //nolint:gosec // a seed to repeat a failure
		})
	}
}

func manyRuns(h *house, dice *rand.Rand) {
	h.log.SetFault(func(a memlog.Attempt) memlog.Fault {
		if !topology.IsLaneSubject(a.Subject) || dice.IntN(3) > 0 {
			return memlog.Fault{}
		}
		return memlog.Unknown([]memlog.Landing{memlog.Never, memlog.AtOnce, memlog.Late}[dice.IntN(3)])
	})
	want := map[string]bool{}
	for i := range 12 {
		want[h.deploy(fmt.Sprintf("v%d", i), []string{"checkout", "search"}[i%2], "production").ID] = true
	}
	for range 400 {
		if len(want) == 0 {
			break
		}
		time.Sleep(500 * time.Millisecond)
		h.log.Release()
		for _, hint := range h.hinted() {
			if want[hint.GetRun()] {
				h.claim(hint, "r1")
				h.checkLimits()
				h.finish(hint.GetRun())
				delete(want, hint.GetRun())
			}
		}
	}
	if len(want) > 0 {
		h.t.Fatalf("%d runs never started", len(want))
	}
}

// checkLimits refolds the log from the outside: granted minus ended, at every
// sequence.
func (h *house) checkLimits() {
	h.t.Helper()
	ended, lanes, slots := map[string]bool{}, map[string]lane.State{}, map[string]map[string]bool{}
	head, err := h.log.Head(h.ctx)
	if err != nil {
		h.t.Fatal(err)
	}
	for at := uint64(1); at <= head; at++ {
		rec, err := h.log.Get(h.ctx, at)
		if err != nil {
			h.t.Fatal(err)
		}
		for _, e := range rec.Commit.GetEvents() {
			if id, ok := topology.ParseRunSubject(rec.Subject); ok && e.GetRunEnded() != nil {
				ended[id] = true
			}
			if g := e.GetLaneGranted(); g != nil {
				lanes[g.GetLane()] = lane.Fold(lanes[g.GetLane()], lane.At{Sequence: at, Time: rec.Time}, e)
				if slots[g.GetLane()] == nil {
					slots[g.GetLane()] = map[string]bool{}
				}
				for _, id := range g.GetRuns() {
					if slots[g.GetLane()][id] {
						h.t.Fatalf("%s was granted twice", id)
					}
					slots[g.GetLane()][id] = true
				}
			}
		}
		for name, granted := range slots {
			active := 0
			for id := range granted {
				if !ended[id] {
					active++
				}
			}
			if active > 2 {
				h.t.Fatalf("lane %s has %d active at sequence %d, its limit is 2", name, active, at)
			}
		}
	}
}

func TestAGrantedRunIsShownAsWaitingForARunner(t *testing.T) {
	inHouse(t, 1, func(h *house) {
		id := h.deploy("a", "checkout", "staging").ID
		synctest.Wait()
		if got := h.shown(id); got != "waiting 0 waiting for a free runner of pool default" {
			t.Error(got)
		}
		if s := h.state(id); s.Status != run.Queued {
			t.Errorf("the run's own status is %s", s.Status)
		}
	})
}
