//go:build linux || darwin

package step

import (
	"context"
	"errors"
	"fmt"
	"os"
	"syscall"
	"time"
)

// lockPoll is how often a successor looks whether the last step of its predecessor
// is gone; supervisors end within milliseconds, so it is short.
const lockPoll = 5 * time.Millisecond

// sharedLock opens the lock for one supervisor, which inherits and so holds it.
// Without a path the null device stands in, to keep the descriptors' numbers.
func sharedLock(path string) (*os.File, error) {
	if path == "" {
		return os.Open(os.DevNull)
	}
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open step lock: %w", err)
	}
	if err := flock(f, syscall.LOCK_SH|syscall.LOCK_NB); err != nil {
		_ = f.Close()
		return nil, fmt.Errorf("lock %s: %w", path, err)
	}
	return f, nil
}

// AwaitPredecessors returns when no step that was started with this LockFile (the
// same absolute path) by any runner lives any more: supervisors whose runner died
// are waited for, and what a supervisor that was killed too has left behind is
// killed here. A restarted runner calls it before its first step, and never while
// it runs one.
func AwaitPredecessors(ctx context.Context, lockFile string) error {
	f, err := os.OpenFile(lockFile, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return fmt.Errorf("open step lock: %w", err)
	}
	defer func() { _ = f.Close() }()
	poll := time.NewTicker(lockPoll)
	defer poll.Stop()
	for {
		err := flock(f, syscall.LOCK_EX|syscall.LOCK_NB)
		if err == nil && !killLeft(0, cookieOf(lockFile)) {
			return nil
		}
		if err != nil && !errors.Is(err, syscall.EWOULDBLOCK) {
			return fmt.Errorf("lock %s: %w", lockFile, err)
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("wait for the steps of an earlier runner: %w", context.Cause(ctx))
		case <-poll.C:
		}
	}
}

func flock(f *os.File, how int) error {
	for {
		err := syscall.Flock(int(f.Fd()), how)
		if !errors.Is(err, syscall.EINTR) {
			return err
		}
	}
}
