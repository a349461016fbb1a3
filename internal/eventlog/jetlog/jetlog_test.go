package jetlog_test

import (
	"errors"
	"strings"
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
