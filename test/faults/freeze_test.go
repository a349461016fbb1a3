package faults

import (
	"path/filepath"
	"testing"

	"github.com/slipway-hq/slipway/test/internal/world"
)

// TestAFrozenRunnerLosesItsClaims freezes a runner past its lease, with the real
// times of production: 20 s until its steps are killed, 30 s until it lapses. It
// holds two runs: the step of one would never end, that of the other ends well
// while its runner is frozen, so that a late commit waits to be made.
func TestAFrozenRunnerLosesItsClaims(t *testing.T) {
	t.Parallel()
	w := world.New(t)
	w.Configure(w.Pipelines(map[string][]world.Map{
		"stuck": {w.Step("build", ""), w.Step("wait", `test "$SLIPWAY_VERSION.$SLIPWAY_ATTEMPT" != held.1 || (`+w.Hold("never")+`)`), w.Step("ship", "")},
		"late":  {w.Step("build", ""), w.Step("wait", w.Hold("late")), w.Step("ship", "")},
	}))
	all := w.Split()
	first := all[world.Runner]
	stuck, late := w.Ask("stuck@held to staging"), w.Ask("late to staging")
	begun := w.AwaitEffect("start", stuck, "wait", 1)
	w.AwaitEffect("start", late, "wait", 1)
	first.Freeze()
	w.Open("late")
	w.AwaitEffect("end", late, "wait", 1)
	w.Service(world.Runner, "--data", filepath.Join(w.Dir, "second"), "--runner-name", "second")
	runs := []string{stuck, late}
	events := map[string]int{}
	for _, id := range runs {
		r := w.Succeeded(id)
		if who := endedBy(w, id); who != "runner second" {
			t.Errorf("the run was ended by %s", who)
		}
		if n := world.StepOf(r, "wait").GetAttempts(); n != 2 {
			t.Errorf("the step ran %d times, not once by each runner", n)
		}
		events[id] = len(w.Events(id))
	}
	if world.Alive(begun.PID) {
		t.Error("a step of the frozen runner lives")
	}
	first.Thaw()
	first.Said("gave its work up") // it knows
	w.Eventually("the thawed runner to serve again", func() bool {
		id := w.Deploy("stuck", "qa", "", "")
		w.Succeeded(id)
		return endedBy(w, id) != "runner second"
	})
	for _, id := range runs {
		if now := len(w.Events(id)); now != events[id] {
			t.Errorf("the run has %d events after its end", now-events[id])
		}
		w.JudgeCard(w.Get(id))
	}
	w.Judge(w.All(), nil)
}

// endedBy is who wrote the last commit of a run.
func endedBy(w *world.World, id string) string {
	events := w.Events(id)
	return events[len(events)-1].GetActor()
}
