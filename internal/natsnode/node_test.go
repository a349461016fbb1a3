package natsnode_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/slipway-hq/slipway/internal/lifecycle"
	"github.com/slipway-hq/slipway/internal/natsconn"
	"github.com/slipway-hq/slipway/internal/natsnode"
	"github.com/slipway-hq/slipway/internal/natsnode/natsnodetest"
)

var discard = slog.New(slog.DiscardHandler)

func start(t *testing.T, cfg natsnode.Config) *natsnode.Node {
	t.Helper()
	if cfg.Dir == "" {
		cfg.Dir = t.TempDir()
	}
	node, err := natsnode.Start(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { stop(t, node) })
	return node
}

func stop(t *testing.T, node *natsnode.Node) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	if err := node.Shutdown(ctx); err != nil {
		t.Error(err)
	}
}

func connect(t *testing.T, node *natsnode.Node) (*nats.Conn, jetstream.JetStream) {
	t.Helper()
	nc, err := node.Connect("test")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	return nc, js
}

func TestEveryWriteIsSyncedByDefault(t *testing.T) {
	if facts := start(t, natsnode.Config{}).Facts(); !facts.SyncAlways {
		t.Errorf("the running server does not sync every write: %+v", facts)
	}
	if facts := start(t, natsnode.Config{NoSync: true}).Facts(); facts.SyncAlways {
		t.Error("NoSync had no effect")
	}
}

func TestAcknowledgedDataSurvivesRestartAndMemoryStreamsDoNot(t *testing.T) {
	node := start(t, natsnode.Config{})
	nc, js := connect(t, node)
	ctx := t.Context()
	for name, storage := range map[string]jetstream.StorageType{"DISK": jetstream.FileStorage, "MEMORY": jetstream.MemoryStorage} {
		if _, err := js.CreateStream(ctx, jetstream.StreamConfig{Name: name, Subjects: []string{name + ".>"}, Storage: storage}); err != nil {
			t.Fatal(err)
		}
		if _, err := js.Publish(ctx, name+".x", []byte("kept?")); err != nil {
			t.Fatal(err)
		}
	}
	back := make(chan struct{}, 1)
	nc.SetReconnectHandler(func(*nats.Conn) { back <- struct{}{} })
	if err := node.Restart(); err != nil {
		t.Fatal(err)
	}
	select {
	case <-back:
	case <-time.After(5 * time.Second):
		t.Fatal("the connection did not come back")
	}
	stream, err := js.Stream(ctx, "DISK")
	if err != nil {
		t.Fatal(err)
	}
	if msg, err := stream.GetMsg(ctx, 1); err != nil || string(msg.Data) != "kept?" {
		t.Errorf("after the restart: %v, %v", msg, err)
	}
	if _, err := js.Stream(ctx, "MEMORY"); !errors.Is(err, jetstream.ErrStreamNotFound) {
		t.Errorf("memory stream after the restart: %v", err)
	}
}

func TestPublishWhileDisconnectedFailsAtOnce(t *testing.T) {
	node := start(t, natsnode.Config{})
	nc, _ := connect(t, node)
	lost := make(chan struct{}, 1)
	nc.SetDisconnectErrHandler(func(*nats.Conn, error) { lost <- struct{}{} })
	if err := node.Stop(); err != nil {
		t.Fatal(err)
	}
	<-lost
	if err := nc.Publish("x", nil); !errors.Is(err, nats.ErrReconnectBufExceeded) {
		t.Errorf("publish while disconnected: %v", err)
	}
	if err := node.Resume(); err != nil {
		t.Fatal(err)
	}
}

func TestSecondServerOnTheSameDataIsRefused(t *testing.T) {
	dir := t.TempDir()
	start(t, natsnode.Config{Dir: dir})
	_, err := natsnode.Start(natsnode.Config{Dir: dir})
	if !errors.Is(err, lifecycle.ErrLocked) || !strings.Contains(err.Error(), fmt.Sprintf("process %d", os.Getpid())) {
		t.Errorf("second start: %v", err)
	}
}

func TestShutdownFreesTheData(t *testing.T) {
	dir := t.TempDir()
	node, err := natsnode.Start(natsnode.Config{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	stop(t, node)
	start(t, natsnode.Config{Dir: dir})
}

func TestTakenPortIsSaidClearly(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = taken.Close() }()
	begin := time.Now()
	_, err = natsnode.Start(natsnode.Config{Dir: t.TempDir(), Listen: taken.Addr().String()})
	if err == nil || !strings.Contains(err.Error(), "address already in use") {
		t.Errorf("start on a taken port: %v", err)
	}
	if took := time.Since(begin); took > 10*time.Second {
		t.Errorf("refused only after %s", took)
	}
}

func TestOtherProcessesConnectByURL(t *testing.T) {
	node := start(t, natsnode.Config{Listen: "127.0.0.1:0"})
	nc, err := natsconn.Dial(t.Context(), "other", natsconn.Settings{URL: node.ClientURL()}, discard)
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	if nc.MaxPayload() != 1<<20 {
		t.Errorf("payload limit %d", nc.MaxPayload())
	}
	if embedded := start(t, natsnode.Config{}); embedded.ClientURL() != "" {
		t.Error("a server without Listen has a URL")
	}
}

func TestStoreLimitStaysAsChosen(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "store-limit"), []byte("300000000\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if got := start(t, natsnode.Config{Dir: dir}).Facts().MaxStore; got != 300000000 {
		t.Errorf("limit %d, not the one remembered", got)
	}
	if got := start(t, natsnode.Config{MaxFileStore: 400000000}).Facts().MaxStore; got != 400000000 {
		t.Errorf("limit %d, not the one asked for", got)
	}
}

func TestStartIsQuick(t *testing.T) {
	begin := time.Now()
	start(t, natsnode.Config{})
	if took := time.Since(begin); took > time.Second { // measured: 7-16 ms
		t.Errorf("took %s", took)
	} else {
		t.Logf("took %s", took)
	}
}

func TestThreeServersFormACluster(t *testing.T) {
	nodes := natsnodetest.Three(t)
	js := natsnodetest.Connect(t, nodes[2])
	if _, err := js.CreateStream(t.Context(), jetstream.StreamConfig{Name: "S", Subjects: []string{"s"}, Replicas: 3}); err != nil {
		t.Fatal(err)
	}
	if _, err := js.Publish(t.Context(), "s", nil); err != nil {
		t.Error(err)
	}
}
