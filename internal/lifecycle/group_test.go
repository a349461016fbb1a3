package lifecycle_test

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/slipway-hq/slipway/internal/lifecycle"
)

var group = lifecycle.Group{Log: slog.New(slog.DiscardHandler), Drain: 10 * time.Second, Start: 10 * time.Second}

// story notes what happens, in order.
type story struct {
	mu    sync.Mutex
	lines []string
}

func (s *story) note(line string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lines = append(s.lines, line)
}

// part takes a second to start and a second to stop.
func (s *story) part(name string) lifecycle.Part {
	return lifecycle.Part{Name: name, Run: func(ctx context.Context, ready func()) error {
		time.Sleep(time.Second)
		s.note(name + " ready")
		ready()
		<-ctx.Done()
		time.Sleep(time.Second)
		s.note(name + " stopped")
		return ctx.Err()
	}}
}

func (s *story) want(t *testing.T, lines ...string) {
	t.Helper()
	if diff := cmp.Diff(lines, s.lines); diff != "" {
		t.Error(diff)
	}
}

func TestPartsStartInOrderAndStopInReverse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var s story
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if err := group.Run(ctx, s.part("server"), s.part("runner"), s.part("door")); err != nil {
			t.Error(err)
		}
		s.want(t, "server ready", "runner ready", "door ready", "door stopped", "runner stopped", "server stopped")
	})
}

func TestOneThatFailsDrainsTheOthers(t *testing.T) {
	broken := errors.New("broken")
	synctest.Test(t, func(t *testing.T) {
		var s story
		err := group.Run(t.Context(), s.part("server"), lifecycle.Part{Name: "weak", Run: func(_ context.Context, ready func()) error {
			ready()
			time.Sleep(time.Hour)
			return broken
		}}, s.part("door"))
		if !errors.Is(err, broken) || err.Error() != "weak: broken" {
			t.Errorf("Run: %v", err)
		}
		s.want(t, "server ready", "door ready", "door stopped", "server stopped")
	})
}

func TestOneThatCannotStartStopsThoseBeforeIt(t *testing.T) {
	broken := errors.New("port taken")
	synctest.Test(t, func(t *testing.T) {
		var s story
		err := group.Run(t.Context(), s.part("server"), lifecycle.Part{Name: "door", Run: func(context.Context, func()) error {
			return broken
		}}, s.part("never"))
		if !errors.Is(err, broken) {
			t.Errorf("Run: %v", err)
		}
		s.want(t, "server ready", "server stopped")
	})
}

func TestOneThatNeverGetsReadyIsNamed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		err := group.Run(t.Context(), lifecycle.Part{Name: "slow", Run: func(ctx context.Context, _ func()) error {
			<-ctx.Done()
			return nil
		}})
		if !errors.Is(err, lifecycle.ErrNotReady) || err.Error() != "start slow: not ready in time" {
			t.Errorf("Run: %v", err)
		}
	})
}

func TestInterruptedStartStopsWhatRuns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var s story
		ctx, cancel := context.WithTimeout(t.Context(), 1500*time.Millisecond)
		defer cancel()
		if err := group.Run(ctx, s.part("server"), s.part("door"), s.part("never")); err != nil {
			t.Error(err)
		}
		s.want(t, "server ready", "door ready", "door stopped", "server stopped")
	})
}

func TestOneThatDoesNotStopIsLeftBehind(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var s story
		release := make(chan struct{})
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		err := group.Run(ctx, s.part("server"), lifecycle.Part{Name: "stubborn", Run: func(_ context.Context, ready func()) error {
			ready()
			<-release
			return nil
		}}, s.part("door"))
		if !errors.Is(err, lifecycle.ErrStuck) || err.Error() != "stop stubborn: did not stop in time" {
			t.Errorf("Run: %v", err)
		}
		close(release)
		time.Sleep(2 * time.Second) // the server, too, was told
		synctest.Wait()
		s.mu.Lock()
		defer s.mu.Unlock()
		s.want(t, "server ready", "door ready", "door stopped", "server stopped")
	})
}

func TestPartsThatAreDoneEndTheGroup(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		done := lifecycle.Part{Name: "once", Run: func(context.Context, func()) error { return nil }}
		if err := group.Run(t.Context(), done, done); err != nil {
			t.Error(err)
		}
	})
}

func TestFailureWhileStoppingIsTold(t *testing.T) {
	broken := errors.New("lost data")
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		err := group.Run(ctx, lifecycle.Part{Name: "store", Run: func(ctx context.Context, ready func()) error {
			ready()
			<-ctx.Done()
			return broken
		}})
		if !errors.Is(err, broken) {
			t.Errorf("Run: %v", err)
		}
	})
}
