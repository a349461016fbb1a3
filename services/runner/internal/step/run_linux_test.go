package step

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

func TestDaemonsAreCaught(t *testing.T) {
	dir := t.TempDir()
	line := `setsid -f sh -c 'trap "" TERM; echo $$ > ` + dir + `/daemon; sleep 600; true'; while [ ! -s ` + dir + `/daemon ]; do sleep 0.01; done`
	res, _ := runStep(t, Spec{Shell: line, Grace: 100 * time.Millisecond})
	if !res.OK() || res.Leftover < 1 {
		t.Errorf("result %+v", res)
	}
	if pid := readPID(t, dir+"/daemon"); !gone(pid) {
		t.Error("the daemon lives on")
	}
}

func TestAKilledSupervisorTakesItsStepAlong(t *testing.T) {
	dir := t.TempDir()
	done := make(chan Result, 1)
	go func() {
		res, err := Run(t.Context(), Spec{Shell: `setsid -f sh -c 'echo $$ > ` + dir + `/daemon; sleep 600; true'; ` + family(dir), Env: testEnv()}, &memorySink{}, Options{})
		if err != nil {
			t.Error(err)
		}
		done <- res
	}()
	pids := []int{readPID(t, dir+"/daemon"), readPID(t, dir+"/a"), readPID(t, dir+"/b"), readPID(t, dir+"/c")}
	supervisor := parent(t, pids[1])
	if err := syscall.Kill(supervisor, syscall.SIGTERM); err != nil { // which it does not heed
		t.Fatal(err)
	}
	if err := syscall.Kill(supervisor, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	select {
	case res := <-done:
		if !res.Abandoned || res.OK() {
			t.Errorf("result %+v", res)
		}
	case <-time.After(patience):
		t.Fatal("no result")
	}
	for _, pid := range pids {
		if !gone(pid) {
			t.Errorf("process %d lives on", pid)
		}
	}
}

func TestASuccessorEndsWhatRunnerAndSupervisorLeft(t *testing.T) {
	dir := t.TempDir()
	lock := filepath.Join(dir, "lock")
	cmd, _ := runner(t, family(dir), "1h", lock)
	pids := []int{readPID(t, dir+"/a"), readPID(t, dir+"/b"), readPID(t, dir+"/c")}
	supervisor := parent(t, pids[0])
	if err := syscall.Kill(cmd.Process.Pid, syscall.SIGSTOP); err != nil { // so that it does not clean up
		t.Fatal(err)
	}
	for _, pid := range []int{supervisor, cmd.Process.Pid} {
		if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
	}
	if err := AwaitPredecessors(t.Context(), lock); err != nil {
		t.Fatal(err)
	}
	for _, pid := range pids {
		if !gone(pid) {
			t.Errorf("process %d lives on", pid)
		}
	}
}

// gone says that a process is dead, reaped or not.
func gone(pid int) bool {
	if state, _ := stat(pid); state == 'Z' || state == 'X' {
		return true
	}
	return syscall.Kill(pid, 0) == syscall.ESRCH
}

func parent(t *testing.T, pid int) int {
	t.Helper()
	b, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		t.Fatal(err)
	}
	n, err := strconv.Atoi(strings.Fields(string(b[strings.LastIndexByte(string(b), ')')+1:]))[1])
	if err != nil {
		t.Fatal(err)
	}
	return n
}
