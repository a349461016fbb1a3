package orchestrator

import (
	"context"
	"errors"
	"fmt"
	"time"

	"connectrpc.com/connect"

	"github.com/slipway-hq/slipway/domain/board"
	"github.com/slipway-hq/slipway/domain/lane"
	"github.com/slipway-hq/slipway/domain/pipeline"
	apiv1 "github.com/slipway-hq/slipway/gen/slipway/api/v1"
	eventv1 "github.com/slipway-hq/slipway/gen/slipway/event/v1"
	"github.com/slipway-hq/slipway/internal/engine"
	"github.com/slipway-hq/slipway/internal/projection"
	"github.com/slipway-hq/slipway/internal/topology"
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

// ReleaseSlot gives the slot of a quarantined run to others.
func (a *laneAPI) ReleaseSlot(ctx context.Context, req *apiv1.ReleaseSlotRequest) (*apiv1.ReleaseSlotResponse, error) {
	ctx, cancel := context.WithTimeout(ctx, commandWait)
	defer cancel()
	id, err := a.view.find(ctx, req.GetId())
	if err != nil {
		return nil, apiError(err, req.GetId())
	}
	name, quarantined := a.quarantined(id)
	if !quarantined {
		return nil, connect.NewError(connect.CodeFailedPrecondition, errors.New("the history of this run is whole, so its slot is not an operator's to give: cancel the run instead"))
	}
	h, err := engine.Open(ctx, a.view.log, topology.LaneSubject(name), lane.State{}, foldLane)
	if err != nil {
		return nil, apiError(err, id)
	}
	_, err = h.Do(ctx, engine.Meta{Actor: a.run.guard.principal(), Time: a.run.desk.now()}, func(s lane.State) ([]*eventv1.Event, error) {
		return lane.Release(s, name, id, clip(req.GetReason())), nil
	})
	if err != nil {
		return nil, apiError(err, id)
	}
	return &apiv1.ReleaseSlotResponse{Lane: name}, nil
}

// quarantined returns the lane of a run, and whether the run is quarantined.
func (a *laneAPI) quarantined(id string) (name string, yes bool) {
	a.proj.Read(func(b *board.Board) {
		if l, ok := b.Live(id); ok {
			name, yes = l.State.Plan.GetLane(), l.Quarantined != ""
		}
	})
	return name, yes
}

// SetLane pauses, resumes or resizes a lane.
func (a *laneAPI) SetLane(ctx context.Context, req *apiv1.SetLaneRequest) (*apiv1.SetLaneResponse, error) {
	ctx, cancel := context.WithTimeout(ctx, commandWait)
	defer cancel()
	if req.GetConcurrency() > pipeline.MaxConcurrency {
		return nil, connect.NewError(connect.CodeInvalidArgument, fmt.Errorf("a lane has at most %d slots", pipeline.MaxConcurrency))
	}
	if !a.knows(req.GetLane()) {
		return nil, connect.NewError(connect.CodeNotFound, fmt.Errorf("no lane is called %q: slipway lanes lists them", req.GetLane()))
	}
	at, err := a.run.desk.setLane(ctx, a.run.asker(), req.GetLane(), req.Paused, req.Concurrency, req.GetReason())
	if err != nil && !repeats(err, lane.CodeLaneSame) {
		return nil, apiError(err, req.GetLane())
	}
	_ = a.proj.WaitFor(ctx, at) // done; only not yet visible here
	return &apiv1.SetLaneResponse{Lane: a.view.lane(req.GetLane())}, nil
}

// repeats tells whether a refusal says that everything is as wanted already: to
// a person that is news, to a program that asks again it is success.
func repeats(err error, code string) bool {
	refusal, ok := refusalOf(err)
	return ok && refusal.Code == code
}

func (a *laneAPI) knows(name string) (known bool) {
	a.proj.Read(func(b *board.Board) { _, known = b.Lane(name) })
	return known || a.run.desk.config().hasLane(name)
}

// HoldJob keeps a job from starting for a while.
func (a *laneAPI) HoldJob(ctx context.Context, req *apiv1.HoldJobRequest) (*apiv1.HoldJobResponse, error) {
	ctx, cancel := context.WithTimeout(ctx, commandWait)
	defer cancel()
	if req.GetUntil() == nil {
		return nil, connect.NewError(connect.CodeInvalidArgument, errors.New("a hold needs its end: until"))
	}
	h := lane.Hold{From: a.run.desk.now(), Until: req.GetUntil().AsTime(), Reason: req.GetReason()}
	if req.GetFrom() != nil {
		h.From = req.GetFrom().AsTime()
	}
	name, held, err := a.run.desk.hold(ctx, a.run.asker(), req.GetJob(), h)
	if err != nil {
		return nil, apiError(err, req.GetJob())
	}
	return &apiv1.HoldJobResponse{Hold: apiHold(name, held, a.run.desk.now())}, nil
}

// ReleaseHolds ends holds before their time.
func (a *laneAPI) ReleaseHolds(ctx context.Context, req *apiv1.ReleaseHoldsRequest) (*apiv1.ReleaseHoldsResponse, error) {
	ctx, cancel := context.WithTimeout(ctx, commandWait)
	defer cancel()
	name, released, err := a.run.desk.releaseHolds(ctx, a.run.asker(), req.GetJob(), req.GetHold(), req.GetReason())
	if err != nil && !repeats(err, lane.CodeHoldUnknown) {
		return nil, apiError(err, req.GetJob())
	}
	out := &apiv1.ReleaseHoldsResponse{}
	for _, h := range released {
		out.Released = append(out.Released, apiHold(name, h, a.run.desk.now()))
	}
	return out, nil
}
