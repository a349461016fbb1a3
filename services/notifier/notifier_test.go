package notifier_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/propagation"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/slipway-hq/slipway/domain/run"
	eventv1 "github.com/slipway-hq/slipway/gen/slipway/event/v1"
	"github.com/slipway-hq/slipway/internal/eventlog"
	"github.com/slipway-hq/slipway/internal/eventlog/jetlog"
	"github.com/slipway-hq/slipway/internal/natsnode"
	"github.com/slipway-hq/slipway/internal/natsnode/natsnodetest"
	"github.com/slipway-hq/slipway/internal/telemetry"
	"github.com/slipway-hq/slipway/internal/topology"
	"github.com/slipway-hq/slipway/sandbox"
	"github.com/slipway-hq/slipway/services/notifier"
)

const (
	id = "d-abcdefghijklmnop"
	// patience is how long a test waits for what must come.
	patience = 20 * time.Second
	traceID  = "0af7651916cd43dd8448eb211c80319c"
)

// world is a server with all streams and a stand-in Slack.
type world struct {
	t     *testing.T
	node  *natsnode.Node
	log   eventlog.Log
	slack *sandbox.Server
	out   *lines
	state run.State
}

func newWorld(t *testing.T, scopes ...string) *world {
	t.Helper()
	w := &world{t: t, node: natsnodetest.One(t), out: &lines{}}
	nc := w.connect()
	js, err := jetstream.New(nc)
	must(t, err)
	must(t, topology.Ensure(t.Context(), js, topology.Topology(1, topology.LimitsFor(512<<20))))
	w.log, err = jetlog.New(nc, topology.StreamEvents)
	must(t, err)
	w.slack, err = sandbox.New(sandbox.Config{Strict: true, NoRateLimits: true, Scopes: scopes})
	must(t, err)
	must(t, w.slack.Start(t.Context()))
	t.Cleanup(func() { must(t, w.slack.Close()) })
	return w
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func (w *world) connect() *nats.Conn {
	w.t.Helper()
	nc, err := w.node.Connect(w.t.Name())
	must(w.t, err)
	w.t.Cleanup(nc.Close)
	return nc
}

// lines is a log that a test may read while it grows.
type lines struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

func (w *world) config() notifier.Config {
	return notifier.Config{
		BotToken: telemetry.Secret(w.slack.BotToken()), APIURL: w.slack.APIURL(), NoLimits: true,
		EditInterval: 20 * time.Millisecond, Tick: time.Second, CallTimeout: 2 * time.Second, Window: 3 * time.Second, LookInterval: 50 * time.Millisecond,
	}
}

// start runs a notifier until the test ends or stop is called, and waits until
// it has caught up.
func (w *world) start(name string) (stop func()) {
	w.t.Helper()
	n, err := notifier.New(w.config(), notifier.Deps{Log: w.log, Conn: w.connect(), Logger: slog.New(slog.NewTextHandler(w.out, nil)), Holder: name})
	must(w.t, err)
	ctx, cancel := context.WithCancel(context.Background())
	ready, done := make(chan struct{}), make(chan error, 1)
	go func() { done <- n.Run(ctx, func() { close(ready) }) }()
	select {
	case <-ready:
	case <-time.After(patience):
		w.t.Fatal("never ready")
	}
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			w.t.Errorf("notifier %s: %v", name, err)
		}
	})
	w.t.Cleanup(stop)
	return stop
}

func (w *world) do(c run.Command) {
	w.t.Helper()
	events, err := run.Decide(w.state, c)
	must(w.t, err)
	var prev *eventlog.Record
	var expect uint64
	if last, err := w.log.Last(w.t.Context(), topology.RunSubject(id)); err == nil {
		prev, expect = &last, last.Sequence
	}
	commit := &eventv1.Commit{
		Id: rand(w.t), Time: timestamppb.Now(), Events: events, Trace: map[string]string{"traceparent": "00-" + traceID + "-b7ad6b7169203331-01"},
		Actor: &eventv1.Principal{Kind: eventv1.Principal_KIND_SLACK_USER, Team: sandbox.TeamID, User: sandbox.UserRequester},
	}
	eventlog.Chain(prev, commit)
	data, err := proto.Marshal(commit)
	must(w.t, err)
	sequence, err := w.log.Append(w.t.Context(), topology.RunSubject(id), expect, data)
	must(w.t, err)
	w.state = run.FoldCommit(w.state, sequence, commit)
}

func rand(t *testing.T) string { return t.Name() + time.Now().String() }

func (w *world) request() {
	w.do(run.Request{Event: &eventv1.RunRequested{
		Run: id, Identity: id, Service: "checkout", Environment: "production", Version: "v1",
		Origin: &eventv1.Origin{Team: sandbox.TeamID, Channel: sandbox.ChannelDeploys},
		Plan:   &eventv1.Plan{Lane: "l", Pool: "default", Steps: []*eventv1.Step{{Name: "build"}}},
	}})
}

func (w *world) finish() {
	w.do(run.TakeClaim{Runner: "r", Incarnation: "i", Host: "h", GrantSequence: 1, Now: time.Now()})
	w.do(run.FinishStep{Fence: w.state.Claim.Fence, Attempt: 1, Now: time.Now()})
}

// shows waits for the one card to show a text.
func (w *world) shows(text string) {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(w.t.Context(), patience)
	defer cancel()
	err := w.slack.Wait(ctx, func(s sandbox.State) bool {
		for _, m := range s.Messages(sandbox.ChannelDeploys) {
			if strings.Contains(m.Visible(), text) {
				return true
			}
		}
		return false
	})
	if err != nil {
		w.t.Fatalf("no card shows %q: %+v\n%s", text, w.slack.Messages(sandbox.ChannelDeploys), w.out)
	}
	if n := len(w.slack.Messages(sandbox.ChannelDeploys)); n != 1 {
		w.t.Errorf("%d messages in the channel", n)
	}
}

func TestACardFollowsItsRun(t *testing.T) { //nolint:paralleltest // sets the global tracer
	spans := tracetest.NewSpanRecorder()
	otel.SetTracerProvider(sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(spans)))
	otel.SetTextMapPropagator(propagation.TraceContext{})
	w := newWorld(t)
	stop := w.start("a")
	w.request()
	w.shows("⏳ Queued")
	w.finish()
	w.shows("✅ Succeeded")
	stop()
	n := 0
	for _, s := range spans.Ended() {
		if strings.HasPrefix(s.Name(), "slack chat.") {
			n++
			if s.SpanContext().TraceID().String() != traceID {
				t.Errorf("%s is in another trace", s.Name())
			}
		}
	}
	if n < 2 {
		t.Errorf("%d posts and edits are traced", n)
	}
	if strings.Contains(w.out.String(), w.slack.BotToken()) {
		t.Error("the log holds the token")
	}
}

func TestTheSecondTakesOver(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	first := w.start("a")
	second := w.start("b")
	w.request()
	w.shows("⏳ Queued")
	first()
	w.finish()
	w.shows("✅ Succeeded")
	second()
}

func TestReadyWithoutSlack(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.slack.Faults().Set(sandbox.Fault{Kind: sandbox.ServerError})
	w.start("a")
	w.request()
	w.finish()
	w.slack.Faults().Heal()
	w.shows("✅ Succeeded")
}

func TestNewRefusesNonsense(t *testing.T) {
	t.Parallel()
	if _, err := notifier.New(notifier.Config{}, notifier.Deps{}); !errors.Is(err, notifier.ErrNoToken) {
		t.Errorf("without a token: %v", err)
	}
	if _, err := notifier.New(notifier.Config{BotToken: "xoxb-1", APIURL: "slack"}, notifier.Deps{}); err == nil || strings.Contains(err.Error(), "xoxb-1") {
		t.Errorf("without a URL: %v", err)
	}
}

func TestCheck(t *testing.T) {
	t.Parallel()
	good := newWorld(t)
	poor := newWorld(t, "chat:write")
	for name, c := range map[string]struct {
		cfg  notifier.Config
		ok   bool
		says string
	}{
		"good":         {good.config(), true, "all that are needed"},
		"no scopes":    {poor.config(), false, "missing channels:history, groups:history, im:history, im:write, reactions:write, files:write, channels:read, groups:read, users:read, app_mentions:read, commands"},
		"wrong token":  {notifier.Config{BotToken: "xoxb-wrong", APIURL: good.slack.APIURL()}, false, "Slack refuses it: invalid_auth"},
		"no token":     {notifier.Config{}, false, "SLACK_BOT_TOKEN is not set"},
		"wrong URL":    {notifier.Config{BotToken: "xoxb-1", APIURL: "slack"}, false, "must be like"},
		"nobody there": {notifier.Config{BotToken: "xoxb-1", APIURL: "http://127.0.0.1:1/"}, false, "not reached"},
	} {
		findings := notifier.Check(t.Context(), c.cfg)
		last := findings[len(findings)-1]
		if last.OK != c.ok || !strings.Contains(last.Finding, c.says) || !last.OK && last.Remedy == "" {
			t.Errorf("%s: %+v", name, findings)
		}
	}
}
