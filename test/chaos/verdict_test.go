package chaos

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"google.golang.org/protobuf/encoding/protojson"

	apiv1 "github.com/slipway-hq/slipway/gen/slipway/api/v1"
	eventv1 "github.com/slipway-hq/slipway/gen/slipway/event/v1"
	"github.com/slipway-hq/slipway/internal/audit"
	"github.com/slipway-hq/slipway/internal/eventlog"
	"github.com/slipway-hq/slipway/internal/topology"
	"github.com/slipway-hq/slipway/sandbox"
	"github.com/slipway-hq/slipway/test/internal/world"
)

// restTime is how long everything may take to come to rest once all is well:
// a lease that nobody takes up again lapses after thirty seconds, and then the
// runs still have to be executed.
const restTime = 2 * time.Minute

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }

// eventually waits for a condition; unlike World's it goes on when it waited in
// vain, for the audit to say more.
func (c *town) eventually(what string, within time.Duration, ok func() error) {
	c.T.Helper()
	deadline := time.Now().Add(within)
	for {
		err := ok()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			c.T.Errorf("waited in vain for %s: %v", what, err)
			return
		}
		<-time.After(10 * lookEvery)
	}
}

// logTime bounds one reading of the log; a reader that meets a change of leaders
// hears nothing for longer, and begins again.
const logTime = 5 * time.Second

// log reads the log from one server.
func (c *town) log(ctx context.Context, node string) ([]eventlog.Record, error) {
	conn, err := c.dial(node)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	return readLog(ctx, conn)
}

func readLog(ctx context.Context, conn *nats.Conn) ([]eventlog.Record, error) {
	ctx, cancel := context.WithTimeout(ctx, logTime)
	defer cancel()
	js, err := jetstream.New(conn)
	if err != nil {
		return nil, err
	}
	stream, err := js.Stream(ctx, topology.StreamEvents)
	if err != nil {
		return nil, err
	}
	last := stream.CachedInfo().State.LastSeq
	if last == 0 {
		return nil, nil
	}
	consumer, err := stream.OrderedConsumer(ctx, jetstream.OrderedConsumerConfig{})
	if err != nil {
		return nil, err
	}
	messages, err := consumer.Messages()
	if err != nil {
		return nil, err
	}
	defer messages.Stop()
	var records []eventlog.Record
	for {
		msg, err := messages.Next(jetstream.NextContext(ctx))
		if err != nil {
			return nil, err
		}
		meta, err := msg.Metadata()
		if err != nil {
			return nil, err
		}
		records = append(records, eventlog.Decode(msg.Subject(), meta.Sequence.Stream, meta.Timestamp, msg.Data()))
		if meta.Sequence.Stream >= last {
			return records, nil
		}
	}
}

// lead makes a server the leader of the log, so that what it has is what is read.
func (c *town) lead(ctx context.Context, node string) error {
	conn, err := c.dial(node)
	if err != nil {
		return err
	}
	defer conn.Close()
	leader, err := leaderOf(ctx, conn)
	if err != nil || leader == node {
		return err
	}
	if _, err := conn.RequestWithContext(ctx, "$JS.API.STREAM.LEADER.STEPDOWN."+topology.StreamEvents, []byte(`{"placement":{"preferred":"`+node+`"}}`)); err != nil {
		return err
	}
	return fmt.Errorf("%s leads, and has been asked to leave it to %s", leader, node)
}

func leaderOf(ctx context.Context, conn *nats.Conn) (string, error) {
	js, err := jetstream.New(conn)
	if err != nil {
		return "", err
	}
	ctx, cancel := context.WithTimeout(ctx, 3*time.Second)
	defer cancel()
	stream, err := js.Stream(ctx, topology.StreamEvents)
	if err != nil {
		return "", err
	}
	if cluster := stream.CachedInfo().Cluster; cluster != nil {
		return cluster.Leader, nil
	}
	return "", nil
}

// sameEverywhere reads the log from every server in turn.
func (c *town) sameEverywhere(records []eventlog.Record) {
	c.T.Helper()
	for _, node := range c.nodes {
		ctx, cancel := context.WithTimeout(context.Background(), world.Patience)
		c.eventually("the log to be led by "+node, world.Patience, func() error { return c.lead(ctx, node) })
		c.eventually("the log as "+node+" has it", world.Patience, func() error {
			other, err := c.log(ctx, node)
			if err != nil {
				return err
			}
			return differ(records, other)
		})
		cancel()
	}
}

func differ(a, b []eventlog.Record) error {
	if len(a) != len(b) {
		return fmt.Errorf("%d and %d records", len(a), len(b))
	}
	for i := range a {
		if a[i].Sequence != b[i].Sequence || a[i].Subject != b[i].Subject || string(a[i].Data) != string(b[i].Data) {
			return fmt.Errorf("record %d of %s is record %d of %s elsewhere", a[i].Sequence, a[i].Subject, b[i].Sequence, b[i].Subject)
		}
	}
	return nil
}

// quiet reads the log when every request is decided and every run has ended.
func (c *town) quiet() (records []eventlog.Record) {
	c.T.Helper()
	c.eventually("the end of every run", restTime, func() error {
		if err := c.decided(); err != nil {
			return err
		}
		read, err := c.log(context.Background(), c.nodes[0])
		if err != nil {
			return err
		}
		records = read
		if open := unended(read); len(open) > 0 {
			return fmt.Errorf("%d have not ended: %v", len(open), open[:min(len(open), 5)])
		}
		return nil
	})
	return records
}

// decided tells whether nothing is left in the inbox.
func (c *town) decided() error {
	ctx, cancel := context.WithTimeout(context.Background(), logTime)
	defer cancel()
	conn, err := c.dial(c.nodes[0])
	if err != nil {
		return err
	}
	defer conn.Close()
	js, err := jetstream.New(conn)
	if err != nil {
		return err
	}
	consumer, err := js.Consumer(ctx, topology.StreamInbox, topology.ConsumerIntake)
	if err != nil {
		return err
	}
	if info := consumer.CachedInfo(); info.NumAckPending > 0 || info.NumPending > 0 {
		return fmt.Errorf("%d requests are delivered and not decided, %d are not delivered", info.NumAckPending, info.NumPending)
	}
	return nil
}

func unended(records []eventlog.Record) []string {
	open := map[string]bool{}
	for _, rec := range records {
		id, ok := strings.CutPrefix(rec.Subject, "ev.run.")
		if !ok || rec.Commit == nil {
			continue
		}
		for _, e := range rec.Commit.GetEvents() {
			switch e.GetKind().(type) {
			case *eventv1.Event_RunRequested:
				open[id] = true
			case *eventv1.Event_RunEnded, *eventv1.Event_RunRefused:
				delete(open, id)
			}
		}
	}
	return sortedKeys(open)
}

// told is what people heard.
func (p *people) heardOf(clocksRight bool) audit.Told {
	t := audit.Told{Cancelled: p.cancelled, Holds: p.holds, Quiet: true, Wishes: []audit.Wish{}, Limits: func(lane string) audit.Limits {
		if lane == wide {
			return audit.Limits{Concurrency: wideLimit}
		}
		return audit.Limits{}
	}}
	for _, key := range sortedKeys(p.told) {
		t.Accepted = append(t.Accepted, audit.Command{Run: p.told[key].run})
		t.Wishes = append(t.Wishes, wished(key, true, func(q *eventv1.RunRequested) bool { return strings.HasSuffix(q.GetIdentity(), "|"+key) }))
	}
	for _, key := range sortedKeys(p.open) {
		t.Wishes = append(t.Wishes, wished(key, false, func(q *eventv1.RunRequested) bool { return strings.HasSuffix(q.GetIdentity(), "|"+key) }))
	}
	for _, version := range sortedKeys(p.versions) {
		t.Wishes = append(t.Wishes, wished("/deploy "+version, p.versions[version], func(q *eventv1.RunRequested) bool { return q.GetVersion() == version }))
	}
	for _, label := range sortedKeys(p.hooks) {
		t.Wishes = append(t.Wishes, wished("webhook "+label, p.hooks[label], func(q *eventv1.RunRequested) bool {
			return q.GetJob() == "hooked" && q.GetParameters()["label"] == label
		}))
	}
	for n := range ticks {
		label := fmt.Sprint("tick", n)
		t.Wishes = append(t.Wishes, wished("schedule "+label, clocksRight, func(q *eventv1.RunRequested) bool {
			return q.GetJob() == "ticked" && q.GetParameters()["label"] == label
		}))
	}
	heard := p.messages()
	for _, place := range sortedKeys(heard) {
		t.Wishes = append(t.Wishes, wished("message "+place, heard[place], func(q *eventv1.RunRequested) bool {
			return q.GetOrigin().GetDoor() == eventv1.Origin_DOOR_MENTION && q.GetOrigin().GetChannel()+" "+q.GetOrigin().GetMessageTs() == place
		}))
	}
	return t
}

func wished(name string, accepted bool, is func(*eventv1.RunRequested) bool) audit.Wish {
	return audit.Wish{Name: name, Accepted: accepted, Is: func(q *eventv1.RunRequested) bool { return q.GetRetryOf() == "" && is(q) }}
}

// messages are those to the bot, by "CHANNEL TS", and whether it acknowledged
// one: Slack's journal has every delivery and every repeat of it.
func (p *people) messages() map[string]bool {
	all := map[string]bool{}
	for _, e := range p.Slack.Journal() {
		if e.Kind != sandbox.KindEvent {
			continue
		}
		var body struct {
			Event struct {
				Channel string `json:"channel"`
				TS      string `json:"ts"`
				User    string `json:"user"`
			} `json:"event"`
		}
		if json.Unmarshal([]byte(e.Body), &body) == nil && body.Event.User == sandbox.UserRequester {
			place := body.Event.Channel + " " + body.Event.TS
			all[place] = all[place] || e.OK && e.Status/100 == 2
		}
	}
	return all
}

func (c *town) effects() []audit.Effect {
	var out []audit.Effect
	for _, e := range c.Effects() {
		out = append(out, audit.Effect{Kind: audit.EffectKind(e.Kind), Run: e.Run, Step: e.Step, Attempt: uint32(e.Attempt), Fence: e.Fence})
	}
	return out
}

// slack is what people see in the end.
func (c *town) slack() audit.Slack {
	s := audit.Slack{Signs: map[string][]string{}, Hidden: slices.ContainsFunc(c.Slack.Journal(), func(e sandbox.Entry) bool {
		return strings.Contains(e.Fault, string(sandbox.HistoryHidden)) || strings.Contains(e.Fault, string(sandbox.HistoryDelayed))
	})}
	for _, channel := range world.Rooms {
		for _, m := range c.Slack.AllMessages(channel) {
			s.Signs[channel+" "+m.TS] = sortedKeys(m.Reactions)
			if mark := world.MarkOf(m); mark.Run != "" {
				s.Posts = append(s.Posts, audit.Post{Run: mark.Run, Milestone: mark.Milestone, Channel: channel, Thread: m.ThreadTS, TS: m.TS, Text: m.Visible()})
			}
		}
	}
	return s
}

// views is what every orchestrator shows, and one that was started afterwards
// and knows the log alone.
func (c *town) views() (map[string][]audit.View, error) {
	all := map[string][]audit.View{}
	for _, name := range c.replicas {
		var page string
		for {
			ctx, cancel := context.WithTimeout(context.Background(), patience)
			answer, err := c.asks(name).ListRuns(ctx, &apiv1.ListRunsRequest{PageSize: 200, PageToken: page})
			cancel()
			if err != nil {
				return nil, fmt.Errorf("%s: %w", name, err)
			}
			for _, r := range answer.GetRuns() {
				all[name] = append(all[name], view(r))
			}
			if page = answer.GetNextPageToken(); page == "" {
				break
			}
		}
	}
	return all, nil
}

func view(r *apiv1.Run) audit.View {
	v := audit.View{Run: r.GetId(), Sequence: r.GetSequence()}
	if world.Terminal(r.GetStatus()) {
		v.Outcome = strings.TrimPrefix(r.GetStatus().String(), "RUN_STATUS_")
	}
	text, err := protojson.MarshalOptions{}.Marshal(r)
	if err != nil {
		v.Text = err.Error()
		return v
	}
	// protojson varies its spaces on purpose.
	var plain any
	if json.Unmarshal(text, &plain) == nil {
		text, _ = json.Marshal(plain)
	}
	v.Text = string(text)
	return v
}

// freshName is the orchestrator that starts when all is over.
const freshName = "orchestrator-fresh"

// judge checks everything that is promised.
func (p *people) judge(clocksRight bool) (r result) {
	var records []eventlog.Record
	r.broken = settled(func() []string { // what was accepted last may not be decided yet
		records = p.read()
		return audit.Check(records, p.heardOf(clocksRight))
	})
	effects := p.effects()
	r.broken = append(r.broken, audit.Effects(records, effects)...)
	if len(p.nodes) > 0 {
		p.startFresh()
	}
	r.broken = append(r.broken, settled(func() []string { return audit.Cards(records, p.slack()) })...)
	r.broken = append(r.broken, settled(func() []string {
		views, err := p.views()
		if err != nil {
			return []string{"view: " + err.Error()}
		}
		return audit.Views(records, views)
	})...)
	p.sameEverywhere(records)
	if len(unended(records)) == 0 {
		r.broken = append(r.broken, p.stillQuiet(records)...)
	}
	slices.Sort(r.broken)
	if len(r.broken) > 0 || p.T.Failed() {
		p.keep(records)
	}
	r.commits, r.effects, r.commands = len(records), len(effects), p.commands
	for _, rec := range records {
		if strings.HasPrefix(rec.Subject, "ev.run.") && rec.Commit.GetVersion() == 1 {
			r.runs++
		}
	}
	for _, post := range p.slack().Posts {
		if post.Milestone == audit.Card {
			r.cards++
		}
	}
	return r
}

// stillQuiet checks that nothing more has happened to the runs.
func (p *people) stillQuiet(records []eventlog.Record) (faults []string) {
	after := p.read()
	for _, rec := range after[min(len(records), len(after)):] {
		if strings.HasPrefix(rec.Subject, "ev.run.") {
			faults = append(faults, fmt.Sprintf("end: record %d of %s came when every run had ended", rec.Sequence, rec.Subject))
		}
	}
	return faults
}

// keep writes the log beside the logs of the processes, for who looks into it.
func (c *town) keep(records []eventlog.Record) {
	var text strings.Builder
	for _, rec := range records {
		fmt.Fprintf(&text, "%d %s %s %v\n", rec.Sequence, rec.Time.Format("15:04:05.000"), rec.Subject, rec.Commit)
	}
	if err := os.WriteFile(filepath.Join(c.logs, "log"), []byte(text.String()), 0o600); err != nil {
		c.T.Log(err)
	}
}

// settled checks again and again until nothing is wrong, or for as long as
// requests that stalled, cards and replicas may lag when all is quiet.
func settled(check func() []string) (faults []string) {
	const lag = topology.InboxStalled + 15*time.Second
	for deadline := time.Now().Add(lag); ; <-time.After(10 * lookEvery) {
		if faults = check(); len(faults) == 0 || time.Now().After(deadline) {
			return faults
		}
	}
}
