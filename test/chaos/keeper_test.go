package chaos

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"sync"
	"syscall"
	"testing"
	"time"
)

// keeper keeps one process running, as a supervisor of services does: whatever
// ends is started again.
type keeper struct {
	name string
	path string
	args []string
	env  []string
	log  *os.File
	time *os.File // its clock

	mu      sync.Mutex
	cmd     *exec.Cmd
	frozen  bool
	down    bool // on purpose, until it may go on
	over    bool
	starts  int
	pause   time.Duration // before the next start
	changed chan struct{} // closed when down or over change
	done    chan struct{}
}

// startAgain is how long a process stays away that ended by itself.
const startAgain = 500 * time.Millisecond

// keep starts a program for as long as the test runs. What it says goes to a
// file in logs.
func keep(t testing.TB, name, logs, path string, args, env []string) *keeper {
	t.Helper()
	k := &keeper{name: name, path: path, args: args, changed: make(chan struct{}), done: make(chan struct{})}
	var err error
	if k.log, err = os.OpenFile(filepath.Join(logs, name+".log"), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600); err != nil {
		t.Fatal(err)
	}
	if k.time, err = os.Create(filepath.Join(logs, name+".clock")); err != nil {
		t.Fatal(err)
	}
	k.clock(0)
	k.env = append(env, clockVariable+"="+k.time.Name())
	go k.run()
	t.Cleanup(k.end)
	return k
}

func (k *keeper) run() {
	defer close(k.done)
	runtime.LockOSThread() // with this thread the process ends, so it must not end before
	for k.mayStart() {
		cmd := exec.Command(k.path, k.args...)
		cmd.Env, cmd.Stdout, cmd.Stderr = k.env, k.log, k.log
		withUs(cmd)
		k.mu.Lock()
		if k.over || k.down {
			k.mu.Unlock()
			continue
		}
		err := cmd.Start()
		k.cmd, k.frozen = cmd, false
		k.starts++
		k.mu.Unlock()
		if err != nil {
			k.say("cannot start: %v", err)
		} else {
			k.say("started as %d", cmd.Process.Pid)
			err = cmd.Wait()
			k.say("ended: %v", errors.Join(err))
		}
		k.mu.Lock()
		k.cmd = nil
		pause, changed, over := k.pause, k.changed, k.over || k.down
		k.pause = startAgain
		k.mu.Unlock()
		if !over {
			select {
			case <-time.After(pause):
			case <-changed:
			}
		}
	}
}

// mayStart waits while the process is to be down.
func (k *keeper) mayStart() bool {
	for {
		k.mu.Lock()
		down, over, changed := k.down, k.over, k.changed
		k.mu.Unlock()
		switch {
		case over:
			return false
		case !down:
			return true
		}
		<-changed
	}
}

// say writes a line of the harness's into the process's log.
func (k *keeper) say(format string, args ...any) {
	fmt.Fprintf(k.log, "=== %s %s %s\n", time.Now().Format("15:04:05.000"), k.name, fmt.Sprintf(format, args...))
}

func (k *keeper) signal(s syscall.Signal) {
	if k.cmd != nil && k.cmd.Process != nil {
		_ = k.cmd.Process.Signal(s) // it may have ended by itself
	}
}

// kill is kill -9; the process is back after the pause.
func (k *keeper) kill(pause time.Duration) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.pause = pause
	k.signal(syscall.SIGKILL)
}

// term asks the process to end, as a rolling restart does.
func (k *keeper) term() {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.pause = 0
	k.signal(syscall.SIGTERM)
}

func (k *keeper) freeze() {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.frozen = true
	k.signal(syscall.SIGSTOP)
}

func (k *keeper) thaw() {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.frozen {
		k.frozen = false
		k.signal(syscall.SIGCONT)
	}
}

// stop kills the process, which stays away until resume.
func (k *keeper) stop(ctx context.Context) error {
	k.mu.Lock()
	k.down = true
	k.wake()
	k.signal(syscall.SIGKILL)
	k.mu.Unlock()
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	for {
		k.mu.Lock()
		gone := k.cmd == nil
		k.mu.Unlock()
		if gone {
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
	}
}

func (k *keeper) resume() {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.down = false
	k.wake()
}

// wake tells run of a change; k.mu is held.
func (k *keeper) wake() {
	close(k.changed)
	k.changed = make(chan struct{})
}

// clock sets how far the process is ahead of the real time.
func (k *keeper) clock(ahead time.Duration) {
	var seconds [8]byte
	binary.NativeEndian.PutUint64(seconds[:], uint64(int64(ahead/time.Second)))
	_, _ = k.time.WriteAt(seconds[:], 0) // a file of ours, just made; a clock that stays right is no harm
}

func (k *keeper) end() {
	k.mu.Lock()
	k.over = true
	k.wake()
	k.signal(syscall.SIGKILL)
	k.mu.Unlock()
	<-k.done
	_, _ = k.log.Close(), k.time.Close()
}
