// Package settings holds the process settings that several binaries share, as
// structs for kong, and the rules by which all settings are read: a flag wins
// over the environment, the environment over the default; a secret comes from
// the environment or from a file named by NAME_FILE. Settings of one service
// are declared beside that service. What may be deployed is configfile's.
package settings

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"strconv"

	"github.com/slipway-hq/slipway/internal/natsconn"
	"github.com/slipway-hq/slipway/internal/telemetry"
)

// NATS says which cluster to use.
type NATS struct {
	URL         string `name:"nats-url" env:"NATS_URL" placeholder:"URL" help:"NATS cluster to use; several addresses with commas. Empty: the embedded server, where there is one."`
	Credentials string `name:"nats-creds" env:"NATS_CREDS" type:"path" placeholder:"FILE" help:"Credentials file for NATS (JWT and nkey)."`
	NKey        string `name:"nats-nkey" env:"NATS_NKEY" type:"path" placeholder:"FILE" help:"File with the nkey seed for NATS."`
	CA          string `name:"nats-ca" env:"NATS_CA" type:"path" placeholder:"FILE" help:"Trusted roots for NATS (PEM)."`
	Cert        string `name:"nats-cert" env:"NATS_CERT" type:"path" placeholder:"FILE" help:"Client certificate for NATS (PEM)."`
	Key         string `name:"nats-key" env:"NATS_KEY" type:"path" placeholder:"FILE" help:"Key of the client certificate for NATS (PEM)."`
}

// External tells whether a cluster is given.
func (n NATS) External() bool { return n.URL != "" }

// Settings are for natsconn.Dial.
func (n NATS) Settings() natsconn.Settings {
	return natsconn.Settings{URL: n.URL, Credentials: n.Credentials, NKey: n.NKey, CA: n.CA, Cert: n.Cert, Key: n.Key}
}

// Log says how to log.
type Log struct {
	Format string `name:"log-format" env:"SLIPWAY_LOG_FORMAT" enum:"text,json" default:"text" help:"Format of the log: ${enum}."`
	Level  string `name:"log-level" env:"SLIPWAY_LOG_LEVEL" enum:"debug,info,warn,error" default:"info" help:"Least level that is logged: ${enum}."`
}

// Logger writes to w as l says.
func (l Log) Logger(w io.Writer) (*slog.Logger, error) {
	return telemetry.NewLogger(w, l.Format, l.Level)
}

// ErrAddress: an address to listen on is not host:port.
var ErrAddress = errors.New("not an address to listen on; write host:port, such as 127.0.0.1:8080")

// Address is where to listen: host:port. An empty host means all interfaces,
// port 0 a free port.
type Address string

// UnmarshalText checks the address.
func (a *Address) UnmarshalText(text []byte) error {
	_, port, err := net.SplitHostPort(string(text))
	if err != nil {
		return fmt.Errorf("%q is %w", text, ErrAddress)
	}
	if _, err := strconv.ParseUint(port, 10, 16); err != nil {
		return fmt.Errorf("%q is %w", text, ErrAddress)
	}
	*a = Address(text)
	return nil
}

// Loopback tells whether only this machine can reach the address.
func (a Address) Loopback() bool {
	host, _, err := net.SplitHostPort(string(a))
	if err != nil {
		return false
	}
	if host == "localhost" {
		return true
	}
	ip, err := netip.ParseAddr(host)
	return err == nil && ip.IsLoopback()
}
