package faults

import (
	"syscall"
	"testing"

	"github.com/slipway-hq/slipway/test/internal/world"
)

// TestARestartOfTheBrokerDisturbsNoStep stops and kills the only NATS server
// during a long step.
func TestARestartOfTheBrokerDisturbsNoStep(t *testing.T) {
	t.Parallel()
	w := world.New(t)
	w.Configure(w.Pipelines(map[string][]world.Map{"web": {w.Step("build", ""), w.Step("wait", w.Hold("go")), w.Step("ship", "")}}))
	nats := w.Split()["nats"]
	id, queued := w.Ask("web to staging"), w.Ask("web to staging")
	begun := w.AwaitEffect("start", id, "wait", 1)
	nats.Signal(syscall.SIGTERM)
	nats.ExitCode()
	nats = w.NATS()
	w.Running(id, "wait")
	nats.Kill()
	w.NATS()
	if !world.Alive(begun.PID) {
		t.Error("the step did not live through it")
	}
	w.Open("go")
	w.JudgeCard(w.Succeeded(id))
	w.JudgeCard(w.Succeeded(queued))
	for _, e := range w.Effects() {
		if e.Attempt > 1 {
			t.Errorf("%s of %s was started again", e.Step, e.Run)
		}
	}
	w.Judge(w.All(), nil)
}
