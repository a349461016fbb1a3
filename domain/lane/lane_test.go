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
	queue    []lane.Candidate
	ended    map[string]bool
	granted  []string
	settings *eventv1.LaneSettings
	now      time.Time
	sequence uint64
}

func newWorld() *world {
	return &world{ended: map[string]bool{}, settings: &eventv1.LaneSettings{}, now: time.Date(2026, 1, 2, 10, 0, 0, 0, time.UTC)}
}

func (w *world) ask(name string, priority int32) {
	w.sequence++
	w.queue = append(w.queue, lane.Candidate{Run: name, Priority: priority, Sequence: w.sequence})
	slices.SortFunc(w.queue, lane.Before)
}

func (w *world) tick(t interface{ Fatal(...any) }) []string {
	events, err := lane.Decide(w.state, lane.Grant{
		Lane: "checkout/production", Queue: w.queue, Ended: func(r string) bool { return w.ended[r] }, Settings: w.settings, Now: w.now,
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(events) == 0 {
		return nil
	}
	w.sequence++
	w.state = lane.FoldCommit(w.state, w.sequence, &eventv1.Commit{Events: events, Time: timestamppb.New(w.now)})
	runs := events[0].GetLaneGranted().GetRuns()
	w.queue = slices.DeleteFunc(w.queue, func(c lane.Candidate) bool { return slices.Contains(runs, c.Run) })
	w.granted = append(w.granted, runs...)
	return runs
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

func (w *world) play(t *testing.T, l story.Line) string {
	switch l.Name {
	case "lane":
		n, _ := strconv.Atoi(l.Arg("concurrency", "1"))
		rate, _ := strconv.Atoi(l.Arg("rate", "0"))
		period, _ := time.ParseDuration(l.Arg("period", "0s"))
		w.settings = &eventv1.LaneSettings{Concurrency: uint32(n), RateLimit: uint32(rate), RatePeriod: durationpb.New(period)} //nolint:gosec // small
		return "ok"
	case "ask":
		p, _ := strconv.Atoi(l.Arg("priority", "0"))
		for _, r := range strings.Split(l.Arg("runs", ""), ",") {
			w.ask(r, int32(p)) //nolint:gosec // small
		}
	case "end":
		w.ended[l.Arg("run", "")] = true
	case "cancel":
		w.queue = slices.DeleteFunc(w.queue, func(c lane.Candidate) bool { return c.Run == l.Arg("run", "") })
	case "wait":
		d, _ := time.ParseDuration(l.Arg("for", "0s"))
		w.now = w.now.Add(d)
	case "tick":
		if runs := w.tick(t); len(runs) > 0 {
			return "granted " + strings.Join(runs, ", ") + "\n" + w.line()
		}
		if at := w.state.NextStart(w.settings, w.now); !at.IsZero() {
			return "nothing starts before " + at.Format("15:04:05") + "\n" + w.line()
		}
		return "nothing starts\n" + w.line()
	default:
		t.Fatalf("unknown command %q", l.Text)
	}
	return w.line()
}

func (w *world) line() string {
	var names []string
	for _, c := range w.queue {
		names = append(names, c.Run)
	}
	return fmt.Sprintf("%d active, waiting: %s", w.active(), strings.Join(names, ", "))
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
				w.ask(fmt.Sprintf("r%d", i), int32(rapid.IntRange(-1, 1).Draw(t, "priority"))) //nolint:gosec // small
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
	before, want := w.active(), slices.Clone(w.queue)
	runs := w.tick(t)
	if len(runs) == 0 {
		return
	}
	if before+len(runs) > lane.Limit(w.settings) {
		t.Fatalf("%d active and %d granted with limit %d", before, len(runs), lane.Limit(w.settings))
	}
	for i, r := range runs {
		if want[i].Run != r {
			t.Fatalf("%s was granted where %s was first", r, want[i].Run)
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
			w.ask(fmt.Sprintf("r%d", i), 0)
			w.now = w.now.Add(time.Duration(rapid.IntRange(0, 30).Draw(t, "seconds")) * time.Second)
			for range w.tick(t) {
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
		Lane: "l", Queue: []lane.Candidate{{Run: "gone"}, {Run: "waits"}}, Ended: func(run string) bool { return run == "gone" },
	})
	if err != nil || len(events) != 1 || !slices.Equal(events[0].GetLaneGranted().GetRuns(), []string{"waits"}) {
		t.Errorf("%v, %v", events, err)
	}
}
