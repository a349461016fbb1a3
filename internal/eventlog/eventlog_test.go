package eventlog_test

import (
	"encoding/hex"
	"errors"
	"testing"
	"time"

	eventv1 "github.com/slipway-hq/slipway/gen/slipway/event/v1"
	"github.com/slipway-hq/slipway/internal/eventlog"
)

// The hash is part of the stored format: it must never change.
func TestHashIsPinned(t *testing.T) {
	// printf 'ev.run.a\0data' | sha256sum
	const want = "3b7514e8c1c97caf2267229043344d7abba1bef42974aecd7a22b39010ba573a"
	if got := hex.EncodeToString(eventlog.Hash("ev.run.a", []byte("data"))); got != want {
		t.Errorf("got %s", got)
	}
}

func TestVerifyTakesOnlyTheNextCommit(t *testing.T) {
	first := eventlog.Record{Subject: "ev.run.a", Sequence: 1, Data: []byte("1"), Commit: &eventv1.Commit{Version: 1}}
	next := &eventv1.Commit{}
	eventlog.Chain(&first, next)
	if next.GetVersion() != 2 {
		t.Errorf("version %d after 1", next.GetVersion())
	}
	if err := eventlog.Verify(&first, eventlog.Record{Subject: "ev.run.a", Sequence: 2, Commit: next}); err != nil {
		t.Error(err)
	}
	for name, wrong := range map[string]*eventv1.Commit{
		"repeated":    {Version: 1},
		"skipping":    {Version: 3, PrevHash: next.GetPrevHash()},
		"forged":      {Version: 2, PrevHash: []byte("x")},
		"undecodable": nil,
	} {
		if err := eventlog.Verify(&first, eventlog.Record{Commit: wrong}); !errors.Is(err, eventlog.ErrCorrupt) {
			t.Errorf("%s: got error %v", name, err)
		}
	}
}

func TestDecodeKeepsWhatItCannotRead(t *testing.T) {
	for _, data := range []string{"", "\xff", "text"} {
		rec := eventlog.Decode("ev.run.a", 7, time.Now(), []byte(data))
		if !errors.Is(rec.Err, eventlog.ErrCorrupt) || rec.Commit != nil || string(rec.Data) != data || rec.Sequence != 7 {
			t.Errorf("%q: got %+v", data, rec)
		}
	}
}
