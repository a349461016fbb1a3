package orchestrator

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"connectrpc.com/connect"
	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/slipway-hq/slipway/domain/board"
	"github.com/slipway-hq/slipway/domain/grammar"
	"github.com/slipway-hq/slipway/domain/pipeline"
	"github.com/slipway-hq/slipway/domain/run"
	"github.com/slipway-hq/slipway/domain/schedule"
	apiv1 "github.com/slipway-hq/slipway/gen/slipway/api/v1"
	commandv1 "github.com/slipway-hq/slipway/gen/slipway/command/v1"
	eventv1 "github.com/slipway-hq/slipway/gen/slipway/event/v1"
	"github.com/slipway-hq/slipway/internal/engine"
	"github.com/slipway-hq/slipway/internal/eventlog/memlog"
	"github.com/slipway-hq/slipway/internal/projection"
)

// tower is some clocks over one log in memory, inside a bubble whose time is
// fake. It begins at any moment.
type tower struct {
	t    *testing.T
	ctx  context.Context
	log  *memlog.Log
	desk *desk // of the first replica
	jobs *jobAPI

	mu     sync.Mutex
	shift  time.Duration // of the wall clock, against the bubble's
	config *adopted

	stop  context.CancelFunc // the clocks
	desks []*desk
	group sync.WaitGroup
}

// inTower runs test in a bubble that begins at a moment, with so many clocks of
// the schedules of one namespace, ops.
func inTower(t *testing.T, replicas int, from string, schedules map[string]pipeline.Schedule, test func(w *tower)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		begin, err := time.Parse(time.RFC3339, from)
		if err != nil {
			t.Fatal(err)
		}
		w := &tower{t: t, log: memlog.New(), shift: time.Until(begin)}
		w.adopt(schedules)
		ctx, cancel := context.WithCancel(t.Context())
		w.ctx = ctx
		defer func() {
			w.down()
			cancel()
			w.group.Wait()
		}()
		for range replicas {
			w.desks = append(w.desks, w.replica(ctx))
		}
		w.desk = w.desks[0]
		w.jobs = &jobAPI{run: &runAPI{desk: w.desk, view: w.desk.view, proj: w.desk.view.proj}, desk: w.desk}
		w.up()
		test(w)
	})
}

func (w *tower) replica(ctx context.Context) *desk {
	proj := projection.New(w.log, nil)
	w.group.Go(func() { _ = proj.Run(ctx, func() {}) }) // it ends with ctx
	world := func() board.World { return board.World{Now: w.now()} }
	return &desk{
		log: w.log, view: &view{log: w.log, proj: proj, world: world}, config: w.adopted, now: w.now,
		nudge: func(_, _ string) {}, logger: slog.New(slog.DiscardHandler),
	}
}

// up starts the clocks, down stops them.
func (w *tower) up() {
	ctx, cancel := context.WithCancel(w.ctx)
	var group sync.WaitGroup
	for _, d := range w.desks {
		group.Go(func() { _ = newScheduler(d, d.logger).run(ctx) })
	}
	w.stop = func() { cancel(); group.Wait() }
	synctest.Wait()
}

func (w *tower) down() { w.stop() }

func (w *tower) now() time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	return time.Now().Add(w.shift).UTC()
}

func (w *tower) adopted() *adopted {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.config
}

// adopt puts another configuration into force; jobs are those that there are,
// nightly if none is named.
func (w *tower) adopt(schedules map[string]pipeline.Schedule, jobs ...string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if jobs == nil {
		jobs = []string{"nightly"}
	}
	ns := pipeline.Namespace{Jobs: map[string]pipeline.Job{}, Schedules: schedules, DefaultChannel: "C0OPS"}
	for _, name := range jobs {
		ns.Jobs[name] = pipeline.Job{Shell: "true"}
	}
	next := uint64(1)
	if w.config != nil {
		next = w.config.sequence + 1
	}
	w.config = &adopted{config: pipeline.Config{Namespaces: map[string]pipeline.Namespace{"ops": ns}}, sequence: next}
}

// pass lets time pass while the clocks tick.
func (w *tower) pass(d time.Duration) {
	time.Sleep(d) // fake time
	synctest.Wait()
}

// away lets time pass while nobody is there.
func (w *tower) away(d time.Duration) {
	w.down()
	w.mu.Lock()
	w.shift += d
	w.mu.Unlock()
	w.up()
	w.pass(time.Second)
}

// ran are the ticks of all runs, in their order, from the identities alone.
func (w *tower) ran() []string {
	var out []string
	for _, s := range w.runs() {
		_, tick, _ := strings.Cut(s.Identity, "ops/")
		out = append(out, tick+refusedMark(s))
	}
	slices.Sort(out)
	return out
}

func refusedMark(s run.State) string {
	if s.Status == run.Refused {
		return " refused " + s.Code
	}
	return ""
}

func (w *tower) runs() []run.State {
	synctest.Wait()
	var out []run.State
	w.desk.view.proj.Read(func(b *board.Board) {
		b.Each(func(l *board.Live) { out = append(out, l.State) })
	})
	return out
}

func (w *tower) state() schedule.State {
	synctest.Wait()
	var s schedule.State
	w.desk.view.proj.Read(func(b *board.Board) { s, _ = b.Schedule("ops/night") })
	return s
}

func (w *tower) want(ticks ...string) {
	w.t.Helper()
	if diff := cmp.Diff(ticks, w.ran()); diff != "" {
		w.t.Errorf("runs:\n%s", diff)
	}
}

func one(s pipeline.Schedule) map[string]pipeline.Schedule {
	s.Job = "nightly"
	return map[string]pipeline.Schedule{"night": s}
}

func TestScheduleFiresOnceHoweverManyClocksThereAre(t *testing.T) {
	inTower(t, 3, "2026-01-02T10:00:30Z", one(pipeline.Schedule{Cron: "*/20 * * * *"}), func(w *tower) {
		w.pass(time.Hour)
		w.want("night|2026-01-02T10:20:00Z", "night|2026-01-02T10:40:00Z", "night|2026-01-02T11:00:00Z")
		for _, s := range w.runs() {
			if s.Origin.GetDoor() != eventv1.Origin_DOOR_SCHEDULE || s.Origin.GetSource() != "ops/night" || s.Origin.GetChannel() != "C0OPS" || s.Requester.GetName() != "schedule ops/night" {
				t.Errorf("origin %v of %v", s.Origin, s.Requester)
			}
			if late := s.Created.Sub(s.Created.Truncate(20 * time.Minute)); late > 100*time.Millisecond {
				t.Errorf("a run was %s late", late)
			}
		}
		if got := w.state().Sequence; got == 0 || len(w.state().Recent) != 3 {
			t.Errorf("the schedule remembers %v", w.state().Recent)
		}
	})
}

func TestScheduleMissedForThreeDays(t *testing.T) {
	for _, c := range []struct {
		misfire pipeline.Misfire
		want    []string
		skipped uint64
	}{
		{pipeline.Misfire{}, []string{"night|2026-01-05T09:30:00Z"}, 2},
		{pipeline.Misfire{Policy: pipeline.MisfireSkip}, nil, 3},
		{pipeline.Misfire{Policy: pipeline.MisfireAll}, []string{"night|2026-01-03T09:30:00Z", "night|2026-01-04T09:30:00Z", "night|2026-01-05T09:30:00Z"}, 0},
		{pipeline.Misfire{Policy: pipeline.MisfireAll, Limit: 2}, []string{"night|2026-01-04T09:30:00Z", "night|2026-01-05T09:30:00Z"}, 1},
		{pipeline.Misfire{Policy: pipeline.MisfireSkip, Grace: time.Hour}, []string{"night|2026-01-05T09:30:00Z"}, 2},
	} {
		t.Run(fmt.Sprint(c.misfire), func(t *testing.T) {
			inTower(t, 2, "2026-01-02T10:00:00Z", one(pipeline.Schedule{Cron: "30 9 * * *", Misfire: c.misfire}), func(w *tower) {
				w.pass(time.Minute)
				w.away(72 * time.Hour)
				w.want(c.want...)
				if got := w.state().Skipped; got != c.skipped {
					t.Errorf("%d skipped, want %d", got, c.skipped)
				}
				w.away(time.Minute) // another restart makes up for nothing more
				w.want(c.want...)
			})
		})
	}
}

func TestScheduleOnTheNightsTheClocksChange(t *testing.T) {
	for _, c := range []struct {
		name, from, cron, zone string
		want                   []string
	}{
		{"left out", "2026-03-28T23:00:00Z", "30 1 * * *", "Europe/London", []string{"night|2026-03-29T01:00:00Z"}},
		{"twice", "2026-10-24T22:00:00Z", "30 1 * * *", "Europe/London", []string{"night|2026-10-25T00:30:00Z"}},
		{"half an hour left out", "2026-10-03T13:00:00Z", "15 2 * * *", "Australia/Lord_Howe", []string{"night|2026-10-03T15:30:00Z"}},
		{"half an hour twice", "2026-04-04T13:00:00Z", "45 1 * * *", "Australia/Lord_Howe", []string{"night|2026-04-04T14:45:00Z"}},
		{"cadence, left out", "2026-03-08T06:20:00Z", "*/30 0-3 * * *", "America/New_York", []string{"night|2026-03-08T06:30:00Z", "night|2026-03-08T07:00:00Z", "night|2026-03-08T07:30:00Z"}},
		{"cadence, twice", "2026-11-01T05:20:00Z", "*/30 0-2 * * *", "America/New_York", []string{
			"night|2026-11-01T05:30:00Z", "night|2026-11-01T06:00:00Z", "night|2026-11-01T06:30:00Z", "night|2026-11-01T07:00:00Z", "night|2026-11-01T07:30:00Z",
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			inTower(t, 2, c.from, one(pipeline.Schedule{Cron: c.cron, Zone: c.zone}), func(w *tower) {
				w.pass(6 * time.Hour)
				w.want(c.want...)
			})
		})
	}
}

func TestSchedulePausedAndTriggered(t *testing.T) {
	inTower(t, 2, "2026-01-02T10:00:00Z", one(pipeline.Schedule{Cron: "0 * * * *"}), func(w *tower) {
		w.pass(time.Minute)
		who := member("U1")
		who.command = "c1"
		s, err := w.desk.pauseSchedule(w.ctx, who, "night", "the office moves")
		if err != nil || !s.GetPaused() || s.GetPausedBy() != "U1" || s.GetReason() != "the office moves" || s.GetNext() != nil {
			t.Fatalf("%v %v", s, err)
		}
		w.pass(3 * time.Hour)
		w.want()

		who.command = "c2"
		first, err := w.desk.triggerSchedule(w.ctx, who, "ops/night")
		if err != nil || first.Origin.GetChannel() != "C1" || first.Requester.GetUser() != "U1" {
			t.Fatalf("triggered from %v by %v: %v", first.Origin, first.Requester, err)
		}
		again, err := w.desk.triggerSchedule(w.ctx, who, "night")
		if err != nil || again.ID != first.ID {
			t.Errorf("a trigger delivered again means %s, not %s: %v", again.ID, first.ID, err)
		}
		w.pass(time.Minute)
		w.want("night|trigger|c2")

		who.command = "c3"
		if s, err = w.desk.resumeSchedule(w.ctx, who, "night", ""); err != nil || s.GetPaused() {
			t.Fatalf("%v %v", s, err)
		}
		who.command = "c1"
		if s, err = w.desk.pauseSchedule(w.ctx, who, "night", "the office moves"); err != nil || s.GetPaused() {
			t.Fatalf("the old pause, delivered again: %v %v", s, err)
		}
		w.pass(time.Minute)
		w.want("night|2026-01-02T13:00:00Z", "night|trigger|c2")
		if got := w.state().Skipped; got != 2 {
			t.Errorf("%d skipped, want 2", got)
		}
	})
}

// A process that dies between the decision and the start of a run leaves it to
// the next one; whether a person or the clock decided makes no difference.
func TestScheduleRunsOfADeadProcessAreStarted(t *testing.T) {
	inTower(t, 2, "2026-01-02T10:00:00Z", one(pipeline.Schedule{Cron: "0 * * * *"}), func(w *tower) {
		w.pass(time.Minute)
		w.down()
		w.mu.Lock()
		w.shift += time.Hour
		w.mu.Unlock()
		spec, _ := schedule.ParseSpec("0 * * * *", "", "")
		for id, c := range map[string]schedule.Command{
			"clock": schedule.Tick{Spec: spec, Misfire: misfireOf(pipeline.Misfire{}), Now: w.now()},
			"c9":    schedule.Trigger{Key: "c9", Now: w.now()},
		} {
			h := w.desk.scheduleHandle("ops/night")
			meta := engine.Meta{CommandID: id, Actor: member("U7").principal, Time: w.now()}
			if _, err := h.Do(w.ctx, meta, func(s schedule.State) ([]*eventv1.Event, error) { return schedule.Decide(s, c) }); err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
		}
		w.want()
		w.up()
		w.pass(time.Minute)
		w.want("night|2026-01-02T11:00:00Z", "night|trigger|c9")
	})
}

func TestScheduleRefusedRunIsRecordedAndHoldsUpNothing(t *testing.T) {
	schedules := one(pipeline.Schedule{Cron: "0 * * * *"})
	inTower(t, 2, "2026-01-02T10:00:00Z", schedules, func(w *tower) {
		w.adopt(schedules, "other")
		w.pass(90 * time.Minute)
		w.adopt(schedules)
		w.pass(time.Hour)
		w.want("night|2026-01-02T11:00:00Z refused "+pipeline.CodeJobUnknown, "night|2026-01-02T12:00:00Z")
	})
}

func TestScheduleLeavesTheConfigurationAndComesBack(t *testing.T) {
	schedules := one(pipeline.Schedule{Cron: "0 * * * *"})
	inTower(t, 2, "2026-01-02T10:00:00Z", schedules, func(w *tower) {
		w.pass(time.Minute)
		w.adopt(nil)
		w.pass(3 * time.Hour)
		if w.state().Armed() {
			t.Error("a schedule that is not configured is armed")
		}
		w.adopt(schedules)
		w.pass(time.Hour)
		w.want("night|2026-01-02T14:00:00Z")
		w.adopt(one(pipeline.Schedule{At: "2026-01-02 15:30", Zone: "Europe/London"}))
		w.pass(2 * time.Hour)
		w.away(48 * time.Hour)
		w.want("night|2026-01-02T14:00:00Z", "night|2026-01-02T15:30:00Z")
	})
}

func TestScheduleBackfill(t *testing.T) {
	inTower(t, 2, "2026-01-02T10:00:00Z", one(pipeline.Schedule{Cron: "0 6 * * *"}), func(w *tower) {
		w.pass(24 * time.Hour)
		ask := func(since, until time.Time) ([]string, error) {
			res, err := w.jobs.BackfillSchedule(w.ctx, &apiv1.BackfillScheduleRequest{Name: "ops/night", Since: timestamppb.New(since), Until: timestamppb.New(until)})
			synctest.Wait()
			return res.GetRuns(), err
		}
		since, until := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC), time.Date(2026, 1, 3, 7, 0, 0, 0, time.UTC)
		runs, err := ask(since, until)
		if err != nil || len(runs) != 2 {
			t.Fatalf("%v %v", runs, err)
		}
		if runs, err = ask(since, until); err != nil || len(runs) != 0 {
			t.Fatalf("again: %v %v", runs, err)
		}
		w.want("night|2026-01-01T06:00:00Z", "night|2026-01-02T06:00:00Z", "night|2026-01-03T06:00:00Z")
		for _, c := range []struct {
			since, until time.Time
			want         connect.Code
		}{
			{since.AddDate(-1, 0, 0), until, connect.CodeOutOfRange},
			{until, since, connect.CodeInvalidArgument},
			{since, until.AddDate(1, 0, 0), connect.CodeInvalidArgument},
		} {
			if _, err := ask(c.since, c.until); connect.CodeOf(err) != c.want {
				t.Errorf("%s to %s: %v, want %s", c.since, c.until, err, c.want)
			}
		}
	})
}

func TestScheduleAPI(t *testing.T) {
	inTower(t, 1, "2026-01-02T10:00:00Z", one(pipeline.Schedule{Cron: "0 6 * * *", Zone: "Asia/Kolkata", Paused: true}), func(w *tower) {
		w.pass(time.Second)
		list, err := w.jobs.ListSchedules(w.ctx, &apiv1.ListSchedulesRequest{})
		if err != nil || len(list.GetSchedules()) != 1 {
			t.Fatalf("%v %v", list, err)
		}
		if s := list.GetSchedules()[0]; s.GetName() != "ops/night" || s.GetSpec() != "0 6 * * *" || s.GetZone() != "Asia/Kolkata" || !s.GetPaused() || s.GetNext() != nil {
			t.Errorf("%v", s)
		}
		resumed, err := w.jobs.ResumeSchedule(w.ctx, &apiv1.ResumeScheduleRequest{Name: "night"})
		if got := resumed.GetSchedule().GetNext().AsTime(); err != nil || !got.Equal(time.Date(2026, 1, 3, 0, 30, 0, 0, time.UTC)) {
			t.Errorf("next %s: %v", got, err)
		}
		a, err := w.jobs.TriggerSchedule(w.ctx, &apiv1.TriggerScheduleRequest{Name: "night", IdempotencyKey: "k"})
		if err != nil {
			t.Fatal(err)
		}
		b, err := w.jobs.TriggerSchedule(w.ctx, &apiv1.TriggerScheduleRequest{Name: "night", IdempotencyKey: "k"})
		if err != nil || a.GetRun().GetId() != b.GetRun().GetId() {
			t.Errorf("the same key means %s and %s: %v", a.GetRun().GetId(), b.GetRun().GetId(), err)
		}
		if _, err := w.jobs.PauseSchedule(w.ctx, &apiv1.PauseScheduleRequest{Name: "nigth"}); connect.CodeOf(err) != connect.CodeNotFound || !strings.Contains(err.Error(), "Did you mean night") {
			t.Errorf("an unknown schedule: %v", err)
		}
		if _, err := w.jobs.TriggerSchedule(w.ctx, &apiv1.TriggerScheduleRequest{Name: "night", IdempotencyKey: strings.Repeat("k", 300)}); connect.CodeOf(err) != connect.CodeInvalidArgument {
			t.Errorf("a long key: %v", err)
		}
	})
}

func TestJobAPI(t *testing.T) {
	inTower(t, 1, "2026-01-02T10:00:00Z", nil, func(w *tower) {
		list, err := w.jobs.ListJobs(w.ctx, &apiv1.ListJobsRequest{})
		if err != nil || len(list.GetNamespaces()) != 1 {
			t.Fatalf("%v %v", list, err)
		}
		if j := list.GetNamespaces()[0].GetJobs()[0]; j.GetName() != "nightly" || j.GetLane() != "ops:nightly" || j.GetDedupe() != "merge" {
			t.Errorf("%v", j)
		}
		if _, err := w.jobs.ListJobs(w.ctx, &apiv1.ListJobsRequest{Namespace: "opps"}); err == nil || !strings.Contains(err.Error(), "ops") {
			t.Errorf("an unknown namespace: %v", err)
		}
		req := &apiv1.RunJobRequest{Namespace: "ops", Job: "nightly", IdempotencyKey: "k", StartAfter: timestamppb.New(w.now().Add(time.Hour))}
		a, err := w.jobs.RunJob(w.ctx, req)
		if err != nil {
			t.Fatal(err)
		}
		b, err := w.jobs.RunJob(w.ctx, req)
		if err != nil || a.GetRun().GetId() != b.GetRun().GetId() || !strings.HasPrefix(a.GetRun().GetId(), "j-") {
			t.Errorf("the same key means %s and %s: %v", a.GetRun().GetId(), b.GetRun().GetId(), err)
		}
		if _, err := w.jobs.RunJob(w.ctx, &apiv1.RunJobRequest{Namespace: "ops", Job: "weekly"}); err == nil || !strings.Contains(err.Error(), "nightly") {
			t.Errorf("an unknown job: %v", err)
		}
	})
}

func TestScheduleInSlack(t *testing.T) {
	inTower(t, 1, "2026-01-02T10:00:00Z", one(pipeline.Schedule{Cron: "0 6 * * *", Zone: "Europe/London"}), func(w *tower) {
		w.pass(time.Minute)
		c := &clerk{desk: w.desk, view: w.desk.view, proj: w.desk.view.proj, now: w.now}
		from := func(id string) *commandv1.Envelope {
			return &commandv1.Envelope{
				Identity: id, Principal: member("U1").principal, Origin: member("U1").origin, Standing: &commandv1.Standing{Known: true},
			}
		}
		say := func(id, action, name string) *commandv1.Answer {
			a, err := c.schedule(w.ctx, from(id), grammar.Sentence{Verb: grammar.VerbSchedule, Action: action, Schedule: name, Reason: "moving"})
			if err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
			return a
		}
		for _, step := range []struct {
			answer *commandv1.Answer
			want   string
		}{
			{c.schedules(from("q1")), "*ops/night*: nightly at `0 6 * * *` (Europe/London), next Sat 3 Jan 06:00 GMT"},
			{say("c1", "pause", "night"), "<@U1> paused *ops/night* (moving)."},
			{c.schedules(from("q2")), "paused by <@U1>: moving"},
			{say("c2", "resume", "night"), "It ticks next Sat 3 Jan 06:00 GMT."},
			{say("c3", "pause", "knight"), "I know no schedule"},
			{say("c4", "explode", "night"), "`pause`, `resume` or `trigger`"},
		} {
			if !strings.Contains(step.answer.GetText(), step.want) {
				t.Errorf("%q, want %q", step.answer.GetText(), step.want)
			}
		}
		if a := say("c5", "trigger", "night"); a.GetRun() == "" || a.GetVisibility() != commandv1.Answer_VISIBILITY_PUBLIC {
			t.Errorf("%v", a)
		}
		guest := from("c6")
		guest.Standing.Guest = true
		ns := w.config.config.Namespaces["ops"]
		ns.Restricted = true
		w.config.config.Namespaces["ops"] = ns
		if a := c.schedules(guest); strings.Contains(a.GetText(), "night") {
			t.Errorf("a guest sees %q", a.GetText())
		}
		if a, err := c.schedule(w.ctx, guest, grammar.Sentence{Action: "trigger", Schedule: "night"}); err != nil || !strings.HasPrefix(a.GetCode(), "E-POLICY") {
			t.Errorf("a guest triggers: %v %v", a, err)
		}
		if a, err := c.schedule(w.ctx, guest, grammar.Sentence{Action: "trigger", Schedule: "nigth"}); err != nil || strings.Contains(a.GetText(), "night") {
			t.Errorf("a guest is told of %q: %v", a.GetText(), err)
		}
	})
}

func TestScheduleWithoutConfiguration(t *testing.T) {
	d := &desk{config: func() *adopted { return nil }}
	if _, _, err := d.planOf(local(), "night"); !errors.Is(err, errNoConfig) {
		t.Error(err)
	}
	if got := d.schedules(local().subject); got != nil {
		t.Errorf("%v", got)
	}
}
