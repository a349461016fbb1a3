package faults

import (
	"strings"
	"testing"
	"time"

	apiv1 "github.com/slipway-hq/slipway/gen/slipway/api/v1"
	"github.com/slipway-hq/slipway/test/internal/world"
)

// site is a world with the one process that is going to be killed.
type site struct {
	*world.World
	victim  *world.Process
	restart func() *world.Process
}

// crash is kill -9 and a new start.
func (s *site) crash() {
	s.T.Helper()
	s.victim.Kill()
	s.victim = s.restart()
}

// pipelines are one for each kind of moment. The version is the gate.
func pipelines(w *world.World) map[string][]world.Map {
	hold := w.Hold("$SLIPWAY_VERSION")
	return map[string][]world.Map{
		"quick":    {w.Step("one", ""), w.Step("two", ""), w.Step("three", "")},
		"held":     {w.Step("one", ""), w.Step("two", hold), w.Step("three", "")},
		"first":    {w.Step("one", hold), w.Step("two", "")},
		"last":     {w.Step("one", ""), w.Step("two", hold)},
		"again":    {w.Step("one", ""), w.Step("two", `test $SLIPWAY_ATTEMPT -ge 2 || exit 9`, world.Map{"retry": world.Map{"attempts": 2, "delay": "2s"}}), w.Step("three", "")},
		"stubborn": {w.Step("one", `trap '' TERM; (trap '' TERM; sleep 300) & sleep 300`, world.Map{"grace": "1s"})},
		"ask":      {w.Step("one", ""), w.Step("two", hold, world.Map{"resume": "ask"}), w.Step("three", "")},
		"probe":    {w.Step("one", ""), w.Step("two", "touch "+w.Dir+"/probed; "+hold, world.Map{"resume": "probe", "probe": "test -e " + w.Dir + "/probed"}), w.Step("three", "")},
	}
}

// moment is one durable point: at gets a run there, then the victim is killed,
// and then leads the run to its end.
type moment struct {
	name, service string
	at            func(s *site, id string)
	then          func(s *site, id string)
	end           apiv1.RunStatus
}

func finished(step string) func(*site, string) {
	return func(s *site, id string) {
		s.Await(id, step+" finished", func(r *apiv1.Run) bool {
			return world.StepOf(r, step).GetStatus() == apiv1.StepStatus_STEP_STATUS_SUCCEEDED
		})
	}
}

func effect(kind, step string) func(*site, string) {
	return func(s *site, id string) { s.AwaitEffect(kind, id, step, 1) }
}

func status(want apiv1.RunStatus) func(*site, string) {
	return func(s *site, id string) {
		s.Await(id, want.String(), func(r *apiv1.Run) bool { return r.GetStatus() == want })
	}
}

func open(s *site, id string) { s.Open(s.Get(id).GetVersion()) }

var moments = []moment{
	{name: "accepted", service: "quick"},
	{name: "first step begins", service: "first", at: effect("start", "one"), then: open},
	{name: "first step has run", service: "quick", at: effect("end", "one")},
	{name: "first step finished", service: "held", at: finished("one"), then: open},
	{name: "second step begins", service: "held", at: effect("start", "two"), then: open},
	{name: "second step has run", service: "quick", at: effect("end", "two")},
	{name: "last step begins", service: "last", at: effect("start", "two"), then: open},
	{name: "last step has run", service: "quick", at: effect("end", "three")},
	{name: "ended", service: "quick", at: status(apiv1.RunStatus_RUN_STATUS_SUCCEEDED)},
	{name: "waits for a retry", service: "again", at: status(apiv1.RunStatus_RUN_STATUS_WAITING)},
	{name: "cancelling", service: "stubborn", end: apiv1.RunStatus_RUN_STATUS_CANCELLED, at: func(s *site, id string) {
		s.AwaitEffect("start", id, "one", 1)
		s.Cancel(id)
	}},
	{name: "a step with a probe", service: "probe", at: effect("start", "two"), then: open},
}

// through brings one run after the other through all moments, with a kill at
// each.
func through(t *testing.T, s *site) {
	for n, m := range moments {
		version := strings.ReplaceAll(m.name, " ", "-")
		id := s.AskIn(world.Rooms[n%len(world.Rooms)], m.service+"@"+version+" to staging")
		if m.at != nil {
			m.at(s, id)
		}
		s.crash()
		if m.then != nil {
			m.then(s, id)
		}
		want := m.end
		if want == apiv1.RunStatus_RUN_STATUS_UNSPECIFIED {
			want = apiv1.RunStatus_RUN_STATUS_SUCCEEDED
		}
		s.Ended(id, want)
		if t.Failed() {
			t.Fatalf("killed when: %s", m.name)
		}
	}
	runs := s.All()
	if len(runs) != len(moments) {
		t.Errorf("%d runs, want %d", len(runs), len(moments))
	}
	s.Judge(runs, nil)
	for _, r := range runs {
		s.JudgeCard(r)
	}
}

func TestKillNineOfEverythingAtEveryDurablePoint(t *testing.T) {
	t.Parallel()
	w := world.New(t)
	w.Configure(w.Pipelines(pipelines(w)))
	restart := func() *world.Process { return w.Up() }
	through(t, &site{World: w, victim: restart(), restart: restart})
}

func TestKillNineOfEachServiceAtEveryDurablePoint(t *testing.T) {
	for _, name := range append([]string{"nats"}, world.Services...) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := world.New(t)
			w.Configure(w.Pipelines(pipelines(w)))
			all := w.Split()
			restart := func() *world.Process { return w.Service(name) }
			if name == "nats" {
				restart = w.NATS
			}
			through(t, &site{World: w, victim: all[name], restart: restart})
		})
	}
}

// TestKillNineAnywhereInAQuickRun sweeps the instant of the kill through a run of
// some forty milliseconds, in steps smaller than any of its commits takes.
func TestKillNineAnywhereInAQuickRun(t *testing.T) {
	const (
		step  = 3 * time.Millisecond
		kills = 24
	)
	t.Parallel()
	w := world.New(t)
	w.Configure(w.Pipelines(pipelines(w)))
	p := w.Up()
	for n := range kills {
		id := w.AskIn(world.Rooms[n%len(world.Rooms)], "quick to staging")
		<-time.After(time.Duration(n) * step)
		p.Kill()
		p = w.Up()
		w.Succeeded(id)
	}
	runs := w.All()
	if len(runs) != kills {
		t.Errorf("%d runs, want %d", len(runs), kills)
	}
	w.Judge(runs, nil)
	for _, r := range runs {
		w.JudgeCard(r)
	}
}

// TestAQuestionOutlivesAKill: a step that may not simply run again waits for a
// person's word, even through a second kill.
func TestAQuestionOutlivesAKill(t *testing.T) {
	t.Parallel()
	w := world.New(t)
	w.Configure(w.Pipelines(pipelines(w)))
	p := w.Up()
	id := w.Ask("ask@v1 to staging")
	w.AwaitEffect("start", id, "two", 1)
	asked := func(r *apiv1.Run) bool {
		return r.GetQuestion() != "" && r.GetStatus() == apiv1.RunStatus_RUN_STATUS_WAITING
	}
	for range 2 {
		p.Kill()
		p = w.Up()
		w.Await(id, "the question", asked)
	}
	card := w.Card(id, "[It is done]")
	if _, err := w.Slack.Click(t.Context(), "U0REQUEST01", card.Channel, card.TS, "slipway:answer:done"); err != nil {
		t.Fatal(err)
	}
	w.JudgeCard(w.Succeeded(id))
	starts := 0
	for _, e := range w.EffectsOf(id) {
		if e.Step == "two" && e.Kind == "start" {
			starts++
		}
	}
	if starts != 1 {
		t.Errorf("the step began %d times", starts)
	}
}
