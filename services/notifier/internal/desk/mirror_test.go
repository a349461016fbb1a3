package desk_test

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/slipway-hq/slipway/domain/run"
	commandv1 "github.com/slipway-hq/slipway/gen/slipway/command/v1"
	eventv1 "github.com/slipway-hq/slipway/gen/slipway/event/v1"
	"github.com/slipway-hq/slipway/sandbox"
	"github.com/slipway-hq/slipway/services/notifier/internal/desk"
	"github.com/slipway-hq/slipway/services/notifier/internal/slackapi"
)

// both is the mirror of these tests.
func both() *eventv1.Mirror { return &eventv1.Mirror{Reaction: "eyes", Pin: true} }

// askMirrored requests a deployment by a message of a person, mirrored.
func (w *world) askMirrored(id string) *eventv1.Origin {
	w.t.Helper()
	from := w.mention(sandbox.UserRequester, sandbox.ChannelDeploys, "")
	w.requestMirrored(id, from)
	return from
}

func (w *world) requestMirrored(id string, from *eventv1.Origin) {
	w.t.Helper()
	w.do(id, run.Request{Event: &eventv1.RunRequested{
		Run: id, Identity: id, Digest: []byte{1}, Service: "checkout", Environment: "production", Version: "v2.41.0", Origin: from,
		Plan: &eventv1.Plan{
			Lane: "checkout/production", LaneSettings: &eventv1.LaneSettings{Concurrency: 1}, Pool: "default",
			Steps: []*eventv1.Step{{Name: "build"}, {Name: "deploy"}}, Mirror: both(),
		},
	}})
}

// marks fails the test unless a message has our marks, or none of them.
func (w *world) marks(channel, ts string, want bool) {
	w.t.Helper()
	eyes := len(w.slack.Reactions(channel, ts)["eyes"]) > 0
	pinned := w.slack.PinnedBy(channel, ts) == sandbox.BotUserID
	if eyes != want || pinned != want {
		w.t.Errorf("at %s the message %s has eyes: %v, our pin: %v, want %v of both", w.clock.Now().Format(time.TimeOnly), ts, eyes, pinned, want)
	}
}

func TestAClaimShowsOnTheMessageThatAskedUntilTheRunHasEnded(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	d := w.desk("a", nil)
	from := w.askMirrored(id)
	w.rest(d, time.Minute)
	w.marks(from.GetChannel(), from.GetMessageTs(), false) // nobody has it yet
	w.grant(id)
	s := w.claim(id)
	w.rest(d, time.Second)
	w.marks(from.GetChannel(), from.GetMessageTs(), true)
	w.do(id, run.Lapse{Fence: s.Claim.Fence, Now: w.clock.Now()})
	w.rest(d, time.Minute)
	w.marks(from.GetChannel(), from.GetMessageTs(), true) // the run is live
	w.claim(id)
	w.finish(id)
	w.rest(d, time.Minute)
	w.marks(from.GetChannel(), from.GetMessageTs(), true)
	w.finish(id)
	w.rest(d, time.Minute)
	w.marks(from.GetChannel(), from.GetMessageTs(), false)
	w.signed(from, "white_check_mark")
	w.settled(d, id)
	w.oneCard(sandbox.ChannelDeploys, "✅ Succeeded")
}

// A slash command leaves no message of the person: the card stands in.
func TestTheCardStandsInForASlashCommand(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	d := w.desk("a", nil)
	w.requestMirrored(id, origin())
	w.grant(id)
	w.claim(id)
	w.rest(d, time.Second)
	c := w.oneCard(sandbox.ChannelDeploys, "⚙️ Running")
	w.marks(c.Channel, c.TS, true)
	w.finish(id)
	w.finish(id)
	w.rest(d, time.Minute)
	w.marks(c.Channel, c.TS, false)
	w.settled(d, id)
}

func TestWhatAPersonPinnedStaysPinned(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	d := w.desk("a", nil)
	from := w.askMirrored(id)
	must(t, w.slack.Pin(t.Context(), sandbox.UserApprover, from.GetChannel(), from.GetMessageTs(), true))
	must(t, w.slack.React(t.Context(), sandbox.UserApprover, from.GetChannel(), from.GetMessageTs(), "eyes", true))
	w.succeed(id)
	w.rest(d, time.Minute)
	if by := w.slack.PinnedBy(from.GetChannel(), from.GetMessageTs()); by != sandbox.UserApprover {
		t.Errorf("pinned by %q", by)
	}
	if who := w.slack.Reactions(from.GetChannel(), from.GetMessageTs())["eyes"]; len(who) != 1 || who[0] != sandbox.UserApprover {
		t.Errorf("eyes of %v", who)
	}
	w.settled(d, id)
}

// Lost answers leave it open whose pin it is; Slack is asked.
func TestAPinOfUnknownOutcomeIsOursOrLeftAlone(t *testing.T) {
	t.Parallel()
	for _, theirs := range []bool{false, true} {
		w := newWorld(t)
		d := w.desk("a", nil)
		from := w.askMirrored(id)
		if theirs {
			must(t, w.slack.Pin(t.Context(), sandbox.UserApprover, from.GetChannel(), from.GetMessageTs(), true))
		}
		w.slack.Faults().Set(sandbox.Fault{Kind: sandbox.LostAfter, Method: slackapi.MethodPin, Times: 1})
		w.grant(id)
		w.claim(id)
		w.rest(d, 2*time.Minute)
		w.finish(id)
		w.finish(id)
		w.rest(d, 2*time.Minute)
		want := ""
		if theirs {
			want = sandbox.UserApprover
		}
		if by := w.slack.PinnedBy(from.GetChannel(), from.GetMessageTs()); by != want {
			t.Errorf("theirs %v: pinned by %q", theirs, by)
		}
		w.settled(d, id)
	}
}

// refusals are what Slack may say to each of the calls.
var refusals = map[string][]string{
	slackapi.MethodPin:     {"too_many_pins", "missing_scope", "message_not_found", "not_pinnable", "restricted_action", "already_pinned", "channel_not_found"},
	slackapi.MethodReact:   {"too_many_reactions", "too_many_emoji", "missing_scope", "message_not_found", "not_reactable", "thread_locked", "invalid_name"},
	slackapi.MethodUnpin:   {"no_pin", "not_pinned", "missing_scope", "message_not_found", "restricted_action"},
	slackapi.MethodUnreact: {"no_reaction", "missing_scope", "message_not_found", "thread_locked"},
}

func TestWhateverSlackSaysToAMirrorTheCardIsFinal(t *testing.T) {
	t.Parallel()
	for method, codes := range refusals {
		for _, code := range codes {
			t.Run(method+" "+code, func(t *testing.T) {
				t.Parallel()
				w := newWorld(t)
				w.slack.Faults().Set(sandbox.Fault{Kind: sandbox.APIError, Code: code, Method: method})
				d := w.desk("a", nil)
				w.requestMirrored(id, origin())
				w.succeed(id)
				w.rest(d, time.Minute)
				w.oneCard(sandbox.ChannelDeploys, "✅ Succeeded")
				w.settled(d, id)
			})
		}
	}
}

// troubles are calls without a verdict.
var troubles = []sandbox.Fault{
	{Kind: sandbox.RateLimited, RetryAfter: 30}, {Kind: sandbox.ServerError}, {Kind: sandbox.LostAfter}, {Kind: sandbox.LostBefore}, {Kind: sandbox.HTMLBody},
}

func TestAMirrorInTroubleHoldsUpNoCardAndCatchesUp(t *testing.T) {
	t.Parallel()
	for _, method := range []string{slackapi.MethodPin, slackapi.MethodUnpin, slackapi.MethodReact, slackapi.MethodUnreact} {
		for _, trouble := range troubles {
			t.Run(method+" "+string(trouble.Kind), func(t *testing.T) {
				t.Parallel()
				w := newWorld(t)
				trouble.Method = method
				w.slack.Faults().Set(trouble)
				d := w.desk("a", nil)
				w.requestMirrored(id, origin())
				w.grant(id)
				w.claim(id)
				w.rest(d, 5*time.Second)
				w.finish(id)
				w.finish(id)
				w.rest(d, 8*time.Second)
				c := w.oneCard(sandbox.ChannelDeploys, "✅ Succeeded")
				w.slack.Faults().Heal()
				w.rest(d, 5*time.Minute)
				w.marks(c.Channel, c.TS, false)
				w.settled(d, id)
			})
		}
	}
}

// At every call, before it and after it, the desk ends, and another goes on.
func TestCrashesAroundAMirror(t *testing.T) {
	t.Parallel()
	for _, live := range []bool{true, false} {
		var from *eventv1.Origin
		everyCrash(t, func(w *world) {
			from = w.askMirrored(id)
			w.grant(id)
			w.claim(id)
			if live {
				return
			}
			// Both marks were added by a desk that is gone.
			first := w.desk("0", nil)
			w.rest(first, 10*time.Second)
			w.marks(from.GetChannel(), from.GetMessageTs(), true)
			w.stop(first)
			w.finish(id)
			w.finish(id)
		}, func(t *testing.T, w *world) {
			if live {
				w.marks(from.GetChannel(), from.GetMessageTs(), true)
				w.finish(id)
				w.finish(id)
				w.rest(w.desks[0], 10*time.Minute)
			}
			w.marks(from.GetChannel(), from.GetMessageTs(), false)
			w.settled(w.desks[0], id)
		})
	}
}

// late lets calls that add a mark land only when told, and loses their answers.
type late struct {
	desk.Slack
	pending []func() error
}

func (l *late) later(f func() error) error {
	l.pending = append(l.pending, f)
	return &slackapi.Error{Method: "any", Outcome: slackapi.Unknown, Code: "lost"}
}

func (l *late) Pin(_ context.Context, channel, ts string) error {
	return l.later(func() error { return l.Slack.Pin(context.Background(), channel, ts) })
}

func (l *late) React(ctx context.Context, channel, ts, emoji string) error {
	if emoji != "eyes" {
		return l.Slack.React(ctx, channel, ts, emoji)
	}
	return l.later(func() error { return l.Slack.React(context.Background(), channel, ts, emoji) })
}

// What was asked for while the run was live, and lands after its end, goes.
func TestALateMarkDoesNotWin(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	slow := &late{Slack: w.api}
	d := w.desk("a", slow)
	from := w.askMirrored(id)
	w.grant(id)
	w.claim(id)
	w.rest(d, 10*time.Second)
	w.finish(id)
	w.finish(id)
	w.rest(d, window/2)
	for _, land := range slow.pending {
		if err := land(); err != nil && slackapi.CodeOf(err) != slackapi.AlreadyPinned {
			t.Fatal(err)
		}
	}
	w.marks(from.GetChannel(), from.GetMessageTs(), true)
	w.rest(d, 5*time.Minute)
	w.marks(from.GetChannel(), from.GetMessageTs(), false)
	w.settled(d, id)
}

// A desk that is behind must not add a mark after another has closed the run.
func TestADeskThatIsBehindAddsNothingAfterTheEnd(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	from := w.askMirrored(id)
	w.grant(id)
	w.claim(id)
	var behind *desk.Desk
	frozen := &meddler{Slack: w.api}
	frozen.post = func(ctx context.Context, o slackapi.Outgoing) (slackapi.Posted, error) {
		// While this desk posts the card, and knows the run as live, another does
		// everything to its end.
		frozen.post = nil
		w.stop(behind)
		w.finish(id)
		w.finish(id)
		posted, err := w.api.Post(ctx, o)
		d := w.desk("b", nil)
		w.rest(d, 10*time.Minute)
		w.settled(d, id)
		w.stop(d)
		return posted, err
	}
	behind = w.desk("a", frozen)
	w.rest(behind, time.Minute)
	w.marks(from.GetChannel(), from.GetMessageTs(), false)
}

// Several jobs that are executed as one: everybody sees it at their own message.
func TestEveryMessageOfMergedJobsIsMarkedWhileTheOneRunGoesOn(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	d := w.desk("a", nil)
	one, two := w.mention(sandbox.UserRequester, sandbox.ChannelOps, ""), w.mention(sandbox.UserApprover, sandbox.ChannelDeploys, "")
	mirrored := func(e *eventv1.RunRequested) { e.Plan.Mirror = both() }
	w.job(jobID, one, &eventv1.Report{Accepted: "eyes", Success: true}, mirrored)
	w.by(sandbox.UserApprover, func() { w.job(otherID, two, &eventv1.Report{Accepted: "eyes", Success: true}, mirrored) })
	w.rest(d, 100*time.Millisecond)
	for _, o := range []*eventv1.Origin{one, two} {
		w.signed(o, "eyes") // accepted
		if w.slack.PinnedBy(o.GetChannel(), o.GetMessageTs()) != "" {
			t.Error("pinned before anybody has it")
		}
	}
	w.begin(jobID, otherID)
	w.rest(d, 5*time.Second)
	w.marks(one.GetChannel(), one.GetMessageTs(), true)
	w.marks(two.GetChannel(), two.GetMessageTs(), true)
	w.print(jobID, "")
	w.rest(d, time.Minute)
	for _, o := range []*eventv1.Origin{one, two} {
		w.marks(o.GetChannel(), o.GetMessageTs(), false)
		w.signed(o, "white_check_mark")
	}
	w.settled(d, jobID)
	w.settled(d, otherID)
}

// One message can ask for several runs: its mark is theirs together.
func TestAMessageKeepsItsMarkUntilTheLastOfItsRunsHasEnded(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	d := w.desk("a", nil)
	from := w.askMirrored(id)
	const other = "d-bbbbbbbbbbbbbbbb"
	w.requestMirrored(other, from)
	w.grant(id, other)
	w.claim(id)
	w.claim(other)
	w.rest(d, 10*time.Second)
	for range 2 {
		w.finish(id)
	}
	w.rest(d, time.Minute)
	w.marks(from.GetChannel(), from.GetMessageTs(), true)
	for range 2 {
		w.finish(other)
	}
	w.rest(d, time.Minute)
	w.marks(from.GetChannel(), from.GetMessageTs(), false)
	w.settled(d, id)
	w.settled(d, other)
}

// Marks of many runs keep within their own rates, and cards do not wait for them.
func TestManyMirrorsKeepWithinSlacksRatesBehindTheCards(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	d := w.desk("a", nil)
	const runs = 15
	var places []*eventv1.Origin
	for i := range runs {
		run := fmt.Sprintf("d-%016x", i)
		w.request(run, origin()) // one without a mirror beside each
		places = append(places, w.askMirrored(strings.Replace(run, "d-", "d-m", 1)))
	}
	for i := range runs {
		w.succeed(fmt.Sprintf("d-%016x", i))
		w.grant(fmt.Sprintf("d-m%016x", i))
		w.claim(fmt.Sprintf("d-m%016x", i))
	}
	w.rest(d, 5*time.Minute)
	for _, o := range places {
		w.marks(o.GetChannel(), o.GetMessageTs(), true)
	}
	for i := range runs {
		w.finish(fmt.Sprintf("d-m%016x", i))
		w.finish(fmt.Sprintf("d-m%016x", i))
	}
	w.rest(d, 5*time.Minute)
	for _, o := range places {
		w.marks(o.GetChannel(), o.GetMessageTs(), false)
	}
	for _, e := range w.slack.Journal() {
		if e.Status == 429 {
			t.Errorf("Slack had to refuse %s", e.Name)
		}
	}
	if d.Unsettled() != 0 {
		t.Errorf("%d runs are not settled", d.Unsettled())
	}
}

// words collects what is logged.
type words struct {
	slog.Handler
	said *[]string
}

func (h words) Enabled(context.Context, slog.Level) bool { return true }
func (h words) Handle(_ context.Context, r slog.Record) error {
	*h.said = append(*h.said, r.Message)
	return nil
}

func TestTroubleWithMirrorsIsSaidOnceAndKeptForDoctor(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.slack.Faults().Set(sandbox.Fault{Kind: sandbox.APIError, Code: "too_many_pins", Method: slackapi.MethodPin})
	var said []string
	d := w.deskWith("a", nil, slog.New(words{slog.DiscardHandler, &said}))
	for i := range 5 {
		run := fmt.Sprintf("d-%016x", i)
		w.requestMirrored(run, origin())
		w.grant(run)
		w.claim(run)
	}
	w.rest(d, 5*time.Minute)
	count := 0
	for _, s := range said {
		if strings.Contains(s, "not mirrored") {
			count++
		}
	}
	if count != 1 {
		t.Errorf("said %d times: %q", count, said)
	}
	kept := 0
	must(t, w.ledger.Undelivered(t.Context(), func(c *commandv1.Card, _ time.Time) {
		if c.GetMilestone() == "mirror-pin" && c.GetReason() == "too_many_pins" {
			kept++
		}
	}))
	if kept != 5 {
		t.Errorf("%d of 5 are kept", kept)
	}
}

// Long after the end a mark that Slack does not let go is left to people.
func TestAMarkThatCannotBeTakenAwayIsGivenUpInTheEnd(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	d := w.desk("a", nil)
	w.requestMirrored(id, origin())
	w.grant(id)
	w.claim(id)
	w.rest(d, 5*time.Second)
	w.slack.Faults().Set(sandbox.Fault{Kind: sandbox.ServerError, Method: slackapi.MethodUnpin})
	w.finish(id)
	w.finish(id)
	w.rest(d, 25*time.Hour)
	w.settled(d, id)
	if c := w.stored(id, "mirror-pin"); c.GetState() != commandv1.Card_STATE_UNDELIVERED || !c.GetFinal() {
		t.Errorf("%v", c)
	}
}
