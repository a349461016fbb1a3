package desk

import (
	"context"
	"strings"
	"time"

	"github.com/slipway-hq/slipway/domain/board"
	"github.com/slipway-hq/slipway/domain/run"
	commandv1 "github.com/slipway-hq/slipway/gen/slipway/command/v1"
)

// requesterAPI begins what board.Requester says of a caller of the API.
const requesterAPI = "api:"

// TakeOver finds all work: runs whose card is not settled, and runs without a
// card that should have one. It reads every card once.
func (d *Desk) TakeOver(ctx context.Context) error {
	known, found := map[string]bool{}, map[string]uint64{}
	err := d.ledger.Each(ctx, func(c *commandv1.Card, _ time.Time) {
		known[c.GetRun()] = true
		if !c.GetFinal() {
			found[c.GetRun()] = 0
		}
	})
	if err != nil {
		return err
	}
	oldest := d.cfg.Now().Add(-d.cfg.CatchUp)
	d.board.Read(func(b *board.Board) {
		b.Each(func(l *board.Live) {
			if !known[l.State.ID] && d.ours(&l.State) && (!l.State.Status.Ended() || l.State.Finished.After(oldest)) {
				found[l.State.ID] = l.State.Sequence
			}
		})
		b.Summaries(func(s board.Summary) bool {
			if s.Finished() <= oldest.UnixMilli() {
				return false // those before it ended earlier
			}
			if !known[s.ID()] && mayShow(s) {
				found[s.ID()] = s.Sequence() // the log says where its card goes
			}
			return true
		})
	})
	d.followAll(found)
	all := map[string]bool{}
	d.board.Read(func(b *board.Board) {
		for _, name := range b.Relays() {
			all[name] = true
		}
	})
	d.relays(all, func(id string) bool { return known[id] })
	return nil
}

// mayShow tells whether an ended run may have something to show. A job may, who-
// or whatever asked for it.
func mayShow(s board.Summary) bool {
	if s.Job() != "" {
		return true
	}
	return s.Status() != run.Refused && !strings.HasPrefix(s.Requester(), requesterAPI)
}

// maxForget bounds one Clean; the next one goes on.
const maxForget = 1000

// Clean forgets cards that were settled longer than Config.Keep ago: CARDS
// would otherwise grow for ever. Their buttons go on working.
func (d *Desk) Clean(ctx context.Context) error {
	before := d.cfg.Now().Add(-d.cfg.Keep)
	var old []string
	err := d.ledger.Each(ctx, func(c *commandv1.Card, at time.Time) {
		if c.GetFinal() && at.Before(before) && len(old) < maxForget {
			old = append(old, c.GetRun())
		}
	})
	if err != nil {
		return err
	}
	for _, id := range old {
		if err := d.ledger.Forget(ctx, id); err != nil {
			return err
		}
	}
	return nil
}
