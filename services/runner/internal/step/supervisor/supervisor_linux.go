package supervisor

import (
	"syscall"
	"unsafe"
)

const (
	prSetChildSubreaper = 36
	clockBoottime       = 7
	sigIgn              = 1
	// adopts says that orphans of the step become our children.
	adopts = true
	// procChunk is how much of /proc is listed at a time.
	procChunk = 32 << 10
)

// closeOnExecFrom keeps descriptors that the runner itself was started with from
// the step. Kernels before 5.11 do not know the call; the step then gets them.
func closeOnExecFrom(fd int) {
	const (
		closeRange = 436 // the same number on every architecture
		cloexec    = 1 << 2
	)
	_, _, _ = syscall.RawSyscall(closeRange, uintptr(fd), uintptr(^uint32(0)), cloexec)
}

// adoptOrphans makes every descendant whose parent dies a child of ours, so that
// wait says "none" exactly when nothing of the step is left, even of daemons.
func adoptOrphans() {
	_, _, _ = syscall.RawSyscall(syscall.SYS_PRCTL, prSetChildSubreaper, 1, 0)
}

// childAttr gives the step a session of its own, and its death with ours.
func childAttr() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setsid: true, Pdeathsig: syscall.SIGKILL}
}

// ignoreSignals keeps a SIGTERM for a whole control group from ending the
// supervisor before its step: stopping is the runner's decision. It must come
// after the step was started, which would inherit it.
func ignoreSignals() {
	act := [8]uintptr{sigIgn} // struct sigaction: only the handler is not zero
	for _, s := range []syscall.Signal{syscall.SIGTERM, syscall.SIGINT, syscall.SIGHUP, syscall.SIGPIPE} {
		_, _, _ = syscall.RawSyscall6(syscall.SYS_RT_SIGACTION, uintptr(s), uintptr(unsafe.Pointer(&act)), 0, 8, 0, 0)
	}
}

// bootTime counts nanoseconds, also while the machine sleeps.
func bootTime() int64 {
	var ts syscall.Timespec
	_, _, _ = syscall.RawSyscall(syscall.SYS_CLOCK_GETTIME, clockBoottime, uintptr(unsafe.Pointer(&ts)), 0)
	return ts.Nano()
}

// groupGone says that nothing of the step is left: we have no child any more, and
// a descendant always has a living ancestor among our children.
func groupGone(int) bool {
	var info [16]uint64 // siginfo_t
	const (
		pAll    = 0
		wExited = 4
		wNoHang = 1
		wNoWait = 0x01000000
	)
	_, _, e := syscall.RawSyscall6(syscall.SYS_WAITID, pAll, 0, uintptr(unsafe.Pointer(&info)), wExited|wNoHang|wNoWait, 0, 0)
	return e == syscall.ECHILD
}

// process is one line of /proc/PID/stat.
type process struct {
	pid, parent, group int
	dead               bool
}

// countLive counts the step's living processes.
func countLive(pid int) int { return len(strays(pid, true)) }

// strays lists living descendants: those outside the step's group, or all of them.
func strays(group int, all bool) []int {
	procs := readProcs()
	ours := map[int]bool{syscall.Getpid(): true}
	for grown := true; grown; {
		grown = false
		for _, p := range procs {
			if ours[p.parent] && !ours[p.pid] {
				ours[p.pid], grown = true, true
			}
		}
	}
	var out []int
	for _, p := range procs {
		if ours[p.pid] && !p.dead && p.pid != syscall.Getpid() && (all || p.group != group) {
			out = append(out, p.pid)
		}
	}
	return out
}

func readProcs() []process {
	fd, err := syscall.Open("/proc", syscall.O_RDONLY|syscall.O_DIRECTORY|syscall.O_CLOEXEC, 0)
	if err != nil {
		return nil
	}
	defer func() { _ = syscall.Close(fd) }()
	var out []process
	buf := make([]byte, procChunk)
	for {
		n, err := syscall.ReadDirent(fd, buf)
		if err != nil || n <= 0 {
			return out
		}
		_, _, names := syscall.ParseDirent(buf[:n], -1, nil)
		for _, name := range names {
			if pid, ok := number(name); ok {
				if p, ok := readProc(pid, name); ok {
					out = append(out, p)
				}
			}
		}
	}
}

func readProc(pid int, name string) (process, bool) {
	fd, err := syscall.Open("/proc/"+name+"/stat", syscall.O_RDONLY|syscall.O_CLOEXEC, 0)
	if err != nil {
		return process{}, false
	}
	defer func() { _ = syscall.Close(fd) }()
	var buf [512]byte
	n, err := syscall.Read(fd, buf[:])
	if err != nil {
		return process{}, false
	}
	return parseStat(pid, string(buf[:n]))
}

// parseStat reads "PID (name) STATE PARENT GROUP …"; the name may hold anything,
// parentheses and spaces too, so fields count from the last parenthesis.
func parseStat(pid int, s string) (process, bool) {
	end := -1
	for i := range len(s) {
		if s[i] == ')' {
			end = i
		}
	}
	if end < 0 || end+4 > len(s) {
		return process{}, false
	}
	state, rest := s[end+2], s[end+4:]
	parent, rest, ok1 := field(rest)
	group, _, ok2 := field(rest)
	return process{pid: pid, parent: parent, group: group, dead: state == 'Z' || state == 'X'}, ok1 && ok2
}

func field(s string) (n int, rest string, ok bool) {
	for i := range len(s) {
		if s[i] == ' ' {
			n, ok = number(s[:i])
			return n, s[i+1:], ok
		}
	}
	return 0, "", false
}

// number reads a decimal; strconv would be one import more.
func number(s string) (int, bool) {
	n := 0
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return 0, false
		}
		n = n*10 + int(s[i]-'0')
	}
	return n, s != ""
}
