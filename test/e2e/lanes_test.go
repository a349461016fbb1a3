package e2e

import (
	"fmt"
	"strconv"
	"strings"
	"testing"

	apiv1 "github.com/slipway-hq/slipway/gen/slipway/api/v1"
	"github.com/slipway-hq/slipway/sandbox"
	"github.com/slipway-hq/slipway/test/internal/world"
)

func number(t testing.TB, text string) int {
	t.Helper()
	n, err := strconv.Atoi(text)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// held is one pipeline whose middle step waits for the gate of its version.
func held(w *world.World) map[string][]world.Map {
	return map[string][]world.Map{"web": {w.Step("build", ""), w.Step("wait", w.Hold("$SLIPWAY_VERSION")), w.Step("ship", "")}}
}

func TestThreeOnOneLaneRunInOrderWithTheirPositions(t *testing.T) {
	w := up(t, held)
	var ids []string
	for n := range 3 {
		ids = append(ids, w.Ask(fmt.Sprintf("web@v%d to staging", n)))
	}
	w.Running(ids[0], "wait")
	for n, id := range ids {
		r := w.Await(id, "its position", func(r *apiv1.Run) bool { return int(r.GetPosition()) == n })
		if n > 0 && (r.GetStatus() != apiv1.RunStatus_RUN_STATUS_QUEUED || r.GetReason() == "") {
			t.Errorf("number %d is %s: %q", n, r.GetStatus(), r.GetReason())
		}
	}
	status, public := w.Words(w.Command("/check_status", ""))
	for _, id := range ids {
		if short := w.Get(id).GetShortId(); !strings.Contains(status, short) || public {
			t.Errorf("the status does not tell of %s, or is public: %s", short, status)
		}
	}
	lanes, err := w.Lanes.ListLanes(t.Context(), &apiv1.ListLanesRequest{})
	if err != nil {
		t.Fatal(err)
	}
	for _, lane := range lanes.GetLanes() {
		if lane.GetName() == "web/staging" && (len(lane.GetOccupied()) != 1 || len(lane.GetQueued()) != 2 || lane.GetLimit() != 1) {
			t.Errorf("lane %v", lane)
		}
	}
	w.Card(ids[2], "Queued")
	for n, id := range ids {
		w.Open(fmt.Sprintf("v%d", n))
		w.JudgeCard(w.Succeeded(id))
	}
	var order []string
	for _, e := range w.Effects() {
		if e.Kind == "start" && e.Step == "build" {
			order = append(order, e.Run)
		}
	}
	if fmt.Sprint(order) != fmt.Sprint(ids) {
		t.Errorf("order %v, want %v", order, ids)
	}
	w.Judge(w.All(), nil)
}

func TestTwoLanesRunSideBySide(t *testing.T) {
	w := up(t, held)
	staging, qa := w.Ask("web@v1 to staging"), w.Ask("web@v1 to qa")
	w.Running(staging, "wait")
	w.Running(qa, "wait")
	w.Open("v1")
	w.JudgeCard(w.Succeeded(staging))
	w.JudgeCard(w.Succeeded(qa))
	w.Judge(w.All(), nil)
}

func TestCancelWhileQueuedAndWhileRunning(t *testing.T) {
	w := up(t, func(w *world.World) map[string][]world.Map {
		// The running step does not want to die, and neither does its child.
		stubborn := `trap '' TERM; (trap '' TERM; sleep 300) & echo $! $$ >` + w.Dir + `/child; sleep 300`
		return map[string][]world.Map{"web": {w.Step("wait", `if test "$SLIPWAY_VERSION" = stubborn; then `+stubborn+`; fi`, world.Map{"grace": "300ms"})}}
	})
	first := w.Ask("web@stubborn to staging")
	second := w.Ask("web@v2 to staging")
	third := w.Ask("web@v3 to staging")
	w.AwaitEffect("start", first, "wait", 1)

	card := w.Card(second, "Queued")
	if _, err := w.Slack.Click(t.Context(), sandbox.UserRequester, card.Channel, card.TS, "slipway:cancel"); err != nil {
		t.Fatal(err)
	}
	queued := w.Ended(second, apiv1.RunStatus_RUN_STATUS_CANCELLED)
	if len(w.EffectsOf(second)) > 0 {
		t.Error("a run that was cancelled in the queue did something")
	}

	words, public := w.Words(w.Command("/slipway", "cancel "+first))
	if !public {
		t.Errorf("a change is private: %s", words)
	}
	running := w.Ended(first, apiv1.RunStatus_RUN_STATUS_CANCELLED)
	dead(w, "child")
	w.JudgeCard(queued)
	w.JudgeCard(running)
	// The lock of the lane proves that nothing of the first was left when the third began.
	w.JudgeCard(w.Succeeded(third))
	w.Judge(w.All(), nil)

	for _, again := range []string{first, third} {
		words, public := w.Words(w.Command("/slipway", "cancel "+again))
		if public || words == "" {
			t.Errorf("cancel of a run that has ended is answered: %s", words)
		}
	}
	words, public = w.Words(w.Command("/slipway", "cancel d-nothere"))
	if public || !strings.Contains(words, "d-nothere") {
		t.Errorf("cancel of nothing is answered: %s", words)
	}
}

func TestALaneOfTwoRunsTwo(t *testing.T) {
	t.Parallel()
	w := world.New(t)
	config := w.Pipelines(map[string][]world.Map{"web": {w.Shared("wait", w.Hold("all"))}})
	config["lanes"] = world.Map{"web/staging": world.Map{"concurrency": 2}}
	w.Configure(config)
	w.Up()
	var ids []string
	for n := range 4 {
		ids = append(ids, w.Deploy("web", "staging", strconv.Itoa(n), ""))
	}
	w.Running(ids[0], "wait")
	w.Running(ids[1], "wait")
	w.Await(ids[2], "the first place", func(r *apiv1.Run) bool { return r.GetPosition() == 1 })
	w.Open("all")
	for _, id := range ids {
		w.Succeeded(id)
	}
	w.Judge(w.All(), map[string]int{"web/staging": 2})
}
