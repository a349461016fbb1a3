package credentials

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/slipway-hq/slipway/internal/eventlog"
	"github.com/slipway-hq/slipway/internal/eventlog/jetlog"
	"github.com/slipway-hq/slipway/internal/natsconn"
	"github.com/slipway-hq/slipway/internal/topology"
	"github.com/slipway-hq/slipway/test/internal/world"
)

// soon is far below every deadline of a request: what takes longer was a time-out.
const soon = time.Second

func TestEachServiceDoesItsWorkWithItsOwnCredential(t *testing.T) {
	s := newSite(t)
	w := world.New(t)
	w.Configure(w.Pipelines(map[string][]world.Map{"web": {w.Step("build", "echo built | tee product", world.Map{"artefacts": []string{"product"}}), w.Step("ship", w.Hold("go"))}}))
	t.Run("services need bootstrap first", func(t *testing.T) { s.refusedAtStart(t, w, "notifier", "notifier") })
	if code := w.Start("slipway", append([]string{"bootstrap", "--replicas=3", "--store=1073741824"}, s.flags("bootstrap")...)...).ExitCode(); code != 0 {
		t.Fatalf("bootstrap ended with %d", code)
	}
	all := map[string]*world.Process{}
	for _, name := range world.Services {
		args := s.flags(name)
		if name == world.Runner {
			args = append(args, "--runner-pools=default,new") // of which bootstrap knew nothing
		}
		all[name] = w.Service(name, args...)
	}
	id, queued := w.Ask("web to staging"), w.Ask("web to staging")
	w.AwaitEffect("start", id, "ship", 1)
	all[world.Runner].Kill() // its next life reads what it stored
	w.Open("go")
	all["again"] = w.Service(world.Runner, s.flags(world.Runner)...)
	w.JudgeCard(w.Succeeded(id))
	w.JudgeCard(w.Succeeded(queued))
	if text := w.Logs(id, "build"); !strings.Contains(text, "built") {
		t.Errorf("output %q", text)
	}
	if code, said := w.CLI("doctor"); code != 0 || !strings.Contains(said, "all as declared") || !strings.Contains(said, "each has a whole copy") || !strings.Contains(said, `the certificate of "slipway-nats" is good until`) {
		t.Errorf("doctor ended with %d: %s", code, said)
	}
	for name, p := range all {
		if strings.Contains(p.Output(), "for lack of permission") {
			t.Errorf("%s lacks a permission", name)
		}
	}
	t.Run("others", func(t *testing.T) { s.refusals(t) })
	t.Run("log", func(t *testing.T) { s.refusedCommit(t) })
	t.Run("operations", func(t *testing.T) { s.refusedOperations(t) })
	t.Run("answers", func(t *testing.T) { s.refusedEars(t) })
	t.Run("key of another service", func(t *testing.T) { s.refusedAtStart(t, w, "orchestrator", "slack-ingress") })
}

// refusedAtStart starts a service with a credential that does not let it.
func (s *site) refusedAtStart(t *testing.T, w *world.World, service, credential string) {
	args := s.flags(credential)
	if service == world.Runner {
		args = append(args, "--data", t.TempDir())
	}
	begin := time.Now()
	p := w.Start(service, args...)
	if code := p.ExitCode(); code == 0 {
		t.Error("it started")
	}
	if took := time.Since(begin); took > 5*time.Second {
		t.Errorf("it ended after %s, as if it had waited", took)
	}
	if said := p.Output(); !strings.Contains(said, natsconn.ErrRefused.Error()) {
		t.Errorf("it does not say why: %s", said)
	}
}

func (s *site) connect(t *testing.T, service string) (*nats.Conn, jetstream.JetStream) {
	t.Helper()
	conn, err := natsconn.Dial(t.Context(), t.Name(), s.settings(service), slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(conn.Close)
	js, err := jetstream.New(conn)
	if err != nil {
		t.Fatal(err)
	}
	return conn, js
}

// refusals publishes on every kind of subject with every credential that has no
// business there.
func (s *site) refusals(t *testing.T) {
	const ingress, orchestrator, runner, notifier, bootstrap = "slack-ingress", "orchestrator", "runner", "notifier", "bootstrap"
	for _, c := range []struct {
		subject   string
		permitted []string
	}{
		{topology.InboxSubject("slash", "T1"), []string{ingress, orchestrator}},
		{topology.RunSubject("d-1"), []string{orchestrator, runner}},
		{topology.LaneSubject("web/staging"), []string{orchestrator}},
		{topology.SubjectConfig, []string{orchestrator}},
		{topology.ScheduleSubject("a/b"), []string{orchestrator}},
		{topology.RelaySubject("a"), []string{orchestrator}},
		{topology.ListenSubject("a/b"), []string{orchestrator}},
		{topology.WorkSubject("default", "d-1"), []string{orchestrator}},
		{topology.LogSubject("d-1", 1, 1, 1), []string{runner}},
		{topology.DeadSubject("orchestrator", "x"), []string{orchestrator}},
		{topology.LeaseSubject("runner.x"), []string{runner}},
		{topology.LeaseSubject("office.x"), []string{orchestrator, notifier}},
		{"$KV.CARDS.d-1.card", []string{notifier}},
		{"$O.OBJECTS.M.x", []string{orchestrator, runner}},
		{"$JS.API.STREAM.CREATE.WORK", []string{orchestrator, runner, bootstrap}},
		{"$JS.API.STREAM.CREATE.KV_LEASES", []string{orchestrator, runner, notifier, bootstrap}},
		{"$JS.API.STREAM.DELETE.WORK", []string{orchestrator}},
		{"$JS.API.STREAM.DELETE.KV_LEASES", []string{orchestrator}},
		{"$JS.API.STREAM.UPDATE.WORK", []string{orchestrator}},
		{"$JS.API.STREAM.UPDATE.KV_LEASES", []string{orchestrator}},
		{"$JS.API.STREAM.DELETE.EVENTS", nil},
		{"$JS.API.STREAM.PURGE.EVENTS", []string{orchestrator}}, // of what is archived
		{"$JS.API.STREAM.UPDATE.EVENTS", nil},
		{"$JS.API.STREAM.MSG.DELETE.EVENTS", nil},
		{"$JS.API.CONSUMER.MSG.NEXT.INBOX.INTAKE", []string{orchestrator}},
		{"$JS.API.CONSUMER.RESET.INBOX.INTAKE", []string{orchestrator}},
	} {
		for _, service := range []string{ingress, orchestrator, runner, notifier, bootstrap} {
			conn, _ := s.connect(t, service)
			err := publish(t.Context(), conn, c.subject)
			switch want := slices.Contains(c.permitted, service); {
			case want && errors.Is(err, natsconn.ErrRefused):
				t.Errorf("%s may not publish to %s: %v", service, c.subject, err)
			case !want && !errors.Is(err, natsconn.ErrRefused):
				t.Errorf("%s may publish to %s: %v", service, c.subject, err)
			case !want && !errors.Is(natsconn.Refused(conn), natsconn.ErrRefused):
				t.Errorf("readiness of %s does not tell of %s", service, c.subject)
			}
			conn.Close()
		}
	}
}

// publish sends a request that changes nothing where it is permitted: what it
// expects is never so. It returns the refusal, or that there was none soon.
func publish(ctx context.Context, conn *nats.Conn, subject string) error {
	ctx, stop := natsconn.Until(ctx, conn, subject)
	defer stop()
	ctx, cancel := context.WithTimeout(ctx, soon)
	defer cancel()
	msg := nats.NewMsg(subject)
	msg.Data = []byte("no request of JetStream's API")
	msg.Header.Set("Nats-Expected-Stream", "NONE")
	_, err := conn.RequestMsgWithContext(ctx, msg)
	return natsconn.Why(ctx, err)
}

// refusedCommit: a runner that writes to a lane hears at once that nothing is
// stored, through the log that it uses.
func (s *site) refusedCommit(t *testing.T) {
	conn, _ := s.connect(t, "runner")
	log, err := jetlog.New(conn, topology.StreamEvents)
	if err != nil {
		t.Fatal(err)
	}
	begin := time.Now()
	_, err = log.Append(t.Context(), topology.LaneSubject("web/staging"), 0, []byte("x"))
	if !errors.Is(err, natsconn.ErrRefused) || !errors.Is(err, eventlog.ErrUnavailable) || errors.Is(err, eventlog.ErrUnknown) {
		t.Errorf("the commit: %v", err)
	}
	if took := time.Since(begin); took > soon {
		t.Errorf("known after %s", took)
	}
}

// refusedOperations: what the library makes of several requests is refused as such,
// too: buckets, streams, consumers, and questions to another service.
func (s *site) refusedOperations(t *testing.T) {
	for _, c := range []struct {
		service, what string
		do            func(context.Context, *nats.Conn, jetstream.JetStream) error
	}{
		{"runner", "write a card", func(ctx context.Context, _ *nats.Conn, js jetstream.JetStream) error {
			kv, err := js.KeyValue(ctx, topology.BucketCards)
			if err == nil {
				_, err = kv.Put(ctx, "d-1.card", []byte("x"))
			}
			return err
		}},
		{"runner", "read a card", func(ctx context.Context, _ *nats.Conn, js jetstream.JetStream) error {
			kv, err := js.KeyValue(ctx, topology.BucketCards)
			if err == nil {
				_, err = kv.Get(ctx, "d-1.card")
			}
			return err
		}},
		{"runner", "purge the log", func(ctx context.Context, _ *nats.Conn, js jetstream.JetStream) error {
			stream, err := js.Stream(ctx, topology.StreamEvents)
			if err == nil {
				err = stream.Purge(ctx)
			}
			return err
		}},
		{"bootstrap", "delete the log", func(ctx context.Context, _ *nats.Conn, js jetstream.JetStream) error {
			return js.DeleteStream(ctx, topology.StreamEvents)
		}},
		{"notifier", "make a stream", func(ctx context.Context, _ *nats.Conn, js jetstream.JetStream) error {
			_, err := js.CreateStream(ctx, jetstream.StreamConfig{Name: "MINE", Subjects: []string{"mine"}})
			return err
		}},
		{"slack-ingress", "read the log", func(ctx context.Context, _ *nats.Conn, js jetstream.JetStream) error {
			_, err := js.CreateConsumer(ctx, topology.StreamEvents, jetstream.ConsumerConfig{})
			return err
		}},
		{"runner", "ask the orchestrator", func(ctx context.Context, conn *nats.Conn, _ jetstream.JetStream) error {
			_, err := conn.RequestWithContext(ctx, "rpc.query", nil)
			return err
		}},
	} {
		conn, js := s.connect(t, c.service)
		ctx, stop := natsconn.Until(t.Context(), conn, "")
		ctx, cancel := context.WithTimeout(ctx, soon)
		if err := natsconn.Why(ctx, c.do(ctx, conn, js)); !errors.Is(err, natsconn.ErrRefused) {
			t.Errorf("%s may %s: %v", c.service, c.what, err)
		}
		cancel()
		stop()
	}
}

// refusedEars: nobody hears answers that are meant for somebody else.
func (s *site) refusedEars(t *testing.T) {
	for service, subject := range map[string]string{
		"slack-ingress": "_INBOX.orchestrator.>", "runner": "_INBOX.slack-ingress.>", "notifier": "answer.>", "orchestrator": "_INBOX.>", "bootstrap": "ev.>",
	} {
		conn, _ := s.connect(t, service)
		sub, err := conn.SubscribeSync(subject)
		if err == nil {
			_, err = sub.NextMsg(soon)
		}
		if !errors.Is(err, nats.ErrPermissionViolation) {
			t.Errorf("%s on %s: %v", service, subject, err)
		}
	}
}
