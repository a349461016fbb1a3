package projection

import (
	"context"
	"errors"
	"time"

	eventv1 "github.com/slipway-hq/slipway/gen/slipway/event/v1"
	"github.com/slipway-hq/slipway/internal/eventlog"
	"github.com/slipway-hq/slipway/internal/topology"
)

const (
	// scrubRecords are read in one go, and scrubPause is between two: 20,000 records
	// a second, so that others have most of the machine.
	scrubRecords = 1000
	scrubPause   = 50 * time.Millisecond
)

// errScrubbed ends a scrub.
var errScrubbed = errors.New("all was read")

// Scrub reads the whole log again, slowly, and verifies every chain: a projection
// that began with a snapshot has not seen what became of the records before it.
// What is damaged is quarantined or noted. It returns when everything was read
// that is folded now, or with an error of the log.
func (p *Projection) Scrub(ctx context.Context) error {
	s := scrub{chains: map[string]eventlog.Position{}, broken: map[string]string{}}
	last := p.Sequence()
	if last == 0 {
		return nil
	}
	head, err := p.log.Head(ctx)
	if err != nil {
		return err
	}
	read := 0
	err = p.log.Follow(ctx, 0, func(rec eventlog.Record) error {
		s.apply(rec)
		if rec.Sequence >= min(last, head) {
			return errScrubbed
		}
		if read++; read%scrubRecords != 0 {
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(scrubPause):
			return nil
		}
	})
	if !errors.Is(err, errScrubbed) {
		return err
	}
	p.note(&s)
	return nil
}

// scrub knows the chains of what can still change, and nothing else.
type scrub struct {
	chains  map[string]eventlog.Position
	broken  map[string]string
	gaps    gaps
	follows uint64
}

func (s *scrub) apply(rec eventlog.Record) {
	if rec.Sequence > s.follows+1 {
		s.gaps.miss(s.follows+1, rec.Sequence-1)
	}
	s.follows = rec.Sequence
	at, known := s.chains[rec.Subject]
	_, isRun := topology.ParseRunSubject(rec.Subject)
	if isRun && !known && behindEnd(rec.Commit) {
		return // its chain was let go with its end
	}
	if err := at.Verify(rec); err != nil {
		if s.broken[rec.Subject] == "" {
			s.broken[rec.Subject] = err.Error()
		}
		s.gaps.attributeTo(at, rec)
		return
	}
	if rec.Subject == topology.SubjectArchive {
		for _, e := range rec.Commit.GetEvents() {
			s.gaps.announce(e.GetRecordsPurged())
		}
	}
	if isRun && ends(rec.Commit) {
		delete(s.chains, rec.Subject)
		return
	}
	s.chains[rec.Subject] = rec.Position()
}

// ends tells whether a commit is the end of a run.
func ends(c *eventv1.Commit) bool {
	for _, e := range c.GetEvents() {
		if e.GetRunEnded() != nil || e.GetRunRefused() != nil || e.GetRunArchived() != nil {
			return true
		}
	}
	return false
}

// behindEnd tells whether a commit may follow the end of a run.
func behindEnd(c *eventv1.Commit) bool {
	for _, e := range c.GetEvents() {
		if e.GetRunNoted() == nil && e.GetRunArchived() == nil {
			return false
		}
	}
	return c != nil && c.GetVersion() > 1
}

// note takes over what a scrub found.
func (p *Projection) note(s *scrub) {
	for subject, why := range s.broken {
		p.Quarantine(subject, why)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, r := range s.gaps.ranges(all) {
		p.gaps.miss(r.First, min(r.Last, p.follows))
	}
}
