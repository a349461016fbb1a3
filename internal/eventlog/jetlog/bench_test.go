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
		minBatch int // 0: as in production
	}{{"adaptive", 0}, {"plain", jetlog.MaxBatch + 1}, {"batch", 1}} {
		for _, writers := range []int{1, 16, 256} {
			b.Run(fmt.Sprintf("%s/%d", mode.name, writers), func(b *testing.B) {
				log := newLog(b, connect(b, single(b, true).ClientURL()), eventsConfig(1))
				if mode.minBatch > 0 {
					log.SetMinBatch(mode.minBatch)
				}
				b.ResetTimer()
				appendFrom(b, log, writers)
			})
		}
	}
}

// BenchmarkDeliver: one operation is one commit from the start of its append
// until a follower has it, on an idle log that does not wait for the disk.
func BenchmarkDeliver(b *testing.B) {
	log := newLog(b, connect(b, single(b, false).ClientURL()), eventsConfig(1))
	seen := make(chan uint64, 1)
	go func() {
		_ = log.Follow(b.Context(), 0, func(rec eventlog.Record) error { seen <- rec.Sequence; return nil })
	}()
	subject := eventlogtest.Subject()
	at := eventlog.Position{}
	for b.Loop() {
		at = eventlogtest.Step(b, log, subject, at)
		<-seen
	}
}

// BenchmarkLoad: one operation loads one aggregate out of a log of 100,000
// records: one scattered all over it, one whose two commits are recent, and what
// is new of one after a conflict.
func BenchmarkLoad(b *testing.B) {
	const commits, others = 20, 100_000
	log := newLog(b, connect(b, single(b, false).ClientURL()), eventsConfig(1))
	scattered, recent := eventlogtest.Subject(), eventlogtest.Subject()
	var before, at, young eventlog.Position
	for range commits {
		before, at = at, eventlogtest.Step(b, log, scattered, at)
		fill(b, log, others/commits)
	}
	young = eventlogtest.Step(b, log, recent, young)
	fill(b, log, 100)
	eventlogtest.Step(b, log, recent, young)
	for _, c := range []struct {
		name, subject string
		after         uint64
		want          int
	}{{"scattered", scattered, 0, commits}, {"recent", recent, 0, 2}, {"new", scattered, before.Sequence, 1}} {
		b.Run(c.name, func(b *testing.B) {
			for b.Loop() {
				records, err := log.Load(b.Context(), c.subject, c.after)
				if err != nil || len(records) != c.want {
					b.Fatalf("%d records, error %v", len(records), err)
				}
			}
		})
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
				at = eventlogtest.Step(b, log, subject, at)
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
	const writers = 250
	var wg sync.WaitGroup
	for range writers {
		wg.Go(func() {
			subject := eventlogtest.Subject()
			var at eventlog.Position
			for range n / writers {
				at = eventlogtest.Step(b, log, subject, at)
			}
		})
	}
	wg.Wait()
}
