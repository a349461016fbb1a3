package output

import (
	"context"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"google.golang.org/protobuf/proto"

	commandv1 "github.com/slipway-hq/slipway/gen/slipway/command/v1"
	"github.com/slipway-hq/slipway/internal/natsnode/natsnodetest"
	"github.com/slipway-hq/slipway/internal/topology"
	"github.com/slipway-hq/slipway/services/runner/internal/step"
)

func line(text string) step.Chunk {
	return step.Chunk{Stream: step.Stdout, At: time.Now(), Data: []byte(text + "\n")}
}

// TestSaysWhatIsMissing fills the buffer while nothing is sent.
func TestSaysWhatIsMissing(t *testing.T) {
	js := natsnodetest.Connect(t, natsnodetest.One(t))
	if err := topology.Ensure(t.Context(), js, topology.Topology(1, topology.LimitsFor(512<<20))); err != nil {
		t.Fatal(err)
	}
	w := New(js, slog.New(slog.DiscardHandler))
	subject := topology.LogSubject("d-1", 0, 1, 9)
	a := w.Attempt(subject)
	for range maxQueued + 5 {
		a.Write(line("x"))
	}
	if w.Dropped() != 5 {
		t.Errorf("%d chunks dropped, want 5", w.Dropped())
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	go w.Run(ctx)
	sent := stored(t, js, subject)
	for range maxQueued / 2 { // then there is room again
		if chunk := <-sent; string(chunk.GetData()) != "x\n" {
			t.Errorf("chunk %q", chunk.GetData())
		}
	}
	a.Write(line("after"))
	a.Close()
	var text strings.Builder
	for c := range sent {
		text.Write(c.GetData())
		if strings.HasSuffix(text.String(), "after\n") {
			break
		}
	}
	if !strings.Contains(text.String(), "5 pieces of output are missing here") {
		t.Errorf("the gap is not told: %q", text.String())
	}
}

// stored returns the chunks of subject, from the first, for as long as the test
// lives.
func stored(t *testing.T, js jetstream.JetStream, subject string) <-chan *commandv1.LogChunk {
	t.Helper()
	consumer, err := js.OrderedConsumer(t.Context(), topology.StreamLogs, jetstream.OrderedConsumerConfig{FilterSubjects: []string{subject}})
	if err != nil {
		t.Fatal(err)
	}
	chunks := make(chan *commandv1.LogChunk)
	following, err := consumer.Consume(func(msg jetstream.Msg) {
		chunk := &commandv1.LogChunk{}
		if proto.Unmarshal(msg.Data(), chunk) == nil {
			select {
			case chunks <- chunk:
			case <-t.Context().Done():
			}
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(following.Stop)
	return chunks
}

func TestNeverWaitsForABrokerThatIsAway(t *testing.T) {
	js := natsnodetest.Connect(t, natsnodetest.One(t)) // no stream LOGS at all
	w := New(js, slog.New(slog.DiscardHandler))
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { w.Run(ctx); close(done) }()
	a := w.Attempt(topology.LogSubject("d-1", 0, 1, 9))
	for range 2 * maxQueued {
		a.Write(line("x"))
	}
	cancel()
	<-done
	a.Close()
}
