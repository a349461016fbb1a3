//go:build linux || darwin

package step

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
)

// resolve finds the program of a Spec the way its own shell would: by the PATH of
// its environment, and relative to its folder. A sentence says what is wrong.
func resolve(s Spec) (path, sentence string) {
	if s.Dir != "" {
		if info, err := os.Stat(s.Dir); err != nil || !info.IsDir() {
			return "", fmt.Sprintf("the working folder %q does not exist", s.Dir)
		}
	}
	name := s.Argv[0]
	if strings.ContainsRune(name, '/') {
		if !filepath.IsAbs(name) {
			name = filepath.Join(s.Dir, name)
		}
		return name, checkProgram(name, s.Argv[0])
	}
	var found string
	for _, dir := range filepath.SplitList(lookup(s.Env, "PATH")) {
		if !filepath.IsAbs(dir) { // the current folder is not a place to find programs in
			continue
		}
		candidate := filepath.Join(dir, name)
		if sentence = checkProgram(candidate, name); sentence == "" {
			return candidate, ""
		}
		if _, err := os.Stat(candidate); err == nil {
			found = sentence
		}
	}
	if found != "" {
		return "", found
	}
	return "", fmt.Sprintf("the command %q does not exist on the step's PATH", name)
}

func checkProgram(path, name string) string {
	info, err := os.Stat(path)
	switch {
	case err != nil:
		return fmt.Sprintf("the command %q does not exist", name)
	case info.IsDir():
		return fmt.Sprintf("the command %q is a folder", name)
	case info.Mode()&0o111 == 0:
		return fmt.Sprintf("the command %q is not executable", name)
	}
	return ""
}

func lookup(env []string, name string) string {
	value := ""
	for _, e := range env { // the last one counts, as in exec
		if v, ok := strings.CutPrefix(e, name+"="); ok {
			value = v
		}
	}
	return value
}

// startSentence words an error of exec.
func startSentence(s Spec, e syscall.Errno) string {
	name := s.Argv[0]
	switch e {
	case syscall.ENOENT:
		return fmt.Sprintf("the command %q, or the interpreter it names, does not exist", name)
	case syscall.EACCES:
		return fmt.Sprintf("the command %q may not be executed", name)
	case syscall.ENOEXEC:
		return fmt.Sprintf("the command %q is not a program for this machine (a script needs a #! line)", name)
	case syscall.E2BIG:
		return fmt.Sprintf("the command %q could not start: arguments and environment are too large", name)
	case syscall.EAGAIN, syscall.ENOMEM:
		return fmt.Sprintf("the command %q could not start: the machine has no room for another process (%v)", name, e)
	}
	return fmt.Sprintf("the command %q could not start: %v", name, e)
}

var signalNames = map[syscall.Signal]string{
	syscall.SIGABRT: "SIGABRT", syscall.SIGALRM: "SIGALRM", syscall.SIGBUS: "SIGBUS", syscall.SIGFPE: "SIGFPE",
	syscall.SIGHUP: "SIGHUP", syscall.SIGILL: "SIGILL", syscall.SIGINT: "SIGINT", syscall.SIGKILL: "SIGKILL",
	syscall.SIGPIPE: "SIGPIPE", syscall.SIGQUIT: "SIGQUIT", syscall.SIGSEGV: "SIGSEGV", syscall.SIGSYS: "SIGSYS",
	syscall.SIGTERM: "SIGTERM", syscall.SIGTRAP: "SIGTRAP", syscall.SIGUSR1: "SIGUSR1", syscall.SIGUSR2: "SIGUSR2",
	syscall.SIGXCPU: "SIGXCPU", syscall.SIGXFSZ: "SIGXFSZ",
}

func signalName(s syscall.Signal) string {
	if n, ok := signalNames[s]; ok {
		return n
	}
	return fmt.Sprintf("signal %d", int(s))
}
