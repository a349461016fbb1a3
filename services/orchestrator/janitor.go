package orchestrator

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/slipway-hq/slipway/domain/board"
	"github.com/slipway-hq/slipway/internal/topology"
)

// janitorEvery is how often handled requests are dropped from INBOX, those that
// stalled are looked for, and memory streams that a restart of the server took are
// made again.
const janitorEvery = 2 * time.Second

func (o *Orchestrator) janitor(ctx context.Context) error {
	tick, rare := time.NewTicker(janitorEvery), time.NewTicker(artefactEvery)
	defer tick.Stop()
	defer rare.Stop()
	for {
		work := o.tidy
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		case <-rare.C:
			work = o.dropArtefacts
		}
		if err := work(ctx); err != nil && ctx.Err() == nil {
			o.logger.Warn("streams not tidied, tried again", "error", err)
		}
	}
}

func (o *Orchestrator) tidy(ctx context.Context) error {
	if err := o.volatile(ctx); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, commandWait)
	defer cancel()
	handled, open, err := topology.InboxHandled(ctx, o.js)
	if err != nil {
		return err
	}
	if o.stalled.look(handled, open, o.deps.Now()) {
		o.logger.Warn("requests in the inbox were not delivered again in time; all that are not handled are", "handled", handled, "open", open)
		if err := topology.RedeliverInbox(ctx, o.js); err != nil {
			return err
		}
	}
	return topology.PurgeInbox(ctx, o.js, o.aged.pass(handled, o.deps.Now()))
}

// volatile sees to the memory streams: it creates those that are missing, and
// when that does not get through, looks whether they have lost their majority.
func (o *Orchestrator) volatile(ctx context.Context) error {
	look, cancel := context.WithTimeout(ctx, commandWait)
	defer cancel()
	missing := topology.EnsureVolatile(look, o.js, o.spec())
	if missing == nil {
		grown, err := topology.Grow(look, o.js, o.spec())
		if len(grown) > 0 {
			o.logger.Info("memory streams have copies on all servers again", "streams", grown)
		}
		return err
	}
	again, cancel := context.WithTimeout(ctx, commandWait)
	defer cancel()
	made, err := o.keeper.Revive(again, o.js, o.spec())
	if len(made) > 0 {
		o.logger.Warn("memory streams that no server led were made again; hints and leases come back by themselves", "streams", made)
	}
	if len(made) > 0 && err == nil {
		return nil
	}
	return errors.Join(missing, err)
}

// stalled notices requests that were delivered, were never acknowledged and do
// not come again. The server's consumer goes by the wall clock of who leads it: one
// that was ahead has put them off until then.
type stalled struct {
	handled uint64
	since   time.Time // handled is the same since then, with requests open; zero: none are
}

// look notes what is handled and open now, and tells whether it is the same for
// so long that something is wrong; then it begins anew.
func (s *stalled) look(handled uint64, open int, now time.Time) bool {
	switch {
	case open == 0:
		s.since = time.Time{}
	case s.since.IsZero() || handled != s.handled:
		s.handled, s.since = handled, now
	case now.Sub(s.since) >= topology.InboxStalled:
		s.since = now
		return true
	}
	return false
}

// aged delays the purge of handled requests by the window in which INBOX knows
// repeats, because it forgets those of messages that are gone.
type aged struct {
	marks []mark
}

type mark struct {
	sequence uint64
	at       time.Time
}

// markEvery keeps the marks of one window few.
const markEvery = 30 * time.Second

// pass notes what is handled now and returns what was a window ago.
func (a *aged) pass(handled uint64, now time.Time) (purge uint64) {
	if n := len(a.marks); handled > 0 && (n == 0 || now.Sub(a.marks[n-1].at) >= markEvery) {
		a.marks = append(a.marks, mark{handled, now})
	}
	for len(a.marks) > 0 && now.Sub(a.marks[0].at) >= topology.DedupeWindow {
		purge = a.marks[0].sequence
		a.marks = a.marks[1:]
	}
	return purge
}

const (
	// artefactAge is how long after its end a run's artefacts stay, so that it
	// can be retried: as long as its logs.
	artefactAge = topology.LogAge
	// artefactEvery is how often old ones are looked for.
	artefactEvery = time.Hour
	// artefactBatch bounds the deletions of one look.
	artefactBatch = 1000
)

// dropArtefacts deletes the artefacts and reports of runs that ended long ago. Those of a
// run that nobody knows stay: the view may be behind.
func (o *Orchestrator) dropArtefacts(ctx context.Context) error {
	store, err := topology.Objects(ctx, o.js)
	if err != nil {
		return fmt.Errorf("open the object store: %w", err)
	}
	all, err := store.List(ctx)
	if errors.Is(err, jetstream.ErrNoObjectsFound) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("list artefacts: %w", err)
	}
	var kept map[string]bool
	o.proj.Read(func(b *board.Board) { kept = carried(b) })
	before, dropped := o.deps.Now().Add(-artefactAge), 0
	for _, info := range all {
		run, ok := artefactRun(info.Name)
		if !ok || kept[run] || dropped == artefactBatch || !o.endedBefore(run, before) {
			continue
		}
		if err := store.Delete(ctx, info.Name); err != nil {
			return fmt.Errorf("delete artefact %s: %w", info.Name, err)
		}
		dropped++
	}
	if dropped > 0 {
		o.logger.Info("old artefacts deleted", "count", dropped)
	}
	return nil
}

// artefactRun returns the run that an object belongs to: the runner names them
// artefacts/RUN/STEP/ATTEMPT/FENCE/…, and reports stdout/RUN/….
func artefactRun(object string) (string, bool) {
	kind, rest, _ := strings.Cut(object, "/")
	run, _, found := strings.Cut(rest, "/")
	return run, found && (kind == "artefacts" || kind == "stdout")
}

// carried are the runs whose finished steps a live retry builds on.
func carried(b *board.Board) map[string]bool {
	out := map[string]bool{}
	b.Each(func(l *board.Live) {
		for i := range l.State.Steps {
			if from := l.State.Steps[i].CarriedFrom; from != "" && !l.State.Status.Ended() {
				out[from] = true
			}
		}
	})
	return out
}

func (o *Orchestrator) endedBefore(run string, limit time.Time) (yes bool) {
	o.proj.Read(func(b *board.Board) {
		if s, ok := b.Summary(run); ok {
			yes = s.Finished() < limit.UnixMilli()
		}
	})
	return yes
}
