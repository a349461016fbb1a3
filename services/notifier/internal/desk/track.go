package desk

import (
	"context"
	"fmt"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/slipway-hq/slipway/domain/board"
	"github.com/slipway-hq/slipway/domain/run"
	commandv1 "github.com/slipway-hq/slipway/gen/slipway/command/v1"
	"github.com/slipway-hq/slipway/internal/topology"
	"github.com/slipway-hq/slipway/services/notifier/internal/card"
)

// track is a run whose card is not settled, or a message that is passed on.
type track struct {
	id      string
	relay   *relayed // nil for a run
	story   card.Story
	wanted  uint64 // sequence that the story has to reach
	entries map[string]*entry
	edited  time.Time // when the newest edit began
	plain   bool      // Slack refuses our blocks: text alone
	reacted bool
	settled bool
	aside   bool   // nothing but its mirror is left to do just now
	lane    string // that it waits in, see Desk.waiting
	job     jobTrack

	class    class
	order    uint64
	due      time.Time
	in       *queue
	position int
}

// entry is what the ledger says of one message, and what this desk knows beside.
type entry struct {
	card     *commandv1.Card // never nil
	revision uint64
	home     *track    // whose entries it is among
	plain    bool      // Slack refused its blocks or file: text alone
	upload   *uploaded // its file, before it is shown
	strikes  int       // uploads that failed
	unsent   bool      // the pending post was certainly not made
	looks    int       // how often it was looked for in vain
	look     time.Time // not before then
	// floor replaces the stored deadline after an edit that was certainly not
	// made: that of the edits before it.
	floor  time.Time
	spared bool // floor counts
	// doubt replaces a stored deadline that a clock which was ahead has put too
	// far off.
	doubt time.Time
}

func (t *track) entry(ctx context.Context, l Ledger, name string) (*entry, error) {
	return t.entryOf(ctx, l, t.id, name)
}

// entryOf is the entry of a message that may belong to another run: what several
// runs are told together is told once.
func (t *track) entryOf(ctx context.Context, l Ledger, run, name string) (*entry, error) {
	at := key(run, name)
	if e := t.entries[at]; e != nil {
		return e, nil
	}
	ctx, cancel := context.WithTimeout(ctx, storeTimeout)
	defer cancel()
	c, revision, err := l.Get(ctx, run, name)
	if err != nil {
		return nil, err
	}
	if c == nil {
		c = &commandv1.Card{}
	}
	c.Run, c.Milestone = run, name
	e := &entry{card: c, revision: revision, home: t}
	t.entries[at] = e
	return e, nil
}

// known is the entry of one of the run's own messages, if it was read; nil: not.
func (t *track) known(name string) *entry { return t.entries[key(t.id, name)] }

// write stores a changed copy of the entry's card.
func (d *Desk) write(ctx context.Context, t *track, e *entry, change func(*commandv1.Card)) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), storeTimeout) // what was done is recorded even while stopping
	defer cancel()
	next, ok := proto.Clone(e.card).(*commandv1.Card)
	if !ok {
		return fmt.Errorf("copy card of %s", t.id) // never
	}
	next.Writer = d.cfg.Writer
	change(next)
	revision, err := d.ledger.Put(ctx, next, e.revision)
	if err != nil {
		delete(e.home.entries, key(e.card.GetRun(), e.card.GetMilestone())) // read again: unknown, or somebody else's
		return err
	}
	e.card, e.revision = next, revision
	return nil
}

// refresh brings the story up to date with the log.
func (d *Desk) refresh(ctx context.Context, t *track) error {
	if t.story.After >= t.wanted && t.story.After > 0 {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, storeTimeout)
	defer cancel()
	records, err := d.log.Load(ctx, topology.RunSubject(t.id), t.story.After)
	if err != nil {
		return fmt.Errorf("read run %s: %w", t.id, err)
	}
	for _, rec := range records {
		t.story.Fold(rec.Sequence, rec.Commit)
	}
	return nil
}

// view is what the card depends on just now.
func (d *Desk) view(t *track) card.View {
	s := &t.story.State
	v := card.View{Story: &t.story, Short: t.id, RetryOf: s.RetryOf, Shown: board.Shown{Status: s.Status, Reason: s.Reason}, Output: d.output(s)}
	now := d.cfg.Now()
	d.board.Read(func(b *board.Board) {
		v.Short = b.Short(t.id)
		if s.RetryOf != "" {
			v.RetryOf = b.Short(s.RetryOf)
		}
		if l, ok := b.Live(t.id); ok && !s.Status.Ended() {
			at := *l
			at.State = *s // the story may be ahead of the board, never behind
			v.Shown = b.Show(&at, board.World{Now: now, Runners: d.cfg.Runners})
		}
	})
	if s.IsJob() {
		d.viewJob(t, &v)
	}
	if s.Status == run.Running {
		tick := d.tick()
		v.Elapsed = now.Sub(s.Started) / tick * tick
	}
	return v
}

// tick is how coarse the elapsed time on running cards is: the more cards, the
// coarser, so that clocks take at most about half of the edits.
func (d *Desk) tick() time.Duration {
	return d.cfg.Tick * time.Duration(1+len(d.tracks)/cardsPerTick)
}

// classOf is the track's place among those that are due.
func (t *track) classOf() class {
	s := &t.story.State
	switch {
	case t.aside:
		return classMirror
	case s.Status.Ended():
		return classFinal
	case t.story.Asking(), t.story.After == 0:
		return classPerson // a question
	case s.IsJob() && !s.Started.IsZero():
	case t.known(card.NameCard) == nil, t.known(card.NameCard).card.GetTs() == "":
		return classPerson // a request that shows nothing yet
	case s.Status == run.Queued:
		return classPlace
	}
	return classProgress
}
