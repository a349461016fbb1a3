package orchestrator

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/slipway-hq/slipway/domain/board"
	commandv1 "github.com/slipway-hq/slipway/gen/slipway/command/v1"
	eventv1 "github.com/slipway-hq/slipway/gen/slipway/event/v1"
	"github.com/slipway-hq/slipway/internal/audit"
	"github.com/slipway-hq/slipway/internal/configfile"
	"github.com/slipway-hq/slipway/internal/eventlog"
	"github.com/slipway-hq/slipway/internal/eventlog/memlog"
	"github.com/slipway-hq/slipway/internal/projection"
	"github.com/slipway-hq/slipway/internal/snapshot"
	"github.com/slipway-hq/slipway/internal/topology"
)

const (
	// simSteps is how many decisions of fate one history has before it is healed.
	simSteps = 500
	// simRounds bounds how long a healed world may need to come to rest; most of
	// it is waiting for the longest deadline of the configuration.
	simRounds = 600
	// simRest is longer than the longest pause of the engine, so that whoever
	// waits there has come back to a port when it is over.
	simRest = 300 * time.Millisecond
)

// task is one thing that a process does: a goroutine that stands at ports.
type task struct {
	number int
	name   string
	cancel context.CancelFunc
	port   *port
	then   func() // run by the simulation when the task is over
}

type taskKey struct{}

func taskOf(ctx context.Context) *task {
	t, _ := ctx.Value(taskKey{}).(*task)
	return t
}

// process is what can die, freeze and start again.
type process struct {
	name    string
	port    *port
	ctx     context.Context
	kill    context.CancelFunc
	frozen  bool
	flights int
}

func (s *sim) process(name string) process {
	ctx, kill := context.WithCancel(s.t.Context())
	return process{name: name, port: &port{sim: s, owner: name}, ctx: ctx, kill: kill}
}

// spawn lets a process do something; then is told its outcome, unless the process
// died meanwhile.
func (s *sim) spawn(p *process, name string, do func(context.Context) (then func())) {
	s.tasks++
	s.flying++
	p.flights++
	ctx, cancel := context.WithCancel(p.ctx)
	t := &task{number: s.tasks, name: fmt.Sprintf("%s#%d %s", p.name, s.tasks, name), cancel: cancel, port: p.port}
	ctx = context.WithValue(ctx, taskKey{}, t)
	go func() {
		then := do(ctx)
		cancel()
		t.then = func() {
			s.flying--
			p.flights--
			if !t.port.gone && then != nil {
				then()
			}
		}
		s.mu.Lock()
		s.done = append(s.done, t)
		s.mu.Unlock()
	}()
	synctest.Wait() // nobody runs beside the simulation itself
}

// settle waits until everybody stands at a port or waits for time, and hears who
// has finished.
func (s *sim) settle() {
	for {
		synctest.Wait()
		s.mu.Lock()
		done := s.done
		s.done = nil
		s.mu.Unlock()
		if len(done) == 0 {
			return
		}
		slices.SortFunc(done, func(a, b *task) int { return cmp.Compare(a.number, b.number) })
		for _, t := range done {
			t.then()
		}
	}
}

// die kills a process in the middle of whatever it does.
func (s *sim) die(p *process) {
	s.mu.Lock()
	p.port.gone = true
	s.mu.Unlock()
	p.kill()
	for c := s.pick(func(c *call) bool { return c.port == p.port }); c != nil; c = s.pick(func(c *call) bool { return c.port == p.port }) {
		s.drop(c, eventlog.ErrUnavailable)
	}
	for p.flights > 0 {
		s.settle()
		if p.flights > 0 {
			s.rest()
		}
	}
}

func (s *sim) rest() { time.Sleep(simRest) } // fake time, which nobody but the engine's pauses sees

// set changes what processes look at, too.
func (s *sim) set(change func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	change()
}

func (s *sim) clock() time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.now
}

func (s *sim) chance(percent int) bool { return s.rng.IntN(100) < percent }

func (s *sim) note(format string, args ...any) {
	s.lines = append(s.lines, fmt.Sprintf(format, args...))
}

// alias is a subject in words.
func (s *sim) alias(subject string) string {
	if id, ok := topology.ParseRunSubject(subject); ok {
		return id[:min(len(id), 9)]
	}
	return cmp.Or(s.names[subject], subject)
}

// simReplica is one orchestrator.
type simReplica struct {
	process
	*replica
	working bool
	skew    time.Duration
}

var simShared = sync.OnceValues(func() (*adopted, *metrics) {
	cfg, problems := configfile.Parse("sim.yaml", []byte(simConfig))
	if len(problems) > 0 {
		panic(problems.Err())
	}
	m, err := newMetrics(func() uint64 { return 0 }, func() (int, int) { return 0, 0 })
	if err != nil {
		panic(err)
	}
	return newAdopted(cfg, board.Config{Sequence: 1}), m
})

// start makes the replica from nothing; it has to read the log again.
func (r *simReplica) start(s *sim) {
	cfg, m := simShared()
	old := r.name
	r.process, r.replica, r.working = s.process(old), &replica{}, false
	now := func() time.Time { return s.clock().Add(r.skew) }
	logger := slog.New(slog.DiscardHandler)
	r.dispatcher = newDispatcher(r.port, logger, now, m)
	r.proj = projection.New(r.port, r.dispatcher.observe)
	r.dispatcher.proj, r.dispatcher.settings = r.proj, cfg.settings
	r.dispatcher.lapsed = s.gone
	r.dispatcher.hints = s.hint
	r.view = &view{log: r.port, proj: r.proj, world: func() board.World { return board.World{Now: now(), Settings: cfg.settings} }}
	r.desk = &desk{log: r.port, view: r.view, config: func() *adopted { return cfg }, nudge: func(string, string) {}, now: now, logger: logger}
	r.clerk = &clerk{desk: r.desk, view: r.view, proj: r.proj, now: now}
}

// apply gives the replica up to n more records.
func (r *simReplica) apply(s *sim, n int) bool {
	records := s.records()[r.proj.Sequence():]
	for _, rec := range records[:min(n, len(records))] {
		r.proj.Apply(rec)
		synctest.Wait() // somebody may have waited for it
	}
	return len(records) > 0
}

// dispatch is one turn of the office's holder; several may believe to be that.
func (r *simReplica) dispatch(s *sim, sweep bool) {
	if r.working {
		return
	}
	r.working = true
	d := r.dispatcher
	s.spawn(&r.process, "dispatch", func(ctx context.Context) func() {
		d.mu.Lock()
		if !d.active {
			d.active = true
			d.everything()
		}
		d.mu.Unlock()
		if sweep {
			d.sweep(ctx)
		}
		d.work(ctx)
		return func() { r.working = false }
	})
}

// resign lets another hold the office: what it had in mind is forgotten.
func (r *simReplica) resign() {
	if r.working {
		return
	}
	r.dispatcher.mu.Lock()
	r.dispatcher.active = false
	r.dispatcher.mu.Unlock()
	clear(r.dispatcher.lanes)
	clear(r.dispatcher.hinted)
}

// gone tells whether the lease of an incarnation has run out; that of a dead one
// does so sooner or later.
func (s *sim) gone(incarnation string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.lapsed[incarnation] || s.healed && !slices.ContainsFunc(s.runners, func(r *simRunner) bool { return r.incarnation == incarnation })
}

type simHint struct {
	run, lane string
	grant     uint64
}

func (s *sim) hint(_ string, data []byte) error {
	h := &commandv1.Hint{}
	if err := proto.Unmarshal(data, h); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.hints[h.GetRun()] = &simHint{h.GetRun(), h.GetLaneSubject(), h.GetGrantSequence()}
	return nil
}

// takeHint takes one of the hints out.
func (s *sim) takeHint() *simHint {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.hints) == 0 {
		return nil
	}
	ids := make([]string, 0, len(s.hints))
	for id := range s.hints {
		ids = append(ids, id)
	}
	slices.Sort(ids)
	h := s.hints[ids[s.rng.IntN(len(ids))]]
	if s.healed || s.chance(70) {
		delete(s.hints, h.run) // else it is delivered again
	}
	return h
}

// records is the whole log.
func (s *sim) records() []eventlog.Record {
	head, _ := s.log.Head(context.Background())
	for n := uint64(len(s.cached)) + 1; n <= head; n++ {
		rec, err := s.log.Get(context.Background(), n)
		if err != nil {
			panic(err)
		}
		s.cached = append(s.cached, rec)
	}
	return s.cached
}

// simulate lives through the history of a seed.
func simulate(t *testing.T, seed uint64) *sim {
	t.Helper()
	simShared() // outside the bubble, where it outlives it
	var s *sim
	synctest.Test(t, func(t *testing.T) {
		s = &sim{
			t: t, seed: seed, rng: rand.New(rand.NewPCG(seed, 20261122)), log: memlog.New(), //nolint:gosec // a seed is to be repeated
			now: time.Date(2026, 11, 2, 9, 0, 0, 0, time.UTC), names: map[string]string{}, lapsed: map[string]bool{}, hints: map[string]*simHint{},
		}
		s.told = audit.Told{Limits: simLanes, Quiet: true}
		for _, lane := range []string{"shared", "shop:merge", "shop:newest", "shop:reject", "checkout/staging", "checkout/production", "search/staging", "search/production", "ledger/staging", "ledger/production"} {
			s.names[topology.LaneSubject(lane)] = lane
		}
		s.mishaps = s.rng.IntN(6)
		for i := range 2 + s.rng.IntN(2) {
			r := &simReplica{process: process{name: fmt.Sprintf("orchestrator%d", i)}, skew: time.Duration(s.rng.IntN(2001)-1000) * time.Millisecond}
			r.start(s)
			s.replicas = append(s.replicas, r)
		}
		for i := range 1 + s.rng.IntN(3) {
			r := &simRunner{process: process{name: fmt.Sprintf("runner%d", i)}}
			r.start(s)
			s.runners = append(s.runners, r)
		}
		s.live()
		s.heal()
		s.judge()
		for i := range s.replicas {
			s.die(&s.replicas[i].process)
		}
		for i := range s.runners {
			s.die(&s.runners[i].process)
		}
	})
	return s
}

func able(c *call) bool { return !c.port.frozenNow() }

func (p *port) frozenNow() bool {
	for _, r := range p.runners {
		if r.port == p {
			return r.frozen
		}
	}
	return false
}

// live is the time in which everything may happen.
func (s *sim) live() {
	for range simSteps {
		s.settle()
		replica := s.replicas[s.rng.IntN(len(s.replicas))]
		runner := s.runners[s.rng.IntN(len(s.runners))]
		switch n := s.rng.IntN(200); {
		case n < 90:
			s.advance()
		case n < 102:
			s.ask()
		case n < 116:
			s.deliver(replica)
		case n < 136:
			replica.apply(s, 1+s.rng.IntN(8))
		case n < 152:
			replica.dispatch(s, s.chance(50))
		case n < 168:
			runner.act(s)
		case n < 180:
			s.tick()
		case n < 184:
			s.rest()
		case n < 188:
			s.landLate()
		case n < 190:
			replica.resign()
		case n < 192:
			s.impatience()
		case n < 194:
			s.note("%s dies", replica.name)
			s.die(&replica.process)
			replica.start(s)
		case n < 196:
			runner.restart(s)
		case n < 198:
			runner.freeze(s)
		default:
			s.replayed(replica)
		}
	}
}

// advance lets one call go on; without one, time passes for those who wait.
func (s *sim) advance() {
	if c := s.pick(able); c != nil {
		s.proceed(c)
		return
	}
	if s.flying > 0 {
		s.rest()
	}
}

func (s *sim) tick() {
	step := []time.Duration{100 * time.Millisecond, time.Second, 3 * time.Second, 15 * time.Second, 2 * time.Minute}[s.rng.IntN(5)]
	s.set(func() { s.now = s.now.Add(step) })
	s.note("it is %s", s.now.Format("15:04:05.000"))
}

func (s *sim) landLate() {
	if len(s.late) == 0 {
		return
	}
	i := s.rng.IntN(len(s.late))
	c := s.late[i]
	s.late = slices.Delete(s.late, i, i+1)
	s.note("%s append, sent long ago", c.task.name)
	s.land(c)
}

// impatience ends a task whose caller has waited for long enough.
func (s *sim) impatience() {
	c := s.pick(func(c *call) bool { // a runner waits for as long as it lives
		return slices.ContainsFunc(s.replicas, func(r *simReplica) bool { return r.port == c.port })
	})
	if c == nil {
		return
	}
	s.note("%s runs out of time", c.task.name)
	c.task.cancel()
	err := error(eventlog.ErrUnavailable)
	if c.kind == "append" {
		err = eventlog.ErrUnknown
	}
	s.drop(c, err)
}

// replayed compares a replica's board with a fold of the same records by nobody's
// history.
func (s *sim) replayed(r *simReplica) {
	fresh := projection.New(s.log, nil)
	for _, rec := range s.records()[:r.proj.Sequence()] {
		fresh.Apply(rec)
	}
	fresh.Read(func(a *board.Board) {
		r.proj.Read(func(b *board.Board) {
			for _, diff := range append(board.Compare(a, b, 5), board.Compare(b, a, 5)...) {
				s.broken = append(s.broken, "replay: "+r.name+": "+diff)
			}
		})
	})
}

// heal ends all faults and lets the world come to rest.
func (s *sim) heal() {
	s.settle()
	s.set(func() { s.healed = true })
	s.note("everything is healed")
	for len(s.late) > 0 {
		s.landLate()
	}
	for _, r := range s.runners {
		if r.frozen {
			r.thaw(s)
		}
	}
	quiet := 0
	for round := range simRounds {
		s.flow()
		for _, r := range s.replicas {
			r.apply(s, len(s.records()))
		}
		if round == 0 {
			s.resume()
		}
		for _, l := range s.inbox {
			if !l.handled {
				s.deliverTo(s.replicas[round%len(s.replicas)], l)
			}
		}
		s.replicas[round%len(s.replicas)].dispatch(s, true)
		for _, r := range s.runners {
			r.act(s)
		}
		s.flow()
		for _, r := range s.replicas {
			r.apply(s, len(s.records()))
		}
		if s.atRest() {
			if quiet++; quiet > len(s.replicas) {
				return
			}
			continue
		}
		quiet = 0
		s.set(func() { s.now = s.now.Add(time.Duration(1+round/20) * time.Second) })
	}
	s.broken = append(s.broken, "end: the healed world does not come to rest")
}

// flow lets everything go on that can.
func (s *sim) flow() {
	for s.settle(); s.flying > 0; s.settle() {
		if c := s.pick(func(*call) bool { return true }); c != nil {
			s.proceed(c)
			continue
		}
		for _, r := range s.replicas {
			r.apply(s, len(s.records()))
		}
		s.rest()
	}
}

// atRest tells whether nothing waits any more.
func (s *sim) atRest() bool {
	for _, l := range s.inbox {
		if !l.handled {
			return false
		}
	}
	rest := true
	s.replicas[0].proj.Read(func(b *board.Board) {
		b.Each(func(l *board.Live) { rest = rest && l.State.Status.Ended() })
	})
	return rest
}

func (s *sim) judge() {
	s.broken = append(s.broken, audit.Check(s.records(), s.told)...)
	for _, r := range s.replicas {
		s.replayed(r)
	}
	s.resumed()
}

// resumed starts a fold from what another wrote down half way, and compares.
func (s *sim) resumed() {
	records := s.records()
	cut := int(s.seed % uint64(len(records)+1)) //nolint:gosec // small
	whole, half := projection.New(nil, nil), projection.New(nil, nil)
	for i, rec := range records {
		whole.Apply(rec)
		if i < cut {
			half.Apply(rec)
		}
	}
	resumed, err := snapshot.Copy(half)
	if err != nil {
		s.broken = append(s.broken, "snapshot: "+err.Error())
		return
	}
	for _, rec := range records[cut:] {
		resumed.Apply(rec)
	}
	if !bytes.Equal(snapshot.Bytes(whole), snapshot.Bytes(resumed)) {
		s.broken = append(s.broken, fmt.Sprintf("snapshot: the fold that went on after record %d of %d differs", cut, len(records)))
	}
}

func (s *sim) faults() []string { return s.broken }

func (s *sim) report(t *testing.T) {
	t.Helper()
	if len(s.broken) > 0 {
		t.Errorf("seed %d breaks promises; replay it with: go test ./services/orchestrator -run 'TestSimulation$' -args -seed=%d\n%s", s.seed, s.seed, strings.Join(s.broken, "\n"))
	}
}

// story is the history and the log that it made, in words.
func (s *sim) story() string {
	var b strings.Builder
	for _, line := range s.lines {
		b.WriteString(line + "\n")
	}
	for _, rec := range s.records() {
		fmt.Fprintf(&b, "%4d %s v%d %s", rec.Sequence, s.alias(rec.Subject), rec.Commit.GetVersion(), rec.Commit.GetTime().AsTime().Format("15:04:05.000"))
		for _, e := range rec.Commit.GetEvents() {
			b.WriteString("  " + eventWords(e))
		}
		b.WriteString("\n")
	}
	return b.String()
}

func eventWords(e *eventv1.Event) string {
	if q := e.GetRunRequested(); q != nil {
		return fmt.Sprintf("requested %s%s/%s%s as %q", q.GetService(), q.GetNamespace(), q.GetEnvironment(), q.GetJob(), q.GetIdentity())
	}
	if g := e.GetLaneGranted(); g != nil {
		return fmt.Sprintf("granted %v, frees %v, yields %v", g.GetRuns(), g.GetFreed(), yieldWords(g))
	}
	m := e.ProtoReflect()
	set := m.WhichOneof(m.Descriptor().Oneofs().Get(0))
	if set == nil {
		return "?"
	}
	return string(set.Name()) + " " + strings.ReplaceAll(fmt.Sprint(m.Get(set).Message().Interface()), "  ", " ")
}

func yieldWords(g *eventv1.LaneGranted) (out []string) {
	for _, a := range g.GetAbsorbs() {
		out = append(out, fmt.Sprintf("%s to %s %s", a.GetRun(), a.GetInto(), a.GetKind()))
	}
	return out
}
