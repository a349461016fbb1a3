package desk

import (
	"context"
	"time"

	commandv1 "github.com/slipway-hq/slipway/gen/slipway/command/v1"
	"github.com/slipway-hq/slipway/services/notifier/internal/card"
	"github.com/slipway-hq/slipway/services/notifier/internal/slackapi"
)

// retryRefused is how long a refused card rests before the run's next change
// makes another try: people are told to invite the bot, and do.
const retryRefused = 15 * time.Second

// excuse tells the requester why the card cannot be shown, and tries the card
// again while that may help, until the run has ended.
func (d *Desk) excuse(ctx context.Context, t *track, v card.View, e *entry) (time.Time, error) {
	at, err := d.insist(ctx, t, v, e)
	if err == nil && at.IsZero() && t.story.State.Status.Ended() {
		return d.settle(ctx, t, e)
	}
	return at, err
}

// insist is excuse without the end. Zero: there is nothing more to be done.
func (d *Desk) insist(ctx context.Context, t *track, v card.View, e *entry) (time.Time, error) {
	if at, err := d.notice(ctx, t, v, e); err != nil || !at.IsZero() {
		return at, err
	}
	now, again := d.cfg.Now(), e.card.GetDeadline().AsTime()
	switch _, curable := cures[e.card.GetReason()]; {
	case curable && !now.Before(again) && e.card.GetEditing() != t.story.State.Sequence:
		return d.again(ctx, t, v, e)
	case curable && now.Before(again) && e.card.GetEditing() != t.story.State.Sequence:
		return again, nil
	}
	return time.Time{}, nil
}

// again tries the card once more, once for each state of the run.
func (d *Desk) again(ctx context.Context, t *track, v card.View, e *entry) (time.Time, error) {
	err := d.write(ctx, t, e, func(c *commandv1.Card) {
		c.Editing, c.State, c.Deadline, c.Digest = t.story.State.Sequence, commandv1.Card_STATE_POSTED, nil, nil
		if c.GetTs() == "" {
			c.State = commandv1.Card_STATE_UNSPECIFIED
		}
	})
	if lost(err) {
		return d.cfg.Now(), nil
	}
	return d.cfg.Now(), err
}

// cures says what helps against a refusal, by Slack's code. Those with an entry
// are tried again.
var cures = map[string]string{
	"not_in_channel":    "I am not in it. Invite me there with `/invite @slipway`.",
	"channel_not_found": "I cannot see it. Invite me there with `/invite @slipway`.",
}

func because(code string) string {
	if text := cures[code]; text != "" {
		return text
	}
	switch code {
	case "is_archived":
		return "it is archived."
	case "message_not_found":
		return "its message was deleted twice."
	}
	return "Slack refused it (`" + code + "`)."
}

// notice says in a direct message why there is no card. Zero: it is said, or
// cannot be.
func (d *Desk) notice(ctx context.Context, t *track, v card.View, e *entry) (time.Time, error) {
	n, err := t.entry(ctx, d.ledger, card.NameNotice)
	user := t.story.State.Requester.GetUser()
	if err != nil || told(n) || user == "" {
		return time.Time{}, err
	}
	channel := n.card.GetChannel()
	if channel == "" {
		now := d.cfg.Now()
		if at := d.pace.free(slackapi.MethodOpen, "", now); at.After(now) {
			return at, nil
		}
		err := d.call(ctx, t, slackapi.MethodOpen, "", func(ctx context.Context) (err error) {
			channel, err = d.slack.OpenDirect(ctx, user)
			return err
		})
		switch {
		case slackapi.OutcomeOf(err) == slackapi.Refused && !slackapi.Credential(err):
			return d.undelivered(ctx, t, n, slackapi.CodeOf(err), err)
		case err != nil:
			return d.cfg.Now(), nil
		}
	}
	return d.deliver(ctx, t, n, letter{
		channel: channel, message: card.Notice(v, t.story.State.Origin.GetChannel(), because(e.card.GetReason())), sequence: t.story.State.Sequence,
	})
}
