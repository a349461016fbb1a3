package orchestrator

import (
	"compress/gzip"
	"encoding/json"
	"errors"
	"io"
	"os"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/testing/protocmp"

	"github.com/slipway-hq/slipway/domain/board"
	apiv1 "github.com/slipway-hq/slipway/gen/slipway/api/v1"
	"github.com/slipway-hq/slipway/internal/eventlog/memlog"
	"github.com/slipway-hq/slipway/internal/projection"
)

// copyOf is the recorded log in memory.
func copyOf(t *testing.T, path string) *memlog.Log {
	t.Helper()
	file, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = file.Close() }() // it was only read
	plain, err := gzip.NewReader(file)
	if err != nil {
		t.Fatal(err)
	}
	log, last := memlog.New(), map[string]uint64{}
	for lines := json.NewDecoder(plain); ; {
		var stored struct {
			Subject  string
			Sequence uint64
			Time     time.Time
			Data     []byte
		}
		if err := lines.Decode(&stored); errors.Is(err, io.EOF) {
			return log
		} else if err != nil {
			t.Fatal(err)
		}
		at, err := log.Append(t.Context(), stored.Subject, last[stored.Subject], stored.Data)
		if err != nil || at != stored.Sequence {
			t.Fatalf("%s: %d, not %d: %v", stored.Subject, at, stored.Sequence, err)
		}
		last[stored.Subject] = at
	}
}

// The version before has written this log, with deployments, jobs that came
// together under a hold, a schedule, a cancelled run and its retry, and a lost
// runner; and it has told what its runs are. This version tells the same of it.
// Both files are renewed from the history: go test -tags=upgrade ./test/faults
// -run TestUpgrade/we -args -record.
func TestTheLogOfTheVersionBeforeMeansTheSame(t *testing.T) {
	log := copyOf(t, "testdata/before.jsonl.gz")
	text, err := os.ReadFile("testdata/before.json")
	if err != nil {
		t.Fatal(err)
	}
	told := &apiv1.ListRunsResponse{}
	if err := protojson.Unmarshal(text, told); err != nil {
		t.Fatal(err)
	}
	p := projection.New(log, nil)
	head, err := log.Head(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for n := range head {
		rec, err := log.Get(t.Context(), n+1)
		if err != nil {
			t.Fatal(err)
		}
		p.Apply(rec)
	}
	v := &view{log: log, proj: p, world: func() board.World { return board.World{Now: time.Now()} }}
	runs, _, err := v.list(&apiv1.ListRunsRequest{PageSize: maxPage})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(told, &apiv1.ListRunsResponse{Runs: runs}, protocmp.Transform()); diff != "" {
		t.Errorf("the version before told something else (-):\n%s", diff)
	}
	p.Read(func(b *board.Board) {
		b.Each(func(l *board.Live) {
			if l.Quarantined != "" {
				t.Errorf("%s is quarantined: %s", l.State.ID, l.Quarantined)
			}
		})
		b.Lanes(func(ln *board.Lane) {
			if ln.Active != 0 || ln.Queue.Len() != 0 || ln.Quarantined != "" {
				t.Errorf("lane %s: %d active, %d waiting, %s", ln.Name, ln.Active, ln.Queue.Len(), ln.Quarantined)
			}
		})
	})
}
