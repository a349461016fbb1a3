//go:build unix

package lifecycle_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"syscall"
	"testing"

	"github.com/slipway-hq/slipway/internal/lifecycle"
)

// signalEnv makes this test binary a process that drains for ever.
const signalEnv = "LIFECYCLE_TEST_SIGNAL"

func TestMain(m *testing.M) {
	switch {
	case os.Getenv(holdEnv) != "":
		lock, err := lifecycle.LockDir(os.Getenv(holdEnv))
		if err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
		fmt.Println("locked")
		_, _ = io.Copy(io.Discard, os.Stdin)
		_ = lock.Release()
	case os.Getenv(signalEnv) != "":
		ctx, stop := lifecycle.Interruptible(context.Background())
		defer stop()
		fmt.Println("up")
		<-ctx.Done()
		// What a test sends from now on kills.
		_, _ = io.Copy(io.Discard, os.Stdin)
	default:
		os.Exit(m.Run())
	}
}

func TestFirstSignalDrains(t *testing.T) {
	ctx, stop := lifecycle.Interruptible(t.Context())
	defer stop()
	if err := syscall.Kill(os.Getpid(), syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	<-ctx.Done()
}

func TestSecondSignalKills(t *testing.T) {
	cmd, said := child(t, signalEnv+"=1")
	if said != "up" {
		t.Fatalf("the child said %q", said)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	for { // the first one drains; some later one meets the default again
		if err := cmd.Process.Signal(syscall.SIGINT); err != nil && !errors.Is(err, os.ErrProcessDone) {
			t.Fatal(err)
		}
		select {
		case err := <-ended:
			var exit *exec.ExitError
			if !errors.As(err, &exit) || exit.Sys().(syscall.WaitStatus).Signal() != syscall.SIGINT {
				t.Errorf("ended with %v", err)
			}
			return
		default:
		}
	}
}
