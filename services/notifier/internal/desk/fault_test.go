package desk_test

import (
	"context"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/slipway-hq/slipway/domain/run"
	commandv1 "github.com/slipway-hq/slipway/gen/slipway/command/v1"
	eventv1 "github.com/slipway-hq/slipway/gen/slipway/event/v1"
	"github.com/slipway-hq/slipway/sandbox"
	"github.com/slipway-hq/slipway/services/notifier/internal/slackapi"
)

// calls counts the calls of a method.
func (w *world) calls(method string) int {
	n := 0
	for _, e := range w.slack.Journal() {
		if e.Kind == sandbox.KindAPI && e.Name == method {
			n++
		}
	}
	return n
}

// ask calls a method that the notifier itself never uses.
func (w *world) ask(method string, form url.Values) {
	w.t.Helper()
	req, err := http.NewRequestWithContext(w.t.Context(), http.MethodPost, w.slack.APIURL()+method, strings.NewReader(form.Encode()))
	must(w.t, err)
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.Header.Set("Authorization", "Bearer "+w.slack.BotToken())
	resp, err := http.DefaultClient.Do(req)
	must(w.t, err)
	defer func() { must(w.t, resp.Body.Close()) }()
	body, err := io.ReadAll(resp.Body)
	must(w.t, err)
	if !strings.Contains(string(body), `"ok":true`) {
		w.t.Fatalf("%s: %s", method, body)
	}
}

// Whatever Slack does to single calls, there is one card, it ends right, and
// the thread tells each milestone once.
func TestFaultsNeitherDoubleNorLoseACard(t *testing.T) {
	t.Parallel()
	for name, faults := range map[string][]sandbox.Fault{
		"429 with a time":                     {{Kind: sandbox.RateLimited, RetryAfter: 7, Times: 3}},
		"429 without a time":                  {{Kind: sandbox.RateLimitedBare, Times: 3}},
		"503 on posts":                        {{Kind: sandbox.ServerError, Method: slackapi.MethodPost, Times: 2}},
		"HTML instead of JSON":                {{Kind: sandbox.HTMLBody, Times: 2}},
		"post processed, then lost":           {{Kind: sandbox.LostAfter, Method: slackapi.MethodPost, Times: 1}},
		"every post processed, then lost":     {{Kind: sandbox.LostAfter, Method: slackapi.MethodPost, Times: 3}},
		"post lost before":                    {{Kind: sandbox.LostBefore, Method: slackapi.MethodPost, Times: 2}},
		"edits processed, then lost":          {{Kind: sandbox.LostAfter, Method: slackapi.MethodUpdate, Times: 2}},
		"internal errors":                     {{Kind: sandbox.APIError, Code: "internal_error", Times: 2}},
		"a late history":                      {{Kind: sandbox.LostAfter, Method: slackapi.MethodPost, Times: 1}, {Kind: sandbox.HistoryDelayed, Delay: window + 2*time.Second}},
		"the look fails, too":                 {{Kind: sandbox.LostAfter, Method: slackapi.MethodPost, Times: 1}, {Kind: sandbox.ServerError, Method: slackapi.MethodHistory, Times: 2}},
		"ok:false ratelimited":                {{Kind: sandbox.APIError, Code: "ratelimited", Times: 2}},
		"a token that is refused for a while": {{Kind: sandbox.APIError, Code: "invalid_auth", Times: 2}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			for _, f := range faults {
				w.slack.Faults().Set(f)
			}
			d := w.desk("a", nil)
			w.request(id, origin())
			w.grant(id)
			w.claim(id)
			w.rest(d, 5*time.Minute)
			w.finish(id)
			w.finish(id)
			w.rest(d, 5*time.Minute)
			if w.slack.Faults().Hits() == 0 {
				t.Fatal("no fault struck")
			}
			c := w.oneCard(sandbox.ChannelDeploys, "✅ Succeeded")
			if replies := w.replies(c); len(replies) != 2 {
				t.Errorf("replies: %q", replies)
			}
			w.settled(d, id)
		})
	}
}

func TestAHistoryThatHidesOurPostMakesTwo(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.slack.Faults().Set(sandbox.Fault{Kind: sandbox.LostAfter, Method: slackapi.MethodPost, Times: 1})
	w.slack.Faults().Set(sandbox.Fault{Kind: sandbox.HistoryHidden})
	d := w.desk("a", nil)
	w.request(id, origin())
	w.rest(d, time.Minute)
	if n := len(w.cards(sandbox.ChannelDeploys)); n != 2 {
		t.Errorf("%d cards", n)
	}
	if n := w.calls(slackapi.MethodHistory); n != 2 {
		t.Errorf("%d looks before the second post", n)
	}
	if n := w.stored(id, "card").GetAmbiguous(); n != 1 {
		t.Errorf("%d ambiguous attempts are on record", n)
	}
}

func TestSlackDownForAnHourThenCardsCatchUp(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	d := w.desk("a", nil)
	w.request("d-beforexxxxxxxxxx", origin())
	w.rest(d, time.Minute)
	w.slack.Faults().Set(sandbox.Fault{Kind: sandbox.ServerError})
	for _, id := range []string{"d-duringaxxxxxxxxx", "d-duringbxxxxxxxxx"} {
		w.request(id, origin())
	}
	w.succeed("d-beforexxxxxxxxxx")
	w.succeed("d-duringaxxxxxxxxx")
	before := len(w.slack.Journal())
	w.rest(d, time.Hour)
	if calls := len(w.slack.Journal()) - before; calls > 600 {
		t.Errorf("%d calls of a Slack that is down", calls)
	}
	w.slack.Faults().Heal()
	w.rest(d, 5*time.Minute)
	cards := w.cards(sandbox.ChannelDeploys)
	if len(cards) != 3 {
		t.Fatalf("%d cards: %v", len(cards), texts(cards))
	}
	for _, id := range []string{"d-beforexxxxxxxxxx", "d-duringaxxxxxxxxx"} {
		if !w.stored(id, "card").GetFinal() {
			t.Errorf("%s is not settled: %v", id, w.stored(id, "card"))
		}
	}
	if got := w.stored("d-duringaxxxxxxxxx", "started"); got != nil {
		t.Errorf("a start is told after the end: %v", got)
	}
}

func TestNobodyListens(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	gone, err := slackapi.New("http://127.0.0.1:1/api/", "xoxb-x")
	must(t, err)
	d := w.desk("a", gone)
	w.request(id, origin())
	w.rest(d, time.Minute)
	w.stop(d)
	d = w.desk("b", nil)
	w.rest(d, 2*time.Minute)
	w.oneCard(sandbox.ChannelDeploys)
}

// crash makes the first post of a desk happen, or not, without the desk ever
// coming to know.
type crash struct{ error }

func TestACrashBetweenPendingAndPosted(t *testing.T) {
	t.Parallel()
	for name, posted := range map[string]bool{"after the post": true, "before the post": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			dying := &meddler{Slack: w.api}
			dying.post = func(ctx context.Context, o slackapi.Outgoing) (slackapi.Posted, error) {
				if posted {
					_, err := w.api.Post(ctx, o)
					must(t, err)
				}
				panic(crash{})
			}
			w.request(id, origin())
			first := w.desk("a", dying)
			func() {
				defer func() { _, _ = recover().(crash) }()
				w.rest(first, time.Minute)
			}()
			w.stop(first)
			second := w.desk("b", nil)
			w.rest(second, window-time.Second)
			if n := w.calls(slackapi.MethodHistory); n != 0 {
				t.Errorf("%d looks while the post may still be under way", n)
			}
			w.succeed(id)
			w.rest(second, 2*time.Minute)
			w.oneCard(sandbox.ChannelDeploys, "✅ Succeeded")
			w.settled(second, id)
		})
	}
}

// TestAClockAheadNeitherDoublesNorDelays: the desk that died went an hour ahead of
// Slack's clock and of everybody's. What it announced counts for no longer than a
// call may take, and its post is found where Slack's clock has put it.
func TestAClockAheadNeitherDoublesNorDelays(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	dying := &meddler{Slack: w.api}
	dying.post = func(ctx context.Context, o slackapi.Outgoing) (slackapi.Posted, error) {
		_, err := w.api.Post(ctx, o)
		must(t, err)
		panic(crash{})
	}
	w.request(id, origin())
	w.ahead = time.Hour
	first := w.desk("a", dying)
	w.ahead = 0
	func() {
		defer func() { _, _ = recover().(crash) }()
		first.Step(t.Context())
		first.Step(t.Context())
	}()
	w.stop(first)
	if n := len(w.slack.AllMessages(sandbox.ChannelDeploys)); n != 1 {
		t.Fatalf("%d messages were posted before the crash", n)
	}
	second := w.desk("b", nil)
	w.succeed(id)
	w.rest(second, 2*time.Minute)
	w.oneCard(sandbox.ChannelDeploys, "✅ Succeeded")
	w.settled(second, id)
}

func TestTwoDesksAtOncePostOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	a, b := w.desk("a", nil), w.desk("b", nil)
	ids := []string{"d-aaaaaaaaaaaaaaaa", "d-bbbbbbbbbbbbbbbb"}
	for _, id := range ids {
		w.request(id, origin())
	}
	work := func(within time.Duration) {
		end := w.clock.Now().Add(within)
		for range maxSteps {
			na, nb := a.Step(t.Context()), b.Step(t.Context())
			next := na
			if next.IsZero() || !nb.IsZero() && nb.Before(next) {
				next = nb
			}
			if next.IsZero() || next.After(end) {
				return
			}
			w.clock.set(next)
		}
	}
	work(2 * time.Minute)
	for _, id := range ids {
		w.succeed(id)
		work(2 * time.Minute)
	}
	cards := w.cards(sandbox.ChannelDeploys)
	if len(cards) != 2 {
		t.Fatalf("%d cards: %v", len(cards), texts(cards))
	}
	for i, c := range cards {
		if !strings.Contains(c.Visible(), "✅ Succeeded") || len(w.replies(c)) != 1 { // its start is not told after its end
			t.Errorf("card %d:\n%s\n%q", i, c.Visible(), w.replies(c))
		}
	}
	for _, id := range ids {
		if !w.stored(id, "card").GetFinal() {
			t.Errorf("%s is not settled", id)
		}
	}
}

// An edit whose answer never came lands after the final one. The card must not
// stay at what it says.
func TestALateEditDoesNotWin(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	var late *slackapi.Outgoing
	slow := &meddler{Slack: w.api}
	slow.update = func(ctx context.Context, o slackapi.Outgoing) error {
		if late == nil {
			late = &o
			return &slackapi.Error{Method: slackapi.MethodUpdate, Outcome: slackapi.Unknown}
		}
		return w.api.Update(ctx, o)
	}
	d := w.desk("a", slow)
	w.request(id, origin())
	w.rest(d, time.Second)
	w.grant(id)
	w.claim(id)
	w.rest(d, 2*time.Second)
	if late == nil {
		t.Fatal("no edit was made")
	}
	w.finish(id)
	w.finish(id)
	w.rest(d, 10*time.Second)
	w.oneCard(sandbox.ChannelDeploys, "✅ Succeeded")
	if w.stored(id, "card").GetFinal() {
		t.Fatal("settled while an earlier edit may still land")
	}
	must(t, w.api.Update(t.Context(), *late))
	w.oneCard(sandbox.ChannelDeploys, "⚙️ Running")
	w.rest(d, time.Minute)
	w.oneCard(sandbox.ChannelDeploys, "✅ Succeeded")
	w.settled(d, id)
}

// The same with a desk that died in the middle of its edit.
func TestALateEditOfADeadDeskDoesNotWin(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	dying := &meddler{Slack: w.api}
	var late slackapi.Outgoing
	dying.update = func(_ context.Context, o slackapi.Outgoing) error {
		late = o
		panic(crash{})
	}
	first := w.desk("a", dying)
	w.request(id, origin())
	w.rest(first, time.Second)
	w.grant(id)
	w.claim(id)
	func() {
		defer func() { _, _ = recover().(crash) }()
		w.rest(first, time.Minute)
	}()
	w.stop(first)
	w.finish(id)
	w.finish(id)
	second := w.desk("b", nil)
	w.rest(second, 10*time.Second)
	w.oneCard(sandbox.ChannelDeploys, "✅ Succeeded")
	must(t, w.api.Update(t.Context(), late))
	w.rest(second, time.Minute)
	w.oneCard(sandbox.ChannelDeploys, "✅ Succeeded")
	w.settled(second, id)
}

func TestADeletedCardIsPostedOnceMore(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	d := w.desk("a", nil)
	w.request(id, origin())
	w.rest(d, time.Minute)
	remove := func() {
		c := w.oneCard(sandbox.ChannelDeploys)
		w.ask("chat.delete", url.Values{"channel": {c.Channel}, "ts": {c.TS}})
	}
	remove()
	w.grant(id)
	w.claim(id)
	w.rest(d, time.Minute)
	w.oneCard(sandbox.ChannelDeploys, "⚙️ Running")
	remove()
	w.finish(id)
	w.finish(id)
	w.rest(d, time.Minute)
	if cards := w.cards(sandbox.ChannelDeploys); len(cards) != 0 {
		t.Errorf("posted against the will of people: %v", texts(cards))
	}
	w.settled(d, id)
	if got := w.stored(id, "card"); got.GetState() != commandv1.Card_STATE_UNDELIVERED {
		t.Errorf("on record: %v", got)
	}
}

func TestNotInTheChannel(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	d := w.desk("a", nil)
	from := origin()
	from.Channel = sandbox.ChannelRandom
	w.request(id, from)
	w.rest(d, time.Minute)
	direct := w.cards(sandbox.DM(sandbox.UserRequester))
	if len(direct) != 1 || !strings.Contains(direct[0].Visible(), "/invite @slipway") {
		t.Fatalf("direct messages: %v", texts(direct))
	}
	if got := w.stored(id, "card"); got.GetState() != commandv1.Card_STATE_UNDELIVERED || got.GetReason() != "not_in_channel" {
		t.Errorf("on record: %v", got)
	}
	w.ask("conversations.join", url.Values{"channel": {sandbox.ChannelRandom}})
	w.succeed(id)
	w.rest(d, time.Minute)
	w.oneCard(sandbox.ChannelRandom, "✅ Succeeded")
	w.settled(d, id)
	if direct := w.cards(sandbox.DM(sandbox.UserRequester)); len(direct) != 1 {
		t.Errorf("told more than once: %v", texts(direct))
	}
}

func TestRefusalsAreOnRecord(t *testing.T) {
	t.Parallel()
	for channel, code := range map[string]string{sandbox.ChannelArchived: "is_archived", "C0NOSUCHONE": "channel_not_found"} {
		w := newWorld(t)
		d := w.desk("a", nil)
		from := origin()
		from.Channel = channel
		w.request(id, from)
		w.succeed(id)
		w.rest(d, 5*time.Minute)
		if got := w.stored(id, "card"); got.GetState() != commandv1.Card_STATE_UNDELIVERED || got.GetReason() != code || !got.GetFinal() {
			t.Errorf("%s: on record: %v", channel, got)
		}
		if d.Unsettled() != 0 {
			t.Errorf("%s: still at work", channel)
		}
	}
}

func TestBlocksThatSlackRefusesBecomePlainText(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.slack.Faults().Set(sandbox.Fault{Kind: sandbox.APIError, Code: "invalid_blocks", Method: slackapi.MethodPost, Times: 1})
	d := w.desk("a", nil)
	w.request(id, origin())
	w.rest(d, time.Minute)
	c := w.oneCard(sandbox.ChannelDeploys, "⏳ Queued")
	if len(c.Blocks) != 0 {
		t.Errorf("blocks: %s", c.Blocks)
	}
}

// A run that ended while no notifier lived, so long ago that the board has only
// its summary, still gets its final card.
func TestCatchUpOnWhatTheBoardForgot(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	d := w.desk("a", nil)
	w.request(id, origin())
	w.rest(d, time.Minute)
	w.stop(d)
	w.succeed(id)
	w.request("d-nevershownxxxxxx", origin())
	w.succeed("d-nevershownxxxxxx")
	for i := range 300 {
		other := "d-" + strings.Repeat(string(rune('a'+i/26)), 4) + strings.Repeat(string(rune('a'+i%26)), 12)
		w.request(other, &eventv1.Origin{Door: eventv1.Origin_DOOR_API})
		w.do(other, run.RequestCancel{})
	}
	d = w.desk("b", nil)
	w.rest(d, time.Minute)
	cards := w.cards(sandbox.ChannelDeploys)
	if len(cards) != 2 || !strings.Contains(cards[0].Visible(), "✅ Succeeded") || !strings.Contains(cards[1].Visible(), "✅ Succeeded") {
		t.Fatalf("cards: %v", texts(cards))
	}
	if d.Unsettled() != 0 {
		t.Errorf("%d left", d.Unsettled())
	}
}

func TestAForeignPendingIsNotTouchedBeforeItsDeadline(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.request(id, origin())
	deadline := w.clock.Now().Add(time.Minute)
	_, err := w.ledger.Put(t.Context(), &commandv1.Card{
		Run: id, Milestone: "card", State: commandv1.Card_STATE_PENDING, Channel: sandbox.ChannelDeploys, Writer: "somebody", Deadline: timestamppb.New(deadline),
	}, 0)
	must(t, err)
	d := w.desk("a", nil)
	w.rest(d, 59*time.Second)
	if len(w.slack.Journal()) != 0 {
		t.Errorf("Slack was called: %+v", w.slack.Journal())
	}
	w.rest(d, 2*time.Minute)
	w.oneCard(sandbox.ChannelDeploys)
}
