package world

import (
	"bufio"
	"context"
	"errors"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// Process is one of ours that runs.
type Process struct {
	Name string

	t       testing.TB
	cmd     *exec.Cmd
	out     *tap
	exited  chan struct{}
	err     error
	started time.Time
}

// tap keeps what a process says and wakes who waits for a line.
type tap struct {
	mu      sync.Mutex
	text    strings.Builder
	changed chan struct{}
}

func newTap() *tap { return &tap{changed: make(chan struct{})} }

func (o *tap) line(text string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.text.WriteString(text + "\n")
	close(o.changed)
	o.changed = make(chan struct{})
}

func (o *tap) now() (string, <-chan struct{}) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.String(), o.changed
}

// launch starts a program of this world's.
func (w *World) launch(name, path string, env, args []string) *Process {
	w.T.Helper()
	p := launch(w.T, name, w.Dir, path, env, args)
	w.T.Cleanup(func() { w.last.Do(w.tell) }) // before the process is killed, while it may still answer
	return p
}

// launch starts a program; it is killed at the end of the test at the latest.
func launch(t testing.TB, name, dir, path string, env, args []string) *Process {
	t.Helper()
	p := &Process{Name: name, t: t, out: newTap(), exited: make(chan struct{}), started: time.Now()}
	p.cmd = exec.Command(path, args...)
	p.cmd.Dir, p.cmd.Env = dir, env
	read, write := io.Pipe()
	p.cmd.Stdout, p.cmd.Stderr = write, write
	// Steps hold the pipe for a moment longer than a killed process does.
	p.cmd.WaitDelay = time.Second
	if err := p.cmd.Start(); err != nil {
		t.Fatalf("start %s: %v", name, err)
	}
	go func() {
		lines := bufio.NewScanner(read)
		lines.Buffer(nil, 1<<20)
		for lines.Scan() {
			p.out.line(lines.Text())
		}
		_, _ = io.Copy(io.Discard, read) // a line too long for us must not stop the process
	}()
	go func() {
		p.err = p.cmd.Wait()
		_ = write.Close() // always nil
		p.out.line("[" + name + " ended: " + p.cmd.ProcessState.String() + "]")
		close(p.exited)
	}()
	t.Cleanup(func() {
		p.Kill()
		if t.Failed() {
			t.Logf("--- %s said:\n%s", name, lastLines(p.Output(), 120))
		}
	})
	return p
}

func lastLines(text string, n int) string {
	lines := strings.Split(text, "\n")
	return strings.Join(lines[max(0, len(lines)-n):], "\n")
}

// PID of the process.
func (p *Process) PID() int { return p.cmd.Process.Pid }

// Output is what the process has said so far, on both streams.
func (p *Process) Output() string {
	text, _ := p.out.now()
	return text
}

// Said waits for a line with this text and returns it.
func (p *Process) Said(text string) string {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), Patience)
	defer cancel()
	for {
		all, changed := p.out.now()
		for line := range strings.Lines(all) {
			if strings.Contains(line, text) {
				return strings.TrimSpace(line)
			}
		}
		select {
		case <-changed:
		case <-p.exited:
			p.t.Fatalf("%s ended before it said %q", p.Name, text)
		case <-ctx.Done():
			p.t.Fatalf("%s did not say %q", p.Name, text)
		}
	}
}

// Signal sends a signal, and forgives a process that has ended.
func (p *Process) Signal(s os.Signal) {
	p.t.Helper()
	if err := p.cmd.Process.Signal(s); err != nil && !errors.Is(err, os.ErrProcessDone) {
		p.t.Fatalf("signal %s to %s: %v", s, p.Name, err)
	}
}

// Kill is kill -9; it returns when the process is gone.
func (p *Process) Kill() {
	_ = p.cmd.Process.Kill() // it may have ended
	<-p.exited
}

// Freeze stops the process as SIGSTOP does; Thaw lets it go on.
func (p *Process) Freeze() { p.t.Helper(); p.Signal(syscall.SIGSTOP) }

// Thaw ends Freeze.
func (p *Process) Thaw() { p.t.Helper(); p.Signal(syscall.SIGCONT) }

// Interrupt is Ctrl-C; it returns the exit code.
func (p *Process) Interrupt() int {
	p.t.Helper()
	p.Signal(os.Interrupt)
	return p.ExitCode()
}

// Gone is closed when the process has ended.
func (p *Process) Gone() <-chan struct{} { return p.exited }

// ExitCode waits for the end.
func (p *Process) ExitCode() int {
	p.t.Helper()
	select {
	case <-p.exited:
		return p.cmd.ProcessState.ExitCode()
	case <-time.After(Patience):
		p.t.Fatalf("%s does not end", p.Name)
		return 0
	}
}
