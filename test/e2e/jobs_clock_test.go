package e2e

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	apiv1 "github.com/slipway-hq/slipway/gen/slipway/api/v1"
	"github.com/slipway-hq/slipway/sandbox"
	"github.com/slipway-hq/slipway/test/internal/world"
)

// TestTheClockStartsAJobOnceWithTwoOrchestrators is B05 and W03 for schedules: one
// tick is one run, reported in the channel of the schedule; pause, resume and
// trigger go by the command line.
func TestTheClockStartsAJobOnceWithTwoOrchestrators(t *testing.T) {
	t.Parallel()
	w := world.New(t)
	// Far enough ahead for five processes to start on a busy machine.
	at := time.Now().UTC().Add(8 * time.Second).Truncate(time.Second)
	w.Configure(world.Namespace(world.Map{"greet": world.Map{
		"run": "echo $SLIPWAY_RUN {who} >>" + w.Dir + "/ran; echo Good morning {who}", "report": world.Map{"stdout": true}, "params": world.Map{"who": world.Map{}},
		"dedupe": world.Map{"policy": "all"},
	}}, nil, world.Map{"schedules": world.Map{
		"once":  world.Map{"job": "greet", "at": at.Format(time.DateTime), "params": world.Map{"who": "all of $(id)"}, "channel": sandbox.ChannelGeneral},
		"daily": world.Map{"job": "greet", "cron": "0 9 * * 1-5", "zone": "Europe/London", "params": world.Map{"who": "everybody"}, "paused": true},
	}}))
	w.NATS()
	w.Service(world.Orchestrator)
	for _, name := range []string{world.Notifier, world.Runner, world.Ingress} {
		w.Service(name)
	}
	w.Service(world.Orchestrator) // the second; the API follows it
	w.Heard(sandbox.ChannelGeneral, "", "Good morning all of $(id)")
	first := w.JobsOf("greet")
	if len(first) != 1 || first[0].GetCreated().AsTime().Before(at) || !strings.Contains(first[0].GetSource(), "once") {
		t.Errorf("the clock started %v, it was to at %s", first, at)
	}
	cli := func(want string, args ...string) {
		t.Helper()
		if code, said := w.CLI(args...); code != 0 || !strings.Contains(said, want) {
			t.Errorf("%q: %d %s", args, code, said)
		}
	}
	cli("paused", "schedules")
	cli("ticks next at", "schedules", "resume", "test/daily", "--because", "back")
	cli("is paused", "schedules", "pause", "test/daily", "--because", "holidays")
	cli("holidays", "schedules")
	cli("succeeded", "schedules", "trigger", "test/daily", "--wait", "--key", "now")
	cli("", "schedules", "trigger", "test/daily", "--key", "now") // the same key, the same run
	w.Heard(sandbox.ChannelDeploys, "", "Good morning everybody")
	if got := ran(w); len(got) != 2 {
		t.Errorf("executed was %q", got)
	}
	if words, _ := w.Words(w.Command("/slipway", "schedules")); !strings.Contains(words, "test/daily") || !strings.Contains(words, "test/once") {
		t.Errorf("schedules: %s", words)
	}
	if words, public := w.Words(w.Command("/slipway", "schedule resume test/daily because we are back")); !public {
		t.Errorf("resume is answered %s", words)
	}
}

// TestTwoRunnersShareALanePerRunner is D20 for jobs: per_runner is for each runner,
// the lane's own limit for all.
func TestTwoRunnersShareALanePerRunner(t *testing.T) {
	t.Parallel()
	w := world.New(t)
	config := world.Namespace(world.Map{"work": world.Map{
		"run": "echo {n}; " + w.Hold("go"), "lane": "work", "params": world.Map{"n": world.Map{}}, "dedupe": world.Map{"policy": "all"},
	}}, nil)
	config["lanes"] = world.Map{"work": world.Map{"concurrency": 4, "per_runner": 1}}
	w.Configure(config)
	w.NATS()
	w.Service(world.Orchestrator)
	w.Service(world.Runner, "--data", w.Dir+"/runner1", "--runner-name", "one")
	w.Service(world.Runner, "--data", w.Dir+"/runner2", "--runner-name", "two")
	var runs []string
	for n := range 4 {
		r, err := w.Jobs.RunJob(t.Context(), &apiv1.RunJobRequest{Namespace: "test", Job: "work", Parameters: map[string]string{"n": fmt.Sprint(n)}})
		if err != nil {
			t.Fatal(err)
		}
		runs = append(runs, r.GetRun().GetId())
	}
	busy := func() (out []*apiv1.Run) {
		return slices.DeleteFunc(w.JobsOf("work"), func(r *apiv1.Run) bool { return r.GetStatus() != apiv1.RunStatus_RUN_STATUS_RUNNING })
	}
	w.Eventually("two that run", func() bool { return len(busy()) >= 2 })
	if b := busy(); len(b) != 2 || b[0].GetRunner() == b[1].GetRunner() {
		t.Errorf("running are %v", b)
	}
	w.Open("go")
	for _, id := range runs {
		w.Succeeded(id)
	}
}

// TestALaneIsPausedAndResizedWhileItWorks is A01 and issue 3, section 3: by the
// command line, with who and why, in force at once and shown to those who wait.
func TestALaneIsPausedAndResizedWhileItWorks(t *testing.T) {
	t.Parallel()
	w, _ := world.Jobs(t, func(w *world.World) world.Map {
		return world.Namespace(world.Map{"work": world.Map{
			"run": "echo {n}; " + w.Hold("go"), "lane": "work", "params": world.Map{"n": world.Map{}}, "dedupe": world.Map{"policy": "all"},
		}}, nil)
	})
	start := func(n string) string {
		code, said := w.CLI("run", "test/work", "n="+n)
		if code != 0 {
			t.Fatalf("run: %d %s", code, said)
		}
		return w.RunOf("work", "n", n).GetId()
	}
	if code, said := w.CLI("lanes", "set", "test:work", "--pause", "--because", "no such lane"); code == 0 {
		t.Errorf("a lane that is not there: %s", said)
	}
	first, second := start("1"), start("2")
	w.Running(first, "run")
	if code, said := w.CLI("lanes", "set", "work", "--limit", "2", "--because", "end of the month"); code != 0 || !strings.Contains(said, "end of the month") {
		t.Errorf("limit: %d %s", code, said)
	}
	w.Running(second, "run")
	if code, said := w.CLI("lanes", "set", "work", "--pause", "--because", "the database moves"); code != 0 {
		t.Errorf("pause: %d %s", code, said)
	}
	third := start("3")
	w.Open("go")
	w.Succeeded(first)
	w.Succeeded(second)
	w.Await(third, "the reason", func(r *apiv1.Run) bool { return strings.Contains(r.GetReason(), "the database moves") })
	if code, said := w.CLI("lanes", "set", "work", "--resume", "--limit", "default", "--because", "done"); code != 0 {
		t.Errorf("resume: %d %s", code, said)
	}
	w.Succeeded(third)
}
