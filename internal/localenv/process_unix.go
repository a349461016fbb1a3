//go:build linux || darwin

package localenv

import "syscall"

// terminate and kill reach the whole group; one that is gone is fine.
func terminate(pid int) { _ = syscall.Kill(-pid, syscall.SIGTERM) }
func kill(pid int)      { _ = syscall.Kill(-pid, syscall.SIGKILL) }
