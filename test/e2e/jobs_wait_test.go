package e2e

import (
	"slices"
	"strings"
	"testing"
	"time"

	apiv1 "github.com/slipway-hq/slipway/gen/slipway/api/v1"
	"github.com/slipway-hq/slipway/sandbox"
	"github.com/slipway-hq/slipway/test/internal/world"
)

// deploying is BennettBot's "op": a job with a delay, a variant without, and the
// commands that take back, hold and release. Each execution writes one line and
// waits for the gate "go".
func deploying(w *world.World) world.Map {
	return world.Namespace(world.Map{"deploy": world.Map{
		"run":    "echo $SLIPWAY_RUN {to} >>" + w.Dir + "/ran; " + w.Hold("go") + "; echo shipped {to}",
		"dedupe": world.Map{"max_delay": "2h"}, "report": world.Map{"stdout": true}, "params": world.Map{"to": world.Map{}},
	}}, []world.Map{
		{"match": "deploy [to]", "job": "deploy", "delay": "1h"},
		{"match": "deploy now [to]", "job": "deploy", "overrides": []string{"deploy [to]"}},
		{"match": "deploy cancel", "job": "deploy", "action": "cancel", "overrides": []string{"deploy [to]"}},
		{"match": "deploy hold [start] [end]", "job": "deploy", "action": "hold", "overrides": []string{"deploy [to]"}},
		{"match": "deploy release", "job": "deploy", "action": "release", "overrides": []string{"deploy [to]"}},
	})
}

// ran are the executions so far: run and argument.
func ran(w *world.World) []string {
	w.T.Helper()
	return strings.FieldsFunc(w.File("ran"), func(r rune) bool { return r == '\n' })
}

// asks lets somebody ask for a job in a channel and returns the message and the
// run, which is stored by then.
func asks(w *world.World, user, channel, text string) (ts string, r *apiv1.Run) {
	w.T.Helper()
	known := map[string]bool{}
	for _, r := range w.All() {
		known[r.GetId()] = true
	}
	ts = w.Say(user, channel, world.Mention+text, "")
	w.Eventually("a run of "+text, func() bool {
		all := w.All()
		i := slices.IndexFunc(all, func(r *apiv1.Run) bool { return !known[r.GetId()] })
		if i >= 0 {
			r = all[i]
		}
		return i >= 0
	})
	return ts, r
}

// TestTwoPeopleAskForTheSameAndItRunsOnceForBoth is B22, B24, A20, W04 and W21: the
// oldest request executes, "now" starts it for all, and everybody gets ✅ and
// the report where they asked.
func TestTwoPeopleAskForTheSameAndItRunsOnceForBoth(t *testing.T) {
	t.Parallel()
	w, _ := world.Jobs(t, deploying)
	w.Open("go")
	ann, first := asks(w, sandbox.UserRequester, sandbox.ChannelGeneral, "test deploy web")
	bob, second := asks(w, sandbox.UserApprover, sandbox.ChannelDeploys, "test deploy web")
	_, other := asks(w, sandbox.UserApprover, sandbox.ChannelDeploys, "test deploy db")
	if len(ran(w)) > 0 {
		t.Fatalf("a delayed job ran: %q", ran(w))
	}
	now, third := asks(w, sandbox.UserApprover, sandbox.ChannelOps, "test deploy now web")
	r := w.Succeeded(first.GetId())
	for _, merged := range []*apiv1.Run{second, third} {
		if m := w.Ended(merged.GetId(), apiv1.RunStatus_RUN_STATUS_MERGED); m.GetMergedInto() != r.GetId() {
			t.Errorf("%s was merged into %s, not %s", m.GetId(), m.GetMergedInto(), r.GetId())
		}
	}
	for ts, channel := range map[string]string{ann: sandbox.ChannelGeneral, bob: sandbox.ChannelDeploys, now: sandbox.ChannelOps} {
		w.Reacted(channel, ts, "white_check_mark")
		w.Heard(channel, "", "shipped web")
	}
	if got := ran(w); len(got) != 1 || got[0] != r.GetId()+" web" {
		t.Errorf("executed was %q", got)
	}
	if o := w.Get(other.GetId()); o.GetStatus() != apiv1.RunStatus_RUN_STATUS_QUEUED {
		t.Errorf("other arguments are %s", o.GetStatus())
	}
	if merged := w.Get(r.GetId()).GetMerged(); len(merged) != 2 {
		t.Errorf("the run answers for %q", merged)
	}
}

// TestCancellingOnesRequestLeavesTheOthers is the rest of B22 and B27: one of two
// merged requests is taken back and the other runs; "cancel" takes all that
// wait and leaves what runs; the one follow-up of a running job is one.
func TestCancellingOnesRequestLeavesTheOthers(t *testing.T) {
	t.Parallel()
	w, _ := world.Jobs(t, deploying)
	ann, first := asks(w, sandbox.UserRequester, sandbox.ChannelGeneral, "test deploy web")
	_, second := asks(w, sandbox.UserApprover, sandbox.ChannelDeploys, "test deploy web")
	if words, public := w.Words(w.Command("/slipway", "cancel "+first.GetShortId())); !public {
		t.Errorf("cancel is answered %s", words)
	}
	w.Ended(first.GetId(), apiv1.RunStatus_RUN_STATUS_CANCELLED)
	if r := w.Get(second.GetId()); r.GetStatus() != apiv1.RunStatus_RUN_STATUS_QUEUED {
		t.Errorf("the other request is %s", r.GetStatus())
	}
	_, third := asks(w, sandbox.UserApprover, sandbox.ChannelDeploys, "test deploy now web")
	w.Running(second.GetId(), "run")
	w.Ended(third.GetId(), apiv1.RunStatus_RUN_STATUS_MERGED)
	// While it runs, the next is one follow-up, whoever asks.
	_, next := asks(w, sandbox.UserRequester, sandbox.ChannelOps, "test deploy now web")
	_, same := asks(w, sandbox.UserApprover, sandbox.ChannelOps, "test deploy now web")
	for _, r := range []*apiv1.Run{next, same} {
		if r := w.Get(r.GetId()); r.GetStatus() != apiv1.RunStatus_RUN_STATUS_QUEUED || r.GetReason() == "" {
			t.Errorf("the follow-up is %s: %s", r.GetStatus(), r.GetReason())
		}
	}
	w.Say(sandbox.UserApprover, sandbox.ChannelOps, world.Mention+"test deploy cancel", "")
	w.Ended(next.GetId(), apiv1.RunStatus_RUN_STATUS_CANCELLED)
	w.Ended(same.GetId(), apiv1.RunStatus_RUN_STATUS_CANCELLED)
	w.Open("go")
	w.Succeeded(second.GetId())
	w.Heard(sandbox.ChannelDeploys, "", "shipped web")
	if got := ran(w); len(got) != 1 {
		t.Errorf("executed was %q", got)
	}
	if marks := w.Slack.Reactions(sandbox.ChannelGeneral, ann); len(marks["white_check_mark"]) > 0 {
		t.Errorf("a request that was cancelled has %v", marks)
	}
}

// TestCancelReallyStopsARunningJob is B13, W02 and W07: the process and its
// children are gone before the next of its kind starts; a hung job ends at its
// limit.
func TestCancelReallyStopsARunningJob(t *testing.T) {
	t.Parallel()
	w, _ := world.Jobs(t, func(w *world.World) world.Map {
		stubborn := `trap '' TERM; (trap '' TERM; sleep 300) & echo $! $$ >` + w.Dir + `/child.$SLIPWAY_RUN; echo started; sleep 300`
		return world.Namespace(world.Map{
			"stuck": world.Map{"run": stubborn, "grace": "200ms", "dedupe": world.Map{"policy": "all"}},
			"hung":  world.Map{"run": "sleep 300", "timeout": "1s", "grace": "200ms"},
		}, []world.Map{{"match": "stuck", "job": "stuck"}, {"match": "hung", "job": "hung"}})
	})
	_, first := asks(w, sandbox.UserRequester, sandbox.ChannelGeneral, "test stuck")
	_, second := asks(w, sandbox.UserRequester, sandbox.ChannelGeneral, "test stuck")
	ts, hung := asks(w, sandbox.UserRequester, sandbox.ChannelOps, "test hung")
	w.Eventually("a line of the first", func() bool { return strings.Contains(w.Logs(first.GetId(), ""), "started") })
	w.Say(sandbox.UserApprover, sandbox.ChannelGeneral, world.Mention+"cancel "+first.GetShortId()+" because it hangs", "")
	w.Ended(first.GetId(), apiv1.RunStatus_RUN_STATUS_CANCELLED)
	dead(w, "child."+first.GetId())
	w.Heard(sandbox.ChannelGeneral, "", "it hangs")
	w.Eventually("a line of the second", func() bool { return strings.Contains(w.Logs(second.GetId(), ""), "started") })
	w.Cancel(second.GetId())
	w.Ended(second.GetId(), apiv1.RunStatus_RUN_STATUS_CANCELLED)
	dead(w, "child."+second.GetId())
	w.Ended(hung.GetId(), apiv1.RunStatus_RUN_STATUS_TIMED_OUT)
	w.Reacted(sandbox.ChannelOps, ts, "x")
	w.Heard(sandbox.ChannelOps, "", "imed out")
}

// TestAHoldMakesJobsWaitAndEndsByRelease is B28 to B30 and A24: what is held
// waits with that reason and the command that overrides it, "now" waits too,
// --despite-hold does not, and releasing lets it start.
func TestAHoldMakesJobsWaitAndEndsByRelease(t *testing.T) {
	t.Parallel()
	w, _ := world.Jobs(t, deploying)
	w.Open("go")
	for _, wrong := range []string{"hold test/deploy 25:00-26:00", "hold test/deploy 2020-01-01 10:00 to 2020-01-01 11:00", "hold test/nothing for 1h"} {
		if words, public := w.Words(w.Command("/slipway", wrong)); public {
			t.Errorf("%s is answered: %s", wrong, words)
		}
	}
	ask := w.Say(sandbox.UserApprover, sandbox.ChannelGeneral, world.Mention+"hold test deploy for 2h because the database moves", "")
	w.Heard(sandbox.ChannelGeneral, ask, "held") // in a thread, as B28 says
	_, held := asks(w, sandbox.UserRequester, sandbox.ChannelOps, "test deploy now web")
	card := w.Heard(sandbox.ChannelOps, "", "the database moves")
	for _, want := range []string{"/slipway test deploy now web --despite-hold REASON", "/slipway release test/deploy", "<@" + sandbox.UserApprover + ">"} {
		if !strings.Contains(card.Visible(), want) {
			t.Errorf("the card has no %q:\n%s", want, card.Visible())
		}
	}
	r := w.Await(held.GetId(), "the hold", func(r *apiv1.Run) bool {
		return strings.Contains(r.GetReason(), "hold") || strings.Contains(r.GetReason(), "held")
	})
	status, _ := w.Words(w.Command("/check_status", ""))
	for _, want := range []string{r.GetShortId(), "test deploy", "the database moves"} {
		if !strings.Contains(status, want) {
			t.Errorf("the status has no %q: %s", want, status)
		}
	}
	words, public := w.Words(w.Command("/slipway", "test deploy now db --despite-hold it burns"))
	urgent := w.Succeeded(w.Get(world.IDIn(words)).GetId())
	if !public || urgent.GetDespiteHold() != "it burns" {
		t.Errorf("the override is %q: %s", urgent.GetDespiteHold(), words)
	}
	if r := w.Get(held.GetId()); r.GetStatus() != apiv1.RunStatus_RUN_STATUS_QUEUED {
		t.Errorf("the held run is %s", r.GetStatus())
	}
	code, said := w.CLI("holds")
	if code != 0 || !strings.Contains(said, "test/deploy") || !strings.Contains(said, "the database moves") {
		t.Errorf("holds: %d %s", code, said)
	}
	w.Say(sandbox.UserApprover, sandbox.ChannelGeneral, world.Mention+"test deploy release", "")
	w.Succeeded(held.GetId())
	w.Heard(sandbox.ChannelOps, "", "shipped web")

	// The same by the command of the namespace and by the command line.
	now := time.Now().UTC()
	w.Say(sandbox.UserApprover, sandbox.ChannelGeneral, world.Mention+now.Format("test deploy hold 15:04 ")+now.Add(2*time.Hour).Format("1504 UTC"), "")
	w.Eventually("a hold", func() bool { _, said := w.CLI("holds"); return strings.Contains(said, "test/deploy") })
	_, again := asks(w, sandbox.UserRequester, sandbox.ChannelPrivate, "test deploy now web")
	w.Heard(sandbox.ChannelPrivate, "", "--despite-hold")
	if code, said := w.CLI("holds", "release", "test/deploy", "--because", "over early"); code != 0 {
		t.Errorf("release: %d %s", code, said)
	}
	w.Succeeded(again.GetId())
	if code, said := w.CLI("holds", "release", "test/deploy"); code != 0 || !strings.Contains(said, "was not held") {
		t.Errorf("a repeated release: %d %s", code, said)
	}
	if code, said := w.CLI("holds", "set", "test/deploy", "for 1h", "--because", "again"); code != 0 || !strings.Contains(said, "is held from") {
		t.Errorf("set: %d %s", code, said)
	}
}

// TestADelayIsTimeToChangeOnesMind is B31: the card says when it starts and how to
// stop it, and its button does; --in and --at put off, too.
func TestADelayIsTimeToChangeOnesMind(t *testing.T) {
	t.Parallel()
	w, _ := world.Jobs(t, deploying)
	w.Open("go")
	ts, r := asks(w, sandbox.UserRequester, sandbox.ChannelGeneral, "test deploy web")
	card := w.Card(r.GetId(), "To stop it")
	if !strings.Contains(card.Visible(), "/slipway cancel "+r.GetShortId()) || card.ThreadTS != "" {
		t.Errorf("the card is %s", card.Visible())
	}
	if _, err := w.Slack.Click(t.Context(), sandbox.UserRequester, card.Channel, card.TS, "slipway:cancel"); err != nil {
		t.Fatal(err)
	}
	w.Ended(r.GetId(), apiv1.RunStatus_RUN_STATUS_CANCELLED)
	w.Card(r.GetId(), "Cancelled")
	if marks := w.Slack.Reactions(sandbox.ChannelGeneral, ts); len(marks["white_check_mark"]) > 0 {
		t.Errorf("a cancelled request has %v", marks)
	}
	_, later := asks(w, sandbox.UserRequester, sandbox.ChannelOps, "test deploy now db --in 3h")
	w.Say(sandbox.UserRequester, sandbox.ChannelOps, world.Mention+"test deploy now mail --at 2099-01-01 10:00", "")
	w.Private(sandbox.UserRequester, sandbox.ChannelOps, "2099")
	if l := w.Get(later.GetId()); l.GetStatus() != apiv1.RunStatus_RUN_STATUS_QUEUED || l.GetStartAfter() == nil || l.GetParameters()["to"] != "db" {
		t.Errorf("--in gives %v", l)
	}
	if got := ran(w); len(got) > 0 {
		t.Errorf("executed was %q", got)
	}
}
