package board_test

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"google.golang.org/protobuf/testing/protocmp"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"
	"pgregory.net/rapid"

	"github.com/slipway-hq/slipway/domain/board"
	"github.com/slipway-hq/slipway/domain/identity"
	"github.com/slipway-hq/slipway/domain/lane"
	"github.com/slipway-hq/slipway/domain/run"
	eventv1 "github.com/slipway-hq/slipway/gen/slipway/event/v1"
)

// shared is the one lane of these tests.
const shared = "shared"

// record is a commit in the log: of a run, or of the lane when run is empty.
type record struct {
	run    string
	commit *eventv1.Commit
}

// replica is an orchestrator: a board that has read so much of the log.
type replica struct {
	board *board.Board
	read  int
}

// floor is a log with two orchestrators, beside the model of it. What is in the
// log is truth; the states of it are what a decision is compared with.
type floor struct {
	t        *rapid.T
	now      time.Time
	log      []record
	runs     map[string]run.State
	lane     lane.State
	replicas [2]replica
	model    *model
}

func newFloor(t *rapid.T) *floor {
	small := func(name string, from, to int) uint32 { return uint32(rapid.IntRange(from, to).Draw(t, name)) } //nolint:gosec // small
	f := &floor{t: t, now: time.Date(2026, 1, 2, 10, 0, 0, 0, time.UTC), runs: map[string]run.State{}}
	f.model = &model{settings: &eventv1.LaneSettings{
		Concurrency: small("concurrency", 1, 3), PerJob: small("per job", 0, 2), PerNamespace: small("per namespace", 0, 2), Turns: rapid.Bool().Draw(t, "turns"),
	}}
	for i := range f.replicas {
		f.replicas[i].board = board.New()
	}
	return f
}

func (f *floor) append(id string, events []*eventv1.Event) {
	if len(events) == 0 {
		return
	}
	c := &eventv1.Commit{Events: events, Time: timestamppb.New(f.now), Actor: &eventv1.Principal{User: "U1"}}
	f.log = append(f.log, record{id, c})
	at := uint64(len(f.log))
	if id == "" {
		f.lane = lane.FoldCommit(f.lane, at, c)
		return
	}
	f.runs[id] = run.FoldCommit(f.runs[id], at, c)
}

// read lets a replica see more of the log.
func (f *floor) read(i, commits int) {
	r := &f.replicas[i]
	for ; commits > 0 && r.read < len(f.log); commits-- {
		rec := f.log[r.read]
		r.read++
		if rec.run == "" {
			r.board.FoldLane(uint64(r.read), rec.commit) //nolint:gosec // small
		} else {
			r.board.FoldRun(rec.run, uint64(r.read), rec.commit) //nolint:gosec // small
		}
	}
	if rapid.IntRange(0, 3).Draw(f.t, "restart") == 0 {
		r.board = rewritten(f.t, r.board)
	}
}

// checkpoints: a lane that begins with any of its checkpoints is the same lane,
// and no board found one that disagrees.
func (f *floor) checkpoints() {
	for i, rec := range f.log {
		if rec.run != "" || rec.commit.GetEvents()[0].GetLaneCheckpoint() == nil {
			continue
		}
		var s lane.State
		for j, later := range f.log[i:] {
			if later.run == "" {
				s = lane.FoldCommit(s, uint64(i+j+1), later.commit) //nolint:gosec // small
			}
		}
		if diff := cmp.Diff(f.lane, s, protocmp.Transform(), cmpopts.EquateEmpty()); diff != "" {
			f.t.Fatalf("the lane that begins with record %d differs: %s", i+1, diff)
		}
	}
	for _, r := range f.replicas {
		r.board.Lanes(func(ln *board.Lane) {
			if ln.Quarantined != "" {
				f.t.Fatal(ln.Quarantined)
			}
		})
	}
}

// rewritten is a board that was written down and read again: nobody can tell.
func rewritten(t *rapid.T, b *board.Board) *board.Board {
	var segments []*board.Segment
	for _, s := range b.Segments() {
		again, err := board.DecodeSegment(s.Encode())
		if err != nil {
			t.Fatal(err)
		}
		segments = append(segments, again)
	}
	again := board.FromImage(b.Image(), segments)
	if diff := cmp.Diff(b.Image(), again.Image(), protocmp.Transform()); diff != "" {
		t.Fatalf("an image of an image differs: %s", diff)
	}
	return again
}

// do decides on a run as it is in the log.
func (f *floor) do(id string, c run.Command) error {
	events, err := run.Decide(f.runs[id], c)
	if err == nil {
		f.append(id, events)
	}
	return err
}

var doublesPolicies = map[string]eventv1.Dedupe_Policy{
	"a/merged": eventv1.Dedupe_POLICY_MERGE, "a/each": eventv1.Dedupe_POLICY_ALL, "b/newest": eventv1.Dedupe_POLICY_NEWEST, "b/alone": eventv1.Dedupe_POLICY_REJECT, "b/merged": eventv1.Dedupe_POLICY_MERGE,
}

// ask requests a job; most requests are delayed, as most meet before they start.
func (f *floor) ask() {
	job := rapid.SampledFrom(slices.Sorted(maps.Keys(doublesPolicies))).Draw(f.t, "job")
	namespace, name, _ := strings.Cut(job, "/")
	r := &request{
		namespace: namespace, job: job, key: job + rapid.SampledFrom([]string{"?x=1", "?x=1", "?x=2"}).Draw(f.t, "arguments"), policy: doublesPolicies[job], asked: f.now,
		priority: int32(rapid.SampledFrom([]int{0, 0, 0, -1}).Draw(f.t, "priority")), //nolint:gosec // small
		maxDelay: time.Duration(rapid.SampledFrom([]int{0, 3, 8}).Draw(f.t, "max_delay")) * minute,
		despite:  rapid.IntRange(0, 7).Draw(f.t, "despite") == 0,
	}
	if delay := rapid.SampledFrom([]int{0, 1, 2, 5, 12}).Draw(f.t, "delay"); delay > 0 {
		r.start = f.now.Add(time.Duration(delay) * minute)
	}
	r.id = identity.RunID(identity.Job, fmt.Sprint(len(f.model.requests)))
	e := &eventv1.RunRequested{
		Run: r.id, Identity: r.id, Namespace: namespace, Job: name,
		Plan: &eventv1.Plan{
			Lane: shared, Pool: "default", Priority: r.priority, LaneSettings: f.model.settings, Steps: []*eventv1.Step{{Name: "run", Shell: "true"}},
			Dedupe: &eventv1.Dedupe{Policy: r.policy, Key: r.key, MaxDelay: durationpb.New(r.maxDelay)},
		},
	}
	if !r.start.IsZero() {
		e.StartAfter = timestamppb.New(r.start)
	}
	if r.despite {
		e.DespiteHold = "urgent"
	}
	if err := f.do(r.id, run.Request{Event: e}); err != nil {
		f.t.Fatal(err)
	}
	f.model.requests = append(f.model.requests, r)
}

// pick draws one of the requests of some kind.
func (f *floor) pick(what string, ok func(*request) bool) *request {
	var some []*request
	for _, r := range f.model.requests {
		if ok(r) {
			some = append(some, r)
		}
	}
	if len(some) == 0 {
		return nil
	}
	return some[rapid.IntRange(0, len(some)-1).Draw(f.t, what)]
}

func (f *floor) cancel() {
	r := f.pick("cancelled", func(r *request) bool { return !r.ended })
	if r == nil {
		return
	}
	if err := f.do(r.id, run.RequestCancel{}); err != nil {
		f.t.Fatal(err)
	}
	if s := f.runs[r.id]; s.Claimed() {
		if err := f.do(r.id, run.Stop{Fence: s.Claim.Fence, Now: f.now}); err != nil {
			f.t.Fatal(err)
		}
	}
	r.cancelled = true
	f.model.end(r)
}

// claim is a runner that takes a run which has a slot.
func (f *floor) claim() {
	r := f.pick("claimed", func(r *request) bool { return r.slot && !r.ended && f.runs[r.id].Claim.Fence == 0 })
	if r == nil {
		return
	}
	if err := f.do(r.id, run.TakeClaim{Runner: "r", Incarnation: "r", GrantSequence: 1, Now: f.now}); err != nil {
		f.t.Fatal(err)
	}
	r.started = true
}

// finish ends a claimed run, or its runner is lost.
func (f *floor) finish() {
	r := f.pick("finished", func(r *request) bool { return !r.ended && f.runs[r.id].Claim.Fence != 0 })
	if r == nil {
		return
	}
	s := f.runs[r.id]
	if s.Idle < 3 && rapid.IntRange(0, 3).Draw(f.t, "lapse") == 0 {
		if err := f.do(r.id, run.Lapse{Fence: s.Claim.Fence, Now: f.now}); err != nil {
			f.t.Fatal(err)
		}
		return
	}
	if err := f.do(r.id, run.FinishStep{Fence: s.Claim.Fence, Attempt: s.Steps[0].Attempts, Now: f.now}); err != nil {
		f.t.Fatal(err)
	}
	r.executions++
	f.model.end(r)
}

func (f *floor) hold() {
	job := rapid.SampledFrom([]string{"", "a/merged", "b/newest", "b/merged"}).Draw(f.t, "held")
	if rapid.IntRange(0, 2).Draw(f.t, "release") == 0 {
		events, err := lane.ReleaseHolds(f.lane, shared, job, "", "", f.now)
		if err != nil {
			return
		}
		f.append("", events)
		f.model.holds = slices.DeleteFunc(f.model.holds, func(w window) bool { return w.job == job && w.until.After(f.now) })
		return
	}
	w := window{id: fmt.Sprint("h", len(f.log)), job: job, from: f.now.Add(time.Duration(rapid.IntRange(-2, 4).Draw(f.t, "from")) * minute)}
	w.until = w.from.Add(time.Duration(rapid.IntRange(1, 9).Draw(f.t, "long")) * minute)
	events, err := lane.SetHold(f.lane, shared, lane.Hold{ID: w.id, Job: job, From: w.from, Until: w.until}, f.now)
	if over := !w.until.After(f.now); over != (err != nil) {
		f.t.Fatalf("a hold until %s at %s: %v", w.until, f.now, err)
	} else if over {
		return
	}
	f.append("", events)
	f.model.holds = append(f.model.holds, w)
}

func (f *floor) change() {
	paused, limit := rapid.IntRange(0, 3).Draw(f.t, "paused") == 0, uint32(rapid.IntRange(0, 3).Draw(f.t, "limit")) //nolint:gosec // small
	events, err := lane.SetLimits(f.lane, shared, &paused, &limit, "why")
	if err != nil {
		return
	}
	f.append("", events)
	f.model.paused, f.model.limit = paused, int(limit)
}

// tick lets one replica decide on the lane. What it has read may be old; then
// its commit conflicts, and it decides again on the state in the log, with what
// it knew of the queue.
func (f *floor) tick(i int) {
	b := f.replicas[i].board
	ln, ok := b.Lane(shared)
	if !ok {
		return
	}
	g := b.Grant(ln, f.model.settings, f.now)
	f.read(i, rapid.IntRange(0, 2).Draw(f.t, "meanwhile"))
	events, err := lane.Decide(f.lane, g)
	if err != nil {
		f.t.Fatal(err)
	}
	var granted *eventv1.LaneGranted
	if len(events) > 0 {
		granted = events[0].GetLaneGranted()
	}
	f.append("", events)
	f.late(granted)
}

// late checks and notes a decision of somebody who may not have known all: it
// may be about runs that have ended, and must be harmless.
func (f *floor) late(granted *eventv1.LaneGranted) {
	for _, id := range granted.GetRuns() {
		r := f.model.find(id)
		until := f.model.heldUntil(r.job, f.now)
		exempt := slices.ContainsFunc(f.model.requests, func(o *request) bool { return o.key == r.key && o.despite })
		if r.slot && !r.ended || r.into != nil && !r.ended || f.model.paused || until.After(f.now) && !exempt {
			f.t.Fatalf("%s got a slot: slot %t, into %v, paused %t, held until %s", id, r.slot, r.into, f.model.paused, until)
		}
		r.slot = true
		f.model.turns = append(slices.DeleteFunc(f.model.turns, func(n string) bool { return n == r.namespace }), r.namespace)
	}
	if len(granted.GetRuns()) > 0 && f.model.busy(func(*request) bool { return true }) > f.model.slots() {
		f.t.Fatalf("more run than %d", f.model.slots())
	}
	for _, a := range granted.GetAbsorbs() {
		r, into := f.model.find(a.GetRun()), f.model.find(a.GetInto())
		if !r.ended && (r.slot || r.into != nil) || r.key != into.key {
			f.t.Fatalf("%v of %+v", a, r)
		}
		if merged := a.GetKind() == eventv1.Absorbed_KIND_MERGED; !r.ended && (!merged || !into.ended || into.started) {
			r.into, r.kind = into, a.GetKind()
		}
	}
}

// exact lets a replica that knows everything decide: exactly what the model
// says.
func (f *floor) exact(i int) {
	f.read(i, len(f.log))
	b := f.replicas[i].board
	ln, ok := b.Lane(shared)
	if !ok {
		return
	}
	events, err := lane.Decide(f.lane, b.Grant(ln, f.model.settings, f.now))
	if err != nil {
		f.t.Fatal(err)
	}
	got := verdict{yields: map[string]string{}}
	for _, e := range events {
		got.started = e.GetLaneGranted().GetRuns()
		for _, a := range e.GetLaneGranted().GetAbsorbs() {
			got.yields[a.GetRun()] = a.GetKind().String() + " " + a.GetInto()
		}
	}
	f.append("", events)
	if want := f.model.tick(f.now); !slices.Equal(got.started, want.started) || !maps.Equal(got.yields, want.yields) {
		f.t.Fatalf("at %s: %v\nwant %v\n%s", f.now.Format("15:04"), got, want, f.tell())
	}
	f.read(i, len(f.log))
	f.settle(i)
	f.read(i, len(f.log))
	f.shown(i)
}

// settle ends, as a dispatcher does, whoever yields and may end by what it knows.
func (f *floor) settle(i int) {
	b := f.replicas[i].board
	for _, r := range f.model.requests {
		l, ok := b.Live(r.id)
		if !ok {
			continue
		}
		y, due := b.Due(l)
		if !due {
			continue
		}
		if err := f.do(r.id, y); err != nil {
			f.t.Fatalf("%s: %v", r.id, err)
		}
		if r.ended {
			continue // cancelled, or ended by the other one
		}
		if r.into == nil || r.kind == eventv1.Absorbed_KIND_MERGED && !r.into.started {
			f.t.Fatalf("%s ended for %s, which has not started", r.id, y.Into)
		}
		f.model.end(r)
	}
}

// shown compares what people read of those that wait.
func (f *floor) shown(i int) {
	b := f.replicas[i].board
	show := func(r *request) board.Shown {
		l, _ := b.Live(r.id)
		return b.Show(l, board.World{Now: f.now, Settings: func(string) *eventv1.LaneSettings { return f.model.settings }})
	}
	for place, g := range f.model.groups() {
		h, start, at := head(g), startOf(g), f.now
		if start.After(at) {
			at = start
		}
		until := f.model.heldUntil(h.job, at)
		for _, r := range g {
			got, with := show(r), ""
			if r != h {
				with = h.id
			}
			var ok bool
			switch {
			case f.model.paused:
				ok = strings.Contains(got.Reason, "is paused by")
			case until.After(at) && !despite(g):
				ok = got.HeldUntil.Equal(until) && got.Hold != nil
			case start.After(f.now):
				ok = got.StartAfter.Equal(start)
			default:
				ok = got.Position == place+1
			}
			if !ok || got.With != with || got.Status != run.Queued {
				f.t.Fatalf("at %s %s shows %+v\nnumber %d, start %s, held until %s, with %s\n%s", f.now.Format("15:04"), r.id, got, place+1, start, until, with, f.tell())
			}
		}
	}
	for _, r := range f.model.requests {
		if !r.ended && r.into != nil && show(r).With != r.into.id {
			f.t.Fatalf("%s shows %+v, and %s executes for it", r.id, show(r), r.into.id)
		}
	}
}

func (f *floor) tell() string {
	var b strings.Builder
	for _, r := range f.model.requests {
		fmt.Fprintf(&b, "%s %s asked %s start %s max %s priority %d despite %t slot %t started %t ended %t cancelled %t\n",
			r.id[:8], r.key, r.asked.Format("15:04"), r.start.Format("15:04"), r.maxDelay, r.priority, r.despite, r.slot, r.started, r.ended, r.cancelled)
	}
	return b.String() + fmt.Sprintf("%+v", f.model.holds)
}

// finale lets everything end that still can.
func (f *floor) finale() {
	f.model.holds, f.model.paused, f.model.limit = nil, false, 0
	for _, job := range []string{"", "a/merged", "b/newest", "b/merged"} {
		if events, err := lane.ReleaseHolds(f.lane, shared, job, "", "", f.now); err == nil {
			f.append("", events)
		}
	}
	paused, limit := false, uint32(0)
	if events, err := lane.SetLimits(f.lane, shared, &paused, &limit, "over"); err == nil {
		f.append("", events)
	}
	for n := 0; slices.ContainsFunc(f.model.requests, func(r *request) bool { return !r.ended }); n++ {
		if n > 5*len(f.model.requests)+20 {
			f.t.Fatalf("stuck:\n%s", f.tell())
		}
		f.now = f.now.Add(minute)
		f.exact(n % 2)
		f.claim()
		f.finish()
	}
}

// account checks what became of every request.
func (f *floor) account() {
	for _, r := range f.model.requests {
		s := f.runs[r.id]
		executed := r.executions == 1 && s.Status == run.Succeeded && r.into == nil
		merged := r.into != nil && r.kind == eventv1.Absorbed_KIND_MERGED && r.into.started && s.Status == run.Merged && s.MergedInto == r.into.id
		superseded := r.into != nil && r.kind == eventv1.Absorbed_KIND_SUPERSEDED && s.Status == run.Cancelled && s.MergedInto == r.into.id
		refused := r.into != nil && r.kind == eventv1.Absorbed_KIND_REJECTED && s.Status == run.Refused
		cancelled := r.cancelled && s.Status == run.Cancelled && r.executions == 0
		if !executed && !cancelled && (r.executions > 0 || !merged && !superseded && !refused) {
			f.t.Fatalf("%s is %s, executed %d times: %+v", r.id, s.Status, r.executions, r)
		}
	}
}

// Whatever is asked, cancelled, held and changed, and however late those who
// decide are: what starts, who executes for whom, who yields to whom and what
// people read is what the model says; and in the end every request was executed
// once, by itself or by another that started, or ended by its policy or by a
// person's word.
func TestDoublesDelaysAndHoldsAreAsTheModelSays(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		f := newFloor(t)
		for range rapid.IntRange(1, 70).Draw(t, "length") {
			i := rapid.IntRange(0, 1).Draw(t, "replica")
			switch rapid.IntRange(0, 15).Draw(t, "what") {
			case 0, 1, 2, 3:
				f.ask()
			case 4:
				f.cancel()
			case 5:
				f.hold()
			case 6:
				f.change()
				f.append("", lane.Checkpoint(f.lane, uint64(len(f.log)))) //nolint:gosec // small
			case 7, 8:
				f.claim()
			case 9:
				f.finish()
			case 10:
				f.read(i, rapid.IntRange(0, 5).Draw(t, "read"))
				f.settle(i)
			case 11, 12:
				f.read(i, rapid.IntRange(0, 8).Draw(t, "read"))
				f.tick(i)
			case 13:
				f.now = f.now.Add(time.Duration(rapid.IntRange(0, 3).Draw(t, "minutes")) * minute)
			default:
				f.exact(i)
			}
		}
		f.finale()
		f.account()
		f.checkpoints()
	})
}
