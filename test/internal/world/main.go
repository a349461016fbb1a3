package world

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/slipway-hq/slipway/internal/natsnode"
)

// The environment that makes a test binary a NATS server.
const (
	natsDir    = "SLIPWAY_TEST_NATS_DIR"
	natsListen = "SLIPWAY_TEST_NATS_LISTEN"

	// Of a server in a cluster.
	natsName  = "SLIPWAY_TEST_NATS_NAME"
	natsRoute = "SLIPWAY_TEST_NATS_ROUTE"
	natsPeers = "SLIPWAY_TEST_NATS_PEERS"
)

// Main is the TestMain of a package that uses worlds.
func Main(m *testing.M) {
	if dir := os.Getenv(natsDir); dir != "" {
		if err := serveNATS(natsConfig(dir)); err != nil {
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

// natsConfig is what the environment says of the server in dir.
func natsConfig(dir string) natsnode.Config {
	cfg := natsnode.Config{Dir: dir, Listen: os.Getenv(natsListen)}
	if peers := os.Getenv(natsPeers); peers != "" {
		cfg.ServerName = os.Getenv(natsName)
		cfg.Cluster = &natsnode.Cluster{Name: "world", Listen: os.Getenv(natsRoute), Routes: strings.Split(peers, ",")}
		cfg.MaxFileStore = clusterStore
	}
	return cfg
}

// clusterStore is what each server of a cluster may use: more than the streams
// of topology.DefaultStore reserve, however little the disk has left for three.
const clusterStore = 12 << 30

func serveNATS(cfg natsnode.Config) error {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	node, err := natsnode.Start(cfg)
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
