package memlog_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/slipway-hq/slipway/internal/eventlog"
	"github.com/slipway-hq/slipway/internal/eventlog/eventlogtest"
	"github.com/slipway-hq/slipway/internal/eventlog/memlog"
)

func TestContract(t *testing.T) {
	eventlogtest.Run(t, func(*testing.T) eventlog.Log { return memlog.New() })
	eventlogtest.RunFull(t, func(*testing.T) eventlog.Log {
		log := memlog.New()
		log.SetMaxBytes(100 << 10)
		return log
	})
	eventlogtest.RunDelay(t, func(*testing.T) eventlogtest.Delayed {
		log := memlog.New()
		return eventlogtest.Delayed{
			Held: log, Free: log,
			Hold:    func() { failNext(log, memlog.Unknown(memlog.Late)) },
			Release: func() { log.Release() },
		}
	})
}

// failNext makes the next append fail, and no other.
func failNext(log *memlog.Log, fault memlog.Fault) {
	failed := false
	log.SetFault(func(memlog.Attempt) memlog.Fault {
		if failed {
			return memlog.Fault{}
		}
		failed = true
		return fault
	})
}

func TestFaultsLandAsTold(t *testing.T) {
	for _, c := range []struct {
		name  string
		fault memlog.Fault
		want  int
	}{
		{"never", memlog.Unknown(memlog.Never), 0},
		{"at once", memlog.Unknown(memlog.AtOnce), 1},
		{"late", memlog.Unknown(memlog.Late), 0},
		{"refused", memlog.Fault{Err: eventlog.ErrFull}, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			log := memlog.New()
			failNext(log, c.fault)
			_, data := eventlogtest.Commit(eventlog.Position{}, 1)
			if _, err := log.Append(t.Context(), "ev.test.fault", 0, data); err == nil {
				t.Error("no error")
			}
			if got := len(eventlogtest.Whole(t, log, "ev.test.fault")); got != c.want {
				t.Errorf("%d records, want %d", got, c.want)
			}
		})
	}
}

func TestALateAppendLandsByItselfInABubble(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := memlog.New()
		failNext(log, memlog.Fault{Err: eventlog.ErrUnknown, Lands: memlog.Late, After: time.Hour})
		_, data := eventlogtest.Commit(eventlog.Position{}, 1)
		if _, err := log.Append(t.Context(), "ev.test.late", 0, data); err == nil {
			t.Fatal("no error")
		}
		begin := time.Now()
		ctx, cancel := context.WithCancel(t.Context())
		_ = log.Follow(ctx, 0, func(eventlog.Record) error { cancel(); return nil })
		if waited := time.Since(begin); waited != time.Hour {
			t.Errorf("landed after %s", waited)
		}
	})
}

func TestALaggingReadHidesTheLastRecords(t *testing.T) {
	log := memlog.New()
	at := eventlogtest.Grow(t, log, "ev.test.lag", eventlog.Position{}, 3)
	log.SetLag(func(string) int { return 1 })
	if n := len(eventlogtest.Whole(t, log, "ev.test.lag")); n != 2 {
		t.Errorf("%d records seen, want 2", n)
	}
	eventlogtest.Grow(t, log, "ev.test.lag", at, 1) // the truth still compares
}

func TestPurge(t *testing.T) {
	log := memlog.New()
	eventlogtest.RunPurge(t, log, log.Lose)
}
