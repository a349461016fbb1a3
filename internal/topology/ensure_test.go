package topology_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/slipway-hq/slipway/internal/eventlog"
	"github.com/slipway-hq/slipway/internal/natsnode"
	"github.com/slipway-hq/slipway/internal/natsnode/natsnodetest"
	"github.com/slipway-hq/slipway/internal/topology"
)

const store = 1 << 30

func ensured(t *testing.T, pools ...string) (*natsnode.Node, jetstream.JetStream, topology.Spec) {
	t.Helper()
	node := natsnodetest.One(t)
	js := natsnodetest.Connect(t, node)
	spec := topology.Topology(1, topology.LimitsFor(store), pools...)
	if err := topology.Ensure(t.Context(), js, spec); err != nil {
		t.Fatal(err)
	}
	return node, js, spec
}

func wantNoDrift(t *testing.T, js jetstream.JetStream, spec topology.Spec) {
	t.Helper()
	drifts, err := topology.Verify(t.Context(), js, spec)
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range drifts {
		t.Error(d)
	}
}

func TestEnsureCreatesWhatVerifyWants(t *testing.T) {
	_, js, spec := ensured(t, "default", "big machines")
	wantNoDrift(t, js, spec)
	if err := topology.Ensure(t.Context(), js, spec); err != nil {
		t.Errorf("a second time: %v", err)
	}
	wantNoDrift(t, js, spec)
}

func TestThreeReplicas(t *testing.T) {
	js := natsnodetest.Connect(t, natsnodetest.Three(t)[0])
	spec := topology.Topology(3, topology.LimitsFor(store), "default")
	for range 2 {
		if err := topology.Ensure(t.Context(), js, spec); err != nil {
			t.Fatal(err)
		}
	}
	wantNoDrift(t, js, spec)
	if n, err := topology.Replicas(t.Context(), js); n != 3 || err != nil {
		t.Errorf("replicas: %d, %v", n, err)
	}
}

func TestBucketsAreLaidOutAsTheClientLibraryDoes(t *testing.T) {
	// Room for twice as much: the server counts what is created again twice.
	node := natsnodetest.Start(t, natsnode.Config{Dir: t.TempDir(), NoSync: true, MaxFileStore: 2 * store})
	js := natsnodetest.Connect(t, node)
	spec := topology.Topology(1, topology.LimitsFor(store))
	if err := topology.Ensure(t.Context(), js, spec); err != nil {
		t.Fatal(err)
	}
	for _, cfg := range spec.Streams {
		kv, isKV := strings.CutPrefix(cfg.Name, "KV_")
		obj, isObject := strings.CutPrefix(cfg.Name, "OBJ_")
		var err error
		switch { // creating again succeeds only when the layout is the same
		case isKV:
			_, err = js.CreateKeyValue(t.Context(), jetstream.KeyValueConfig{
				Bucket: kv, Description: cfg.Description, Storage: cfg.Storage, MaxBytes: cfg.MaxBytes,
				MaxValueSize: cfg.MaxMsgSize, LimitMarkerTTL: cfg.SubjectDeleteMarkerTTL,
			})
		case isObject:
			_, err = js.CreateObjectStore(t.Context(), jetstream.ObjectStoreConfig{
				Bucket: obj, Description: cfg.Description, Storage: cfg.Storage, MaxBytes: cfg.MaxBytes,
			})
		}
		if err != nil {
			t.Errorf("%s: %v", cfg.Name, err)
		}
	}
}

func TestVerifySpeaksOfDrift(t *testing.T) {
	_, js, spec := ensured(t)
	ctx := t.Context()
	stream, err := js.Stream(ctx, topology.StreamEvents)
	if err != nil {
		t.Fatal(err)
	}
	cfg := stream.CachedInfo().Config
	cfg.MaxAge, cfg.AllowMsgTTL = time.Hour, true
	if _, err := js.UpdateStream(ctx, cfg); err != nil {
		t.Fatal(err)
	}
	if err := js.DeleteStream(ctx, topology.StreamDead); err != nil {
		t.Fatal(err)
	}
	if err := js.DeleteConsumer(ctx, topology.StreamInbox, topology.ConsumerIntake); err != nil {
		t.Fatal(err)
	}
	drifts, err := topology.Verify(ctx, js, spec)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, d := range drifts {
		got = append(got, d.String())
	}
	want := []string{
		"stream EVENTS: the greatest age is 1h0m0s, it has to be 0s",
		"stream EVENTS: lifetimes of single messages is true, it has to be false",
		"stream DEAD: it is missing; `slipway bootstrap` creates it",
		"consumer INTAKE of INBOX: it is missing; `slipway bootstrap` creates it",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestEnsureLeavesWhatExists(t *testing.T) {
	_, js, spec := ensured(t)
	smaller := topology.Topology(1, topology.LimitsFor(store/2))
	if err := topology.Ensure(t.Context(), js, smaller); err != nil {
		t.Fatal(err)
	}
	stream, err := js.Stream(t.Context(), topology.StreamEvents)
	if err != nil {
		t.Fatal(err)
	}
	if got, want := stream.CachedInfo().Config.MaxBytes, spec.Streams[0].MaxBytes; got != want {
		t.Errorf("the size limit changed from %d to %d", want, got)
	}
	wantNoDrift(t, js, smaller)
}

func TestMemoryStreamsComeBackAfterARestart(t *testing.T) {
	node, js, spec := ensured(t, "default")
	if err := node.Restart(); err != nil {
		t.Fatal(err)
	}
	awaitConnected(t, js.Conn())
	ctx := t.Context()
	wantNoDrift(t, js, spec)
	if _, err := topology.Leases(ctx, js); !errors.Is(err, jetstream.ErrBucketNotFound) {
		t.Errorf("leases after the restart: %v", err)
	}
	for range 2 {
		if err := topology.EnsureVolatile(ctx, js, spec); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := topology.Leases(ctx, js); err != nil {
		t.Error(err)
	}
	if _, err := js.Consumer(ctx, topology.StreamWork, topology.PoolConsumerName("default")); err != nil {
		t.Error(err)
	}
	if err := topology.EnsurePool(ctx, js, 1, "later"); err != nil {
		t.Error(err)
	}
}

func TestOldServersAreRefusedInWords(t *testing.T) {
	for version, ok := range map[string]bool{"2.14.9": true, "2.15.2": true, "3.0.0": true, "2.14.10-RC.1": true, "2.14.8": false, "2.9.10": false, "": false, "dev": false} {
		if topology.AtLeast(version) != ok {
			t.Errorf("version %q: accepted = %v", version, !ok)
		}
	}
}

func TestHintsAreReplacedHandedOutOnceAndForgottenWhenHandled(t *testing.T) {
	_, js, _ := ensured(t, "default", "other")
	ctx := t.Context()
	for _, text := range []string{"old", "new"} {
		if _, err := js.Publish(ctx, topology.WorkSubject("default", "d-1"), []byte(text)); err != nil {
			t.Fatal(err)
		}
	}
	consumer, err := js.Consumer(ctx, topology.StreamWork, topology.PoolConsumerName("default"))
	if err != nil {
		t.Fatal(err)
	}
	batch, err := consumer.Fetch(1, jetstream.FetchMaxWait(10*time.Second))
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for msg := range batch.Messages() {
		got = append(got, string(msg.Data()))
		if err := msg.DoubleAck(ctx); err != nil {
			t.Error(err)
		}
	}
	if !slices.Equal(got, []string{"new"}) {
		t.Errorf("hints %q", got)
	}
	stream, err := js.Stream(ctx, topology.StreamWork)
	if err != nil {
		t.Fatal(err)
	}
	if left := stream.CachedInfo().State.Msgs; left != 0 {
		t.Errorf("%d hints left", left)
	}
}

func TestTheLargestCommitAndRequestFit(t *testing.T) {
	_, js, _ := ensured(t)
	for _, subject := range []string{topology.RunSubject("d-1"), topology.InboxSubject("slash", "T1")} {
		msg := nats.NewMsg(subject)
		msg.Data = make([]byte, max(eventlog.MaxCommit, topology.MaxRequest))
		msg.Header.Set("Nats-Expected-Last-Subject-Sequence", "0")
		msg.Header.Set("traceparent", strings.Repeat("x", 55))
		if _, err := js.PublishMsg(t.Context(), msg); err != nil {
			t.Errorf("%s: %v", subject, err)
		}
	}
}

func TestInboxKeepsHandledRequestsForTheWindowAndThenForgets(t *testing.T) {
	_, js, _ := ensured(t)
	ctx := t.Context()
	for _, id := range []string{"a", "b", "a", "c"} {
		if _, err := js.Publish(ctx, topology.InboxSubject("slash", "T1"), nil, jetstream.WithMsgID(id)); err != nil {
			t.Fatal(err)
		}
	}
	consumer, err := js.Consumer(ctx, topology.StreamInbox, topology.ConsumerIntake)
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		msg, err := consumer.Next(jetstream.FetchMaxWait(time.Second))
		if err != nil {
			t.Fatal(err)
		}
		if err := msg.DoubleAck(ctx); err != nil {
			t.Fatal(err)
		}
	}
	handled, open, err := topology.InboxHandled(ctx, js)
	if err != nil || handled != 2 || open != 0 {
		t.Fatalf("handled %d, open %d, %v", handled, open, err)
	}
	if err := topology.PurgeInbox(ctx, js, handled); err != nil {
		t.Fatal(err)
	}
	usages, err := topology.UsageOf(ctx, js)
	if err != nil {
		t.Fatal(err)
	}
	i := slices.IndexFunc(usages, func(u topology.Usage) bool { return u.Stream == topology.StreamInbox })
	if len(usages) != 9 || usages[i].Messages != 1 {
		t.Errorf("after the purge: %+v", usages)
	}
}

// TestARequestThatIsPutOffIsDeliveredAgain: the consumer believes that it delivered
// a request just now and waits, as it does for an hour when its clock was ahead.
func TestARequestThatIsPutOffIsDeliveredAgain(t *testing.T) {
	t.Parallel()
	for name, start := range map[string]func(*testing.T) (jetstream.JetStream, int){
		"one server": func(t *testing.T) (jetstream.JetStream, int) { return natsnodetest.Connect(t, natsnodetest.One(t)), 1 },
		"three servers": func(t *testing.T) (jetstream.JetStream, int) {
			return natsnodetest.Connect(t, natsnodetest.Three(t)[0]), 3
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			js, replicas := start(t)
			ctx := t.Context()
			if err := topology.Ensure(ctx, js, topology.Topology(replicas, topology.LimitsFor(store))); err != nil {
				t.Fatal(err)
			}
			consumer, err := js.Consumer(ctx, topology.StreamInbox, topology.ConsumerIntake)
			if err != nil {
				t.Fatal(err)
			}
			cfg := consumer.CachedInfo().Config
			cfg.AckWait = time.Hour
			if consumer, err = js.UpdateConsumer(ctx, topology.StreamInbox, cfg); err != nil {
				t.Fatal(err)
			}
			if _, err := js.Publish(ctx, topology.InboxSubject("slash", "T1"), []byte("request")); err != nil {
				t.Fatal(err)
			}
			if _, err := consumer.Next(jetstream.FetchMaxWait(5 * time.Second)); err != nil {
				t.Fatal(err)
			}
			if handled, open, err := topology.InboxHandled(ctx, js); err != nil || handled != 0 || open != 1 {
				t.Fatalf("handled %d, open %d, %v", handled, open, err)
			}
			if err := topology.RedeliverInbox(ctx, js); err != nil {
				t.Fatal(err)
			}
			again, err := consumer.Next(jetstream.FetchMaxWait(5 * time.Second))
			if err != nil {
				t.Fatalf("it is not delivered again: %v", err)
			}
			if err := again.DoubleAck(ctx); err != nil {
				t.Fatal(err)
			}
			if handled, open, err := topology.InboxHandled(ctx, js); err != nil || handled != 1 || open != 0 {
				t.Fatalf("handled %d, open %d, %v", handled, open, err)
			}
		})
	}
}

func TestUsageWarnsBeforeAStreamRefuses(t *testing.T) {
	for _, c := range []struct {
		usage topology.Usage
		warn  bool
	}{
		{topology.Usage{Bytes: 79, Limit: 100}, false},
		{topology.Usage{Bytes: 80, Limit: 100}, true},
		{topology.Usage{Bytes: 80, Limit: 100, Recycles: true}, false},
		{topology.Usage{Bytes: 80}, false},
	} {
		if c.usage.Warn() != c.warn {
			t.Errorf("%+v: warn = %v", c.usage, !c.warn)
		}
	}
}

func TestCanaryTellsWhetherWritesGetThrough(t *testing.T) {
	node, js, _ := ensured(t)
	if err := topology.Canary(t.Context(), js, "runner 1"); err != nil {
		t.Error(err)
	}
	if err := node.Stop(); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	if err := topology.Canary(ctx, js, "runner 1"); err == nil {
		t.Error("a write got through without a server")
	}
	if err := node.Resume(); err != nil {
		t.Fatal(err)
	}
}

func TestTheStreamsFitIntoTheStore(t *testing.T) {
	for _, size := range []int64{256 << 20, topology.DefaultStore} {
		l := topology.LimitsFor(size)
		if sum := l.Events + l.Inbox + l.Logs + l.Dead + l.Cards + l.Objects + 1<<20; sum > size {
			t.Errorf("%d of %d", sum, size)
		}
	}
}

func awaitConnected(t *testing.T, nc *nats.Conn) {
	t.Helper()
	const patience = 5 * time.Second
	for begin := time.Now(); nc.FlushTimeout(patience) != nil; {
		if time.Since(begin) > patience {
			t.Fatal("the connection did not come back")
		}
		<-time.After(5 * time.Millisecond)
	}
}
