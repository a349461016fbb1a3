package desk

import (
	"cmp"
	"context"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/slipway-hq/slipway/domain/board"
	"github.com/slipway-hq/slipway/domain/roster"
	"github.com/slipway-hq/slipway/domain/run"
	"github.com/slipway-hq/slipway/internal/eventlog"
	"github.com/slipway-hq/slipway/internal/projection"
	"github.com/slipway-hq/slipway/services/notifier/internal/slackapi"
)

const (
	// storeTimeout bounds a read or write of the ledger.
	storeTimeout = 5 * time.Second
	// storePause is how long everything rests when log or ledger fail.
	storePause = time.Second
	// reload is when a run is read again whose newest commit was not there yet.
	reload = 100 * time.Millisecond
	// cardsPerTick: see Desk.tick.
	cardsPerTick = 6
)

// Slack is what the desk needs of it; slackapi.Client is the real one. Errors
// are *slackapi.Error.
type Slack interface {
	Post(ctx context.Context, m slackapi.Outgoing) (slackapi.Posted, error)
	Update(ctx context.Context, m slackapi.Outgoing) error
	Find(ctx context.Context, s slackapi.Search) (string, error)
	React(ctx context.Context, channel, ts, emoji string) error
	Unreact(ctx context.Context, channel, ts, emoji string) error
	Pin(ctx context.Context, channel, ts string) error
	Unpin(ctx context.Context, channel, ts string) error
	PinnedBy(ctx context.Context, channel, ts string) (string, error)
	OpenDirect(ctx context.Context, user string) (string, error)
	Permalink(ctx context.Context, channel, ts string) (string, error)
	Channels(ctx context.Context, cursor string, private bool) ([]slackapi.Channel, string, error)
	UploadURL(ctx context.Context, name, kind string, size int) (slackapi.Upload, error)
	Upload(ctx context.Context, to slackapi.Upload, content []byte) error
	Complete(ctx context.Context, s slackapi.Share) error
}

// Board is what the desk needs of a projection.
type Board interface {
	Read(f func(*board.Board))
}

// Config is how a desk works. All durations are positive.
type Config struct {
	Writer   string // who writes the ledger: unique per process
	Identity slackapi.Identity
	Now      func() time.Time
	Runners  func() (alive []roster.Runner, known bool) // may be nil

	EditInterval time.Duration // at least, between two edits of one card
	Tick         time.Duration // how coarse the elapsed time of a running card is
	CallTimeout  time.Duration // of one call of Slack
	Window       time.Duration // after which a call is certainly over; beyond CallTimeout
	LookInterval time.Duration // between two looks into the history
	// FirstLook is how old a run that has not started must be to get
	// its card, so that the card does not begin with a wait of milliseconds.
	FirstLook time.Duration
	CatchUp   time.Duration // runs that ended longer ago without a card get none
	Keep      time.Duration // settled cards are forgotten after; beyond CatchUp
	// Output is the address of the page with a run's output; nil or empty: none.
	Output   func(run string, created time.Time) string
	NoLimits bool // ignore Slack's published rates: for a stand-in that has none
	// Jitter spreads pauses after failures; nil: at random over the upper half.
	Jitter func(time.Duration) time.Duration
}

// Desk is one worker for all cards of a workspace. Observe may be called from
// any goroutine; the rest from one.
type Desk struct {
	cfg     Config
	log     eventlog.Log
	ledger  Ledger
	objects Objects
	board   Board
	slack   Slack
	logger  *slog.Logger
	metrics *metrics

	tracks map[string]*track
	agenda agenda
	pace   pace
	names  names
	kept   kept
	warned map[string]time.Time // what mirroring suffers from, to when that was said
	passed map[string]uint64    // relays, to the sequence up to which they were looked at
	rest   time.Time            // until log and ledger are asked again

	mu      sync.Mutex
	changed map[string]uint64          // runs, to the sequence they changed at
	shifted map[string]bool            // lanes whose places may have changed
	waiting map[string]map[string]bool // lane → tracks that wait in it
	merged  map[string]map[string]bool // run → tracks of runs that it executes for
	heard   map[string]bool            // relays that changed
	led     map[string]uint64          // such tracks, to the sequence at which that run changed
	wake    chan struct{}
}

// New returns a desk that knows of nothing yet; TakeOver finds its work.
func New(cfg Config, log eventlog.Log, ledger Ledger, objects Objects, b Board, slack Slack, logger *slog.Logger) *Desk {
	d := &Desk{
		cfg: cfg, log: log, ledger: ledger, objects: objects, board: b, slack: slack, logger: logger, metrics: newMetrics(),
		tracks: map[string]*track{}, agenda: newAgenda(), pace: newPace(),
		changed: map[string]uint64{}, shifted: map[string]bool{}, waiting: map[string]map[string]bool{},
		warned: map[string]time.Time{}, passed: map[string]uint64{}, heard: map[string]bool{}, merged: map[string]map[string]bool{}, led: map[string]uint64{}, wake: make(chan struct{}, 1),
	}
	d.pace.off = cfg.NoLimits
	if cfg.Jitter != nil {
		d.pace.jitter = cfg.Jitter
	}
	return d
}

// output is where everything that a run printed can be read. Guests may be in
// any channel, so restricted runs are linked nowhere.
func (d *Desk) output(s *run.State) string {
	if d.cfg.Output == nil || s.Plan.GetRestricted() {
		return ""
	}
	return d.cfg.Output(s.ID, s.Created)
}

// Wake gets a value when something changed.
func (d *Desk) Wake() <-chan struct{} { return d.wake }

// Observe notes a change of the board; it never blocks.
func (d *Desk) Observe(c projection.Change) {
	asked := c.Run != "" && d.asked(c.Run)
	d.mu.Lock()
	defer d.mu.Unlock()
	moved := len(d.waiting[c.Lane]) > 0
	if asked {
		d.changed[c.Run] = max(d.changed[c.Run], c.Sequence)
	}
	if moved {
		d.shifted[c.Lane] = true
	}
	for id := range d.merged[c.Run] {
		d.led[id] = max(d.led[id], c.Sequence)
	}
	if c.Relay != "" {
		d.heard[c.Relay] = true
	}
	if asked || moved || c.Relay != "" || len(d.merged[c.Run]) > 0 {
		select {
		case d.wake <- struct{}{}:
		default:
		}
	}
}

// asked tells whether a run may have a card.
func (d *Desk) asked(id string) bool {
	asked := false
	d.board.Read(func(b *board.Board) {
		if l, ok := b.Live(id); ok {
			asked = d.ours(&l.State)
		}
	})
	return asked
}

// ours tells whether a run is shown in this workspace: Slack asked for it, and it
// was not refused (then the answer was private); or it is a job that has
// something to say there whoever asked.
func (d *Desk) ours(s *run.State) bool {
	origin := s.Origin
	if origin.GetTeam() != "" && d.cfg.Identity.Team != "" && origin.GetTeam() != d.cfg.Identity.Team {
		return false
	}
	if s.IsJob() {
		r := s.Plan.GetReport()
		return origin.GetChannel() != "" || r.GetLogsChannel() != "" || r.GetEscalate() && r.GetSupportChannel() != ""
	}
	return origin.GetChannel() != "" && s.Status != run.Refused
}

// drain takes over what Observe noted.
func (d *Desk) drain() {
	d.mu.Lock()
	changed, shifted, led, heard := d.changed, d.shifted, d.led, d.heard
	d.changed, d.shifted, d.led, d.heard = map[string]uint64{}, map[string]bool{}, map[string]uint64{}, map[string]bool{}
	var waiting []string
	for lane := range shifted {
		for id := range d.waiting[lane] {
			waiting = append(waiting, id)
		}
	}
	d.mu.Unlock()
	d.followAll(changed)
	d.relays(heard, func(string) bool { return false })
	for _, id := range slices.Sorted(maps.Keys(led)) {
		if t := d.tracks[id]; t != nil {
			t.job.wanted = max(t.job.wanted, led[id])
			d.stir(t)
		}
	}
	slices.Sort(waiting)
	for _, id := range waiting {
		if t := d.tracks[id]; t != nil {
			d.stir(t)
		}
	}
}

// followAll follows runs in the order in which they changed.
func (d *Desk) followAll(runs map[string]uint64) {
	for _, id := range slices.SortedFunc(maps.Keys(runs), func(a, b string) int { return cmp.Or(cmp.Compare(runs[a], runs[b]), cmp.Compare(a, b)) }) {
		d.follow(id, runs[id])
	}
}

// follow looks at a run soon, and at least at what it is at sequence.
func (d *Desk) follow(id string, sequence uint64) {
	t := d.tracks[id]
	if t == nil {
		t = &track{id: id, entries: map[string]*entry{}}
		d.tracks[id] = t
	}
	t.wanted = max(t.wanted, sequence)
	d.stir(t)
}

// stir looks at a track soon because something happened that people may see.
func (d *Desk) stir(t *track) {
	t.aside = false
	d.soon(t)
}

func (d *Desk) soon(t *track) {
	t.class = t.classOf()
	d.agenda.now(t)
}

// Step does the most urgent thing that is due and tells when to call it again:
// not after now for at once, zero when only a change brings new work.
func (d *Desk) Step(ctx context.Context) time.Time {
	d.drain()
	now := d.cfg.Now()
	if d.rest.After(now) {
		return d.rest
	}
	t, at := d.agenda.next(now)
	if t == nil {
		return at
	}
	next, err := d.act(ctx, t)
	switch {
	case err != nil && ctx.Err() != nil:
		return now
	case err != nil:
		d.logger.Warn("a card has to wait", "run", t.id, "error", err)
		clear(t.entries)
		d.rest = now.Add(storePause)
		d.agenda.at(t, d.rest)
		return d.rest
	}
	d.place(t)
	switch {
	case t.settled:
		d.drop(t)
	case next.IsZero():
	case next.After(d.cfg.Now()):
		t.class = t.classOf()
		d.agenda.at(t, next)
	default:
		d.soon(t)
	}
	return d.cfg.Now()
}

// place keeps account of who waits in which lane.
func (d *Desk) place(t *track) {
	lane := ""
	if t.story.State.Status == run.Queued && !t.settled {
		lane = t.story.State.Plan.GetLane()
	}
	if lane == t.lane {
		return
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if others := d.waiting[t.lane]; others != nil {
		delete(others, t.id)
		if len(others) == 0 {
			delete(d.waiting, t.lane)
		}
	}
	if lane != "" {
		if d.waiting[lane] == nil {
			d.waiting[lane] = map[string]bool{}
		}
		d.waiting[lane][t.id] = true
	}
	t.lane = lane
}

func (d *Desk) drop(t *track) {
	d.join(t, "")
	d.agenda.remove(t)
	delete(d.tracks, t.id)
}

// Unsettled is how many cards do not show the final state of their run yet.
func (d *Desk) Unsettled() int { return len(d.tracks) }
