package desk

import (
	"context"
	"time"

	"github.com/slipway-hq/slipway/services/notifier/internal/card"
	"github.com/slipway-hq/slipway/services/notifier/internal/slackapi"
)

// maxStrikes is how often a file may fail to be uploaded before text stands in.
const maxStrikes = 5

// uploaded is a file that Slack has and nobody sees yet.
type uploaded struct{ file string }

// upload brings the bytes of a message's file to Slack. Nobody sees that, so it
// is repeated as often as it takes; share shows it.
func (d *Desk) upload(ctx context.Context, t *track, e *entry, f *card.File) (time.Time, error) {
	now := d.cfg.Now()
	if at := latest(d.pace.free(slackapi.MethodUploadURL, "", now), d.pace.free(slackapi.MethodUpload, "", now)); at.After(now) {
		return at, nil
	}
	var to slackapi.Upload
	err := d.call(ctx, t, slackapi.MethodUploadURL, "", func(ctx context.Context) (err error) {
		to, err = d.slack.UploadURL(ctx, f.Name, f.Kind, len(f.Content))
		return err
	})
	if err == nil {
		err = d.call(ctx, t, slackapi.MethodUpload, "", func(ctx context.Context) error {
			return d.slack.Upload(ctx, to, f.Content)
		})
	}
	switch {
	case err == nil:
		e.upload = &uploaded{file: to.File}
	case slackapi.OutcomeOf(err) == slackapi.Limited, slackapi.Credential(err):
	case slackapi.OutcomeOf(err) == slackapi.Refused:
		d.fileRefused(t, e, err)
	default:
		if e.strikes++; e.strikes >= maxStrikes {
			d.fileRefused(t, e, err)
		}
	}
	return d.cfg.Now(), nil
}

// fileRefused lets text stand in for a file.
func (d *Desk) fileRefused(t *track, e *entry, err error) {
	d.logger.Warn("Slack does not take a file; its message gets plain text", "run", t.id, "milestone", e.card.GetMilestone(), "error", err)
	e.plain, e.upload = true, nil
}

// share shows an uploaded file, announced by the caller, and records that.
func (d *Desk) share(ctx context.Context, t *track, e *entry, l letter) (time.Time, error) {
	d.pace.took(slackapi.MethodPost, l.channel, d.cfg.Now()) // it is a message in the channel like any other
	err := d.call(ctx, t, slackapi.MethodComplete, "", func(ctx context.Context) error {
		return d.slack.Complete(ctx, slackapi.Share{
			File: e.upload.file, Title: l.message.File.Title, Channel: l.channel, Thread: l.thread, Comment: l.message.Text,
		})
	})
	switch {
	case err == nil:
		return d.posted(ctx, t, e, slackapi.Posted{Channel: l.channel}, l.sequence, l.message.Digest())
	case slackapi.OutcomeOf(err) != slackapi.Refused, slackapi.Credential(err):
		if slackapi.OutcomeOf(err) == slackapi.Unknown {
			e.upload = nil // if it has to be shown again, it has to be uploaded again
		}
		return d.unposted(ctx, t, e, err, l.message)
	case unplaceable[slackapi.CodeOf(err)]:
		return d.undelivered(ctx, t, e, slackapi.CodeOf(err), err) // text would fare no better
	}
	d.fileRefused(t, e, err)
	e.unsent = true
	return d.cfg.Now(), nil
}

// unplaceable are refusals of the place, not of the file.
var unplaceable = map[string]bool{
	"not_in_channel": true, "channel_not_found": true, "is_archived": true, "invalid_channel": true, "posting_to_channel_denied": true,
}
