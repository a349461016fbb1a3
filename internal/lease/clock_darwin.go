package lease

import (
	"time"

	"golang.org/x/sys/unix"
)

// bootTime counts the time while the machine was asleep: on macOS that is what
// CLOCK_MONOTONIC does.
func bootTime() time.Duration { return clockTime(unix.CLOCK_MONOTONIC) }
