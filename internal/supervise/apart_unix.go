//go:build unix

package supervise

import (
	"os/exec"
	"syscall"
)

// apart gives the process a group of its own: Ctrl-C is for the parent, which
// stops its children in their order.
func apart(cmd *exec.Cmd) { cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} }
