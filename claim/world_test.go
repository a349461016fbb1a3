package claim_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/slipway-hq/slipway/claim"
	"github.com/slipway-hq/slipway/internal/natsnode"
	"github.com/slipway-hq/slipway/internal/natsnode/natsnodetest"
)

const (
	// short is a lease that tests wait for.
	short = 3 * time.Second
	// patience is for what has to come, on a busy machine.
	patience = 30 * time.Second

	// holderOf names the server to a process that only holds a claim.
	holderOf = "CLAIM_TEST_HOLDER_OF"
)

// TestMain is also the main of the process that gets frozen.
func TestMain(m *testing.M) {
	if url := os.Getenv(holderOf); url != "" {
		if err := holder(url); err != nil {
			fmt.Println("error", err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

// holder claims "k", and finishes when a line comes.
func holder(url string) error {
	ctx, cancel := context.WithTimeout(context.Background(), 2*patience)
	defer cancel()
	nc, err := nats.Connect(url, nats.MaxReconnects(-1), nats.ReconnectWait(10*time.Millisecond))
	if err != nil {
		return err
	}
	defer nc.Close()
	js, err := jetstream.New(nc)
	if err != nil {
		return err
	}
	guard, err := claim.Open(ctx, js, claim.Options{Holder: "frozen", Lease: short})
	if err != nil {
		return err
	}
	held, err := guard.Claim(ctx, "k")
	if err != nil {
		return err
	}
	fmt.Println("held", held.Fence())
	bufio.NewScanner(os.Stdin).Scan()
	select {
	case <-held.Lost():
		fmt.Println("lost")
	case <-ctx.Done():
		return errors.New("the claim was not lost")
	}
	if err := held.Done(ctx); !errors.Is(err, claim.ErrFenced) {
		return fmt.Errorf("done: %w", err)
	}
	fmt.Println("fenced")
	return nil
}

func connect(t testing.TB, url string) jetstream.JetStream {
	t.Helper()
	nc, err := nats.Connect(url, nats.MaxReconnects(-1), nats.ReconnectWait(10*time.Millisecond), nats.ReconnectJitter(0, 0))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	return js
}

// listening is a server that has a socket, for proxies and processes.
func listening(t testing.TB) *natsnode.Node {
	t.Helper()
	return natsnodetest.Start(t, natsnode.Config{Dir: t.TempDir(), NoSync: true, MaxFileStore: 1 << 30, Listen: "127.0.0.1:0"})
}

func open(t testing.TB, js jetstream.JetStream, opts claim.Options) *claim.Guard {
	t.Helper()
	guard, err := claim.Open(t.Context(), js, opts)
	if err != nil {
		t.Fatal(err)
	}
	return guard
}

func mustClaim(t testing.TB, g *claim.Guard, key string) *claim.Held {
	t.Helper()
	held, err := g.Claim(t.Context(), key)
	if err != nil {
		t.Fatal(err)
	}
	return held
}

// takeOver claims until the key is free.
func takeOver(t testing.TB, g *claim.Guard, key string) *claim.Held {
	t.Helper()
	for begin := time.Now(); ; <-time.After(10 * time.Millisecond) {
		held, err := g.Claim(t.Context(), key)
		if err == nil {
			return held
		}
		if !errors.Is(err, claim.ErrTaken) || time.Since(begin) > patience {
			t.Fatalf("after %s: %v", time.Since(begin), err)
		}
	}
}

func within(t testing.TB, what string, done <-chan struct{}) {
	t.Helper()
	select {
	case <-done:
	case <-time.After(patience):
		t.Fatalf("not within %s: %s", patience, what)
	}
}

func lost(held *claim.Held) bool {
	select {
	case <-held.Lost():
		return true
	default:
		return false
	}
}
