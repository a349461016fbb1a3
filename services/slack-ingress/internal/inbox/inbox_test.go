package inbox_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"google.golang.org/protobuf/proto"

	commandv1 "github.com/slipway-hq/slipway/gen/slipway/command/v1"
	eventv1 "github.com/slipway-hq/slipway/gen/slipway/event/v1"
	"github.com/slipway-hq/slipway/internal/natsnode"
	"github.com/slipway-hq/slipway/internal/natsnode/natsnodetest"
	"github.com/slipway-hq/slipway/internal/topology"
	"github.com/slipway-hq/slipway/services/slack-ingress/internal/inbox"
)

// patience is for what must happen; hitting it is a failure.
const patience = 10 * time.Second

func envelope(identity string) *commandv1.Envelope {
	return &commandv1.Envelope{Identity: identity, Origin: &eventv1.Origin{Team: "T1"}}
}

func within(t *testing.T, d time.Duration) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), d)
	t.Cleanup(cancel)
	return ctx
}

// stream makes INBOX as the product does, or smaller.
func stream(t *testing.T, js jetstream.JetStream, adjust func(*jetstream.StreamConfig)) jetstream.Stream {
	t.Helper()
	for _, cfg := range topology.Topology(1, topology.LimitsFor(1<<30)).Streams {
		if cfg.Name != topology.StreamInbox {
			continue
		}
		if adjust != nil {
			adjust(&cfg)
		}
		s, err := js.CreateStream(within(t, patience), cfg)
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	t.Fatal("the topology has no INBOX")
	return nil
}

func open(t *testing.T, node *natsnode.Node) (*inbox.Inbox, jetstream.JetStream) {
	t.Helper()
	js := natsnodetest.Connect(t, node)
	box, err := inbox.New(js.Conn())
	if err != nil {
		t.Fatal(err)
	}
	if err := box.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(box.Stop)
	return box, js
}

func stored(t *testing.T, s jetstream.Stream) uint64 {
	t.Helper()
	info, err := s.Info(within(t, patience))
	if err != nil {
		t.Fatal(err)
	}
	return info.State.Msgs
}

func TestOneRequestIsStoredOnceHoweverOftenSubmitted(t *testing.T) {
	node := natsnodetest.One(t)
	a, js := open(t, node)
	b, _ := open(t, node) // another replica
	s := stream(t, js, nil)
	var (
		group sync.WaitGroup
		mu    sync.Mutex
		first int
	)
	for i := range 50 {
		box := []*inbox.Inbox{a, b}[i%2]
		group.Go(func() {
			ticket, err := box.Submit(within(t, patience), "slash", envelope("one"))
			if err != nil {
				t.Error(err)
				return
			}
			mu.Lock()
			defer mu.Unlock()
			if ticket.First {
				first++
			}
		})
	}
	group.Wait()
	if n := stored(t, s); n != 1 || first != 1 {
		t.Errorf("%d messages, %d first tickets; want one of each", n, first)
	}
}

func TestEveryTicketGetsTheFirstAnswer(t *testing.T) {
	box, js := open(t, natsnodetest.One(t))
	s := stream(t, js, nil)
	reply(t, js, s, &commandv1.Answer{Text: "accepted"})
	var group sync.WaitGroup
	for range 5 {
		group.Go(func() {
			ticket, err := box.Submit(within(t, patience), "slash", envelope("one"))
			if err != nil {
				t.Error(err)
				return
			}
			if answer, ok := ticket.Await(within(t, patience), nil); !ok || answer.GetText() != "accepted" {
				t.Errorf("answer %v, %v", answer, ok)
			}
		})
	}
	group.Wait()
}

// reply answers every message of INBOX as the orchestrator does.
func reply(t *testing.T, js jetstream.JetStream, s jetstream.Stream, answer *commandv1.Answer) {
	t.Helper()
	consumer, err := s.CreateConsumer(within(t, patience), jetstream.ConsumerConfig{AckPolicy: jetstream.AckExplicitPolicy})
	if err != nil {
		t.Fatal(err)
	}
	data, err := proto.Marshal(answer)
	if err != nil {
		t.Fatal(err)
	}
	consuming, err := consumer.Consume(func(msg jetstream.Msg) {
		if err := js.Conn().Publish(msg.Headers().Get(topology.HeaderAnswer), data); err != nil {
			t.Error(err)
		}
		_ = msg.Ack()
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(consuming.Stop)
}

func TestALateAnswerIsHandedOver(t *testing.T) {
	box, js := open(t, natsnodetest.One(t))
	s := stream(t, js, nil)
	ticket, err := box.Submit(within(t, patience), "slash", envelope("one"))
	if err != nil {
		t.Fatal(err)
	}
	over, cancel := context.WithCancel(context.Background())
	cancel()
	came := make(chan *commandv1.Answer, 2)
	if answer, ok := ticket.Await(over, func(a *commandv1.Answer) { came <- a }); ok {
		t.Fatalf("an answer out of nothing: %v", answer)
	}
	reply(t, js, s, &commandv1.Answer{Text: "late"})
	select {
	case answer := <-came:
		if answer.GetText() != "late" {
			t.Errorf("answer %v", answer)
		}
	case <-within(t, patience).Done():
		t.Fatal("the late answer was not handed over")
	}
}

func TestRefusedIsSaidOnlyWhenCertain(t *testing.T) {
	t.Run("no stream", func(t *testing.T) {
		box, _ := open(t, natsnodetest.One(t))
		_, err := box.Submit(within(t, patience), "slash", envelope("one"))
		if !errors.Is(err, inbox.ErrRefused) {
			t.Errorf("Submit = %v, want ErrRefused", err)
		}
	})
	t.Run("stream full", func(t *testing.T) {
		box, js := open(t, natsnodetest.One(t))
		stream(t, js, func(cfg *jetstream.StreamConfig) { cfg.MaxMsgs = 2 })
		var err error
		for i := range 3 {
			_, err = box.Submit(within(t, patience), "slash", envelope(fmt.Sprint(i)))
		}
		if !errors.Is(err, inbox.ErrRefused) {
			t.Errorf("Submit = %v, want ErrRefused", err)
		}
	})
	t.Run("too large", func(t *testing.T) {
		box, js := open(t, natsnodetest.One(t))
		stream(t, js, nil)
		_, err := box.Submit(within(t, patience), "slash", envelope(string(make([]byte, topology.MaxRequest))))
		if !errors.Is(err, inbox.ErrRefused) {
			t.Errorf("Submit = %v, want ErrRefused", err)
		}
	})
	t.Run("server gone", func(t *testing.T) {
		node := natsnodetest.One(t)
		box, js := open(t, node)
		stream(t, js, nil)
		if err := node.Shutdown(within(t, patience)); err != nil {
			t.Fatal(err)
		}
		for js.Conn().IsConnected() {
			select {
			case <-within(t, patience).Done():
				t.Fatal("the connection did not notice")
			case <-js.Conn().StatusChanged(nats.RECONNECTING, nats.CLOSED, nats.DISCONNECTED):
			case <-time.After(5 * time.Millisecond):
			}
		}
		if _, err := box.Submit(within(t, patience), "slash", envelope("one")); !errors.Is(err, inbox.ErrRefused) {
			t.Errorf("Submit = %v, want ErrRefused", err)
		}
		if err := box.Ready(within(t, patience)); err == nil {
			t.Error("Ready, with the server gone")
		}
	})
}

// A listener that never acknowledges stands for a store that is too slow: the
// message may be kept or not.
func TestSilenceIsAnUnknownOutcome(t *testing.T) {
	box, js := open(t, natsnodetest.One(t))
	heard := make(chan *nats.Msg, 2)
	if _, err := js.Conn().ChanSubscribe(topology.InboxSubject("slash", "T1"), heard); err != nil {
		t.Fatal(err)
	}
	ticket, err := box.Submit(within(t, 50*time.Millisecond), "slash", envelope("one"))
	if !errors.Is(err, inbox.ErrUnknown) || errors.Is(err, inbox.ErrRefused) {
		t.Fatalf("Submit = %v, want ErrUnknown", err)
	}
	// It got through after all, and its answer still finds the way.
	came := make(chan *commandv1.Answer, 1)
	over, cancel := context.WithCancel(context.Background())
	cancel()
	ticket.Await(over, func(a *commandv1.Answer) { came <- a })
	data, _ := proto.Marshal(&commandv1.Answer{Text: "late"})
	if err := js.Conn().Publish((<-heard).Header.Get(topology.HeaderAnswer), data); err != nil {
		t.Fatal(err)
	}
	select {
	case <-came:
	case <-within(t, patience).Done():
		t.Fatal("the answer was lost")
	}
	// The next try of the same request is a try of its own.
	if _, err := box.Submit(within(t, 50*time.Millisecond), "slash", envelope("one")); !errors.Is(err, inbox.ErrUnknown) || len(heard) != 1 {
		t.Errorf("second Submit = %v with %d messages sent", err, len(heard))
	}
}

func TestQueriesAreAnsweredOrNot(t *testing.T) {
	box, js := open(t, natsnodetest.One(t))
	if _, err := box.Ask(within(t, patience), envelope("q")); !errors.Is(err, inbox.ErrNobody) {
		t.Errorf("Ask of nobody = %v, want ErrNobody", err)
	}
	if _, err := js.Conn().Subscribe(topology.SubjectQuery, func(msg *nats.Msg) {
		data, _ := proto.Marshal(&commandv1.Answer{Text: "two runs"})
		_ = msg.Respond(data)
	}); err != nil {
		t.Fatal(err)
	}
	if answer, err := box.Ask(within(t, patience), envelope("q")); err != nil || answer.GetText() != "two runs" {
		t.Errorf("Ask = %v, %v", answer, err)
	}
}
