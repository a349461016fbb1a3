package orchestrator

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/slipway-hq/slipway/domain/board"
	"github.com/slipway-hq/slipway/domain/identity"
	apiv1 "github.com/slipway-hq/slipway/gen/slipway/api/v1"
)

// Pages go from the newest request to the oldest, without gaps or repeats, over
// runs that live, that ended lately and that are only summaries by now.
func TestPagesCoverEveryRunOnce(t *testing.T) {
	inHouse(t, 1, func(h *house) {
		const runs = 330 // more than are kept whole
		for i := range runs {
			s := h.deploy(fmt.Sprintf("v%d", i), "checkout", "staging")
			if i < runs-3 {
				if _, err := h.first().desk.cancel(h.ctx, local(), s.ID, ""); err != nil {
					t.Fatal(err)
				}
			}
		}
		synctest.Wait()
		seen := map[string]bool{}
		last := time.Now().Add(time.Hour)
		for token, pages := "", 0; ; pages++ {
			page, next, err := h.first().view.list(&apiv1.ListRunsRequest{PageSize: 50, PageToken: token})
			if err != nil {
				t.Fatal(err)
			}
			for _, r := range page {
				if seen[r.GetId()] || r.GetCreated().AsTime().After(last) {
					t.Fatalf("%s is repeated or out of order", r.GetId())
				}
				seen[r.GetId()], last = true, r.GetCreated().AsTime()
			}
			if token = next; token == "" {
				break
			}
		}
		if len(seen) != runs {
			t.Errorf("%d runs listed, want %d", len(seen), runs)
		}
		active, _, err := h.first().view.list(&apiv1.ListRunsRequest{Active: true})
		if err != nil || len(active) != 3 {
			t.Errorf("%d active, %v", len(active), err)
		}
		if _, _, err := h.first().view.list(&apiv1.ListRunsRequest{PageToken: "!"}); err == nil {
			t.Error("a foreign page token was taken")
		}
	})
}

// Another replica may have accepted a run that this one has not folded yet: a
// full id waits for it, an id of nobody does not.
func TestAFullIdIsFoundBeforeItIsFolded(t *testing.T) {
	inHouse(t, 1, func(h *house) {
		id := h.deploy("k", "checkout", "staging").ID
		late := h.replica() // it follows nothing yet
		nobody := identity.RunID(identity.Deployment, "nobody asked")
		if _, err := late.view.find(h.ctx, nobody); !errors.Is(err, board.ErrUnknownRun) {
			t.Errorf("an id of nobody: %v", err)
		}
		found := make(chan error, 1)
		go func() { _, err := late.view.find(h.ctx, id); found <- err }()
		synctest.Wait()
		if len(found) > 0 {
			t.Fatalf("answered before it was folded: %v", <-found)
		}
		ctx, stop := context.WithCancel(h.ctx)
		done := make(chan error, 1)
		go func() { done <- late.proj.Run(ctx, func() {}) }()
		if err := <-found; err != nil {
			t.Error(err)
		}
		stop()
		<-done
	})
}
