package jetlog_test

import (
	"errors"
	"slices"
	"testing"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/slipway-hq/slipway/internal/eventlog"
	"github.com/slipway-hq/slipway/internal/eventlog/eventlogtest"
)

func events(t *testing.T, nc *nats.Conn) jetstream.Stream {
	t.Helper()
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	events, err := js.Stream(t.Context(), stream)
	if err != nil {
		t.Fatal(err)
	}
	return events
}

func appendCrowd(t *testing.T, log eventlog.Log, size int) {
	t.Helper()
	results := make(chan error)
	for range size {
		go func() { results <- appendOne(t.Context(), log, eventlogtest.Subject()) }()
	}
	for range size {
		if err := <-results; err != nil {
			t.Error(err)
		}
	}
}

// A crowd travels in atomic batches, a lone commit does not.
func TestACrowdTravelsInBatches(t *testing.T) {
	nc := connect(t, single(t, true).ClientURL())
	log := newLog(t, nc, eventsConfig(1))
	eventlogtest.Grow(t, log, eventlogtest.Subject(), eventlog.Position{}, 1)
	const crowd = 500
	appendCrowd(t, log, crowd)
	stored := events(t, nc)
	batches := map[string]int{}
	for sequence := uint64(1); sequence <= crowd+1; sequence++ {
		m, err := stored.GetMsg(t.Context(), sequence)
		if err != nil {
			t.Fatal(err)
		}
		batch := m.Header.Get("Nats-Batch-Id")
		if sequence == 1 && batch != "" {
			t.Error("the lone commit travelled in a batch")
		}
		batches[batch]++
	}
	if alone := batches[""]; alone > crowd/2 {
		t.Errorf("%d of %d commits travelled alone", alone, crowd)
	}
}

// A stream that takes no batches is only slower.
func TestARefusedBatchGoesOneByOne(t *testing.T) {
	config := eventsConfig(1)
	config.AllowAtomicPublish = false
	log := newLog(t, connect(t, single(t, false).ClientURL()), config)
	appendCrowd(t, log, 200)
	if head, err := log.Head(t.Context()); err != nil || head != 200 {
		t.Errorf("head %d, error %v", head, err)
	}
}

// The server answers 10164, for ever, to a batch with two commits of one subject.
func TestABatchThatStaysInProcessGoesOneByOne(t *testing.T) {
	log := newLog(t, connect(t, single(t, false).ClientURL()), eventsConfig(1))
	log.SetMinBatch(2)
	_, a := eventlogtest.Commit(eventlog.Position{}, payload)
	_, b := eventlogtest.Commit(eventlog.Position{}, payload)
	errs := log.SendTogether(eventlogtest.Subject(), 0, a, b)
	stale := slices.IndexFunc(errs, func(err error) bool { return errors.Is(err, eventlog.ErrConflict) })
	if stale < 0 || errs[1-stale] != nil {
		t.Errorf("got errors %v, want one conflict", errs)
	}
}

// What an archiver removed is passed over; nothing else is.
func TestFollowPassesHolesThatAreReal(t *testing.T) {
	nc := connect(t, single(t, false).ClientURL())
	log := newLog(t, nc, eventsConfig(1))
	eventlogtest.Grow(t, log, eventlogtest.Subject(), eventlog.Position{}, 10)
	for _, hole := range []uint64{1, 4, 5, 9} {
		if err := events(t, nc).DeleteMsg(t.Context(), hole); err != nil {
			t.Fatal(err)
		}
	}
	var got []uint64
	errEnd := errors.New("end")
	err := log.Follow(eventlogtest.Context(t), 0, func(rec eventlog.Record) error {
		if got = append(got, rec.Sequence); rec.Sequence == 10 {
			return errEnd
		}
		return nil
	})
	if !errors.Is(err, errEnd) || !slices.Equal(got, []uint64{2, 3, 6, 7, 8, 10}) {
		t.Errorf("followed %v, error %v", got, err)
	}
}

// A follower whose consumer is taken away makes another.
func TestFollowOutlivesItsConsumer(t *testing.T) {
	nc := connect(t, single(t, false).ClientURL())
	log := newLog(t, nc, eventsConfig(1))
	subject := eventlogtest.Subject()
	at := eventlogtest.Grow(t, log, subject, eventlog.Position{}, 1)
	seen := make(chan uint64, 10)
	go func() {
		_ = log.Follow(t.Context(), 0, func(rec eventlog.Record) error { seen <- rec.Sequence; return nil })
	}()
	for want := uint64(1); want <= 5; want++ {
		if got := <-seen; got != want {
			t.Fatalf("followed %d, want %d", got, want)
		}
		stored := events(t, nc)
		for name := range stored.ConsumerNames(t.Context()).Name() {
			if err := stored.DeleteConsumer(t.Context(), name); err != nil {
				t.Fatal(err)
			}
		}
		at = eventlogtest.Grow(t, log, subject, at, 1)
	}
}
