package supervisor

import (
	"os/signal"
	"syscall"
	"time"
)

// adopts: macOS has no subreaper, so a descendant that leaves the step's process
// group (a daemon that calls setsid) is out of reach, and there is no
// parent-death signal: when the supervisor itself is killed, the runner kills the
// group. Everything else is as on Linux.
const adopts = false

func adoptOrphans() {}

// closeOnExecFrom reaches the descriptors a runner may plausibly have been started
// with; macOS has no call for a range.
func closeOnExecFrom(fd int) {
	const plausible = 64
	for ; fd < plausible; fd++ {
		syscall.CloseOnExec(fd)
	}
}

func childAttr() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setsid: true} }

func ignoreSignals() { signal.Ignore(syscall.SIGTERM, syscall.SIGINT, syscall.SIGHUP, syscall.SIGPIPE) }

var started = time.Now().Round(0) // wall clock: Go's own clock stands still during sleep

// bootTime counts nanoseconds, also while the machine sleeps.
func bootTime() int64 { return int64(time.Now().Round(0).Sub(started)) }

// groupGone says that no process is left in the group. A group of zombies only
// answers EPERM; launchd reaps those.
func groupGone(pid int) bool {
	err := syscall.Kill(-pid, 0)
	return err == syscall.ESRCH || err == syscall.EPERM //nolint:errorlint // bare Errnos
}

// countLive cannot count a group here; one stands for "at least one".
func countLive(pid int) int {
	if groupGone(pid) {
		return 0
	}
	return 1
}

func strays(int, bool) []int { return nil }
