package faults

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/slipway-hq/slipway/test/internal/world"
)

// passedBy is how long a run may wait because a runner froze that it was offered
// to: far less than the 30 s after which that runner's lease lapses.
const passedBy = 15 * time.Second

// TestAFrozenRunnerIsPassedByAndLabelsHold freezes one of two runners that have
// what a pipeline asks for. Its runs go to the other one in bounded time and never
// to a third, which is there all the time, idle and without the label; and what
// asks for no label is not held up either.
func TestAFrozenRunnerIsPassedByAndLabelsHold(t *testing.T) {
	t.Parallel()
	w := world.New(t)
	config := w.Pipelines(map[string][]world.Map{"picky": {w.Shared("build", "")}, "plain": {w.Shared("build", "")}})
	config["pipelines"].(world.Map)["picky"].(world.Map)["labels"] = world.Map{"arch": "vax"}
	config["lanes"] = world.Map{"*/staging": world.Map{"concurrency": 20}}
	w.Configure(config)
	w.NATS()
	w.Service(world.Orchestrator)
	runner := func(name, arch string) *world.Process {
		return w.Service(world.Runner, "--data", filepath.Join(w.Dir, name), "--runner-name", name, "--runner-capacity", "4", "--runner-label", "arch="+arch)
	}
	frozen := runner("frozen", "vax")
	runner("well", "vax")
	runner("other", "pdp11")
	frozen.Freeze()
	for i := range 6 {
		for _, service := range []string{"picky", "plain"} {
			began := time.Now()
			id := w.Deploy(service, "staging", fmt.Sprint("v", i), "")
			w.Succeeded(id)
			took := time.Since(began)
			if took > passedBy {
				t.Errorf("%s ended after %s", id, took)
			}
			t.Logf("%d of %s took %s", i, service, took.Round(time.Millisecond))
			if who := claimedBy(w, id); who == "frozen" || service == "picky" && who != "well" {
				t.Errorf("a run of %s went to %s", service, who)
			}
		}
	}
	if _, said := w.CLI("runners"); !strings.Contains(said, "arch=vax") || !strings.Contains(said, "well") {
		t.Errorf("slipway runners says %s", said)
	}
	w.Judge(w.All(), nil)
}

// claimedBy is the name of the runner that claimed a run first.
func claimedBy(w *world.World, id string) string {
	for _, e := range w.Events(id) {
		if _, after, ok := strings.Cut(e.GetSentence(), " on "); ok && e.GetName() == "RunClaimed" {
			name, _, _ := strings.Cut(after, " ")
			return name
		}
	}
	return ""
}
