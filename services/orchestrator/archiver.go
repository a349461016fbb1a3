package orchestrator

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"golang.org/x/sync/errgroup"

	"github.com/slipway-hq/slipway/domain/board"
	"github.com/slipway-hq/slipway/domain/lane"
	"github.com/slipway-hq/slipway/domain/run"
	apiv1 "github.com/slipway-hq/slipway/gen/slipway/api/v1"
	eventv1 "github.com/slipway-hq/slipway/gen/slipway/event/v1"
	"github.com/slipway-hq/slipway/internal/archive"
	"github.com/slipway-hq/slipway/internal/engine"
	"github.com/slipway-hq/slipway/internal/eventlog"
	"github.com/slipway-hq/slipway/internal/projection"
	"github.com/slipway-hq/slipway/internal/topology"
)

// ArchiveSettings says when the records of ended runs leave the log.
type ArchiveSettings struct {
	After time.Duration `name:"archive-after" help:"How long after its end a run's records move from the log to the archive in the object store; history still finds them. At least 744h, and no less than --log-age. 0: never." default:"0" env:"SLIPWAY_ARCHIVE_AFTER"`
}

// MinArchiveAge is longer than any time for which a run matters after its end: a
// lane's rate and its holds, the wait of an equal request, a schedule's firing, a
// webhook's repetition, artefacts that a retry carries over.
const MinArchiveAge = lane.MaxHold + 24*time.Hour

// check refuses an age that is too short.
func (s ArchiveSettings) check(logs LogSettings) error {
	least := max(MinArchiveAge, logs.Age)
	if s.After != 0 && s.After < least {
		return fmt.Errorf("archive-after is %s and has to be %s at least, or 0: what ended later may still be counted, merged with, retried or read", s.After, least)
	}
	return nil
}

const (
	// archiveEvery is how often old runs are looked for.
	archiveEvery = 10 * time.Minute
	// archiveBatches bounds one look: 20,000 runs.
	archiveBatches = 40
	// archiveParallel bounds the runs that are read, committed or purged at once.
	archiveParallel = 64
	// maxAnnounced bounds the sequences of one commit: 10 bytes each at worst are
	// more than it holds, 3 are usual.
	maxAnnounced = 5000
)

// archiver moves ended runs from the log to the archive: first their records to
// an object that is read back, then a checkpoint on each run's subject, then an
// announcement of what will be gone, then the purge. A crash between any two
// leaves what the next archivist finishes; two at once do nothing twice.
type archiver struct {
	log     eventlog.Log
	purger  eventlog.Purger
	objects func(context.Context) (jetstream.ObjectStore, error)
	proj    *projection.Projection
	after   time.Duration
	now     func() time.Time
	logger  *slog.Logger
	// skip are runs that cannot be archived: their history is damaged.
	skip map[string]bool
	// A lane gets a checkpoint when so many commits, and so much time, have passed
	// since its last.
	laneCommits uint64
	laneEvery   time.Duration
}

func newArchiver(log eventlog.Log, purger eventlog.Purger, js jetstream.JetStream, proj *projection.Projection, after time.Duration, now func() time.Time, logger *slog.Logger) *archiver {
	objects := func(ctx context.Context) (jetstream.ObjectStore, error) { return topology.Objects(ctx, js) }
	return &archiver{log: log, purger: purger, objects: objects, proj: proj, after: after, now: now, logger: logger, skip: map[string]bool{}, laneCommits: checkpointCommits, laneEvery: checkpointEvery}
}

// errMoved: something was appended to a run after its records were read.
var errMoved = errors.New("the run has moved on")

var archiveActor = &eventv1.Principal{Kind: eventv1.Principal_KIND_SYSTEM, Name: "archivist"}

// pass finishes what another began, then archives what is old enough.
func (a *archiver) pass(ctx context.Context) error {
	if err := a.finish(ctx); err != nil {
		return err
	}
	archived := 0
	for range archiveBatches {
		n, err := a.batch(ctx)
		if archived += n; err != nil {
			return err
		}
		if n == 0 {
			break
		}
	}
	if archived > 0 {
		a.logger.Info("old runs archived", "runs", archived)
	}
	return a.lanes(ctx)
}

// archiveRuns is one pass of the archiver, if there is to be one.
func (o *Orchestrator) archiveRuns(ctx context.Context) error {
	if o.archiver == nil || o.archiver.after == 0 {
		return nil
	}
	return o.archiver.pass(ctx)
}

// finish purges runs whose checkpoint stands and whose records are still there.
func (a *archiver) finish(ctx context.Context) error {
	var last []string
	a.proj.Read(func(b *board.Board) { last = b.LastArchived() })
	var mu sync.Mutex
	var left []purge
	err := each(ctx, last, func(ctx context.Context, id string) error {
		records, err := a.log.Load(ctx, topology.RunSubject(id), 0)
		if err != nil {
			return err
		}
		if n := len(records); n > 1 && archive.Checkpoint(records[n-1].Commit) != nil {
			mu.Lock()
			defer mu.Unlock()
			left = append(left, purgeOf(records[:n-1], records[n-1].Sequence))
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("look at what was archived last: %w", err)
	}
	return a.purge(ctx, left, "runs")
}

// each calls f for all ids, several at once.
func each(ctx context.Context, ids []string, f func(context.Context, string) error) error {
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(archiveParallel)
	for _, id := range ids {
		group.Go(func() error { return f(ctx, id) })
	}
	return group.Wait()
}

// old are the next runs to archive, oldest end first.
func (a *archiver) old() (ids []string) {
	before := a.now().Add(-a.after).UnixMilli()
	a.proj.Read(func(b *board.Board) {
		carried := carried(b)
		b.Archivable(func(s board.Summary) bool {
			if s.Finished() >= before || len(ids) == archive.MaxRuns {
				return false // those after it ended later
			}
			id := s.ID()
			if l, live := b.Live(id); !a.skip[id] && !carried[id] && (!live || l.Quarantined == "") {
				ids = append(ids, id)
			}
			return true
		})
	})
	return ids
}

// whole is a run with its records.
type whole struct {
	id      string
	records []eventlog.Record
	state   run.State
	place   archive.Place
}

// batch archives one object full of runs, and returns how many.
func (a *archiver) batch(ctx context.Context) (int, error) {
	runs, err := a.read(ctx, a.old())
	if err != nil || len(runs) == 0 {
		return 0, err
	}
	var pack archive.Batch
	for i := range runs {
		if !pack.Room(archive.Size(runs[i].records)) {
			runs = runs[:i]
			break
		}
		runs[i].place = pack.Add(runs[i].records)
	}
	objects, err := a.objects(ctx)
	if err != nil {
		return 0, err
	}
	name, digest, err := pack.Put(ctx, objects)
	if err != nil {
		return 0, fmt.Errorf("archive: %w", err)
	}
	purges := make([]purge, len(runs))
	group, each := errgroup.WithContext(ctx)
	group.SetLimit(archive.MaxRuns) // in one batch of the log
	for i, r := range runs {
		group.Go(func() (err error) {
			purges[i], err = a.checkpoint(each, r, name, digest)
			return err
		})
	}
	if err := group.Wait(); err != nil {
		return 0, fmt.Errorf("archive: %w", err)
	}
	if err := a.purge(ctx, purges, "runs"); err != nil {
		return 0, err
	}
	return len(runs), a.caughtUp(ctx, purges)
}

// caughtUp returns when the view knows what was archived.
func (a *archiver) caughtUp(ctx context.Context, purges []purge) error {
	last := uint64(0)
	for _, p := range purges {
		last = max(last, p.before)
	}
	return a.proj.WaitFor(ctx, last)
}

// read loads runs and verifies their chains. Damaged ones stay where they are.
func (a *archiver) read(ctx context.Context, ids []string) ([]whole, error) {
	found := make([]whole, len(ids))
	index := make(map[string]int, len(ids))
	for i, id := range ids {
		index[id] = i
	}
	err := each(ctx, ids, func(ctx context.Context, id string) (err error) {
		w := &found[index[id]]
		w.id = id
		w.records, err = a.log.Load(ctx, topology.RunSubject(id), 0)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("read runs to archive: %w", err)
	}
	var out []whole
	for _, w := range found {
		var at eventlog.Position
		var damage error
		for _, rec := range w.records {
			if damage = at.Verify(rec); damage != nil {
				break
			}
			at, w.state = rec.Position(), foldRun(w.state, rec)
		}
		w.state.ID = w.id
		switch {
		case damage != nil:
			a.skip[w.id] = true
			a.logger.Warn("run stays in the log, its history is not whole", "run", w.id, "error", damage)
		case w.state.Archived: // by another archivist
		case w.state.Status.Ended(): // else the log answered late, and the next look takes it
			out = append(out, w)
		}
	}
	return out, nil
}

// checkpoint commits that a run is archived, unless it has changed since it was
// read, and returns what may be purged then.
func (a *archiver) checkpoint(ctx context.Context, w whole, object string, digest []byte) (purge, error) {
	last := w.records[len(w.records)-1].Position()
	h := engine.Resume(a.log, topology.RunSubject(w.id), w.state, last, foldRun)
	res, err := h.Do(ctx, engine.Meta{Actor: archiveActor, Time: a.now()}, func(s run.State) ([]*eventv1.Event, error) {
		if h.Sequence() != last.Sequence && !s.Archived {
			return nil, errMoved
		}
		return run.Decide(s, run.Archive{
			Object: object, Digest: digest, Offset: w.place.Offset, Length: w.place.Length,
			Versions: last.Version, Request: w.records[0].Sequence, End: endOf(w.records),
		})
	})
	if errors.Is(err, errMoved) || err == nil && !res.Appended {
		return purge{}, nil // the next look takes it
	}
	if err != nil {
		return purge{}, err
	}
	return purgeOf(w.records, res.Record.Sequence), nil
}

// endOf is the sequence of the record that ended a run.
func endOf(records []eventlog.Record) uint64 {
	for _, rec := range records {
		for _, e := range rec.Commit.GetEvents() {
			if e.GetRunEnded() != nil || e.GetRunRefused() != nil {
				return rec.Sequence
			}
		}
	}
	return 0
}

// purge is what may go from a subject: all records before one.
type purge struct {
	subject   string
	before    uint64
	sequences []uint64
}

func purgeOf(records []eventlog.Record, before uint64) purge {
	p := purge{subject: records[0].Subject, before: before}
	for _, rec := range records {
		p.sequences = append(p.sequences, rec.Sequence)
	}
	return p
}

// purge announces what will be gone, and removes it.
func (a *archiver) purge(ctx context.Context, purges []purge, what string) error {
	var sequences []uint64
	before := map[string]uint64{}
	var subjects []string
	for _, p := range purges {
		if len(p.sequences) > 0 {
			sequences = append(sequences, p.sequences...)
			before[p.subject], subjects = p.before, append(subjects, p.subject)
		}
	}
	if err := a.announce(ctx, sequences, what); err != nil {
		return fmt.Errorf("announce a purge: %w", err)
	}
	return each(ctx, subjects, func(ctx context.Context, subject string) error {
		return a.purger.Purge(ctx, subject, before[subject])
	})
}

// announce commits which sequences will be gone.
func (a *archiver) announce(ctx context.Context, sequences []uint64, what string) error {
	for _, steps := range announcements(sequences) {
		at := eventlog.Position{}
		last, err := a.log.Last(ctx, topology.SubjectArchive)
		switch {
		case err == nil:
			at = last.Position()
		case !errors.Is(err, eventlog.ErrNotFound):
			return err
		}
		h := engine.Resume(a.log, topology.SubjectArchive, struct{}{}, at, func(s struct{}, _ eventlog.Record) struct{} { return s })
		if _, err := h.Do(ctx, engine.Meta{Actor: archiveActor, Time: a.now()}, func(struct{}) ([]*eventv1.Event, error) {
			return []*eventv1.Event{{Kind: &eventv1.Event_RecordsPurged{RecordsPurged: &eventv1.RecordsPurged{Steps: steps, What: what}}}}, nil
		}); err != nil {
			return err
		}
	}
	return nil
}

// announcements cuts sequences into what one commit holds each, as differences.
func announcements(sequences []uint64) (out [][]uint64) {
	slices.Sort(sequences)
	for part := range slices.Chunk(sequences, maxAnnounced) {
		steps, last := make([]uint64, len(part)), uint64(0)
		for i, at := range part {
			steps[i], last = at-last, at
		}
		out = append(out, steps)
	}
	return out
}

// archive tells doctor what is archived.
func (a *systemAPI) archive(context.Context) []*apiv1.Check {
	after := a.o.cfg.Archive.After
	archived, oldest := 0, time.Time{}
	a.o.proj.Read(func(b *board.Board) {
		archived = b.ArchivedCount()
		b.Archivable(func(s board.Summary) bool {
			oldest = time.UnixMilli(s.Finished())
			return false
		})
	})
	switch {
	case after == 0 && archived == 0:
		return []*apiv1.Check{good("archive", "off: every record stays in the log (--archive-after)")}
	case oldest.IsZero():
		return []*apiv1.Check{good("archive", fmt.Sprintf("%d runs are archived, all that have ended", archived))}
	}
	return []*apiv1.Check{good("archive", fmt.Sprintf("%d runs are archived; the oldest in the log ended %s, the limit is %s", archived, oldest.UTC().Format(time.DateOnly), after))}
}
