package orchestrator

import (
	"testing"
	"testing/synctest"

	"github.com/slipway-hq/slipway/domain/lane"
	"github.com/slipway-hq/slipway/internal/engine"
	"github.com/slipway-hq/slipway/internal/topology"
)

// TestAnOvertakenDispatcherGrantsNothing: its board still shows a run as waiting
// that had its slot, ended and was forgotten by the lane since. (Seeds 41 and 75
// of the simulation.)
func TestAnOvertakenDispatcherGrantsNothing(t *testing.T) {
	inHouse(t, 1, func(h *house) {
		behind := h.replica()
		first := h.deploy("first", "checkout", "production")
		request, err := h.log.Get(h.ctx, 1)
		if err != nil {
			t.Fatal(err)
		}
		behind.proj.Apply(request) // and nothing after it
		h.claim(h.hinted()[0], "r1")
		h.finish(first.ID)
		h.deploy("second", "checkout", "production") // its grant frees the first one's slot
		for range 2 {
			behind.dispatcher.grantAll(h.ctx, map[string]bool{"checkout/production": true})
			synctest.Wait()
		}
		ln, err := engine.Open(h.ctx, h.log, topology.LaneSubject("checkout/production"), lane.State{}, foldLane)
		if err != nil {
			t.Fatal(err)
		}
		if s := ln.State(); s.Number != 2 || len(s.Slots) != 1 {
			t.Errorf("%d grants and slots %v, want 2 grants and the second run's slot", s.Number, s.Slots)
		}
	})
}
