package engine_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	eventv1 "github.com/slipway-hq/slipway/gen/slipway/event/v1"
	"github.com/slipway-hq/slipway/internal/engine"
	"github.com/slipway-hq/slipway/internal/eventlog"
	"github.com/slipway-hq/slipway/internal/eventlog/memlog"
)

var errRefused = errors.New("refused")

// plan is one history: who decides what, how patiently, and how the log fails.
type plan struct {
	writers  int
	rounds   int
	patience []int // milliseconds, taken in turn
	refuses  []bool
	faults   []int // index into faultKinds by attempt, taken in turn
	lags     []int
}

var faultKinds = []memlog.Fault{
	{}, {}, {},
	memlog.Unknown(memlog.Never),
	memlog.Unknown(memlog.AtOnce),
	memlog.Unknown(memlog.Late),
	{Err: eventlog.ErrUnknown, Lands: memlog.Late, After: 3 * time.Millisecond},
	{Err: eventlog.ErrUnknown, Lands: memlog.Late, After: 300 * time.Millisecond},
	{Err: eventlog.ErrConflict},
	{Err: eventlog.ErrFull},
	{Err: eventlog.ErrUnavailable},
}

func drawPlan(t *rapid.T) plan {
	return plan{
		writers:  rapid.IntRange(1, 5).Draw(t, "writers"),
		rounds:   rapid.IntRange(1, 6).Draw(t, "rounds"),
		patience: rapid.SliceOfN(rapid.SampledFrom([]int{1, 5, 50, 5000}), 1, 5).Draw(t, "patience"),
		refuses:  rapid.SliceOfN(rapid.Bool(), 1, 5).Draw(t, "refuses"),
		faults:   rapid.SliceOfN(rapid.IntRange(0, len(faultKinds)-1), 1, 40).Draw(t, "faults"),
		lags:     rapid.SliceOfN(rapid.IntRange(0, 2), 1, 7).Draw(t, "lags"),
	}
}

// outcome is what a writer was told about one word.
type outcome struct {
	word     string
	appended bool
	err      error
}

// Whatever the log does: what was confirmed is stored exactly once, what was
// refused never, what is open at most once, and the chain is whole.
func TestConfirmedExactlyOnceRefusedNever(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		p := drawPlan(rt)
		var err error
		synctest.Test(t, func(t *testing.T) { err = p.run(t.Context()) })
		if err != nil {
			rt.Fatal(err)
		}
	})
}

func (p plan) run(ctx context.Context) error {
	log := memlog.New()
	var mu sync.Mutex
	reads := 0
	log.SetFault(func(a memlog.Attempt) memlog.Fault { return faultKinds[p.faults[a.Number%len(p.faults)]] })
	log.SetLag(func(string) int {
		mu.Lock()
		defer mu.Unlock()
		reads++
		return p.lags[reads%len(p.lags)]
	})
	outcomes := make([][]outcome, p.writers)
	var wg sync.WaitGroup
	for w := range p.writers {
		wg.Go(func() { outcomes[w] = p.write(ctx, log, w) })
	}
	wg.Wait()
	time.Sleep(time.Second) // what lands late by itself has landed
	log.Release()
	log.SetLag(nil)
	return check(ctx, log, outcomes)
}

func (p plan) write(ctx context.Context, log eventlog.Log, writer int) []outcome {
	h := fresh(log)
	var outcomes []outcome
	for round := range p.rounds {
		turn := writer + round
		word := fmt.Sprintf("%d.%d", writer, round)
		decide := say(word)
		if p.refuses[turn%len(p.refuses)] {
			decide = func(words) ([]*eventv1.Event, error) { return nil, errRefused }
		}
		limited, cancel := context.WithTimeout(ctx, time.Duration(p.patience[turn%len(p.patience)])*time.Millisecond)
		result, err := h.Do(limited, engine.Meta{CommandID: word}, decide)
		cancel()
		outcomes = append(outcomes, outcome{word: word, appended: result.Appended, err: err})
	}
	return outcomes
}

func check(ctx context.Context, log eventlog.Log, outcomes [][]outcome) error {
	h, err := engine.Open(ctx, log, subject, words(nil), fold)
	if err != nil {
		return err
	}
	stored := map[string]int{}
	for _, word := range h.State() {
		stored[word]++
	}
	for _, told := range outcomes {
		for _, o := range told {
			n := stored[o.word]
			switch {
			case o.err == nil && (!o.appended || n != 1):
				return fmt.Errorf("%s was confirmed (appended %v) and is stored %d times", o.word, o.appended, n)
			case errors.Is(o.err, eventlog.ErrUnknown) && n > 1:
				return fmt.Errorf("%s is open and is stored %d times", o.word, n)
			case o.err != nil && !errors.Is(o.err, eventlog.ErrUnknown) && n != 0:
				return fmt.Errorf("%s failed with %w and is stored %d times", o.word, o.err, n)
			}
		}
	}
	return nil
}
