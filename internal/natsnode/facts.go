package natsnode

import (
	"time"

	"github.com/nats-io/nats-server/v2/server"
)

// Facts are what the running server really does, for doctor and for tests.
type Facts struct {
	Version      string
	SyncAlways   bool
	SyncInterval time.Duration // how often data is flushed without SyncAlways
	StoreDir     string
	MaxStore     int64 // bytes on disk
	MaxMemory    int64 // bytes in memory
}

// Facts asks the running server, not the configuration. It is zero while the
// server is stopped.
func (n *Node) Facts() Facts {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.srv == nil {
		return Facts{}
	}
	facts := Facts{Version: server.VERSION}
	if js := n.srv.JetStreamConfig(); js != nil {
		facts.SyncAlways, facts.SyncInterval = js.SyncAlways, js.SyncInterval
		facts.StoreDir, facts.MaxStore, facts.MaxMemory = js.StoreDir, js.MaxStore, js.MaxMemory
	}
	return facts
}

// ClientURL is where other processes connect; empty without Config.Listen.
func (n *Node) ClientURL() string {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.srv == nil || n.opts.DontListen {
		return ""
	}
	return n.srv.ClientURL()
}

// ClusterURL is what other servers route to; empty outside a cluster.
func (n *Node) ClusterURL() string {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.srv == nil {
		return ""
	}
	addr := n.srv.ClusterAddr()
	if addr == nil {
		return ""
	}
	return "nats://" + addr.String()
}
