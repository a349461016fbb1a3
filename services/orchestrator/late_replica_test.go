package orchestrator

import (
	"context"
	"testing"
	"testing/synctest"

	"github.com/slipway-hq/slipway/domain/run"
	apiv1 "github.com/slipway-hq/slipway/gen/slipway/api/v1"
	"github.com/slipway-hq/slipway/internal/eventlog"
	"github.com/slipway-hq/slipway/internal/topology"
)

// A client that saw a run at one replica goes on at another that is behind: it
// must not be told of the past as if it were news.
func TestAReplicaThatIsBehindDoesNotGoBackInTime(t *testing.T) {
	inHouse(t, 1, func(h *house) {
		s := h.deploy("k", "checkout", "staging")
		records, err := h.log.Load(h.ctx, topology.RunSubject(s.ID), 0)
		if err != nil {
			t.Fatal(err)
		}
		late := h.replica()
		late.proj.Apply(records[0])
		cancelled, err := h.first().desk.cancel(h.ctx, local(), s.ID, "")
		if err != nil || cancelled.Status != run.Cancelled {
			t.Fatalf("%s, %v", cancelled.Status, err)
		}
		api := &runAPI{desk: late.desk, view: late.view, proj: late.proj}
		told := make(chan *apiv1.Run, 16)
		ctx, stop := context.WithCancel(h.ctx)
		var ends []chan error
		background := func(f func() error) {
			end := make(chan error, 1)
			ends = append(ends, end)
			go func() { end <- f() }()
		}
		background(func() error { // had seen the request, and that it waits
			return api.watch(ctx, s.ID, cancelled.Sequence-1, func(r *apiv1.Run) error { told <- r; return nil })
		})
		background(func() error {
			answer, err := api.GetRun(ctx, &apiv1.GetRunRequest{Id: s.ID, AfterSequence: cancelled.Sequence - 1})
			told <- answer.GetRun()
			return err
		})
		synctest.Wait()
		if len(told) > 0 {
			t.Errorf("told of %d, which is before %d", (<-told).GetSequence(), cancelled.Sequence)
		}
		ends = append(ends, make(chan error, 1))
		go func() {
			ends[2] <- h.log.Follow(ctx, records[0].Sequence, func(rec eventlog.Record) error {
				late.proj.Apply(rec)
				synctest.Wait() // everybody sees every state
				return nil
			})
		}()
		for _, end := range ends[:2] {
			if err := <-end; err != nil {
				t.Error(err)
			}
		}
		close(told)
		for r := range told {
			if r.GetSequence() != cancelled.Sequence {
				t.Errorf("told of %d, not of %d", r.GetSequence(), cancelled.Sequence)
			}
		}
		stop()
		<-ends[2]
	})
}
