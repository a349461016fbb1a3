// Package step runs one attempt of one step: a command as a supervised process
// tree, its output as masked chunks, its end as a Result.
//
// It is for the runner's executor. It knows nothing of runs, plans, claims or
// JetStream: what to start comes as a Spec, whether the runner may still work is
// asked of Options.Alive, and package workspace prepares folder and environment.
//
// Invariants:
//   - Run returns only when no process of the step is left, so that a slot is never
//     free while a process lives.
//   - Nothing outlives the runner: the supervisor (package supervisor) kills the
//     whole tree when its pipe ends or no tick came for Options.WatchdogLimit.
//   - No secret of the Spec reaches a Sink, a Result or an error.
//   - The memory of an attempt is bounded, however much it writes.
package step

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"
)

// Defaults and limits.
const (
	// DefaultWatchdog is how long a step survives a silent runner; it is the lease's
	// own self-kill time (20 s of the 30 s after which a claim may lapse).
	DefaultWatchdog = 20 * time.Second
	// DefaultTick leaves room for many lost ticks within the watchdog's limit.
	DefaultTick = time.Second
	// DefaultGrace lies between SIGTERM and SIGKILL.
	DefaultGrace = 10 * time.Second
	// DefaultOutputLimit is what one attempt may write to the log.
	DefaultOutputLimit = 16 << 20
	// MaxSecrets and MaxSecretBytes bound the work of masking.
	MaxSecrets     = 256
	MaxSecretBytes = 64 << 10
	// ChunkBytes and ChunkDelay say when output is handed on: whichever comes first.
	ChunkBytes = 32 << 10
	ChunkDelay = 250 * time.Millisecond
	// TailLines and TailBytes bound what a Result keeps for the failure report.
	TailLines = 15
	TailBytes = 2000
)

// ErrAbandon as the cause of Run's context ends the step at once, without SIGTERM
// and grace: the runner has lost its right to work.
var ErrAbandon = errors.New("step: the runner lost its claim")

// ErrSpec says that a Spec cannot be run at all.
var ErrSpec = errors.New("step: invalid specification")

// ErrUnsupported is Run's answer on systems without process groups.
var ErrUnsupported = errors.New("step: steps run on Linux and macOS only")

// Spec is one attempt. Exactly one of Argv and Shell is set.
type Spec struct {
	Argv  []string // program and arguments; looked up in Env's PATH
	Shell string   // a line for /bin/sh -c
	Dir   string   // absolute; must exist
	Env   []string // the whole environment, NAME=value; nothing is inherited

	Timeout     time.Duration // of the step's own process; 0 means none
	Grace       time.Duration // between SIGTERM and SIGKILL; 0 means DefaultGrace
	OutputLimit int64         // bytes of both streams; 0 means DefaultOutputLimit
	Secrets     []string      // values masked as ***, plain and in usual encodings
	// ReportBytes is how much of standard output the Result keeps, from its
	// beginning, whatever the log takes; 0 means none.
	ReportBytes int
}

// Options is what the runner adds to a Spec.
type Options struct {
	// Alive says whether the runner's lease is alive; the watchdog is fed only then.
	// It must not block. Nil means always.
	Alive func() bool
	// WatchdogLimit and Tick are for tests; 0 means the defaults.
	WatchdogLimit, Tick time.Duration
	// LockFile, if set, is held (shared) until the step's last process is gone, even
	// if the runner dies: AwaitPredecessors waits for exactly that.
	LockFile string
	// OnStart, if set, is called once with the process group that was started.
	OnStart func(pid int)
}

// Result is how an attempt ended.
type Result struct {
	ExitCode  int    // -1 if it was not the exit that ended it
	Signal    string // SIGKILL …, if a signal ended it
	TimedOut  bool   // the step's time was over; it was ended
	Cancelled bool   // the context ended; so did the step
	Abandoned bool   // the runner lost its right, or its watchdog was not fed
	Truncated bool   // output over the limit was dropped
	Leftover  int    // processes left behind by the step, killed
	Tail      string // the last lines of both streams, masked
	Err       string // why it could not start: a sentence; empty if it started

	Started, Finished time.Time
	OutputBytes       int64 // masked bytes of both streams, dropped ones included

	// Stdout is the beginning of standard output as the step wrote it, masked;
	// StdoutBytes is how much there was. Neither without Spec.ReportBytes.
	Stdout      []byte
	StdoutBytes int64
}

// OK says that the step succeeded.
func (r Result) OK() bool {
	return r.Err == "" && r.ExitCode == 0 && !r.TimedOut && !r.Cancelled && !r.Abandoned
}

// Notes lists what a reader should know beside the outcome.
func (r Result) Notes() []string {
	var out []string
	if r.Leftover > 0 {
		out = append(out, fmt.Sprintf("%s left running in the background: ended", plural(r.Leftover, "process was", "processes were")))
	}
	if r.Truncated {
		out = append(out, "output over the limit was dropped")
	}
	return out
}

func plural(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}

// Stream is where output came from.
type Stream uint8

// The streams. Note is Slipway's own remark between the lines.
const (
	Stdout Stream = iota + 1
	Stderr
	Note
)

// Chunk is a piece of one stream: valid UTF-8 without NUL, masked, never empty.
type Chunk struct {
	Stream Stream
	At     time.Time // when its first byte arrived
	Data   []byte    // the sink's to keep
	Offset int64     // of its first byte in what the sink got of this stream
}

// Sink takes output. Calls do not overlap. A slow Write slows the step down once
// the pipe is full, so it should hand over and return.
type Sink interface{ Write(Chunk) }

// Run runs one attempt to its end. Ending ctx cancels it; Run still returns only
// when nothing of the step is left. The error is for what no Result can say: an
// invalid Spec, or a supervisor that could not be started.
func Run(ctx context.Context, spec Spec, sink Sink, opt Options) (Result, error) {
	spec, opt = withDefaults(spec, opt)
	if err := validate(spec); err != nil {
		return Result{}, err
	}
	return run(ctx, spec, sink, opt)
}

func withDefaults(s Spec, o Options) (Spec, Options) {
	if s.Shell != "" && len(s.Argv) == 0 {
		s.Argv = []string{"/bin/sh", "-c", s.Shell}
		s.Shell = ""
	}
	setDefault(&s.Grace, DefaultGrace)
	setDefault(&s.OutputLimit, DefaultOutputLimit)
	setDefault(&o.WatchdogLimit, DefaultWatchdog)
	setDefault(&o.Tick, DefaultTick)
	if o.Alive == nil {
		o.Alive = func() bool { return true }
	}
	return s, o
}

func setDefault[T time.Duration | int64](v *T, d T) {
	if *v == 0 {
		*v = d
	}
}

func validate(s Spec) error {
	if len(s.Argv) == 0 || s.Argv[0] == "" || s.Shell != "" {
		return fmt.Errorf("%w: exactly one of argv and shell", ErrSpec)
	}
	if s.Timeout < 0 || s.Grace < 0 || s.OutputLimit < 0 || s.ReportBytes < 0 {
		return fmt.Errorf("%w: negative limit", ErrSpec)
	}
	if len(s.Secrets) > MaxSecrets {
		return fmt.Errorf("%w: more than %d secrets", ErrSpec, MaxSecrets)
	}
	for _, v := range s.Secrets {
		if len(v) > MaxSecretBytes {
			return fmt.Errorf("%w: a secret is larger than %d bytes", ErrSpec, MaxSecretBytes)
		}
	}
	for _, list := range [][]string{s.Argv, s.Env, {s.Dir}} {
		for _, v := range list {
			if strings.ContainsRune(v, 0) {
				return fmt.Errorf("%w: a NUL byte in an argument or the environment", ErrSpec)
			}
		}
	}
	return nil
}
