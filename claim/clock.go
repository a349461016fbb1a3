package claim

import "time"

// reading is a moment on both clocks of a machine.
type reading struct{ mono, wall time.Duration }

var start = time.Now()

func systemClock() reading {
	now := time.Now()
	return reading{mono: now.Sub(start), wall: time.Duration(now.UnixNano())}
}

// since is how much time a holder has to assume to be over: the monotonic clock
// stands still while a machine is suspended, the wall clock may be set back. One
// that is set forward costs the claim, which is safe.
func (r reading) since(from reading) time.Duration {
	return max(r.mono-from.mono, r.wall-from.wall)
}
