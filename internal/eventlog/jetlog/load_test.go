package jetlog_test

import (
	"errors"
	"testing"

	"github.com/slipway-hq/slipway/internal/eventlog"
	"github.com/slipway-hq/slipway/internal/eventlog/eventlogtest"
)

// Wherever after points, walking and paging find the same.
func TestLoadFindsTheSameFromEverywhere(t *testing.T) {
	log := newLog(t, connect(t, single(t, false).ClientURL()), eventsConfig(1))
	const commits = 60 // more than are walked
	subject, other := eventlogtest.Subject(), eventlogtest.Subject()
	var at, beside eventlog.Position
	for range commits {
		at = eventlogtest.Step(t, log, subject, at)
		beside = eventlogtest.Step(t, log, other, beside)
	}
	// The subject has the odd sequences.
	for after := range uint64(2*commits + 2) {
		records, err := log.Load(t.Context(), subject, after)
		want := commits - int(after+1)/2
		if err != nil || len(records) != max(0, want) {
			t.Fatalf("after %d: %d records, error %v, want %d", after, len(records), err, want)
		}
		for i, rec := range records {
			if rec.Sequence != 2*uint64(commits-want+i)+1 || rec.Subject != subject {
				t.Fatalf("after %d: record %d is %d of %s", after, i, rec.Sequence, rec.Subject)
			}
		}
	}
}

// A record that is gone is a broken chain, not a shorter one.
func TestALostRecordIsSeen(t *testing.T) {
	nc := connect(t, single(t, false).ClientURL())
	log := newLog(t, nc, eventsConfig(1))
	subject := eventlogtest.Subject()
	eventlogtest.Grow(t, log, subject, eventlog.Position{}, 5)
	if err := events(t, nc).DeleteMsg(t.Context(), 3); err != nil {
		t.Fatal(err)
	}
	records, err := log.Load(t.Context(), subject, 0)
	if err != nil || len(records) != 4 {
		t.Fatalf("%d records, error %v", len(records), err)
	}
	if err := eventlog.Verify(&records[1], records[2]); !errors.Is(err, eventlog.ErrCorrupt) {
		t.Errorf("got error %v", err)
	}
}

func TestPurge(t *testing.T) {
	nc := connect(t, single(t, false).ClientURL())
	log := newLog(t, nc, eventsConfig(1))
	eventlogtest.RunPurge(t, log, func(sequence uint64) {
		if err := events(t, nc).DeleteMsg(t.Context(), sequence); err != nil {
			t.Fatal(err)
		}
	})
}
