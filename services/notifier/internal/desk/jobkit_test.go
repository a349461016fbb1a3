package desk_test

import (
	"context"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/slipway-hq/slipway/domain/run"
	eventv1 "github.com/slipway-hq/slipway/gen/slipway/event/v1"
	"github.com/slipway-hq/slipway/internal/topology"
	"github.com/slipway-hq/slipway/sandbox"
	"github.com/slipway-hq/slipway/services/notifier/internal/desk"
	"github.com/slipway-hq/slipway/services/notifier/internal/slackapi"
)

const (
	jobID   = "j-abcdefghijklmnop"
	otherID = "j-bcdefghijklmnopq"
	jobLane = "test:say_hello"
)

// mention is a request by a message of the person, in a thread if one is given.
func (w *world) mention(user, channel, thread string) *eventv1.Origin {
	w.t.Helper()
	posted, err := w.slack.Post(w.t.Context(), user, channel, "@slipway test say hello", thread)
	must(w.t, err)
	return &eventv1.Origin{Door: eventv1.Origin_DOOR_MENTION, Team: sandbox.TeamID, Channel: channel, ThreadTs: thread, MessageTs: posted.TS}
}

// webhook is a request that nobody in Slack made.
func webhook(channel string) *eventv1.Origin {
	return &eventv1.Origin{Door: eventv1.Origin_DOOR_WEBHOOK, Team: sandbox.TeamID, Channel: channel, Source: "shop", Url: "https://github.com/acme/shop/pull/7"}
}

// job requests one; change may alter what is asked.
func (w *world) job(id string, from *eventv1.Origin, r *eventv1.Report, change ...func(*eventv1.RunRequested)) {
	w.t.Helper()
	e := &eventv1.RunRequested{
		Run: id, Identity: id, Digest: []byte{1}, Namespace: "test", Job: "say_hello", Said: "say hello to world", Origin: from,
		Parameters: map[string]string{"name": "world"},
		Plan: &eventv1.Plan{
			Lane: jobLane, LaneSettings: &eventv1.LaneSettings{Concurrency: 1}, Pool: "default", Steps: []*eventv1.Step{{Name: "run"}}, Report: r,
			Dedupe: &eventv1.Dedupe{Policy: eventv1.Dedupe_POLICY_MERGE, Key: "k"},
		},
	}
	for _, f := range change {
		f(e)
	}
	w.do(id, run.Request{Event: e})
}

// by makes a request somebody else's.
func (w *world) by(user string, f func()) {
	before := w.user
	w.user = user
	f()
	w.user = before
}

// begin grants a job its slot and starts it; absorbs run with it.
func (w *world) begin(id string, absorbs ...string) {
	w.t.Helper()
	g := &eventv1.LaneGranted{Lane: jobLane, Runs: []string{id}, Limit: 1}
	for _, other := range absorbs {
		g.Absorbs = append(g.Absorbs, &eventv1.Absorbed{Run: other, Into: id, Kind: eventv1.Absorbed_KIND_MERGED})
	}
	w.append(topology.LaneSubject(jobLane), &eventv1.Event{Kind: &eventv1.Event_LaneGranted{LaneGranted: g}})
	w.claim(id)
	for _, other := range absorbs {
		w.do(other, run.Yield{Into: id, Kind: eventv1.Absorbed_KIND_MERGED, Reason: "merged into " + id, Now: w.clock.Now()})
	}
}

// print ends the current step well, with what it printed.
func (w *world) print(id, stdout string) {
	w.printed(id, &eventv1.StepOutput{Stdout: []byte(stdout), StdoutBytes: uint64(len(stdout))})
}

func (w *world) printed(id string, o *eventv1.StepOutput) {
	w.t.Helper()
	s := w.runs[id]
	w.do(id, run.FinishStep{Fence: s.Claim.Fence, Step: s.Current(), Attempt: s.Steps[s.Current()].Attempts, Output: o, Now: w.clock.Now()})
}

func (w *world) hold(job string, d time.Duration) {
	w.append(topology.LaneSubject(jobLane), &eventv1.Event{Kind: &eventv1.Event_LaneHeld{LaneHeld: &eventv1.LaneHeld{
		Lane: jobLane, Hold: "h1", Job: job, From: timestamppb.New(w.clock.Now()), Until: timestamppb.New(w.clock.Now().Add(d)), Reason: "release day",
	}}})
}

// said is everything the bot wrote in a channel itself, oldest first.
func (w *world) said(channel string) []sandbox.Message {
	var out []sandbox.Message
	for _, m := range w.slack.Messages(channel) {
		if m.User == sandbox.BotUserID && m.ThreadTS == "" {
			out = append(out, m)
		}
	}
	return out
}

// only is the one thing that the bot said in a channel.
func (w *world) only(channel string) sandbox.Message {
	w.t.Helper()
	said := w.said(channel)
	if len(said) != 1 {
		w.t.Fatalf("%d messages in %s, want one: %q", len(said), channel, texts(said))
	}
	return said[0]
}

// reactions are the names of those on a message, sorted.
func (w *world) reactions(o *eventv1.Origin) []string {
	return slices.Sorted(maps.Keys(w.slack.Reactions(o.GetChannel(), o.GetMessageTs())))
}

// order lists the methods called that people can see, in order.
func (w *world) order() []string {
	var out []string
	for _, e := range w.slack.Journal() {
		visible := e.Name == slackapi.MethodPost || e.Name == slackapi.MethodReact || e.Name == slackapi.MethodComplete
		if e.Kind == sandbox.KindAPI && e.OK && visible {
			out = append(out, e.Name)
		}
	}
	return out
}

// killer ends its desk in the call with the number at, before or after Slack has
// done it.
type killer struct {
	desk.Slack
	at, calls int
	after     bool
	method    string // of the call that ended it
}

func (k *killer) call(method string, f func() error) error {
	k.calls++
	if k.calls != k.at {
		return f()
	}
	k.method = method
	if k.after {
		_ = f() // the desk never comes to know
	}
	panic(crash{})
}

func (k *killer) Post(ctx context.Context, m slackapi.Outgoing) (p slackapi.Posted, err error) {
	err = k.call("post", func() error { p, err = k.Slack.Post(ctx, m); return err })
	return p, err
}

func (k *killer) Update(ctx context.Context, m slackapi.Outgoing) error {
	return k.call("update", func() error { return k.Slack.Update(ctx, m) })
}

func (k *killer) React(ctx context.Context, channel, ts, emoji string) error {
	return k.call("react", func() error { return k.Slack.React(ctx, channel, ts, emoji) })
}

func (k *killer) Permalink(ctx context.Context, channel, ts string) (link string, err error) {
	err = k.call("permalink", func() error { link, err = k.Slack.Permalink(ctx, channel, ts); return err })
	return link, err
}

func (k *killer) Upload(ctx context.Context, to slackapi.Upload, content []byte) error {
	return k.call("upload", func() error { return k.Slack.Upload(ctx, to, content) })
}

func (k *killer) Complete(ctx context.Context, s slackapi.Share) error {
	return k.call("complete", func() error { return k.Slack.Complete(ctx, s) })
}

// everyCrash plays a scenario once for each call of Slack and each side of it,
// ends the desk there, lets another take over, and checks what Slack shows.
func everyCrash(t *testing.T, play func(*world), check func(*testing.T, *world)) {
	t.Helper()
	for _, after := range []bool{false, true} {
		for at := 1; ; at++ {
			w := newWorld(t)
			play(w)
			dying := &killer{Slack: w.api, at: at, after: after}
			first := w.desk("a", dying)
			func() {
				defer func() {
					if r := recover(); r != nil {
						if _, ours := r.(crash); !ours {
							panic(r)
						}
					}
				}()
				w.rest(first, time.Minute)
			}()
			w.stop(first)
			if dying.method == "" {
				break // fewer calls than that
			}
			second := w.desk("b", nil)
			w.rest(second, 10*time.Minute)
			if t.Failed() {
				return
			}
			t.Logf("crash at call %d (%s), after it: %v", at, dying.method, after)
			check(t, w)
			if second.Unsettled() != 0 {
				t.Fatalf("%d runs are not settled", second.Unsettled())
			}
		}
	}
}

// signed fails the test unless a message carries the sign of the end.
func (w *world) signed(o *eventv1.Origin, emoji string) {
	w.t.Helper()
	if !slices.Contains(w.reactions(o), emoji) {
		w.t.Errorf("%s in %s: reactions %v", o.GetMessageTs(), o.GetChannel(), w.reactions(o))
	}
}

func (w *world) say(id, text string) { w.do(id, run.Say{ID: text, Text: text}) }

// forget lets so many runs end that the board keeps those before as summaries.
func (w *world) forget() {
	for i := range 300 {
		other := "d-" + strings.Repeat(string(rune('a'+i/26)), 4) + strings.Repeat(string(rune('a'+i%26)), 12)
		w.request(other, &eventv1.Origin{Door: eventv1.Origin_DOOR_API})
		w.do(other, run.RequestCancel{})
	}
}
