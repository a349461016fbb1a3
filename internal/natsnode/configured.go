package natsnode

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strconv"

	"github.com/nats-io/nats-server/v2/server"

	"github.com/slipway-hq/slipway/internal/lifecycle"
)

// StartConfigured runs a server by a configuration file of NATS's own, which says
// everything: addresses, TLS, users, the cluster. dir is locked meanwhile
// (lifecycle.ErrLocked); logger nil: nobody hears what it has to say.
func StartConfigured(dir, file string, logger *slog.Logger) (*Node, error) {
	if logger == nil {
		logger = slog.New(slog.DiscardHandler)
	}
	lock, err := lifecycle.LockDir(dir)
	if err != nil {
		return nil, err
	}
	node := &Node{lock: lock, log: logger}
	if node.opts, err = server.ProcessConfigFile(file); err != nil {
		err = fmt.Errorf("read the configuration of the NATS server: %w", err)
	} else {
		node.opts.NoSigs, node.opts.DisableJetStreamBanner = true, true
		err = node.start()
	}
	if err != nil {
		return nil, errors.Join(err, lock.Release())
	}
	return node, nil
}

// SharedStore is how many bytes of one disk each of several servers may use: the
// share of what is free, chosen once and kept in dir.
func SharedStore(dir string, servers int) (int64, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return 0, fmt.Errorf("create the folder %s: %w", dir, err)
	}
	path := filepath.Join(dir, storeFile)
	return remembered(path, func() (int64, error) { return chooseLimit(dir, servers) })
}

// FreePorts are ports of this machine's loopback that nobody listens on just now:
// the servers of a cluster have to know each other's before they start.
func FreePorts(n int) ([]int, error) {
	var ports []int
	for range n {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return nil, fmt.Errorf("find a free port: %w", err)
		}
		defer func() { _ = l.Close() }() // it only kept the port apart from the others
		_, text, err := net.SplitHostPort(l.Addr().String())
		if err != nil {
			return nil, fmt.Errorf("find a free port: %w", err)
		}
		port, err := strconv.Atoi(text)
		if err != nil {
			return nil, fmt.Errorf("find a free port: %w", err)
		}
		ports = append(ports, port)
	}
	return ports, nil
}
