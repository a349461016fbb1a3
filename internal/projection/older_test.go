package projection_test

import (
	"compress/gzip"
	"encoding/json"
	"errors"
	"io"
	"os"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/slipway-hq/slipway/domain/board"
	"github.com/slipway-hq/slipway/domain/run"
	eventv1 "github.com/slipway-hq/slipway/gen/slipway/event/v1"
	"github.com/slipway-hq/slipway/internal/eventlog"
	"github.com/slipway-hq/slipway/internal/projection"
)

// stored is one message of a recorded log.
type stored struct {
	Subject  string
	Sequence uint64
	Time     time.Time
	Data     []byte
}

func recorded(t *testing.T, path string) []eventlog.Record {
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
	var records []eventlog.Record
	for lines := json.NewDecoder(plain); ; {
		var s stored
		if err := lines.Decode(&s); errors.Is(err, io.EOF) {
			return records
		} else if err != nil {
			t.Fatal(err)
		}
		commit := &eventv1.Commit{}
		if err := proto.Unmarshal(s.Data, commit); err != nil {
			t.Fatal(err)
		}
		records = append(records, eventlog.Record{Subject: s.Subject, Sequence: s.Sequence, Time: s.Time, Data: s.Data, Commit: commit})
	}
}

// The log of the version before there were jobs: two deployments one after the
// other, two at once of which one was cancelled and retried, and a kill -9 in
// between. This version reads it whole, and means the same by it.
func TestTheLogOfAnOlderVersionIsRead(t *testing.T) {
	p := projection.New(nil, nil)
	for _, rec := range recorded(t, "testdata/before-jobs.jsonl.gz") {
		p.Apply(rec)
	}
	outcomes := map[run.Status]int{}
	p.Read(func(b *board.Board) {
		b.Summaries(func(s board.Summary) bool {
			outcomes[s.Status()]++
			return true
		})
		b.Each(func(l *board.Live) {
			if l.Quarantined != "" || !l.State.Status.Ended() {
				t.Errorf("%s: %s, %s", l.State.ID, l.State.Status, l.Quarantined)
			}
		})
		if v := b.Version("hello", "staging"); v != "v4" {
			t.Errorf("version %q is there", v)
		}
		b.Lanes(func(ln *board.Lane) {
			if ln.Active != 0 || ln.Queue.Len() != 0 {
				t.Errorf("lane %s: %d active, %d waiting", ln.Name, ln.Active, ln.Queue.Len())
			}
		})
	})
	if outcomes[run.Succeeded] != 4 || outcomes[run.Cancelled] != 1 || len(outcomes) != 2 {
		t.Errorf("ended as %v", outcomes)
	}
}
