package desk

import (
	"context"
	"strings"
	"time"

	"github.com/slipway-hq/slipway/domain/board"
	"github.com/slipway-hq/slipway/domain/run"
	commandv1 "github.com/slipway-hq/slipway/gen/slipway/command/v1"
	eventv1 "github.com/slipway-hq/slipway/gen/slipway/event/v1"
	"github.com/slipway-hq/slipway/services/notifier/internal/card"
)

// slowLook is how long a job runs without a card that shows it: one that ends
// sooner speaks for itself.
const slowLook = 10 * time.Second

// jobTrack is what a desk knows of a job beside its story.
type jobTrack struct {
	// leader is the run that executes for this one, once it has merged; wanted
	// the sequence that its story has to reach.
	leader *card.Story
	wanted uint64
	orphan bool // there is no such run
	into   string

	channel  string // of the request, by its id
	accepted signal
	ended    signal
	noted    int  // notes that need nothing more
	failure  link // of the message that says how it failed
	cardLink link
}

// duty is something that a job may have to do in Slack: at most one call of it.
// It returns when to go on: not after now for at once, zero when nothing is left.
type duty func(ctx context.Context, t *track, v card.View, e *entry) (time.Time, error)

// actJob is act for a job. Its card is one message among others, which is there
// or not; its key in the ledger says either way when all is done.
func (d *Desk) actJob(ctx context.Context, t *track, e *entry) (time.Time, error) {
	if t.story.AtDoor && !background(t.story.State.Origin) {
		t.settled = true // who asked was told so at once
		return time.Time{}, nil
	}
	if at, err := d.lead(ctx, t); err != nil || !at.IsZero() {
		return at, err
	}
	channel, at, err := d.find(ctx, t, t.story.State.Origin.GetChannel())
	if err != nil || !at.IsZero() {
		return at, err
	}
	t.job.channel = channel
	v := d.view(t)
	var first time.Time
	for _, try := range []duty{d.speak, d.announce, d.showCard} {
		at, err := try(ctx, t, v, e)
		if err != nil || !at.IsZero() && !at.After(d.cfg.Now()) {
			return at, err
		}
		first = sooner(first, at)
	}
	if first.IsZero() && t.over() {
		return d.settle(ctx, t, e)
	}
	return first, nil
}

// background tells whether nobody was there to be told what became of a request.
func background(o *eventv1.Origin) bool {
	return o.GetDoor() == eventv1.Origin_DOOR_WEBHOOK || o.GetDoor() == eventv1.Origin_DOOR_SCHEDULE || o.GetBot() != ""
}

// private tells whether a channel is a direct conversation.
func private(channel string) bool { return strings.HasPrefix(channel, "D") }

// result is the story whose end the requester is told: the run's own, or that of
// the one that executes for it.
func (t *track) result() *card.Story {
	if t.job.leader != nil {
		return t.job.leader
	}
	return &t.story
}

// over tells whether the result is there.
func (t *track) over() bool {
	return t.story.State.Status.Ended() && (t.job.orphan || t.result().State.Status.Ended())
}

// viewJob adds to a view what only jobs have.
func (d *Desk) viewJob(t *track, v *card.View) {
	if l := t.job.leader; l != nil {
		v.Leader = &card.Leader{Status: l.State.Status, Reason: l.State.Reason}
	}
	d.board.Read(func(b *board.Board) {
		if v.Leader != nil {
			v.Leader.Short = b.Short(t.job.leader.State.ID)
		}
		for _, id := range together(b, t.id) {
			m := card.Member{Short: b.Short(id)}
			if l, ok := b.Live(id); ok {
				m.By = l.State.Requester
			}
			v.Together = append(v.Together, m)
		}
	})
}

// together lists the other runs that one execution answers, or will: those that
// the lane let it execute for, or those that wait with it.
func together(b *board.Board, id string) []string {
	l, ok := b.Live(id)
	if !ok || len(l.Merged) > 0 || l.Grant != 0 {
		if ok {
			return l.Merged
		}
		return nil
	}
	ln, ok := b.Lane(l.State.Plan.GetLane())
	if !ok {
		return nil
	}
	unit, _, ok := ln.Queue.Find(id)
	if !ok || unit.Head().Policy != eventv1.Dedupe_POLICY_MERGE {
		return nil
	}
	var others []string
	for _, c := range unit.Members {
		if c.Run != id {
			others = append(others, c.Run)
		}
	}
	return others
}

// speak says, in order and in the place of the request, what there is to say.
func (d *Desk) speak(ctx context.Context, t *track, v card.View, e *entry) (time.Time, error) {
	for _, say := range []duty{d.signals, d.ask, d.tellHold, d.tellSource, d.tellNotes, d.cardFirst, d.conclude, d.escalate, d.lateSignals} {
		if at, err := say(ctx, t, v, e); err != nil || !at.IsZero() {
			return at, err
		}
	}
	return time.Time{}, nil
}

// cardFirst posts the card of a run that ended without one and is to have one:
// where it shows a good end, no line need say so.
func (d *Desk) cardFirst(ctx context.Context, t *track, v card.View, e *entry) (time.Time, error) {
	pending := e.card.GetState() == commandv1.Card_STATE_PENDING
	if !t.over() || !pending && (e.card.GetState() != commandv1.Card_STATE_UNSPECIFIED || d.cardDue(t).IsZero()) {
		return time.Time{}, nil
	}
	return d.showCard(ctx, t, v, e)
}

// say delivers one message of the run itself to the place of the request.
func (d *Desk) say(ctx context.Context, t *track, name string, m func() card.Message) (time.Time, error) {
	if t.job.channel == "" {
		return time.Time{}, nil
	}
	e, err := t.entry(ctx, d.ledger, name)
	if err != nil || told(e) {
		return time.Time{}, err
	}
	return d.deliver(ctx, t, e, t.here(m()))
}

// here is a letter to the place of the request: its thread, exactly when it was
// made in one.
func (t *track) here(m card.Message) letter {
	return letter{channel: t.job.channel, thread: t.story.State.Origin.GetThreadTs(), message: m, sequence: t.story.State.Sequence}
}

// ask says what the run asks of a person.
func (d *Desk) ask(ctx context.Context, t *track, v card.View, _ *entry) (time.Time, error) {
	for _, m := range t.story.Milestones {
		if m.Kind != card.Asked || t.story.Passed(m) {
			continue
		}
		v.Told = d.toldHere(t)
		if at, err := d.say(ctx, t, m.Name, func() card.Message { return card.Question(v, m) }); err != nil || !at.IsZero() {
			return at, err
		}
	}
	return time.Time{}, nil
}

// tellHold says once that a run which nobody watches is held, unless its card
// says so.
func (d *Desk) tellHold(ctx context.Context, t *track, v card.View, _ *entry) (time.Time, error) {
	s := &t.story.State
	if v.Shown.Hold == nil || !background(s.Origin) || s.Plan.GetReport().GetCard() != eventv1.Report_CARD_NEVER {
		return time.Time{}, nil
	}
	return d.say(ctx, t, card.NameHeld, func() card.Message { return card.HeldNotice(v) })
}

func (d *Desk) tellSource(ctx context.Context, t *track, v card.View, _ *entry) (time.Time, error) {
	if t.story.State.Stale == "" {
		return time.Time{}, nil
	}
	return d.say(ctx, t, card.NameSource, func() card.Message { return card.SourceNotice(v) })
}

// tellNotes posts what the job itself said, in order.
func (d *Desk) tellNotes(ctx context.Context, t *track, v card.View, _ *entry) (time.Time, error) {
	for t.job.noted < len(t.story.State.Notes) {
		number := t.job.noted + 1
		n := t.story.State.Notes[t.job.noted]
		at, err := d.say(ctx, t, card.NoteName(number), func() card.Message { return card.NoteMessage(v, number, n) })
		if err != nil || !at.IsZero() {
			return at, err
		}
		t.job.noted = number
	}
	return time.Time{}, nil
}

// lastWords posts what a job said before its end and the log told only after
// everything else was shown.
func (d *Desk) lastWords(ctx context.Context, t *track, e *entry) (time.Time, error) {
	if len(t.story.State.Notes) == 0 {
		return time.Time{}, nil
	}
	channel, at, err := d.find(ctx, t, t.story.State.Origin.GetChannel())
	if err != nil || !at.IsZero() {
		return at, err
	}
	t.job.channel = channel
	return d.tellNotes(ctx, t, d.view(t), e)
}

// announce tells the channel for that of the start.
func (d *Desk) announce(ctx context.Context, t *track, v card.View, e *entry) (time.Time, error) {
	s := &t.story.State
	if s.Started.IsZero() || s.Plan.GetReport().GetLogsChannel() == "" {
		return time.Time{}, nil
	}
	m, err := t.entry(ctx, d.ledger, card.NameStart)
	if err != nil || told(m) {
		return time.Time{}, err
	}
	channel, at, err := d.find(ctx, t, s.Plan.GetReport().GetLogsChannel())
	if err != nil || !at.IsZero() {
		return at, err
	}
	if shown(e) && e.card.GetTs() != "" {
		if at := d.permalink(ctx, t, &t.job.cardLink, e.card.GetChannel(), e.card.GetTs()); !at.IsZero() {
			return at, nil
		}
	}
	return d.deliver(ctx, t, m, letter{channel: channel, message: card.StartNotice(v, t.job.cardLink.address), sequence: s.Sequence})
}

// shown tells whether a card is in Slack, or may be.
func shown(e *entry) bool {
	switch e.card.GetState() {
	case commandv1.Card_STATE_POSTED, commandv1.Card_STATE_EDITING, commandv1.Card_STATE_PENDING:
		return true
	case commandv1.Card_STATE_UNSPECIFIED, commandv1.Card_STATE_UNDELIVERED:
	}
	return false
}

// showCard posts the card of a job that has one, and keeps it up to date.
func (d *Desk) showCard(ctx context.Context, t *track, v card.View, e *entry) (time.Time, error) {
	if t.job.channel == "" {
		return time.Time{}, nil
	}
	switch e.card.GetState() {
	case commandv1.Card_STATE_POSTED, commandv1.Card_STATE_EDITING:
		at, err := d.edit(ctx, t, v, e)
		if err != nil || !at.IsZero() && !at.After(d.cfg.Now()) {
			return at, err
		}
		return sooner(at, d.nextTick(&t.story.State, v)), nil
	case commandv1.Card_STATE_UNDELIVERED:
		return d.insist(ctx, t, v, e)
	case commandv1.Card_STATE_UNSPECIFIED:
		if at := d.cardDue(t); at.IsZero() || at.After(d.cfg.Now()) {
			return at, nil
		}
	case commandv1.Card_STATE_PENDING:
	}
	return d.deliver(ctx, t, e, t.here(card.Render(v)))
}

// cardDue is when the job gets its card, as things stand; zero: never.
func (d *Desk) cardDue(t *track) time.Time {
	s := &t.story.State
	rule := s.Plan.GetReport().GetCard()
	switch {
	case rule == eventv1.Report_CARD_NEVER, s.Status == run.Refused:
		return time.Time{}
	case s.Status.Ended() && (rule != eventv1.Report_CARD_ALWAYS || s.Status == run.Merged):
		return time.Time{}
	case s.Status == run.Queued:
		return s.Created.Add(d.cfg.FirstLook)
	case rule == eventv1.Report_CARD_ALWAYS, t.story.Asking():
		return d.cfg.Now()
	case s.Started.IsZero():
		return s.Created.Add(d.cfg.FirstLook)
	}
	return s.Started.Add(slowLook)
}
