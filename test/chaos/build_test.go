package chaos

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// clockVariable names a file whose first eight bytes are the seconds by which a
// process of ours is ahead of the real time.
const clockVariable = "SLIPWAY_CHAOS_CLOCK"

// clockSource goes into the standard library's package time of the builds that
// this harness makes, and of no other: no program that is shipped has it.
const clockSource = `package time

import (
	"sync/atomic"
	"syscall"
	"unsafe"
)

var harnessClock *int64

func init() {
	name, ok := syscall.Getenv("` + clockVariable + `")
	if !ok {
		return
	}
	fd, err := syscall.Open(name, syscall.O_RDONLY|syscall.O_CLOEXEC, 0)
	if err != nil {
		panic("open the harness's clock: " + err.Error())
	}
	page, err := syscall.Mmap(fd, 0, 8, syscall.PROT_READ, syscall.MAP_SHARED)
	if err != nil {
		panic("map the harness's clock: " + err.Error())
	}
	syscall.Close(fd)
	harnessClock = (*int64)(unsafe.Pointer(unsafe.SliceData(page)))
}

func harnessJump() int64 {
	if harnessClock == nil {
		return 0
	}
	return atomic.LoadInt64(harnessClock)
}
`

// built is where the binaries of this harness are.
var built string

func TestMain(m *testing.M) {
	code := 1
	var err error
	if built, err = os.MkdirTemp("", "slipway-chaos-binaries-"); err == nil {
		err = build(built)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
	} else {
		code = m.Run()
	}
	_ = os.RemoveAll(built) // a leftover in the temporary folder hurts nobody
	os.Exit(code)
}

// build builds the product and the harness's NATS server with a wall clock that
// can be moved: package time is replaced by itself with one line more. What
// measures durations goes by another clock, as it does when a real one is set.
func build(dir string) error {
	overlay, err := clockOverlay(dir)
	if err != nil {
		return fmt.Errorf("make a clock that can be moved: %w", err)
	}
	cmd := exec.Command("go", "build", "-overlay", overlay, "-o", dir+string(filepath.Separator),
		"github.com/slipway-hq/slipway/cmd/...", "github.com/slipway-hq/slipway/test/chaos/nats")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("build the binaries: %w: %s", err, out)
	}
	return nil
}

func clockOverlay(dir string) (path string, err error) {
	root, err := exec.Command("go", "env", "GOROOT").Output()
	if err != nil {
		return "", err
	}
	source := filepath.Join(strings.TrimSpace(string(root)), "src", "time")
	text, err := os.ReadFile(filepath.Join(source, "time.go"))
	if err != nil {
		return "", err
	}
	const reads = "\tsec, nsec, mono := runtimeNow()\n"
	if strings.Count(string(text), reads) != 1 {
		return "", fmt.Errorf("%s/time.go reads the clock in another way than this harness knows", source)
	}
	replace := map[string]string{
		filepath.Join(source, "time.go"):          strings.Replace(string(text), reads, reads+"\tsec += harnessJump()\n", 1),
		filepath.Join(source, "harness_clock.go"): clockSource,
	}
	for name, content := range replace {
		mine := filepath.Join(dir, filepath.Base(name))
		if err := os.WriteFile(mine, []byte(content), 0o600); err != nil {
			return "", err
		}
		replace[name] = mine
	}
	data, err := json.Marshal(map[string]any{"Replace": replace})
	if err != nil {
		return "", err
	}
	path = filepath.Join(dir, "overlay.json")
	return path, os.WriteFile(path, data, 0o600)
}
