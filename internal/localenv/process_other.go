//go:build !linux && !darwin

package localenv

import (
	"os"
	"strconv"
	"syscall"
)

func ownGroup() *syscall.SysProcAttr { return nil }

func terminate(pid int) { kill(pid) }

func kill(pid int) {
	if p, err := os.FindProcess(pid); err == nil {
		_ = p.Kill()
	}
}

// startOf knows no start time here; `slipway up` is for Linux and macOS.
func startOf(pid int) string { return strconv.Itoa(pid) }
