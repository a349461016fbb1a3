package board

import (
	"slices"
	"time"

	"github.com/slipway-hq/slipway/domain/lane"
	"github.com/slipway-hq/slipway/domain/relay"
	"github.com/slipway-hq/slipway/domain/run"
	"github.com/slipway-hq/slipway/domain/schedule"
	eventv1 "github.com/slipway-hq/slipway/gen/slipway/event/v1"
)

// KeepEnded is how many ended runs are kept whole beside the live ones: the
// last cards, watchers and status questions mostly ask for those.
const KeepEnded = 256

// Live is a run kept whole: it has not ended, or it did lately.
type Live struct {
	State run.State
	// Grant is the sequence of the grant that gave the slot; 0 without one.
	Grant uint64
	// Request is the sequence of the run's first commit: its age.
	Request uint64
	// Quarantined says why nothing is decided about the run any more.
	Quarantined string
	// Released: its slot was given to others, by an operator, or by the lane that
	// saw its end before its history was damaged.
	Released bool
	// Into is the run that executes for this one, or takes its place, by a
	// decision of the lane; empty: it is on its own.
	Into string
	Kind eventv1.Absorbed_Kind
	// Merged lists the runs that this one executes for.
	Merged []string
}

// Yielding tells whether the run waits only for its own end, because another
// executes for it or has taken its place.
func (l *Live) Yielding() bool { return l.Into != "" && !l.State.Status.Ended() }

// Lane is one queue with its slots.
type Lane struct {
	Name string
	// State is the fold of the lane's own subject.
	State lane.State
	// Queue holds the waiting runs, in order.
	Queue lane.Queue
	// Settings are those of the newest plan seen; the configuration in force
	// comes first.
	Settings *eventv1.LaneSettings
	// Active counts runs that hold a slot and have not ended.
	Active int
	// Quarantined says why nothing is granted here any more.
	Quarantined string
}

// Config is the adopted configuration.
type Config struct {
	Sequence uint64
	Digest   string
	Content  []byte
	Origin   string
	At       time.Time
}

// Board is the state of everything.
type Board struct {
	Config Config

	live     map[string]*Live
	near     map[string][]string // ids of live by their first characters, see bucket
	ended    []string            // ring of ended runs still kept whole
	oldest   int
	index    index
	lanes    map[string]*Lane // by name
	versions map[place]placed // what went there last
	sequence uint64

	schedules map[string]schedule.State // by name
	relays    map[string]relay.State    // by name
}

// New returns an empty board.
func New() *Board {
	return &Board{live: map[string]*Live{}, near: map[string][]string{}, lanes: map[string]*Lane{}, versions: map[place]placed{}, index: newIndex(), schedules: map[string]schedule.State{}, relays: map[string]relay.State{}}
}

// Sequence is that of the newest commit folded.
func (b *Board) Sequence() uint64 { return b.sequence }

// FoldRun folds a commit of a run's subject.
func (b *Board) FoldRun(id string, sequence uint64, c *eventv1.Commit) {
	b.sequence = max(b.sequence, sequence)
	l := b.live[id]
	if l == nil {
		if b.index.has(id) {
			b.index.archive(id, archivedBy(c)) // but for that an ended run changes no more
			return
		}
		if a := archivedBy(c); a != nil {
			b.past(id, a, c)
			return
		}
		l = &Live{Request: sequence}
		b.insert(id, l)
	}
	before := l.State.Status
	l.State = run.FoldCommit(l.State, sequence, c)
	l.State.ID = id // the subject says which run it is, whatever a commit claims
	if before == run.Absent && l.State.Status != run.Absent {
		b.opened(l)
	}
	if !before.Ended() && l.State.Status.Ended() {
		b.closed(l)
	}
	if l.State.Archived {
		b.index.archive(id, archivedBy(c))
		b.ended = slices.DeleteFunc(b.inOrder(), func(other string) bool { return other == id })
		b.oldest = 0
		b.forget(id)
	}
}

// archivedBy is what a commit says of the archive; nil: nothing.
func archivedBy(c *eventv1.Commit) *eventv1.RunArchived {
	for _, e := range c.GetEvents() {
		if a := e.GetRunArchived(); a != nil {
			return a
		}
	}
	return nil
}

// past adds a run of which nothing but its checkpoint is left. Its end stands
// before much that was folded already.
func (b *Board) past(id string, a *eventv1.RunArchived, c *eventv1.Commit) {
	l := &Live{State: run.FoldCommit(run.State{}, a.GetEndSequence(), c), Request: a.GetRequestSequence()}
	l.State.ID = id
	b.arrived(l)
	b.index.add(l)
	b.index.archive(id, a)
}

// arrived notes what a run brought to its place, unless a later one did.
func (b *Board) arrived(l *Live) {
	at := place{l.State.Service, l.State.Environment}
	if s := &l.State; s.Status == run.Succeeded && !s.IsJob() && s.Sequence >= b.versions[at].sequence {
		b.versions[at] = placed{s.Version, s.Sequence}
	}
}

// Settle puts the summaries into the order of their ends, once the log is folded
// that was there: checkpoints of archived runs come long after it.
func (b *Board) Settle() { b.index.settle() }

// Archived tells whether the records of a run are in the archive.
func (b *Board) Archived(id string) bool {
	i, ok := b.index.find(id)
	return ok && b.index.archived.has(i)
}

// ArchivedCount is how many runs are in the archive.
func (b *Board) ArchivedCount() int { return b.index.archived.count() }

// Archivable calls f with the ended runs that are not archived, oldest end first,
// until it returns false.
func (b *Board) Archivable(f func(Summary) bool) { b.index.archivable(f) }

// LastArchived are the runs that were archived last, at most KeepArchived.
func (b *Board) LastArchived() []string { return slices.Clone(b.index.recent) }

func (b *Board) opened(l *Live) {
	ln := b.lane(l.State.Plan.GetLane())
	if ln == nil {
		return
	}
	ln.Settings = l.State.Plan.GetLaneSettings()
	if slot, ok := ln.slot(l.State.ID); ok { // never: a grant follows its request; kept for a fold that starts late
		l.Grant = slot
		ln.Active++
		return
	}
	ln.Queue.Add(l.candidate())
}

func (l *Live) candidate() lane.Candidate {
	s := &l.State
	c := lane.Candidate{
		Run: s.ID, Priority: s.Plan.GetPriority(), Sequence: l.Request, Asked: s.Created, Start: s.StartAfter,
		Namespace: s.Namespace, Despite: s.DespiteHold != "",
		Policy: s.Plan.GetDedupe().GetPolicy(), Key: s.Plan.GetDedupe().GetKey(), MaxDelay: s.Plan.GetDedupe().GetMaxDelay().AsDuration(),
	}
	if s.IsJob() {
		c.Job = JobName(s.Namespace, s.Job)
	}
	return c
}

// JobName is what lanes call a job.
func JobName(namespace, job string) string { return namespace + "/" + job }

func (b *Board) closed(l *Live) {
	if ln := b.lane(l.State.Plan.GetLane()); ln != nil {
		if l.Grant != 0 && !l.Released {
			ln.Active--
		}
		ln.Queue.Remove(l.State.ID)
		b.freed(ln, l)
	}
	b.arrived(l)
	b.index.add(l)
	b.keep(l.State.ID)
}

// freed lets the runs wait again that merged into one which never started.
func (b *Board) freed(ln *Lane, l *Live) {
	if !l.void() {
		return
	}
	for _, id := range l.Merged {
		if other := b.live[id]; other != nil && other.Yielding() && other.Quarantined == "" {
			other.Into, other.Kind = "", eventv1.Absorbed_KIND_UNSPECIFIED
			ln.Queue.Add(other.candidate())
		}
	}
	l.Merged = nil
}

// void tells whether a run will never start: it ended before, or an operator
// gave the slot of a damaged one away. It did nothing for anybody.
func (l *Live) void() bool {
	return l.State.Started.IsZero() && (l.State.Status.Ended() || l.Released)
}

// Void tells the same of a run by its id. A run that is not known is not.
func (b *Board) Void(id string) bool {
	if l := b.live[id]; l != nil {
		return l.void()
	}
	s, ok := b.index.get(id)
	return ok && s.Started() == 0
}

// Share says under which limits of its lane a run counts.
func (b *Board) Share(id string) lane.Share {
	l := b.live[id]
	if l == nil {
		return lane.Share{}
	}
	c := l.candidate()
	return lane.Share{Namespace: c.Namespace, Job: c.Job, Key: c.Key}
}

// place is where a service can be.
type place struct{ service, environment string }

// placed is a version with the sequence of the end that brought it.
type placed struct {
	version  string
	sequence uint64
}

// Version is what the last successful run brought to an environment; empty when
// there was none, or it named no version.
func (b *Board) Version(service, environment string) string {
	return b.versions[place{service, environment}].version
}

// keep retains the run whole until KeepEnded others have ended after it.
func (b *Board) keep(id string) {
	if len(b.ended) < KeepEnded {
		b.ended = append(b.ended, id)
		return
	}
	b.forget(b.ended[b.oldest])
	b.ended[b.oldest] = id
	b.oldest = (b.oldest + 1) % KeepEnded
}

func (b *Board) insert(id string, l *Live) {
	b.live[id] = l
	b.near[bucket(id)] = append(b.near[bucket(id)], id)
}

func (b *Board) forget(id string) {
	delete(b.live, id)
	key := bucket(id)
	rest := slices.DeleteFunc(b.near[key], func(other string) bool { return other == id })
	if len(rest) == 0 {
		delete(b.near, key)
		return
	}
	b.near[key] = rest
}

// FoldConfig folds a commit of the configuration's subject.
func (b *Board) FoldConfig(sequence uint64, c *eventv1.Commit) {
	b.sequence = max(b.sequence, sequence)
	for _, e := range c.GetEvents() {
		if a := e.GetConfigAdopted(); a != nil {
			b.Config = Config{Sequence: sequence, Digest: a.GetDigest(), Content: a.GetContent(), Origin: a.GetOrigin(), At: c.GetTime().AsTime()}
		}
	}
}

// QuarantineRun stops all decisions about a run whose chain is broken. It keeps
// its slot until an operator releases it. The first reason stays.
func (b *Board) QuarantineRun(id, why string) {
	l := b.live[id]
	if l == nil {
		l = &Live{State: run.State{ID: id}}
		b.insert(id, l)
	}
	if l.Quarantined == "" {
		l.Quarantined = why
	}
	if ln := b.lane(l.State.Plan.GetLane()); ln != nil {
		ln.Queue.Remove(id)
	}
}

// Ended tells whether a run has ended. An unknown run has not.
func (b *Board) Ended(id string) bool {
	if l := b.live[id]; l != nil {
		return l.State.Status.Ended()
	}
	return b.index.has(id)
}

// Live returns a run that is kept whole.
func (b *Board) Live(id string) (*Live, bool) {
	l, ok := b.live[id]
	return l, ok
}

// Each calls f with every run that is kept whole, in no order.
func (b *Board) Each(f func(*Live)) {
	for _, l := range b.live {
		f(l)
	}
}
