package desk

import (
	"bytes"
	"context"
	"slices"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/slipway-hq/slipway/domain/run"
	commandv1 "github.com/slipway-hq/slipway/gen/slipway/command/v1"
	"github.com/slipway-hq/slipway/services/notifier/internal/card"
	"github.com/slipway-hq/slipway/services/notifier/internal/slackapi"
)

// placeFactor makes mere places in a queue move more slowly than progress.
const placeFactor = 5

// edit makes the card show the view. Zero: it does, and nothing may still
// change that.
func (d *Desk) edit(ctx context.Context, t *track, v card.View, e *entry) (time.Time, error) {
	now := d.cfg.Now()
	m := t.fit(e, card.Render(v))
	same := e.card.GetState() == commandv1.Card_STATE_POSTED && bytes.Equal(e.card.GetDigest(), m.Digest())
	late := d.lateEdits(e) // until then an earlier edit may still land
	switch {
	case same && (late.IsZero() || !t.story.State.Status.Ended()):
		return time.Time{}, nil
	case same && now.Before(late):
		return late, nil
	}
	if at := latest(d.notBefore(t), d.pace.free(slackapi.MethodUpdate, "", now)); at.After(now) {
		return at, nil
	}
	return d.change(ctx, t, e, m, late)
}

// lateEdits is until when earlier edits may still land; zero when all are over.
func (d *Desk) lateEdits(e *entry) time.Time {
	if e.spared {
		return e.floor
	}
	return d.over(e)
}

// notBefore is when the card may be edited again.
func (d *Desk) notBefore(t *track) time.Time {
	if t.edited.IsZero() {
		return t.edited
	}
	if t.story.State.Status == run.Queued {
		return t.edited.Add(placeFactor * d.cfg.EditInterval)
	}
	return t.edited.Add(d.cfg.EditInterval)
}

// change announces the edit, edits, and records what is shown.
func (d *Desk) change(ctx context.Context, t *track, e *entry, m card.Message, late time.Time) (time.Time, error) {
	began := d.cfg.Now()
	sequence := t.story.State.Sequence
	err := d.write(ctx, t, e, func(c *commandv1.Card) {
		c.State, c.Editing = commandv1.Card_STATE_EDITING, sequence
		c.Deadline = timestamppb.New(latest(late, began.Add(d.cfg.Window)))
	})
	if lost(err) {
		return d.cfg.Now(), nil
	}
	if err != nil {
		return time.Time{}, err
	}
	if d.late(e, began) {
		return d.cfg.Now(), nil
	}
	e.spared, t.edited = false, began
	err = d.call(ctx, t, slackapi.MethodUpdate, "", func(ctx context.Context) error {
		return d.slack.Update(ctx, slackapi.Outgoing{Channel: e.card.GetChannel(), TS: e.card.GetTs(), Text: m.Text, Blocks: blocks(m)})
	})
	if err != nil {
		return d.unedited(ctx, t, e, late, err)
	}
	err = d.write(ctx, t, e, func(c *commandv1.Card) {
		c.State, c.Shown, c.Editing, c.Digest, c.Deadline = commandv1.Card_STATE_POSTED, sequence, 0, m.Digest(), nil
		if late.After(began) {
			c.Deadline = timestamppb.New(late)
		}
	})
	if err != nil && !lost(err) {
		return time.Time{}, err
	}
	return d.cfg.Now(), nil
}

// unedited handles an edit that failed.
func (d *Desk) unedited(ctx context.Context, t *track, e *entry, late time.Time, failure error) (time.Time, error) {
	now := d.cfg.Now()
	switch slackapi.OutcomeOf(failure) {
	case slackapi.Unknown, 0:
		return now, nil // it may land until its deadline, which stays in the ledger
	case slackapi.Limited, slackapi.Unsent, slackapi.Refused:
		e.spared, e.floor, t.edited = true, late, time.Time{}
	}
	code := slackapi.CodeOf(failure)
	switch {
	case code == "" || slackapi.Credential(failure):
		return now, nil
	case code == "message_not_found" && e.card.GetReason() != reasonDeleted:
		return d.anew(ctx, t, e)
	case slices.Contains(blockCodes, code) && !t.plain:
		d.logger.Error("Slack refused the blocks of a card; it gets plain text", "run", t.id, "error", failure)
		t.plain = true
		return now, nil
	}
	return d.undelivered(ctx, t, e, code, failure)
}

// anew lets the card be posted once more after people deleted it.
func (d *Desk) anew(ctx context.Context, t *track, e *entry) (time.Time, error) {
	err := d.write(ctx, t, e, func(c *commandv1.Card) {
		c.State, c.Ts, c.Digest, c.Deadline, c.Reason = commandv1.Card_STATE_UNSPECIFIED, "", nil, nil, reasonDeleted
	})
	if err != nil && !lost(err) {
		return time.Time{}, err
	}
	e.spared = false
	return d.cfg.Now(), nil
}
