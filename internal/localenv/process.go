package localenv

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"sync"
	"time"
)

const (
	// maxLog is the size at which a service's log is set aside; one old part stays.
	maxLog = 4 << 20
	// tailBytes and tailLines are what an error quotes of a failed release.
	tailBytes = 2000
	tailLines = 15
	// pipeDelay bounds the wait for output of a process that ended and whose
	// children still hold its pipe.
	pipeDelay = time.Second
)

// launch is what to start.
type launch struct {
	program, dir, log string
	env               []string
}

// process is one running service.
type process struct {
	id      identity
	cmd     *exec.Cmd
	out     *journal
	started time.Time
	done    chan struct{} // closed when it has been reaped
}

// identity tells a process from a later one with the same number.
type identity struct {
	PID   int    `json:"pid"`
	Start string `json:"start"` // when it started, in the system's own words
}

// starter starts processes from one thread that lives as long as it is wanted:
// Linux binds a child's parent-death signal to the thread that made the child.
type starter struct {
	work chan func()
	done chan struct{}
}

func newStarter() *starter {
	s := &starter{work: make(chan func()), done: make(chan struct{})}
	go func() {
		defer close(s.done)
		runtime.LockOSThread() // never unlocked: the thread ends with this goroutine
		for f := range s.work {
			f()
		}
	}()
	return s
}

func (s *starter) close() { close(s.work); <-s.done }

func (s *starter) start(l launch) (*process, error) {
	out, err := openJournal(l.log)
	if err != nil {
		return nil, err
	}
	cmd := exec.Command(l.program) //nolint:gosec // the release's program
	cmd.Dir, cmd.Env, cmd.Stdout, cmd.Stderr = l.dir, l.env, out, out
	cmd.SysProcAttr, cmd.WaitDelay = ownGroup(), pipeDelay
	ready := make(chan error, 1)
	s.work <- func() { ready <- cmd.Start() }
	if err := <-ready; err != nil {
		_ = out.Close()
		return nil, err
	}
	p := &process{cmd: cmd, out: out, started: time.Now(), done: make(chan struct{}),
		id: identity{PID: cmd.Process.Pid, Start: startOf(cmd.Process.Pid)}}
	go func() {
		_ = cmd.Wait() // the outcome is in ProcessState
		_ = out.Close()
		close(p.done)
	}()
	return p, nil
}

// exited is closed when the process is over; for none it is never.
func (p *process) exited() <-chan struct{} {
	if p == nil {
		return nil
	}
	return p.done
}

func (p *process) over() bool {
	select {
	case <-p.done:
		return true
	default:
		return false
	}
}

// outcome is for a process that is over.
func (p *process) outcome() string {
	<-p.done
	return p.cmd.ProcessState.String()
}

// end asks the group to end, kills what is left after the grace, and waits.
func (p *process) end(grace time.Duration) {
	terminate(p.id.PID)
	limit := time.NewTimer(grace)
	defer limit.Stop()
	select {
	case <-p.done:
	case <-limit.C:
	}
	kill(p.id.PID) // children, too, that outlived it
	<-p.done
}

// tail is complete for a process that is over.
func (p *process) tail() string { return p.out.tail() }

// alive says whether the process is still this one.
func (i identity) alive() bool { return i.PID > 1 && i.Start != "" && startOf(i.PID) == i.Start }

// end ends a process that is not our child.
func (i identity) end(grace time.Duration) error {
	terminate(i.PID)
	poll := time.NewTicker(healthPoll)
	defer poll.Stop()
	for start := time.Now(); i.alive(); <-poll.C {
		switch waited := time.Since(start); {
		case waited > 2*grace:
			return fmt.Errorf("process %d of an earlier start cannot be ended", i.PID)
		case waited > grace:
			kill(i.PID)
		}
	}
	return nil
}

// journal is a service's log: bounded on disk, with its end in memory.
type journal struct {
	mu   sync.Mutex
	path string
	f    *os.File
	size int64
	last []byte
}

func openJournal(path string) (*journal, error) {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600) //nolint:gosec // inside our own folder
	if err != nil {
		return nil, err
	}
	info, err := f.Stat()
	if err != nil {
		_ = f.Close()
		return nil, err
	}
	return &journal{path: path, f: f, size: info.Size()}, nil
}

// Write never fails: a full disk must not stop the service.
func (j *journal) Write(b []byte) (int, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.size > maxLog {
		j.turn()
	}
	if j.f != nil {
		n, _ := j.f.Write(b)
		j.size += int64(n)
	}
	j.last = append(j.last, b[max(0, len(b)-tailBytes):]...)
	if over := len(j.last) - tailBytes; over > 0 {
		j.last = append(j.last[:0], j.last[over:]...)
	}
	return len(b), nil
}

func (j *journal) turn() {
	_ = j.f.Close()
	_ = os.Rename(j.path, j.path+".1")
	j.f, _ = os.OpenFile(j.path, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	j.size = 0
}

func (j *journal) tail() string {
	j.mu.Lock()
	defer j.mu.Unlock()
	text := strings.TrimSpace(string(bytes.ToValidUTF8(j.last, []byte("\uFFFD"))))
	lines := strings.Split(text, "\n")
	return strings.Join(lines[max(0, len(lines)-tailLines):], "\n")
}

// Close ends the file; later writes are dropped.
func (j *journal) Close() error {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.f == nil {
		return nil
	}
	err := j.f.Close()
	j.f = nil
	return err
}
