package lease

import (
	"time"

	"golang.org/x/sys/unix"
)

// bootTime counts the time while the machine was suspended: a runner that
// wakes up has to know that its lease is over.
func bootTime() time.Duration { return clockTime(unix.CLOCK_BOOTTIME) }
