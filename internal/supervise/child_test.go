package supervise_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/slipway-hq/slipway/internal/supervise"
)

// patience is how long a test waits for what must happen.
const patience = 30 * time.Second

// asChild makes this test's program one of the children below.
const asChild = "SUPERVISE_TEST_CHILD"

func TestMain(m *testing.M) {
	if kind := os.Getenv(asChild); kind != "" {
		os.Exit(child(kind))
	}
	os.Exit(m.Run())
}

func child(kind string) int {
	var order struct{ Say string }
	gone, err := supervise.Attend(os.Stdin, &order)
	fmt.Fprintln(os.Stderr, "ordered to say", order.Say, err)
	term := make(chan os.Signal, 1)
	signal.Notify(term, syscall.SIGTERM)
	switch kind {
	case "broken":
		fmt.Fprintln(os.Stderr, "I cannot live")
		return 3
	case "mother":
		return mother()
	}
	if err := supervise.Announce(os.Stdout, "http://"+order.Say); err != nil {
		return 1
	}
	if kind == "deaf" {
		term = nil
	}
	select {
	case <-gone:
		fmt.Fprintln(os.Stderr, "an orphan")
	case <-term:
	}
	return 0
}

// mother is a parent that is killed: it prints the id of its child.
func mother() int {
	dir, err := os.MkdirTemp("", "supervise-")
	if err != nil {
		return 1
	}
	defer func() { _ = os.RemoveAll(dir) }()
	c, _, err := newChild(filepath.Join(dir, "journal"), "good")
	if err != nil {
		return 1
	}
	err = c.Run(context.Background(), func() { fmt.Fprintln(os.Stdout, "child", c.State().PID) })
	fmt.Fprintln(os.Stderr, err)
	return 1
}

func newChild(journal, kind string) (*supervise.Child, chan supervise.State, error) {
	j, err := supervise.OpenJournal(journal)
	if err != nil {
		return nil, nil, err
	}
	self, err := os.Executable()
	if err != nil {
		return nil, nil, err
	}
	states := make(chan supervise.State, 100)
	return &supervise.Child{
		Name: kind, Order: []byte(`{"Say":"here"}`), Journal: j, Grace: time.Second, Logger: slog.New(slog.DiscardHandler),
		Command: func() *exec.Cmd {
			cmd := exec.Command(self)
			cmd.Env = append(os.Environ(), asChild+"="+kind)
			return cmd
		},
		Changed: func(s supervise.State) { states <- s },
	}, states, nil
}

// start runs a child; the returned function stops it and gives its error.
func start(t *testing.T, kind string) (*supervise.Child, chan supervise.State, func() error) {
	t.Helper()
	c, states, err := newChild(filepath.Join(t.TempDir(), "journal"), kind)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- c.Run(ctx, func() {}) }()
	stopped := false
	stop := func() error {
		if stopped {
			return nil
		}
		stopped = true
		cancel()
		return <-done
	}
	t.Cleanup(func() { _ = stop(); _ = c.Journal.Close() })
	return c, states, stop
}

// await waits for a state.
func await(t *testing.T, states chan supervise.State, what string, ok func(supervise.State) bool) supervise.State {
	t.Helper()
	late := time.After(patience)
	for {
		select {
		case s := <-states:
			if ok(s) {
				return s
			}
		case <-late:
			t.Fatalf("waited in vain: %s", what)
		}
	}
}

func up(s supervise.State) bool { return s.Up }

// alive tells whether a process exists and, where /proc tells, is no zombie: an
// orphan may wait for ever to be buried.
func alive(pid int) bool {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err == nil {
		_, rest, _ := strings.Cut(string(stat), ") ")
		return !strings.HasPrefix(rest, "Z") && !strings.HasPrefix(rest, "X")
	}
	return syscall.Kill(pid, 0) == nil
}

func TestAKilledProcessIsStartedAgain(t *testing.T) {
	t.Parallel()
	c, states, stop := start(t, "good")
	first := await(t, states, "up", up)
	if first.URL != "http://here" {
		t.Errorf("it listens on %q", first.URL)
	}
	if err := syscall.Kill(first.PID, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	await(t, states, "its end is seen", func(s supervise.State) bool { return s.PID == 0 })
	second := await(t, states, "up again", up)
	if second.PID == first.PID || c.State() != second {
		t.Errorf("%+v after %+v", second, first)
	}
	if err := c.Kill(); err != nil {
		t.Fatal(err)
	}
	third := await(t, states, "up a third time", func(s supervise.State) bool { return s.Up && s.PID != second.PID })
	if err := stop(); err != nil {
		t.Error(err)
	}
	if alive(third.PID) {
		t.Error("it outlived its supervisor")
	}
}

func TestWhatNeverStartsSaysWhy(t *testing.T) {
	t.Parallel()
	c, _, err := newChild(filepath.Join(t.TempDir(), "journal"), "broken")
	if err != nil {
		t.Fatal(err)
	}
	c.Changed = nil
	err = c.Run(t.Context(), func() { t.Error("it is up") })
	if err == nil || !strings.Contains(err.Error(), "I cannot live") || !strings.Contains(err.Error(), "exit status 3") {
		t.Errorf("%v", err)
	}
	var exit *exec.ExitError
	if !errors.As(err, &exit) {
		t.Errorf("%v is no exit", err)
	}
}

func TestWhatDoesNotStopIsKilled(t *testing.T) {
	t.Parallel()
	_, states, stop := start(t, "deaf")
	s := await(t, states, "up", up)
	if err := syscall.Kill(s.PID, syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	if err := stop(); err != nil {
		t.Error(err)
	}
	if took := time.Since(began); took > patience/2 || alive(s.PID) {
		t.Errorf("stopped after %s, alive: %v", took, alive(s.PID))
	}
}

func TestNoChildOutlivesAKilledParent(t *testing.T) {
	t.Parallel()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(self)
	cmd.Env = append(os.Environ(), asChild+"=mother")
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if _, err := in.Write([]byte("{}\n")); err != nil {
		t.Fatal(err)
	}
	var pid int
	if _, err := fmt.Fscanf(out, "child %d\n", &pid); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait() // it was killed
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for late := time.After(patience); alive(pid); {
		select {
		case <-tick.C:
		case <-late:
			t.Fatalf("%d lives on", pid)
		}
	}
}

func TestAJournalIsBounded(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "journal")
	j, err := supervise.OpenJournal(path)
	if err != nil {
		t.Fatal(err)
	}
	line := []byte(strings.Repeat("x", 1<<20-1) + "\n")
	for range 20 {
		if _, err := j.Write(line); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := j.Write([]byte("the end\n")); err != nil {
		t.Fatal(err)
	}
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{path, path + ".1"} {
		if info, err := os.Stat(name); err != nil || info.Size() > 8<<20 {
			t.Errorf("%s: %v %v", name, info, err)
		}
	}
	if !strings.HasSuffix(j.Tail(), "the end") {
		t.Error(j.Tail())
	}
}
