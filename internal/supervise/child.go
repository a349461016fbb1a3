package supervise

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"sync"
	"syscall"
	"time"
)

const (
	// firstDelay doubles with each end in a row up to lastDelay: a process that was
	// killed is back at once, one that cannot live does not keep the machine busy.
	firstDelay = 200 * time.Millisecond
	lastDelay  = 10 * time.Second
	// stable is how long a process must have been up for its end to count as the
	// first in a row.
	stable = 30 * time.Second
	// maxFirst is how often a process may end before it was up for the first time:
	// what is still locked by a predecessor is free by then.
	maxFirst = 6
	// pipeWait is how long output of a process that has ended is still read: others
	// may hold its pipes.
	pipeWait = time.Second
	// maxLine bounds what a process says of itself.
	maxLine = 64 << 10
)

// State is how a child is just now.
type State struct {
	PID int    // 0: none
	URL string // where it listens; empty: it is not up, or does not listen
	Up  bool
}

// Child is one process to be kept running. Run it once.
type Child struct {
	Name string
	// Command makes the process anew. Its three standard files are the supervisor's.
	Command func() *exec.Cmd
	// Order is the first line of its standard input.
	Order []byte
	// Journal gets its standard error.
	Journal *Journal
	// Grace is how long it may take to stop before it is killed.
	Grace  time.Duration
	Logger *slog.Logger
	// Changed is called with every new state, from one goroutine at a time; may be nil.
	Changed func(State)

	mu    sync.Mutex
	state State
	proc  *os.Process
}

// State is how the child is now.
func (c *Child) State() State {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.state
}

func (c *Child) set(s State) {
	c.mu.Lock()
	c.state = s
	c.mu.Unlock()
	if c.Changed != nil {
		c.Changed(s)
	}
}

// Kill is kill -9 of the process of now; it is started again.
func (c *Child) Kill() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.proc == nil {
		return nil
	}
	if err := c.proc.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("kill %s: %w", c.Name, err)
	}
	return nil
}

// Run keeps the process running until ctx ends, then stops it. ready is called when
// it is up for the first time. An error: it never was.
func (c *Child) Run(ctx context.Context, ready func()) error {
	up, ends := false, 0
	for {
		pid, lived, err := c.once(ctx, func() {
			if !up {
				up = true
				ready()
			}
		})
		if ctx.Err() != nil {
			return nil
		}
		if lived > stable {
			ends = 0
		}
		if ends++; !up && ends >= maxFirst {
			return fmt.Errorf("%s does not start: %w; it said:\n%s", c.Name, err, c.Journal.Tail())
		}
		delay := backoff(ends)
		c.Logger.Warn("a process has ended and is started again", "process", c.Name, "pid", pid, "why", err, "in", delay)
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(delay):
		}
	}
}

func backoff(ends int) time.Duration {
	if shift := ends - 1; shift < 10 {
		return min(firstDelay<<shift, lastDelay)
	}
	return lastDelay
}

// once is one life of the process. It tells its id, how long it was up, and why it
// ended.
func (c *Child) once(ctx context.Context, up func()) (pid int, lived time.Duration, err error) {
	cmd := c.Command()
	cmd.Stderr, cmd.WaitDelay = c.Journal, pipeWait
	apart(cmd)
	input, err := cmd.StdinPipe() // closed by Wait
	if err != nil {
		return 0, 0, fmt.Errorf("start %s: %w", c.Name, err)
	}
	output, said := io.Pipe()
	cmd.Stdout = said
	if err := cmd.Start(); err != nil {
		return 0, 0, fmt.Errorf("start %s: %w", c.Name, err)
	}
	pid = cmd.Process.Pid
	c.mu.Lock()
	c.proc = cmd.Process
	c.mu.Unlock()
	c.set(State{PID: pid})
	var since time.Time
	var heard sync.WaitGroup
	heard.Go(func() {
		listen(output, func(a announcement) {
			if since.IsZero() {
				since = time.Now()
			}
			c.set(State{PID: pid, URL: a.URL, Up: true})
			c.Logger.Info("a process is up", "process", c.Name, "pid", pid)
			up()
		})
	})
	_, _ = input.Write(append(c.Order, '\n')) // one that has ended already says so by its end
	err = c.wait(ctx, cmd)
	_ = said.Close() // always nil
	heard.Wait()
	c.mu.Lock()
	c.proc = nil
	c.mu.Unlock()
	c.set(State{})
	if !since.IsZero() {
		lived = time.Since(since)
	}
	return pid, lived, err
}

// wait waits for the end, and brings it about when ctx ends.
func (c *Child) wait(ctx context.Context, cmd *exec.Cmd) error {
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	select {
	case err := <-ended:
		return reason(err)
	case <-ctx.Done():
	}
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
		_ = cmd.Process.Kill() // a system without SIGTERM
	}
	late := time.NewTimer(c.Grace)
	defer late.Stop()
	select {
	case err := <-ended:
		return reason(err)
	case <-late.C:
		c.Logger.Warn("a process does not stop and is killed", "process", c.Name, "pid", cmd.Process.Pid)
		_ = cmd.Process.Kill() // it may have ended
		return reason(<-ended)
	}
}

var errExited = errors.New("it exited by itself")

func reason(err error) error {
	if err == nil {
		return errExited
	}
	return err
}

// announcement is what a child says of itself.
type announcement struct {
	Up  bool   `json:"up"`
	URL string `json:"url,omitempty"`
}

// listen reads announcements until the child's output ends.
func listen(r io.Reader, up func(announcement)) {
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, maxLine)
	for lines.Scan() {
		var a announcement
		if json.Unmarshal(lines.Bytes(), &a) == nil && a.Up {
			up(a)
		}
	}
	_, _ = io.Copy(io.Discard, r) // a line too long must not stop the process
}

// Announce says, from within a child, that it is up, and where it listens.
func Announce(w io.Writer, url string) error {
	line, err := json.Marshal(announcement{Up: true, URL: url})
	if err != nil {
		return err
	}
	_, err = w.Write(append(line, '\n'))
	return err
}

// Attend reads the order of a child from its standard input. gone is closed when
// the parent is no more.
func Attend(r io.Reader, order any) (gone <-chan struct{}, err error) {
	in := bufio.NewReaderSize(r, maxLine)
	line, err := in.ReadBytes('\n')
	if err == nil {
		err = json.Unmarshal(line, order)
	}
	if err != nil {
		return nil, fmt.Errorf("read the order: %w", err)
	}
	over := make(chan struct{})
	go func() {
		defer close(over)
		_, _ = io.Copy(io.Discard, in) // its end is all that matters
	}()
	return over, nil
}
