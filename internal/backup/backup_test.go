package backup_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/slipway-hq/slipway/domain/board"
	"github.com/slipway-hq/slipway/domain/identity"
	"github.com/slipway-hq/slipway/domain/run"
	eventv1 "github.com/slipway-hq/slipway/gen/slipway/event/v1"
	"github.com/slipway-hq/slipway/internal/backup"
	"github.com/slipway-hq/slipway/internal/engine"
	"github.com/slipway-hq/slipway/internal/eventlog"
	"github.com/slipway-hq/slipway/internal/eventlog/jetlog"
	"github.com/slipway-hq/slipway/internal/natsnode"
	"github.com/slipway-hq/slipway/internal/natsnode/natsnodetest"
	"github.com/slipway-hq/slipway/internal/projection"
	"github.com/slipway-hq/slipway/internal/topology"
)

const store = 1 << 30

// place is a server, or a cluster, with everything on it.
type place struct {
	t    *testing.T
	conn *nats.Conn
	js   jetstream.JetStream
	log  *jetlog.Log
}

func at(t *testing.T, node *natsnode.Node) *place {
	t.Helper()
	conn, err := node.Connect("test")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(conn.Close)
	js, err := jetstream.New(conn)
	if err != nil {
		t.Fatal(err)
	}
	return &place{t: t, conn: conn, js: js}
}

func (p *place) open() {
	p.t.Helper()
	log, err := jetlog.New(p.conn, topology.StreamEvents)
	if err != nil {
		p.t.Fatal(err)
	}
	p.log = log
}

// live fills a place with runs, cards and objects, and leaves gaps in what can
// have gaps.
func live(t *testing.T) *place {
	p := at(t, natsnodetest.One(t))
	ctx := t.Context()
	if err := topology.Ensure(ctx, p.js, topology.Topology(1, topology.LimitsFor(store), "default")); err != nil {
		t.Fatal(err)
	}
	p.open()
	for i := range 50 {
		p.request(fmt.Sprintf("r%d", i), i%2 == 0)
	}
	cards, err := topology.Cards(ctx, p.js)
	if err != nil {
		t.Fatal(err)
	}
	objects, err := topology.Objects(ctx, p.js)
	if err != nil {
		t.Fatal(err)
	}
	for i := range 20 {
		if _, err := cards.PutString(ctx, fmt.Sprintf("card.%d", i%7), "posted"); err != nil {
			t.Fatal(err)
		}
		if _, err := objects.PutBytes(ctx, fmt.Sprintf("artefact/%d", i), make([]byte, 100_000)); err != nil {
			t.Fatal(err)
		}
	}
	if err := objects.Delete(ctx, "artefact/3"); err != nil {
		t.Fatal(err)
	}
	return p
}

func (p *place) request(name string, cancel bool) {
	p.t.Helper()
	id := identity.RunID(identity.Deployment, name)
	h := engine.Fresh(p.log, topology.RunSubject(id), run.State{}, func(s run.State, r eventlog.Record) run.State {
		return run.FoldCommit(s, r.Sequence, r.Commit)
	})
	commands := []run.Command{run.Request{Event: &eventv1.RunRequested{
		Run: id, Identity: name, Service: "web", Environment: "staging", Plan: &eventv1.Plan{Lane: "web/staging", Steps: []*eventv1.Step{{Name: "ship", Shell: "true"}}},
	}}}
	if cancel {
		commands = append(commands, run.RequestCancel{Reason: "test"})
	}
	for _, c := range commands {
		if _, err := h.Do(p.t.Context(), engine.Meta{Time: time.Now(), Actor: &eventv1.Principal{Name: "test"}}, func(s run.State) ([]*eventv1.Event, error) { return run.Decide(s, c) }); err != nil {
			p.t.Fatal(err)
		}
	}
}

// fold reads everything that the log says.
func (p *place) fold() *projection.Projection {
	p.t.Helper()
	ctx, cancel := context.WithCancel(p.t.Context())
	done := make(chan error, 1)
	proj := projection.New(p.log, nil)
	go func() { done <- proj.Run(ctx, func() {}) }()
	<-proj.CaughtUp()
	cancel()
	<-done
	return proj
}

func taken(t *testing.T, p *place) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "copy")
	m, err := backup.Take(t.Context(), p.conn, dir, time.Now(), nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := backup.Verify(dir); err != nil || len(m.Streams) == 0 {
		t.Fatalf("%+v, %v", m, err)
	}
	return dir
}

// The drill: everything is lost, a copy goes into an empty place, and replaying
// it gives the same state at the same sequences. What comes after goes on there.
func TestRestoreIntoAnEmptyPlaceReplaysEqual(t *testing.T) {
	from := live(t)
	dir := taken(t, from)
	for name, replicas := range map[string]int{"one server": 1, "a cluster of three": 3} {
		t.Run(name, func(t *testing.T) {
			node := natsnodetest.One
			if replicas == 3 {
				node = func(t testing.TB) *natsnode.Node { return natsnodetest.Three(t)[0] }
			}
			to := at(t, node(t))
			spec := topology.Topology(replicas, topology.LimitsFor(store), "default")
			if _, err := backup.Restore(t.Context(), to.conn, dir, spec, nil); err != nil {
				t.Fatal(err)
			}
			if drift, err := topology.Verify(t.Context(), to.js, spec); err != nil || len(drift) > 0 {
				t.Fatalf("%v, %v", drift, err)
			}
			to.open()
			before, after := from.fold(), to.fold()
			if before.Sequence() != after.Sequence() {
				t.Errorf("sequence %d, not %d", after.Sequence(), before.Sequence())
			}
			before.Read(func(a *board.Board) {
				after.Read(func(b *board.Board) {
					if d := board.Compare(a, b, 10); len(d) > 0 {
						t.Errorf("differs: %v", d)
					}
				})
			})
			objects, err := topology.Objects(t.Context(), to.js)
			if err != nil {
				t.Fatal(err)
			}
			if data, err := objects.GetBytes(t.Context(), "artefact/5"); err != nil || len(data) != 100_000 {
				t.Errorf("an object: %d bytes, %v", len(data), err)
			}
			if _, err := objects.GetBytes(t.Context(), "artefact/3"); !errors.Is(err, jetstream.ErrObjectNotFound) {
				t.Errorf("a deleted object: %v", err)
			}
			to.request("later", true)
		})
	}
}

func TestRestoreTouchesNothingThatHoldsAnything(t *testing.T) {
	from := live(t)
	dir := taken(t, from)
	if _, err := backup.Restore(t.Context(), from.conn, dir, topology.Topology(1, topology.LimitsFor(store)), nil); !errors.Is(err, backup.ErrNotEmpty) {
		t.Errorf("over a living log: %v", err)
	}
	if _, err := backup.Take(t.Context(), from.conn, dir, time.Now(), nil); !errors.Is(err, backup.ErrNotEmpty) {
		t.Errorf("over another copy: %v", err)
	}
	from.request("still alive", false)
}

func TestADamagedCopyIsRefusedBeforeAnythingIsChanged(t *testing.T) {
	dir := taken(t, live(t))
	to := at(t, natsnodetest.One(t))
	refused := func(what string) {
		t.Helper()
		if _, err := backup.Restore(t.Context(), to.conn, dir, topology.Topology(1, topology.LimitsFor(store)), nil); !errors.Is(err, backup.ErrDamaged) {
			t.Errorf("%s: %v", what, err)
		}
		if _, err := to.js.Stream(t.Context(), topology.StreamEvents); !errors.Is(err, jetstream.ErrStreamNotFound) {
			t.Errorf("%s: a stream was made: %v", what, err)
		}
	}
	files, err := filepath.Glob(filepath.Join(dir, topology.StreamEvents, "*.s2"))
	if err != nil || len(files) != 1 {
		t.Fatal(files, err)
	}
	data, err := os.ReadFile(files[0])
	if err != nil {
		t.Fatal(err)
	}
	data[len(data)/2] ^= 1
	if err := os.WriteFile(files[0], data, 0o600); err != nil {
		t.Fatal(err)
	}
	refused("a flipped bit")
	if err := os.Remove(files[0]); err != nil {
		t.Fatal(err)
	}
	refused("a missing file")
	if err := os.Remove(filepath.Join(dir, "slipway-backup.json")); err != nil {
		t.Fatal(err)
	}
	refused("no manifest")
}
