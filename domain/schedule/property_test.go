package schedule_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/testing/protocmp"
	"pgregory.net/rapid"

	"github.com/slipway-hq/slipway/domain/schedule"
	eventv1 "github.com/slipway-hq/slipway/gen/slipway/event/v1"
)

var specs = []struct{ cron, at, zone string }{
	{cron: "*/15 * * * *"},
	{cron: "30 1 * * *", zone: "Europe/London"},
	{cron: "0 */2 * * *", zone: "Australia/Lord_Howe"},
	{at: "2026-01-03 12:00"},
	{cron: "* * * * *"},
}

// Whatever the order of ticks, crashes, pauses and changed times: every tick of a
// time that is decided is in exactly one commit of the clock, as a run or counted
// as skipped; those on time are run; none at or before arming; and replaying gives
// the same state.
func TestAnyHistoryDecidesEveryTickOnce(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := newWorld()
		w.misfire = schedule.Misfire{
			Policy: rapid.SampledFrom([]schedule.Policy{schedule.Once, schedule.Skip, schedule.All}).Draw(t, "policy"),
			Grace:  time.Duration(rapid.IntRange(0, 3600).Draw(t, "grace")) * time.Second, Limit: rapid.IntRange(1, 150).Draw(t, "limit"),
		}
		w.change(t, 1)
		for n := range rapid.IntRange(1, 30).Draw(t, "commands") {
			w.step(t, uint64(n+2)) //nolint:gosec // small
		}
		w.replay(t)
	})
}

func (w *world) step(t *rapid.T, config uint64) {
	switch rapid.IntRange(0, 9).Draw(t, "step") {
	case 0, 1, 2, 3:
		w.now = w.now.Add(time.Duration(rapid.IntRange(1, 2*24*3600).Draw(t, "seconds")) * time.Second)
	case 4, 5:
		w.tick(t)
	case 6:
		w.must(t, schedule.Pausing{Reason: "r"})
	case 7:
		w.must(t, schedule.Resuming{Reason: "r"})
	case 8:
		w.change(t, config)
	case 9:
		w.state = w.replay(t) // the process died and began again
	}
}

func (w *world) must(t *rapid.T, c schedule.Command) []*eventv1.Event {
	events, err := w.do(c)
	if err != nil {
		t.Fatal(err)
	}
	return events
}

func (w *world) change(t *rapid.T, config uint64) {
	drawn := rapid.SampledFrom(specs).Draw(t, "spec")
	spec, err := schedule.ParseSpec(drawn.cron, drawn.at, drawn.zone)
	if err != nil {
		t.Fatal(err)
	}
	w.spec = spec
	w.must(t, schedule.Arm{Schedule: name, Spec: spec, Paused: rapid.Bool().Draw(t, "paused"), ConfigSequence: config, Now: w.now})
}

// tick lets the clock decide until nothing is due, and checks each decision.
func (w *world) tick(t *rapid.T) {
	for {
		before := w.state
		events := w.must(t, schedule.Tick{Spec: w.spec, Misfire: w.misfire, Now: w.now})
		if len(events) == 0 {
			break
		}
		if before.Paused != nil {
			t.Fatal("the clock ticked in a pause")
		}
		w.check(t, before.Through, events[0].GetScheduleFired())
	}
	if due := w.state.Due(w.spec); !due.IsZero() && !due.After(w.now) {
		t.Fatalf("%s is due at %s, and nothing was decided", due, w.now)
	}
}

func (w *world) check(t *rapid.T, after time.Time, fired *eventv1.ScheduleFired) {
	through := fired.GetThrough().AsTime()
	if through.After(w.now) || len(fired.GetRuns()) > schedule.MaxRuns {
		t.Fatalf("decided up to %s at %s with %d runs", through, w.now, len(fired.GetRuns()))
	}
	ran := map[time.Time]bool{}
	for _, r := range fired.GetRuns() {
		if ran[r.GetTick().AsTime()] {
			t.Fatalf("%s is run twice", r.GetTick().AsTime())
		}
		ran[r.GetTick().AsTime()] = true
	}
	ticks, skipped, madeUp := 0, uint32(0), 0
	for at := w.spec.Next(after); !at.IsZero() && !at.After(through); at = w.spec.Next(at) {
		onTime := w.now.Sub(at) <= w.misfire.Grace
		switch {
		case !ran[at] && onTime:
			t.Fatalf("%s was on time at %s and is not run", at, w.now)
		case !ran[at]:
			skipped++
		case !onTime:
			madeUp++
		}
		delete(ran, at)
		ticks++
	}
	if len(ran) > 0 {
		t.Fatalf("runs that are no ticks after %s: %v", after, ran)
	}
	if skipped != fired.GetSkipped() {
		t.Fatalf("%d of %d ticks are not run, %d are counted", skipped, ticks, fired.GetSkipped())
	}
	most := map[schedule.Policy]int{schedule.Once: 1, schedule.Skip: 0, schedule.All: w.misfire.Limit}[w.misfire.Policy]
	if madeUp > most {
		t.Fatalf("%d missed ticks are run, at most %d may be", madeUp, most)
	}
}

func (w *world) replay(t *rapid.T) schedule.State {
	var again schedule.State
	for i, c := range w.history {
		again = schedule.FoldCommit(again, w.sequence-uint64(len(w.history)-1-i), c) //nolint:gosec // small
	}
	if diff := cmp.Diff(w.state, again, protocmp.Transform()); diff != "" {
		t.Fatal(diff)
	}
	return again
}

// A trigger's key and a backfilled tick mean one run each, however often and
// between whatever else they are asked for.
func TestAnyRepeatedRequestMeansOneRun(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := newWorld()
		w.change(t, 1)
		begin := w.now
		count := map[string]int{}
		for range rapid.IntRange(1, 20).Draw(t, "requests") {
			w.now = w.now.Add(time.Duration(rapid.IntRange(1, 3600).Draw(t, "seconds")) * time.Second)
			var c schedule.Command = schedule.Trigger{Key: rapid.SampledFrom([]string{"a", "b"}).Draw(t, "key"), Now: w.now}
			if rapid.Bool().Draw(t, "backfill") {
				c = schedule.Backfill{Spec: w.spec, Since: begin, Until: begin.Add(time.Hour), Now: w.now, Ran: func(run string) bool { return w.runs[run] }}
			}
			events, err := w.do(c)
			if err != nil {
				continue
			}
			for _, e := range events {
				for _, r := range e.GetScheduleFired().GetRuns() {
					count[r.GetRun()]++
					w.runs[r.GetRun()] = rapid.Bool().Draw(t, "started")
				}
			}
		}
		for run, n := range count {
			if n > 1 {
				t.Fatalf("%s was decided on %d times", run, n)
			}
		}
	})
}
