package desk_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/slipway-hq/slipway/domain/run"
	eventv1 "github.com/slipway-hq/slipway/gen/slipway/event/v1"
	"github.com/slipway-hq/slipway/sandbox"
)

const id = "d-abcdefghijklmnop"

func TestOneCardFollowsARunToItsEnd(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	d := w.desk("a", nil)
	w.request(id, origin())
	w.rest(d, time.Minute)
	w.oneCard(sandbox.ChannelDeploys, "⏳ Queued", "*checkout* to *production* `v2.41.0` (was `v2.40.3`)", "[Cancel]", "About to start")
	w.grant(id)
	w.claim(id)
	w.rest(d, time.Minute)
	w.oneCard(sandbox.ChannelDeploys, "⚙️ Running", "▶️ running *build*", "⚪ pending *deploy*", "[Logs]")
	w.finish(id)
	w.finish(id)
	w.rest(d, time.Minute)
	c := w.oneCard(sandbox.ChannelDeploys, "✅ Succeeded", "✅ done *deploy*", "2 of 2 steps")
	if strings.Contains(c.Visible(), "[Cancel]") {
		t.Errorf("a finished run can be cancelled:\n%s", c.Visible())
	}
	replies := w.replies(c)
	if len(replies) != 2 || !strings.HasPrefix(replies[0], "▶️ Started") || !strings.HasPrefix(replies[1], "<@"+sandbox.UserRequester+"> ✅ *checkout* `v2.41.0` is live in *production*, 1 min") {
		t.Errorf("replies: %q", replies)
	}
	w.settled(d, id)
}

// The first card waits a moment for the claim, so that it does not say for
// seconds that a run waits which has started long ago.
func TestTheFirstCardShowsARunThatStartsAtOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	d := w.desk("a", nil)
	w.request(id, origin())
	w.rest(d, firstLook/2)
	w.grant(id)
	w.rest(d, firstLook/2)
	if cards := w.cards(sandbox.ChannelDeploys); len(cards) != 0 {
		t.Fatalf("too early: %s", cards[0].Visible())
	}
	w.claim(id)
	w.rest(d, time.Second)
	if c := w.oneCard(sandbox.ChannelDeploys, "⚙️ Running"); c.Edits != 0 {
		t.Errorf("it began as something else and took %d edits", c.Edits)
	}
}

func TestFailureSaysWhyAndIsBroadcast(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	d := w.desk("a", nil)
	w.request(id, origin())
	w.grant(id)
	w.claim(id)
	w.finish(id)
	s := w.fail(id)
	w.rest(d, 5*time.Second)
	w.oneCard(sandbox.ChannelDeploys, "⏸️ Waiting", "attempt 1 of 2", "next attempt")
	w.clock.set(w.clock.Now().Add(2 * time.Second))
	w.do(id, run.BeginAttempt{Fence: s.Claim.Fence, Step: 1, Now: w.clock.Now()})
	w.fail(id)
	w.rest(d, time.Minute)
	c := w.oneCard(sandbox.ChannelDeploys, "❌ Failed", "❌ failed *deploy* attempt 2 of 2 4.0 s `exit code 1`", "Step deploy failed: exit code 1", "[Retry]", "[Logs]")
	thread := w.slack.Thread(c.Channel, c.TS)
	last := thread[len(thread)-1]
	if !last.Broadcast || !strings.Contains(last.Text, "❌ failed after") {
		t.Errorf("the failure is not broadcast: %+v", last)
	}
	if text := thread[2].Visible(); !strings.Contains(text, "line 2 &lt;!channel&gt;") {
		t.Errorf("the tail is not shown literally: %s", text)
	}
	w.settled(d, id)
}

func TestNoCardWithoutSlack(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	d := w.desk("a", nil)
	w.request("d-fromtheapixxxxxx", &eventv1.Origin{Door: eventv1.Origin_DOOR_API})
	other := origin()
	other.Team = "T0ELSEWHERE"
	w.request("d-fromelsewherexxx", other)
	w.do("d-refusedxxxxxxxxx", run.Request{
		Event:   &eventv1.RunRequested{Run: "d-refusedxxxxxxxxx", Identity: "x", Origin: origin(), Plan: &eventv1.Plan{}},
		Refusal: run.ErrNoGrant,
	})
	w.rest(d, time.Minute)
	if cards := w.cards(sandbox.ChannelDeploys); len(cards) != 0 || d.Unsettled() != 0 {
		t.Errorf("cards: %v, unsettled: %d", texts(cards), d.Unsettled())
	}
}

func TestReactionOnTheMention(t *testing.T) {
	t.Parallel()
	for _, end := range []string{"white_check_mark", "x"} {
		w := newWorld(t)
		posted, err := w.slack.Post(t.Context(), sandbox.UserRequester, sandbox.ChannelDeploys, "deploy checkout", "")
		must(t, err)
		from := origin()
		from.Door, from.MessageTs = eventv1.Origin_DOOR_MENTION, posted.TS
		d := w.desk("a", nil)
		w.request(id, from)
		if end == "x" {
			w.do(id, run.RequestCancel{})
		} else {
			w.succeed(id)
		}
		w.rest(d, time.Minute)
		want := map[string][]string{end: {sandbox.BotUserID}}
		if diff := cmp.Diff(want, w.slack.Reactions(sandbox.ChannelDeploys, posted.TS)); diff != "" {
			t.Errorf("reactions (-want +got):\n%s", diff)
		}
		w.settled(d, id)
	}
}

func TestPlacesInTheQueueMoveUp(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	d := w.desk("a", nil)
	ids := []string{"d-aaaaaaaaaaaaaaaa", "d-bbbbbbbbbbbbbbbb", "d-cccccccccccccccc", "d-dddddddddddddddd"}
	for _, id := range ids {
		w.request(id, origin())
	}
	w.grant(ids[0])
	w.claim(ids[0])
	w.rest(d, time.Minute)
	cards := w.cards(sandbox.ChannelDeploys)
	if got := cards[3].Visible(); !strings.Contains(got, "Number 3 in lane checkout/production") || !strings.Contains(got, "behind d-ccccc") {
		t.Errorf("the third in line:\n%s", got)
	}
	w.finish(ids[0])
	w.finish(ids[0])
	w.grant(ids[1])
	w.rest(d, time.Minute)
	cards = w.cards(sandbox.ChannelDeploys)
	if got := cards[3].Visible(); !strings.Contains(got, "Number 2 in lane checkout/production") {
		t.Errorf("after the first has ended:\n%s", got)
	}
}

func TestEditsAreCoalesced(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	d := w.desk("a", nil)
	var steps []*eventv1.Step
	for i := range 9 {
		steps = append(steps, &eventv1.Step{Name: fmt.Sprint("step-", i)})
	}
	w.request(id, origin(), steps...)
	w.grant(id)
	w.claim(id)
	w.rest(d, 0)
	for range 8 {
		w.finish(id)
		w.rest(d, 500*time.Millisecond)
	}
	w.finish(id)
	w.rest(d, time.Minute)
	c := w.oneCard(sandbox.ChannelDeploys, "✅ Succeeded", "9 of 9 steps")
	if c.Edits > 4 {
		t.Errorf("%d edits within some seconds", c.Edits)
	}
	w.settled(d, id)
}

func TestManyCardsKeepWithinSlacksRates(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	d := w.desk("a", nil)
	for i := range 30 {
		id := fmt.Sprintf("d-%c%c%014d", 'a'+i%26, 'a'+i/26, i)
		w.request(id, origin())
		w.do(id, run.RequestCancel{})
	}
	w.rest(d, time.Hour)
	if d.Unsettled() != 0 {
		t.Errorf("%d cards are not settled", d.Unsettled())
	}
	if n := len(w.cards(sandbox.ChannelDeploys)); n != 30 {
		t.Errorf("%d cards", n)
	}
	for _, e := range w.slack.Journal() {
		if e.Status == 429 {
			t.Fatalf("Slack had to say no: %+v", e)
		}
	}
}

func TestTheElapsedTimeMovesOn(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	d := w.desk("a", nil)
	w.request(id, origin())
	w.grant(id)
	w.claim(id)
	w.rest(d, 50*time.Second)
	w.oneCard(sandbox.ChannelDeploys, "45 s elapsed")
}

func TestOldCardsAreForgotten(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	d := w.desk("a", nil)
	w.request(id, origin())
	w.succeed(id)
	w.rest(d, time.Minute)
	w.settled(d, id)
	w.clock.set(time.Now().Add(29 * 24 * time.Hour)) // the bucket stamps by the real clock
	must(t, d.Clean(t.Context()))
	w.settled(d, id)
	w.clock.set(time.Now().Add(31 * 24 * time.Hour))
	must(t, d.Clean(t.Context()))
	if c := w.stored(id, "card"); c != nil {
		t.Fatalf("still there: %v", c)
	}
	later := w.desk("b", nil)
	w.rest(later, time.Minute)
	w.oneCard(sandbox.ChannelDeploys)
}
