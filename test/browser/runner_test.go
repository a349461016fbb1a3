//go:build browser

package browser

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
)

func TestARunGoesOnAfterItsRunnerWasKilled(t *testing.T) {
	built := filepath.Join(t.TempDir(), "built")
	g := newGate(t)
	p := up(t, pipeline(step("build", fmt.Sprintf("echo once >> %s", built)), g.held("ship")))
	id := p.deploy("web@v5 to staging")
	p.shows(id, "running ship")

	p.click(byID("kill-runner"))
	p.thread(id, "goes on with step ship")
	p.shows(id, "attempt 2")
	g.open(t)
	p.shows(id, "Succeeded")
	p.one(id)
	if got, err := os.ReadFile(built); err != nil || string(got) != "once\n" {
		t.Errorf("the finished step left %q, %v: it must not run again", got, err)
	}
}
