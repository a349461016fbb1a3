package orchestrator

import (
	"context"
	"errors"
	"slices"

	"connectrpc.com/connect"

	"github.com/slipway-hq/slipway/domain/board"
	apiv1 "github.com/slipway-hq/slipway/gen/slipway/api/v1"
)

// ListRunners lists the runners that are alive, and what each runs.
func (a *systemAPI) ListRunners(context.Context, *apiv1.ListRunnersRequest) (*apiv1.ListRunnersResponse, error) {
	leases, known := a.o.watch.Live()
	if !known {
		return nil, connect.NewError(connect.CodeUnavailable, errors.New("this replica does not see the leases yet: ask again in a moment"))
	}
	held := a.held()
	out := &apiv1.ListRunnersResponse{}
	for _, l := range leases {
		out.Runners = append(out.Runners, &apiv1.Runner{
			Incarnation: l.GetHolder(), Id: l.GetRunner(), Name: nameOf(l), Host: l.GetHost(), Pools: l.GetPools(), Labels: l.GetLabels(), Capacity: l.GetCapacity(), Running: l.GetRunning(),
			Draining: l.GetDraining(), Version: l.GetVersion(), Renewed: l.GetRenewed(), Runs: held[l.GetHolder()],
		})
	}
	return out, nil
}

// held are the claimed runs of each incarnation, the oldest first.
func (a *systemAPI) held() map[string][]*apiv1.Run {
	held := map[string][]*apiv1.Run{}
	a.o.proj.Read(func(b *board.Board) {
		w := a.o.world()
		b.Each(func(l *board.Live) {
			if l.State.Claimed() {
				held[l.State.Claim.Incarnation] = append(held[l.State.Claim.Incarnation], liveRun(b, l, w))
			}
		})
	})
	for _, runs := range held {
		slices.SortFunc(runs, func(x, y *apiv1.Run) int { return x.GetCreated().AsTime().Compare(y.GetCreated().AsTime()) })
	}
	return held
}
