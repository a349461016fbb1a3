package orchestrator

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/slipway-hq/slipway/domain/board"
	"github.com/slipway-hq/slipway/domain/pipeline"
	"github.com/slipway-hq/slipway/internal/configfile"
	"github.com/slipway-hq/slipway/internal/projection"
	"github.com/slipway-hq/slipway/internal/topology"
)

// configure adopts the file at the start. A bad file refuses to start only when
// nothing was adopted before.
func (o *Orchestrator) configure(ctx context.Context) error {
	if o.cfg.File == "" {
		select {
		case <-o.taken: // what was adopted before, if anything, is in force
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	file, problems := configfile.Load(o.cfg.File)
	if len(problems) == 0 {
		at, err := o.adopt(ctx, file)
		if err != nil {
			return err
		}
		return o.awaitConfig(ctx, at)
	}
	if !o.haveConfig(ctx) {
		return fmt.Errorf("the configuration cannot be used:\n%w", problems.Err())
	}
	o.refuseConfig(problems)
	return nil
}

// awaitConfig returns when the configuration in force is that of sequence, or
// a later one: another replica may have adopted its own meanwhile.
func (o *Orchestrator) awaitConfig(ctx context.Context, sequence uint64) error {
	for {
		if a := o.adopted.Load(); a != nil && a.sequence >= sequence {
			return nil
		}
		select {
		case <-o.taken:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// changed follows a change of the file, and tries as long as the log or the
// object store is away: nobody would tell of the same change again.
func (o *Orchestrator) changed(ctx context.Context) func(*configfile.File, configfile.Problems) {
	return func(file *configfile.File, problems configfile.Problems) {
		for said := ""; ; file, problems = configfile.Load(o.cfg.File) {
			if len(problems) > 0 {
				o.refuseConfig(problems)
				return
			}
			_, err := o.adopt(ctx, file)
			if err == nil || ctx.Err() != nil {
				return
			}
			if err.Error() != said {
				said = err.Error()
				o.logger.Error("changed configuration not adopted, trying again", "error", err)
			}
			select {
			case <-time.After(againAfter):
			case <-ctx.Done():
				return
			}
		}
	}
}

func (o *Orchestrator) refuseConfig(problems configfile.Problems) {
	o.logger.Error("configuration refused, the one in force stays", "problems", len(problems), "first", problems[0].String())
	o.refused.Store(&problems)
}

// adopt returns the sequence at which the file's configuration was adopted.
func (o *Orchestrator) adopt(ctx context.Context, file *configfile.File) (uint64, error) {
	objects, err := topology.Objects(ctx, o.js)
	if err != nil {
		return 0, fmt.Errorf("open the object store: %w", err)
	}
	at, err := adopt(ctx, o.deps.Log, objects, file, o.deps.Now())
	if err != nil {
		return 0, err
	}
	o.refused.Store(nil)
	return at, nil
}

// haveConfig tells whether the log holds a configuration that is usable here.
func (o *Orchestrator) haveConfig(ctx context.Context) bool {
	var c board.Config
	o.proj.Read(func(b *board.Board) { c = b.Config })
	ctx, cancel := context.WithTimeout(ctx, commandWait)
	defer cancel()
	return c.Sequence != 0 && o.awaitConfig(ctx, c.Sequence) == nil
}

// takeConfigs puts what the log says is adopted into force, now and at each
// change, beside the fold: it may have to fetch and to create.
func (o *Orchestrator) takeConfigs(ctx context.Context) error {
	for {
		var again <-chan time.Time // never, unless it could not be fetched
		if err := o.takeConfig(ctx); err != nil && ctx.Err() == nil {
			o.logger.Error("adopted configuration not usable here, the last one stays", "error", err)
			if !errors.Is(err, errForeignConfig) {
				again = time.After(againAfter)
			}
		}
		poke(o.taken)
		select {
		case <-o.changes:
		case <-again:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func (o *Orchestrator) takeConfig(ctx context.Context) error {
	var c board.Config
	o.proj.Read(func(b *board.Board) { c = b.Config })
	if c.Sequence == 0 {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, commandWait)
	defer cancel()
	objects, err := topology.Objects(ctx, o.js)
	if err != nil {
		return fmt.Errorf("open the object store: %w", err)
	}
	a, err := parseAdopted(ctx, objects, c)
	if err != nil {
		return err
	}
	o.adopted.Store(a)
	o.dispatcher.observe(projection.Change{Config: true})
	o.ensurePools(ctx, a.config)
	o.logger.Info("configuration adopted", "origin", c.Origin, "digest", short(c.Digest, 12), "sequence", c.Sequence)
	return nil
}

// ensurePools makes the consumers of the pools that are configured.
func (o *Orchestrator) ensurePools(ctx context.Context, cfg pipeline.Config) {
	for pool := range cfg.Pools {
		if err := topology.EnsurePool(ctx, o.js, o.cfg.Replicas, pool); err != nil {
			o.logger.Warn("pool not prepared, its first runner does it", "pool", pool, "error", err)
		}
	}
}
