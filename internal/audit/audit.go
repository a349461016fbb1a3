// Package audit checks what Slipway promises (docs/ARCHITECTURE.md, Guarantees)
// from outside: from the log (Check), from what steps did (Effects), from what
// Slack shows (Cards) and from what replicas answer (Views). It is for tests:
// simulations and fault runs give it the records and what callers were told. It shares no code with the minds that
// wrote the log: whatever they believe, it counts for itself, one record after
// the other, in the plainest way.
//
// Invariants: it never changes a record; it knows no order of the minds' own but
// the log's; an event that it does not know proves nothing and is passed over.
package audit

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	eventv1 "github.com/slipway-hq/slipway/gen/slipway/event/v1"
	"github.com/slipway-hq/slipway/internal/eventlog"
)

// maxFaults bounds what is listed: the first ones explain the others.
const maxFaults = 20

// Told is what callers heard and what the configuration says, which the log must
// agree with.
type Told struct {
	// Accepted are requests that were confirmed.
	Accepted []Command
	// Wishes are all commands that were ever sent, accepted or not; nil: nobody
	// has kept count.
	Wishes []Wish
	// Cancelled are runs whose cancellation was confirmed.
	Cancelled []string
	// Holds are the ids of holds that were confirmed.
	Holds []string
	// Limits of a lane by configuration.
	Limits func(lane string) Limits
	// Quiet: everything was healed and has come to rest, so every run has ended.
	Quiet bool
}

// Command is a confirmed request: its identity, empty where only the run is
// known, and the run that was named to the caller.
type Command struct{ Identity, Run string }

// Wish is a command as its sender knows it, however often it was sent and
// whoever received it. Accepted: it was acknowledged.
type Wish struct {
	Name     string
	Is       func(*eventv1.RunRequested) bool // tells its run from all others
	Accepted bool
}

// Limits of a lane; zero: none, but a concurrency of one.
type Limits struct {
	Concurrency, PerJob, PerNamespace, RateLimit int
	RatePeriod                                   time.Duration
}

// Check reads the log and returns what breaks a promise, at most maxFaults
// sentences, each beginning with the promise: chain, command, fence, step, end,
// lane, hold, pause, delay, merge.
func Check(records []eventlog.Record, told Told) []string {
	b := &book{
		told: told, runs: map[string]*entry{}, lanes: map[string]*queue{}, chains: map[string]link{},
		identities: map[string]string{}, commits: map[string]uint64{}, holds: map[string]bool{}, gone: map[string]bool{},
	}
	for _, rec := range records {
		b.foresee(rec)
	}
	clear(b.chains)
	for _, rec := range records {
		b.read(rec)
	}
	b.close()
	return b.faults
}

// book is what was counted so far.
type book struct {
	told       Told
	runs       map[string]*entry
	lanes      map[string]*queue
	chains     map[string]link
	identities map[string]string // to the run
	commits    map[string]uint64 // ids of commits, each stored once
	holds      map[string]bool
	gone       map[string]bool // runs of which a checkpoint is all that is left
	sequence   uint64
	faults     []string
}

// foresee notes runs whose records were purged: what lanes say of them stands
// before the checkpoint that is left.
func (b *book) foresee(rec eventlog.Record) {
	if id, ok := strings.CutPrefix(rec.Subject, "ev.run."); ok && !b.gone[id] {
		if _, before := b.chains[rec.Subject]; !before && checkpoint(rec) {
			b.gone[id] = true
		}
		b.chains[rec.Subject] = link{}
	}
}

// checkpoint tells whether a record stands for all before it on its subject.
func checkpoint(rec eventlog.Record) bool {
	events := rec.Commit.GetEvents()
	return len(events) == 1 && rec.Commit.GetVersion() > 1 && (events[0].GetRunArchived() != nil || events[0].GetLaneCheckpoint() != nil)
}

// link is the end of a subject's chain.
type link struct {
	version uint64
	hash    [sha256.Size]byte
}

func (b *book) fault(promise, format string, args ...any) {
	if len(b.faults) < maxFaults {
		b.faults = append(b.faults, promise+": "+fmt.Sprintf(format, args...))
	}
}

func (b *book) read(rec eventlog.Record) {
	if rec.Sequence <= b.sequence {
		b.fault("chain", "record %d follows record %d", rec.Sequence, b.sequence)
	}
	b.sequence = rec.Sequence
	if !b.chained(rec) {
		return
	}
	if before, twice := b.commits[rec.Commit.GetId()]; twice {
		b.fault("chain", "record %d is the commit of record %d again", rec.Sequence, before)
	}
	b.commits[rec.Commit.GetId()] = rec.Sequence
	if id, ok := strings.CutPrefix(rec.Subject, "ev.run."); ok {
		b.readRun(id, rec)
		return
	}
	if strings.HasPrefix(rec.Subject, "ev.lane.") {
		for _, e := range rec.Commit.GetEvents() {
			b.readLane(rec, e)
		}
	}
}

// chained checks version and hash.
func (b *book) chained(rec eventlog.Record) bool {
	c := rec.Commit
	if c == nil {
		b.fault("chain", "record %d cannot be read", rec.Sequence)
		return false
	}
	prev := b.chains[rec.Subject]
	if prev.version == 0 && checkpoint(rec) {
		prev = link{version: c.GetVersion() - 1}
		copy(prev.hash[:], c.GetPrevHash()) // of a record that nobody here has
	}
	if c.GetVersion() != prev.version+1 {
		b.fault("chain", "record %d has version %d after %d", rec.Sequence, c.GetVersion(), prev.version)
	}
	if prev.version > 0 && !bytes.Equal(c.GetPrevHash(), prev.hash[:]) || prev.version == 0 && len(c.GetPrevHash()) > 0 {
		b.fault("chain", "record %d does not name the hash of the commit before", rec.Sequence)
	}
	b.chains[rec.Subject] = link{c.GetVersion(), sha256.Sum256(slices.Concat([]byte(rec.Subject), []byte{0}, rec.Data))}
	return true
}

// close checks what can only be known at the end.
func (b *book) close() {
	for _, c := range b.told.Accepted {
		r := b.runs[c.Run]
		switch {
		case b.gone[c.Run]:
		case r == nil:
			b.fault("command", "%q was accepted as %s, which does not exist", c.Identity, c.Run)
		case c.Identity != "" && r.request.GetIdentity() != c.Identity:
			b.fault("command", "%q was accepted as %s, which is of %q", c.Identity, c.Run, r.request.GetIdentity())
		}
	}
	if b.told.Wishes != nil {
		b.wished()
	}
	for _, id := range b.told.Cancelled {
		if r := b.runs[id]; b.gone[id] {
			continue
		} else if r == nil || !r.cancelled && r.outcome != eventv1.RunEnded_OUTCOME_CANCELLED {
			b.fault("command", "the cancellation of %s was confirmed and is not in the log", id)
		}
	}
	for _, id := range b.told.Holds {
		if !b.holds[id] {
			b.fault("hold", "hold %s was confirmed and is not in the log", id)
		}
	}
	if !b.told.Quiet {
		return
	}
	for _, id := range slices.Sorted(maps.Keys(b.runs)) {
		if !b.runs[id].ended {
			b.fault("end", "%s has not ended", id)
		}
	}
}

// wished checks that every wish is one run, if it was accepted, and at most one
// otherwise, and that there is no run that nobody wished for. Retries are asked
// for by other runs' ids and are not counted.
func (b *book) wished() {
	owned := map[string]bool{}
	for _, w := range b.told.Wishes {
		var mine []string
		for _, id := range slices.Sorted(maps.Keys(b.runs)) {
			if w.Is(b.runs[id].request) {
				mine, owned[id] = append(mine, id), true
			}
		}
		if len(mine) > 1 || w.Accepted && len(mine) == 0 {
			b.fault("command", "%s, accepted: %t, is %d runs: %v", w.Name, w.Accepted, len(mine), mine)
		}
	}
	for _, id := range slices.Sorted(maps.Keys(b.runs)) {
		if !owned[id] && b.runs[id].request.GetRetryOf() == "" {
			b.fault("command", "nobody wished for %s: %q", id, b.runs[id].request.GetIdentity())
		}
	}
}
