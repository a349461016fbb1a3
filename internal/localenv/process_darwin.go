package localenv

import (
	"os/exec"
	"strconv"
	"strings"
	"syscall"
)

// ownGroup gives a service its own process group. macOS has no parent-death
// signal: what a killed `up` leaves is ended by the next start (its pid file).
func ownGroup() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: true} }

// startOf says when a living process started.
func startOf(pid int) string {
	out, err := exec.Command("ps", "-o", "lstart=", "-p", strconv.Itoa(pid)).Output() //nolint:gosec // a number
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(out))
}
