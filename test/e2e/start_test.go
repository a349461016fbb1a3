package e2e

import (
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	apiv1 "github.com/slipway-hq/slipway/gen/slipway/api/v1"
	"github.com/slipway-hq/slipway/test/internal/world"
)

func TestASecondUpAndATakenPortAreSaidClearly(t *testing.T) {
	t.Parallel()
	w := world.New(t)
	w.Configure(w.Pipelines(three(w)))
	w.Up()
	second := w.Start("slipway", "up", "--data", w.Data())
	if code := second.ExitCode(); code == 0 || !strings.Contains(second.Output(), "another slipway uses the data") {
		t.Errorf("a second up on the same data ends with %d", code)
	}
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = taken.Close() }()
	third := w.Start("slipway", "up", "--data", filepath.Join(w.Dir, "other"), "--listen", taken.Addr().String())
	if code := third.ExitCode(); code == 0 || !strings.Contains(third.Output(), "cannot listen on "+taken.Addr().String()) {
		t.Errorf("up on a taken port ends with %d", code)
	}
	w.Succeeded(w.Deploy("web", "staging", "", "")) // the first was not disturbed
}

func TestSettingsThatCannotWorkAreRefused(t *testing.T) {
	t.Parallel()
	w := world.New(t, world.Env("SLACK_SIGNING_SECRET", ""))
	w.Configure(w.Pipelines(three(w)))
	p := w.Start("slipway", "up", "--data", w.Data())
	if code := p.ExitCode(); code == 0 || !strings.Contains(p.Output(), "SLACK_SIGNING_SECRET") {
		t.Errorf("an empty signing secret ends with %d", code)
	}
	wrong := world.New(t)
	wrong.ConfigureText("servises: {}\n")
	p = wrong.Start("slipway", "up", "--data", wrong.Data())
	if code := p.ExitCode(); code == 0 || !strings.Contains(p.Output(), "servises") {
		t.Errorf("a wrong configuration ends with %d", code)
	}
}

func TestCtrlCDrainsAndANewStartGoesOn(t *testing.T) {
	t.Parallel()
	w := world.New(t)
	w.Configure(w.Pipelines(held(w)))
	p := w.Up()
	running, queued := w.Ask("web@v1 to staging"), w.Ask("web@v2 to staging")
	w.AwaitEffect("start", running, "wait", 1)
	p.Signal(os.Interrupt)
	p.Said("draining")
	w.Open("v1") // the step that runs may finish; the next does not start
	w.Open("v2")
	if code := p.ExitCode(); code != 0 {
		t.Errorf("Ctrl-C ends with %d", code)
	}
	for _, e := range w.EffectsOf(running) {
		if e.Step == "ship" || e.Attempt > 1 {
			t.Errorf("%s ran while draining", e.Step)
		}
	}
	w.Up()
	w.JudgeCard(w.Succeeded(running))
	w.JudgeCard(w.Succeeded(queued))
	for _, e := range w.EffectsOf(running) {
		if e.Attempt > 1 {
			t.Errorf("%s ran twice", e.Step)
		}
	}
	w.Judge(w.All(), nil)
}

func TestTheExampleBuildsTestsAndServes(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	p := world.Alone(t, dir)
	line := p.Said("  API      http://")
	server := strings.Fields(strings.TrimPrefix(line, "API"))[0]
	run := world.Command(t, dir, "deploy", "hello@v1.2.3", "to", "staging", "--wait", "--server", server)
	if code := run.ExitCode(); code != 0 {
		t.Fatalf("deploy ended with %d: %s", code, run.Output())
	}
	replay := world.Command(t, dir, "replay", "--server", server)
	if code := replay.ExitCode(); code != 0 {
		t.Errorf("the view differs from the log: %s", replay.Output())
	}
	if code := p.Interrupt(); code != 0 {
		t.Errorf("Ctrl-C ends with %d", code)
	}
}

// TestTheServicesApartBehaveAsTogether is the short tour of separate processes;
// test/faults breaks them.
func TestTheServicesApartBehaveAsTogether(t *testing.T) {
	t.Parallel()
	w := world.New(t)
	w.Configure(w.Pipelines(held(w)))
	w.Split()
	first, second := w.Ask("web@v1 to staging"), w.Ask("web@v2 to staging")
	w.Running(first, "wait")
	w.Cancel(second)
	w.Ended(second, apiv1.RunStatus_RUN_STATUS_CANCELLED)
	w.Open("v1")
	w.JudgeCard(w.Succeeded(first))
	w.JudgeCard(w.Get(second))
	w.Judge(w.All(), nil)
}
