package memlog

import (
	"time"

	"github.com/slipway-hq/slipway/internal/eventlog"
)

// Attempt is one append on its way into the log.
type Attempt struct {
	Number  int // from 1, over the life of the log
	Subject string
	Expect  uint64
	Data    []byte
}

// Landing says what becomes of an attempt whose caller is told an error.
type Landing int

// What can become of a failed attempt.
const (
	// Never: nothing is stored.
	Never Landing = iota
	// AtOnce: it is stored before the caller is told; only the answer is lost.
	AtOnce
	// Late: it waits for Release, or for Fault.After, and then goes through the
	// compare-and-set like any other: it lands, or is refused when stale.
	Late
)

// Fault is how one attempt fails. The zero Fault lets it through.
type Fault struct {
	Err   error         // what the caller is told; nil: no fault
	Lands Landing       // what really happens
	After time.Duration // for Late: land by itself after this; zero: at Release
}

// Unknown is a fault of unknown outcome that lands as told.
func Unknown(lands Landing) Fault { return Fault{Err: eventlog.ErrUnknown, Lands: lands} }

// SetFault installs a hook that is asked about every append; nil removes it. It
// is called with the log locked and must not call the log.
func (l *Log) SetFault(hook func(Attempt) Fault) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.fault = hook
}

// SetLag installs a hook that says how many of the last records of a subject
// Load and Last do not see yet, as behind a replica that lags (P9). Append
// always compares with the truth. Nil removes it.
func (l *Log) SetLag(hook func(subject string) int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.lag = hook
}

// Release lets everything land that waits for it, in order, and returns how
// many of them were stored.
func (l *Log) Release() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	landed := 0
	for _, attempt := range l.delayed {
		if _, err := l.store(attempt); err == nil {
			landed++
		}
	}
	l.delayed = nil
	return landed
}

// Delayed returns how many attempts wait for Release.
func (l *Log) Delayed() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.delayed)
}

// suffer does with attempt what fault says. The caller holds mu.
func (l *Log) suffer(attempt Attempt, fault Fault) {
	switch {
	case fault.Lands == AtOnce:
		_, _ = l.store(attempt) // a refusal is as unknown to the caller as success
	case fault.Lands == Late && fault.After > 0:
		time.AfterFunc(fault.After, func() { l.land(attempt) })
	case fault.Lands == Late:
		l.delayed = append(l.delayed, attempt)
	}
}

func (l *Log) land(attempt Attempt) {
	l.mu.Lock()
	defer l.mu.Unlock()
	_, _ = l.store(attempt) // stale by now: refused, and nobody is waiting to hear it
}
