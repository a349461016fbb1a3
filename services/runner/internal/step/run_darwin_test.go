package step

import "syscall"

// gone says that a process is dead; launchd reaps orphans at once.
func gone(pid int) bool { return syscall.Kill(pid, 0) == syscall.ESRCH }
