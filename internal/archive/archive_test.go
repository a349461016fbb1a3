package archive_test

import (
	"bytes"
	"errors"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	eventv1 "github.com/slipway-hq/slipway/gen/slipway/event/v1"
	"github.com/slipway-hq/slipway/internal/archive"
	"github.com/slipway-hq/slipway/internal/eventlog"
	"github.com/slipway-hq/slipway/internal/natsnode/natsnodetest"
	"github.com/slipway-hq/slipway/internal/topology"
)

// chain is a run's records, the last of which a checkpoint would follow.
func chain(t *testing.T, subject string, n int) (records []eventlog.Record, at eventlog.Position) {
	t.Helper()
	for i := range n {
		rec := commit(t, subject, uint64(10*i+1), at, &eventv1.Event{}) //nolint:gosec // small
		records, at = append(records, rec), rec.Position()
	}
	return records, at
}

func commit(t *testing.T, subject string, sequence uint64, at eventlog.Position, e *eventv1.Event) eventlog.Record {
	t.Helper()
	c := &eventv1.Commit{Id: "c", Events: []*eventv1.Event{e}}
	at.Chain(c)
	data, err := proto.Marshal(c)
	if err != nil {
		t.Fatal(err)
	}
	return eventlog.Decode(subject, sequence, time.Unix(1_800_000_000, 5).UTC(), data)
}

func TestArchivedRecordsComeBackByteForByte(t *testing.T) {
	js := natsnodetest.Connect(t, natsnodetest.One(t))
	if err := topology.Ensure(t.Context(), js, topology.Topology(1, topology.LimitsFor(1<<30))); err != nil {
		t.Fatal(err)
	}
	objects, err := topology.Objects(t.Context(), js)
	if err != nil {
		t.Fatal(err)
	}
	other, _ := chain(t, topology.RunSubject("d-other"), 2)
	records, end := chain(t, topology.RunSubject("d-a"), 5)
	var b archive.Batch
	b.Add(other)
	place := b.Add(records)
	name, digest, err := b.Put(t.Context(), objects)
	if err != nil {
		t.Fatal(err)
	}
	if again, _, err := b.Put(t.Context(), objects); err != nil || again != name {
		t.Errorf("the same again is %s, error %v", again, err)
	}
	said := &eventv1.RunArchived{Object: name, Digest: digest, Offset: place.Offset, Length: place.Length}
	checkpoint := commit(t, topology.RunSubject("d-a"), 99, end, &eventv1.Event{Kind: &eventv1.Event_RunArchived{RunArchived: said}})
	back, err := archive.Read(t.Context(), js, checkpoint)
	if err != nil || len(back) != len(records) {
		t.Fatalf("%d records, error %v", len(back), err)
	}
	for i, rec := range records {
		if got := back[i]; got.Subject != rec.Subject || got.Sequence != rec.Sequence || !got.Time.Equal(rec.Time) || !bytes.Equal(got.Data, rec.Data) {
			t.Errorf("record %d: %+v", i, got)
		}
	}

	// Whatever is changed, nothing is read.
	for what, change := range map[string]func(*eventv1.RunArchived){
		"another run's place": func(e *eventv1.RunArchived) { e.Offset, e.Length = 18, place.Offset-18 },
		"a place outside":     func(e *eventv1.RunArchived) { e.Length++ },
		"a huge place":        func(e *eventv1.RunArchived) { e.Offset = ^uint64(0) },
		"a shorter place":     func(e *eventv1.RunArchived) { e.Length-- },
		"another digest":      func(e *eventv1.RunArchived) { e.Digest = []byte("x") },
		"no such object":      func(e *eventv1.RunArchived) { e.Object += "x" },
	} {
		wrong := proto.CloneOf(said)
		change(wrong)
		if _, err := archive.Read(t.Context(), js, commit(t, checkpoint.Subject, 99, end, &eventv1.Event{Kind: &eventv1.Event_RunArchived{RunArchived: wrong}})); !errors.Is(err, archive.ErrDamaged) {
			t.Errorf("%s: %v", what, err)
		}
	}
	if _, err := archive.Read(t.Context(), js, commit(t, checkpoint.Subject, 99, eventlog.Position{Version: end.Version, Hash: []byte("other")}, &eventv1.Event{Kind: &eventv1.Event_RunArchived{RunArchived: said}})); !errors.Is(err, archive.ErrDamaged) {
		t.Errorf("a checkpoint of another history: %v", err)
	}
	data, err := objects.GetBytes(t.Context(), name)
	if err != nil {
		t.Fatal(err)
	}
	data[len(data)-1] ^= 1
	if _, err := objects.PutBytes(t.Context(), name, data); err != nil {
		t.Fatal(err)
	}
	if _, err := archive.Read(t.Context(), js, checkpoint); !errors.Is(err, archive.ErrDamaged) {
		t.Errorf("a flipped bit: %v", err)
	}
	if _, _, err := b.Put(t.Context(), objects); err != nil {
		t.Errorf("the same once more: %v", err)
	}
	if _, err := archive.Read(t.Context(), js, checkpoint); err != nil {
		t.Errorf("mended: %v", err)
	}
}
