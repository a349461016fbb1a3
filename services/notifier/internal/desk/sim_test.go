package desk_test

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"maps"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/slipway-hq/slipway/domain/run"
	eventv1 "github.com/slipway-hq/slipway/gen/slipway/event/v1"
	"github.com/slipway-hq/slipway/internal/eventlog"
	"github.com/slipway-hq/slipway/internal/eventlog/memlog"
	"github.com/slipway-hq/slipway/internal/projection"
	"github.com/slipway-hq/slipway/internal/topology"
	"github.com/slipway-hq/slipway/services/notifier/internal/desk"
	"github.com/slipway-hq/slipway/services/notifier/internal/slackapi"
)

// The simulation runs several real desks, each with its own view of one log, over
// a ledger and a Slack in memory. The orchestrators' simulation, which makes such
// logs with the real intake and dispatchers, knows nothing of desks: services
// meet in the log alone. One seed decides who goes on, who freezes in the middle
// of an act, who dies, what gets lost and what lands late.

var (
	seedFlag  = flag.Uint64("seed", 0, "replay this seed of the simulation and print its history")
	seedsFlag = flag.Int("seeds", 0, "how many seeds to simulate")
	fromFlag  = flag.Uint64("from", 1, "the first of them")
)

const (
	// simSeeds is what every build simulates, in a few seconds.
	simSeeds = 400
	// simActs is how many decisions of fate one history has before it is healed.
	simActs = 400
	// simRuns bounds the runs of one history.
	simRuns = 5
	// callTimeout is as in the service.
	callTimeout = 5 * time.Second
	// frozen is how long a desk may stand still in the middle of an act: longer
	// than all that it announced.
	frozen  = 3 * window
	simTime = "15:04:05.000"
	simTeam = "T1"
	simBot  = "UBOT"
	simLane = "lane"
)

var errSim = errors.New("not now")

// TestSimulation finds a history in which a card is lost, doubled or stale. Replay
// what it names with -args -seed=N, or SEED=N; -seeds or SEEDS says how many to try.
func TestSimulation(t *testing.T) {
	t.Parallel()
	seed, seeds, from := *seedFlag, *seedsFlag, *fromFlag
	if n, err := strconv.ParseUint(os.Getenv("SEED"), 10, 64); err == nil {
		seed = n
	}
	if n, err := strconv.Atoi(os.Getenv("SEEDS")); err == nil {
		seeds = n
	}
	if seed != 0 {
		s := simulate(t, seed)
		t.Logf("the history of seed %d:\n%s", seed, strings.Join(s.lines, "\n"))
		s.report(t)
		return
	}
	if seeds == 0 {
		seeds = simSeeds
	}
	began, broken, kinds := time.Now(), 0, map[string]int{}
	for i := range uint64(seeds) { //nolint:gosec // given by a person
		s := simulate(t, from+i)
		for k, n := range s.kinds {
			kinds[k] += n
		}
		if len(s.broken) > 0 {
			s.report(t)
			if broken++; broken == 5 {
				break
			}
		}
	}
	took := time.Since(began)
	t.Logf("%d seeds in %s: %.0f a minute; %v", seeds, took.Round(time.Millisecond), float64(seeds)/took.Minutes(), kinds)
	for _, kind := range []string{"deaths", "interludes", "landings", "cards", "reports", "pins", "SUCCEEDED", "FAILED", "CANCELLED", "MERGED"} {
		if kinds[kind] == 0 && seeds >= simSeeds {
			t.Errorf("no %s in %d histories: they show too little", kind, seeds)
		}
	}
}

// TestASeedIsOneHistory: else a failure could not be replayed.
func TestASeedIsOneHistory(t *testing.T) {
	t.Parallel()
	for seed := range uint64(25) {
		first, again := simulate(t, seed).lines, simulate(t, seed).lines
		for i := range min(len(first), len(again)) {
			if first[i] != again[i] {
				t.Fatalf("seed %d has two histories; line %d is\n%s\nand then\n%s", seed, i, first[i], again[i])
			}
		}
		if len(first) != len(again) {
			t.Fatalf("seed %d has two histories, of %d lines and of %d", seed, len(first), len(again))
		}
	}
}

// notifierSim is one history in the making.
type notifierSim struct {
	t       *testing.T
	seed    uint64
	rng     *rand.Rand
	now     time.Time
	mishaps int // percent, of each kind
	healed  bool
	nested  bool // somebody stands still already
	late    bool // what happens now was sent a while ago
	lines   []string
	broken  []string
	kinds   map[string]int

	log      *memlog.Log
	records  []eventlog.Record
	runs     map[string]run.State
	ids      []string
	origins  map[string]*eventv1.Origin
	messages []*simMessage
	marks    map[string]bool   // reactions: "channel/ts emoji"
	pins     map[string]string // who pinned a message, by "channel/ts"
	theirs   map[string]bool   // messages that a person had pinned before
	landings []landing
	cards    map[string][]stored
	revision uint64
	desks    []*simDesk
	born     int
}

// simDesk is a notifier that believes to hold the office.
type simDesk struct {
	name string
	desk *desk.Desk
	proj *projection.Projection
	next time.Time
}

func simulate(t *testing.T, seed uint64) *notifierSim {
	t.Helper()
	s := &notifierSim{
		t: t, seed: seed, rng: rand.New(rand.NewPCG(seed, 20261128)), now: time.Date(2026, 11, 2, 9, 0, 0, 0, time.UTC), //nolint:gosec // a seed is to be repeated
		log: memlog.New(), runs: map[string]run.State{}, origins: map[string]*eventv1.Origin{}, marks: map[string]bool{}, pins: map[string]string{}, theirs: map[string]bool{}, cards: map[string][]stored{}, kinds: map[string]int{},
	}
	s.mishaps = s.rng.IntN(5)
	for len(s.desks) == 0 {
		s.appoint()
	}
	for range simActs {
		s.fate()
	}
	s.heal()
	s.judge()
	return s
}

func (s *notifierSim) chance(percent int) bool { return s.rng.IntN(100) < percent }

func (s *notifierSim) note(format string, args ...any) {
	s.lines = append(s.lines, s.now.Format(simTime)+" "+fmt.Sprintf(format, args...))
}

func (s *notifierSim) report(t *testing.T) {
	t.Helper()
	if len(s.broken) > 0 {
		t.Errorf("seed %d breaks promises; replay it with: go test ./services/notifier/internal/desk -run 'TestSimulation$' -args -seed=%d\n%s", s.seed, s.seed, strings.Join(s.broken, "\n"))
	}
}

// pass lets time pass, and what was on its way land.
func (s *notifierSim) pass(d time.Duration) {
	until := s.now.Add(d)
	for {
		first := -1
		for i, l := range s.landings {
			if !l.at.After(until) && (first < 0 || l.at.Before(s.landings[first].at)) {
				first = i
			}
		}
		if first < 0 {
			break
		}
		l := s.landings[first]
		s.landings = slices.Delete(s.landings, first, first+1)
		if l.at.After(s.now) {
			s.now = l.at
		}
		s.kinds["landings"]++
		s.note("what was lost lands")
		s.late = true
		l.effect()
		s.late = false
	}
	s.now = until
}

// fate decides what happens next.
func (s *notifierSim) fate() {
	switch n := s.rng.IntN(100); {
	case n < 45:
		s.step(s.desks[s.rng.IntN(len(s.desks))])
	case n < 60:
		s.catchUp(s.desks[s.rng.IntN(len(s.desks))], 1+s.rng.IntN(4))
	case n < 70:
		s.pass(time.Duration(s.rng.IntN(8000)) * time.Millisecond)
	case n < 76:
		s.ask()
	case n < 96:
		if len(s.ids) > 0 {
			s.live(s.ids[s.rng.IntN(len(s.ids))])
		}
	case n < 98 && len(s.desks) < 3:
		s.appoint()
	case len(s.desks) > 1 || s.chance(50):
		s.bury(s.desks[s.rng.IntN(len(s.desks))])
	}
}

// appoint starts one more desk, whoever else may still be at work.
func (s *notifierSim) appoint() {
	s.born++
	d := &simDesk{name: fmt.Sprintf("desk%d", s.born)}
	d.proj = projection.New(s.log, nil)
	for _, rec := range s.records[:len(s.records)-s.rng.IntN(min(len(s.records), 3)+1)] {
		d.proj.Apply(rec)
	}
	d.desk = desk.New(desk.Config{
		Writer: d.name, Identity: slackapi.Identity{Team: simTeam, User: simBot, Bot: "BBOT"}, Now: func() time.Time { return s.now },
		EditInterval: interval, Tick: tick, CallTimeout: callTimeout, Window: window, LookInterval: look, FirstLook: firstLook,
		CatchUp: 7 * 24 * time.Hour, Keep: 30 * 24 * time.Hour, Jitter: func(d time.Duration) time.Duration { return d },
	}, s.log, &simLedger{s, d}, nil, d.proj, &simSlack{s, d}, slog.New(slog.DiscardHandler))
	d.proj.Observe(d.desk.Observe)
	s.note("%s takes over", d.name)
	if err := d.desk.TakeOver(context.Background()); err != nil {
		return // it resigns, and another is appointed later
	}
	s.desks = append(s.desks, d)
}

// bury ends a desk, wherever it stands.
func (s *notifierSim) bury(d *simDesk) {
	s.note("%s is gone", d.name)
	s.kinds["deaths"]++
	s.desks = slices.DeleteFunc(s.desks, func(o *simDesk) bool { return o == d })
	for len(s.desks) == 0 {
		s.appoint()
	}
}

// step lets a desk do one thing, in which it may die.
func (s *notifierSim) step(d *simDesk) {
	defer func() {
		if r := recover(); r != nil {
			if _, ours := r.(crash); !ours {
				panic(r)
			}
			s.bury(d)
		}
	}()
	d.next = d.desk.Step(context.Background())
}

// catchUp gives a desk up to n more records.
func (s *notifierSim) catchUp(d *simDesk, n int) {
	behind := s.records[d.proj.Sequence():]
	for _, rec := range behind[:min(n, len(behind))] {
		d.proj.Apply(rec)
	}
}

// interlude is what others do while a desk stands still in the middle of an act.
func (s *notifierSim) interlude(d *simDesk, longest time.Duration) {
	if s.healed || s.nested || !s.chance(s.mishaps) {
		return
	}
	s.nested = true
	defer func() { s.nested = false }()
	s.kinds["interludes"]++
	s.note("%s stands still", d.name)
	for over := s.now.Add(time.Duration(s.rng.Int64N(int64(longest)))); s.now.Before(over); {
		s.pass(min(over.Sub(s.now), time.Duration(1+s.rng.IntN(4000))*time.Millisecond))
		if len(s.desks) == 1 {
			s.appoint()
		}
		for _, other := range slices.Clone(s.desks) {
			if other != d {
				s.catchUp(other, 1+s.rng.IntN(4))
				s.step(other)
			}
		}
	}
	s.note("%s goes on", d.name)
}

// ask is a new request.
func (s *notifierSim) ask() {
	if len(s.ids) == simRuns {
		return
	}
	n := len(s.ids)
	ts := fmt.Sprintf("%d.%06d", s.now.Unix(), 900000+n)
	e := &eventv1.RunRequested{
		Origin: &eventv1.Origin{Door: eventv1.Origin_DOOR_SLASH_COMMAND, Team: simTeam, Channel: "C1"},
		Plan: &eventv1.Plan{Lane: simLane, LaneSettings: &eventv1.LaneSettings{Concurrency: 9}, Pool: "default", Steps: []*eventv1.Step{
			{Name: "build", Retry: &eventv1.Retry{Attempts: 2, Delay: durationpb.New(time.Second)}}, {Name: "ship"},
		}},
	}
	if s.chance(60) {
		e.Origin.Door, e.Origin.MessageTs = eventv1.Origin_DOOR_MENTION, ts
	}
	e.Run = fmt.Sprintf("d-%ssimulated", strings.Repeat(string(rune('a'+n)), 6))
	e.Service, e.Environment, e.Version = "checkout", "production", fmt.Sprint("v", n)
	if s.chance(50) {
		e.Run, e.Service, e.Environment, e.Version = "j"+e.Run[1:], "", "", ""
		e.Namespace, e.Job, e.Plan.Steps = "test", "say", []*eventv1.Step{{Name: "run"}}
		e.Plan.Report = &eventv1.Report{Stdout: s.chance(60), Success: true, Format: eventv1.Report_FORMAT_TEXT, Card: eventv1.Report_Card(1 + s.rng.IntN(3)), Accepted: "eyes"} //nolint:gosec // one of three
		e.Plan.Dedupe = &eventv1.Dedupe{Policy: eventv1.Dedupe_POLICY_MERGE, Key: "say"}
	}
	if s.chance(50) {
		e.Plan.Mirror = &eventv1.Mirror{Reaction: "eyes", Pin: true}
		if at := "C1/" + ts; e.Origin.MessageTs != "" && s.chance(20) {
			s.pins[at], s.theirs[at] = "U2", true
		}
	}
	e.Identity, e.Digest = "of "+e.Run, []byte{1}
	s.ids, s.origins[e.Run] = append(s.ids, e.Run), e.Origin
	s.do(e.Run, run.Request{Event: e})
}

// do decides and stores. Desks hear of it later.
func (s *notifierSim) do(id string, c run.Command) {
	events, err := run.Decide(s.runs[id], c)
	if err != nil || len(events) == 0 {
		return
	}
	rec := s.append(topology.RunSubject(id), events...)
	s.runs[id] = run.FoldCommit(s.runs[id], rec.Sequence, rec.Commit)
	s.note("%s is %s at %d", id, s.runs[id].Status, rec.Sequence)
}

func (s *notifierSim) append(subject string, events ...*eventv1.Event) eventlog.Record {
	var prev *eventlog.Record
	expect := uint64(0)
	if last, err := s.log.Last(context.Background(), subject); err == nil {
		prev, expect = &last, last.Sequence
	}
	c := &eventv1.Commit{Id: fmt.Sprint("c", len(s.records)), Time: timestamppb.New(s.now), Events: events, Actor: &eventv1.Principal{Kind: eventv1.Principal_KIND_SLACK_USER, Team: simTeam, User: "U1"}}
	eventlog.Chain(prev, c)
	data, err := proto.Marshal(c)
	must(s.t, err)
	sequence, err := s.log.Append(context.Background(), subject, expect, data)
	must(s.t, err)
	rec, err := s.log.Get(context.Background(), sequence)
	must(s.t, err)
	s.records = append(s.records, rec)
	return rec
}

// live is the next thing in a run's life.
func (s *notifierSim) live(id string) {
	st := s.runs[id]
	switch {
	case st.Status.Ended():
	case !s.granted(id):
		if s.chance(15) {
			s.do(id, run.RequestCancel{Reason: "never mind"})
			return
		}
		s.grant(id)
	case st.Claim.Fence == 0 && st.Status != run.Merged:
		s.do(id, run.TakeClaim{Runner: "r", Incarnation: fmt.Sprint("r.", len(s.records)), Host: "host", GrantSequence: 1, Now: s.now})
	default:
		s.work(id, &st)
	}
}

func (s *notifierSim) work(id string, st *run.State) {
	step := st.Current()
	at := st.Steps[step]
	fail := run.FailStep{Fence: st.Claim.Fence, Step: step, Attempt: at.Attempts, Cause: eventv1.StepFailed_CAUSE_EXIT, ExitCode: 1, Error: "exit code 1", Now: s.now}
	switch n := s.rng.IntN(100); {
	case st.Stopping() && at.Status == run.StepRunning:
		fail.Cause = eventv1.StepFailed_CAUSE_STOPPED
		s.do(id, fail)
	case st.Stopping():
		s.do(id, run.Stop{Fence: st.Claim.Fence, Now: s.now})
	case at.Status != run.StepRunning:
		s.do(id, run.BeginAttempt{Fence: st.Claim.Fence, Step: step, Now: s.now})
	case n < 70:
		s.do(id, run.FinishStep{Fence: st.Claim.Fence, Step: step, Attempt: at.Attempts, Output: &eventv1.StepOutput{Stdout: []byte("hello"), StdoutBytes: 5}, Now: s.now})
	case n < 85:
		s.do(id, fail)
	case n < 92:
		s.do(id, run.Lapse{Fence: st.Claim.Fence, Reason: "its runner is gone", Now: s.now})
	case n < 96:
		s.do(id, run.Say{ID: fmt.Sprint("note", len(s.records)), Text: "half way"})
	default:
		s.do(id, run.RequestCancel{Reason: "never mind"})
	}
}

func (s *notifierSim) granted(id string) bool {
	return slices.ContainsFunc(s.records, func(rec eventlog.Record) bool {
		return slices.ContainsFunc(rec.Commit.GetEvents(), func(e *eventv1.Event) bool { return slices.Contains(e.GetLaneGranted().GetRuns(), id) })
	})
}

// grant gives a run its slot; at times other jobs that wait merge into it.
func (s *notifierSim) grant(id string) {
	g := &eventv1.LaneGranted{Lane: simLane, Runs: []string{id}, Limit: 9}
	asked := s.runs[id]
	merges := asked.IsJob() && s.chance(60)
	for _, other := range s.ids {
		if o := s.runs[other]; merges && other != id && o.IsJob() && o.Status == run.Queued && !s.granted(other) {
			g.Absorbs = append(g.Absorbs, &eventv1.Absorbed{Run: other, Into: id, Kind: eventv1.Absorbed_KIND_MERGED})
		}
	}
	s.append(topology.LaneSubject(simLane), &eventv1.Event{Kind: &eventv1.Event_LaneGranted{LaneGranted: g}})
	s.note("%s has a slot, with %d more", id, len(g.GetAbsorbs()))
	s.do(id, run.TakeClaim{Runner: "r", Incarnation: "r.1", Host: "host", GrantSequence: 1, Now: s.now})
	for _, a := range g.GetAbsorbs() {
		s.do(a.GetRun(), run.Yield{Into: id, Kind: a.GetKind(), Reason: "merged", Now: s.now})
	}
}

// heal ends all faults, lets every run end, and lets the desks come to rest.
func (s *notifierSim) heal() {
	s.healed = true
	s.note("everything is healed")
	for _, id := range s.ids {
		for range maxSteps {
			if s.runs[id].Status.Ended() {
				break
			}
			s.live(id)
			s.pass(time.Second)
		}
	}
	s.pass(window)
	for range maxSteps {
		busy := false
		first := s.now.Add(24 * time.Hour)
		for _, d := range slices.Clone(s.desks) {
			s.catchUp(d, len(s.records))
			s.step(d)
			busy = busy || !d.next.IsZero()
			if !d.next.IsZero() && d.next.Before(first) {
				first = d.next
			}
		}
		if !busy {
			return
		}
		s.pass(max(first.Sub(s.now), 0))
	}
	s.broken = append(s.broken, "the healed desks do not come to rest")
}

// judge looks at what people see.
func (s *notifierSim) judge() {
	for _, id := range s.ids {
		st := s.runs[id]
		s.kinds[strings.ToUpper(st.Status.String())]++
		told := map[string][]*simMessage{}
		for _, m := range s.messages {
			if m.Marker.Run == id {
				told[m.Marker.Milestone] = append(told[m.Marker.Milestone], m)
			}
		}
		for _, name := range slices.Sorted(maps.Keys(told)) {
			if n := len(told[name]); n > 1 {
				s.fault("%s: %d messages tell %s", id, n, name)
			}
		}
		s.judgeCard(id, &st, told["card"])
		s.judgeEnd(id, &st, told)
		s.judgeOrder(id)
		s.judgeMirror(id, &st, told["card"])
	}
	for k, versions := range s.cards {
		if !strings.HasSuffix(k, ".card") || len(versions) == 0 {
			continue
		}
		l := &simLedger{s, nil}
		c, _, _ := l.Get(context.Background(), strings.TrimSuffix(k, ".card"), "card")
		if !c.GetFinal() {
			s.fault("%s is not settled", k)
		}
	}
}

func (s *notifierSim) fault(format string, args ...any) {
	s.broken = append(s.broken, fmt.Sprintf(format, args...))
}

var simWords = map[run.Status]string{
	run.Succeeded: "✅ Succeeded", run.Failed: "❌ Failed", run.Cancelled: "🚫 Cancelled", run.TimedOut: "⌛ Timed out",
}

func (s *notifierSim) judgeCard(id string, st *run.State, cards []*simMessage) {
	if len(cards) == 0 {
		if !st.IsJob() {
			s.fault("%s has no card", id)
		}
		return
	}
	s.kinds["cards"]++
	if word := simWords[st.Status]; !strings.Contains(cards[0].Text, word) {
		s.fault("%s has ended as %s, and its card says %q", id, st.Status, cards[0].Text)
	}
}

// judgeEnd looks for the end where people look: the reply, the report, the
// reaction on their own message.
func (s *notifierSim) judgeEnd(id string, st *run.State, told map[string][]*simMessage) {
	if !st.IsJob() && len(told["ended"]) != 1 {
		s.fault("%s: the thread does not tell its end", id)
	}
	reports := 0
	for name := range told {
		if strings.HasPrefix(name, "report-") {
			reports++
		}
	}
	s.kinds["reports"] += reports
	r := st.Plan.GetReport()
	if st.IsJob() && reports == 0 && (st.Status == run.Failed || st.Status == run.Succeeded && r.GetStdout()) {
		s.fault("%s: nobody is told what came of it", id)
	}
	result := st.Status
	if st.Status == run.Merged {
		result = s.runs[st.MergedInto].Status
	}
	emoji := "x"
	if result == run.Succeeded {
		emoji = "white_check_mark"
	}
	if o := s.origins[id]; o.GetMessageTs() != "" && !s.marks[o.GetChannel()+"/"+o.GetMessageTs()+" "+emoji] {
		s.fault("%s: the person's message lacks %s", id, emoji)
	}
}

// judgeMirror: nothing of ours marks what has ended, and what a person pinned is
// pinned.
func (s *notifierSim) judgeMirror(id string, st *run.State, cards []*simMessage) {
	if st.Plan.GetMirror() == nil {
		return
	}
	places := []string{"C1/" + s.origins[id].GetMessageTs()}
	for _, c := range cards {
		places = append(places, c.Channel+"/"+c.TS)
	}
	for _, at := range places {
		if s.marks[at+" eyes"] || s.pins[at] == simBot {
			s.fault("%s has ended, and %s is still marked", id, at)
		}
		if s.theirs[at] && s.pins[at] != "U2" {
			s.fault("%s: somebody's own pin on %s is gone", id, at)
		}
	}
}

// judgeOrder: a desk tells a thread things in the order in which they happened.
// What two desks tell, each of which believes to be the only one, may cross; and
// the end does not wait for a routine message whose answer got lost.
func (s *notifierSim) judgeOrder(id string) {
	ended := map[string]bool{}
	for _, m := range s.messages {
		if m.Marker.Run != id || m.Thread == "" || m.late {
			continue
		}
		if ended[m.by] {
			s.fault("%s: %s is told after the end", id, m.Marker.Milestone)
		}
		ended[m.by] = m.Marker.Milestone == "ended"
	}
}
