package claim_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/slipway-hq/slipway/claim"
	"github.com/slipway-hq/slipway/internal/natsnode/natsnodetest"
)

// stage is where a role is played: by one at a time.
type stage struct {
	t       *testing.T
	playing atomic.Int32
	entered chan string
}

// plays returns a serve function that plays until its context ends.
func (s *stage) plays(name string) func(context.Context) error {
	return func(ctx context.Context) error {
		if n := s.playing.Add(1); n != 1 {
			s.t.Errorf("%d play at a time", n)
		}
		defer s.playing.Add(-1)
		s.entered <- name
		<-ctx.Done()
		return ctx.Err()
	}
}

func (s *stage) next() string {
	s.t.Helper()
	select {
	case name := <-s.entered:
		return name
	case <-time.After(patience):
		s.t.Fatal("nobody plays")
		return ""
	}
}

func TestARoleMovesWhenItsHolderStops(t *testing.T) {
	t.Parallel()
	node := natsnodetest.One(t)
	s := stage{t: t, entered: make(chan string, 10)}
	stops := map[string]context.CancelFunc{}
	var all sync.WaitGroup
	for i := range 3 {
		name := fmt.Sprint("bot-", i)
		guard := open(t, natsnodetest.Connect(t, node), claim.Options{Lease: short})
		ctx, cancel := context.WithCancel(t.Context())
		stops[name] = cancel
		all.Go(func() {
			if err := guard.Role(ctx, "watchdog", s.plays(name)); err != nil {
				t.Error(err)
			}
		})
	}
	before := ""
	for range 3 {
		name, begin := s.next(), time.Now()
		if name == before {
			t.Errorf("%s again", name)
		}
		stops[name]()
		if before = name; time.Since(begin) > short {
			t.Errorf("took %s", time.Since(begin))
		}
	}
	all.Wait()
}

func TestARoleMovesWhenItsHolderIsCutOff(t *testing.T) {
	t.Parallel()
	node := listening(t)
	p := newProxy(t, node.ClientURL())
	s := stage{t: t, entered: make(chan string, 10)}
	a := open(t, connect(t, p.url()), claim.Options{Lease: short})
	b := open(t, connect(t, node.ClientURL()), claim.Options{Lease: short})
	ctx, cancel := context.WithCancel(t.Context())
	var all sync.WaitGroup
	stand := func(g *claim.Guard, name string) {
		all.Go(func() {
			if err := g.Role(ctx, "watchdog", s.plays(name)); err != nil {
				t.Error(err)
			}
		})
	}
	stand(a, "a")
	if got := s.next(); got != "a" {
		t.Fatal(got)
	}
	stand(b, "b")
	p.silence()
	if got := s.next(); got != "b" {
		t.Fatal(got)
	}
	p.restore()
	cancel()
	all.Wait()
}

func TestARoleEndsWithWhatItServed(t *testing.T) {
	t.Parallel()
	guard := open(t, natsnodetest.Connect(t, natsnodetest.One(t)), claim.Options{})
	broken := errors.New("broken")
	for range 2 { // it is free again at once
		if err := guard.Role(t.Context(), "watchdog", func(context.Context) error { return broken }); !errors.Is(err, broken) {
			t.Error(err)
		}
	}
	if held := mustClaim(t, guard, "watchdog"); held.Fence() == 0 {
		t.Error("a key is no role")
	}
}

// What fails is returned, and is free for the next who asks.
func TestWorkThatFailsIsReleased(t *testing.T) {
	t.Parallel()
	guard := open(t, natsnodetest.Connect(t, natsnodetest.One(t)), claim.Options{})
	broken := errors.New("broken")
	if err := guard.Do(t.Context(), "k", func(context.Context, *claim.Held) error { return broken }); !errors.Is(err, broken) {
		t.Error(err)
	}
	ran := false
	if err := guard.Do(t.Context(), "k", func(context.Context, *claim.Held) error { ran = true; return nil }); err != nil || !ran {
		t.Error(ran, err)
	}
}

// Who waits in Do goes on when the holder dies at its work.
func TestWorkOfTheDeadIsTakenOver(t *testing.T) {
	t.Parallel()
	node := natsnodetest.One(t)
	a := open(t, natsnodetest.Connect(t, node), claim.Options{Lease: short})
	b := open(t, natsnodetest.Connect(t, node), claim.Options{Lease: short})
	mustClaim(t, a, "k").Die()
	var fence uint64
	if err := b.Do(t.Context(), "k", func(_ context.Context, held *claim.Held) error { fence = held.Fence(); return nil }); err != nil || fence < 2 {
		t.Error(fence, err)
	}
}

// Shutting down does not keep from recording what is done.
func TestWhatIsDoneWhileItStopsIsRecorded(t *testing.T) {
	t.Parallel()
	guard := open(t, natsnodetest.Connect(t, natsnodetest.One(t)), claim.Options{})
	ctx, cancel := context.WithCancel(t.Context())
	if err := guard.Do(ctx, "k", func(context.Context, *claim.Held) error { cancel(); return nil }); err != nil {
		t.Error(err)
	}
	if _, err := guard.Claim(t.Context(), "k"); !errors.Is(err, claim.ErrDone) {
		t.Error(err)
	}
}
