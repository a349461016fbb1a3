// Package supervisor is the small process that stands between a runner and one
// attempt of one step. It is the runner's own binary, executed again: when the
// Marker is in the environment this package takes the process over during its
// initialisation, does its work and exits, so that main never starts.
//
// It runs inside init on purpose. Go initialises packages in the order of their
// import paths as soon as their imports are ready, and this package imports
// nothing but syscall, time, unsafe and sync/atomic, so it comes before net/http
// and everything heavy: a step costs a couple of milliseconds instead of the start
// of the whole program. Do not add imports; TestSupervisorStaysSmall holds this.
//
// It is not for anything else: package step is its only user and owns the other
// end of its pipes; output never passes through here.
//
// Invariants: the specification comes over a pipe, never over arguments or the
// environment (it holds secrets); when the control pipe ends, or no tick came for
// the watchdog's limit of boot time, every process of the step is killed; a
// result is written only when no process of the step is left.
package supervisor

import (
	"errors"
	"unsafe"
)

// Marker is the environment variable that turns a process into a supervisor; it
// takes effect only with the value MarkerValue.
const (
	Marker      = "SLIPWAY_STEP_SUPERVISOR"
	MarkerValue = "v1"
)

// Descriptors the runner hands to the supervisor. 0, 1 and 2 are the step's own.
const (
	ControlFD = 3 // read: the specification, then control bytes; its end means kill
	ReportFD  = 4 // write: reports
	LockFD    = 5 // held, never used: a lock the runner's successor waits for
)

// Control bytes after the specification.
const (
	Tick   = 't' // the runner is alive and its lease is too
	Cancel = 'c' // SIGTERM, grace, SIGKILL
)

// MaxSpecBytes bounds a specification: the kernel accepts about 2 MiB of
// arguments and environment, so anything larger could not start anyway.
const MaxSpecBytes = 4 << 20

const magic = 0x534c5031 // "SLP1"

// ErrWire says that bytes were not a specification or report.
var ErrWire = errors.New("supervisor: malformed message")

// Spec is what the supervisor needs to know. Durations are nanoseconds, zero
// Timeout means none.
type Spec struct {
	Path     string
	Argv     []string
	Env      []string
	Dir      string
	Timeout  int64
	Grace    int64
	Watchdog int64
}

// Kind tells reports apart.
type Kind uint32

// The reports: Started carries the process id; StartFailed the errno; Ended the
// outcome. The last two end the conversation.
const (
	Started Kind = iota + 1
	StartFailed
	Ended
)

// Stop says why the supervisor ended the step, if it did.
type Stop uint32

// The reasons; NotStopped means that the step ended by itself.
const (
	NotStopped  Stop = iota
	TimedOut         // the step's own time was over
	Cancelled        // the runner asked
	RunnerGone       // the control pipe ended
	RunnerStill      // no tick within the watchdog's limit
)

// Report is one message of the supervisor. Which fields count depends on Kind.
type Report struct {
	Kind     Kind
	PID      int32 // process and process group of the step
	Errno    int32
	Exit     int32 // exit code, or -1 after a signal
	Signal   int32
	Stop     Stop
	Leftover uint32 // processes alive when the step's own process had ended
}

// ReportBytes is the fixed size of a report on the pipe, well below PIPE_BUF so
// that each is written and read whole.
const ReportBytes = int(unsafe.Sizeof(Report{}))

// Encode renders a report.
func (r Report) Encode() []byte {
	w := writer{}
	for _, v := range []uint32{uint32(r.Kind), uint32(r.PID), uint32(r.Errno), uint32(r.Exit), uint32(r.Signal), uint32(r.Stop), r.Leftover} {
		w.u32(v)
	}
	return w.b
}

// DecodeReport reads what Encode wrote.
func DecodeReport(b []byte) (Report, error) {
	r := reader{b: b}
	out := Report{Kind: Kind(r.u32()), PID: int32(r.u32()), Errno: int32(r.u32()), Exit: int32(r.u32()), Signal: int32(r.u32()), Stop: Stop(r.u32()), Leftover: r.u32()}
	if r.bad || out.Kind < Started || out.Kind > Ended {
		return Report{}, ErrWire
	}
	return out, nil
}

// Encode renders a specification with its header (magic and length).
func (s Spec) Encode() ([]byte, error) {
	w := writer{}
	w.u32(magic)
	w.u32(0)
	w.str(s.Path)
	w.list(s.Argv)
	w.list(s.Env)
	w.str(s.Dir)
	w.u64(uint64(s.Timeout))
	w.u64(uint64(s.Grace))
	w.u64(uint64(s.Watchdog))
	n := len(w.b) - headerBytes
	if n > MaxSpecBytes {
		return nil, ErrWire
	}
	putU32(w.b[4:], uint32(n))
	return w.b, nil
}

const headerBytes = 8

// specLength reads a header.
func specLength(h []byte) (int, error) {
	r := reader{b: h}
	if r.u32() != magic {
		return 0, ErrWire
	}
	n := r.u32()
	if r.bad || n > MaxSpecBytes {
		return 0, ErrWire
	}
	return int(n), nil
}

// decodeSpec reads the part after the header.
func decodeSpec(b []byte) (Spec, error) {
	r := reader{b: b}
	s := Spec{Path: r.str(), Argv: r.list(), Env: r.list(), Dir: r.str(), Timeout: int64(r.u64()), Grace: int64(r.u64()), Watchdog: int64(r.u64())}
	if r.bad || len(r.b) != 0 || len(s.Argv) == 0 {
		return Spec{}, ErrWire
	}
	return s, nil
}

type writer struct{ b []byte }

func putU32(b []byte, v uint32) {
	b[0], b[1], b[2], b[3] = byte(v), byte(v>>8), byte(v>>16), byte(v>>24)
}

func (w *writer) u32(v uint32) {
	w.b = append(w.b, byte(v), byte(v>>8), byte(v>>16), byte(v>>24))
}

func (w *writer) u64(v uint64) { w.u32(uint32(v)); w.u32(uint32(v >> 32)) }

func (w *writer) str(s string) { w.u32(uint32(len(s))); w.b = append(w.b, s...) }

func (w *writer) list(l []string) {
	w.u32(uint32(len(l)))
	for _, s := range l {
		w.str(s)
	}
}

type reader struct {
	b   []byte
	bad bool
}

func (r *reader) take(n int) []byte {
	if r.bad || n < 0 || n > len(r.b) {
		r.bad = true
		return nil
	}
	out := r.b[:n]
	r.b = r.b[n:]
	return out
}

func (r *reader) u32() uint32 {
	b := r.take(4)
	if b == nil {
		return 0
	}
	return uint32(b[0]) | uint32(b[1])<<8 | uint32(b[2])<<16 | uint32(b[3])<<24
}

func (r *reader) u64() uint64 { lo := uint64(r.u32()); return lo | uint64(r.u32())<<32 }

func (r *reader) str() string { return string(r.take(int(r.u32()))) }

func (r *reader) list() []string {
	n := int(r.u32())
	if n > len(r.b)/4 { // each entry takes at least its length
		r.bad = true
		return nil
	}
	out := make([]string, 0, n)
	for range n {
		out = append(out, r.str())
	}
	return out
}
