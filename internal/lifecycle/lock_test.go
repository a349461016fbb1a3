package lifecycle_test

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/slipway-hq/slipway/internal/lifecycle"
)

// holdEnv makes this test binary a process that locks a folder and waits for
// the end of its input.
const holdEnv = "LIFECYCLE_TEST_HOLD"

func TestFolderBelongsToOneHolder(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "new")
	lock, err := lifecycle.LockDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := lifecycle.LockDir(dir); !errors.Is(err, lifecycle.ErrLocked) {
		t.Errorf("second lock: %v", err)
	}
	for range 2 {
		if err := lock.Release(); err != nil {
			t.Error(err)
		}
	}
	again, err := lifecycle.LockDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	_ = again.Release()
}

func TestKilledHolderLosesTheFolder(t *testing.T) {
	dir := t.TempDir()
	cmd, said := child(t, holdEnv+"="+dir)
	if said != "locked" {
		t.Fatalf("the child said %q", said)
	}
	_, err := lifecycle.LockDir(dir)
	if !errors.Is(err, lifecycle.ErrLocked) || !strings.Contains(err.Error(), "process "+strconv.Itoa(cmd.Process.Pid)) {
		t.Errorf("lock while it lives: %v", err)
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait()
	lock, err := lifecycle.LockDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	_ = lock.Release()
}

func TestUnusableFolderIsAnError(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := lifecycle.LockDir(file); err == nil || errors.Is(err, lifecycle.ErrLocked) {
		t.Errorf("%v", err)
	}
}

// child starts this test binary in a role and returns its first line.
func child(t *testing.T, env string) (cmd *exec.Cmd, line string) {
	t.Helper()
	cmd = exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), env)
	if _, err := cmd.StdinPipe(); err != nil { // its end is the child's end
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill() })
	buf := make([]byte, 64)
	n, _ := out.Read(buf)
	return cmd, strings.TrimSpace(string(buf[:n]))
}
