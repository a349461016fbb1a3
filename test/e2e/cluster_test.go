package e2e

import (
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"

	apiv1 "github.com/slipway-hq/slipway/gen/slipway/api/v1"
	"github.com/slipway-hq/slipway/test/internal/world"
)

// replica is a process of slipway up --cluster 3 as its table and its log name it.
var (
	inTable = regexp.MustCompile(`([a-z-]+-\d) pid (\d+)`)
	inLog   = regexp.MustCompile(`msg="a process is up" process=([a-z-]+-\d) pid=(\d+)`)
)

// replicas are the processes of now, by name.
func replicas(t *testing.T, p *world.Process) map[string]int {
	t.Helper()
	out := map[string]int{}
	for _, form := range []*regexp.Regexp{inTable, inLog} {
		for _, m := range form.FindAllStringSubmatch(p.Output(), -1) {
			pid, err := strconv.Atoi(m[2])
			if err != nil {
				t.Fatal(err)
			}
			out[m[1]] = pid
		}
	}
	return out
}

func TestAClusterOnOneMachineLosesAnyOfItsProcesses(t *testing.T) {
	w := world.New(t)
	w.Configure(w.Pipelines(held(w)))
	p := w.Up("--cluster", "3")
	all := replicas(t, p)
	if len(all) != 3+3+3+2+3 {
		t.Fatalf("processes: %v", all)
	}
	running, queued := w.Ask("web@v1 to staging"), w.Ask("web@v2 to staging")
	w.AwaitEffect("start", running, "wait", 1)
	for _, name := range []string{"nats-1", "orchestrator-1", "notifier-1", "runner-1", "slack-ingress-1", "nats-2", "orchestrator-2", "notifier-2", "runner-2", "slack-ingress-2"} {
		before := replicas(t, p)[name]
		if err := syscall.Kill(before, syscall.SIGKILL); err != nil {
			t.Fatalf("kill %s: %v", name, err)
		}
		w.Eventually(name+" is back", func() bool { return replicas(t, p)[name] != before })
	}
	w.Open("v1")
	w.Open("v2")
	w.JudgeCard(w.Succeeded(running))
	w.JudgeCard(w.Succeeded(queued))
	w.Eventually("doctor is content again", func() bool {
		code, said := w.CLI("doctor")
		return code == 0 && !strings.Contains(said, "warning")
	})
	if code := p.Interrupt(); code != 0 {
		t.Errorf("Ctrl-C ends with %d", code)
	}
	for name, pid := range replicas(t, p) {
		if world.Alive(pid) {
			t.Errorf("%s outlived slipway up", name)
		}
	}
	single := w.Start("slipway", "up", "--data", w.Data())
	if code := single.ExitCode(); code == 0 || !strings.Contains(single.Output(), "is that of a cluster of three") {
		t.Errorf("one server on the data of three ends with %d", code)
	}
	w.Up("--cluster", "3")
	if got := w.Get(running); got.GetStatus() != apiv1.RunStatus_RUN_STATUS_SUCCEEDED {
		t.Errorf("the new start says %s of what succeeded", got.GetStatus())
	}
	w.Open("v3")
	w.JudgeCard(w.Succeeded(w.Ask("web@v3 to staging")))
}

func TestAClusterThatCannotBeIsRefusedClearly(t *testing.T) {
	t.Parallel()
	w := world.New(t)
	w.Configure(w.Pipelines(three(w)))
	one := w.Up()
	if code := one.Interrupt(); code != 0 {
		t.Fatalf("Ctrl-C ends with %d", code)
	}
	for _, c := range []struct{ args, want string }{
		{"--cluster 3 --data " + w.Data(), "is that of one server"},
		{"--cluster 2 --data " + filepath.Join(w.Dir, "other"), "one NATS server or three, not 2"},
		{"--cluster 3 --nats-url nats://127.0.0.1:1 --data " + filepath.Join(w.Dir, "other"), "--nats-url"},
	} {
		p := w.Start("slipway", append([]string{"up"}, strings.Fields(c.args)...)...)
		if code := p.ExitCode(); code == 0 || !strings.Contains(p.Output(), c.want) {
			t.Errorf("up %s ends with %d", c.args, code)
		}
	}
}
