package natsconn_test

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/slipway-hq/slipway/internal/natsconn"
)

var discard = slog.New(slog.DiscardHandler)

func TestNobodyThereFailsAtOnceAndHidesThePassword(t *testing.T) {
	free, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := free.Addr().String()
	_ = free.Close()
	_, err = natsconn.Dial(t.Context(), "x", natsconn.Settings{URL: "nats://user:hunter2@" + addr}, discard)
	if err == nil || strings.Contains(err.Error(), "hunter2") || !strings.Contains(err.Error(), addr) {
		t.Errorf("%v", err)
	}
}

func TestDialEndsWithItsContext(t *testing.T) {
	silent, err := net.Listen("tcp", "127.0.0.1:0") // accepts, never greets
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = silent.Close() }()
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	_, err = natsconn.Dial(ctx, "x", natsconn.Settings{URL: "nats://" + silent.Addr().String()}, discard)
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("%v", err)
	}
}

func TestHalfACertificateIsRefused(t *testing.T) {
	if _, err := natsconn.Dial(t.Context(), "x", natsconn.Settings{Cert: "c.pem"}, discard); err == nil {
		t.Error("accepted")
	}
}

// The binaries that use an external cluster must stay small.
func TestNoServerIsLinked(t *testing.T) {
	out, err := exec.Command("go", "list", "-deps", ".", "../topology", "../lease", "../telemetry", "../lifecycle", "../settings").Output()
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(out), "nats-server") {
		t.Error("nats-server is linked")
	}
}
