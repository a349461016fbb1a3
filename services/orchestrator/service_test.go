package orchestrator

import (
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/proto"

	"github.com/slipway-hq/slipway/domain/run"
	apiv1 "github.com/slipway-hq/slipway/gen/slipway/api/v1"
	eventv1 "github.com/slipway-hq/slipway/gen/slipway/event/v1"
	"github.com/slipway-hq/slipway/internal/eventlog/jetlog"
	"github.com/slipway-hq/slipway/internal/lease"
	"github.com/slipway-hq/slipway/internal/natsnode"
	"github.com/slipway-hq/slipway/internal/natsnode/natsnodetest"
	"github.com/slipway-hq/slipway/internal/topology"
)

// service is a whole orchestrator on a real server, with a clock that tests
// move by hand.
type service struct {
	*Orchestrator
	file string
	skew atomic.Int64 // of the clock, in nanoseconds
}

func startService(t *testing.T) *service {
	t.Helper()
	s, stop := startServiceOn(t, natsnodetest.One(t))
	t.Cleanup(stop)
	return s
}

// startServiceOn starts the service on a server; stop returns when it has ended.
func startServiceOn(t *testing.T, node *natsnode.Node) (s *service, stop func()) {
	t.Helper()
	js := natsnodetest.Connect(t, node)
	if err := topology.Ensure(t.Context(), js, topology.Topology(1, topology.LimitsFor(1<<30))); err != nil {
		t.Fatal(err)
	}
	log, err := jetlog.New(js.Conn(), topology.StreamEvents)
	if err != nil {
		t.Fatal(err)
	}
	s = &service{file: filepath.Join(t.TempDir(), "slipway.yaml")}
	s.write(t, testConfig)
	s.Orchestrator, err = New(Config{File: s.file, Replicas: 1}, Deps{
		Log: log, Conn: js.Conn(), Holder: "test", Timing: lease.DefaultTiming(), Logger: slog.New(slog.DiscardHandler),
		Now: func() time.Time { return time.Now().Add(time.Duration(s.skew.Load())) },
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done, ready := make(chan error, 1), make(chan struct{})
	go func() { done <- s.Run(ctx, func() { close(ready) }) }()
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	select {
	case <-ready:
	case err := <-done:
		done <- err
		stop()
		t.Fatal("not ready")
	}
	return s, stop
}

func (s *service) write(t *testing.T, text string) {
	t.Helper()
	if err := os.WriteFile(s.file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// until polls for a condition of the world outside.
func until(t *testing.T, what string, ok func() bool) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(15 * time.Second); !ok(); <-tick.C {
		if time.Now().After(deadline) {
			t.Fatalf("never: %s", what)
		}
	}
}

func TestAChangedFileIsAdoptedAndABadOneIsNot(t *testing.T) {
	s := startService(t)
	first := s.adopted.Load()
	s.write(t, testConfig+"\npools: {gpu: {}}\n")
	until(t, "adopted", func() bool { return s.adopted.Load().digest != first.digest })
	good := s.adopted.Load()
	if _, ok := good.config.Pools["gpu"]; !ok {
		t.Error("what was adopted lacks the change")
	}
	s.write(t, testConfig+"\npols: {}\n")
	until(t, "refused", func() bool { return s.refused.Load() != nil })
	if s.adopted.Load().digest != good.digest {
		t.Error("a bad file was adopted")
	}
	found := (&systemAPI{s.Orchestrator}).config(t.Context())
	if len(found) != 1 || found[0].GetRemedy() == "" {
		t.Errorf("doctor says %v", found)
	}
	s.write(t, testConfig)
	until(t, "mended", func() bool { return s.refused.Load() == nil && s.adopted.Load().digest == first.digest })
}

func TestArtefactsOfOldRunsAreDropped(t *testing.T) {
	s := startService(t)
	st, err := s.desk.start(t.Context(), local(), deployment{identity: "k", service: "checkout", environment: "staging"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.desk.cancel(t.Context(), local(), st.ID, ""); err != nil {
		t.Fatal(err)
	}
	if err := s.proj.WaitFor(t.Context(), st.Sequence+1); err != nil {
		t.Fatal(err)
	}
	until(t, "ended", func() bool {
		got, err := s.view.state(t.Context(), st.ID)
		return err == nil && got.Status == run.Cancelled
	})
	store, err := topology.Objects(t.Context(), s.js)
	if err != nil {
		t.Fatal(err)
	}
	kept := []string{"config/abc", "artefacts/d-unknown/0/1/7/files/x"}
	for _, name := range append(kept, "artefacts/"+st.ID+"/0/1/7/manifest.json") {
		if _, err := store.PutString(t.Context(), name, "x"); err != nil {
			t.Fatal(err)
		}
	}
	count := func() int {
		all, err := store.List(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return len(all)
	}
	if err := s.dropArtefacts(t.Context()); err != nil || count() != 3 {
		t.Fatalf("a fresh run's artefacts: %v, %d left", err, count())
	}
	s.skew.Store(int64(artefactAge + time.Hour))
	if err := s.dropArtefacts(t.Context()); err != nil || count() != len(kept) {
		t.Fatalf("an old run's artefacts: %v, %d left", err, count())
	}
}

func TestPurgeWaitsForTheDedupeWindow(t *testing.T) {
	var a aged
	now := time.Now()
	if got := a.pass(10, now); got != 0 {
		t.Errorf("purged %d at once", got)
	}
	if got := a.pass(20, now.Add(topology.DedupeWindow/2)); got != 0 {
		t.Errorf("purged %d within the window", got)
	}
	if got := a.pass(30, now.Add(topology.DedupeWindow)); got != 10 {
		t.Errorf("purged %d after the window, want 10", got)
	}
}

func TestOnlyAStandstillOfTheInboxIsAStall(t *testing.T) {
	var s stalled
	now := time.Now()
	for i, c := range []struct {
		after   time.Duration
		handled uint64
		open    int
		want    bool
	}{
		{0, 5, 1, false},
		{topology.InboxStalled - 1, 5, 1, false},
		{topology.InboxStalled, 5, 3, true},
		{topology.InboxStalled + 1, 5, 3, false}, // once, then the patience begins anew
		{2 * topology.InboxStalled, 5, 3, true},
		{3 * topology.InboxStalled, 6, 3, false},   // something was handled
		{4*topology.InboxStalled - 1, 6, 0, false}, // nothing is open
		{4 * topology.InboxStalled, 6, 1, false},   // open since now
		{5*topology.InboxStalled - 1, 6, 1, false}, //
		{5 * topology.InboxStalled, 6, 1, true},    //
		{5*topology.InboxStalled + 1, 7, 0, false}, //
	} {
		if got := s.look(c.handled, c.open, now.Add(c.after)); got != c.want {
			t.Errorf("look %d: %t", i, got)
		}
	}
}

// A run whose history is damaged keeps its slot until an operator gives it away;
// then the next in the lane starts.
func TestAQuarantinedRunKeepsItsSlotUntilAnOperatorReleasesIt(t *testing.T) {
	s := startService(t)
	start := func(key string) run.State {
		st, err := s.desk.start(t.Context(), local(), deployment{identity: key, service: "checkout", environment: "staging"})
		if err != nil {
			t.Fatal(err)
		}
		return st
	}
	bad := start("bad")
	shown := func(id string) string {
		r, err := s.view.get(t.Context(), id)
		if err != nil {
			return err.Error()
		}
		return statusWord(r.GetStatus()) + ": " + r.GetReason()
	}
	until(t, "granted", func() bool { return strings.Contains(shown(bad.ID), "runner of pool default") })
	next := start("next")
	api := &laneAPI{run: &runAPI{desk: s.desk, view: s.view, proj: s.proj}, view: s.view, proj: s.proj}
	if _, err := api.ReleaseSlot(t.Context(), &apiv1.ReleaseSlotRequest{Id: bad.ID}); connect.CodeOf(err) != connect.CodeFailedPrecondition {
		t.Errorf("the slot of a whole run: %v", err)
	}
	forged, err := proto.Marshal(&eventv1.Commit{Id: "forged", Version: 2, PrevHash: []byte("x"), Events: []*eventv1.Event{{}}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.deps.Log.Append(t.Context(), topology.RunSubject(bad.ID), bad.Sequence, forged); err != nil {
		t.Fatal(err)
	}
	until(t, "quarantined", func() bool { return strings.Contains(shown(bad.ID), "slipway release") })
	if got := shown(next.ID); !strings.HasPrefix(got, "queued: next in lane") {
		t.Errorf("the next one, before: %s", got)
	}
	for range 2 { // asking again changes nothing
		if _, err := api.ReleaseSlot(t.Context(), &apiv1.ReleaseSlotRequest{Id: bad.ID, Reason: "looked at"}); err != nil {
			t.Fatal(err)
		}
	}
	until(t, "granted", func() bool { return strings.Contains(shown(next.ID), "runner of pool default") })
}
