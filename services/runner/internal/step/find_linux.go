package step

import (
	"bytes"
	"os"
	"strconv"
	"syscall"
)

// self is our own binary even if the file was replaced or removed meanwhile.
func self() string { return "/proc/self/exe" }

// killLeft kills every process of the group (0: none) or with a cookie that begins
// so, and says whether there was any. Dead ones that nobody reaped do not count. A process that cleared
// its environment and left the group is out of reach here; it takes a supervisor
// killed by hand to get so far.
func killLeft(group int, cookie string) bool {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return group > 0 && syscall.Kill(-group, syscall.SIGKILL) == nil
	}
	want, left := []byte(cookieName+"="+cookie), false
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil {
			continue
		}
		state, pgrp := stat(pid)
		if state == 'Z' || state == 'X' || state == 0 {
			continue
		}
		if (group <= 0 || pgrp != group) && !carries(pid, want) { // kernel threads are in group 0
			continue
		}
		left = syscall.Kill(pid, syscall.SIGKILL) == nil || left
	}
	return left
}

func carries(pid int, cookie []byte) bool {
	env, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/environ")
	return err == nil && bytes.Contains(env, cookie)
}

// stat reads a process's state letter and group; 0 for one that is gone.
func stat(pid int) (state byte, group int) {
	b, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return 0, 0
	}
	fields := bytes.Fields(b[bytes.LastIndexByte(b, ')')+1:]) // the name before may hold anything
	if len(fields) < 3 {
		return 0, 0
	}
	group, err = strconv.Atoi(string(fields[2]))
	if err != nil {
		return 0, 0
	}
	return fields[0][0], group
}

// stopped says whether a process is stopped by a signal.
func stopped(pid int) bool {
	state, _ := stat(pid)
	return state == 'T' || state == 't'
}
