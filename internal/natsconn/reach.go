package natsconn

import (
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/nats-io/nats.go"
)

// repeatAfter is how often the log says why there is no connection: it is tried
// several times a second, and each server may have another reason.
const repeatAfter = 10 * time.Second

// ErrAway: there is no connection to NATS.
var ErrAway = errors.New("no connection to NATS")

// Reach tells why conn is not connected, nil when it is: a readiness check whose
// answer is of more use than that of a write which cannot get through.
func Reach(conn *nats.Conn) error {
	if conn.IsConnected() {
		return nil
	}
	l := ledgerOf(conn)
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.away == nil {
		return ErrAway
	}
	return fmt.Errorf("%w: %w", ErrAway, l.away)
}

// isUnknown tells whether the servers do not know the credential, which the
// library does not report as a failed attempt.
func isUnknown(err error) bool {
	return errors.Is(err, nats.ErrAuthorization) || errors.Is(err, nats.ErrAuthExpired) || errors.Is(err, nats.ErrAuthRevoked)
}

// failed keeps why an attempt to reconnect failed, and says so now and then.
func (l *ledger) failed(err error, log *slog.Logger) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.away = err; time.Since(l.told) > repeatAfter {
		log.Warn("still no connection to NATS, tried again", "error", err)
		l.told = time.Now()
	}
}

// back forgets why there was no connection.
func (l *ledger) back() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.away, l.told = nil, time.Time{}
}

// Again connects once more as conn did, and says what TLS the server speaks now;
// nil without TLS. A connection of long ago proves nothing about the next one:
// certificates end, and credentials are changed.
func Again(conn *nats.Conn) (*tls.ConnectionState, error) {
	opts := conn.Opts
	opts.Name += " (doctor)"
	opts.AllowReconnect, opts.RetryOnFailedConnect = false, false
	opts.AsyncErrorCB, opts.ClosedCB, opts.DisconnectedErrCB, opts.ReconnectedCB, opts.ReconnectErrCB = nil, nil, nil, nil, nil
	fresh, err := opts.Connect()
	if err != nil {
		return nil, fmt.Errorf("connect to NATS: %w", err)
	}
	defer fresh.Close()
	state, err := fresh.TLSConnectionState()
	if errors.Is(err, nats.ErrConnectionNotTLS) {
		return nil, nil
	}
	return &state, err
}
