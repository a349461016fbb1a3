package orchestrator

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/slipway-hq/slipway/domain/board"
	"github.com/slipway-hq/slipway/domain/run"
	apiv1 "github.com/slipway-hq/slipway/gen/slipway/api/v1"
	eventv1 "github.com/slipway-hq/slipway/gen/slipway/event/v1"
	"github.com/slipway-hq/slipway/internal/engine"
	"github.com/slipway-hq/slipway/internal/natsnode"
	"github.com/slipway-hq/slipway/internal/natsnode/natsnodetest"
	"github.com/slipway-hq/slipway/internal/topology"
)

// store is a server's data that tests damage while the server is down.
type store struct {
	t    *testing.T
	dir  string
	node *natsnode.Node
	stop func()
	*service
}

func newStore(t *testing.T) *store {
	s := &store{t: t, dir: t.TempDir()}
	s.start()
	t.Cleanup(s.shut)
	return s
}

func (s *store) start() {
	s.t.Helper()
	node, err := natsnode.Start(natsnode.Config{Dir: s.dir, NoSync: true, MaxFileStore: 1 << 30})
	if err != nil {
		s.t.Fatal(err)
	}
	s.node = node
	s.service, s.stop = startServiceOn(s.t, node)
}

func (s *store) shut() {
	if s.node == nil {
		return
	}
	s.stop()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	if err := s.node.Shutdown(ctx); err != nil {
		s.t.Error(err)
	}
	s.node = nil
}

// flip changes one bit inside the stored record of a subject with this index, 0
// being the first. Call it while the server is down.
func (s *store) flip(subject string, index int) {
	s.t.Helper()
	flipped := false
	err := filepath.WalkDir(s.dir, func(path string, _ fs.DirEntry, err error) error {
		if err != nil || filepath.Ext(path) != ".blk" || !strings.Contains(path, topology.StreamEvents) {
			return err
		}
		data, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		at := -1
		for range index + 1 {
			next := bytes.Index(data[at+1:], []byte(subject))
			if next < 0 {
				return nil
			}
			at += 1 + next
		}
		const inside = 60 // behind the subject and the header: within the commit
		data[at+len(subject)+inside] ^= 1
		flipped = true
		return os.WriteFile(path, data, 0o600)
	})
	if err != nil || !flipped {
		s.t.Fatalf("nothing was damaged: %v", err)
	}
}

// lose deletes the record of a subject with this index as an operator's mistake
// would.
func (s *store) lose(subject string, index int) {
	s.t.Helper()
	records, err := s.deps.Log.Load(s.t.Context(), subject, 0)
	if err != nil || len(records) <= index {
		s.t.Fatalf("%d records of %s, error %v", len(records), subject, err)
	}
	stream, err := s.js.Stream(s.t.Context(), topology.StreamEvents)
	if err == nil {
		err = stream.SecureDeleteMsg(s.t.Context(), records[index].Sequence)
	}
	if err != nil {
		s.t.Fatal(err)
	}
}

// work takes a granted run to its end, as a runner does.
func (s *service) work(t *testing.T, id string) {
	t.Helper()
	h, do := s.claim(t, id)
	for st := h.State(); !st.Status.Ended(); st = h.State() {
		do(run.FinishStep{Fence: st.Claim.Fence, Step: st.Current(), Attempt: 1, Now: s.deps.Now()})
	}
	if err := s.proj.WaitFor(t.Context(), h.Sequence()); err != nil {
		t.Fatal(err)
	}
}

// claim takes the claim of a run as soon as it has a slot.
func (s *service) claim(t *testing.T, id string) (h *engine.Handle[run.State], do func(run.Command)) {
	t.Helper()
	var err error
	h, err = engine.Open(t.Context(), s.deps.Log, topology.RunSubject(id), run.State{}, foldRun)
	if err != nil {
		t.Fatal(err)
	}
	until(t, "a slot", func() bool { return s.grantOf(id) != 0 })
	do = func(c run.Command) {
		if _, err := h.Do(t.Context(), engine.Meta{Time: s.deps.Now(), Actor: &eventv1.Principal{Name: "runner"}}, func(s run.State) ([]*eventv1.Event, error) { return run.Decide(s, c) }); err != nil {
			t.Fatal(err)
		}
	}
	do(run.TakeClaim{Runner: "r", Incarnation: "i", Host: "h", GrantSequence: s.grantOf(id), Now: s.deps.Now()})
	return h, do
}

// doctor returns what is wrong with the history, as an operator reads it.
func (s *service) doctor(t *testing.T) string {
	t.Helper()
	resp, err := (&systemAPI{o: s.Orchestrator}).Doctor(t.Context(), &apiv1.DoctorRequest{})
	if err != nil {
		t.Fatal(err)
	}
	var lines []string
	for _, c := range resp.GetChecks() {
		if c.GetName() == "history" && c.GetLevel() != apiv1.Check_LEVEL_OK {
			lines = append(lines, c.GetFinding()+" → "+c.GetRemedy())
		}
	}
	return strings.Join(lines, "\n")
}

func (s *service) deploy(t *testing.T, key, service string) string {
	t.Helper()
	st, err := s.desk.start(t.Context(), local(), deployment{identity: key, service: service, environment: "staging"})
	if err != nil {
		t.Fatal(err)
	}
	return st.ID
}

// damages are the ways in which a record is damaged while nobody looks.
var damages = map[string]func(s *store, subject string, index int){
	"a flipped bit":    func(s *store, subject string, index int) { s.shut(); s.flip(subject, index) },
	"a deleted record": func(s *store, subject string, index int) { s.lose(subject, index); s.shut() },
}

// forget makes the next start fold the whole log.
func (s *store) forget() {
	s.t.Helper()
	node, err := natsnode.Start(natsnode.Config{Dir: s.dir, NoSync: true, MaxFileStore: 1 << 30})
	if err != nil {
		s.t.Fatal(err)
	}
	js := natsnodetest.Connect(s.t, node)
	objects, err := topology.Objects(s.t.Context(), js)
	if err == nil {
		var infos []*jetstream.ObjectInfo
		if infos, err = objects.List(s.t.Context()); err == nil {
			for _, info := range infos {
				if strings.HasPrefix(info.Name, "snapshot/") {
					err = errors.Join(err, objects.Delete(s.t.Context(), info.Name))
				}
			}
		}
	}
	if errors.Is(err, jetstream.ErrNoObjectsFound) {
		err = nil
	}
	if err = errors.Join(err, node.Shutdown(context.Background())); err != nil {
		s.t.Fatal(err)
	}
}

// everyWay runs a test for every kind of damage, with a snapshot that was written
// before it and without one.
func everyWay(t *testing.T, test func(t *testing.T, damage func(s *store, subject string, index int), snapshot bool)) {
	for name, damage := range damages {
		for _, snapshot := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, snapshot %t", name, snapshot), func(t *testing.T) {
				test(t, func(s *store, subject string, index int) {
					damage(s, subject, index)
					if !snapshot {
						s.forget()
					}
					s.start()
				}, snapshot)
			})
		}
	}
}

// One record is damaged in every way there is; its run is named by doctor and,
// unless a snapshot knows what became of it, quarantined; everything else goes on.
func TestADamagedRecordQuarantinesItsRunAlone(t *testing.T) {
	everyWay(t, func(t *testing.T, damage func(*store, string, int), snapshot bool) {
		s := newStore(t)
		bad, good := s.deploy(t, "bad", "checkout"), s.deploy(t, "good", "search")
		s.work(t, bad)
		damage(s, topology.RunSubject(bad), 1)
		until(t, "something for doctor to say", func() bool { return s.doctor(t) != "" })
		found := s.doctor(t)
		if !strings.Contains(found, "run "+bad+" is quarantined") || strings.Contains(found, good) || strings.Contains(found, "gone") {
			t.Errorf("doctor says:\n%s", found)
		}
		shown, err := s.view.get(t.Context(), bad)
		if err != nil || !snapshot && !strings.Contains(shown.GetReason(), "quarantined") || snapshot && shown.GetStatus() != apiv1.RunStatus_RUN_STATUS_SUCCEEDED {
			t.Errorf("it is shown as %v: %q, error %v", shown.GetStatus(), shown.GetReason(), err)
		}
		s.work(t, good)
		s.work(t, s.deploy(t, "next", "search"))
	})
}

// The last record of a run has no successor that would miss it. The log itself
// has: its sequences have no hole that nobody announced.
func TestALostLastRecordIsNamedByItsSequence(t *testing.T) {
	everyWay(t, func(t *testing.T, damage func(*store, string, int), snapshot bool) {
		for _, last := range []bool{false, true} { // of the whole log as well
			s := newStore(t)
			bad, good := s.deploy(t, "bad", "checkout"), ""
			if last {
				good = s.deploy(t, "good", "search")
				until(t, "a slot", func() bool { return s.grantOf(good) != 0 })
			}
			s.work(t, bad)
			if !last {
				good = s.deploy(t, "good", "search")
				until(t, "a slot", func() bool { return s.grantOf(good) != 0 })
			}
			damage(s, topology.RunSubject(bad), 3)
			until(t, "something for doctor to say", func() bool { return s.doctor(t) != "" })
			found := s.doctor(t)
			if !strings.Contains(found, "of the log is gone") || strings.Contains(found, bad) == snapshot { // a snapshot knows its end
				t.Errorf("at the end %t, doctor says:\n%s", last, found)
			}
			s.work(t, good)
			if found := s.doctor(t); !strings.Contains(found, "of the log is gone") {
				t.Errorf("at the end %t, later doctor says:\n%s", last, found)
			}
			s.shut()
		}
	})
}

// A run has not ended, and its last word is lost: only a snapshot can tell that
// there was one, and then nothing more is decided about the run.
func TestALostLastRecordOfALiveRunQuarantinesItWhereASnapshotKnows(t *testing.T) {
	everyWay(t, func(t *testing.T, damage func(*store, string, int), snapshot bool) {
		s := newStore(t)
		bad := s.deploy(t, "bad", "checkout")
		s.claim(t, bad)
		other := s.deploy(t, "other", "search")
		until(t, "a slot", func() bool { return s.grantOf(other) != 0 })
		damage(s, topology.RunSubject(bad), 1)
		until(t, "something for doctor to say", func() bool { return s.doctor(t) != "" })
		found := s.doctor(t)
		if !strings.Contains(found, bad) || strings.Contains(found, "run "+bad+" is quarantined") != snapshot {
			t.Errorf("doctor says:\n%s", found)
		}
		s.work(t, other)
	})
}

// A log in which nothing is wrong gives doctor nothing to say.
func TestDoctorFindsNothingInAWholeLog(t *testing.T) {
	s := newStore(t)
	s.work(t, s.deploy(t, "a", "checkout"))
	s.shut()
	s.start()
	s.work(t, s.deploy(t, "b", "checkout"))
	if found := s.doctor(t); found != "" {
		t.Errorf("doctor says:\n%s", found)
	}
}

func (s *service) grantOf(id string) (grant uint64) {
	s.proj.Read(func(b *board.Board) {
		if l, ok := b.Live(id); ok {
			grant = l.Grant
		}
	})
	return grant
}
