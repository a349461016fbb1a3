package host

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"time"
)

const (
	// headerWait keeps a slow or silent client from holding a connection.
	headerWait = 5 * time.Second
	// idleWait closes connections that nobody uses.
	idleWait = 2 * time.Minute
	// stopWait is how long open requests may take once the process drains;
	// watch streams are cut after it and resume elsewhere.
	stopWait = 2 * time.Second
	// maxHeader is enough for every header of Slack's and Connect's.
	maxHeader = 64 << 10
)

// serve answers HTTP/1.1 and HTTP/2 without TLS (which gRPC clients speak) until
// ctx ends.
func (h *Host) serve(ctx context.Context, ready func()) error {
	protocols := &http.Protocols{}
	protocols.SetHTTP1(true)
	protocols.SetUnencryptedHTTP2(true)
	server := &http.Server{
		Handler: h.mux, Protocols: protocols, ReadHeaderTimeout: headerWait, IdleTimeout: idleWait, MaxHeaderBytes: maxHeader,
		ErrorLog: slog.NewLogLogger(h.Logger.Handler(), slog.LevelWarn),
	}
	done := make(chan error, 1)
	go func() { done <- server.Serve(h.listener) }()
	ready()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
	}
	stopping, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopWait)
	defer cancel()
	if err := server.Shutdown(stopping); err != nil {
		err = server.Close()
		<-done //nolint:errcheck // Close made it end
		return err
	}
	if err := <-done; !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}
