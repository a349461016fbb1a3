//go:build linux || darwin

package supervisor

import (
	"sync/atomic"
	"syscall"
	"time"
)

const (
	// settle is how long the step's last processes may take to end by themselves
	// after the step's own process, before they count as left behind: the ends of a
	// pipeline die a moment apart.
	settle = 25 * time.Millisecond
	// killEvery and killSlowest bound how often SIGKILL is repeated until nothing is
	// left; a process in an uninterruptible wait can hold out for long, and the
	// slot must not be free before it is gone.
	killEvery   = 5 * time.Millisecond
	killSlowest = 500 * time.Millisecond
	// watchParts is how often the watchdog looks, per limit.
	watchParts = 8
	// exitBroken is the supervisor's exit code when it could not do its work.
	exitBroken = 70
)

// Taking the process over here, and not in a function that main calls, is what
// keeps the start of a step short; see the package comment.
func init() { //nolint:gochecknoinits // measured: the only place before the program's other packages start
	if v, ok := syscall.Getenv(Marker); ok && v == MarkerValue {
		syscall.Exit(supervise())
	}
}

// exit is one reaped process, or with none set the news that none is left.
type exit struct {
	pid    int
	status syscall.WaitStatus
	none   bool
}

// warden watches over one step.
type warden struct {
	spec     Spec
	pid      int // the step's process, leader of its session and group
	lastTick atomic.Int64

	status   syscall.WaitStatus
	ended    bool // the step's own process has been reaped
	empty    bool // nothing of the step is left
	stop     Stop
	leftover uint32
	killing  bool
	killWait time.Duration

	grace, next, settled *time.Timer
}

func supervise() int {
	for _, fd := range []int{ControlFD, ReportFD, LockFD} {
		syscall.CloseOnExec(fd)
	}
	closeOnExecFrom(LockFD + 1)
	spec, err := readSpec(ControlFD)
	if err != nil {
		return exitBroken
	}
	adoptOrphans()
	// During initialisation this goroutine is locked to the main thread, which
	// lives as long as the process: the parent-death signal depends on that.
	pid, err := syscall.ForkExec(spec.Path, spec.Argv, &syscall.ProcAttr{
		Dir: spec.Dir, Env: spec.Env, Files: []uintptr{0, 1, 2}, Sys: childAttr(),
	})
	if err != nil {
		return report(Report{Kind: StartFailed, Errno: errno(err)})
	}
	ignoreSignals()
	report(Report{Kind: Started, PID: int32(pid)})
	w := &warden{spec: spec, pid: pid}
	w.watch()
	return report(w.outcome())
}

func errno(err error) int32 {
	if e, ok := err.(syscall.Errno); ok { //nolint:errorlint // ForkExec returns a bare Errno; errors.As needs reflection
		return int32(e)
	}
	return int32(syscall.EINVAL)
}

// report writes one report; the runner being gone is no reason to stop.
func report(r Report) int {
	b := r.Encode()
	for {
		_, err := syscall.Write(ReportFD, b)
		if err != syscall.EINTR { //nolint:errorlint // a bare Errno, as above
			break
		}
	}
	return 0
}

func readSpec(fd int) (Spec, error) {
	head := make([]byte, headerBytes)
	if err := readFull(fd, head); err != nil {
		return Spec{}, err
	}
	n, err := specLength(head)
	if err != nil {
		return Spec{}, err
	}
	body := make([]byte, n)
	if err := readFull(fd, body); err != nil {
		return Spec{}, err
	}
	return decodeSpec(body)
}

func readFull(fd int, b []byte) error {
	for len(b) > 0 {
		n, err := syscall.Read(fd, b)
		switch {
		case err == syscall.EINTR: //nolint:errorlint // a bare Errno
		case err != nil:
			return err
		case n == 0:
			return ErrWire
		default:
			b = b[n:]
		}
	}
	return nil
}

func newTimer(d time.Duration) *time.Timer {
	t := time.NewTimer(d)
	if d <= 0 {
		t.Stop()
	}
	return t
}

// watch returns when no process of the step is left.
func (w *warden) watch() {
	w.lastTick.Store(bootTime())
	w.grace, w.next, w.settled = newTimer(0), newTimer(0), newTimer(0)
	control, exits := make(chan byte, 1), make(chan exit, 1)
	go w.readControl(control)
	go reap(exits)
	timeout := newTimer(time.Duration(w.spec.Timeout))
	limit := time.Duration(w.spec.Watchdog)
	watchdog := time.NewTicker(max(limit/watchParts, time.Millisecond))
	for !w.empty {
		select {
		case b, open := <-control:
			if !open {
				control = nil
				w.kill(RunnerGone)
			} else if b == Cancel {
				w.terminate(Cancelled)
			}
		case e := <-exits:
			w.reaped(e)
		case <-timeout.C:
			w.terminate(TimedOut)
		case <-watchdog.C:
			if bootTime()-w.lastTick.Load() > int64(limit) {
				w.kill(RunnerStill)
			}
		case <-w.settled.C:
			w.endLeftovers()
		case <-w.grace.C:
			w.kill(w.stop)
		case <-w.next.C:
			w.killAgain()
		}
	}
}

// readControl passes the runner's words on; ticks only leave their time.
func (w *warden) readControl(out chan<- byte) {
	buf := make([]byte, 64)
	for {
		n, err := syscall.Read(ControlFD, buf)
		if err == syscall.EINTR { //nolint:errorlint // a bare Errno
			continue
		}
		if err != nil || n == 0 {
			close(out)
			return
		}
		for _, b := range buf[:n] {
			if b == Tick {
				w.lastTick.Store(bootTime())
				continue
			}
			out <- b
		}
	}
}

// reap collects every child, adopted ones included, until there is none.
func reap(out chan<- exit) {
	for {
		var ws syscall.WaitStatus
		pid, err := syscall.Wait4(-1, &ws, 0, nil)
		switch {
		case err == syscall.EINTR: //nolint:errorlint // a bare Errno
		case err != nil:
			out <- exit{none: true}
			return
		case ws.Exited() || ws.Signaled():
			out <- exit{pid: pid, status: ws}
		}
	}
}

func (w *warden) reaped(e exit) {
	if e.pid == w.pid && !e.none {
		w.ended, w.status = true, e.status
		if !w.killing {
			w.settled.Reset(settle)
		}
		w.empty = groupGone(w.pid)
	}
	if e.none {
		w.empty = groupGone(w.pid)
	}
	if w.empty {
		return
	}
	if e.none { // not all were our children (no subreaper here): look again later
		w.pollGroup()
	}
}

// pollGroup watches a group whose members are not our children.
func (w *warden) pollGroup() {
	if w.killWait == 0 {
		w.killWait = killEvery
	}
	w.next.Reset(w.killWait)
}

// terminate asks the step to end and kills it when the grace is over. The first
// reason stands; once the step's own process has ended there is nothing to stop.
func (w *warden) terminate(why Stop) {
	if w.ended || w.stop != NotStopped {
		return
	}
	w.stop = why
	w.signalAll(syscall.SIGTERM)
	w.grace.Reset(max(time.Duration(w.spec.Grace), time.Nanosecond))
}

// endLeftovers handles a step whose process ended while others live on.
func (w *warden) endLeftovers() {
	if w.empty || w.killing {
		return
	}
	w.leftover = uint32(countLive(w.pid))
	if w.stop == NotStopped { // else they have been asked already
		w.signalAll(syscall.SIGTERM)
		w.grace.Reset(max(time.Duration(w.spec.Grace), time.Nanosecond))
	}
}

// kill ends everything now and keeps on killing until nothing is left.
func (w *warden) kill(why Stop) {
	if w.stop == NotStopped && !w.ended {
		w.stop = why
	}
	if w.killing {
		return
	}
	w.killing, w.killWait = true, killEvery
	w.killAgain()
}

func (w *warden) killAgain() {
	if w.ended && groupGone(w.pid) {
		w.empty = true
		return
	}
	if w.killing {
		w.signalAll(syscall.SIGKILL)
		w.killWait = min(w.killWait*2, killSlowest)
	}
	w.next.Reset(max(w.killWait, killEvery))
}

// signalAll reaches the group and, where the system lets us find them, every
// other descendant. A stopped process acts on SIGTERM only when it is continued.
func (w *warden) signalAll(sig syscall.Signal) {
	if !w.ended || !adopts {
		_ = syscall.Kill(-w.pid, sig) // none left is as good
		if sig == syscall.SIGTERM {
			_ = syscall.Kill(-w.pid, syscall.SIGCONT)
		}
	}
	for _, p := range strays(w.pid, w.ended) {
		_ = syscall.Kill(p, sig)
		if sig == syscall.SIGTERM {
			_ = syscall.Kill(p, syscall.SIGCONT)
		}
	}
}

func (w *warden) outcome() Report {
	r := Report{Kind: Ended, PID: int32(w.pid), Exit: -1, Stop: w.stop, Leftover: w.leftover}
	if w.status.Exited() {
		r.Exit = int32(w.status.ExitStatus())
	} else if w.status.Signaled() {
		r.Signal = int32(w.status.Signal())
	}
	return r
}
