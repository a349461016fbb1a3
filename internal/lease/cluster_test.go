package lease_test

import (
	"testing"
	"time"

	"github.com/slipway-hq/slipway/internal/lease"
	"github.com/slipway-hq/slipway/internal/natsnode/natsnodetest"
)

// Whatever the brokers do: nobody is told dead while it may think itself alive.
func TestClusterNeverLapsesWhoIsAlive(t *testing.T) {
	t.Parallel()
	nodes := natsnodetest.Three(t)
	holder := lease.NewBucket(natsnodetest.Connect(t, nodes[0]), 3, quick, discard)
	watcher := lease.NewBucket(natsnodetest.Connect(t, nodes[1]), 3, quick, discard)
	w := watcher.Watch()
	run(t, w.Run)
	l := holder.Lease("r1", describe, yes)
	run(t, l.Run)
	ready(t, l)
	dead := false // as a runner would: remembered, until nobody calls it lapsed
	safe := func() bool {
		if !l.Alive() {
			dead = true
		}
		if !w.Lapsed("r1") {
			dead = dead && !l.Alive()
			return true
		}
		return dead || !l.Alive()
	}
	for _, node := range nodes {
		if err := node.Stop(); err != nil {
			t.Fatal(err)
		}
		holds(t, "safe without one server", 2*time.Second, safe)
		if err := node.Resume(); err != nil {
			t.Fatal(err)
		}
		holds(t, "safe with all servers", time.Second, safe)
	}
	eventually(t, "all is well again", func() bool {
		live, known := w.Live()
		return l.Alive() && known && len(live) == 1 && !w.Lapsed("r1")
	})
}
