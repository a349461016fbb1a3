package chaos

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
)

// diskSize is the size of the disk of a NATS server where we may make one.
const diskSize = 512 << 20

// mayMount tells whether NATS servers get disks of their own, which can be
// full: only root may make them.
func mayMount() bool { return os.Geteuid() == 0 }

// disk makes the folder of a NATS server: a small disk in memory where that is
// permitted.
func (c *town) disk(name string) string {
	c.T.Helper()
	dir := filepath.Join(c.Dir, name)
	if err := os.Mkdir(dir, 0o700); err != nil {
		c.T.Fatal(err)
	}
	if mayMount() {
		if err := syscall.Mount("slipway-chaos", dir, "tmpfs", 0, fmt.Sprintf("size=%d,mode=0700", diskSize)); err != nil {
			c.T.Fatalf("make a disk in memory: %v", err)
		}
		c.T.Cleanup(func() {
			if err := syscall.Unmount(dir, syscall.MNT_DETACH); err != nil {
				c.T.Errorf("take the disk in memory away: %v", err)
			}
		})
	}
	return filepath.Join(dir, "data")
}

// fill leaves no room on the disk of a NATS server, or makes room again.
func (c *town) fill(name string, full bool) error {
	dir := filepath.Dir(c.disks[name])
	size := int64(diskSize)
	if full {
		var stat syscall.Statfs_t
		if err := syscall.Statfs(dir, &stat); err != nil {
			return err
		}
		size = (int64(stat.Blocks) - int64(stat.Bfree)) * stat.Bsize
	}
	if out, err := exec.Command("mount", "-o", fmt.Sprintf("remount,size=%d", size), dir).CombinedOutput(); err != nil {
		return fmt.Errorf("change the size of %s: %w: %s", dir, err, out)
	}
	return nil
}

// withUs lets a process end when the harness does, even when that is killed.
func withUs(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
}
