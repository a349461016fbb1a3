package desk

import (
	"context"
	"time"

	"github.com/slipway-hq/slipway/domain/run"
	"github.com/slipway-hq/slipway/services/notifier/internal/card"
	"github.com/slipway-hq/slipway/services/notifier/internal/slackapi"
)

const (
	// earlyTries is how often a reaction is tried before what comes after it no
	// longer waits; lateTries, in all, before it is left out. A rate limit counts
	// as no try.
	earlyTries = 3
	lateTries  = 6
	// acceptLate is how long after its end a run still gets the sign that it was
	// accepted: a quick one shows both, one found much later only how it ended.
	acceptLate = 10 * time.Second
)

// signal is a reaction on the person's own message. Adding one twice is adding it
// once, so nothing is remembered beyond this process.
type signal struct {
	done  bool
	tries int
}

// signals marks the person's message: accepted, and how it ended, before anything
// else is said.
func (d *Desk) signals(ctx context.Context, t *track, _ card.View, _ *entry) (time.Time, error) {
	s := &t.story.State
	now := d.cfg.Now()
	hurry := d.pace.free(slackapi.MethodReact, "", now).After(now)                   // then the end is worth more than the beginning
	mirrored := s.Plan.GetMirror().GetReaction() == s.Plan.GetReport().GetAccepted() // then the mirror adds it, and takes it away
	if !mirrored && (!s.Status.Ended() || now.Sub(s.Finished) < acceptLate && !hurry) {
		if at := d.signal(ctx, t, &t.job.accepted, t.mark(s.Plan.GetReport().GetAccepted()), earlyTries); !at.IsZero() {
			return at, nil
		}
	}
	return d.signal(ctx, t, &t.job.ended, t.mark(t.verdict()), earlyTries), nil
}

// lateSignals tries once more what failed, now that Slack has taken the report.
func (d *Desk) lateSignals(ctx context.Context, t *track, _ card.View, _ *entry) (time.Time, error) {
	return d.signal(ctx, t, &t.job.ended, t.mark(t.verdict()), lateTries), nil
}

// verdict is the emoji of the end; empty before it.
func (t *track) verdict() string {
	switch {
	case !t.over() || t.job.orphan:
		return ""
	case t.result().State.Status == run.Refused:
		return card.Reaction(run.Failed)
	}
	return card.Reaction(t.result().State.Status)
}

// mark is a reaction on a message.
type mark struct{ channel, ts, emoji string }

// mark is a reaction on the request's own message.
func (t *track) mark(emoji string) mark {
	return mark{t.job.channel, t.story.State.Origin.GetMessageTs(), emoji}
}

// signal adds a reaction, once. Zero: it is there, or nothing can be done.
func (d *Desk) signal(ctx context.Context, t *track, sig *signal, m mark, tries int) time.Time {
	if sig.done || sig.tries >= tries || m.emoji == "" || m.ts == "" || m.channel == "" {
		return time.Time{}
	}
	now := d.cfg.Now()
	if at := d.pace.free(slackapi.MethodReact, "", now); at.After(now) {
		return at
	}
	err := d.call(ctx, t, slackapi.MethodReact, "", func(ctx context.Context) error {
		return d.slack.React(ctx, m.channel, m.ts, m.emoji)
	})
	switch slackapi.OutcomeOf(err) {
	case slackapi.Limited:
	case slackapi.Unknown, slackapi.Unsent:
		sig.tries++
	case slackapi.Refused:
		if !slackapi.Credential(err) {
			d.logger.Warn("a message gets no reaction", "run", t.id, "reaction", m.emoji, "error", err)
			sig.done = true
		}
	default:
		sig.done = true
	}
	return d.cfg.Now()
}
