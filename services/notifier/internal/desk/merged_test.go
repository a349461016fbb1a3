package desk_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	eventv1 "github.com/slipway-hq/slipway/gen/slipway/event/v1"
	"github.com/slipway-hq/slipway/sandbox"
)

// pair asks for the same twice, in two places, and lets the first execute.
func pair(w *world, r *eventv1.Report, first, second *eventv1.Origin) {
	w.job(jobID, first, r)
	w.by(sandbox.UserApprover, func() { w.job(otherID, second, r) })
	w.begin(jobID, otherID)
}

// B22, W12: nobody loses the signs and the result to a later equal request.
func TestEveryRequesterOfAMergedRunGetsTheResult(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	d := w.desk("a", nil)
	first := w.mention(sandbox.UserRequester, sandbox.ChannelDeploys, "")
	second := w.mention(sandbox.UserApprover, sandbox.ChannelGeneral, "")
	pair(w, text(), first, second)
	w.rest(d, 100*time.Millisecond)
	w.print(jobID, "hello")
	w.rest(d, time.Minute)
	for _, o := range []*eventv1.Origin{first, second} {
		if m := w.only(o.GetChannel()); m.Text != "hello" {
			t.Errorf("%s: %q", o.GetChannel(), m.Text)
		}
		if diff := cmp.Diff([]string{"eyes", "white_check_mark"}, w.reactions(o)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", o.GetChannel(), diff)
		}
	}
	w.settled(d, jobID)
	w.settled(d, otherID)
}

func TestOnePlaceGetsTheResultOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	d := w.desk("a", nil)
	first := w.mention(sandbox.UserRequester, sandbox.ChannelDeploys, "")
	second := w.mention(sandbox.UserApprover, sandbox.ChannelDeploys, "")
	pair(w, escalating(), first, second)
	w.rest(d, 100*time.Millisecond)
	w.fail(jobID)
	w.rest(d, time.Minute)
	m := w.only(sandbox.ChannelDeploys)
	if !strings.Contains(m.Text, "<@"+sandbox.UserRequester+"> <@"+sandbox.UserApprover+"> ") {
		t.Errorf("both are told: %s", m.Text)
	}
	w.only(sandbox.ChannelGeneral)
	for _, o := range []*eventv1.Origin{first, second} {
		if diff := cmp.Diff([]string{"eyes", "x"}, w.reactions(o)); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	}
	w.settled(d, otherID)
}

// W11: what was asked for in private and in a channel calls support, once, with
// the address of the message in the channel.
func TestAPrivateRequestDoesNotHideAFailure(t *testing.T) {
	t.Parallel()
	for _, privateFirst := range []bool{true, false} {
		w := newWorld(t)
		d := w.desk("a", nil)
		first := w.mention(sandbox.UserRequester, sandbox.DM(sandbox.UserRequester), "")
		second := w.mention(sandbox.UserApprover, sandbox.ChannelDeploys, "")
		if !privateFirst {
			first = w.mention(sandbox.UserRequester, sandbox.ChannelDeploys, "")
			second = w.mention(sandbox.UserApprover, sandbox.DM(sandbox.UserApprover), "")
		}
		pair(w, escalating(), first, second)
		w.fail(jobID)
		w.rest(d, time.Minute)
		w.only(first.GetChannel())
		w.only(second.GetChannel())
		link, err := w.api.Permalink(t.Context(), sandbox.ChannelDeploys, w.only(sandbox.ChannelDeploys).TS)
		must(t, err)
		if m := w.only(sandbox.ChannelGeneral); !strings.Contains(m.Text, link) {
			t.Errorf("support is told: %s", m.Text)
		}
		w.settled(d, otherID)
	}
}

func TestCardsOfRunsThatGoTogether(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	d := w.desk("a", nil)
	w.job(jobID, w.mention(sandbox.UserRequester, sandbox.ChannelDeploys, ""), text())
	w.by(sandbox.UserApprover, func() { w.job(otherID, w.mention(sandbox.UserApprover, sandbox.ChannelGeneral, ""), text()) })
	w.rest(d, 5*time.Second)
	w.oneCard(sandbox.ChannelDeploys, "together with `j-bcdef`, asked by <@"+sandbox.UserApprover+">")
	w.oneCard(sandbox.ChannelGeneral, "together with `j-abcde`, asked by <@"+sandbox.UserRequester+">")
	w.begin(jobID, otherID)
	w.rest(d, time.Minute)
	w.oneCard(sandbox.ChannelDeploys, "⚙️ Running", "together with `j-bcdef`")
	w.oneCard(sandbox.ChannelGeneral, "🔀 Merged into j-abcde: ⚙️ Running")
	w.print(jobID, "hello")
	w.rest(d, time.Minute)
	if said := w.said(sandbox.ChannelGeneral); len(said) != 2 || !strings.Contains(said[0].Visible(), "🔀 Merged into j-abcde: ✅ Succeeded") || said[1].Text != "hello" {
		t.Errorf("in the end: %q", texts(said))
	}
	w.settled(d, jobID)
	w.settled(d, otherID)
}

// The executing run may have ended long ago, out of everybody's memory.
func TestAMergedRunIsToldByTheLog(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	second := w.mention(sandbox.UserApprover, sandbox.ChannelGeneral, "")
	pair(w, text(), &eventv1.Origin{Door: eventv1.Origin_DOOR_API}, second)
	w.print(jobID, "hello")
	w.forget()
	d := w.desk("a", nil)
	w.rest(d, time.Minute)
	if m := w.only(sandbox.ChannelGeneral); m.Text != "hello" {
		t.Errorf("the report: %q", m.Text)
	}
	w.settled(d, otherID)
}

func TestCrashesAroundAFileReport(t *testing.T) {
	t.Parallel()
	var from *eventv1.Origin
	everyCrash(t, func(w *world) {
		from = w.mention(sandbox.UserRequester, sandbox.ChannelDeploys, "")
		w.job(jobID, from, as(eventv1.Report_FORMAT_FILE))
		w.begin(jobID)
		w.print(jobID, "a,b\n1,2\n")
	}, func(t *testing.T, w *world) {
		w.file(w.only(sandbox.ChannelDeploys), "a,b\n1,2\n")
		w.signed(from, "white_check_mark")
	})
}

func TestCrashesAroundAFailureThatCallsSupport(t *testing.T) {
	t.Parallel()
	var from *eventv1.Origin
	everyCrash(t, func(w *world) {
		from = w.mention(sandbox.UserRequester, sandbox.ChannelDeploys, "")
		r := escalating()
		r.LogsChannel, r.Card = sandbox.ChannelPrivate, eventv1.Report_CARD_ALWAYS
		w.job(jobID, from, r)
		w.begin(jobID)
		w.fail(jobID)
	}, func(t *testing.T, w *world) {
		said := w.said(sandbox.ChannelDeploys)
		if len(said) != 2 {
			t.Fatalf("said %q", texts(said))
		}
		w.only(sandbox.ChannelPrivate)
		if m := w.only(sandbox.ChannelGeneral); !strings.Contains(m.Text, "/archives/"+sandbox.ChannelDeploys) {
			t.Errorf("support is told: %s", m.Text)
		}
		w.signed(from, "x")
	})
}

func TestCrashesAroundMergedRunsWithNotes(t *testing.T) {
	t.Parallel()
	var first, second *eventv1.Origin
	everyCrash(t, func(w *world) {
		first = w.mention(sandbox.UserRequester, sandbox.ChannelDeploys, "")
		second = w.mention(sandbox.UserApprover, sandbox.ChannelGeneral, "")
		pair(w, text(), first, second)
		w.say(jobID, "on the way")
		w.print(jobID, "hello")
	}, func(t *testing.T, w *world) {
		if diff := cmp.Diff([]string{"on the way", "hello"}, texts(w.said(sandbox.ChannelDeploys))); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
		if m := w.only(sandbox.ChannelGeneral); m.Text != "hello" {
			t.Errorf("said %q", m.Text)
		}
		w.signed(first, "white_check_mark")
		w.signed(second, "white_check_mark")
	})
}

// Two desks at once, of which neither knows of the other, say everything once.
func TestTwoDesksAtOnceReportOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	a, b := w.desk("a", nil), w.desk("b", nil)
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
	r := escalating()
	r.LogsChannel = sandbox.ChannelPrivate
	first := w.mention(sandbox.UserRequester, sandbox.ChannelDeploys, "")
	second := w.mention(sandbox.UserApprover, sandbox.ChannelDeploys, "")
	pair(w, r, first, second)
	work(time.Second)
	w.say(jobID, "on the way")
	w.fail(jobID)
	work(10 * time.Minute)
	if said := w.said(sandbox.ChannelDeploys); len(said) != 2 || said[0].Text != "on the way" || !strings.Contains(said[1].Text, "❌ failed") {
		t.Errorf("said %q", texts(said))
	}
	w.only(sandbox.ChannelGeneral)
	w.only(sandbox.ChannelPrivate)
	w.signed(first, "x")
	w.signed(second, "x")
	w.settled(a, jobID)
	w.settled(b, otherID)
}
