package natsconn_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"

	"github.com/slipway-hq/slipway/internal/natsconn"
)

// narrow starts a server that permits nothing but answers and "open".
func narrow(t *testing.T) *nats.Conn {
	t.Helper()
	permitted := &server.Permissions{
		Publish:   &server.SubjectPermission{Allow: []string{"open"}},
		Subscribe: &server.SubjectPermission{Allow: []string{"_INBOX.>"}},
	}
	srv, err := server.NewServer(&server.Options{
		Host: "127.0.0.1", Port: -1, NoSigs: true, NoLog: true,
		Users: []*server.User{{Username: "narrow", Password: "narrow", Permissions: permitted}},
	})
	if err != nil {
		t.Fatal(err)
	}
	go srv.Start()
	t.Cleanup(func() { srv.Shutdown(); srv.WaitForShutdown() })
	if !srv.ReadyForConnections(10 * time.Second) {
		t.Fatal("the server does not listen")
	}
	conn, err := nats.Connect(srv.ClientURL(), append(natsconn.Options("x", discard), nats.UserInfo("narrow", "narrow"))...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(conn.Close)
	return conn
}

func TestARefusedRequestIsNoTimeOut(t *testing.T) {
	conn := narrow(t)
	ctx, stop := natsconn.Until(t.Context(), conn, "closed")
	defer stop()
	_, err := conn.RequestWithContext(ctx, "closed", nil)
	if err = natsconn.Why(ctx, err); !errors.Is(err, natsconn.ErrRefused) || errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("%v", err)
	}
	if err := natsconn.Refused(conn); !errors.Is(err, natsconn.ErrRefused) {
		t.Errorf("readiness: %v", err)
	}
}

func TestARefusalEndsOnlyWhatItIsAbout(t *testing.T) {
	conn := narrow(t)
	other, stopOther := natsconn.Until(t.Context(), conn, "open")
	defer stopOther()
	anything, stopAnything := natsconn.Until(t.Context(), conn, "")
	defer stopAnything()
	if err := conn.Publish("closed", nil); err != nil {
		t.Fatal(err)
	}
	<-anything.Done()
	if other.Err() != nil {
		t.Error("another request ended, too")
	}
	if err := natsconn.Why(other, context.DeadlineExceeded); errors.Is(err, natsconn.ErrRefused) {
		t.Errorf("another request was told of it: %v", err)
	}
}

func TestASubscriptionThatIsRefusedSaysSo(t *testing.T) {
	conn := narrow(t)
	sub, err := conn.SubscribeSync("elsewhere")
	if err == nil {
		_, err = sub.NextMsg(5 * time.Second)
	}
	if !errors.Is(err, nats.ErrPermissionViolation) {
		t.Errorf("%v", err)
	}
}

func TestOneThatIsPermittedIsNotRefused(t *testing.T) {
	conn := narrow(t)
	if err := conn.Publish("open", nil); err != nil {
		t.Fatal(err)
	}
	if err := conn.Flush(); err != nil {
		t.Fatal(err)
	}
	if err := natsconn.Refused(conn); err != nil {
		t.Error(err)
	}
}
