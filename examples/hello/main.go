// Command hello is a small web service: what Slipway's example builds, tests and
// deploys. Change it, deploy again, and look at the page.
package main

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"
)

const (
	defaultAddr  = "127.0.0.1:8090"
	readTimeout  = 5 * time.Second // of a request's headers
	drainTimeout = 3 * time.Second // below the grace of whoever stops us
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := serve(ctx, os.Getenv("ADDR")); err != nil {
		slog.Error("hello stops", "error", err)
		os.Exit(1)
	}
}

// serve answers requests until ctx ends, then finishes those in flight.
func serve(ctx context.Context, addr string) error {
	if addr == "" {
		addr = defaultAddr
	}
	srv := &http.Server{Addr: addr, Handler: newHandler(os.Getenv("ENVIRONMENT"), time.Now()), ReadHeaderTimeout: readTimeout}
	failed := make(chan error, 1)
	go func() { failed <- srv.ListenAndServe() }()
	slog.Info("hello listens", "addr", addr, "version", version())
	select {
	case err := <-failed:
		return err
	case <-ctx.Done():
	}
	drain, cancel := context.WithTimeout(context.WithoutCancel(ctx), drainTimeout)
	defer cancel()
	if err := srv.Shutdown(drain); err != nil && !errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	return nil
}
