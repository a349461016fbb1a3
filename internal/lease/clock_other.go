//go:build !linux && !darwin

package lease

import "time"

var processStart = time.Now()

// bootTime is the wall clock where nothing better is at hand; runners run on
// Linux and macOS.
func bootTime() time.Duration {
	return time.Now().Round(0).Sub(processStart.Round(0))
}
