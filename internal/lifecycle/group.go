package lifecycle

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"
)

const (
	// StartTimeout bounds the start of one part: folding a long log takes
	// minutes at worst.
	StartTimeout = 5 * time.Minute
	// DrainTimeout bounds the whole drain: less than the 30 s after which
	// Kubernetes kills.
	DrainTimeout = 25 * time.Second
)

var (
	// ErrNotReady: a part did not become ready in time.
	ErrNotReady = errors.New("not ready in time")
	// ErrStuck: a part did not stop in time.
	ErrStuck = errors.New("did not stop in time")
)

// Part is one thing that runs in a process.
type Part struct {
	Name string
	// Run works until ctx ends, calls ready once when those behind it may
	// start, and returns when all it began has ended. An error of it drains the
	// group; nil before ctx ends means that it has nothing more to do.
	Run func(ctx context.Context, ready func()) error
}

// Group runs parts. The zero timeouts mean StartTimeout and DrainTimeout.
type Group struct {
	Log   *slog.Logger
	Start time.Duration
	Drain time.Duration
}

// running is a part that was started.
type running struct {
	name   string
	cancel context.CancelFunc
	done   chan struct{}
}

// failure is what ended a part.
type failure struct {
	name string
	err  error
}

// Run starts the parts one after the other, each when the one before is ready,
// and waits until ctx ends, a part fails, or all have nothing more to do. Then
// it stops them in the reverse order. It returns all failures, joined; nil when
// ctx ended and all stopped well and in time.
func (g Group) Run(ctx context.Context, parts ...Part) error {
	failed := make(chan failure, len(parts))
	started, err := g.start(ctx, parts, failed)
	if err == nil {
		err = await(ctx, started, failed)
	}
	if err != nil {
		g.Log.Error("stopping, because a part failed", "error", err)
	}
	err = errors.Join(err, g.drain(started))
	for {
		select {
		case f := <-failed: // while it stopped
			err = errors.Join(err, f.wrap())
		default:
			return err
		}
	}
}

func (g Group) start(ctx context.Context, parts []Part, failed chan failure) (started []running, err error) {
	for _, part := range parts {
		ready := make(chan struct{})
		run := launch(ctx, part, func() { close(ready) }, failed)
		started = append(started, run)
		timeout := time.NewTimer(orDefault(g.Start, StartTimeout))
		select {
		case <-ready:
			g.Log.Debug("part is ready", "part", part.Name)
		case f := <-failed:
			err = f.wrap()
		case <-run.done: // it is done with all it had to do, or it failed
			select {
			case f := <-failed:
				err = f.wrap()
			default:
			}
		case <-ctx.Done():
			timeout.Stop()
			return started, nil
		case <-timeout.C:
			err = fmt.Errorf("start %s: %w", part.Name, ErrNotReady)
		}
		timeout.Stop()
		if err != nil {
			return started, err
		}
	}
	return started, nil
}

// launch gives the part a context of its own, so that drain decides when it
// ends, and not whoever ends ctx.
func launch(ctx context.Context, part Part, ready func(), failed chan<- failure) running {
	own, cancel := context.WithCancel(context.WithoutCancel(ctx))
	run := running{name: part.Name, cancel: cancel, done: make(chan struct{})}
	var once sync.Once
	go func() {
		defer close(run.done)
		err := part.Run(own, func() { once.Do(ready) })
		if err != nil && (own.Err() == nil || !errors.Is(err, context.Canceled)) {
			failed <- failure{part.Name, err}
		}
	}()
	return run
}

func await(ctx context.Context, started []running, failed <-chan failure) error {
	finished := make(chan struct{})
	go func() {
		defer close(finished)
		for _, run := range started {
			<-run.done
		}
	}()
	select {
	case <-ctx.Done():
		return nil
	case f := <-failed:
		return f.wrap()
	case <-finished:
	}
	select {
	case f := <-failed:
		return f.wrap()
	default:
		return nil
	}
}

// drain stops the last first. When time is up it tells all the others at once
// and waits no longer.
func (g Group) drain(started []running) error {
	timeout := time.NewTimer(orDefault(g.Drain, DrainTimeout))
	defer timeout.Stop()
	for i := len(started) - 1; i >= 0; i-- {
		started[i].cancel()
		select {
		case <-started[i].done:
			g.Log.Debug("part has stopped", "part", started[i].name)
		case <-timeout.C:
			for _, run := range started[:i] {
				run.cancel()
			}
			return fmt.Errorf("stop %s: %w", started[i].name, ErrStuck)
		}
	}
	return nil
}

func (f failure) wrap() error { return fmt.Errorf("%s: %w", f.name, f.err) }

func orDefault(d, fallback time.Duration) time.Duration {
	if d > 0 {
		return d
	}
	return fallback
}
