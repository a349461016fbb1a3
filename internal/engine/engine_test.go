package engine_test

import (
	"context"
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	eventv1 "github.com/slipway-hq/slipway/gen/slipway/event/v1"
	"github.com/slipway-hq/slipway/internal/engine"
	"github.com/slipway-hq/slipway/internal/eventlog"
	"github.com/slipway-hq/slipway/internal/eventlog/eventlogtest"
	"github.com/slipway-hq/slipway/internal/eventlog/memlog"
)

const subject = "ev.test.engine"

// words is the state of these tests: what was said, in order.
type words []string

func fold(state words, rec eventlog.Record) words {
	state = slices.Clone(state)
	for _, event := range rec.Commit.GetEvents() {
		state = append(state, event.GetConfigAdopted().GetDigest())
	}
	return state
}

// say decides to say word once; a repeat causes nothing.
func say(word string) engine.Decide[words] {
	return func(said words) ([]*eventv1.Event, error) {
		if slices.Contains(said, word) {
			return nil, nil
		}
		return []*eventv1.Event{{Kind: &eventv1.Event_ConfigAdopted{ConfigAdopted: &eventv1.ConfigAdopted{Digest: word}}}}, nil
	}
}

func meta(id string) engine.Meta {
	return engine.Meta{CommandID: id, Actor: &eventv1.Principal{Name: "test"}, Time: time.Unix(1, 0)}
}

func do(ctx context.Context, h *engine.Handle[words], word string) (engine.Result[words], error) {
	return h.Do(ctx, meta(word), say(word))
}

func mustDo(t *testing.T, h *engine.Handle[words], word string) engine.Result[words] {
	t.Helper()
	result, err := do(t.Context(), h, word)
	if err != nil {
		t.Fatalf("say %s: %v", word, err)
	}
	return result
}

func fresh(log eventlog.Log) *engine.Handle[words] {
	return engine.Fresh(log, subject, words(nil), fold)
}

func expectWords(t *testing.T, log eventlog.Log, want ...string) {
	t.Helper()
	got := engine.FoldAll(words(nil), fold, eventlogtest.Whole(t, log, subject)...)
	if diff := cmp.Diff(words(want), got); diff != "" {
		t.Errorf("the log says (-want +got)\n%s", diff)
	}
}

func TestADecisionIsStoredWithItsCause(t *testing.T) {
	log := memlog.New()
	result := mustDo(t, fresh(log), "one")
	stored := eventlogtest.Whole(t, log, subject)[0]
	if !result.Appended || result.Record.Sequence != stored.Sequence || string(result.Record.Data) != string(stored.Data) {
		t.Errorf("result %+v, stored %+v", result.Record, stored)
	}
	c := stored.Commit
	if c.GetCommandId() != "one" || c.GetActor().GetName() != "test" || c.GetTime().GetSeconds() != 1 || len(c.GetId()) < 26 {
		t.Errorf("stored commit %v", c)
	}
	if diff := cmp.Diff(words{"one"}, result.State); diff != "" {
		t.Error(diff)
	}
}

func TestARepeatAppendsNothing(t *testing.T) {
	log := memlog.New()
	h := fresh(log)
	mustDo(t, h, "one")
	if result := mustDo(t, h, "one"); result.Appended || len(result.State) != 1 {
		t.Errorf("got %+v", result)
	}
	expectWords(t, log, "one")
}

func TestARefusalIsReturnedAsItIs(t *testing.T) {
	log := memlog.New()
	refusal := errors.New("not today")
	_, err := fresh(log).Do(t.Context(), meta("x"), func(words) ([]*eventv1.Event, error) { return nil, refusal })
	if err != refusal { //nolint:errorlint // as it is, not wrapped
		t.Errorf("got error %v", err)
	}
	expectWords(t, log)
}

func TestWhoComesSecondDecidesAgain(t *testing.T) {
	log := memlog.New()
	a, b := fresh(log), fresh(log)
	mustDo(t, a, "one")
	if result := mustDo(t, b, "one"); result.Appended {
		t.Error("the second said it too")
	}
	mustDo(t, b, "two")
	if result := mustDo(t, a, "three"); len(result.State) != 3 || result.Record.Commit.GetVersion() != 3 {
		t.Errorf("got %+v", result)
	}
	expectWords(t, log, "one", "two", "three")
}

func TestHandlesThatResumeNeedNoRead(t *testing.T) {
	log := memlog.New()
	first := mustDo(t, fresh(log), "one")
	log.SetLag(func(string) int { return 1 << 20 }) // reads would see nothing
	h := engine.Resume(log, subject, first.State, first.Record.Position(), fold)
	mustDo(t, h, "two")
	log.SetLag(nil)
	expectWords(t, log, "one", "two")
	opened, err := engine.Open(t.Context(), log, subject, words(nil), fold)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(h.Position(), opened.Position()); diff != "" || opened.Version() != 2 {
		t.Errorf("resumed and opened stand apart\n%s", diff)
	}
	if diff := cmp.Diff(h.State(), opened.State()); diff != "" {
		t.Error(diff)
	}
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

func TestAnUnknownOutcomeIsSettledByTryingAgain(t *testing.T) {
	for _, c := range []struct {
		name  string
		fault memlog.Fault
	}{
		{"never landed", memlog.Unknown(memlog.Never)},
		{"landed at once", memlog.Unknown(memlog.AtOnce)},
		{"lands late", memlog.Fault{Err: eventlog.ErrUnknown, Lands: memlog.Late, After: time.Microsecond}},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				log := memlog.New()
				failNext(log, c.fault)
				if result := mustDo(t, fresh(log), "one"); !result.Appended || result.Record.Sequence != 1 {
					t.Errorf("got %+v", result)
				}
				time.Sleep(time.Second) // whatever is late lands now
				expectWords(t, log, "one")
			})
		})
	}
}

// While the log does not answer Do says "not confirmed", not "failed"; and the
// handle looks at the log before it decides again.
func TestAnOutcomeLeftOpenIsNotAFailure(t *testing.T) {
	for _, lands := range []bool{true, false} {
		synctest.Test(t, func(t *testing.T) {
			log := memlog.New()
			h := fresh(log)
			first := true
			log.SetFault(func(memlog.Attempt) memlog.Fault {
				landing := memlog.Never
				if first {
					landing, first = memlog.Late, false
				}
				return memlog.Unknown(landing)
			})
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			_, err := do(ctx, h, "one")
			var open *engine.Unsettled
			if !errors.Is(err, eventlog.ErrUnknown) || !errors.As(err, &open) || open.Commit == "" || open.Subject != subject {
				t.Fatalf("got error %v", err)
			}
			log.SetFault(nil)
			if lands {
				log.Release()
			}
			if result := mustDo(t, h, "one"); result.Appended == lands {
				t.Errorf("landed %v, and the repeat appended %v", lands, result.Appended)
			}
			log.Release()
			expectWords(t, log, "one")
		})
	}
}

func TestARefusedRetryLeavesTheOutcomeOpen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := memlog.New()
		log.SetFault(func(a memlog.Attempt) memlog.Fault {
			if a.Number == 1 {
				return memlog.Unknown(memlog.Late)
			}
			return memlog.Fault{Err: eventlog.ErrFull}
		})
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := do(ctx, fresh(log), "one"); !errors.Is(err, eventlog.ErrUnknown) {
			t.Errorf("got error %v", err)
		}
	})
}

func TestADefiniteRefusalIsReturned(t *testing.T) {
	for _, refusal := range []error{eventlog.ErrFull, eventlog.ErrTooLarge} {
		log := memlog.New()
		failNext(log, memlog.Fault{Err: refusal})
		_, err := do(t.Context(), fresh(log), "one")
		if !errors.Is(err, refusal) || errors.Is(err, eventlog.ErrUnknown) {
			t.Errorf("got error %v, want %v", err, refusal)
		}
	}
}

func TestALaggingReadDoesNotMislead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := memlog.New()
		mustDo(t, fresh(log), "one")
		log.SetLag(func(string) int { return 1 })
		time.AfterFunc(time.Second, func() { log.SetLag(nil) })
		if result := mustDo(t, fresh(log), "one"); result.Appended {
			t.Error("said twice")
		}
		expectWords(t, log, "one")
	})
}

func TestAConflictThatNobodyCanExplainEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := memlog.New()
		log.SetFault(func(memlog.Attempt) memlog.Fault { return memlog.Fault{Err: eventlog.ErrConflict} })
		_, err := do(t.Context(), fresh(log), "one")
		if !errors.Is(err, eventlog.ErrConflict) || errors.Is(err, eventlog.ErrUnknown) {
			t.Errorf("got error %v", err)
		}
	})
}

// A decision that always loses is given up after a bound.
func TestLosingForEverEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := memlog.New()
		rival, n := fresh(log), 0
		_, err := fresh(log).Do(t.Context(), meta("x"), func(said words) ([]*eventv1.Event, error) {
			n++
			mustDo(t, rival, time.Duration(n).String())
			return say("x")(said)
		})
		if !errors.Is(err, eventlog.ErrConflict) {
			t.Errorf("got error %v", err)
		}
		if got := len(eventlogtest.Whole(t, log, subject)); got != n || n < 2 {
			t.Errorf("%d records after %d decisions", got, n)
		}
	})
}

func TestABrokenChainIsReported(t *testing.T) {
	log := memlog.New()
	at := eventlogtest.Grow(t, log, subject, eventlog.Position{}, 1)
	_, data := eventlogtest.Commit(eventlog.Position{Version: 1, Hash: []byte("forged")}, 1)
	if _, err := log.Append(t.Context(), subject, at.Sequence, data); err != nil {
		t.Fatal(err)
	}
	if _, err := engine.Open(t.Context(), log, subject, words(nil), fold); !errors.Is(err, eventlog.ErrCorrupt) {
		t.Errorf("open: got error %v", err)
	}
	if _, err := do(t.Context(), fresh(log), "one"); !errors.Is(err, eventlog.ErrCorrupt) {
		t.Errorf("do: got error %v", err)
	}
}

func TestRefreshSeesWhatOthersDid(t *testing.T) {
	log := memlog.New()
	h := fresh(log)
	mustDo(t, fresh(log), "one")
	if err := h.Refresh(t.Context()); err != nil || len(h.State()) != 1 || h.Sequence() != 1 {
		t.Errorf("state %v at %d, error %v", h.State(), h.Sequence(), err)
	}
}
