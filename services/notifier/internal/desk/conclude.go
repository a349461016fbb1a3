package desk

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"slices"
	"time"

	"github.com/slipway-hq/slipway/domain/board"
	"github.com/slipway-hq/slipway/domain/run"
	commandv1 "github.com/slipway-hq/slipway/gen/slipway/command/v1"
	"github.com/slipway-hq/slipway/services/notifier/internal/card"
	"github.com/slipway-hq/slipway/services/notifier/internal/slackapi"
)

// spot is a place in Slack that a run reports to.
type spot struct{ channel, thread string }

func (t *track) spot() spot { return spot{t.job.channel, t.story.State.Origin.GetThreadTs()} }

// reportName is the key of a run's report in one place. Everybody who is told
// there has the same, so it is told once.
func reportName(s spot) string {
	sum := sha256.Sum256([]byte(s.channel + "\x00" + s.thread))
	return card.NameReport + "-" + hex.EncodeToString(sum[:8])
}

// conclude says how the run ended, in the place of the request: its report, why
// it failed, or who stopped it. A merged run that was asked for in the place of
// the one that executed leaves that to it.
func (d *Desk) conclude(ctx context.Context, t *track, _ card.View, e *entry) (time.Time, error) {
	if !t.over() || t.job.orphan || t.job.channel == "" || d.sharesSpot(t) {
		return time.Time{}, nil
	}
	result := &t.result().State
	m, err := t.entryOf(ctx, d.ledger, result.ID, reportName(t.spot()))
	if err != nil {
		return time.Time{}, err
	}
	v := d.verdictView(t, e)
	if told(m) {
		return d.regret(ctx, t, v, m)
	}
	if at := d.ready(m, t.job.channel); at.After(d.cfg.Now()) {
		return at, nil // before a large output is read
	}
	output, err := d.readOutput(ctx, result)
	if err != nil {
		return time.Time{}, err
	}
	message, worth := card.Report(v, output)
	if !worth {
		return time.Time{}, nil
	}
	l := t.here(message)
	l.sequence = result.Sequence
	return d.deliver(ctx, t, m, l)
}

// ready is when something can be done for a message.
func (d *Desk) ready(e *entry, channel string) time.Time {
	if e.card.GetState() == commandv1.Card_STATE_PENDING && !e.unsent {
		return latest(d.over(e), e.look)
	}
	return d.pace.free(slackapi.MethodPost, channel, d.cfg.Now())
}

// regret tells a requester in private that the end could not be said in their
// channel.
func (d *Desk) regret(ctx context.Context, t *track, v card.View, m *entry) (time.Time, error) {
	if m.card.GetState() != commandv1.Card_STATE_UNDELIVERED || private(t.job.channel) {
		return time.Time{}, nil
	}
	return d.notice(ctx, t, v, m)
}

// verdictView is the view of the run that was executed, for those who are told
// in this track's place.
func (d *Desk) verdictView(t *track, e *entry) card.View {
	story := t.result()
	v := card.View{Story: story, Short: story.State.ID, Carded: shown(e), Told: d.toldHere(t), Output: d.output(&story.State)}
	v.Shown = board.Shown{Status: story.State.Status, Reason: story.State.Reason}
	d.board.Read(func(b *board.Board) { v.Short = b.Short(story.State.ID) })
	if d.escalates(t) {
		v.Support = story.State.Plan.GetReport().GetSupportChannel()
	}
	return v
}

// toldHere are the people who asked in this track's place for what its result
// answers.
func (d *Desk) toldHere(t *track) []string {
	var users []string
	add := func(s *run.State) {
		user, here := s.Requester.GetUser(), d.spotOf(s) == t.spot()
		if here && user != "" && !background(s.Origin) && !slices.Contains(users, user) {
			users = append(users, user)
		}
	}
	add(&t.story.State)
	d.board.Read(func(b *board.Board) {
		l, ok := b.Live(t.result().State.ID)
		if !ok {
			return // long ago: whoever else asked has their reaction
		}
		for _, id := range l.Merged {
			if other, ok := b.Live(id); ok {
				add(&other.State)
			}
		}
	})
	return users
}

// spotOf is the place of a request, as far as its channel's id is known.
func (d *Desk) spotOf(s *run.State) spot {
	return spot{d.names.id(s.Origin.GetChannel()), s.Origin.GetThreadTs()}
}

// sharesSpot tells whether a merged run was asked for where the one was that
// executed for it.
func (d *Desk) sharesSpot(t *track) bool {
	return t.job.leader != nil && d.spotOf(&t.job.leader.State) == t.spot()
}

// failed tells whether a run ended so that support may be called.
func failed(s *run.State) bool { return s.Status == run.Failed || s.Status == run.TimedOut }

// escalates tells whether this track's requester wants a failure passed on:
// never what was asked for in private.
func (d *Desk) escalates(t *track) bool {
	r := t.result().State.Plan.GetReport()
	return failed(&t.result().State) && r.GetEscalate() && r.GetSupportChannel() != "" && !private(t.job.channel)
}

// escalate passes a failure on to support, once however many asked. The run that
// was executed does it; only where that was asked for in private one of those
// that merged into it does.
func (d *Desk) escalate(ctx context.Context, t *track, _ card.View, e *entry) (time.Time, error) {
	leader := t.job.leader
	if !t.over() || !d.escalates(t) || leader != nil && !private(d.names.id(leader.State.Origin.GetChannel())) {
		return time.Time{}, nil
	}
	result := &t.result().State
	m, err := t.entryOf(ctx, d.ledger, result.ID, card.NameEscalation)
	if err != nil || told(m) {
		return time.Time{}, err
	}
	channel, at, err := d.find(ctx, t, result.Plan.GetReport().GetSupportChannel())
	if err != nil || !at.IsZero() {
		return at, err
	}
	why := "Nobody in Slack asked for it."
	if t.job.channel != "" {
		failure, err := t.entryOf(ctx, d.ledger, result.ID, reportName(t.spot()))
		if err != nil {
			return time.Time{}, err
		}
		if why = "Its message could not be posted in " + card.Place(t.job.channel) + "."; failure.card.GetTs() != "" {
			if at := d.permalink(ctx, t, &t.job.failure, failure.card.GetChannel(), failure.card.GetTs()); !at.IsZero() {
				return at, nil
			}
			why = "Its message is in " + card.Place(t.job.channel) + "."
		}
	}
	v := d.verdictView(t, e)
	return d.deliver(ctx, t, m, letter{channel: channel, message: card.Escalation(v, t.job.failure.address, why), sequence: result.Sequence})
}

// maxLinkTries is how often the address of a message is asked for before what
// needs it goes without.
const maxLinkTries = 3

// link is the address of a message, once it is known.
type link struct {
	address string
	done    bool
	tries   int
}

// permalink asks Slack for the address of a message. Zero: it is known, or will
// never be.
func (d *Desk) permalink(ctx context.Context, t *track, l *link, channel, ts string) time.Time {
	if l.done || l.tries >= maxLinkTries {
		return time.Time{}
	}
	now := d.cfg.Now()
	if at := d.pace.free(slackapi.MethodPermalink, "", now); at.After(now) {
		return at
	}
	err := d.call(ctx, t, slackapi.MethodPermalink, "", func(ctx context.Context) (err error) {
		l.address, err = d.slack.Permalink(ctx, channel, ts)
		return err
	})
	switch slackapi.OutcomeOf(err) {
	case slackapi.Limited:
	case slackapi.Refused:
		l.done = !slackapi.Credential(err)
	case slackapi.Unknown, slackapi.Unsent:
		l.tries++
	default:
		l.done = true
	}
	return d.cfg.Now()
}
