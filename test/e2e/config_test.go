package e2e

import (
	"strings"
	"testing"

	apiv1 "github.com/slipway-hq/slipway/gen/slipway/api/v1"
	"github.com/slipway-hq/slipway/test/internal/world"
)

func TestAChangedConfigurationIsAdoptedAndABadOneRefused(t *testing.T) {
	t.Parallel()
	w := world.New(t)
	w.Configure(w.Pipelines(held(w)))
	p := w.Up()
	first := w.Ask("web@v1 to staging")
	w.Running(first, "wait")
	waiting := w.Ask("web@v1 to staging")

	w.ConfigureText("services: {web: {pipelin: web}}\n")
	p.Said("configuration refused")
	second := w.Ask("web@v1 to qa") // the old one is still in force
	w.Running(second, "wait")

	// The new one has another pipeline, another service, and lacks staging.
	next := w.Pipelines(map[string][]world.Map{"web": {w.Step("only", "")}, "api": {w.Step("serve", "")}})
	delete(next["environments"].(world.Map), "staging")
	w.Configure(next)
	w.Eventually("the new configuration", func() bool {
		_, err := w.TryDeploy("api", "qa", "", "")
		return err == nil
	})
	if _, err := w.TryDeploy("web", "staging", "", ""); err == nil || !strings.Contains(err.Error(), "staging") {
		t.Errorf("an environment that is gone: %v", err)
	}
	w.Open("v1")
	for _, id := range []string{first, waiting, second} {
		r := w.Succeeded(id)
		if len(r.GetSteps()) != 3 || r.GetSteps()[1].GetName() != "wait" {
			t.Errorf("%s lost its plan: %v", id, r.GetSteps())
		}
		w.JudgeCard(r)
	}
	if r := w.Succeeded(w.Ask("web to qa")); len(r.GetSteps()) != 1 {
		t.Errorf("a new run has the old plan: %v", r.GetSteps())
	}
	for _, r := range w.All() {
		if r.GetStatus() != apiv1.RunStatus_RUN_STATUS_REFUSED {
			w.Succeeded(r.GetId())
		}
	}
}
