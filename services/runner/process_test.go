//go:build linux || darwin

package runner

import (
	"context"
	"encoding/json"
	"log/slog"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/slipway-hq/slipway/domain/run"
	"github.com/slipway-hq/slipway/internal/eventlog/jetlog"
	"github.com/slipway-hq/slipway/internal/lease"
	"github.com/slipway-hq/slipway/internal/natsconn"
	"github.com/slipway-hq/slipway/internal/topology"
)

// processEnv makes the test binary a runner process; its value is a task.
const processEnv = "RUNNER_TEST_PROCESS"

// task is what such a process is told.
type task struct {
	URL, Dir string
	Timing   lease.Timing
}

func TestMain(m *testing.M) {
	if told := os.Getenv(processEnv); told != "" {
		if err := runProcess(told); err != nil {
			slog.Error("the runner process failed", "error", err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

func runProcess(told string) error {
	var t task
	if err := json.Unmarshal([]byte(told), &t); err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	log := slog.New(slog.NewTextHandler(os.Stderr, nil))
	nc, err := natsconn.Dial(ctx, "runner", natsconn.Settings{URL: t.URL}, log)
	if err != nil {
		return err
	}
	defer nc.Close()
	events, err := jetlog.New(nc, topology.StreamEvents)
	if err != nil {
		return err
	}
	r, err := New(Config{Dir: t.Dir, Capacity: 4}, Deps{Log: events, Conn: nc, Logger: log, Timing: t.Timing})
	if err != nil {
		return err
	}
	return r.Run(ctx, func() {})
}

// process starts a runner as a process of its own, which the test may kill.
func (w *world) process(t task) *exec.Cmd {
	w.t.Helper()
	t.URL = w.node.ClientURL()
	told, err := json.Marshal(t)
	must(w.t, err)
	cmd := exec.Command(os.Args[0]) //nolint:gosec // ourselves
	cmd.Env = append(os.Environ(), processEnv+"="+string(told))
	if os.Getenv("RUNNER_TEST_LOG") != "" {
		cmd.Stderr = os.Stderr
	}
	must(w.t, cmd.Start())
	w.t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	return cmd
}

// stuckOnce is a step that notes that it ran, and hangs the first time.
func stuckOnce(file string) string {
	return `echo b >> ` + file + `; if test "$SLIPWAY_ATTEMPT" = 1; then sleep 600 & echo $! > ` + file + `.new; mv ` + file + `.new ` + file + `.pid; wait; fi`
}

// pidIn waits for the process id in a file.
func (w *world) pidIn(path string) (pid int) {
	w.t.Helper()
	w.eventually("a process", func() bool {
		data, err := os.ReadFile(path)
		if err == nil {
			pid, err = strconv.Atoi(strings.TrimSpace(string(data)))
		}
		return err == nil
	})
	return pid
}

func (w *world) eventually(what string, ok func() bool) {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(w.t.Context(), patience)
	defer cancel()
	for !ok() {
		if pause(ctx, time.Millisecond) != nil {
			w.t.Fatalf("waited for %s", what)
		}
	}
}

func newListeningWorld(t *testing.T) *world {
	t.Helper()
	return newWorldOn(t, "127.0.0.1:0")
}

func TestResumesAfterKillNine(t *testing.T) {
	w, dir, file := newListeningWorld(t), t.TempDir(), filepath.Join(t.TempDir(), "ran")
	first := w.process(task{Dir: dir})
	hint := w.start("d-1", w.plan(shell("a", "echo a >> "+file), shell("b", stuckOnce(file))))
	pid := w.pidIn(file + ".pid")
	must(t, first.Process.Kill())
	_ = first.Wait() // killed
	began := time.Now()
	w.process(task{Dir: dir})
	s := w.until("d-1", "the release", func(s run.State) bool { return !s.Claimed() })
	t.Logf("given back %v after the start", time.Since(began))
	if alive(pid) {
		t.Error("the claim was given back while a process of it lives")
	}
	if s.Steps[0].Status != run.StepSucceeded {
		t.Errorf("step a is %v", s.Steps[0].Status)
	}
	w.publish(hint)
	if s := w.ended("d-1"); s.Status != run.Succeeded {
		t.Fatalf("status %s: %s", s.Status, s.Reason)
	}
	ran, err := os.ReadFile(file)
	must(t, err)
	if string(ran) != "a\nb\nb\n" {
		t.Errorf("ran %q", ran)
	}
}

// TestAFrozenRunnerIsHarmless stops a runner past its lease and wakes it up.
func TestAFrozenRunnerIsHarmless(t *testing.T) {
	w, file := newListeningWorld(t), filepath.Join(t.TempDir(), "ran")
	timing := lease.DefaultTiming()
	timing.RenewEvery, timing.SelfKillAfter, timing.LeaseTTL = 200*time.Millisecond, time.Second, 2*time.Second
	first := w.process(task{Dir: t.TempDir(), Timing: timing})
	hint := w.start("d-1", w.plan(shell("b", stuckOnce(file))))
	pid := w.pidIn(file + ".pid")
	fence := w.until("d-1", "the claim", func(s run.State) bool { return s.Claimed() }).Claim.Fence
	must(t, first.Process.Signal(syscall.SIGSTOP))
	w.eventually("the watchdog", func() bool { return !alive(pid) })
	w.decide("d-1", run.Lapse{Fence: fence, Reason: "its lease ran out", Now: time.Now()})
	w.runner(nil)
	w.publish(hint)
	must(t, first.Process.Signal(syscall.SIGCONT))
	s := w.ended("d-1")
	if s.Status != run.Succeeded || s.Steps[0].Attempts != 2 {
		t.Fatalf("status %s: %s, %d attempts", s.Status, s.Reason, s.Steps[0].Attempts)
	}
	for _, rec := range w.records("d-1") {
		for _, e := range rec.Commit.GetEvents() {
			if e.GetStepFinished() != nil && e.GetStepFinished().GetFence() == fence || e.GetStepFailed() != nil {
				t.Errorf("the frozen runner's word got through: %v", e)
			}
		}
	}
}
