//go:build linux || darwin

package runner

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/nats-io/nats.go/jetstream"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/slipway-hq/slipway/domain/run"
	commandv1 "github.com/slipway-hq/slipway/gen/slipway/command/v1"
	eventv1 "github.com/slipway-hq/slipway/gen/slipway/event/v1"
	"github.com/slipway-hq/slipway/internal/topology"
	"github.com/slipway-hq/slipway/services/runner/internal/objects"
	"github.com/slipway-hq/slipway/services/runner/internal/workspace"
)

func TestRealStepsShareAWorkspace(t *testing.T) {
	w := newWorld(t)
	w.runner(nil)
	w.start("d-1", w.plan(
		shell("hello", `echo "hello $SLIPWAY_STEP $SLIPWAY_VERSION $SLIPWAY_ATTEMPT" > out.txt`),
		shell("look", `grep '^hello hello v1 1$' out.txt && test "$SLIPWAY_RUN" = d-1`),
	))
	if s := w.ended("d-1"); s.Status != run.Succeeded {
		t.Fatalf("status %s: %s", s.Status, s.Reason)
	}
}

func TestARealFailureSaysWhy(t *testing.T) {
	cases := map[string]struct {
		step   *eventv1.Step
		status run.Status
		code   int32
		words  string
	}{
		"exit":    {shell("s", "echo sorry; exit 3"), run.Failed, 3, "exit code 3"},
		"signal":  {shell("s", "kill -KILL $$"), run.Failed, NoExit, "SIGKILL"},
		"missing": {&eventv1.Step{Name: "s", Argv: []string{"no-such-command-here"}}, run.Failed, NoExit, "no-such-command-here"},
		"timeout": {&eventv1.Step{Name: "s", Shell: "sleep 60", Timeout: durationpb.New(50e6)}, run.TimedOut, NoExit, "took longer than 50ms"},
		"secret":  {&eventv1.Step{Name: "s", Shell: "true", EnvFrom: []string{"SURELY_NOT_SET_HERE"}}, run.Failed, NoExit, "SURELY_NOT_SET_HERE"},
		"folder":  {&eventv1.Step{Name: "s", Shell: "true", Dir: "nowhere"}, run.Failed, NoExit, "nowhere"},
	}
	w := newWorld(t)
	w.runner(nil)
	for name, want := range cases {
		t.Run(name, func(t *testing.T) {
			id := "d-" + name
			w.start(id, w.plan(want.step, shell("never", "true")))
			s := w.ended(id)
			if s.Status != want.status || s.Steps[1].Attempts != 0 {
				t.Errorf("status %s, %d attempts of the next step", s.Status, s.Steps[1].Attempts)
			}
			if !strings.Contains(s.Steps[0].Error, want.words) {
				t.Errorf("error %q, want something with %q", s.Steps[0].Error, want.words)
			}
			if want.status == run.Failed && s.Steps[0].ExitCode != want.code {
				t.Errorf("exit code %d, want %d", s.Steps[0].ExitCode, want.code)
			}
		})
	}
}

func TestOutputIsInTheLog(t *testing.T) {
	w := newWorld(t)
	w.runner(nil)
	w.start("d-1", w.plan(shell("talk", "echo to-out; echo to-err >&2")))
	s := w.ended("d-1")
	fence := w.records("d-1")[1].Sequence
	stream, err := w.js.Stream(t.Context(), topology.StreamLogs)
	must(t, err)
	got := map[commandv1.LogChunk_Stream]string{}
	for seq := uint64(1); ; seq++ {
		msg, err := stream.GetMsg(t.Context(), seq, jetstream.WithGetMsgSubject(topology.LogSubject("d-1", 0, s.Steps[0].Attempts, fence)))
		if err != nil {
			break
		}
		chunk := &commandv1.LogChunk{}
		must(t, proto.Unmarshal(msg.Data, chunk))
		got[chunk.GetStream()] += string(chunk.GetData())
		seq = msg.Sequence
	}
	if got[commandv1.LogChunk_STREAM_STDOUT] != "to-out\n" || got[commandv1.LogChunk_STREAM_STDERR] != "to-err\n" {
		t.Errorf("output %v", got)
	}
}

func TestCancelLeavesNoProcess(t *testing.T) {
	w, dir := newWorld(t), t.TempDir()
	w.runner(nil)
	pidFile := filepath.Join(dir, "pid")
	w.start("d-1", w.plan(shell("long", `sleep 600 & echo $! > `+pidFile+`.new; mv `+pidFile+`.new `+pidFile+`; wait`)))
	pid := w.pidIn(pidFile)
	w.decide("d-1", run.RequestCancel{})
	if s := w.ended("d-1"); s.Status != run.Cancelled {
		t.Fatalf("status %s", s.Status)
	}
	if alive(pid) {
		t.Error("the run has ended and a process of it lives")
	}
}

// alive tells whether a process lives and is not only waiting to be reaped.
func alive(pid int) bool {
	if syscall.Kill(pid, 0) != nil {
		return false
	}
	stat, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "stat"))
	return err != nil || !bytes.Contains(stat, []byte(") Z "))
}

// TestArtefactsFollowTheRun lets a second runner, with a folder of its own,
// finish what the first one began.
func TestArtefactsFollowTheRun(t *testing.T) {
	w := newWorld(t)
	source := t.TempDir()
	must(t, os.WriteFile(filepath.Join(source, "in.txt"), []byte("v1\n"), 0o600))
	hold := filepath.Join(t.TempDir(), "go")
	build := shell("build", `mkdir -p out && cp in.txt out/app && touch `+hold+`.ready && while ! test -e `+hold+`; do sleep 0.01; done`)
	build.Artefacts = []string{"out/**"}
	plan := w.plan(build, shell("deploy", `grep v1 out/app && grep v1 in.txt`))
	plan.Source = &eventv1.Source{From: &eventv1.Source_Path{Path: &eventv1.PathSource{Path: source}}}

	said := newEar(sayDraining)
	first := w.runner(nil, logging(said))
	hint := w.start("d-1", plan)
	w.until("d-1", "the step", func(run.State) bool { _, err := os.Stat(hold + ".ready"); return err == nil })
	first.cancel()
	<-said.heard
	must(t, os.WriteFile(hold, nil, 0o600))
	first.wait()
	s := w.until("d-1", "the boundary", func(s run.State) bool { return s.Steps[0].Status.Done() })
	if s.Claimed() || len(s.Steps[0].Artefacts) != 1 || !strings.HasPrefix(s.Commit, "sha256:") {
		t.Fatalf("claim %+v, artefacts %v, source %q", s.Claim, s.Steps[0].Artefacts, s.Commit)
	}
	w.runner(nil)
	w.publish(hint)
	if s := w.ended("d-1"); s.Status != run.Succeeded {
		t.Fatalf("status %s: %s", s.Status, s.Reason)
	}
}

func TestAMissingArtefactFailsTheStep(t *testing.T) {
	w := newWorld(t)
	w.runner(nil)
	step := shell("build", "true")
	step.Artefacts = []string{"out/*"}
	w.start("d-1", w.plan(step))
	s := w.ended("d-1")
	if s.Status != run.Failed || !strings.Contains(s.Steps[0].Error, "out/*") {
		t.Fatalf("status %s: %s", s.Status, s.Reason)
	}
}

func TestTheWorkspaceGoesWithTheRun(t *testing.T) {
	w, dir := newWorld(t), t.TempDir()
	runner := w.runner(nil, in(dir))
	w.start("d-1", w.plan(shell("a", "touch x")))
	w.ended("d-1")
	runner.stop()
	if _, err := os.Stat(filepath.Join(dir, "work", "runs", "d-1")); !os.IsNotExist(err) {
		t.Errorf("the workspace is still there: %v", err)
	}
}

func TestProbeRunsForReal(t *testing.T) {
	w, mark := newWorld(t), filepath.Join(t.TempDir(), "done")
	w.runner(nil)
	step := shell("migrate", "echo again >> "+mark)
	step.Resume, step.Probe = eventv1.Step_RESUME_PROBE, "test -e "+mark
	hint := w.request("d-1", w.plan(step))
	lostClaim(w, hint)
	w.publish(hint)
	if s := w.ended("d-1"); s.Status != run.Succeeded || s.Steps[0].Attempts != 2 {
		t.Fatalf("status %s, %d attempts", s.Status, s.Steps[0].Attempts)
	}
	hint = w.request("d-2", w.plan(step))
	lostClaim(w, hint)
	w.publish(hint)
	if s := w.ended("d-2"); s.Status != run.Succeeded || s.Steps[0].Attempts != 1 {
		t.Fatalf("status %s, %d attempts", s.Status, s.Steps[0].Attempts)
	}
}

// BenchmarkRealSteps measures runs of three real processes.
func BenchmarkRealSteps(b *testing.B) {
	w := newWorld(b)
	w.runner(nil)
	for n := 0; b.Loop(); n++ {
		id := "d-" + strconv.Itoa(n)
		step := func(name string) *eventv1.Step { return &eventv1.Step{Name: name, Argv: []string{"/bin/true"}} }
		w.start(id, w.plan(step("a"), step("b"), step("c")))
		w.ended(id)
	}
}

var _ Executor = (*steps)(nil)
var _ Forgetter = (*steps)(nil)

func TestAStoreThatComesBackFailsNoStep(t *testing.T) {
	tries := 0
	err := (&steps{}).patiently(t.Context(), func() error {
		if tries++; tries < 3 {
			return fmt.Errorf("put: %w", objects.ErrAway)
		}
		return nil
	})
	if err != nil || tries != 3 {
		t.Errorf("%d tries, %v", tries, err)
	}
	if err := (&steps{}).patiently(t.Context(), func() error { return workspace.ErrEscapes }); !errors.Is(err, workspace.ErrEscapes) {
		t.Error(err)
	}
}
