package jetlog_test

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"

	"github.com/slipway-hq/slipway/internal/eventlog"
	"github.com/slipway-hq/slipway/internal/eventlog/eventlogtest"
	"github.com/slipway-hq/slipway/internal/eventlog/jetlog"
)

func TestContractOnOneServer(t *testing.T) {
	eventlogtest.Run(t, func(t *testing.T) eventlog.Log {
		return newLog(t, connect(t, single(t, true).ClientURL()), eventsConfig(1))
	})
}

func TestContractOnACluster(t *testing.T) {
	eventlogtest.Run(t, func(t *testing.T) eventlog.Log {
		servers := cluster(t)
		return newLog(t, connect(t, urlsOf(servers)), eventsConfig(3))
	})
}

// fleet appends through a different process's log every time, so that writers
// meet in the server and not in one committer (P1, P2).
type fleet struct {
	eventlog.Log
	logs []eventlog.Log
	next atomic.Uint64
}

func (f *fleet) Append(ctx context.Context, subject string, expect uint64, data []byte) (uint64, error) {
	return f.logs[f.next.Add(1)%uint64(len(f.logs))].Append(ctx, subject, expect, data)
}

// newFleet connects each of size logs to one of servers.
func newFleet(t *testing.T, servers []*node, size int) *fleet {
	t.Helper()
	f := &fleet{Log: newLog(t, connect(t, servers[0].ClientURL()), eventsConfig(len(servers)))}
	for i := range size {
		f.logs = append(f.logs, openLog(t, connect(t, servers[i%len(servers)].ClientURL())))
	}
	return f
}

const processes = 8

func TestContractBetweenProcessesOnOneServer(t *testing.T) {
	eventlogtest.Run(t, func(t *testing.T) eventlog.Log { return newFleet(t, []*node{single(t, true)}, processes) })
}

func TestContractBetweenProcessesOnACluster(t *testing.T) {
	eventlogtest.Run(t, func(t *testing.T) eventlog.Log { return newFleet(t, cluster(t), processes) })
}

func urlsOf(servers []*node) string {
	var urls []string
	for _, s := range servers {
		urls = append(urls, s.ClientURL())
	}
	return strings.Join(urls, ",")
}

func TestFullStream(t *testing.T) {
	eventlogtest.RunFull(t, func(t *testing.T) eventlog.Log {
		config := eventsConfig(1)
		config.MaxBytes = 100 << 10
		return newLog(t, connect(t, single(t, true).ClientURL()), config)
	})
}

func TestDelayedPublish(t *testing.T) {
	eventlogtest.RunDelay(t, func(t *testing.T) eventlogtest.Delayed {
		s := single(t, true)
		p := newProxy(t, s.Addr().String())
		free := newLog(t, connect(t, s.ClientURL()), eventsConfig(1))
		held := openLog(t, connect(t, p.url()))
		return eventlogtest.Delayed{Held: held, Free: free, Hold: p.hold, Release: p.release}
	})
}

func TestRestartOfOneServer(t *testing.T) {
	eventlogtest.RunRestart(t, func(t *testing.T) (eventlog.Log, func()) {
		s := single(t, true)
		return newLog(t, connect(t, s.ClientURL()), eventsConfig(1)), func() { s.restart(t) }
	})
}

// The server that leads the stream restarts; the client may be connected to it
// or to another.
func TestRestartInACluster(t *testing.T) {
	eventlogtest.RunRestart(t, func(t *testing.T) (eventlog.Log, func()) {
		servers := cluster(t)
		return newLog(t, connect(t, urlsOf(servers)), eventsConfig(3)), func() { leader(t, servers).restart(t) }
	})
}

func leader(t *testing.T, servers []*node) *node {
	t.Helper()
	var found *node
	eventlogtest.Eventually(t, "the stream has a leader", func() bool {
		for _, s := range servers {
			if s.JetStreamIsStreamLeader(server.DEFAULT_GLOBAL_ACCOUNT, stream) {
				found = s
			}
		}
		return found != nil
	})
	return found
}

func TestNewRefusesAConnectionThatBuffers(t *testing.T) {
	nc := connect(t, single(t, false).ClientURL(), nats.ReconnectBufSize(nats.DefaultReconnectBufSize))
	if _, err := jetlog.New(nc, stream); !errors.Is(err, jetlog.ErrBuffering) {
		t.Errorf("got error %v, want %v", err, jetlog.ErrBuffering)
	}
}
