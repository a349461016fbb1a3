package runner

import (
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/slipway-hq/slipway/domain/run"
	"google.golang.org/protobuf/proto"

	commandv1 "github.com/slipway-hq/slipway/gen/slipway/command/v1"
	"github.com/slipway-hq/slipway/internal/topology"
)

// burst is how many runs one round starts at once.
const burst = 1000

// commitsPerRun: claim, two boundaries, end.
const commitsPerRun = 4

// BenchmarkBurst measures runs of three no-op steps that are all granted at
// once. The server does not sync to disk here.
func BenchmarkBurst(b *testing.B) {
	w, exec := newWorld(b), &script{}
	w.runner(exec, func(c *Config, _ *Deps, _ *Runner) { c.Capacity = 256 })
	plan := w.plan(shell("a", "x"), shell("b", "x"), shell("c", "x"))
	for n := 0; b.Loop(); n++ {
		b.StopTimer()
		ids := make([]string, burst)
		var group sync.WaitGroup
		for i := range ids {
			ids[i] = fmt.Sprintf("d-%d-%d", n, i)
			group.Go(func() { w.decide(ids[i], run.Request{Event: requested(ids[i], plan)}) })
			if i%64 == 63 {
				group.Wait()
			}
		}
		group.Wait()
		grant := w.grant(ids...)
		b.StartTimer()
		began := time.Now()
		for _, id := range ids {
			data, err := proto.Marshal(&commandv1.Hint{Run: id, LaneSubject: topology.LaneSubject(w.lane), GrantSequence: grant})
			must(b, err)
			_, err = w.js.PublishAsync(topology.WorkSubject("default", id), data)
			must(b, err)
		}
		w.head(grant + burst*commitsPerRun)
		b.ReportMetric(burst/time.Since(began).Seconds(), "runs/s")
	}
}

// head waits until the log has reached a sequence.
func (w *world) head(sequence uint64) {
	w.t.Helper()
	for {
		head, err := w.log.Head(w.t.Context())
		must(w.t, err)
		if head >= sequence {
			return
		}
		must(w.t, pause(w.t.Context(), time.Millisecond))
	}
}

// BenchmarkIdle measures one run at a time, from the hint to the first attempt.
func BenchmarkIdle(b *testing.B) {
	w, exec := newWorld(b), newStamp()
	w.runner(exec)
	var waits []time.Duration
	for n := 0; b.Loop(); n++ {
		id := fmt.Sprintf("d-%d", n)
		hint := w.request(id, w.plan(shell("a", "x")))
		began := time.Now()
		w.publish(hint)
		waits = append(waits, (<-exec.at).Sub(began))
		w.ended(id)
	}
	slices.Sort(waits)
	b.ReportMetric(float64(waits[len(waits)/2].Microseconds()), "µs-to-start-p50")
	b.ReportMetric(float64(waits[len(waits)*99/100].Microseconds()), "µs-to-start-p99")
}
