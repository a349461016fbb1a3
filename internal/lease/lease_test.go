package lease_test

import (
	"context"
	"errors"
	"log/slog"
	"sync/atomic"
	"testing"
	"time"

	commandv1 "github.com/slipway-hq/slipway/gen/slipway/command/v1"
	"github.com/slipway-hq/slipway/internal/lease"
	"github.com/slipway-hq/slipway/internal/natsnode"
	"github.com/slipway-hq/slipway/internal/natsnode/natsnodetest"
	"github.com/slipway-hq/slipway/internal/topology"
)

// quick is as quick as the server's TTLs allow, in the proportions of life.
var quick = lease.Timing{
	RenewEvery: 200 * time.Millisecond, SelfKillAfter: 1400 * time.Millisecond, LeaseTTL: 2 * time.Second,
	OfficeTTL: time.Second, CheckEvery: 50 * time.Millisecond,
}

const patience = 10 * time.Second

var discard = slog.New(slog.DiscardHandler)

func yes() bool { return true }

func describe() *commandv1.Lease { return &commandv1.Lease{Pools: []string{"default"}, Capacity: 4} }

func world(t *testing.T) (*natsnode.Node, *lease.Bucket) {
	t.Helper()
	t.Parallel()
	node := natsnodetest.One(t)
	return node, bucket(t, node)
}

// bucket is the bucket through a connection of its own.
func bucket(t *testing.T, node *natsnode.Node) *lease.Bucket {
	t.Helper()
	return lease.NewBucket(natsnodetest.Connect(t, node), 1, quick, discard)
}

// run runs fn until the test or stop ends it, and returns what it returns.
func run(t *testing.T, fn func(context.Context) error) (stop func() error) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- fn(ctx) }()
	result, stopped := error(nil), false
	stop = func() error {
		cancel()
		if !stopped {
			result, stopped = <-done, true
		}
		return result
	}
	t.Cleanup(func() { _ = stop() })
	return stop
}

func eventually(t *testing.T, what string, cond func() bool) {
	t.Helper()
	for begin := time.Now(); !cond(); <-time.After(2 * time.Millisecond) {
		if time.Since(begin) > patience {
			t.Fatalf("not within %s: %s", patience, what)
		}
	}
}

// holds fails when cond becomes false within d.
func holds(t *testing.T, what string, d time.Duration, cond func() bool) {
	t.Helper()
	for begin := time.Now(); time.Since(begin) < d; <-time.After(2 * time.Millisecond) {
		if !cond() {
			t.Fatalf("no longer after %s: %s", time.Since(begin), what)
		}
	}
}

func ready(t *testing.T, l *lease.Lease) {
	t.Helper()
	select {
	case <-l.Ready():
	case <-time.After(patience):
		t.Fatal("the lease was never stored")
	}
}

func TestLeaseIsRenewedLongerThanItsTTL(t *testing.T) {
	_, b := world(t)
	l := b.Lease("r1.a", describe, yes)
	if l.Alive() {
		t.Error("alive before the first renewal")
	}
	run(t, l.Run)
	ready(t, l)
	holds(t, "alive and listed", 2*quick.LeaseTTL, func() bool {
		leases, err := b.List(t.Context())
		return l.Alive() && err == nil && len(leases) == 1 && leases[0].GetHolder() == "r1.a" && leases[0].GetCapacity() == 4
	})
}

func TestLeaseVanishesByItself(t *testing.T) {
	_, b := world(t)
	l := b.Lease("r1", describe, yes)
	stop := run(t, l.Run)
	ready(t, l)
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the key vanishes", func() bool {
		leases, err := b.List(t.Context())
		return err == nil && len(leases) == 0
	})
	if l.Alive() {
		t.Error("alive although its key is gone")
	}
}

func TestWithoutServerTheHolderGivesUpBeforeItsLeaseLapses(t *testing.T) {
	node, b := world(t)
	l := b.Lease("r1", describe, yes)
	run(t, l.Run)
	ready(t, l)
	if err := node.Stop(); err != nil {
		t.Fatal(err)
	}
	begin := time.Now()
	eventually(t, "no longer alive", func() bool { return !l.Alive() })
	if took := time.Since(begin); took > quick.LeaseTTL {
		t.Errorf("gave up only after %s", took)
	}
	if err := node.Resume(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "alive again", l.Alive)
}

func TestMissingLeaseIsTakenAgainAfterARestartOfTheServer(t *testing.T) {
	node, b := world(t)
	l := b.Lease("r1", describe, yes)
	run(t, l.Run)
	ready(t, l)
	if err := node.Restart(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "listed again", func() bool {
		leases, err := b.List(t.Context())
		return err == nil && len(leases) == 1
	})
	holds(t, "alive", quick.LeaseTTL, l.Alive)
}

func TestMissingLeaseIsLostWhenTheFenceIsNoLongerCurrent(t *testing.T) {
	node, b := world(t)
	l := b.Lease("r1", describe, func() bool { return false })
	done := make(chan error, 1)
	run(t, func(ctx context.Context) error { done <- l.Run(ctx); return nil })
	ready(t, l)
	if err := node.Restart(); err != nil {
		t.Fatal(err)
	}
	select {
	case err := <-done:
		if !errors.Is(err, lease.ErrLost) {
			t.Errorf("Run returned %v", err)
		}
	case <-time.After(patience):
		t.Error("the lease was not lost")
	}
}

func TestWatchTellsALapseOnlyAfterAFullTTL(t *testing.T) {
	node, b := world(t)
	w := bucket(t, node).Watch()
	run(t, w.Run)
	l := b.Lease("r1", describe, yes)
	stop := run(t, l.Run)
	eventually(t, "the watch sees the lease", func() bool { live, _ := w.Live(); return len(live) == 1 })
	holds(t, "not lapsed", 2*quick.LeaseTTL, func() bool { return !w.Lapsed("r1") })
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	begin := time.Now()
	eventually(t, "lapsed", func() bool { return w.Lapsed("r1") })
	if l.Alive() {
		t.Error("lapsed while its holder thinks itself alive")
	}
	if took := time.Since(begin); took < quick.LeaseTTL-quick.RenewEvery || took > 3*quick.LeaseTTL {
		t.Errorf("lapsed after %s", took)
	}
	holds(t, "still lapsed", quick.LeaseTTL, func() bool { return w.Lapsed("r1") })
}

func TestUnknownIncarnationLapsesAfterAFullTTLOfWatching(t *testing.T) {
	_, b := world(t)
	w := b.Watch()
	begin := time.Now()
	run(t, w.Run)
	eventually(t, "lapsed", func() bool { return w.Lapsed("never seen") })
	if took := time.Since(begin); took < quick.LeaseTTL {
		t.Errorf("lapsed after %s", took)
	}
}

func TestReleasedLeaseLapsesAtOnce(t *testing.T) {
	_, b := world(t)
	w := b.Watch()
	run(t, w.Run)
	l := b.Lease("r1", describe, yes)
	stop := run(t, l.Run)
	eventually(t, "the watch sees the lease", func() bool { live, _ := w.Live(); return len(live) == 1 })
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	begin := time.Now()
	if err := l.Release(t.Context()); err != nil {
		t.Fatal(err)
	}
	eventually(t, "lapsed", func() bool { return w.Lapsed("r1") })
	if took := time.Since(begin); took > quick.LeaseTTL/2 {
		t.Errorf("lapsed after %s", took)
	}
	late := b.Watch() // one that begins later learns it, too
	run(t, late.Run)
	eventually(t, "lapsed for a new watch", func() bool { return late.Lapsed("r1") })
}

func TestRestartOfTheServerLapsesNobodyWhoLives(t *testing.T) {
	node, b := world(t)
	w := bucket(t, node).Watch()
	run(t, w.Run)
	l := b.Lease("r1", describe, yes)
	run(t, l.Run)
	eventually(t, "the watch sees the lease", func() bool { live, _ := w.Live(); return len(live) == 1 })
	holds(t, "not lapsed before", quick.LeaseTTL, func() bool { return !w.Lapsed("r1") })
	if err := node.Restart(); err != nil {
		t.Fatal(err)
	}
	holds(t, "not lapsed afterwards", 2*quick.LeaseTTL, func() bool { return !w.Lapsed("r1") })
	eventually(t, "the watch sees the lease again", func() bool { live, known := w.Live(); return known && len(live) == 1 })
}

func TestNewBucketResetsTheClockOfTheWatch(t *testing.T) {
	node, b := world(t)
	js := natsnodetest.Connect(t, node)
	w := b.Watch()
	run(t, w.Run)
	eventually(t, "lapsed", func() bool { return w.Lapsed("r1") })
	if err := js.DeleteStream(t.Context(), "KV_"+topology.BucketLeases); err != nil {
		t.Fatal(err)
	}
	eventually(t, "no longer sure", func() bool { return !w.Lapsed("r1") })
	begin := time.Now()
	eventually(t, "lapsed in the new bucket", func() bool { return w.Lapsed("r1") })
	if took := time.Since(begin); took < quick.LeaseTTL-quick.CheckEvery {
		t.Errorf("lapsed after %s", took)
	}
}

func TestLostConnectionResetsTheClockOfTheWatch(t *testing.T) {
	node, b := world(t)
	w := b.Watch()
	run(t, w.Run)
	eventually(t, "lapsed", func() bool { return w.Lapsed("r1") })
	if err := node.Restart(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "no longer sure", func() bool { return !w.Lapsed("r1") })
	eventually(t, "sure again", func() bool { return w.Lapsed("r1") })
}

func TestOfficeHasOneHolderAndIsHandedOverAtOnce(t *testing.T) {
	node, b := world(t)
	var serving atomic.Int32
	terms := make(chan string, 8)
	serve := func(name string) func(context.Context) error {
		return func(ctx context.Context) error {
			if n := serving.Add(1); n != 1 {
				t.Errorf("%d hold the office", n)
			}
			terms <- name
			<-ctx.Done()
			serving.Add(-1)
			return ctx.Err()
		}
	}
	stops := map[string]func() error{}
	for name, b := range map[string]*lease.Bucket{"a": b, "b": bucket(t, node)} {
		stops[name] = run(t, func(ctx context.Context) error { return b.Office("dispatcher", name).Run(ctx, serve(name)) })
	}
	first := <-terms
	holds(t, "one holder", 2*quick.OfficeTTL, func() bool { return serving.Load() == 1 && len(terms) == 0 })
	begin := time.Now()
	if err := stops[first](); err != nil {
		t.Fatal(err)
	}
	if second := <-terms; second == first {
		t.Error("the same holder again")
	}
	if took := time.Since(begin); took > quick.OfficeTTL/2 {
		t.Errorf("handed over after %s", took)
	}
}

func TestOfficeIsLeftBeforeItCouldBeTaken(t *testing.T) {
	node, b := world(t)
	left, began := make(chan time.Time, 8), make(chan time.Time, 8)
	run(t, func(ctx context.Context) error {
		return b.Office("notifier", "a").Run(ctx, func(ctx context.Context) error {
			began <- time.Now()
			<-ctx.Done()
			left <- time.Now()
			return ctx.Err()
		})
	})
	<-began
	if err := node.Stop(); err != nil {
		t.Fatal(err)
	}
	stopped := time.Now()
	if took := (<-left).Sub(stopped); took > quick.OfficeTTL {
		t.Errorf("left only %s after the server was gone", took)
	}
	if err := node.Resume(); err != nil {
		t.Fatal(err)
	}
	select {
	case <-began:
	case <-time.After(patience):
		t.Error("the campaign did not begin again")
	}
}

func TestOfficeFallsVacantWhenItsHolderVanishes(t *testing.T) {
	node, b := world(t)
	js := natsnodetest.Connect(t, node)
	gone := lease.NewBucket(js, 1, quick, discard)
	held := make(chan struct{}, 8)
	run(t, func(ctx context.Context) error {
		return gone.Office("x", "gone").Run(ctx, func(ctx context.Context) error {
			held <- struct{}{}
			<-ctx.Done()
			return ctx.Err()
		})
	})
	<-held
	js.Conn().Close()
	begin := time.Now()
	run(t, func(ctx context.Context) error {
		return b.Office("x", "heir").Run(ctx, func(ctx context.Context) error {
			held <- struct{}{}
			<-ctx.Done()
			return ctx.Err()
		})
	})
	<-held
	if took := time.Since(begin); took > 3*quick.OfficeTTL {
		t.Errorf("vacant for %s", took)
	}
}

func TestOfficeReportsWhatItsServiceReports(t *testing.T) {
	_, b := world(t)
	broken := errors.New("broken")
	err := b.Office("x", "a").Run(t.Context(), func(context.Context) error { return broken })
	if !errors.Is(err, broken) {
		t.Errorf("Run returned %v", err)
	}
	if err := b.Office("x", "b").Run(t.Context(), func(context.Context) error { return nil }); err != nil {
		t.Errorf("the office was not free: %v", err)
	}
}

func TestAnOrdinaryKeyDoesNotDisturb(t *testing.T) {
	node, b := world(t)
	w := b.Watch()
	run(t, w.Run)
	eventually(t, "a picture", func() bool { _, known := w.Live(); return known })
	js := natsnodetest.Connect(t, node)
	var renewed time.Time
	holds(t, "a renewal that nobody understands is a sign of life", 2*quick.LeaseTTL, func() bool {
		if time.Since(renewed) > quick.RenewEvery {
			if _, err := js.Publish(t.Context(), topology.LeaseSubject("runner.odd"), []byte{0xff}); err != nil {
				t.Fatal(err)
			}
			renewed = time.Now()
		}
		return !w.Lapsed("odd")
	})
}
