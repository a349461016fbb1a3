package orchestrator

import (
	"context"
	"errors"
	"fmt"
	"time"

	apiv1 "github.com/slipway-hq/slipway/gen/slipway/api/v1"
	"github.com/slipway-hq/slipway/internal/snapshot"
)

const (
	// snapshotCommits and snapshotEvery are after how many commits, and how long
	// after any, a snapshot is written: the next start folds a fifth of a second.
	snapshotCommits = 20_000
	snapshotEvery   = 10 * time.Minute
	// snapshotLook is how often that is looked at.
	snapshotLook = 5 * time.Second
	// snapshotWait bounds one snapshot, and lastWait the one at a clean stop.
	snapshotWait = time.Minute
	lastWait     = 3 * time.Second
	// snapshotClean is how often old ones are deleted.
	snapshotClean = 24 * time.Hour
)

// resume begins with the newest snapshot, unless there is none for this log.
func (o *Orchestrator) resume(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, snapshotWait)
	defer cancel()
	began := time.Now()
	at, err := snapshot.NewStore(o.js, o.deps.Log).Resume(ctx, o.proj)
	o.resumed.Store(&resumed{at: at, err: err})
	switch {
	case errors.Is(err, snapshot.ErrNone):
		o.logger.Debug("no snapshot, the whole log is folded")
	case err != nil:
		o.logger.Warn("snapshot not usable, the whole log is folded", "error", err)
	default:
		o.logger.Info("snapshot read", "sequence", at, "took", time.Since(began).Round(time.Millisecond))
	}
}

// resumed is what the start began with.
type resumed struct {
	at  uint64
	err error
}

// snapshots writes them, by an office: each replica would write the same.
func (o *Orchestrator) snapshots(ctx context.Context) error {
	return o.bucket.Office("snapshot", o.deps.Holder).Run(ctx, func(ctx context.Context) error {
		w := snapshot.NewStore(o.js, o.deps.Log).Writer(o.proj)
		return o.write(ctx, w)
	})
}

// scrubEvery is how often the whole log is read again and its chains verified.
const scrubEvery = 24 * time.Hour

// scrubs verifies the log in the background, in every replica, since each answers
// for its own view: at once where a start with a snapshot has not read what is
// before it.
func (o *Orchestrator) scrubs(ctx context.Context) error {
	tick := time.NewTicker(scrubEvery)
	defer tick.Stop()
	r := o.resumed.Load()
	for due := r != nil && r.err == nil; ; due = true {
		if due {
			if err := o.proj.Scrub(ctx); err != nil && ctx.Err() == nil {
				o.logger.Warn("the log was not verified, tried again", "error", err)
			}
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
	}
}

func (o *Orchestrator) write(ctx context.Context, w *snapshot.Writer) error {
	look, clean := time.NewTicker(snapshotLook), time.NewTicker(snapshotClean)
	defer look.Stop()
	defer clean.Stop()
	last := time.Now()
	for {
		select {
		case <-ctx.Done():
			o.save(context.WithoutCancel(ctx), w, lastWait)
			return ctx.Err()
		case <-clean.C:
			if err := w.Clean(ctx, o.deps.Now()); err != nil && ctx.Err() == nil {
				o.logger.Warn("old snapshots not deleted, tried again", "error", err)
			}
		case <-look.C:
			if n := w.Behind(); n >= snapshotCommits || n > 0 && time.Since(last) >= snapshotEvery {
				o.save(ctx, w, snapshotWait)
				last = time.Now()
			}
		}
	}
}

func (o *Orchestrator) save(ctx context.Context, w *snapshot.Writer, wait time.Duration) {
	if w.Behind() == 0 {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, wait)
	defer cancel()
	if _, err := w.Save(ctx); err != nil && ctx.Err() == nil {
		o.logger.Warn("snapshot not written, tried again", "error", err)
	}
}

// snapshot tells doctor what the start began with.
func (a *systemAPI) snapshot(context.Context) []*apiv1.Check {
	r := a.o.resumed.Load()
	switch {
	case r == nil:
		return nil
	case r.err == nil:
		return []*apiv1.Check{good("snapshot", fmt.Sprintf("this replica began with the one of sequence %d", r.at))}
	}
	return []*apiv1.Check{good("snapshot", "this replica folded the whole log: "+r.err.Error())}
}
