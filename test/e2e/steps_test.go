package e2e

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	apiv1 "github.com/slipway-hq/slipway/gen/slipway/api/v1"
	"github.com/slipway-hq/slipway/test/internal/world"
)

func TestAFailingStepIsRetriedAndThenSucceeds(t *testing.T) {
	w := up(t, func(w *world.World) map[string][]world.Map {
		return map[string][]world.Map{"web": {
			w.Step("flaky", `test $SLIPWAY_ATTEMPT -ge 3 || exit 7`, world.Map{"retry": world.Map{"attempts": 3, "delay": "200ms"}}),
			w.Step("ship", ""),
		}}
	})
	r := w.Succeeded(w.Ask("web to staging"))
	if n := world.StepOf(r, "flaky").GetAttempts(); n != 3 {
		t.Errorf("%d attempts, want 3", n)
	}
	card := w.Card(r.GetId(), "Succeeded")
	if !strings.Contains(card.Visible(), "attempt 3 of 3") {
		t.Errorf("the card tells nothing of the attempts:\n%s", card.Visible())
	}
	w.Judge(w.All(), nil)
}

func TestAFailureShowsItsTailAndExitCodeAndRetryCarriesTheRest(t *testing.T) {
	w := up(t, func(w *world.World) map[string][]world.Map {
		return map[string][]world.Map{"web": {
			w.Step("build", ""), w.Step("ship", "echo the disk is on fire >&2; test -e "+w.Dir+"/water || exit 42"), w.Step("tell", ""),
		}}
	})
	r := w.Ended(w.Ask("web to staging"), apiv1.RunStatus_RUN_STATUS_FAILED)
	ship := world.StepOf(r, "ship")
	if ship.GetExitCode() != 42 || ship.GetStatus() != apiv1.StepStatus_STEP_STATUS_FAILED || world.StepOf(r, "tell").GetStatus() != apiv1.StepStatus_STEP_STATUS_SKIPPED {
		t.Errorf("steps %v", r.GetSteps())
	}
	card := w.Card(r.GetId(), "Failed")
	if !strings.Contains(card.Visible(), "42") {
		t.Errorf("no exit code on the card:\n%s", card.Visible())
	}
	w.Reply(card, "the disk is on fire")
	w.JudgeCard(r)

	if err := os.WriteFile(filepath.Join(w.Dir, "water"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := w.Slack.Click(t.Context(), "U0REQUEST01", card.Channel, card.TS, "slipway:retry"); err != nil {
		t.Fatal(err)
	}
	var again *apiv1.Run
	w.Eventually("the retry", func() bool {
		for _, candidate := range w.All() {
			if candidate.GetRetryOf() == r.GetId() {
				again = candidate
			}
		}
		return again != nil
	})
	again = w.Succeeded(again.GetId())
	if world.StepOf(again, "build").GetStatus() != apiv1.StepStatus_STEP_STATUS_CARRIED {
		t.Errorf("build is %v", world.StepOf(again, "build"))
	}
	for _, e := range w.EffectsOf(again.GetId()) {
		if e.Step == "build" {
			t.Error("a carried step ran again")
		}
	}
	w.JudgeCard(again)
	w.Judge(w.All(), nil)
}

func TestAStepThatHangsTimesOutWithItsChildren(t *testing.T) {
	w := up(t, func(w *world.World) map[string][]world.Map {
		return map[string][]world.Map{"web": {
			w.Step("hang", `trap '' TERM; (trap '' TERM; sleep 300) & echo $! >`+w.Dir+`/child; sleep 300`, world.Map{"timeout": "1s", "grace": "200ms"}),
			w.Step("never", ""),
		}}
	})
	r := w.Ended(w.Ask("web to staging"), apiv1.RunStatus_RUN_STATUS_TIMED_OUT)
	dead(w, "child")
	w.JudgeCard(r)
	// The place is free again for the next.
	w.Ended(w.Ask("web to staging"), apiv1.RunStatus_RUN_STATUS_TIMED_OUT)
	w.Judge(w.All(), nil)
}

// dead checks that no process lives whose id a step wrote into a file.
func dead(w *world.World, file string) {
	w.T.Helper()
	text, err := os.ReadFile(filepath.Join(w.Dir, file))
	if err != nil {
		w.T.Fatal(err)
	}
	for _, pid := range strings.Fields(string(text)) {
		if world.Alive(number(w.T, pid)) {
			w.T.Errorf("process %s lives on", pid)
		}
	}
}

func TestChildrenOfAStepDieWithIt(t *testing.T) {
	w := up(t, func(w *world.World) map[string][]world.Map {
		return map[string][]world.Map{"web": {w.Step("fork", `sleep 300 & echo $! >`+w.Dir+`/child`), w.Step("next", "")}}
	})
	r := w.Succeeded(w.Ask("web to staging"))
	dead(w, "child")
	w.Judge([]*apiv1.Run{r}, nil)
}

func TestWhatAStepPrintsIsBoundedMaskedAndWhole(t *testing.T) {
	const secret = "s3cr3t-of-the-test-9f8e7d"
	w := up(t, func(w *world.World) map[string][]world.Map {
		return map[string][]world.Map{
			"flood":  {w.Step("flood", `i=0; while test $i -lt 3000; do echo line $i of a flood that never wants to end; i=$((i+1)); done`, world.Map{"output_limit": "20KiB"})},
			"spill":  {w.Step("spill", `echo "it is $TOKEN"; printf %s "$TOKEN" >&2; exit 3`, world.Map{"secrets": world.Map{"TOKEN": world.Map{"env": "TOKEN_OF_TEST"}}})},
			"absent": {{"name": "absent", "run": []string{"no-such-command-anywhere", "--now"}}},
			"signal": {w.Step("signal", `kill -SEGV $$`)},
			"quiet":  {w.Step("quiet", "")},
		}
	}, world.Env("TOKEN_OF_TEST", secret))

	flood := w.Succeeded(w.Deploy("flood", "staging", "", ""))
	answer := w.Logs(flood.GetId(), "flood")
	if len(answer) > 64<<10 || !strings.Contains(answer, "line 1 of") {
		t.Errorf("the flood left %d bytes", len(answer))
	}
	logs, err := w.Runs.GetLogs(t.Context(), &apiv1.GetLogsRequest{Id: flood.GetId()})
	if err != nil {
		t.Fatal(err)
	}
	noted := false
	for _, e := range logs.GetEntries() {
		noted = noted || e.GetStream() == "note"
	}
	if !noted {
		t.Error("nothing says that the output was cut")
	}

	spill := w.Ended(w.Ask("spill to staging"), apiv1.RunStatus_RUN_STATUS_FAILED)
	card := w.Card(spill.GetId(), "Failed")
	w.Reply(card, "it is ")
	w.JudgeCard(spill)
	for place, text := range map[string]string{
		"logs": w.Logs(spill.GetId(), ""), "run": spill.String(), "card": card.Visible(), "events": eventText(w, spill.GetId()), "Slack": journal(w),
	} {
		if strings.Contains(text, secret) {
			t.Errorf("the secret is in the %s", place)
		}
	}
	if text := w.Logs(spill.GetId(), ""); !strings.Contains(text, "it is ") {
		t.Errorf("the log lacks the rest of the line: %q", text)
	}

	absent := w.Ended(w.Deploy("absent", "staging", "", ""), apiv1.RunStatus_RUN_STATUS_FAILED)
	if e := world.StepOf(absent, "absent").GetError(); !strings.Contains(e, "no-such-command-anywhere") {
		t.Errorf("a command that does not exist is called %q", e)
	}
	signal := w.Ended(w.Deploy("signal", "staging", "", ""), apiv1.RunStatus_RUN_STATUS_FAILED)
	if e := world.StepOf(signal, "signal").GetError(); !strings.Contains(strings.ToLower(e), "seg") {
		t.Errorf("the end by a signal is called %q", e)
	}
	quiet := w.Succeeded(w.Deploy("quiet", "staging", "", ""))
	if text := w.Logs(quiet.GetId(), ""); text != "" {
		t.Errorf("a quiet step printed %q", text)
	}
}

func eventText(w *world.World, id string) string {
	var text strings.Builder
	for _, e := range w.Events(id) {
		text.WriteString(e.GetJson() + e.GetSentence())
	}
	return text.String()
}

// journal is everything that Slack was told.
func journal(w *world.World) string {
	var text strings.Builder
	for _, e := range w.Slack.Journal() {
		text.WriteString(e.Body + e.Answer)
		for _, v := range e.Args {
			text.WriteString(v)
		}
	}
	return text.String()
}
