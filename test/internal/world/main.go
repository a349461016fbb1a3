package world

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/slipway-hq/slipway/internal/natsnode"
)

// The environment that makes a test binary a NATS server.
const (
	natsDir    = "SLIPWAY_TEST_NATS_DIR"
	natsListen = "SLIPWAY_TEST_NATS_LISTEN"
)

// Main is the TestMain of a package that uses worlds.
func Main(m *testing.M) {
	if dir := os.Getenv(natsDir); dir != "" {
		if err := serveNATS(dir, os.Getenv(natsListen)); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	if err := flag.Set("test.parallel", worlds); err != nil { // before the flags are read: the command line wins
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	build() // before a test changes the environment
	code := m.Run()
	if built.dir != "" {
		_ = os.RemoveAll(built.dir) // a leftover in the temporary folder hurts nobody
	}
	os.Exit(code)
}

// worlds is how many tests go side by side: they wait for processes, leases and
// Slack's pace far more than they work.
const worlds = "5"

// natsReady begins the line in which the server says where it listens.
const natsReady = "nats listens on "

func serveNATS(dir, listen string) error {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	node, err := natsnode.Start(natsnode.Config{Dir: dir, Listen: listen})
	if err != nil {
		return err
	}
	fmt.Println(natsReady + node.ClientURL())
	<-ctx.Done()
	return node.Shutdown(context.Background())
}

// built is where this test binary keeps the product's binaries.
var built struct {
	dir string
	err error
}

func build() {
	if built.dir, built.err = os.MkdirTemp("", "slipway-binaries-"); built.err != nil {
		return
	}
	cmd := exec.Command("go", "build", "-o", built.dir+string(filepath.Separator), "github.com/slipway-hq/slipway/cmd/...")
	if out, err := cmd.CombinedOutput(); err != nil {
		built.err = fmt.Errorf("%w: %s", err, out)
	}
}

// binary is the path of one of the product's commands.
func binary(t testing.TB, name string) string {
	t.Helper()
	if built.err != nil {
		t.Fatalf("build the binaries: %v", built.err)
	}
	return filepath.Join(built.dir, name)
}
