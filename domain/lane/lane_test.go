package lane_test

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"
	"pgregory.net/rapid"

	"github.com/slipway-hq/slipway/domain/lane"
	eventv1 "github.com/slipway-hq/slipway/gen/slipway/event/v1"
	"github.com/slipway-hq/slipway/internal/story"
)

// world is one lane, its queue and a clock.
type world struct {
	state    lane.State
	queue    lane.Queue
	ended    map[string]bool
	void     map[string]bool
	shares   map[string]lane.Share
	asked    map[string]lane.Candidate
	granted  []string
	settings *eventv1.LaneSettings
	now      time.Time
	sequence uint64
}

func newWorld() *world {
	return &world{
		ended: map[string]bool{}, void: map[string]bool{}, shares: map[string]lane.Share{}, asked: map[string]lane.Candidate{},
		settings: &eventv1.LaneSettings{}, now: time.Date(2026, 1, 2, 10, 0, 0, 0, time.UTC),
	}
}

func (w *world) ask(c lane.Candidate) {
	w.sequence++
	c.Sequence, c.Asked = w.sequence, w.now
	w.shares[c.Run] = lane.Share{Namespace: c.Namespace, Job: c.Job, Key: c.Key}
	w.asked[c.Run] = c
	w.queue.Add(c)
}

func (w *world) grant() lane.Grant {
	return lane.Grant{
		Lane: "checkout/production", Ended: func(r string) bool { return w.ended[r] }, Void: func(r string) bool { return w.void[r] },
		Share: func(r string) lane.Share { return w.shares[r] }, Settings: w.settings, Now: w.now,
	}
}

func (w *world) tick(t interface{ Fatal(...any) }) *eventv1.LaneGranted {
	g := w.grant()
	g.Queue = lane.Ready(&w.queue, w.state, g)
	events, err := lane.Decide(w.state, g)
	if err != nil {
		t.Fatal(err)
	}
	if len(events) == 0 {
		return nil
	}
	w.commit(events)
	e := events[0].GetLaneGranted()
	for _, r := range e.GetRuns() {
		w.queue.Remove(r)
	}
	for _, a := range e.GetAbsorbs() {
		w.queue.Remove(a.GetRun())
	}
	w.granted = append(w.granted, e.GetRuns()...)
	return e
}

func (w *world) commit(events []*eventv1.Event) {
	w.sequence++
	w.state = lane.FoldCommit(w.state, w.sequence, &eventv1.Commit{Events: events, Time: timestamppb.New(w.now), Actor: &eventv1.Principal{User: "U1"}})
}

func (w *world) active() int {
	n := 0
	for _, r := range w.granted {
		if !w.ended[r] {
			n++
		}
	}
	return n
}

func TestStories(t *testing.T) {
	story.Run(t, "*.story", func(t *testing.T) func(story.Line) string {
		w := newWorld()
		return func(l story.Line) string { return w.play(t, l) }
	})
}

var policies = map[string]eventv1.Dedupe_Policy{
	"all": eventv1.Dedupe_POLICY_ALL, "merge": eventv1.Dedupe_POLICY_MERGE, "reject": eventv1.Dedupe_POLICY_REJECT, "newest": eventv1.Dedupe_POLICY_NEWEST,
}

func (w *world) play(t *testing.T, l story.Line) string {
	number := func(key, fallback string) int {
		n, err := strconv.Atoi(l.Arg(key, fallback))
		if err != nil {
			t.Fatalf("%s: %v", l.Text, err)
		}
		return n
	}
	duration := func(key string) time.Duration {
		d, err := time.ParseDuration(l.Arg(key, "0s"))
		if err != nil {
			t.Fatalf("%s: %v", l.Text, err)
		}
		return d
	}
	answer := func(events []*eventv1.Event, err error) string {
		if err != nil {
			return "refused: " + err.Error()
		}
		w.commit(events)
		return "ok"
	}
	switch l.Name {
	case "lane":
		w.settings = &eventv1.LaneSettings{
			Concurrency: uint32(number("concurrency", "1")), RateLimit: uint32(number("rate", "0")), RatePeriod: durationpb.New(duration("period")), //nolint:gosec // small
			PerNamespace: uint32(number("per_namespace", "0")), PerJob: uint32(number("per_job", "0")), Turns: l.Arg("turns", "") != "", //nolint:gosec // small
		}
		return "ok"
	case "ask":
		for _, r := range strings.Split(l.Arg("runs", ""), ",") {
			c := lane.Candidate{Run: r, Priority: int32(number("priority", "0")), Namespace: l.Arg("namespace", ""), Job: l.Arg("job", ""), Despite: l.Arg("despite", "") != ""} //nolint:gosec // small
			if d := duration("delay"); d > 0 {
				c.Start = w.now.Add(d)
			}
			c.Policy, c.Key, c.MaxDelay = policies[l.Arg("dedupe", "all")], l.Arg("key", ""), duration("max_delay")
			w.ask(c)
		}
	case "end":
		w.ended[l.Arg("run", "")] = true
	case "void": // it ends before it has started, and whoever it stood for waits again
		w.ended[l.Arg("run", "")], w.void[l.Arg("run", "")] = true, true
		for _, y := range w.state.Yields {
			if y.Into == l.Arg("run", "") {
				w.queue.Add(w.asked[y.Run])
			}
		}
	case "cancel":
		w.queue.Remove(l.Arg("run", ""))
	case "hold":
		return answer(lane.SetHold(w.state, "l", lane.Hold{
			ID: l.Arg("id", "h1"), Job: l.Arg("job", ""), From: w.now.Add(duration("from")), Until: w.now.Add(duration("until")), Reason: l.Arg("reason", ""),
		}, w.now))
	case "release":
		return answer(lane.ReleaseHolds(w.state, "l", l.Arg("job", ""), l.Arg("id", ""), "", w.now))
	case "set":
		paused, limit := l.Arg("paused", "") == "yes", uint32(number("limit", "0")) //nolint:gosec // small
		return answer(lane.SetLimits(w.state, "l", &paused, &limit, "why"))
	case "wait":
		w.now = w.now.Add(duration("for"))
	case "tick":
		return w.narrate(w.tick(t)) + "\n" + w.line()
	default:
		t.Fatalf("unknown command %q", l.Text)
	}
	return w.line()
}

func (w *world) narrate(e *eventv1.LaneGranted) string {
	var lines []string
	if len(e.GetRuns()) > 0 {
		lines = append(lines, "granted "+strings.Join(e.GetRuns(), ", "))
	}
	for _, a := range e.GetAbsorbs() {
		lines = append(lines, fmt.Sprintf("%s %s by %s", a.GetRun(), strings.ToLower(strings.TrimPrefix(a.GetKind().String(), "KIND_")), a.GetInto()))
	}
	if len(lines) > 0 {
		return strings.Join(lines, "\n")
	}
	if at := w.state.NextStart(w.settings, w.now); !at.IsZero() {
		return "nothing starts before " + at.Format("15:04:05")
	}
	return "nothing starts"
}

func (w *world) line() string {
	return fmt.Sprintf("%d active, waiting: %s", w.active(), strings.Join(slices.Collect(w.queue.Runs()), ", "))
}

// Whatever is asked, ended and reconfigured: the limit holds at every grant,
// nobody is granted twice, the rate holds, and the state replays.
func TestLimitsHold(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := newWorld()
		for i := range rapid.IntRange(1, 80).Draw(t, "length") {
			switch rapid.IntRange(0, 4).Draw(t, "what") {
			case 0:
				w.settings = &eventv1.LaneSettings{Concurrency: uint32(rapid.IntRange(1, 4).Draw(t, "limit")), RateLimit: 3, RatePeriod: durationpb.New(time.Minute)} //nolint:gosec // small
			case 1:
				w.ask(lane.Candidate{Run: fmt.Sprintf("r%d", i), Priority: int32(rapid.IntRange(-1, 1).Draw(t, "priority"))}) //nolint:gosec // small
			case 2:
				if n := len(w.granted); n > 0 {
					w.ended[w.granted[rapid.IntRange(0, n-1).Draw(t, "end")]] = true
				}
			default:
				w.now = w.now.Add(time.Duration(rapid.IntRange(-5, 40).Draw(t, "seconds")) * time.Second)
				checkTick(t, w)
			}
		}
	})
}

func checkTick(t *rapid.T, w *world) {
	before, want := w.active(), slices.Collect(w.queue.Runs())
	runs := w.tick(t).GetRuns()
	if len(runs) == 0 {
		return
	}
	if before+len(runs) > w.state.Limit(w.settings) {
		t.Fatalf("%d active and %d granted with limit %d", before, len(runs), w.state.Limit(w.settings))
	}
	for i, r := range runs {
		if want[i] != r {
			t.Fatalf("%s was granted where %s was first", r, want[i])
		}
	}
	sorted := slices.Clone(w.granted)
	slices.Sort(sorted)
	if len(slices.Compact(sorted)) != len(w.granted) {
		t.Fatalf("granted twice: %v", w.granted)
	}
}

// With a rate in force from the start, no window of one period holds more
// starts than it allows.
func TestRateHolds(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := newWorld()
		limit := rapid.IntRange(1, 4).Draw(t, "limit")
		w.settings = &eventv1.LaneSettings{Concurrency: 100, RateLimit: uint32(limit), RatePeriod: durationpb.New(time.Minute)} //nolint:gosec // small
		var starts []time.Time
		for i := range rapid.IntRange(1, 60).Draw(t, "length") {
			w.ask(lane.Candidate{Run: fmt.Sprintf("r%d", i)})
			w.now = w.now.Add(time.Duration(rapid.IntRange(0, 30).Draw(t, "seconds")) * time.Second)
			for range w.tick(t).GetRuns() {
				starts = append(starts, w.now)
			}
		}
		for i := range starts {
			if j := i + limit; j < len(starts) && starts[j].Sub(starts[i]) < time.Minute {
				t.Fatalf("%d starts within %s with limit %d", limit+1, starts[j].Sub(starts[i]), limit)
			}
		}
	})
}

// A run that ended after the queue was read, a cancelled one say, gets no slot.
func TestWhatHasEndedIsNotGranted(t *testing.T) {
	events, err := lane.Decide(lane.State{}, lane.Grant{
		Lane: "l", Queue: []lane.Unit{{Members: []lane.Candidate{{Run: "gone"}}}, {Members: []lane.Candidate{{Run: "waits"}}}}, Ended: func(run string) bool { return run == "gone" },
	})
	if err != nil || len(events) != 1 || !slices.Equal(events[0].GetLaneGranted().GetRuns(), []string{"waits"}) {
		t.Errorf("%v, %v", events, err)
	}
}
