package faults

import (
	"path/filepath"
	"testing"

	apiv1 "github.com/slipway-hq/slipway/gen/slipway/api/v1"
	"github.com/slipway-hq/slipway/test/internal/world"
)

// TestAFrozenRunnerLosesItsClaim freezes a runner past its lease, with the real
// times of production: 20 s until its steps are killed, 30 s until it lapses.
func TestAFrozenRunnerLosesItsClaim(t *testing.T) {
	t.Parallel()
	w := world.New(t)
	w.Configure(w.Pipelines(map[string][]world.Map{
		"web": {w.Step("build", ""), w.Step("wait", `test "$SLIPWAY_VERSION.$SLIPWAY_ATTEMPT" != held.1 || (`+w.Hold("never")+`)`), w.Step("ship", "")},
	}))
	all := w.Split()
	first := all[world.Runner]
	id := w.Ask("web@held to staging")
	begun := w.AwaitEffect("start", id, "wait", 1)
	first.Freeze()
	w.Service(world.Runner, "--data", filepath.Join(w.Dir, "second"))
	r := w.Succeeded(id)
	if world.Alive(begun.PID) {
		t.Error("a step of the frozen runner lives")
	}
	ended := len(w.Events(id))
	first.Thaw()
	first.Said("lease") // it knows that it lost
	// It serves again, under a new claim, and its late word changed nothing.
	for _, to := range []string{"staging", "qa"} {
		w.Ended(w.Ask("web to "+to), apiv1.RunStatus_RUN_STATUS_SUCCEEDED)
	}
	if now := len(w.Events(id)); now != ended {
		t.Errorf("the run has %d events after its end", now-ended)
	}
	w.JudgeCard(r)
	w.Judge(w.All(), nil)
}
