package orchestrator

import (
	"context"
	"fmt"

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
		if err := o.adopt(ctx, file); err != nil {
			return err
		}
		return o.awaitConfig(ctx, file.Digest)
	}
	if !o.haveConfig(ctx) {
		return fmt.Errorf("the configuration has %d problems:\n%w", len(problems), problems.Err())
	}
	o.refuseConfig(problems)
	return nil
}

// awaitConfig returns when the adopted configuration is the one with digest.
func (o *Orchestrator) awaitConfig(ctx context.Context, digest string) error {
	for {
		if a := o.adopted.Load(); a != nil && a.digest == digest {
			return nil
		}
		select {
		case <-o.taken:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func (o *Orchestrator) changed(ctx context.Context) func(*configfile.File, configfile.Problems) {
	return func(file *configfile.File, problems configfile.Problems) {
		if len(problems) > 0 {
			o.refuseConfig(problems)
			return
		}
		if err := o.adopt(ctx, file); err != nil && ctx.Err() == nil {
			o.logger.Error("changed configuration not adopted", "error", err)
		}
	}
}

func (o *Orchestrator) refuseConfig(problems configfile.Problems) {
	o.logger.Error("configuration refused, the one in force stays", "problems", len(problems), "first", problems[0].String())
	o.refused.Store(&problems)
}

func (o *Orchestrator) adopt(ctx context.Context, file *configfile.File) error {
	objects, err := topology.Objects(ctx, o.js)
	if err != nil {
		return fmt.Errorf("open the object store: %w", err)
	}
	if err := adopt(ctx, o.deps.Log, objects, file, o.deps.Now()); err != nil {
		return err
	}
	o.refused.Store(nil)
	return nil
}

// haveConfig tells whether the log holds a configuration that is usable here.
func (o *Orchestrator) haveConfig(ctx context.Context) bool {
	var c board.Config
	o.proj.Read(func(b *board.Board) { c = b.Config })
	ctx, cancel := context.WithTimeout(ctx, commandWait)
	defer cancel()
	return c.Sequence != 0 && o.awaitConfig(ctx, c.Digest) == nil
}

// takeConfigs puts what the log says is adopted into force, now and at each
// change, beside the fold: it may have to fetch and to create.
func (o *Orchestrator) takeConfigs(ctx context.Context) error {
	for {
		o.takeConfig(ctx)
		poke(o.taken)
		select {
		case <-o.changes:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func (o *Orchestrator) takeConfig(ctx context.Context) {
	var c board.Config
	o.proj.Read(func(b *board.Board) { c = b.Config })
	if c.Sequence == 0 {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, commandWait)
	defer cancel()
	objects, err := topology.Objects(ctx, o.js)
	if err == nil {
		var a *adopted
		if a, err = parseAdopted(ctx, objects, c); err == nil {
			o.adopted.Store(a)
			o.dispatcher.observe(projection.Change{Config: true})
			o.ensurePools(ctx, a.config)
			o.logger.Info("configuration adopted", "origin", c.Origin, "digest", short(c.Digest, 12), "sequence", c.Sequence)
			return
		}
	}
	o.logger.Error("adopted configuration not usable here, the last one stays", "error", err)
}

// ensurePools makes the consumers of the pools that are configured.
func (o *Orchestrator) ensurePools(ctx context.Context, cfg pipeline.Config) {
	for pool := range cfg.Pools {
		if err := topology.EnsurePool(ctx, o.js, o.cfg.Replicas, pool); err != nil {
			o.logger.Warn("pool not prepared, its first runner does it", "pool", pool, "error", err)
		}
	}
}
