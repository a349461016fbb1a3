package desk

import (
	"context"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/slipway-hq/slipway/domain/board"
	"github.com/slipway-hq/slipway/domain/run"
	commandv1 "github.com/slipway-hq/slipway/gen/slipway/command/v1"
	"github.com/slipway-hq/slipway/services/notifier/internal/card"
	"github.com/slipway-hq/slipway/services/notifier/internal/slackapi"
)

const (
	// companionLook is how often a run that has ended looks whether the others
	// that the same message asked for have, too: they share its marks.
	companionLook = 2 * time.Second
	// removalLimit is how long after the end a mark is tried to be taken away
	// before it is left to people.
	removalLimit = 24 * time.Hour
	// warnEvery bounds how often one and the same trouble is said, whatever the
	// number of runs; maxWarned how many are remembered.
	warnEvery = time.Hour
	maxWarned = 100
)

// mirror shows a claim on the message that asked, and takes the marks away when
// the run has ended: at most one call of Slack, and none before everything that
// people read is said. Zero: nothing is left until something changes.
func (d *Desk) mirror(ctx context.Context, t *track) (time.Time, error) {
	turn := t.class == classMirror
	t.aside = false
	var first time.Time
	for _, b := range t.badges() {
		e, err := t.entry(ctx, d.ledger, b.name)
		if err != nil {
			return time.Time{}, err
		}
		m, at := d.dueAt(t, e, b)
		switch {
		case m == moveRest || at.After(d.cfg.Now()):
			first = sooner(first, at)
		case !turn && m != moveSeal:
			t.aside = true
			return d.cfg.Now(), nil
		default:
			return d.cfg.Now(), d.make(ctx, t, e, b, m)
		}
	}
	return first, nil
}

// dueAt is badge.due, as far as others and Slack's limits allow.
func (d *Desk) dueAt(t *track, e *entry, b badge) (move, time.Time) {
	now := d.cfg.Now()
	m, at := b.due(e, d.phase(t, b), d.over(e), now)
	switch m {
	case moveAdd:
		return m, d.pace.asideFree(b.add, now)
	case moveAsk:
		return m, d.pace.asideFree(slackapi.MethodPins, now)
	case moveRemove:
		if d.accompanied(t, b) {
			return moveRest, now.Add(companionLook)
		}
		return m, d.pace.asideFree(b.remove, now)
	case moveRest, moveSeal:
	}
	return m, at
}

// phase is how far the run is, or for a merged one that which executes for it. A
// job's reaction that is also the sign of acceptance begins with that.
func (d *Desk) phase(t *track, b badge) phase {
	s := &t.story.State
	unled := s.Status == run.Merged && t.job.leader == nil && !t.job.orphan
	accepted := b.emoji != "" && s.IsJob() && b.emoji == s.Plan.GetReport().GetAccepted()
	switch begun := accepted || !t.result().State.Started.IsZero(); {
	case unled, !begun:
		return phaseBefore
	case t.over():
		return phaseOver
	case t.spotOfMark().ts == "":
		return phaseBefore
	}
	return phaseLive
}

// spotOfMark is the message that asked; where nobody wrote one, as with a slash
// command, the card stands in.
func (t *track) spotOfMark() mark {
	origin := t.story.State.Origin
	if t.story.State.IsJob() && t.job.channel == "" {
		return mark{}
	}
	if origin.GetMessageTs() != "" {
		channel := origin.GetChannel()
		if t.story.State.IsJob() {
			channel = t.job.channel
		}
		return mark{channel: channel, ts: origin.GetMessageTs()}
	}
	if e := t.known(card.NameCard); e != nil && shown(e) {
		return mark{channel: e.card.GetChannel(), ts: e.card.GetTs()}
	}
	return mark{}
}

// accompanied tells whether another run that the same message asked for is live
// and shows the same mark there.
func (d *Desk) accompanied(t *track, b badge) bool {
	origin, found := t.story.State.Origin, false
	if origin.GetMessageTs() == "" {
		return false
	}
	d.board.Read(func(all *board.Board) {
		all.Each(func(l *board.Live) {
			o, m := l.State.Origin, l.State.Plan.GetMirror()
			same := l.State.ID != t.id && o.GetMessageTs() == origin.GetMessageTs() && o.GetChannel() == origin.GetChannel()
			marks := b.emoji == "" && m.GetPin() || b.emoji != "" && m.GetReaction() == b.emoji
			found = found || same && marks && !l.State.Status.Ended()
		})
	})
	return found
}

func (d *Desk) make(ctx context.Context, t *track, e *entry, b badge, m move) error {
	switch m {
	case moveAdd:
		return d.addMark(ctx, t, e, b)
	case moveAsk:
		return d.askMark(ctx, t, e)
	case moveRemove:
		return d.removeMark(ctx, t, e, b)
	case moveSeal:
		return d.noteMark(ctx, t, e, func(c *commandv1.Card) { c.Final, c.Deadline = true, nil })
	case moveRest:
	}
	return nil
}

// noteMark is write; another desk's being faster only means to look again.
func (d *Desk) noteMark(ctx context.Context, t *track, e *entry, change func(*commandv1.Card)) error {
	err := d.write(ctx, t, e, change)
	if lost(err) {
		return nil
	}
	return err
}

// addMark announces the mark, asks for it, and records what came of it.
func (d *Desk) addMark(ctx context.Context, t *track, e *entry, b badge) error {
	began, at := d.cfg.Now(), t.spotOfMark()
	again := e.card.GetState() == commandv1.Card_STATE_PENDING && !e.unsent
	err := d.write(ctx, t, e, func(c *commandv1.Card) {
		c.State, c.Channel, c.Ts = commandv1.Card_STATE_PENDING, at.channel, at.ts
		c.Deadline = timestamppb.New(began.Add(d.cfg.Window))
		if again {
			c.Ambiguous++
		}
	})
	if lost(err) {
		return nil
	}
	if err != nil {
		return err
	}
	if d.late(e, began) {
		return nil
	}
	e.unsent = false
	err = d.callAside(ctx, t, b.add, func(ctx context.Context) error {
		if b.emoji == "" {
			return d.slack.Pin(ctx, at.channel, at.ts)
		}
		return d.slack.React(ctx, at.channel, at.ts, b.emoji)
	})
	switch code := slackapi.CodeOf(err); {
	case err == nil:
		return d.ourMark(ctx, t, e)
	case code != "" && !slackapi.Credential(err):
		return d.refusedMark(ctx, t, e, code)
	case slackapi.OutcomeOf(err) != slackapi.Unknown:
		e.unsent = true
	}
	return nil
}

// ourMark records that the mark is there, and ours.
func (d *Desk) ourMark(ctx context.Context, t *track, e *entry) error {
	return d.noteMark(ctx, t, e, func(c *commandv1.Card) {
		c.State = commandv1.Card_STATE_POSTED
		closeAttempts(c)
	})
}

// refusedMark records that there is no mark of ours, and why.
func (d *Desk) refusedMark(ctx context.Context, t *track, e *entry, code string) error {
	return d.noteMark(ctx, t, e, func(c *commandv1.Card) {
		c.State, c.Reason = commandv1.Card_STATE_UNDELIVERED, code
		closeAttempts(c)
	})
}

// closeAttempts forgets the deadline, unless an attempt before the one that was
// answered may still land.
func closeAttempts(c *commandv1.Card) {
	if c.GetAmbiguous() == 0 {
		c.Deadline = nil
	}
}

// askMark finds out whether a pin of unknown outcome is ours. One that may be
// somebody else's is left alone.
func (d *Desk) askMark(ctx context.Context, t *track, e *entry) error {
	by := ""
	err := d.callAside(ctx, t, slackapi.MethodPins, func(ctx context.Context) (err error) {
		by, err = d.slack.PinnedBy(ctx, e.card.GetChannel(), e.card.GetTs())
		return err
	})
	switch code := slackapi.CodeOf(err); {
	case code != "" && !slackapi.Credential(err):
		return d.refusedMark(ctx, t, e, code)
	case err != nil:
		return d.tooLate(ctx, t, e)
	case by == "":
		e.unsent = true // it did not get there
		return nil
	case by == d.cfg.Identity.User:
		return d.ourMark(ctx, t, e)
	}
	return d.refusedMark(ctx, t, e, slackapi.AlreadyPinned)
}

// removeMark takes our mark away.
func (d *Desk) removeMark(ctx context.Context, t *track, e *entry, b badge) error {
	err := d.callAside(ctx, t, b.remove, func(ctx context.Context) error {
		if b.emoji == "" {
			return d.slack.Unpin(ctx, e.card.GetChannel(), e.card.GetTs())
		}
		return d.slack.Unreact(ctx, e.card.GetChannel(), e.card.GetTs(), b.emoji)
	})
	switch code := slackapi.CodeOf(err); {
	case err == nil:
		return d.noteMark(ctx, t, e, func(c *commandv1.Card) { c.Final, c.Deadline = true, nil })
	case code != "" && !slackapi.Credential(err):
		return d.leaveMark(ctx, t, e, code)
	}
	return d.tooLate(ctx, t, e)
}

// reasonLeft says that a mark was there for too long after the end.
const reasonLeft = "could not be taken away"

// tooLate gives up what could not be settled long after the end.
func (d *Desk) tooLate(ctx context.Context, t *track, e *entry) error {
	if s := &t.result().State; !t.over() || s.Finished.IsZero() || d.cfg.Now().Before(s.Finished.Add(removalLimit)) {
		return nil
	}
	return d.leaveMark(ctx, t, e, reasonLeft)
}

// leaveMark records that a mark of ours may stay where it is, and why.
func (d *Desk) leaveMark(ctx context.Context, t *track, e *entry, why string) error {
	return d.noteMark(ctx, t, e, func(c *commandv1.Card) {
		c.State, c.Reason, c.Final, c.Deadline = commandv1.Card_STATE_UNDELIVERED, why, true, nil
	})
}

// callAside is call for what mirrors claims: how it goes holds up nothing else,
// and trouble is said once, not for each run.
func (d *Desk) callAside(ctx context.Context, t *track, method string, f func(context.Context) error) error {
	now := d.cfg.Now()
	d.pace.took(method, "", now)
	d.pace.took(asideName(method), "", now)
	err := d.traced(ctx, t, method, f)
	d.pace.asideAnswered(method, err, d.cfg.Now())
	d.warn(t, method, err)
	return err
}

// warn says what mirroring suffers from.
func (d *Desk) warn(t *track, method string, err error) {
	outcome, code := slackapi.OutcomeOf(err), slackapi.CodeOf(err)
	if outcome == 0 || outcome == slackapi.Limited || code == slackapi.AlreadyPinned || slackapi.Credential(err) {
		return // good, soon good, somebody's own pin, or said elsewhere
	}
	now, what := d.cfg.Now(), method+" "+code
	if last, said := d.warned[what]; said && now.Before(last.Add(warnEvery)) {
		return
	}
	if len(d.warned) >= maxWarned {
		clear(d.warned)
	}
	d.warned[what] = now
	d.logger.Warn("claims are not mirrored as configured; runs and cards go on", "method", method, "run", t.id, "error", err)
}
