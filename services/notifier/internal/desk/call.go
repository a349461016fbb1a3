package desk

import (
	"context"
	"errors"
	"time"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"

	"github.com/slipway-hq/slipway/internal/engine"
	"github.com/slipway-hq/slipway/services/notifier/internal/slackapi"
)

// lost tells whether err says that another desk was faster.
func lost(err error) bool { return errors.Is(err, ErrConflict) }

// late tells whether this process stood still between the announcement of an act
// and the act: by the time it would land, others may believe that it is over. The
// entry is read again, since they may have acted.
func (d *Desk) late(e *entry, announced time.Time) bool {
	if d.cfg.Now().Sub(announced) <= d.cfg.CallTimeout {
		return false
	}
	delete(e.home.entries, key(e.card.GetRun(), e.card.GetMilestone()))
	return true
}

// call calls Slack once, as a span of the trace that the run's newest commit
// belongs to, and notes how it went.
func (d *Desk) call(ctx context.Context, t *track, method, channel string, f func(context.Context) error) error {
	d.pace.took(method, channel, d.cfg.Now())
	failures := d.pace.failures
	err := d.traced(ctx, t, method, f)
	d.pace.answered(method, err, d.cfg.Now())
	d.report(method, err, failures)
	return err
}

// traced makes the call, as a span and in the numbers.
func (d *Desk) traced(ctx context.Context, t *track, method string, f func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(engine.ContextOf(ctx, t.story.Newest), d.cfg.CallTimeout)
	defer cancel()
	ctx, span := otel.Tracer(scope).Start(ctx, "slack "+method, trace.WithSpanKind(trace.SpanKindClient),
		trace.WithAttributes(attribute.String("slipway.run", t.id)))
	defer span.End()
	err := f(ctx)
	d.metrics.call(ctx, method, err)
	if err != nil {
		span.SetStatus(codes.Error, err.Error())
	}
	return err
}

// report logs what a person should know of Slack as a whole: once when it gets
// bad, once when it is well again.
func (d *Desk) report(method string, err error, failuresBefore int) {
	bad := slackapi.OutcomeOf(err) == slackapi.Unknown || slackapi.OutcomeOf(err) == slackapi.Unsent
	switch {
	case slackapi.Credential(err):
		d.logger.Error("Slack does not accept the bot token; cards wait until that is repaired", "method", method, "error", err)
	case err == nil && failuresBefore > 0:
		d.logger.Info("Slack answers again; cards catch up")
	case bad && failuresBefore == 0:
		d.logger.Warn("Slack does not answer as it should; cards wait, runs go on", "method", method, "error", err)
	}
}

// over is when what an entry announced is certainly over; zero: nothing is under
// way. Desks go by clocks of their own: a deadline that is further off than any
// call may take is another clock's, and then it is counted from here on.
func (d *Desk) over(e *entry) time.Time {
	if e.card.GetDeadline() == nil {
		return time.Time{}
	}
	stored, now := e.card.GetDeadline().AsTime(), d.cfg.Now()
	if stored.Sub(now) <= d.cfg.Window {
		return stored
	}
	if e.doubt.IsZero() {
		e.doubt = now.Add(d.cfg.Window)
	}
	return e.doubt
}
