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

const (
	// artefactAge is how long after its end a run's artefacts stay, so that it
	// can be retried: as long as its logs.
	artefactAge = topology.LogAge
	// artefactEvery is how often old ones are looked for.
	artefactEvery = time.Hour
	// artefactBatch bounds the deletions of one look.
	artefactBatch = 1000
)

// dropArtefacts deletes the artefacts of runs that ended long ago. Those of a
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
	before, dropped := o.deps.Now().Add(-artefactAge), 0
	for _, info := range all {
		run, ok := artefactRun(info.Name)
		if !ok || dropped == artefactBatch || !o.endedBefore(run, before) {
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
// artefacts/RUN/STEP/ATTEMPT/FENCE/….
func artefactRun(object string) (string, bool) {
	rest, ok := strings.CutPrefix(object, "artefacts/")
	run, _, found := strings.Cut(rest, "/")
	return run, ok && found
}

func (o *Orchestrator) endedBefore(run string, limit time.Time) (yes bool) {
	o.proj.Read(func(b *board.Board) {
		if s, ok := b.Summary(run); ok {
			yes = s.Finished < limit.UnixMilli()
		}
	})
	return yes
}
