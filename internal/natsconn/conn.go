// Package natsconn connects to NATS with the options that Slipway relies on,
// either to a cluster by URL or to a server in the same process. It links no
// server: that is natsnode. Whoever needs a connection gets it from here.
//
// Invariants: nothing is buffered while disconnected (a publish fails at once
// and its outcome stays known to the caller), a connection never gives up
// reconnecting by itself, and what the server refuses to a credential is told as
// a refusal, not as a time-out (Until).
package natsconn

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/nats-io/nats.go"
)

const (
	// dialTimeout bounds one attempt to connect: a cluster that elects answers
	// within a second, so more means a wrong address.
	dialTimeout = 5 * time.Second
	// reconnectWait with its jitter: short, because Slack waits three seconds;
	// jittered, because all services lose the server at the same moment.
	reconnectWait   = 100 * time.Millisecond
	reconnectJitter = 100 * time.Millisecond
	// pingInterval times maxPings is how long a dead peer stays unnoticed: 10 s,
	// half the time after which a runner gives its work up.
	pingInterval = 5 * time.Second
	maxPings     = 2
)

// inboxPrefix begins the subjects that answers come back on.
const inboxPrefix = "_INBOX."

// Settings says where NATS is and who we are. All but URL may be empty.
type Settings struct {
	URL         string // one or more, separated by commas
	Credentials string // file of a user JWT and nkey seed
	NKey        string // file of an nkey seed
	CA          string // file of trusted roots
	Cert, Key   string // files of the client's certificate
	// Service names whose answers these are: they come below _INBOX.<Service>,
	// which no other service's credential may listen to. Empty: below _INBOX.
	Service string
}

// Dial connects to the server at s.URL. name shows in the server's list of
// connections. It fails when no server answers; afterwards the connection
// reconnects for ever.
func Dial(ctx context.Context, name string, s Settings, log *slog.Logger) (*nats.Conn, error) {
	opts, err := s.options()
	if err != nil {
		return nil, err
	}
	type result struct {
		conn *nats.Conn
		err  error
	}
	done := make(chan result, 1)
	go func() {
		conn, err := nats.Connect(s.URL, append(Options(name, log), opts...)...)
		done <- result{conn, err}
	}()
	select {
	case r := <-done:
		if r.err != nil {
			return nil, fmt.Errorf("connect to NATS at %s: %w", redactURL(s.URL), r.err)
		}
		return r.conn, nil
	case <-ctx.Done():
		go func() { // bounded by dialTimeout
			if r := <-done; r.err == nil {
				r.conn.Close()
			}
		}()
		return nil, fmt.Errorf("connect to NATS at %s: %w", redactURL(s.URL), ctx.Err())
	}
}

// Options are the options of every connection of Slipway.
func Options(name string, log *slog.Logger) []nats.Option {
	log = log.With("connection", name)
	return []nats.Option{
		nats.Name(name),
		nats.Timeout(dialTimeout),
		nats.ReconnectBufSize(-1),
		nats.MaxReconnects(-1),
		nats.ReconnectWait(reconnectWait),
		nats.ReconnectJitter(reconnectJitter, reconnectJitter),
		nats.RetryOnFailedConnect(false),
		nats.IgnoreAuthErrorAbort(), // else two refusals in a row are the end
		nats.PingInterval(pingInterval),
		nats.MaxPingsOutstanding(maxPings),
		nats.PermissionErrOnSubscribe(true),
		nats.ErrorHandler(func(c *nats.Conn, sub *nats.Subscription, err error) {
			switch {
			case isUnknown(err):
				ledgerOf(c).failed(err, log)
				return
			case errors.Is(err, nats.ErrPermissionViolation):
				ledgerOf(c).note(err)
			}
			logAsync(log, sub, err)
		}),
		nats.ClosedHandler(func(c *nats.Conn) { ledgers.Delete(c) }),
		nats.DisconnectErrHandler(func(_ *nats.Conn, err error) {
			if err != nil {
				log.Warn("connection to NATS lost", "error", err)
			}
		}),
		nats.ReconnectErrHandler(func(c *nats.Conn, err error) { ledgerOf(c).failed(err, log) }),
		nats.ReconnectHandler(func(c *nats.Conn) {
			ledgerOf(c).back()
			log.Info("connection to NATS is back", "server", c.ConnectedServerName())
		}),
	}
}

// logAsync reports what no caller gets to see. Callers hear of a refused publish
// through Until; for those that do not ask, this line says why.
func logAsync(log *slog.Logger, sub *nats.Subscription, err error) {
	subject := ""
	if sub != nil {
		subject = sub.Subject
	}
	if errors.Is(err, nats.ErrPermissionViolation) {
		log.Error("NATS refused an operation for lack of permission", "subject", subject, "error", err)
		return
	}
	log.Warn("NATS reported an error", "subject", subject, "error", err)
}

func (s Settings) options() ([]nats.Option, error) {
	var opts []nats.Option
	if s.Service != "" {
		opts = append(opts, nats.CustomInboxPrefix(inboxPrefix+s.Service))
	}
	if s.Credentials != "" {
		opts = append(opts, nats.UserCredentials(s.Credentials))
	}
	if s.NKey != "" {
		opt, err := nats.NkeyOptionFromSeed(s.NKey)
		if err != nil {
			return nil, fmt.Errorf("read the nkey for NATS: %w", err)
		}
		opts = append(opts, opt)
	}
	if s.CA != "" {
		opts = append(opts, nats.RootCAs(s.CA))
	}
	if (s.Cert == "") != (s.Key == "") {
		return nil, errors.New("a client certificate for NATS needs both its certificate and its key file")
	}
	if s.Cert != "" {
		opts = append(opts, nats.ClientCert(s.Cert, s.Key))
	}
	return opts, nil
}
