package orchestrator

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/slipway-hq/slipway/domain/board"
	"github.com/slipway-hq/slipway/domain/identity"
	"github.com/slipway-hq/slipway/domain/lane"
	"github.com/slipway-hq/slipway/domain/run"
	commandv1 "github.com/slipway-hq/slipway/gen/slipway/command/v1"
	eventv1 "github.com/slipway-hq/slipway/gen/slipway/event/v1"
	"github.com/slipway-hq/slipway/internal/configfile"
)

const jobsConfig = testConfig + `
namespaces:
  test:
    description: what anybody may try
    reminders: true
    jobs:
      hello: {run: "echo {name}", params: {name: {type: string}}, report: {stdout: true}}
      once: {run: "true", dedupe: {policy: newest}}
      alone: {run: "true", dedupe: {policy: reject}}
      each: {run: "true", dedupe: {policy: all}}
    commands:
      - {match: "say hello to [name]", help: says hello, job: hello}
      - {match: "once", job: once}
      - {match: "alone", job: alone}
      - {match: "each", job: each}
  op:
    restricted: true
    description: the site
    override: {users: [U0BOSS]}
    jobs:
      deploy: {run: "true", dedupe: {max_delay: 150s}}
      restart: {run: "true"}
    commands:
      - {match: "deploy", help: deploys the site, job: deploy, delay: 60s}
      - {match: "deploy now", job: deploy}
      - {match: "deploy cancel", action: cancel, job: deploy}
      - {match: "deploy suppress from [start] to [end]", action: hold, job: deploy}
      - {match: "deploy suppress cancel", action: release, job: deploy}
      - {match: "restart", job: restart}
`

// chat is a house in which people speak.
type chat struct {
	*house
	n        int
	standing *commandv1.Standing
}

func inChat(t *testing.T, replicas int, test func(c *chat)) {
	inHouseOf(t, jobsConfig, replicas, func(h *house) {
		test(&chat{house: h, standing: &commandv1.Standing{Known: true}})
	})
}

// message is a mention of us.
func (c *chat) message(user, text string) *commandv1.Envelope {
	c.n++
	ts := fmt.Sprintf("17.%d", c.n)
	return &commandv1.Envelope{
		Identity: "mention|T1|C1|" + ts, Principal: &eventv1.Principal{Kind: eventv1.Principal_KIND_SLACK_USER, Team: "T1", User: user},
		Origin:   &eventv1.Origin{Door: eventv1.Origin_DOOR_MENTION, Team: "T1", Channel: "C1", MessageTs: ts},
		Received: timestamppb.Now(), Standing: c.standing,
		Body: &commandv1.Envelope_Sentence{Sentence: &commandv1.Sentence{Command: "@", Text: "<@UBOT> " + text}},
	}
}

// say sends a message to one of the replicas, and returns the answer and the
// full id of the run that it made.
func (c *chat) say(user, text string) (answer *commandv1.Answer, id string) {
	c.t.Helper()
	e := c.message(user, text)
	answer, err := c.replicas[c.n%len(c.replicas)].clerk.command(c.ctx, e)
	if err != nil {
		c.t.Fatalf("%s: %v", text, err)
	}
	synctest.Wait()
	return answer, identity.RunID(identity.Job, e.GetIdentity())
}

func (c *chat) run(user, text string) string {
	c.t.Helper()
	answer, id := c.say(user, text)
	if answer.GetCode() != "" {
		c.t.Fatalf("%s: %s", text, answer.GetText())
	}
	return id
}

// pass lets time pass; the dispatchers sweep every second.
func (c *chat) pass(d time.Duration) {
	time.Sleep(d) // fake time
	synctest.Wait()
}

func (c *chat) started() []string {
	var ids []string
	for _, hint := range c.hinted() {
		if s := c.state(hint.GetRun()); !s.Claimed() && !s.Status.Ended() {
			c.claim(hint, "r1")
			ids = append(ids, hint.GetRun())
		}
	}
	synctest.Wait()
	return ids
}

func (c *chat) want(id string, status run.Status, reason string) {
	c.t.Helper()
	synctest.Wait()
	if s := c.state(id); s.Status != status || reason != "" && !strings.Contains(c.shown(id), reason) {
		c.t.Fatalf("%s, not %s with %q", c.shown(id), status, reason)
	}
}

// Equal requests that wait together are one execution; each requester keeps his
// own run, his own place for the answer, and his own way out.
func TestEqualRequestsAreOneExecution(t *testing.T) {
	inChat(t, 2, func(c *chat) {
		first, second := c.run("U1", "op deploy"), c.run("U2", "op deploy")
		c.want(first, run.Queued, "starts at 00:01:00")
		c.want(second, run.Queued, "one execution with")
		third := c.run("U3", "op deploy")
		if answer, _ := c.say("U2", "cancel "+second); !strings.Contains(answer.GetText(), "is cancelled") {
			t.Fatal(answer.GetText())
		}
		c.want(first, run.Queued, "")
		c.pass(58 * time.Second)
		if ids := c.started(); len(ids) > 0 {
			t.Fatalf("%v started early", ids)
		}
		c.pass(3 * time.Second)
		if ids := c.started(); len(ids) != 1 || ids[0] != first {
			t.Fatalf("%v started, not %s", ids, first)
		}
		c.want(first, run.Running, "")
		c.want(third, run.Merged, "executes for it, too")
		if s := c.state(third); s.MergedInto != first || s.Origin.GetMessageTs() == c.state(first).Origin.GetMessageTs() || s.Requester.GetUser() != "U3" {
			t.Errorf("the merged request lost who and where: %+v", s)
		}
		c.want(second, run.Cancelled, "")
		follow, merged := c.run("U1", "op deploy now"), c.run("U2", "op deploy now")
		c.want(follow, run.Queued, "next in lane op:deploy, behind")
		c.finish(first)
		c.pass(time.Second)
		if ids := c.started(); len(ids) != 1 || ids[0] != follow {
			t.Fatalf("the one follow-up: %v", ids)
		}
		c.want(merged, run.Merged, "")
	})
}

// The newest request says when, a request without delay starts all, and a
// steady stream of requests does not put the start off for ever.
func TestNewestRequestSaysWhenWithinTheLimit(t *testing.T) {
	inChat(t, 1, func(c *chat) {
		first := c.run("U1", "op deploy")
		for range 3 {
			c.pass(40 * time.Second)
			c.run("U2", "op deploy")
			if ids := c.started(); len(ids) > 0 {
				t.Fatalf("%v started although a newer request waits", ids)
			}
		}
		c.pass(31 * time.Second) // 151 s after the first: max_delay is 150 s
		if ids := c.started(); len(ids) != 1 || ids[0] != first {
			t.Fatalf("after max_delay: %v", ids)
		}
		c.finish(first)
		delayed := c.run("U1", "op deploy")
		now := c.run("U2", "op deploy now")
		if ids := c.started(); len(ids) != 1 || ids[0] != delayed {
			t.Fatalf("now: %v", ids)
		}
		c.want(now, run.Merged, "")
	})
}

// A run that ends before it ever started did nothing for the others: they wait
// again.
func TestCancelledExecutorLeavesTheOthers(t *testing.T) {
	inChat(t, 1, func(c *chat) {
		first, second := c.run("U1", "op deploy"), c.run("U2", "op deploy now")
		c.want(second, run.Queued, "executes for it, too")
		if hints := c.hinted(); len(hints) != 1 || hints[0].GetRun() != first {
			t.Fatalf("%v", hints)
		}
		c.say("U1", "cancel "+first)
		c.want(first, run.Cancelled, "")
		c.pass(time.Second)
		if ids := c.started(); len(ids) != 1 || ids[0] != second {
			t.Fatalf("the other one: %v", ids)
		}
		c.want(second, run.Running, "")
	})
}

// Twenty people say the same at the same time to three replicas: one execution,
// whatever the order.
func TestSimultaneousEqualRequestsExecuteOnce(t *testing.T) {
	inChat(t, 3, func(c *chat) {
		blocker := c.run("U0", "op deploy now")
		c.started()
		var group sync.WaitGroup
		var ids []string
		for i := range 20 {
			e := c.message(fmt.Sprintf("U%d", i), "op deploy now")
			ids = append(ids, identity.RunID(identity.Job, e.GetIdentity()))
			group.Go(func() {
				if _, err := c.replicas[i%3].clerk.command(c.ctx, e); err != nil {
					t.Error(err)
				}
			})
		}
		group.Wait()
		c.finish(blocker)
		c.pass(2 * time.Second)
		started := c.started()
		if len(started) != 1 {
			t.Fatalf("%d started", len(started))
		}
		c.finish(started[0])
		c.pass(2 * time.Second)
		if more := c.started(); len(more) > 0 {
			t.Fatalf("%v started, too", more)
		}
		merged := 0
		for _, id := range ids {
			if c.state(id).Status == run.Merged {
				merged++
			}
		}
		if merged != 19 {
			t.Errorf("%d of 19 merged", merged)
		}
	})
}

// Different arguments are different work, in one line of one lane per job.
func TestDifferentArgumentsDoNotMerge(t *testing.T) {
	inChat(t, 1, func(c *chat) {
		a, b := c.run("U1", "test say hello to Ann"), c.run("U1", "test say hello to Bob Dylan.")
		if got := c.state(b).Parameters["name"]; got != "Bob Dylan" {
			t.Errorf("the last parameter is %q", got)
		}
		c.want(b, run.Queued, "next in lane test:hello, behind")
		if ids := c.started(); len(ids) != 1 || ids[0] != a {
			t.Fatal(ids)
		}
		other := c.run("U1", "test each")
		if ids := c.started(); len(ids) != 1 || ids[0] != other {
			t.Fatalf("another job does not wait: %v", ids)
		}
	})
}

func TestOtherPoliciesForDoubles(t *testing.T) {
	inChat(t, 1, func(c *chat) {
		first := c.run("U1", "test once")
		c.started()
		second, third := c.run("U1", "test once"), c.run("U2", "test once")
		c.pass(time.Second)
		c.want(second, run.Cancelled, "superseded by")
		c.finish(first)
		c.pass(time.Second)
		if ids := c.started(); len(ids) != 1 || ids[0] != third {
			t.Fatal(ids)
		}
		alone := c.run("U1", "test alone")
		answer, double := c.say("U2", "test alone")
		if answer.GetCode() != run.ErrDouble.Code || !strings.Contains(answer.GetText(), "waits or runs already") {
			t.Errorf("a double: %v", answer)
		}
		c.want(double, run.Refused, "")
		c.started()
		c.finish(alone)
		if again := c.run("U2", "test alone"); c.state(again).Status.Ended() {
			t.Error("refused although the first has ended")
		}
		if a, b := c.run("U1", "test each"), c.run("U1", "test each"); len(c.started()) == 0 {
			t.Error(a, b)
		}
	})
}

// A hold keeps what is asked for waiting with its reason, "now" included; what
// runs goes on; who may can start despite it, with a reason on record.
func TestHoldsKeepJobsWaiting(t *testing.T) {
	inChat(t, 1, func(c *chat) {
		running := c.run("U1", "op deploy now")
		c.started()
		answer, _ := c.say("U1", "op deploy suppress from 0010 to 0:30")
		if !answer.GetThreaded() || !strings.Contains(answer.GetText(), "*op deploy* is held from 2000-01-01 00:10 to 00:30 UTC by <@U1>") {
			t.Fatalf("confirmed with %v", answer)
		}
		c.pass(10 * time.Minute)
		c.finish(running)
		if answer, _ := c.say("U1", "hold op/deploy 00:20–00:40 because of the migration"); answer.GetCode() != "" {
			t.Fatal(answer.GetText())
		}
		now, restart := c.run("U2", "op deploy now"), c.run("U2", "op restart")
		c.want(now, run.Queued, "held until 00:40:00 UTC by U1")
		if ids := c.started(); len(ids) != 1 || ids[0] != restart {
			t.Fatalf("other jobs go on: %v", ids)
		}
		if answer, _ := c.say("U2", "op deploy now --despite-hold it burns"); answer.GetCode() != "E-POLICY-OVERRIDE" {
			t.Errorf("overridden by somebody who may not: %v", answer)
		}
		urgent := c.run("U0BOSS", "op deploy now --despite-hold it burns")
		if ids := c.started(); len(ids) != 1 {
			t.Fatalf("despite the hold: %v", ids)
		}
		if s := c.state(urgent); s.DespiteHold != "it burns" {
			t.Errorf("the reason is not on record: %+v", s)
		}
		c.finish(now)
		later := c.run("U2", "op deploy now")
		c.pass(31 * time.Minute)
		if ids := c.started(); len(ids) != 1 || ids[0] != later {
			t.Fatalf("after the holds: %v", ids)
		}
	})
}

func TestWrongHoldsAreCorrectedAndReleasedOnesEnd(t *testing.T) {
	inChat(t, 1, func(c *chat) {
		for _, text := range []string{"op deploy suppress from 11:30 to 11:20x", "op deploy suppress from nine to ten", "op deploy suppress cancel", "hold nosuch/job 11:00-12:00", "hold op/deploy"} {
			if answer, _ := c.say("U1", text); answer.GetCode() == "" || answer.GetVisibility() != commandv1.Answer_VISIBILITY_PRIVATE {
				t.Errorf("%s: %v", text, answer)
			}
		}
		c.say("U1", "op deploy suppress from 00:00 to 01:00")
		c.say("U1", "op deploy suppress from 02:00 to 03:00")
		held := c.run("U1", "op deploy now")
		c.want(held, run.Queued, "held until 01:00")
		if answer, _ := c.say("U1", "status"); !strings.Contains(answer.GetText(), "*2 holds*") || !strings.Contains(answer.GetText(), "to be held from") {
			t.Errorf("status: %s", answer.GetText())
		}
		if answer, _ := c.say("U2", "op deploy suppress cancel"); !strings.Contains(answer.GetText(), "released 2 holds of *op deploy*") {
			t.Errorf("%v", answer)
		}
		c.pass(time.Second)
		if ids := c.started(); len(ids) != 1 || ids[0] != held {
			t.Fatal(ids)
		}
	})
}

// A wait for a slot that a hold prolonged is not counted against the run.
func TestHeldRunsDoNotTimeOut(t *testing.T) {
	inChat(t, 1, func(c *chat) {
		c.say("U1", "hold op/restart 2000-01-01 00:00 to 2000-01-04 00:00")
		held := c.run("U1", "op restart")
		c.pass(71 * time.Hour) // the queue's limit is 24 h
		c.want(held, run.Queued, "held until")
		c.pass(2 * time.Hour)
		if ids := c.started(); len(ids) != 1 || ids[0] != held {
			t.Fatalf("%v started: %s", ids, c.shown(held))
		}
	})
}

// A lane's limit and pause are commits on the lane: they order against starts.
func TestLanesAreSetWhileTheyWork(t *testing.T) {
	inChat(t, 1, func(c *chat) {
		paused, resumed, two := true, false, uint32(2)
		desk := c.first().desk
		if _, err := desk.setLane(c.ctx, local(), "test:each", &paused, nil, "looking at it"); err != nil {
			t.Fatal(err)
		}
		a, b, d := c.run("U1", "test each"), c.run("U1", "test each"), c.run("U1", "test each")
		c.pass(2 * time.Second)
		c.want(a, run.Queued, "lane test:each is paused by api:local: looking at it")
		if _, err := desk.setLane(c.ctx, local(), "test:each", &resumed, &two, "fine again"); err != nil {
			t.Fatal(err)
		}
		c.pass(2 * time.Second)
		if ids := c.started(); len(ids) != 2 || ids[0] != a || ids[1] != b {
			t.Fatalf("%v", ids)
		}
		c.want(d, run.Queued, "next in lane")
		ln := c.first().view.lane("test:each")
		if ln.GetLimit() != 2 || ln.GetChange().GetBy() != "api:local" || ln.GetChange().GetReason() != "fine again" {
			t.Errorf("who and why: %v", ln)
		}
	})
}

// A command with action cancel takes everything that waits out of the queue,
// whatever its arguments, and leaves alone what runs.
func TestCancelCommandEmptiesTheQueue(t *testing.T) {
	inChat(t, 1, func(c *chat) {
		running := c.run("U1", "op deploy now")
		c.started()
		waiting := c.run("U1", "op deploy")
		if answer, _ := c.say("U2", "op deploy cancel"); !strings.Contains(answer.GetText(), "took 1 run of *op deploy* out of the queue") {
			t.Fatal(answer.GetText())
		}
		c.want(waiting, run.Cancelled, "")
		c.want(running, run.Running, "")
		if answer, _ := c.say("U2", "op deploy cancel"); !strings.Contains(answer.GetText(), "Nothing of *op deploy* waits") {
			t.Error(answer.GetText())
		}
	})
}

// Guests and strangers are refused on restricted namespaces for every verb, and
// welcome elsewhere.
func TestGuestsKeepOutOfRestrictedNamespaces(t *testing.T) {
	inChat(t, 1, func(c *chat) {
		shown, open := c.run("U1", "op restart"), c.run("U1", "test say hello to Ann")
		for name, standing := range map[string]*commandv1.Standing{
			"guest": {Known: true, Guest: true}, "stranger": {Known: true, Stranger: true}, "nobody knows": {},
		} {
			c.standing = standing
			for _, text := range []string{"op restart", "op deploy cancel", "op deploy suppress from 1000 to 1100", "op deploy suppress cancel", "cancel " + shown, "logs " + shown, "status " + shown, "retry " + shown, "hold op/deploy 10:00-11:00", "release op/deploy"} {
				answer, id := c.say("UG", text)
				if !strings.HasPrefix(answer.GetCode(), "E-POLICY-") {
					t.Errorf("%s: %s: %v", name, text, answer)
				}
				if c.first().view.known(id) && c.state(id).Status != run.Refused {
					t.Errorf("%s: %s was started", name, text)
				}
			}
			for _, text := range []string{"status", "history"} {
				if answer, _ := c.say("UG", text); strings.Contains(answer.GetText(), "restart") {
					t.Errorf("%s sees: %s", name, answer.GetText())
				}
			}
			if answer, _ := c.say("UG", "status "+open); answer.GetCode() != "" {
				t.Errorf("%s: an open job: %v", name, answer)
			}
			c.run("UG", "test say hello to "+strings.ReplaceAll(name, " ", "-"))
		}
	})
}

func TestRemindersRunWhatAllowsThem(t *testing.T) {
	inChat(t, 1, func(c *chat) {
		c.standing = &commandv1.Standing{Known: true, Reminder: true}
		c.run("USLACKBOT", "test say hello to <http://example.com/a|example.com/a>.")
		answer, _ := c.say("USLACKBOT", "op restart")
		if answer.GetCode() != "E-POLICY-REMINDER" || answer.GetVisibility() != commandv1.Answer_VISIBILITY_PUBLIC {
			t.Errorf("a reminder in a restricted namespace: %v", answer)
		}
		if answer, _ := c.say("USLACKBOT", "test nonsense"); answer.GetVisibility() != commandv1.Answer_VISIBILITY_PUBLIC {
			t.Errorf("nobody sees %v", answer)
		}
	})
}

// What nobody understands is apologised for, with what was probably meant and
// how to get help.
func TestUnknownCommandsAreAnsweredWithTheNearest(t *testing.T) {
	inChat(t, 1, func(c *chat) {
		for text, want := range map[string][]string{
			"op deply":       {"Sorry", "op deploy", "op help"},
			"op deploy soon": {"op deploy now"},
			"opp deploy":     {"Sorry", "Did you mean", "`op`", "help"},
			"stats":          {"`status`"},
		} {
			answer, _ := c.say("U1", text)
			for _, w := range want {
				if !strings.Contains(answer.GetText(), w) {
					t.Errorf("%s: %q lacks %q", text, answer.GetText(), w)
				}
			}
		}
		for _, text := range []string{"help", "op help", "help op", "op", "jobs", "jobs op"} {
			answer, _ := c.say("U1", text)
			if !strings.Contains(answer.GetText(), "🔒") || !strings.Contains(answer.GetText(), "op") {
				t.Errorf("%s: %q", text, answer.GetText())
			}
		}
		if answer, _ := c.say("U1", "jobs op"); !strings.Contains(answer.GetText(), "Say `op deploy`") {
			t.Errorf("what to say is not in %s", answer.GetText())
		}
		if answer, _ := c.say("U1", "op help"); !strings.Contains(answer.GetText(), "op deploy suppress from [start] to [end]") || !strings.Contains(answer.GetText(), "starts after 1m0s") {
			t.Errorf("%s", answer.GetText())
		}
	})
}

func TestHistoryIsFoundByJobPersonOutcomeAndTime(t *testing.T) {
	inChat(t, 1, func(c *chat) {
		failed := c.run("U1", "test say hello to Ann")
		c.started()
		c.do(failed, func(s run.State) run.Command {
			return run.FailStep{Fence: s.Claim.Fence, Attempt: 1, Cause: eventv1.StepFailed_CAUSE_EXIT, ExitCode: 3, Error: "exit code 3", Now: time.Now()}
		})
		c.pass(48 * time.Hour)
		c.run("U2", "op restart")
		for text, want := range map[string]string{
			"history": "op restart", "history test/hello": "Ann", "history hello failed": "failed", "history by <@U1>": "hello", "history test": "Ann", "history since 1d": "restart",
		} {
			if answer, _ := c.say("U1", text); !strings.Contains(answer.GetText(), want) {
				t.Errorf("%s: %q lacks %q", text, answer.GetText(), want)
			}
		}
		if answer, _ := c.say("U1", "history since 1d"); strings.Contains(answer.GetText(), "Ann") {
			t.Errorf("older than a day: %s", answer.GetText())
		}
		if answer, _ := c.say("U1", "history hello succeeded"); strings.Contains(answer.GetText(), "Ann") {
			t.Errorf("the outcome: %s", answer.GetText())
		}
	})
}

func TestDelaysAreSaidOnTheSpot(t *testing.T) {
	inChat(t, 1, func(c *chat) {
		in, at := c.run("U1", "test say hello to Ann --in 10m"), c.run("U1", "test say hello to Bob --at 14:30")
		c.want(in, run.Queued, "starts at 00:10:00")
		c.want(at, run.Queued, "starts at 14:30:00")
		c.pass(10*time.Minute + time.Second)
		if ids := c.started(); len(ids) != 1 || ids[0] != in {
			t.Fatal(ids)
		}
		c.finish(in)
		c.pass(15 * time.Hour)
		if ids := c.started(); len(ids) != 1 || ids[0] != at {
			t.Fatal(ids)
		}
		if answer, _ := c.say("U1", "test say hello to Eve --at yesterday"); answer.GetCode() == "" {
			t.Errorf("accepted: %v", answer)
		}
	})
}

// A hold is on the lane's own subject, so that no start comes after it, even
// from a dispatcher that has not seen it.
func TestNoStartAfterAConfirmedHold(t *testing.T) {
	inChat(t, 2, func(c *chat) {
		for i := range 20 {
			c.run("U1", "op restart")
			from := time.Now()
			if _, _, err := c.replicas[i%2].desk.hold(context.WithoutCancel(c.ctx), member("U1"), "op/restart", lane.Hold{From: from, Until: from.Add(time.Minute)}); err != nil {
				t.Fatal(err)
			}
			c.run("U2", "op restart --in 1s")
			c.pass(30 * time.Second)
			for _, id := range c.started() {
				c.finish(id)
			}
			if again := c.started(); len(again) > 0 {
				t.Fatalf("%v started in the hold", again)
			}
			c.pass(31 * time.Second)
			for _, id := range c.started() {
				c.finish(id)
			}
			c.pass(time.Second)
		}
	})
}

// A job that leaves the configuration while it waits runs all the same: its plan
// was pinned when it was accepted. Nothing new of it starts.
func TestAJobThatLeftTheConfigurationStillRuns(t *testing.T) {
	inChat(t, 1, func(c *chat) {
		running := c.run("U1", "op restart")
		waiting := c.run("U2", "op restart --in 1m")
		c.started()
		cfg, problems := configfile.Parse("test.yaml", []byte(testConfig))
		if len(problems) > 0 {
			t.Fatal(problems.Err())
		}
		without := newAdopted(cfg, board.Config{Sequence: 2})
		r := c.first()
		r.desk.config, r.dispatcher.settings = func() *adopted { return without }, without.settings
		c.finish(running)
		c.pass(61 * time.Second)
		if ids := c.started(); len(ids) != 1 || ids[0] != waiting {
			t.Fatalf("%v started", ids)
		}
		if answer, _ := c.say("U1", "op restart"); answer.GetCode() != "E-VERB-404" {
			t.Errorf("a namespace that is gone: %v", answer)
		}
		if answer, _ := c.say("U1", "cancel "+waiting); !strings.Contains(answer.GetText(), "being cancelled") {
			t.Errorf("cannot be stopped any more: %v", answer)
		}
	})
}
