//go:build linux || darwin

package step

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// patience is the deadline of every wait; generous, since two cores are shared.
const patience = 20 * time.Second

// asRunner, set in the environment, makes the test binary a runner that runs the
// shell line it names, so that it can be killed or stopped.
const asRunner = "STEP_TEST_RUNNER"

func TestMain(m *testing.M) {
	if line := os.Getenv(asRunner); line != "" {
		limit, err := time.ParseDuration(os.Getenv(asRunner + "_WATCHDOG"))
		if err != nil {
			panic(err)
		}
		res, err := Run(context.Background(), Spec{Shell: line, Env: testEnv()}, sinkFunc(func(c Chunk) { fmt.Print(string(c.Data)) }),
			Options{WatchdogLimit: limit, Tick: limit / 10, LockFile: os.Getenv(asRunner + "_LOCK")})
		fmt.Printf("result %+v %v\n", res, err)
		os.Exit(0)
	}
	os.Exit(m.Run())
}

func testEnv() []string { return []string{"PATH=" + os.Getenv("PATH")} }

func runStep(t *testing.T, s Spec) (Result, *memorySink) {
	t.Helper()
	sink := &memorySink{}
	return runWith(t, t.Context(), s, sink, Options{}), sink
}

func runWith(t *testing.T, ctx context.Context, s Spec, sink Sink, o Options) Result {
	t.Helper()
	if s.Env == nil {
		s.Env = testEnv()
	}
	res, err := Run(ctx, s, sink, o)
	if err != nil {
		t.Fatal(err)
	}
	return res
}

// eventually polls a condition until it holds.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); <-tick.C {
		if ok() {
			return
		}
	}
	t.Fatalf("not in time: %s", what)
}

func readPID(t *testing.T, path string) int {
	t.Helper()
	var pid int
	eventually(t, "pid file "+path, func() bool {
		b, err := os.ReadFile(path)
		if err != nil || !strings.HasSuffix(string(b), "\n") {
			return false
		}
		pid, err = strconv.Atoi(strings.TrimSpace(string(b)))
		return err == nil
	})
	return pid
}

func TestRunReportsExitAndStreams(t *testing.T) {
	dir := t.TempDir()
	res, sink := runStep(t, Spec{Shell: `echo out; echo err >&2; pwd; echo "$A"; exit 3`, Dir: dir, Env: append(testEnv(), "A=b c")})
	if res.ExitCode != 3 || res.OK() || res.Err != "" {
		t.Errorf("result %+v", res)
	}
	if diff := cmp.Diff("out\n"+dir+"\nb c\n", sink.text(Stdout)); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff("err\n", sink.text(Stderr)); diff != "" {
		t.Error(diff)
	}
	if !strings.Contains(res.Tail, "err") || res.OutputBytes == 0 {
		t.Errorf("tail %q of %d bytes", res.Tail, res.OutputBytes)
	}
}

func TestRunInheritsNothing(t *testing.T) {
	t.Setenv("SLACK_BOT_TOKEN", "xoxb-not-yours")
	res, sink := runStep(t, Spec{Shell: `env; ls /proc/self/fd 2>/dev/null | wc -l`})
	if !res.OK() || strings.Contains(sink.text(Stdout), "xoxb") {
		t.Errorf("%+v %s", res, sink.text(Stdout))
	}
	lines := strings.Split(strings.TrimSpace(sink.text(Stdout)), "\n")
	if n, _ := strconv.Atoi(lines[len(lines)-1]); n > 4 { // 0, 1, 2 and ls's own
		t.Errorf("the step sees %d descriptors", n)
	}
}

func TestRunReportsASignal(t *testing.T) {
	res, _ := runStep(t, Spec{Shell: `kill -SEGV $$`})
	if res.Signal != "SIGSEGV" || res.ExitCode != -1 || res.OK() {
		t.Errorf("result %+v", res)
	}
}

func TestRunNamesWhatCannotStart(t *testing.T) {
	dir := t.TempDir()
	plain := filepath.Join(dir, "plain")
	noInterpreter := filepath.Join(dir, "script")
	if err := os.WriteFile(plain, []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(noInterpreter, []byte("#!/no/such/interpreter\n"), 0o700); err != nil { //nolint:gosec // must be executable
		t.Fatal(err)
	}
	for want, s := range map[string]Spec{
		`"no-such-tool" does not exist on the step's PATH`: {Argv: []string{"no-such-tool"}},
		`"./no-such-tool" does not exist`:                  {Argv: []string{"./no-such-tool"}, Dir: dir},
		`"` + plain + `" is not executable`:                {Argv: []string{plain}},
		`or the interpreter it names, does not exist`:      {Argv: []string{noInterpreter}},
		`working folder "/no/such/folder" does not exist`:  {Shell: "true", Dir: "/no/such/folder"},
	} {
		res, _ := runStep(t, s)
		if !strings.Contains(res.Err, want) || res.OK() {
			t.Errorf("want %q, got %+v", want, res)
		}
	}
}

func TestTimeoutKillsWhatIgnoresSIGTERM(t *testing.T) {
	dir := t.TempDir()
	line := `trap "" TERM; (trap "" TERM; echo $BASHPID; sh -c 'echo $$ > ` + dir + `/child; sleep 600 & wait'); sleep 600`
	res, _ := runStep(t, Spec{Shell: line, Timeout: 300 * time.Millisecond, Grace: 200 * time.Millisecond})
	if !res.TimedOut || res.Signal != "SIGKILL" || res.OK() {
		t.Errorf("result %+v", res)
	}
	if pid := readPID(t, dir+"/child"); !gone(pid) {
		t.Errorf("process %d lives on", pid)
	}
}

func TestTimeoutLetsAGoodStepCleanUp(t *testing.T) {
	res, sink := runStep(t, Spec{Shell: `trap 'echo cleaned; exit 0' TERM; echo up; while :; do sleep 0.01; done`, Timeout: 400 * time.Millisecond, Grace: patience})
	if !res.TimedOut || res.ExitCode != 0 || res.OK() || !strings.Contains(sink.text(Stdout), "cleaned") {
		t.Errorf("result %+v, output %q", res, sink.text(Stdout))
	}
}

func TestCancelEndsTheStep(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	res := runWith(t, ctx, Spec{Shell: `echo up; sleep 600`}, sinkFunc(func(Chunk) { cancel() }), Options{})
	if !res.Cancelled || res.TimedOut || res.OK() || res.Finished.Sub(res.Started) > patience {
		t.Errorf("result %+v", res)
	}
}

func TestAbandonKillsWithoutGrace(t *testing.T) {
	ctx, cancel := context.WithCancelCause(t.Context())
	res := runWith(t, ctx, Spec{Shell: `trap "" TERM; echo up; while :; do sleep 0.05; done`, Grace: time.Hour},
		sinkFunc(func(Chunk) { cancel(ErrAbandon) }), Options{})
	if !res.Abandoned || res.Cancelled || res.OK() {
		t.Errorf("result %+v", res)
	}
}

func TestBackgroundChildrenAreEndedAndSaid(t *testing.T) {
	dir := t.TempDir()
	res, _ := runStep(t, Spec{Shell: `sleep 600 & echo $! > ` + dir + `/a; (trap "" TERM; sleep 600) & echo $! > ` + dir + `/b; exit 0`, Grace: 100 * time.Millisecond})
	if !res.OK() || res.Leftover < 1 || len(res.Notes()) != 1 {
		t.Errorf("result %+v, notes %q", res, res.Notes())
	}
	for _, f := range []string{"/a", "/b"} {
		if pid := readPID(t, dir+f); !gone(pid) {
			t.Errorf("%s lives on", f)
		}
	}
}

// A dead lease ends the step at once, even one that is being asked to stop and
// has an hour for it: the slot may soon be given away.
func TestADeadLeaseKillsEvenDuringGrace(t *testing.T) {
	var dead atomic.Bool
	ctx, cancel := context.WithCancel(t.Context())
	res := runWith(t, ctx, Spec{Shell: `trap 'echo asked' TERM; echo up; while :; do sleep 1; done`, Grace: time.Hour},
		sinkFunc(func(c Chunk) {
			cancel()
			if strings.Contains(string(c.Data), "asked") {
				dead.Store(true)
			}
		}),
		Options{Alive: func() bool { return !dead.Load() }, Tick: 20 * time.Millisecond})
	if res.Signal != "SIGKILL" || res.OK() {
		t.Errorf("result %+v", res)
	}
}

func TestFloodIsTruncatedInBoundedMemory(t *testing.T) {
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	var kept int
	var peak uint64
	res := runWith(t, t.Context(), Spec{Shell: `head -c 67108864 /dev/zero | tr '\0' 'x'; echo; echo the end`, OutputLimit: 1 << 20, Secrets: []string{"topsecret"}},
		sinkFunc(func(c Chunk) {
			kept += len(c.Data)
			runtime.ReadMemStats(&after)
			peak = max(peak, after.HeapInuse)
		}), Options{})
	if !res.OK() || !res.Truncated || kept > 1<<20+100 || res.OutputBytes < 64<<20 || !strings.HasSuffix(res.Tail, "the end") {
		t.Errorf("kept %d of %d, result %+v", kept, res.OutputBytes, res.Notes())
	}
	if peak > before.HeapInuse+16<<20 {
		t.Errorf("heap grew from %d to %d", before.HeapInuse, peak)
	}
}

func TestSecretsNeverReachSinkOrTail(t *testing.T) {
	const secret = "s3cr3t-value"
	res, sink := runStep(t, Spec{Shell: `printf 's3cr3t'; sleep 0.4; printf -- '-value\n'; echo "$S" >&2; echo "$S" | base64; exit 1`,
		Env: append(testEnv(), "S="+secret), Secrets: []string{secret}})
	all := sink.text(Stdout) + sink.text(Stderr) + res.Tail
	if strings.Contains(all, secret) || strings.Contains(all, "czNjcjN0LX") || !strings.Contains(sink.text(Stdout), "***\n") {
		t.Errorf("output %q", all)
	}
}

func TestFiftyAtOnceAndNothingLeaks(t *testing.T) {
	runStep(t, Spec{Shell: "true"}) // opens what stays open (poller, threads)
	fds, routines := openFiles(t), runtime.NumGoroutine()
	var wg sync.WaitGroup
	for i := range 50 {
		wg.Go(func() {
			sink := &memorySink{}
			res, err := Run(t.Context(), Spec{Shell: fmt.Sprintf("echo %d; exit %d", i, i), Env: testEnv()}, sink, Options{})
			if err != nil || res.ExitCode != i || sink.text(Stdout) != fmt.Sprintf("%d\n", i) {
				t.Errorf("step %d: %+v, %v", i, res, err)
			}
		})
	}
	wg.Wait()
	eventually(t, "descriptors closed", func() bool { return openFiles(t) <= fds })
	eventually(t, "goroutines ended", func() bool { return runtime.NumGoroutine() <= routines })
}

func openFiles(t *testing.T) int {
	t.Helper()
	entries, err := os.ReadDir("/dev/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(entries)
}

// runner starts a separate runner process; its output comes line by line.
func runner(t *testing.T, line, watchdog, lock string) (*exec.Cmd, *bufio.Scanner) {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(exe)
	cmd.Env = append(os.Environ(), asRunner+"="+line, asRunner+"_WATCHDOG="+watchdog, asRunner+"_LOCK="+lock)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	return cmd, bufio.NewScanner(out)
}

// family is a shell line whose processes, a background child and a grandchild among
// them, leave their ids in dir.
func family(dir string) string {
	return `trap "" TERM; echo $$ > ` + dir + `/a; (sleep 600; true) & echo $! > ` + dir + `/b; sh -c 'echo $$ > ` + dir + `/c; sleep 600; true'; true`
}

func TestNothingOutlivesAKilledRunner(t *testing.T) {
	dir := t.TempDir()
	lock := filepath.Join(dir, "lock")
	cmd, _ := runner(t, family(dir), "1h", lock)
	pids := []int{readPID(t, dir+"/a"), readPID(t, dir+"/b"), readPID(t, dir+"/c")}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	start := time.Now()
	if err := AwaitPredecessors(ctx, lock); err != nil {
		t.Fatal(err)
	}
	t.Logf("tree gone after %v", time.Since(start))
	for _, pid := range pids { // at once: the lock is free only when all are dead
		if !gone(pid) {
			t.Errorf("process %d lives on", pid)
		}
	}
}

func TestAwaitPredecessorsGivesUpWithItsContext(t *testing.T) {
	dir := t.TempDir()
	lock := filepath.Join(dir, "lock")
	runner(t, family(dir), "1h", lock)
	readPID(t, dir+"/c")
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if err := AwaitPredecessors(ctx, lock); err == nil {
		t.Error("a living step was overlooked")
	}
}

func TestNothingOutlivesAFrozenRunner(t *testing.T) {
	dir := t.TempDir()
	cmd, out := runner(t, family(dir), "500ms", "")
	pids := []int{readPID(t, dir+"/a"), readPID(t, dir+"/b"), readPID(t, dir+"/c")}
	if err := cmd.Process.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	for _, pid := range pids {
		eventually(t, "the tree is dead", func() bool { return gone(pid) })
	}
	if err := cmd.Process.Signal(syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	for out.Scan() {
		if strings.HasPrefix(out.Text(), "result") {
			if !strings.Contains(out.Text(), "Abandoned:true") {
				t.Error(out.Text())
			}
			return
		}
	}
	t.Error("the runner that woke up gave no result")
}

func BenchmarkTrue(b *testing.B) {
	for b.Loop() {
		if _, err := Run(b.Context(), Spec{Argv: []string{"/bin/true"}, Env: testEnv()}, &memorySink{}, Options{}); err != nil {
			b.Fatal(err)
		}
	}
}
