package ingress_test

import (
	"bytes"
	"context"
	"log/slog"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"google.golang.org/protobuf/proto"

	commandv1 "github.com/slipway-hq/slipway/gen/slipway/command/v1"
	"github.com/slipway-hq/slipway/internal/natsnode"
	"github.com/slipway-hq/slipway/internal/natsnode/natsnodetest"
	"github.com/slipway-hq/slipway/internal/telemetry"
	"github.com/slipway-hq/slipway/internal/topology"
	"github.com/slipway-hq/slipway/sandbox"
	ingress "github.com/slipway-hq/slipway/services/slack-ingress"
)

// patience is for what must happen; hitting it is a failure.
const patience = 15 * time.Second

// world is one ingress between the stand-in for Slack and a NATS server.
type world struct {
	t     *testing.T
	node  *natsnode.Node
	js    jetstream.JetStream
	inbox jetstream.Stream
	slack *sandbox.Server
	doors *httptest.Server
	log   *safeBuffer
	svc   *ingress.Service
	stop  func() error
}

// safeBuffer is a log that is written and read side by side.
type safeBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *safeBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *safeBuffer) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}

func secret(text string) *telemetry.Secret {
	s := telemetry.Secret(text)
	return &s
}

func within(t *testing.T, d time.Duration) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), d)
	t.Cleanup(cancel)
	return ctx
}

// newWorld starts everything; adjust may change how.
func newWorld(t *testing.T, adjust func(*sandbox.Config, *ingress.Config, *ingress.Deps)) *world {
	t.Helper()
	w := &world{t: t, node: natsnodetest.One(t), log: &safeBuffer{}}
	w.js = natsnodetest.Connect(t, w.node, nats.ReconnectBufSize(-1))
	w.createInbox(topology.LimitsFor(1 << 30))
	stand := sandbox.Config{Strict: true, NoRateLimits: true, EventRetries: []time.Duration{}}
	var cfg ingress.Config
	deps := ingress.Deps{Conn: w.js.Conn(), Logger: slog.New(slog.NewTextHandler(w.log, nil))}
	cfg.SigningSecret, cfg.BotToken = secret("signing-secret-of-the-test"), secret("xoxb-sandbox-test")
	if adjust != nil {
		adjust(&stand, &cfg, &deps)
	}
	if cfg.SigningSecret != nil {
		stand.SigningSecret = string(*cfg.SigningSecret)
	}
	if cfg.BotToken != nil {
		stand.BotToken = string(*cfg.BotToken)
	}
	if cfg.AppToken != nil {
		stand.AppToken = string(*cfg.AppToken)
	}
	w.startSlack(stand)
	cfg.APIURL = w.slack.APIURL()
	w.svc, w.stop = run(t, cfg, deps)
	w.doors = httptest.NewServer(w.svc.Handler())
	t.Cleanup(w.doors.Close)
	w.slack.SetTarget(w.doors.URL)
	return w
}

func (w *world) startSlack(cfg sandbox.Config) {
	w.t.Helper()
	var err error
	if w.slack, err = sandbox.New(cfg); err != nil {
		w.t.Fatal(err)
	}
	if err := w.slack.Start(context.Background()); err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { _ = w.slack.Close() })
}

// run starts a service and stops it at the end of the test.
func run(t *testing.T, cfg ingress.Config, deps ingress.Deps) (*ingress.Service, func() error) {
	t.Helper()
	svc, err := ingress.New(cfg, deps)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ready, ended := make(chan struct{}), make(chan error, 1)
	go func() { ended <- svc.Run(ctx, func() { close(ready) }) }()
	stop := sync.OnceValue(func() error { cancel(); return <-ended })
	t.Cleanup(func() {
		if err := stop(); err != nil {
			t.Error(err)
		}
	})
	select {
	case <-ready:
	case <-time.After(patience):
		t.Fatal("the service did not become ready")
	}
	return svc, stop
}

func (w *world) createInbox(limits topology.Limits) {
	w.t.Helper()
	for _, cfg := range topology.Topology(1, limits).Streams {
		if cfg.Name != topology.StreamInbox {
			continue
		}
		var err error
		if w.inbox, err = w.js.CreateStream(within(w.t, patience), cfg); err != nil {
			w.t.Fatal(err)
		}
	}
}

// orchestrate answers what is stored and what is asked, as the orchestrator does.
func (w *world) orchestrate(answer func(*commandv1.Envelope) *commandv1.Answer) {
	w.t.Helper()
	consumer, err := w.inbox.CreateConsumer(within(w.t, patience), jetstream.ConsumerConfig{AckPolicy: jetstream.AckExplicitPolicy})
	if err != nil {
		w.t.Fatal(err)
	}
	say := func(subject string, data []byte) {
		env := &commandv1.Envelope{}
		if err := proto.Unmarshal(data, env); err != nil {
			w.t.Error(err)
		}
		out, err := proto.Marshal(answer(env))
		if err != nil {
			w.t.Error(err)
		}
		if err := w.js.Conn().Publish(subject, out); err != nil {
			w.t.Error(err)
		}
	}
	consuming, err := consumer.Consume(func(m jetstream.Msg) {
		say(m.Headers().Get(topology.HeaderAnswer), m.Data())
		_ = m.Ack()
	})
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(consuming.Stop)
	if _, err := w.js.Conn().Subscribe(topology.SubjectQuery, func(m *nats.Msg) { say(m.Reply, m.Data) }); err != nil {
		w.t.Fatal(err)
	}
}

// stored returns everything in INBOX, decoded, and its raw bytes with headers.
func (w *world) stored() ([]*commandv1.Envelope, []byte) {
	w.t.Helper()
	ctx := within(w.t, patience)
	info, err := w.inbox.Info(ctx)
	if err != nil {
		w.t.Fatal(err)
	}
	var out []*commandv1.Envelope
	var raw []byte
	for seq := uint64(1); seq <= info.State.LastSeq; seq++ {
		msg, err := w.inbox.GetMsg(ctx, seq)
		if err != nil {
			w.t.Fatal(err)
		}
		env := &commandv1.Envelope{}
		if err := proto.Unmarshal(msg.Data, env); err != nil {
			w.t.Fatal(err)
		}
		out = append(out, env)
		raw = append(append(raw, msg.Data...), msg.Subject...)
		for key, values := range msg.Header {
			raw = append(raw, key...)
			for _, v := range values {
				raw = append(raw, v...)
			}
		}
	}
	return out, raw
}

// sees waits until a person sees an ephemeral that satisfies want.
func (w *world) sees(user, channel string, want func(sandbox.Message) bool) {
	w.t.Helper()
	err := w.slack.Wait(within(w.t, patience), func(sandbox.State) bool {
		for _, m := range w.slack.Ephemerals(user, channel) {
			if want(m) {
				return true
			}
		}
		return false
	})
	if err != nil {
		w.t.Fatalf("%s never saw it; saw %+v; log:\n%s", user, w.slack.Ephemerals(user, channel), w.log)
	}
}

// until polls a condition that nobody announces.
func (w *world) until(what string, holds func() bool) {
	w.t.Helper()
	ctx := within(w.t, patience)
	for !holds() {
		select {
		case <-time.After(10 * time.Millisecond):
		case <-ctx.Done():
			w.t.Fatalf("never %s; log:\n%s", what, w.log)
		}
	}
}

func accepted(*commandv1.Envelope) *commandv1.Answer {
	return &commandv1.Answer{Visibility: commandv1.Answer_VISIBILITY_PUBLIC, Text: "accepted", Run: "d-x", Threaded: true}
}
