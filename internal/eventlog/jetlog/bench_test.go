package jetlog_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/slipway-hq/slipway/internal/eventlog"
	"github.com/slipway-hq/slipway/internal/eventlog/eventlogtest"
	"github.com/slipway-hq/slipway/internal/eventlog/jetlog"
)

// payload makes commits of about 500 bytes, as in JETSTREAM.md.
const payload = 420

// BenchmarkAppend: one operation is one confirmed commit, flushed to disk. Each
// writer has an aggregate of its own. Trust the ratios, not the figures.
func BenchmarkAppend(b *testing.B) {
	for _, mode := range []struct {
		name     string
		minBatch int
	}{
		{"plain", jetlog.MaxBatch + 1}, {"batch2", 2}, {"batch8", 8}, {"batch16", 16}, {"batch32", 32},
	} {
		for _, writers := range []int{1, 4, 16, 64, 256, 1024} {
			b.Run(fmt.Sprintf("%s/%d", mode.name, writers), func(b *testing.B) {
				log := newLog(b, connect(b, single(b, true).ClientURL()), eventsConfig(1))
				log.SetMinBatch(mode.minBatch)
				b.ResetTimer()
				appendFrom(b, log, writers)
			})
		}
	}
}

// appendFrom appends b.N commits from so many goroutines.
func appendFrom(b *testing.B, log eventlog.Log, writers int) {
	var left atomic.Int64
	left.Store(int64(b.N))
	var wg sync.WaitGroup
	for range writers {
		wg.Go(func() {
			subject := eventlogtest.Subject()
			var at eventlog.Position
			for left.Add(-1) >= 0 {
				_, data := eventlogtest.Commit(at, payload)
				sequence, err := log.Append(b.Context(), subject, at.Sequence, data)
				if err != nil {
					b.Error(err)
					return
				}
				at = eventlog.Position{Sequence: sequence, Version: at.Version + 1, Hash: eventlog.Hash(subject, data)}
			}
		})
	}
	wg.Wait()
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "commits/s")
}

// BenchmarkReplay: one operation is one record followed and decoded.
func BenchmarkReplay(b *testing.B) {
	log := newLog(b, connect(b, single(b, false).ClientURL()), eventsConfig(1))
	const stored = 200_000
	fill(b, log, stored)
	errEnd := errors.New("end")
	b.ReportAllocs()
	for b.Loop() {
		n := 0
		err := log.Follow(context.Background(), 0, func(eventlog.Record) error {
			if n++; n == stored {
				return errEnd
			}
			return nil
		})
		if !errors.Is(err, errEnd) {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.N)*stored/b.Elapsed().Seconds(), "records/s")
}

func fill(b *testing.B, log eventlog.Log, n int) {
	const writers = 500
	var wg sync.WaitGroup
	for range writers {
		wg.Go(func() {
			subject := eventlogtest.Subject()
			var at eventlog.Position
			for range n / writers {
				_, data := eventlogtest.Commit(at, payload)
				sequence, err := log.Append(b.Context(), subject, at.Sequence, data)
				if err != nil {
					b.Error(err)
					return
				}
				at = eventlog.Position{Sequence: sequence, Version: at.Version + 1, Hash: eventlog.Hash(subject, data)}
			}
		})
	}
	wg.Wait()
}
