package natsconn_test

import (
	"errors"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"

	"github.com/slipway-hq/slipway/internal/natsconn"
)

func waitFor(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); !ok(); {
		if time.Now().After(deadline) {
			t.Fatalf("waited in vain for %s", what)
		}
		<-time.After(20 * time.Millisecond)
	}
}

// A key that is changed at the servers first is refused until its owner has the
// new one, and the library gives up after two refusals unless it is told not to.
func TestAConnectionThatIsRefusedForAWhileComesBack(t *testing.T) {
	of := func(port int, password string) *server.Options {
		return &server.Options{Host: "127.0.0.1", Port: port, NoSigs: true, NoLog: true, Users: []*server.User{{Username: "x", Password: password}}}
	}
	srv, err := server.NewServer(of(-1, "old"))
	if err != nil {
		t.Fatal(err)
	}
	go srv.Start()
	t.Cleanup(func() { srv.Shutdown(); srv.WaitForShutdown() })
	if !srv.ReadyForConnections(10 * time.Second) {
		t.Fatal("the server does not listen")
	}
	conn, err := nats.Connect(srv.ClientURL(), append(natsconn.Options("x", discard), nats.UserInfo("x", "old"))...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(conn.Close)
	if state, err := natsconn.Again(conn); state != nil || err != nil {
		t.Errorf("another connection: %v, %v", state, err)
	}
	port := srv.Addr().(*net.TCPAddr).Port
	if err := srv.ReloadOptions(of(port, "new")); err != nil {
		t.Fatal(err)
	}
	refusals := 0
	waitFor(t, "refusals", func() bool {
		if err := natsconn.Reach(conn); errors.Is(err, natsconn.ErrAway) && strings.Contains(err.Error(), "uthorization") {
			refusals++
		}
		return refusals > 20
	})
	if _, err := natsconn.Again(conn); err == nil {
		t.Error("another connection is not refused")
	}
	if err := srv.ReloadOptions(of(port, "old")); err != nil {
		t.Fatal(err)
	}
	waitFor(t, "the connection", func() bool { return natsconn.Reach(conn) == nil })
}
