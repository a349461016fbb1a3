package lease_test

import (
	"context"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"google.golang.org/protobuf/proto"

	commandv1 "github.com/slipway-hq/slipway/gen/slipway/command/v1"
	"github.com/slipway-hq/slipway/internal/natsnode/natsnodetest"
	"github.com/slipway-hq/slipway/internal/topology"
)

// leave writes a key whose holder is gone and whose time does not run out: that is
// what a server keeps whose clock was ahead when it stored the key.
func leave(t *testing.T, js jetstream.JetStream, key, holder string) {
	t.Helper()
	if err := topology.EnsureLeases(t.Context(), js, 1); err != nil {
		t.Fatal(err)
	}
	data, err := proto.Marshal(&commandv1.Lease{Holder: holder})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := js.Publish(t.Context(), topology.LeaseSubject(key), data); err != nil {
		t.Fatal(err)
	}
}

func TestAnOfficeIsTakenThoughItsKeyStays(t *testing.T) {
	node, b := world(t)
	leave(t, natsnodetest.Connect(t, node), "office.x", "gone")
	begin, held := time.Now(), make(chan struct{}, 8)
	run(t, func(ctx context.Context) error {
		return b.Office("x", "heir").Run(ctx, func(ctx context.Context) error {
			held <- struct{}{}
			<-ctx.Done()
			return ctx.Err()
		})
	})
	select {
	case <-held:
	case <-time.After(patience):
		t.Fatal("nobody takes the office")
	}
	if took := time.Since(begin); took < quick.OfficeTTL || took > 4*quick.OfficeTTL {
		t.Errorf("taken after %s", took)
	}
}

func TestALeaseLapsesThoughItsKeyStays(t *testing.T) {
	node, b := world(t)
	leave(t, natsnodetest.Connect(t, node), "runner.r1", "r1")
	w := b.Watch()
	begin := time.Now()
	run(t, w.Run)
	eventually(t, "lapsed", func() bool { return w.Lapsed("r1") })
	if took := time.Since(begin); took < quick.LeaseTTL {
		t.Errorf("lapsed after %s", took)
	}
	if live, _ := w.Live(); len(live) > 0 {
		t.Errorf("shown as alive: %v", live)
	}
}
