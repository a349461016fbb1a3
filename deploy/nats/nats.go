// Package nats holds the configuration of the NATS servers as operators install
// it, so that a cluster on one machine runs with the very same: Local changes
// addresses, folders and what the environment would bring, and nothing else.
// cmd/slipway uses it; the servers themselves are internal/natsnode's.
package nats

import (
	"embed"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

//go:embed nats.conf authorization.conf cluster.conf
var files embed.FS

// Main is the file that a server is started with; it includes the others.
const Main = "nats.conf"

// Server is one of the servers of a cluster on one machine.
type Server struct {
	Name     string
	Client   int    // port for services
	Peers    []int  // ports for each other, of all
	Peer     int    // the index of its own among Peers
	Store    string // folder of its streams
	MaxStore int64  // bytes of its disk
	TLS      string // folder with ca.crt, tls.crt and tls.key, for localhost
	// Keys are the services' public keys, by the variables that stand for them.
	Keys map[string]string
	// Flush: every write before it is acknowledged, as it is installed. False is
	// faster, and a power cut loses what was acknowledged.
	Flush bool
}

// Local writes the configuration of a server into dir and returns the path of the
// file to start it with.
func Local(dir string, s Server) (string, error) {
	changes, err := s.changes()
	if err != nil {
		return "", err
	}
	used := map[string]bool{}
	for _, name := range []string{Main, "authorization.conf", "cluster.conf"} {
		data, err := files.ReadFile(name)
		if err != nil {
			return "", err
		}
		text := string(data)
		for _, c := range changes {
			if strings.Contains(text, c.installed) {
				used[c.installed] = true
				text = strings.ReplaceAll(text, c.installed, c.here)
			}
		}
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			return "", err
		}
	}
	for _, c := range changes {
		if !used[c.installed] {
			return "", fmt.Errorf("deploy/nats says %q nowhere, which a server on this machine replaces", c.installed)
		}
	}
	return filepath.Join(dir, Main), nil
}

// change is what is written here instead of what is installed.
type change struct{ installed, here string }

func (s Server) changes() ([]change, error) {
	if s.Peer < 0 || s.Peer >= len(s.Peers) {
		return nil, fmt.Errorf("server %s is not among its peers", s.Name)
	}
	own := func(port int) string { return "127.0.0.1:" + strconv.Itoa(port) }
	out := []change{
		{`"0.0.0.0:4222"`, strconv.Quote(own(s.Client))},
		{`"0.0.0.0:6222"`, strconv.Quote(own(s.Peers[s.Peer]))},
		{`"0.0.0.0:8222"`, `"127.0.0.1:-1"`}, // any: nobody probes it here
		{`"/data"`, strconv.Quote(s.Store)},
		{"$POD_NAME", strconv.Quote(s.Name)},
		{"$MAX_FILE_STORE", strconv.FormatInt(s.MaxStore, 10)},
	}
	for _, name := range []string{"ca.crt", "tls.crt", "tls.key"} {
		out = append(out, change{`"/etc/nats/tls/` + name + `"`, strconv.Quote(filepath.Join(s.TLS, name))})
	}
	for i, port := range s.Peers {
		out = append(out, change{fmt.Sprintf("slipway-nats-%d.slipway-nats-peers:6222", i), fmt.Sprintf("localhost:%d", port)})
	}
	for name, key := range s.Keys {
		out = append(out, change{"$" + name, strconv.Quote(key)})
	}
	if !s.Flush {
		out = append(out, change{"sync_interval: always", "sync_interval: 2m"})
	}
	// A name that begins with another comes first.
	slices.SortFunc(out, func(a, b change) int { return len(b.installed) - len(a.installed) })
	return out, nil
}
