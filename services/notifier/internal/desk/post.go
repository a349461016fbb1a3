package desk

import (
	"context"
	"slices"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	commandv1 "github.com/slipway-hq/slipway/gen/slipway/command/v1"
	"github.com/slipway-hq/slipway/services/notifier/internal/card"
	"github.com/slipway-hq/slipway/services/notifier/internal/slackapi"
)

const (
	// looksNeeded is how often a post must be missing in the history before it
	// is sent again: Slack's search for its own writes lags.
	looksNeeded = 2
	// lookBack is how far before the attempt a look begins: our clock and Slack's
	// differ.
	lookBack = time.Minute
	// reasonDeleted marks a card that was posted again because people deleted it.
	reasonDeleted = "message_deleted"
)

// letter is a message on its way to a place.
type letter struct {
	channel, thread string
	message         card.Message
	sequence        uint64 // of the run that it shows
}

// file is the name of the file that a look in the history goes by; empty: it
// goes by the marker.
func (l letter) file(e *entry) string {
	if l.message.File == nil || e.plain {
		return ""
	}
	return l.message.File.Name
}

// deliver posts the letter of an entry once. It returns when to go on: not after
// now for at once.
func (d *Desk) deliver(ctx context.Context, t *track, e *entry, l letter) (time.Time, error) {
	if e.card.GetState() != commandv1.Card_STATE_PENDING || e.unsent {
		return d.send(ctx, t, e, l)
	}
	now := d.cfg.Now()
	if over := d.over(e); now.Before(over) {
		return over, nil // this desk's own earlier attempt, or another's
	}
	if e.looks < looksNeeded {
		return d.search(ctx, t, e, l)
	}
	return d.send(ctx, t, e, l)
}

// search looks for a post of unknown outcome and adopts it.
func (d *Desk) search(ctx context.Context, t *track, e *entry, l letter) (time.Time, error) {
	now := d.cfg.Now()
	method := slackapi.MethodHistory
	if l.thread != "" {
		method = slackapi.MethodReplies
	}
	if at := latest(e.look, d.pace.free(method, "", now)); at.After(now) {
		return at, nil
	}
	found := ""
	err := d.call(ctx, t, method, "", func(ctx context.Context) (err error) {
		found, err = d.slack.Find(ctx, slackapi.Search{
			Channel: e.card.GetChannel(), Thread: l.thread, Oldest: d.attempted(t, e).Add(-lookBack), Author: d.cfg.Identity,
			Marker: marker(e), File: l.file(e),
		})
		return err
	})
	switch {
	case found != "" && err == nil:
		d.metrics.adopted.Add(ctx, 1)
		return d.posted(ctx, t, e, slackapi.Posted{Channel: e.card.GetChannel(), TS: found}, 0, nil)
	case err != nil && (slackapi.OutcomeOf(err) != slackapi.Refused || slackapi.Credential(err)):
		return d.cfg.Now(), nil // that was no look; the pace says when to try again
	case err != nil:
		d.logger.Warn("the history cannot be read to find a post of unknown outcome", "run", t.id, "error", err)
	}
	e.looks++
	e.look = d.cfg.Now().Add(d.cfg.LookInterval)
	return d.cfg.Now(), nil
}

func latest(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// attempted is when the first of the entry's attempts may have been made. The
// clock that they were announced by may have been ahead: by another's, the run
// began before, and its messages are not older than it.
func (d *Desk) attempted(t *track, e *entry) time.Time {
	span := d.cfg.Window + looksNeeded*d.cfg.LookInterval + lastPause
	began := e.card.GetDeadline().AsTime().Add(-d.cfg.Window - time.Duration(e.card.GetAmbiguous())*span)
	if created := t.story.State.Created; !created.IsZero() && created.Before(began) {
		return created
	}
	return began
}

func marker(e *entry) slackapi.Marker {
	return slackapi.Marker{Run: e.card.GetRun(), Milestone: e.card.GetMilestone()}
}

// send announces the post, posts, and records where it went.
func (d *Desk) send(ctx context.Context, t *track, e *entry, l letter) (time.Time, error) {
	now := d.cfg.Now()
	at := d.pace.free(slackapi.MethodPost, l.channel, now)
	if l.file(e) != "" {
		at = latest(at, d.pace.free(slackapi.MethodComplete, "", now))
	}
	if at.After(now) {
		return at, nil
	}
	if l.file(e) != "" && e.upload == nil {
		return d.upload(ctx, t, e, l.message.File)
	}
	again := e.card.GetState() == commandv1.Card_STATE_PENDING && !e.unsent
	err := d.write(ctx, t, e, func(c *commandv1.Card) {
		c.State, c.Channel, c.Ts = commandv1.Card_STATE_PENDING, l.channel, ""
		c.Deadline = timestamppb.New(now.Add(d.cfg.Window))
		if again {
			c.Ambiguous++
		}
	})
	if lost(err) {
		return d.cfg.Now(), nil
	}
	if err != nil {
		return time.Time{}, err
	}
	if d.late(e, now) {
		return d.cfg.Now(), nil
	}
	if again {
		d.metrics.duplicates.Add(ctx, 1)
		d.logger.Warn("a post of unknown outcome is not in the history and is sent again", "run", t.id, "milestone", e.card.GetMilestone())
	}
	e.unsent, e.looks, e.look = false, 0, time.Time{}
	if l.file(e) != "" {
		return d.share(ctx, t, e, l)
	}
	m := t.fit(e, l.message)
	var posted slackapi.Posted
	err = d.call(ctx, t, slackapi.MethodPost, l.channel, func(ctx context.Context) (err error) {
		posted, err = d.slack.Post(ctx, slackapi.Outgoing{
			Channel: l.channel, Thread: l.thread, Text: m.Text, Blocks: blocks(m), Broadcast: m.Broadcast, Unfurl: m.Unfurl, Marker: marker(e),
		})
		return err
	})
	if err == nil {
		return d.posted(ctx, t, e, posted, l.sequence, m.Digest())
	}
	return d.unposted(ctx, t, e, err, l.message)
}

// fit takes the blocks away once Slack has refused them.
func (t *track) fit(e *entry, m card.Message) card.Message {
	if t.plain || e.plain {
		return m.Plain()
	}
	return m
}

func blocks(m card.Message) []byte {
	if m.Bare() {
		return nil
	}
	return m.JSON()
}

// posted records where a message is. Without digest nobody knows what it shows.
func (d *Desk) posted(ctx context.Context, t *track, e *entry, p slackapi.Posted, sequence uint64, digest []byte) (time.Time, error) {
	err := d.write(ctx, t, e, func(c *commandv1.Card) {
		c.State, c.Ts, c.Deadline = commandv1.Card_STATE_POSTED, p.TS, nil
		c.Shown, c.Digest = sequence, digest
		if p.Channel != "" {
			c.Channel = p.Channel
		}
		if c.GetReason() != reasonDeleted {
			c.Reason = ""
		}
	})
	if err != nil && !lost(err) {
		return time.Time{}, err
	}
	e.upload = nil
	if e.card.GetMilestone() == card.NameCard {
		t.edited = d.cfg.Now().Add(-d.cfg.EditInterval * 2 / 3) // the first edit may come sooner, but not at once
	}
	return d.cfg.Now(), nil
}

// blockCodes are refusals of what we rendered: plain text is tried once.
var blockCodes = []string{"invalid_blocks", "invalid_blocks_format", "msg_blocks_too_long", "msg_too_long", "invalid_arguments"}

// unposted handles a post that failed.
func (d *Desk) unposted(ctx context.Context, t *track, e *entry, failure error, m card.Message) (time.Time, error) {
	now := d.cfg.Now()
	switch slackapi.OutcomeOf(failure) {
	case slackapi.Limited, slackapi.Unsent:
		e.unsent = true
		return now, nil
	case slackapi.Refused:
	default:
		return now, nil // pending until its deadline
	}
	code := slackapi.CodeOf(failure)
	switch {
	case slackapi.Credential(failure):
		e.unsent = true
		return now, nil
	case slices.Contains(blockCodes, code) && !t.plain && !e.plain:
		d.logger.Error("Slack refused the blocks of a message; it gets plain text", "run", t.id, "milestone", e.card.GetMilestone(), "error", failure)
		if m.Raw == nil && m.Instead == "" {
			t.plain = true // our own blocks: the next ones fare no better
		}
		e.plain, e.unsent = true, true
		return now, nil
	}
	return d.undelivered(ctx, t, e, code, failure)
}

// undelivered records that Slack will not take a message.
func (d *Desk) undelivered(ctx context.Context, t *track, e *entry, code string, failure error) (time.Time, error) {
	d.metrics.undelivered.Add(ctx, 1)
	d.logger.Warn("Slack refused a message", "run", t.id, "milestone", e.card.GetMilestone(), "channel", e.card.GetChannel(), "error", failure)
	err := d.write(ctx, t, e, func(c *commandv1.Card) {
		c.State, c.Reason = commandv1.Card_STATE_UNDELIVERED, code
		c.Deadline = timestamppb.New(d.cfg.Now().Add(retryRefused))
	})
	if err != nil && !lost(err) {
		return time.Time{}, err
	}
	return d.cfg.Now(), nil
}
