//go:build linux || darwin

package lease

import (
	"math"
	"time"

	"golang.org/x/sys/unix"
)

// clockTime reads a clock of the system. A clock that cannot be read is at its
// end, so that nothing counts as alive by it.
func clockTime(clock int32) time.Duration {
	var ts unix.Timespec
	if err := unix.ClockGettime(clock, &ts); err != nil {
		return math.MaxInt64
	}
	return time.Duration(ts.Nano())
}
