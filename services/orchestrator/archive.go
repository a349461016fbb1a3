package orchestrator

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/slipway-hq/slipway/domain/board"
	apiv1 "github.com/slipway-hq/slipway/gen/slipway/api/v1"
	"github.com/slipway-hq/slipway/internal/runlog"
	"github.com/slipway-hq/slipway/internal/telemetry"
	"github.com/slipway-hq/slipway/internal/topology"
)

// LogSettings says how long output is kept, and where people find it.
type LogSettings struct {
	Age  time.Duration `name:"log-age" help:"How long the output of a run is kept after its end." default:"336h" env:"SLIPWAY_LOG_AGE"`
	Runs int           `name:"log-runs" help:"Of how many ended runs the output is kept at most." default:"10000" env:"SLIPWAY_LOG_RUNS"`

	PublicURL string           `name:"public-url" help:"How people reach this API in a browser, for links to the output of runs." env:"SLIPWAY_PUBLIC_URL"`
	LinkKey   telemetry.Secret `name:"link-key" env:"SLIPWAY_LINK_KEY" hidden:"" help:"Key shared with the notifier that signs links to the output of runs."`
}

const (
	defaultLogAge  = topology.LogAge
	defaultLogRuns = 10_000
)

// withDefaults fills in what a program without flags leaves open.
func (s LogSettings) withDefaults() LogSettings {
	if s.Age <= 0 {
		s.Age = defaultLogAge
	}
	if s.Runs <= 0 {
		s.Runs = defaultLogRuns
	}
	return s
}

// Link makes the addresses of the page with a run's output.
func (s LogSettings) Link() runlog.Link {
	return runlog.Link{Base: s.PublicURL, Key: []byte(s.LinkKey)}
}

const (
	// packEvery is how often ended runs are looked for whose output lies in LOGS.
	packEvery = 30 * time.Second
	// packAfter is how long after its end a run's output is packed. Runners send
	// output in the background and give a chunk up after ten tries of 5 s; what
	// comes even later is shown and packed as well, by a later look.
	packAfter = 2 * time.Minute
	// packBatch and packWait bound one look: so many runs, each so long.
	packBatch = 100
	packWait  = 2 * time.Minute
	// packFailures ends a look: the store is away or full.
	packFailures = 5
	// dropEvery is how often output over the limits is looked for.
	dropEvery = time.Hour
	// dropBatch bounds the deletions of one look.
	dropBatch = 1000
)

// archivist packs the output of ended runs and drops what is over the limits.
// The office spares work; two at once would harm nothing.
func (o *Orchestrator) archivist(ctx context.Context) error {
	return o.bucket.Office("archive", o.deps.Holder).Run(ctx, func(ctx context.Context) error {
		pack, drop, move := time.NewTicker(packEvery), time.NewTicker(dropEvery), time.NewTicker(archiveEvery)
		defer pack.Stop()
		defer drop.Stop()
		defer move.Stop()
		work := o.dropLogs // limits may have changed since the last start
		for {
			if err := work(ctx); err != nil && ctx.Err() == nil {
				o.logger.Warn("ended runs not tidied, tried again", "error", err)
			}
			select {
			case <-ctx.Done():
				return ctx.Err()
			case <-pack.C:
				work = o.packLogs
			case <-drop.C:
				work = o.dropLogs
			case <-move.C:
				work = o.archiveRuns
			}
		}
	})
}

// packLogs packs the output of runs that ended a while ago.
func (o *Orchestrator) packLogs(ctx context.Context) error {
	runs, err := o.logs.Waiting(ctx)
	if err != nil {
		return err
	}
	// In any order: what cannot be packed must not keep others from it for ever.
	rand.Shuffle(len(runs), func(i, j int) { runs[i], runs[j] = runs[j], runs[i] }) //nolint:gosec // not a secret
	before, packed, failures := o.deps.Now().Add(-packAfter), 0, 0
	for _, run := range runs {
		finished, ended := o.finished(run)
		if !ended || finished.After(before) {
			continue
		}
		done, failed := o.pack(ctx, run, finished)
		if failed != nil {
			if err, failures = failed, failures+1; failures == packFailures {
				break
			}
		}
		if done {
			if packed++; packed == packBatch {
				break
			}
		}
	}
	if packed > 0 {
		o.logger.Info("output of ended runs packed", "runs", packed)
	}
	return err
}

func (o *Orchestrator) pack(ctx context.Context, run string, finished time.Time) (bool, error) {
	ctx, cancel := context.WithTimeout(ctx, packWait)
	defer cancel()
	return o.logs.Pack(ctx, run, finished)
}

// finished tells when a run ended; ended is false for one that lives or is not
// known here.
func (o *Orchestrator) finished(run string) (at time.Time, ended bool) {
	o.proj.Read(func(b *board.Board) {
		if l, ok := b.Live(run); ok && !l.State.Status.Ended() {
			return
		}
		if s, ok := b.Summary(run); ok && s.Finished() > 0 {
			at, ended = time.UnixMilli(s.Finished()), true
		}
	})
	return at, ended
}

// dropLogs deletes output that is too old, and the oldest over the count. Only
// ended runs have a packed output; their history stays.
func (o *Orchestrator) dropLogs(ctx context.Context) error {
	kept, err := o.logs.Kept(ctx)
	if err != nil {
		return err
	}
	slices.SortFunc(kept, func(a, b runlog.Packed) int { return b.Finished.Compare(a.Finished) })
	before, dropped := o.deps.Now().Add(-o.cfg.Logs.Age), 0
	for i, p := range kept {
		if i < o.cfg.Logs.Runs && !p.Finished.Before(before) {
			continue
		}
		if _, ended := o.finished(p.Run); !ended {
			continue // the view may be behind
		}
		if err := o.logs.Drop(ctx, p.Run); err != nil {
			return err
		}
		if dropped++; dropped == dropBatch {
			break
		}
	}
	if dropped > 0 {
		o.logger.Info("old output deleted", "runs", dropped)
	}
	return nil
}

// logs tells doctor how much output is kept.
func (a *systemAPI) logs(ctx context.Context) []*apiv1.Check {
	kept, err := a.o.logs.Kept(ctx)
	if err != nil {
		return []*apiv1.Check{bad("logs", "what is kept cannot be read: "+err.Error(), "is NATS up?")}
	}
	waiting, err := a.o.logs.Waiting(ctx)
	if err != nil {
		return []*apiv1.Check{bad("logs", "what is kept cannot be read: "+err.Error(), "is NATS up?")}
	}
	var size, output uint64
	oldest := a.o.deps.Now()
	for _, p := range kept {
		size, output = size+p.Size, output+p.Output
		if p.Finished.Before(oldest) {
			oldest = p.Finished
		}
	}
	limit := a.o.cfg.Logs
	finding := fmt.Sprintf("output of %d ended runs is kept, %s packed from %s, and of %d runs as it came; the limits are %s and %d runs",
		len(kept), bytesOf(size), bytesOf(output), len(waiting), limit.Age, limit.Runs)
	if len(kept) > 0 {
		finding += "; the oldest is of " + oldest.UTC().Format(time.DateOnly)
	}
	return []*apiv1.Check{good("logs", finding)}
}

// bytesOf writes a size for people.
func bytesOf(n uint64) string {
	const step = 1024
	if n < step {
		return fmt.Sprintf("%d B", n)
	}
	value, unit := float64(n)/step, 0
	for ; value >= step && unit < 3; unit++ {
		value /= step
	}
	return fmt.Sprintf("%.1f %s", value, [...]string{"KiB", "MiB", "GiB", "TiB"}[unit])
}
