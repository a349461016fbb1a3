package orchestrator

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/slipway-hq/slipway/domain/board"
	"github.com/slipway-hq/slipway/domain/lane"
	eventv1 "github.com/slipway-hq/slipway/gen/slipway/event/v1"
	"github.com/slipway-hq/slipway/internal/engine"
	"github.com/slipway-hq/slipway/internal/eventlog"
	"github.com/slipway-hq/slipway/internal/topology"
)

const (
	// checkpointCommits and checkpointEvery keep checkpoints few beside the commits that they
	// stand for, and within what a lane remembers of them.
	checkpointCommits = 1000
	checkpointEvery   = 24 * time.Hour
)

// lanes writes checkpoints of lanes that have grown, and purges what is before an
// old one, once every run that was asked for before it is archived: then nobody
// reads a grant from there any more.
func (a *archiver) lanes(ctx context.Context) error {
	for _, l := range a.grown() {
		if err := a.checkpointLane(ctx, l); err != nil {
			return fmt.Errorf("checkpoint of lane %s: %w", l.state.Name, err)
		}
	}
	for _, l := range a.purgeable() {
		if err := a.purgeLane(ctx, l); err != nil {
			return fmt.Errorf("purge of lane %s: %w", l.state.Name, err)
		}
	}
	return nil
}

// laneAt is a lane with the end of its chain, and the checkpoint that matters.
type laneAt struct {
	state lane.State
	end   eventlog.Position
	mark  lane.Mark
}

// grown are the lanes that are due for a checkpoint.
func (a *archiver) grown() (out []laneAt) {
	for _, name := range a.laneNames() {
		a.proj.ReadAt(topology.LaneSubject(name), func(b *board.Board, end eventlog.Position) {
			ln, _ := b.Lane(name)
			var last lane.Mark
			if n := len(ln.State.Marks); n > 0 {
				last = ln.State.Marks[n-1]
			}
			if ln.Quarantined == "" && end.Version >= last.Version+a.laneCommits && a.now().Sub(last.Time) >= a.laneEvery {
				out = append(out, laneAt{state: ln.State, end: end})
			}
		})
	}
	return out
}

func (a *archiver) laneNames() (out []string) {
	a.proj.Read(func(b *board.Board) {
		b.Lanes(func(ln *board.Lane) { out = append(out, ln.Name) })
	})
	return out
}

func (a *archiver) checkpointLane(ctx context.Context, l laneAt) error {
	h := engine.Resume(a.log, topology.LaneSubject(l.state.Name), l.state, l.end, foldLane)
	_, err := h.Do(ctx, engine.Meta{Actor: archiveActor, Time: a.now()}, func(s lane.State) ([]*eventv1.Event, error) {
		if h.Sequence() != l.end.Sequence {
			return nil, errOvertaken // the next look begins with what is there by then
		}
		return lane.Checkpoint(s, l.end.Version), nil
	})
	if errors.Is(err, errOvertaken) {
		return nil
	}
	return err
}

// purgeable are the lanes with a checkpoint that is old enough.
func (a *archiver) purgeable() (out []laneAt) {
	before := a.now().Add(-a.after)
	a.proj.Read(func(b *board.Board) {
		needed := map[string]uint64{} // by lane, the oldest request that is not archived
		need := func(name string, request uint64) {
			if first, ok := needed[name]; !ok || request < first {
				needed[name] = request
			}
		}
		b.Each(func(l *board.Live) { need(l.State.Plan.GetLane(), l.Request) })
		b.Archivable(func(s board.Summary) bool { need(s.Lane(), s.Request()); return true })
		b.Lanes(func(ln *board.Lane) {
			first, some := needed[ln.Name]
			var mark lane.Mark
			for _, m := range ln.State.Marks {
				if m.Time.Before(before) && (!some || m.Sequence < first) {
					mark = m
				}
			}
			if mark.Sequence != 0 && ln.Quarantined == "" {
				out = append(out, laneAt{state: ln.State, mark: mark})
			}
		})
	})
	return out
}

// purgeLane removes what is before the mark, if that says the same.
func (a *archiver) purgeLane(ctx context.Context, l laneAt) error {
	subject := topology.LaneSubject(l.state.Name)
	first, err := a.log.Load(ctx, subject, 0)
	if err != nil || len(first) == 0 || first[0].Sequence >= l.mark.Sequence {
		return err
	}
	var at eventlog.Position
	var state lane.State
	for i, rec := range first {
		if err := at.Verify(rec); err != nil {
			return err
		}
		if rec.Sequence == l.mark.Sequence {
			e := rec.Commit.GetEvents()[0].GetLaneCheckpoint()
			if e == nil || !lane.Agrees(state, e) {
				return fmt.Errorf("record %d does not say what the %d before it do: %w", rec.Sequence, i, eventlog.ErrCorrupt)
			}
			return a.purge(ctx, []purge{purgeOf(first[:i], rec.Sequence)}, l.state.Name)
		}
		at, state = rec.Position(), foldLane(state, rec)
	}
	return nil
}
