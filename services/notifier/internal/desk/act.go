package desk

import (
	"context"
	"time"

	"github.com/slipway-hq/slipway/domain/run"
	commandv1 "github.com/slipway-hq/slipway/gen/slipway/command/v1"
	"github.com/slipway-hq/slipway/services/notifier/internal/card"
	"github.com/slipway-hq/slipway/services/notifier/internal/slackapi"
)

// act does at most one thing for a run and tells when to look at it again: not
// after now for at once, zero when only a change brings new work. What people
// read comes before what mirrors it.
func (d *Desk) act(ctx context.Context, t *track) (time.Time, error) {
	if t.relay != nil {
		return d.actRelay(ctx, t)
	}
	at, err := d.attend(ctx, t)
	if err != nil || t.settled || !at.IsZero() && !at.After(d.cfg.Now()) {
		return at, err
	}
	mirrored, err := d.mirror(ctx, t)
	return sooner(at, mirrored), err
}

// attend is act for everything that people read.
func (d *Desk) attend(ctx context.Context, t *track) (time.Time, error) {
	if err := d.refresh(ctx, t); err != nil {
		return time.Time{}, err
	}
	if t.story.After < t.wanted {
		return d.cfg.Now().Add(reload), nil
	}
	if !d.ours(&t.story.State) {
		t.settled = true
		return time.Time{}, nil
	}
	e, err := t.entry(ctx, d.ledger, card.NameCard)
	if err != nil {
		return time.Time{}, err
	}
	if e.card.GetFinal() {
		at, err := d.lastWords(ctx, t, e)
		t.settled = err == nil && at.IsZero()
		return at, err
	}
	if t.story.State.IsJob() {
		return d.actJob(ctx, t, e)
	}
	v := d.view(t)
	switch e.card.GetState() {
	case commandv1.Card_STATE_POSTED, commandv1.Card_STATE_EDITING:
		return d.tend(ctx, t, v, e)
	case commandv1.Card_STATE_UNDELIVERED:
		return d.excuse(ctx, t, v, e)
	case commandv1.Card_STATE_UNSPECIFIED:
		at, now := t.story.State.Created.Add(d.cfg.FirstLook), d.cfg.Now()
		if t.story.State.Status == run.Queued && now.Before(at) && at.Sub(now) <= d.cfg.FirstLook { // not by a clock that was ahead
			return at, nil // most runs have started by then, and the next edit is seconds away
		}
	case commandv1.Card_STATE_PENDING:
	}
	return d.deliver(ctx, t, e, d.cardLetter(t, v))
}

func (d *Desk) cardLetter(t *track, v card.View) letter {
	return letter{channel: t.story.State.Origin.GetChannel(), message: card.Render(v), sequence: t.story.State.Sequence}
}

// tend keeps a posted card, its thread and the reaction up to date. Whatever has
// to wait does not keep the rest from going on.
func (d *Desk) tend(ctx context.Context, t *track, v card.View, e *entry) (time.Time, error) {
	var first time.Time
	for _, try := range []func(context.Context, *track, card.View, *entry) (time.Time, error){d.edit, d.tell, d.react} {
		at, err := try(ctx, t, v, e)
		if err != nil || !at.IsZero() && !at.After(d.cfg.Now()) {
			return at, err
		}
		first = sooner(first, at)
	}
	s := &t.story.State
	if first.IsZero() && s.Status.Ended() {
		return d.settle(ctx, t, e)
	}
	return sooner(first, d.nextTick(s, v)), nil
}

// nextTick is when a card changes without a commit: the elapsed time moves on,
// a runner has connected, a rate allows the next start. Zero: it does not.
func (d *Desk) nextTick(s *run.State, v card.View) time.Time {
	switch {
	case s.Status.Ended():
		return time.Time{}
	case s.Status == run.Running:
		return s.Started.Add(v.Elapsed).Add(d.tick())
	}
	return d.cfg.Now().Add(d.tick())
}

// sooner is the earlier of two times; zero is never.
func sooner(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}

// settle marks that nothing is left to do for the run.
func (d *Desk) settle(ctx context.Context, t *track, e *entry) (time.Time, error) {
	if at, err := d.mirror(ctx, t); err != nil || !at.IsZero() {
		return at, err
	}
	err := d.write(ctx, t, e, func(c *commandv1.Card) { c.Final, c.Deadline = true, nil })
	if lost(err) {
		return d.cfg.Now(), nil
	}
	if err != nil {
		return time.Time{}, err
	}
	t.settled = true
	d.metrics.settled.Add(ctx, 1)
	return time.Time{}, nil
}

// tell posts the next milestone that was not told yet. They keep their order.
func (d *Desk) tell(ctx context.Context, t *track, v card.View, parent *entry) (time.Time, error) {
	for _, m := range t.story.Milestones {
		e, err := t.entry(ctx, d.ledger, m.Name)
		if err != nil {
			return time.Time{}, err
		}
		if told(e) || t.story.Passed(m) {
			continue
		}
		return d.deliver(ctx, t, e, letter{
			channel: parent.card.GetChannel(), thread: parent.card.GetTs(), message: card.Reply(v, m), sequence: m.Sequence,
		})
	}
	return time.Time{}, nil
}

// told tells whether a milestone needs nothing more.
func told(e *entry) bool {
	return e.card.GetState() == commandv1.Card_STATE_POSTED || e.card.GetState() == commandv1.Card_STATE_UNDELIVERED
}

// react marks the person's own message at the end. Adding a reaction twice is
// adding it once, so nothing is remembered beyond the end of the run.
func (d *Desk) react(ctx context.Context, t *track, _ card.View, _ *entry) (time.Time, error) {
	s := &t.story.State
	emoji := card.Reaction(s.Status)
	if t.reacted || emoji == "" || s.Origin.GetMessageTs() == "" {
		return time.Time{}, nil
	}
	now := d.cfg.Now()
	if at := d.pace.free(slackapi.MethodReact, "", now); at.After(now) {
		return at, nil
	}
	err := d.call(ctx, t, slackapi.MethodReact, "", func(ctx context.Context) error {
		return d.slack.React(ctx, s.Origin.GetChannel(), s.Origin.GetMessageTs(), emoji)
	})
	switch slackapi.OutcomeOf(err) {
	case slackapi.Refused:
		if slackapi.Credential(err) {
			break
		}
		d.logger.Warn("the request's own message gets no reaction", "run", t.id, "error", err)
		t.reacted = true
	case slackapi.Limited, slackapi.Unknown, slackapi.Unsent:
	default:
		t.reacted = true
	}
	return d.cfg.Now(), nil
}
