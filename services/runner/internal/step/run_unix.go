//go:build linux || darwin

package step

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"syscall"
	"time"

	"github.com/slipway-hq/slipway/services/runner/internal/step/supervisor"
)

const (
	// cookieName marks every process of an attempt, so that they can be found even
	// when the supervisor, which knows them, was killed.
	cookieName = "SLIPWAY_STEP_COOKIE"
	// answerMargin is how long after SIGKILL became due the supervisor may stay
	// silent before it is taken for stuck (stopped by a signal, say).
	answerMargin = 10 * time.Second
	// drainLimit bounds the wait for the end of the output after the last process
	// is gone: only a process that escaped (macOS: setsid) can still hold the pipe.
	drainLimit = 2 * time.Second
)

// attempt is one running step as its runner sees it.
type attempt struct {
	spec    Spec
	opt     Options
	cookie  string
	proc    *os.Process
	control *os.File
	report  *os.File
	out     [2]*os.File
	reports chan supervisor.Report
	group   int // the step's process group, 0 before it started
}

func run(ctx context.Context, spec Spec, sink Sink, opt Options) (Result, error) {
	res := Result{ExitCode: -1, Started: time.Now()}
	path, sentence := resolve(spec)
	if sentence != "" {
		res.Err, res.Finished = sentence, time.Now()
		return res, nil
	}
	a := &attempt{spec: spec, opt: opt, cookie: cookieOf(opt.LockFile) + rand.Text(), reports: make(chan supervisor.Report, 2)}
	if err := a.start(path); err != nil {
		return Result{}, fmt.Errorf("start step supervisor: %w", err)
	}
	capt := newCapture(sink, spec.OutputLimit, spec.Secrets)
	capt.report.limit = spec.ReportBytes
	var drains sync.WaitGroup
	for i, s := range capt.streams {
		drains.Go(func() { s.drain(a.out[i]) })
	}
	go a.readReports()
	end, ok := a.follow(ctx)
	a.finish(ok)
	a.closeOutput(&drains)
	res.Finished = time.Now()
	res.fill(end, ok, spec)
	res.Tail, res.OutputBytes, res.Truncated = capt.finish(), capt.total, capt.truncated
	res.Stdout, res.StdoutBytes = capt.report.head, capt.report.total
	return res, nil
}

// cookieOf is how the cookies of all steps under one lock file begin.
func cookieOf(lockFile string) string {
	if lockFile == "" {
		return ""
	}
	sum := sha256.Sum256([]byte(lockFile))
	return hex.EncodeToString(sum[:8]) + "-"
}

// start creates the pipes and the supervisor, and sends it the specification.
func (a *attempt) start(path string) (err error) {
	var theirs []*os.File
	defer func() {
		closeAll(theirs)
		if err != nil {
			closeAll([]*os.File{a.control, a.report, a.out[0], a.out[1]})
		}
	}()
	null, err := os.Open(os.DevNull)
	if err != nil {
		return err
	}
	theirs = append(theirs, null)
	for i := range a.out {
		var w *os.File
		if a.out[i], w, err = os.Pipe(); err != nil {
			return err
		}
		theirs = append(theirs, w)
	}
	r, control, err := os.Pipe()
	if err != nil {
		return err
	}
	a.control, theirs = control, append(theirs, r)
	report, w, err := os.Pipe()
	if err != nil {
		return err
	}
	a.report, theirs = report, append(theirs, w)
	lock, err := sharedLock(a.opt.LockFile)
	if err != nil {
		return err
	}
	theirs = append(theirs, lock)
	a.proc, err = os.StartProcess(self(), []string{"slipway-step"}, &os.ProcAttr{
		Dir:   "/",
		Env:   []string{supervisor.Marker + "=" + supervisor.MarkerValue},
		Files: theirs,
		Sys:   &syscall.SysProcAttr{Setsid: true}, // a Ctrl-C at the terminal is the runner's alone
	})
	if err != nil {
		return err
	}
	return a.sendSpec(path)
}

// sendSpec writes the specification. A supervisor that ends while it is written
// answers by the end of its report pipe, so that is no error here.
func (a *attempt) sendSpec(path string) error {
	b, err := supervisor.Spec{
		Path: path, Argv: a.spec.Argv, Dir: a.spec.Dir,
		Env:     append(a.spec.Env[:len(a.spec.Env):len(a.spec.Env)], cookieName+"="+a.cookie),
		Timeout: int64(a.spec.Timeout), Grace: int64(a.spec.Grace), Watchdog: int64(a.opt.WatchdogLimit),
	}.Encode()
	if err != nil {
		_ = a.proc.Kill()
		_, _ = a.proc.Wait()
		return fmt.Errorf("%w: command and environment are larger than %d bytes", ErrSpec, supervisor.MaxSpecBytes)
	}
	_ = a.control.SetWriteDeadline(time.Now().Add(answerMargin))
	_, _ = a.control.Write(b)
	return nil
}

func closeAll(files []*os.File) {
	for _, f := range files {
		if f != nil {
			_ = f.Close()
		}
	}
}

// readReports passes reports on until the supervisor's end of the pipe is closed.
func (a *attempt) readReports() {
	defer close(a.reports)
	buf := make([]byte, supervisor.ReportBytes)
	for {
		if _, err := io.ReadFull(a.report, buf); err != nil {
			return
		}
		r, err := supervisor.DecodeReport(buf)
		if err != nil {
			return
		}
		a.reports <- r
	}
}

// follow feeds the watchdog and hands on the wish to cancel until the supervisor
// reports the end. ok is false when it ended, or had to be given up, without one.
func (a *attempt) follow(ctx context.Context) (end supervisor.Report, ok bool) {
	tick := time.NewTicker(a.opt.Tick)
	defer tick.Stop()
	stuck := time.NewTimer(0)
	stuck.Stop()
	defer stuck.Stop()
	if a.spec.Timeout > 0 {
		stuck.Reset(a.spec.Timeout + 2*a.spec.Grace + answerMargin)
	}
	cancelled := ctx.Done()
	for {
		select {
		case r, open := <-a.reports:
			if !open {
				return end, false
			}
			if r.Kind != supervisor.Started {
				return r, true
			}
			a.group = int(r.PID)
			if a.opt.OnStart != nil {
				a.opt.OnStart(a.group)
			}
		case <-tick.C:
			if a.opt.Alive() {
				a.say(supervisor.Tick)
			} else {
				_ = a.control.Close() // also during grace: the right to run it is gone
			}
		case <-cancelled:
			cancelled = nil
			a.cancel(ctx)
			stuck.Reset(2*a.spec.Grace + answerMargin)
		case <-stuck.C:
			if a.alive() { // it is at work on something that will not die
				stuck.Reset(answerMargin)
				continue
			}
			return end, false
		}
	}
}

// cancel asks for SIGTERM, grace, SIGKILL, or at once for SIGKILL.
func (a *attempt) cancel(ctx context.Context) {
	if errors.Is(context.Cause(ctx), ErrAbandon) {
		_ = a.control.Close()
		return
	}
	a.say(supervisor.Cancel)
}

// say writes one control byte; the pipe has room unless the supervisor is stuck,
// which is found out otherwise.
func (a *attempt) say(b byte) {
	_ = a.control.SetWriteDeadline(time.Now().Add(a.opt.Tick))
	_, _ = a.control.Write([]byte{b})
}

// alive says whether the supervisor is at work and not stopped.
func (a *attempt) alive() bool {
	return a.proc.Signal(syscall.Signal(0)) == nil && !stopped(a.proc.Pid)
}

// finish reaps the supervisor. Without its report it ends what is left itself: the
// step's own process died with the supervisor (Linux), the rest is found by group
// and cookie.
func (a *attempt) finish(reported bool) {
	_ = a.control.Close()
	if !reported {
		_ = a.proc.Kill()
	}
	_, _ = a.proc.Wait()
	_ = a.report.Close()
	if reported {
		return
	}
	for range a.reports { // the group may have been reported just before
	}
	poll := time.NewTicker(pollLeft)
	defer poll.Stop()
	for killLeft(a.group, a.cookie) {
		<-poll.C
	}
}

// pollLeft is how often processes of a lost supervisor are killed and looked for
// until none is left.
const pollLeft = 20 * time.Millisecond

// closeOutput waits for the end of both streams.
func (a *attempt) closeOutput(drains *sync.WaitGroup) {
	deadline := time.Now().Add(drainLimit)
	for _, f := range a.out {
		_ = f.SetReadDeadline(deadline)
	}
	drains.Wait()
	closeAll(a.out[:])
}

func (r *Result) fill(end supervisor.Report, ok bool, spec Spec) {
	if !ok {
		r.Abandoned, r.Signal = true, signalName(syscall.SIGKILL)
		return
	}
	if end.Kind == supervisor.StartFailed {
		r.Err = startSentence(spec, syscall.Errno(end.Errno))
		return
	}
	r.ExitCode, r.Leftover = int(end.Exit), int(end.Leftover)
	if end.Signal != 0 {
		r.Signal = signalName(syscall.Signal(end.Signal))
	}
	switch end.Stop {
	case supervisor.TimedOut:
		r.TimedOut = true
	case supervisor.Cancelled:
		r.Cancelled = true
	case supervisor.RunnerGone, supervisor.RunnerStill:
		r.Abandoned = true
	case supervisor.NotStopped:
	}
}
