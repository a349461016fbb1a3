package orchestrator

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/testing/protocmp"

	"github.com/slipway-hq/slipway/domain/board"
	"github.com/slipway-hq/slipway/domain/run"
	apiv1 "github.com/slipway-hq/slipway/gen/slipway/api/v1"
	"github.com/slipway-hq/slipway/internal/audit"
	"github.com/slipway-hq/slipway/internal/backup"
	"github.com/slipway-hq/slipway/internal/eventlog"
	"github.com/slipway-hq/slipway/internal/eventlog/jetlog"
	"github.com/slipway-hq/slipway/internal/natsnode/natsnodetest"
	"github.com/slipway-hq/slipway/internal/projection"
	"github.com/slipway-hq/slipway/internal/topology"
)

// folded is a fold of the whole log from its first record.
func (s *service) folded(t *testing.T) *projection.Projection {
	t.Helper()
	return foldOf(t, s.deps.Log)
}

func foldOf(t *testing.T, log eventlog.Log) *projection.Projection {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	p := projection.New(log, nil)
	done := make(chan error, 1)
	go func() { done <- p.Run(ctx, func() {}) }()
	<-p.CaughtUp()
	cancel()
	<-done
	return p
}

// endsOf are the ended runs in the order of their ends, newest first.
func endsOf(p *projection.Projection) (out []string) {
	p.Read(func(b *board.Board) {
		b.Summaries(func(s board.Summary) bool { out = append(out, s.ID()); return true })
	})
	return out
}

func (s *service) records(t *testing.T, id string) []eventlog.Record {
	t.Helper()
	records, err := s.deps.Log.Load(t.Context(), topology.RunSubject(id), 0)
	if err != nil {
		t.Fatal(err)
	}
	return records
}

// age makes everything that has happened so far old enough.
func (s *service) age() { s.skew.Store(int64(MinArchiveAge + time.Hour)) }

func (s *service) archiverOf(log interface {
	eventlog.Log
	eventlog.Purger
}) *archiver {
	return newArchiver(log, log, s.js, s.proj, MinArchiveAge, s.deps.Now, s.logger)
}

// past makes some ended runs: deployments, and one that was cancelled.
func (s *service) past(t *testing.T) (ids []string) {
	t.Helper()
	for i := range 3 {
		id := s.deploy(t, fmt.Sprint("old ", i), []string{"checkout", "search"}[i%2])
		s.work(t, id)
		ids = append(ids, id)
	}
	id := s.deploy(t, "cancelled", "checkout")
	if _, err := s.desk.cancel(t.Context(), local(), id, "not now"); err != nil {
		t.Fatal(err)
	}
	until(t, "its end", func() bool { _, ended := s.finished(id); return ended })
	return append(ids, id)
}

// told is everything that people are told of a run.
func (s *service) told(t *testing.T, id string) (*apiv1.Run, []string) {
	t.Helper()
	r, err := s.view.get(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := (&runAPI{desk: s.desk, view: s.view, proj: s.proj}).GetRunEvents(t.Context(), &apiv1.GetRunEventsRequest{Id: id})
	if err != nil {
		_, cause := s.view.records(t.Context(), id)
		t.Fatal(err, cause)
	}
	var history []string
	for _, e := range resp.GetEvents() {
		history = append(history, e.GetName()+": "+e.GetSentence())
	}
	return r, history
}

func TestArchivedRunsAreFoundAsBefore(t *testing.T) {
	s := newStore(t)
	old := s.past(t)
	fresh := s.deploy(t, "lives", "search")
	type before struct {
		run     *apiv1.Run
		history []string
	}
	was := map[string]before{}
	for _, id := range old {
		r, history := s.told(t, id)
		was[id] = before{r, history}
	}
	order := endsOf(s.proj)
	list, _, err := s.view.list(&apiv1.ListRunsRequest{})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.archiverOf(s.deps.Log.(*jetlog.Log)).pass(t.Context()); err != nil || len(s.records(t, old[0])) == 1 {
		t.Fatalf("what has just ended was archived, or %v", err)
	}
	s.age()
	if err := s.archiverOf(s.deps.Log.(*jetlog.Log)).pass(t.Context()); err != nil {
		t.Fatal(err)
	}
	for round, start := range []func(){
		func() {}, // as the view that saw it happen
		func() { s.shut(); s.start() },
		func() { s.shut(); s.forget(); s.start() }, // from nothing but what is left
	} {
		start()
		for _, id := range old {
			if records := s.records(t, id); len(records) != 1 {
				t.Fatalf("round %d: %d records of %s are left", round, len(records), id)
			}
			r, history := s.told(t, id)
			r.Sequence = was[id].run.GetSequence() // the checkpoint's is later
			if diff := cmp.Diff(was[id].run, r, protocmp.Transform()); diff != "" {
				t.Errorf("round %d: %s is shown differently: %s", round, id, diff)
			}
			if n := len(history) - 1; !slices.Equal(history[:n], was[id].history) || !strings.HasPrefix(history[n], "RunArchived: ") {
				t.Errorf("round %d: the history of %s is now %q", round, id, history)
			}
		}
		if now := endsOf(s.proj); !slices.Equal(now, order) {
			t.Errorf("round %d: the order of ends is %v, and was %v", round, now, order)
		}
		again, _, err := s.view.list(&apiv1.ListRunsRequest{})
		if err != nil || len(again) != len(list) {
			t.Errorf("round %d: %d runs are listed, %d before, error %v", round, len(again), len(list), err)
		}
		for i := range again {
			if again[i].GetId() != list[i].GetId() {
				t.Errorf("round %d: place %d has %s, and had %s", round, i, again[i].GetId(), list[i].GetId())
			}
		}
		if found := s.doctor(t); found != "" {
			t.Errorf("round %d: doctor says:\n%s", round, found)
		}
		var version string
		s.proj.Read(func(b *board.Board) { version = b.Version("checkout", "staging") })
		if version != was[old[2]].run.GetVersion() {
			t.Errorf("round %d: %q is at its place", round, version)
		}
	}
	s.archivedIsForEver(t, old)
	s.work(t, fresh)
	var records []eventlog.Record
	end := s.proj.Sequence()
	err = s.deps.Log.Follow(t.Context(), 0, func(rec eventlog.Record) error {
		if records = append(records, rec); rec.Sequence >= end {
			return errMoved
		}
		return nil
	})
	if !errors.Is(err, errMoved) {
		t.Fatal(err)
	}
	if faults := audit.Check(records, audit.Told{}); len(faults) > 0 {
		t.Error(strings.Join(faults, "\n"))
	}
}

// archivedIsForEver: the ids are never usable again, and nothing changes them.
func (s *service) archivedIsForEver(t *testing.T, old []string) {
	t.Helper()
	if again := s.deploy(t, "old 0", "checkout"); again != old[0] {
		t.Errorf("the same request again is %s, and was %s", again, old[0])
	}
	_, err := s.desk.start(t.Context(), local(), deployment{identity: "old 0", service: "search", environment: "staging"})
	var refusal *run.Refusal
	if !errors.As(err, &refusal) || refusal.Code != run.ErrIdentity.Code {
		t.Errorf("another request with its identity: %v", err)
	}
	if _, err := s.desk.cancel(t.Context(), local(), old[0], ""); !errors.As(err, &refusal) {
		t.Errorf("cancelling it: %v", err)
	}
	if records := s.records(t, old[0]); len(records) != 1 {
		t.Errorf("%d records of it", len(records))
	}
	if _, err := s.deps.Log.Append(t.Context(), topology.RunSubject(old[0]), 0, []byte("x")); !errors.Is(err, eventlog.ErrConflict) {
		t.Errorf("a first commit: %v", err)
	}
}

// A lane's records go when the runs that they speak of have gone, and what is left
// is the same lane.
func TestALanesRecordsGoWithItsRuns(t *testing.T) {
	s := newStore(t)
	name := ""
	for i := range 4 {
		id := s.deploy(t, fmt.Sprint("old ", i), "checkout")
		s.work(t, id)
		s.proj.Read(func(b *board.Board) { l, _ := b.Live(id); name = l.State.Plan.GetLane() })
	}
	stream := func() int {
		records, err := s.deps.Log.Load(t.Context(), topology.LaneSubject(name), 0)
		if err != nil {
			t.Fatal(err)
		}
		return len(records)
	}
	pass := func() {
		t.Helper()
		a := s.archiverOf(s.deps.Log.(*jetlog.Log))
		a.laneCommits, a.laneEvery = 3, 0
		if err := a.pass(t.Context()); err != nil {
			t.Fatal(err)
		}
		head, err := s.deps.Log.Head(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if err := s.proj.WaitFor(t.Context(), head); err != nil {
			t.Fatal(err)
		}
	}
	whole := stream()
	if pass(); stream() != whole+1 {
		t.Fatalf("%d records, want the checkpoint beside %d", stream(), whole)
	}
	waits := s.deploy(t, "waits", "checkout")
	until(t, "a slot", func() bool { return s.grantOf(waits) != 0 })
	s.age()
	if pass(); stream() >= whole {
		t.Fatalf("%d of %d records are left", stream(), whole)
	}
	for range 2 {
		fresh := s.folded(t)
		fresh.Read(func(cold *board.Board) {
			s.proj.Read(func(live *board.Board) {
				if diff := board.Compare(live, cold, 5); len(diff) > 0 {
					t.Error(diff)
				}
			})
			if ln, _ := cold.Lane(name); ln.Quarantined != "" || ln.Active != 1 || len(ln.State.Slots) == 0 {
				t.Errorf("from what is left the lane is %+v", ln)
			}
		})
		if missing := fresh.Damage().Missing; len(missing) > 0 {
			t.Errorf("%v is missing", missing)
		}
		s.shut()
		s.forget()
		s.start()
	}
	if found := s.doctor(t); found != "" {
		t.Errorf("doctor says:\n%s", found)
	}
	s.work(t, waits)
	s.work(t, s.deploy(t, "next", "checkout"))
}

// crashing is a log that dies before its nth write.
type crashing struct {
	*jetlog.Log
	left atomic.Int64
}

var errCrash = errors.New("crash")

func (c *crashing) Append(ctx context.Context, subject string, expect uint64, data []byte) (uint64, error) {
	if c.left.Add(-1) < 0 {
		return 0, errCrash
	}
	return c.Log.Append(ctx, subject, expect, data)
}

func (c *crashing) Purge(ctx context.Context, subject string, before uint64) error {
	if c.left.Add(-1) < 0 {
		return errCrash
	}
	return c.Log.Purge(ctx, subject, before)
}

// An archivist dies before any of its writes; at every moment all folds say the
// same, and the next one finishes.
func TestACrashOfTheArchivistIsHarmless(t *testing.T) {
	s := newStore(t)
	old := s.past(t)
	order := endsOf(s.proj)
	s.age()
	crashes := 0
	for n := int64(0); ; n++ {
		c := &crashing{Log: s.deps.Log.(*jetlog.Log)}
		c.left.Store(n % 3) // a few writes each, so that many archivists share the work
		err := s.archiverOf(c).pass(t.Context())
		if err == nil && n%3 == 2 {
			break
		}
		if err != nil && !errors.Is(err, errCrash) {
			t.Fatal(err)
		}
		crashes++
		head, err := s.deps.Log.Head(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if err := s.proj.WaitFor(t.Context(), head); err != nil {
			t.Fatal(err)
		}
		again := s.folded(t)
		if missing := again.Damage().Missing; len(missing) > 0 {
			t.Fatalf("crash %d: %v is missing and was not announced", n, missing)
		}
		if got := endsOf(again); !slices.Equal(got, order) {
			t.Fatalf("crash %d: the order of ends is %v, and was %v", n, got, order)
		}
		again.Read(func(fresh *board.Board) {
			s.proj.Read(func(live *board.Board) {
				if diff := board.Compare(live, fresh, 5); len(diff) > 0 {
					t.Fatalf("crash %d: %v", n, diff)
				}
			})
		})
		for _, id := range old {
			s.told(t, id)
		}
	}
	if crashes < 8 {
		t.Errorf("only %d crashes", crashes)
	}
	for _, id := range old {
		if n := len(s.records(t, id)); n != 1 {
			t.Errorf("%d records of %s are left", n, id)
		}
	}
}

// A run whose history is damaged stays in the log; a damaged archive is said to
// be so, and the run is still listed.
func TestDamageAroundTheArchive(t *testing.T) {
	s := newStore(t)
	old := s.past(t)
	s.lose(topology.RunSubject(old[1]), 1)
	s.age()
	if err := s.archiverOf(s.deps.Log.(*jetlog.Log)).pass(t.Context()); err != nil {
		t.Fatal(err)
	}
	if n := len(s.records(t, old[1])); n == 1 {
		t.Error("a damaged history was archived")
	}
	if n := len(s.records(t, old[0])); n != 1 {
		t.Errorf("its neighbour has %d records", n)
	}
	objects, err := topology.Objects(t.Context(), s.js)
	if err != nil {
		t.Fatal(err)
	}
	infos, err := objects.List(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, info := range infos {
		if strings.HasPrefix(info.Name, "archive/") {
			if _, err := objects.PutString(t.Context(), info.Name, "nonsense"); err != nil {
				t.Fatal(err)
			}
		}
	}
	r, err := s.view.get(t.Context(), old[0])
	if err != nil || r.GetStatus() != apiv1.RunStatus_RUN_STATUS_SUCCEEDED {
		t.Errorf("it is %v, error %v", r.GetStatus(), err)
	}
	if _, err := (&runAPI{desk: s.desk, view: s.view, proj: s.proj}).GetRunEvents(t.Context(), &apiv1.GetRunEventsRequest{Id: old[0]}); err == nil || !strings.Contains(err.Error(), "archived history") {
		t.Errorf("its history: %v", err)
	}
}

// A copy of a log with archived runs, brought back elsewhere, is the same log.
func TestRestoreOfAnArchivedLogReplaysEqual(t *testing.T) {
	s := newStore(t)
	old := s.past(t)
	s.age()
	if err := s.archiverOf(s.deps.Log.(*jetlog.Log)).pass(t.Context()); err != nil {
		t.Fatal(err)
	}
	s.shut()
	s.start() // with a snapshot in the store
	dir := t.TempDir() + "/copy"
	if _, err := backup.Take(t.Context(), s.deps.Conn, dir, time.Now(), nil); err != nil {
		t.Fatal(err)
	}
	node := natsnodetest.One(t)
	js := natsnodetest.Connect(t, node)
	if _, err := backup.Restore(t.Context(), js.Conn(), dir, topology.Topology(1, topology.LimitsFor(1<<30)), nil); err != nil {
		t.Fatal(err)
	}
	there, stop := startServiceOn(t, node)
	defer stop()
	there.folded(t).Read(func(fresh *board.Board) {
		s.proj.Read(func(live *board.Board) {
			if diff := board.Compare(live, fresh, 5); len(diff) > 0 {
				t.Error(diff)
			}
		})
	})
	if got := endsOf(there.proj); !slices.Equal(got, endsOf(s.proj)) {
		t.Errorf("the order of ends is %v", got)
	}
	for _, id := range old {
		if _, history := there.told(t, id); len(history) < 3 {
			t.Errorf("the history of %s is %q", id, history)
		}
	}
	if found := there.doctor(t); found != "" {
		t.Errorf("doctor says:\n%s", found)
	}
	there.work(t, there.deploy(t, "after", "search"))
}

func TestAShortArchiveAgeIsRefused(t *testing.T) {
	for _, c := range []struct {
		after, logs time.Duration
		ok          bool
	}{
		{0, 0, true},
		{time.Hour, 0, false},
		{MinArchiveAge, 0, true},
		{MinArchiveAge - 1, 0, false},
		{MinArchiveAge, 2 * MinArchiveAge, false},
		{3 * MinArchiveAge, 2 * MinArchiveAge, true},
	} {
		err := ArchiveSettings{After: c.after}.check(LogSettings{Age: c.logs}.withDefaults())
		if (err == nil) != c.ok {
			t.Errorf("%s with logs for %s: %v", c.after, c.logs, err)
		}
	}
}
