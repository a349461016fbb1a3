package orchestrator

import (
	"context"
	"time"

	"connectrpc.com/connect"

	apiv1 "github.com/slipway-hq/slipway/gen/slipway/api/v1"
	"github.com/slipway-hq/slipway/internal/projection"
)

// laneAPI serves LaneService.
type laneAPI struct {
	run  *runAPI
	view *view
	proj *projection.Projection
}

// ListLanes lists the queues.
func (a *laneAPI) ListLanes(ctx context.Context, req *apiv1.ListLanesRequest) (*apiv1.ListLanesResponse, error) {
	if err := a.run.await(ctx, req.GetMinSequence()); err != nil {
		return nil, err
	}
	lanes, at := a.view.lanes()
	return &apiv1.ListLanesResponse{Lanes: lanes, Sequence: at}, nil
}

// laneEvery is the least time between two lists of one WatchLanes.
const laneEvery = 200 * time.Millisecond

// WatchLanes streams the lanes whenever something changed, at most five times
// a second.
func (a *laneAPI) WatchLanes(ctx context.Context, req *apiv1.WatchLanesRequest, stream *connect.ServerStream[apiv1.WatchLanesResponse]) error {
	wake, stop := a.proj.WatchAll()
	defer stop()
	pace := time.NewTicker(laneEvery)
	defer pace.Stop()
	sent := req.GetAfterSequence()
	for first := true; ; first = false {
		if lanes, at := a.view.lanes(); first && sent == 0 || at > sent {
			if err := stream.Send(&apiv1.WatchLanesResponse{Lanes: lanes, Sequence: at}); err != nil {
				return err
			}
			sent = at
		}
		select {
		case <-wake:
		case <-ctx.Done():
			return nil
		}
		select {
		case <-pace.C:
		case <-ctx.Done():
			return nil
		}
	}
}
