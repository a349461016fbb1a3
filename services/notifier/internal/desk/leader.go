package desk

import (
	"context"
	"fmt"
	"time"

	"github.com/slipway-hq/slipway/domain/board"
	"github.com/slipway-hq/slipway/domain/run"
	"github.com/slipway-hq/slipway/internal/topology"
	"github.com/slipway-hq/slipway/services/notifier/internal/card"
)

// maxHops bounds how far a merged run is followed; one hop is the rule.
const maxHops = 8

// lead follows the run that executes for a merged one, from the log: the board
// may have let go of it. Zero: its story is up to date.
func (d *Desk) lead(ctx context.Context, t *track) (time.Time, error) {
	s := &t.story.State
	if s.Status != run.Merged || t.job.orphan {
		return time.Time{}, nil
	}
	id := s.MergedInto
	if t.job.leader != nil {
		id = t.job.into
	}
	for range maxHops {
		d.join(t, id)
		if err := d.learn(ctx, t, id); err != nil {
			return time.Time{}, err
		}
		leader := t.job.leader
		switch {
		case leader.After < t.job.wanted:
			return d.cfg.Now().Add(reload), nil
		case leader.After == 0:
			d.logger.Warn("a merged run names one that does not exist", "run", t.id, "into", id)
			t.job.leader, t.job.orphan = nil, true
			return time.Time{}, nil
		case leader.State.Status != run.Merged:
			return time.Time{}, nil
		}
		id = leader.State.MergedInto
	}
	t.job.leader, t.job.orphan = nil, true
	return time.Time{}, nil
}

// join notes which run executes for a track; empty: none does.
func (d *Desk) join(t *track, id string) {
	if t.job.into == id {
		return
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if others := d.merged[t.job.into]; others != nil {
		delete(others, t.id)
		if len(others) == 0 {
			delete(d.merged, t.job.into)
		}
	}
	if id != "" {
		if d.merged[id] == nil {
			d.merged[id] = map[string]bool{}
		}
		d.merged[id][t.id] = true
	}
	t.job.into, t.job.leader, t.job.wanted = id, nil, 0
}

// learn brings the story of a track's leader up to date with the log.
func (d *Desk) learn(ctx context.Context, t *track, id string) error {
	j := &t.job
	if j.leader == nil {
		j.leader = &card.Story{}
		d.board.Read(func(b *board.Board) { // the log may answer late, and never with less than the board knows
			if l, ok := b.Live(id); ok {
				j.wanted = max(j.wanted, l.State.Sequence)
			} else if s, ok := b.Summary(id); ok {
				j.wanted = max(j.wanted, s.Sequence())
			}
		})
	} else if j.leader.After >= j.wanted {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, storeTimeout)
	defer cancel()
	records, err := d.log.Load(ctx, topology.RunSubject(id), j.leader.After)
	if err != nil {
		return fmt.Errorf("read run %s: %w", id, err)
	}
	for _, rec := range records {
		j.leader.Fold(rec.Sequence, rec.Commit)
	}
	return nil
}
