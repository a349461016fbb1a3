package desk_test

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/slipway-hq/slipway/domain/run"
	commandv1 "github.com/slipway-hq/slipway/gen/slipway/command/v1"
	eventv1 "github.com/slipway-hq/slipway/gen/slipway/event/v1"
	"github.com/slipway-hq/slipway/internal/eventlog"
	"github.com/slipway-hq/slipway/internal/eventlog/memlog"
	"github.com/slipway-hq/slipway/internal/natsnode/natsnodetest"
	"github.com/slipway-hq/slipway/internal/projection"
	"github.com/slipway-hq/slipway/internal/topology"
	"github.com/slipway-hq/slipway/sandbox"
	"github.com/slipway-hq/slipway/services/notifier/internal/desk"
	"github.com/slipway-hq/slipway/services/notifier/internal/slackapi"
)

const (
	window   = 30 * time.Second
	look     = 5 * time.Second
	interval = 3 * time.Second
	tick     = 15 * time.Second
	// maxSteps ends a test whose desk never comes to rest.
	maxSteps = 3000
)

// clock moves only when told; Slack's stand-in runs by it, too.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) set(t time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if t.After(c.now) {
		c.now = t
	}
}

// world is a log, CARDS on a real server, and a stand-in Slack.
type world struct {
	t       *testing.T
	clock   *clock
	log     *memlog.Log
	board   *projection.Projection
	ledger  desk.Ledger
	objects desk.Objects
	store   jetstream.ObjectStore
	slack   *sandbox.Server
	api     *slackapi.Client
	desks   []*desk.Desk
	runs    map[string]run.State
	user    string        // who acts
	ahead   time.Duration // of the clock of desks that start from now on
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{t: t, clock: &clock{now: time.Date(2026, 1, 2, 10, 0, 0, 0, time.UTC)}, log: memlog.New(), runs: map[string]run.State{}, user: sandbox.UserRequester}
	js := natsnodetest.Connect(t, natsnodetest.One(t))
	must(t, topology.Ensure(t.Context(), js, topology.Topology(1, topology.LimitsFor(512<<20))))
	ledger, err := desk.OpenLedger(t.Context(), js)
	must(t, err)
	w.ledger, w.objects = ledger, desk.NewObjects(js)
	w.store, err = topology.Objects(t.Context(), js)
	must(t, err)
	w.slack, err = sandbox.New(sandbox.Config{Strict: true, Clock: w.clock.Now})
	must(t, err)
	must(t, w.slack.Start(t.Context()))
	t.Cleanup(func() { must(t, w.slack.Close()) })
	w.api, err = slackapi.New(w.slack.APIURL(), w.slack.BotToken())
	must(t, err)
	w.board = projection.New(w.log, func(c projection.Change) {
		for _, d := range w.desks {
			d.Observe(c)
		}
	})
	t.Cleanup(func() {
		for _, e := range w.slack.Journal() {
			if e.Kind == sandbox.KindViolation {
				t.Errorf("Slack forgives, we do not: %s %s", e.Name, e.Error)
			}
		}
	})
	return w
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// firstLook is as in the service.
const firstLook = 250 * time.Millisecond

// desk starts a desk; with another Slack than the stand-in itself, if given.
func (w *world) desk(name string, slack desk.Slack) *desk.Desk {
	w.t.Helper()
	return w.deskWith(name, slack, slog.New(slog.DiscardHandler))
}

func (w *world) deskWith(name string, slack desk.Slack, logger *slog.Logger) *desk.Desk {
	w.t.Helper()
	if slack == nil {
		slack = w.api
	}
	ahead := w.ahead
	now := func() time.Time { return w.clock.Now().Add(ahead) }
	d := desk.New(desk.Config{
		Writer: name, Identity: slackapi.Identity{Team: sandbox.TeamID, User: sandbox.BotUserID, Bot: sandbox.BotID},
		Now: now, EditInterval: interval, Tick: tick, CallTimeout: 5 * time.Second, Window: window, LookInterval: look, FirstLook: firstLook,
		CatchUp: 7 * 24 * time.Hour, Keep: 30 * 24 * time.Hour,
	}, w.log, w.ledger, w.objects, w.board, slack, logger)
	w.desks = append(w.desks, d)
	must(w.t, d.TakeOver(w.t.Context()))
	return d
}

// stop forgets a desk, as a crash does.
func (w *world) stop(d *desk.Desk) {
	for i := range w.desks {
		if w.desks[i] == d {
			w.desks = append(w.desks[:i], w.desks[i+1:]...)
			return
		}
	}
}

// rest lets a desk work, time passing as it asks, until nothing is left to do
// within the given time.
func (w *world) rest(d *desk.Desk, within time.Duration) {
	w.t.Helper()
	end := w.clock.Now().Add(within)
	for range maxSteps {
		next := d.Step(w.t.Context())
		if next.IsZero() || next.After(end) {
			return
		}
		w.clock.set(next)
	}
	w.t.Fatalf("the desk never comes to rest")
}

// origin is where requests come from, unless told otherwise.
func origin() *eventv1.Origin {
	return &eventv1.Origin{Door: eventv1.Origin_DOOR_SLASH_COMMAND, Team: sandbox.TeamID, Channel: sandbox.ChannelDeploys}
}

func (w *world) request(id string, from *eventv1.Origin, steps ...*eventv1.Step) {
	w.t.Helper()
	if len(steps) == 0 {
		steps = []*eventv1.Step{{Name: "build"}, {Name: "deploy", Retry: &eventv1.Retry{Attempts: 2, Delay: durationpb.New(time.Second)}}}
	}
	w.do(id, run.Request{Event: &eventv1.RunRequested{
		Run: id, Identity: id, Digest: []byte{1}, Service: "checkout", Environment: "production", Version: "v2.41.0", Origin: from,
		Plan: &eventv1.Plan{Lane: "checkout/production", LaneSettings: &eventv1.LaneSettings{Concurrency: 1}, Pool: "default", Steps: steps, PreviousVersion: "v2.40.3"},
	}})
}

// do decides and stores, and shows it to the board.
func (w *world) do(id string, c run.Command) run.State {
	w.t.Helper()
	events, err := run.Decide(w.runs[id], c)
	must(w.t, err)
	rec := w.append(topology.RunSubject(id), events...)
	w.runs[id] = run.FoldCommit(w.runs[id], rec.Sequence, rec.Commit)
	return w.runs[id]
}

func (w *world) append(subject string, events ...*eventv1.Event) eventlog.Record {
	w.t.Helper()
	ctx := w.t.Context()
	var prev *eventlog.Record
	if last, err := w.log.Last(ctx, subject); err == nil {
		prev = &last
	}
	commit := &eventv1.Commit{
		Id: fmt.Sprint(time.Now().UnixNano()), Time: timestamppb.New(w.clock.Now()), Events: events,
		Actor: &eventv1.Principal{Kind: eventv1.Principal_KIND_SLACK_USER, Team: sandbox.TeamID, User: w.user},
	}
	eventlog.Chain(prev, commit)
	data, err := proto.Marshal(commit)
	must(w.t, err)
	var expect uint64
	if prev != nil {
		expect = prev.Sequence
	}
	sequence, err := w.log.Append(ctx, subject, expect, data)
	must(w.t, err)
	rec, err := w.log.Get(ctx, sequence)
	must(w.t, err)
	w.board.Apply(rec)
	return rec
}

func (w *world) grant(ids ...string) {
	w.append(topology.LaneSubject("checkout/production"), &eventv1.Event{Kind: &eventv1.Event_LaneGranted{
		LaneGranted: &eventv1.LaneGranted{Lane: "checkout/production", Runs: ids, Limit: 1},
	}})
}

// claim starts a run on a runner.
func (w *world) claim(id string) run.State {
	return w.do(id, run.TakeClaim{Runner: "r1", Incarnation: fmt.Sprint("i", len(w.runs[id].Steps), w.runs[id].Sequence), Host: "host-1", GrantSequence: 1, Now: w.clock.Now()})
}

// finish ends the current step well.
func (w *world) finish(id string) run.State {
	s := w.runs[id]
	return w.do(id, run.FinishStep{Fence: s.Claim.Fence, Step: s.Current(), Attempt: s.Steps[s.Current()].Attempts, Now: w.clock.Now()})
}

// fail ends the current attempt badly.
func (w *world) fail(id string) run.State {
	s := w.runs[id]
	return w.do(id, run.FailStep{
		Fence: s.Claim.Fence, Step: s.Current(), Attempt: s.Steps[s.Current()].Attempts, Cause: eventv1.StepFailed_CAUSE_EXIT, ExitCode: 1,
		Error: "exit code 1", Output: &eventv1.StepOutput{Tail: "line 1\nline 2 <!channel>\n"}, Now: w.clock.Now(),
	})
}

// succeed runs a run to its good end.
func (w *world) succeed(id string) {
	w.grant(id)
	w.claim(id)
	for !w.runs[id].Status.Ended() {
		w.clock.set(w.clock.Now().Add(2 * time.Second))
		w.finish(id)
	}
}

// cards are the messages in a channel itself that the bot wrote.
func (w *world) cards(channel string) []sandbox.Message {
	var out []sandbox.Message
	for _, m := range w.slack.Messages(channel) {
		if m.User == sandbox.BotUserID && !m.Broadcast {
			out = append(out, m)
		}
	}
	return out
}

// oneCard is the only card, and says all of want.
func (w *world) oneCard(channel string, want ...string) sandbox.Message {
	w.t.Helper()
	cards := w.cards(channel)
	if len(cards) != 1 {
		w.t.Fatalf("%d cards in %s, want one: %v", len(cards), channel, texts(cards))
	}
	for _, part := range want {
		if !strings.Contains(cards[0].Visible(), part) {
			w.t.Fatalf("the card lacks %q:\n%s", part, cards[0].Visible())
		}
	}
	return cards[0]
}

func texts(messages []sandbox.Message) []string {
	var out []string
	for _, m := range messages {
		out = append(out, m.Text)
	}
	return out
}

// replies are the texts in the card's thread.
func (w *world) replies(c sandbox.Message) []string {
	return texts(w.slack.Thread(c.Channel, c.TS))[1:]
}

// stored is what CARDS holds.
func (w *world) stored(id, milestone string) *commandv1.Card {
	w.t.Helper()
	c, _, err := w.ledger.Get(w.t.Context(), id, milestone)
	must(w.t, err)
	return c
}

// settled fails the test unless the run needs nothing more.
func (w *world) settled(d *desk.Desk, id string) {
	w.t.Helper()
	if d.Unsettled() != 0 || !w.stored(id, "card").GetFinal() {
		w.t.Fatalf("not settled: %d left, %v", d.Unsettled(), w.stored(id, "card"))
	}
}

// meddler stands between a desk and Slack.
type meddler struct {
	desk.Slack
	post   func(context.Context, slackapi.Outgoing) (slackapi.Posted, error)
	update func(context.Context, slackapi.Outgoing) error
}

func (m *meddler) Post(ctx context.Context, o slackapi.Outgoing) (slackapi.Posted, error) {
	if m.post != nil {
		return m.post(ctx, o)
	}
	return m.Slack.Post(ctx, o)
}

func (m *meddler) Update(ctx context.Context, o slackapi.Outgoing) error {
	if m.update != nil {
		return m.update(ctx, o)
	}
	return m.Slack.Update(ctx, o)
}
