package e2e

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	apiv1 "github.com/slipway-hq/slipway/gen/slipway/api/v1"
	"github.com/slipway-hq/slipway/sandbox"
	"github.com/slipway-hq/slipway/test/internal/world"
)

// TestTheLastGoodCopyOfASourceIsUsedAndSaid is B48 and W18: a file is fetched
// before each run and checked where a checksum is given; when its server is away
// the run fails, or goes on with the last good copy and says so, as configured.
func TestTheLastGoodCopyOfASourceIsUsedAndSaid(t *testing.T) {
	t.Parallel()
	const script = "echo fetched $1\n"
	var away, forged atomic.Bool
	server := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, _ *http.Request) {
		switch {
		case away.Load():
			http.Error(rw, "away", http.StatusServiceUnavailable)
		case forged.Load():
			_, _ = io.WriteString(rw, "echo forged\n")
		default:
			_, _ = io.WriteString(rw, script)
		}
	}))
	defer server.Close()
	sum := sha256.Sum256([]byte(script))
	w, _ := world.Jobs(t, func(*world.World) world.Map {
		job := func(name string, source world.Map) world.Map {
			source["url"] = server.URL + "/" + name + ".sh"
			return world.Map{"run": "sh " + name + ".sh " + name, "source": source, "report": world.Map{"stdout": true}}
		}
		return world.Namespace(world.Map{
			"loose": job("loose", world.Map{"on_failure": "last_good"}), "strict": job("strict", world.Map{}),
			"pinned": job("pinned", world.Map{"sha256": hex.EncodeToString(sum[:])}),
		}, []world.Map{{"match": "loose", "job": "loose"}, {"match": "strict", "job": "strict"}, {"match": "pinned", "job": "pinned"}})
	})
	run := func(job string, want apiv1.RunStatus) *apiv1.Run {
		t.Helper()
		_, r := asks(w, sandbox.UserRequester, sandbox.ChannelOps, "test "+job)
		return w.Ended(r.GetId(), want)
	}
	const succeeded, failed = apiv1.RunStatus_RUN_STATUS_SUCCEEDED, apiv1.RunStatus_RUN_STATUS_FAILED
	for _, job := range []string{"loose", "strict", "pinned"} {
		run(job, succeeded)
		w.Heard(sandbox.ChannelOps, "", "fetched "+job)
	}
	forged.Store(true)
	if r := run("pinned", failed); !strings.Contains(r.GetReason()+eventText(w, r.GetId()), "SHA-256") {
		t.Errorf("another content fails with %s", r.GetReason())
	}
	forged.Store(false)
	away.Store(true)
	r := run("loose", succeeded)
	w.Heard(sandbox.ChannelOps, "", "its last good copy is used")
	if log := w.Logs(r.GetId(), ""); !strings.Contains(log, "fetched loose") {
		t.Errorf("the copy printed %q", log)
	}
	bad := run("strict", failed)
	w.Heard(sandbox.ChannelOps, "", bad.GetShortId())
}

// TestRunFollowsAndExitsAsTheJobDoes shows the command line: exit codes, output,
// and the run that another executes for.
func TestRunFollowsAndExitsAsTheJobDoes(t *testing.T) {
	t.Parallel()
	w, _ := world.Jobs(t, func(w *world.World) world.Map {
		return world.Namespace(world.Map{
			"good": world.Map{"run": "echo out {name}; echo err >&2", "params": world.Map{"name": world.Map{"default": "nobody"}}},
			"bad":  world.Map{"run": "echo why >&2; exit 9"}, "stuck": world.Map{"run": "echo started; " + w.Hold("never")},
			"enum": world.Map{"run": "echo {to}", "params": world.Map{"to": world.Map{"type": "enum", "values": []string{"a", "b"}}}},
		}, nil)
	})
	for _, c := range []struct {
		args []string
		code int
		want []string
	}{
		{[]string{"run", "test/good", "--follow"}, 0, []string{"out nobody", "err", "succeeded"}},
		{[]string{"run", "test/good", "name=Ann Lee", "--wait"}, 0, []string{"succeeded"}},
		{[]string{"run", "test/bad", "--follow"}, 3, []string{"why", "failed"}},
		{[]string{"run", "test/enum", "to=c"}, 2, []string{"to"}},
		{[]string{"run", "test/good", "nam=x"}, 2, []string{"name"}},
		{[]string{"run", "test/god"}, 2, []string{"good"}},
		{[]string{"run", "tset/good"}, 2, []string{"test"}},
		{[]string{"run", "good"}, 2, []string{"NAMESPACE/JOB"}},
		{[]string{"jobs"}, 0, []string{"test/good", "test/bad"}},
	} {
		code, said := w.CLI(c.args...)
		if code != c.code {
			t.Errorf("%q ends with %d, not %d: %s", c.args, code, c.code, said)
		}
		for _, want := range c.want {
			if !strings.Contains(said, want) {
				t.Errorf("%q says no %q: %s", c.args, want, said)
			}
		}
	}
	p := world.Command(t, w.Dir, "run", "test/stuck", "--follow", "--server", "http://"+w.Address())
	p.Said("started") // while it runs
	w.Cancel(w.RunOf("stuck").GetId())
	if code := p.ExitCode(); code == 0 || code == 3 {
		t.Errorf("a cancelled run ends with %d", code)
	}
}

// TestJobsAndLanesByPlainJSON shows that any HTTP client is enough: JobService and
// LaneService take and give plain JSON.
func TestJobsAndLanesByPlainJSON(t *testing.T) {
	t.Parallel()
	w, _ := world.Jobs(t, func(w *world.World) world.Map {
		config := greeting(w)
		ns := config["namespaces"].(world.Map)["test"].(world.Map)
		ns["schedules"] = world.Map{"daily": world.Map{"job": "hello", "cron": "@daily", "params": world.Map{"name": "clock"}}}
		return config
	})
	post := func(method, body string, status int) map[string]any {
		t.Helper()
		resp, err := w.HTTP.Post("http://localhost/slipway.api.v1."+method, "application/json", strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = resp.Body.Close() }()
		text, err := io.ReadAll(resp.Body)
		if err != nil {
			t.Fatal(err)
		}
		if resp.StatusCode != status {
			t.Errorf("%s %s is answered %d %s", method, body, resp.StatusCode, text)
		}
		out := map[string]any{}
		if err := json.Unmarshal(text, &out); err != nil {
			t.Fatalf("%s is answered %s", method, text)
		}
		return out
	}
	id := func(answer map[string]any) string {
		run, _ := answer["run"].(map[string]any)
		return fmt.Sprint(run["id"])
	}
	const hello = `{"namespace":"test","job":"hello","parameters":{"name":"Ada"},"idempotencyKey":"one"}`
	first := id(post("JobService/RunJob", hello, 200))
	if again := id(post("JobService/RunJob", hello, 200)); again != first {
		t.Errorf("the same key gives %s and %s", first, again)
	}
	post("JobService/RunJob", strings.Replace(hello, "Ada", "Bea", 1), 409)
	post("JobService/RunJob", `{"namespace":"test","job":"nothing"}`, 400)
	post("JobService/RunJob", `{"namespace":"test","job":"hello"}`, 400)
	w.Succeeded(first)
	jobs := fmt.Sprint(post("JobService/ListJobs", `{}`, 200))
	schedules := fmt.Sprint(post("JobService/ListSchedules", `{}`, 200))
	if !strings.Contains(jobs, "say hello to [name]") || !strings.Contains(schedules, "test/daily") {
		t.Errorf("jobs %s, schedules %s", jobs, schedules)
	}
	post("JobService/PauseSchedule", `{"name":"test/daily","reason":"holidays"}`, 200)
	post("JobService/ResumeSchedule", `{"name":"test/daily"}`, 200)
	w.Succeeded(id(post("JobService/TriggerSchedule", `{"name":"test/daily","idempotencyKey":"k"}`, 200)))

	hold := post("LaneService/HoldJob", `{"job":"test/hello","from":"2026-01-01T00:00:00Z","until":"2020-01-01T00:00:00Z","reason":"wrong"}`, 400)
	if fmt.Sprint(hold["message"]) == "" {
		t.Error("a reversed window is refused without a word")
	}
	post("LaneService/SetLane", `{"lane":"hello","paused":true,"reason":"the database moves"}`, 200)
	waiting := id(post("JobService/RunJob", `{"namespace":"test","job":"hello","parameters":{"name":"Cyd"}}`, 200))
	w.Await(waiting, "the reason", func(r *apiv1.Run) bool { return strings.Contains(r.GetReason(), "the database moves") })
	if lanes := fmt.Sprint(post("LaneService/ListLanes", `{}`, 200)); !strings.Contains(lanes, "the database moves") {
		t.Errorf("lanes %s", lanes)
	}
	post("LaneService/SetLane", `{"lane":"hello","paused":false,"reason":"it moved"}`, 200)
	w.Succeeded(waiting)
	post("LaneService/ReleaseHolds", `{"job":"test/hello"}`, 200)
}
