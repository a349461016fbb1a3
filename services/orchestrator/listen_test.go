package orchestrator

import (
	"context"
	"maps"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/slipway-hq/slipway/domain/board"
	"github.com/slipway-hq/slipway/domain/identity"
	"github.com/slipway-hq/slipway/domain/listen"
	"github.com/slipway-hq/slipway/domain/policy"
	"github.com/slipway-hq/slipway/domain/run"
	commandv1 "github.com/slipway-hq/slipway/gen/slipway/command/v1"
	eventv1 "github.com/slipway-hq/slipway/gen/slipway/event/v1"
	"github.com/slipway-hq/slipway/internal/eventlog/memlog"
	"github.com/slipway-hq/slipway/internal/topology"
)

const listenConfig = testConfig + `  "crew:*": {concurrency: 20}
namespaces:
  crew:
    jobs:
      answer: { run: "true", pool: "*", report: { stdout: true } }
      update: { run: "true {build}", params: { build: { default: none } }, dedupe: { policy: all } }
      bench: { run: "true {what}", params: { what: { type: enum, values: [cpu, disk] } } }
    listen:
      roll-call: { match: roll call, job: answer, runners: every }
      green: { match: '.*#(?P<build>\d+) passed.*', job: update, from: { bots: [B0CI] }, attachments: true }
      bench: { match: 'bench (?P<what>\w+)( on (?P<host>\S+))?', job: bench, runners: "{host}" }
      forge: { match: heat up, job: update, runners: forge }
  vault:
    restricted: true
    jobs: { open: { run: "true" } }
    listen: { sesame: { match: open sesame, job: open } }
`

// overheardBy is a message that a listener of the configuration waits for, from a member.
func overheardBy(listener, match, ts string, parts map[string]string) *commandv1.Envelope {
	namespace, name, _ := strings.Cut(listener, "/")
	return &commandv1.Envelope{
		Identity: "listen|T1|C1|" + ts + "|" + listener, Received: timestamppb.Now(),
		Principal: &eventv1.Principal{Kind: eventv1.Principal_KIND_SLACK_USER, Team: "T1", User: "U1"},
		Origin:    &eventv1.Origin{Door: eventv1.Origin_DOOR_LISTEN, Team: "T1", Channel: "C1", MessageTs: ts, Source: listener},
		Standing:  &commandv1.Standing{Known: true},
		Body:      &commandv1.Envelope_Caught{Caught: &commandv1.Caught{Namespace: namespace, Listener: name, Match: match, Parts: parts}},
	}
}

func rollCall(ts string) *commandv1.Envelope {
	return overheardBy("crew/roll-call", "roll call", ts, nil)
}

// jobs are the runs of a job that the board keeps whole, by the runner that each is for.
func (h *house) jobs(job string) map[string]run.State {
	h.t.Helper()
	synctest.Wait()
	var ids []string
	h.first().proj.Read(func(b *board.Board) {
		b.Each(func(l *board.Live) {
			if l.State.Job == job {
				ids = append(ids, l.State.ID)
			}
		})
	})
	out := map[string]run.State{}
	for _, id := range ids {
		s := h.state(id)
		out[s.Plan.GetRunner()] = s
	}
	return out
}

func TestARollCallAsksEachRunnerOnceAndEachAnswers(t *testing.T) {
	inHouseOf(t, listenConfig, 2, func(h *house) {
		crew := map[string]*commandv1.Lease{"anvil": living("anvil", 4), "forge": living("forge", 4), "kiln": living("kiln", 4)}
		crew["kiln"].Pools = []string{"gpu"}
		h.live(slices.Collect(maps.Values(crew))...)
		for range 3 { // to both replicas, again and again
			h.told(rollCall("1.1"))
		}
		runs := h.jobs("answer")
		if got := slices.Sorted(maps.Keys(runs)); !slices.Equal(got, []string{"anvil", "forge", "kiln"}) {
			t.Fatalf("asked %v", got)
		}
		for name, s := range runs {
			if s.ID != identity.RunID(identity.Job, listen.RunIdentity("listen|T1|C1|1.1|crew/roll-call", "r-"+name)) || s.Plan.GetQueueTimeout().AsDuration() != time.Minute {
				t.Errorf("the run of %s: %s, waits %s", name, s.ID, s.Plan.GetQueueTimeout().AsDuration())
			}
		}
		to, hints := h.offeredTo()
		for i, name := range to {
			if s := h.state(hints[i].GetRun()); s.Plan.GetRunner() != name {
				t.Errorf("the run for %s was offered to %s", s.Plan.GetRunner(), name)
			} else if !s.Claimed() {
				h.claimAs(hints[i], crew[name])
			}
		}
		for name, s := range runs {
			if s := h.state(s.ID); !s.Claimed() || s.Claim.Host != name {
				t.Errorf("%s did not claim its run", name)
			}
		}
	})
}

// The commit says who is asked. When the orchestrator dies between it and the
// runs, whoever gets the message again starts exactly those, however many runners
// there are by then.
func TestARollCallCutShortIsCompletedAsItWasDecided(t *testing.T) {
	inHouseOf(t, listenConfig, 2, func(h *house) {
		h.live(living("anvil", 4), living("forge", 4))
		started := 0
		h.log.SetFault(func(a memlog.Attempt) memlog.Fault {
			if _, isRun := topology.ParseRunSubject(a.Subject); isRun && a.Expect == 0 { // a request
				if started++; started > 1 {
					return memlog.Unknown(memlog.Never)
				}
			}
			return memlog.Fault{}
		})
		cut, cancel := context.WithTimeout(h.ctx, decideWait)
		defer cancel()
		if _, err := h.replicas[0].clerk.command(cut, rollCall("1.1")); !transient(err) {
			t.Fatalf("cut short: %v", err)
		}
		if n := len(h.jobs("answer")); n != 1 {
			t.Fatalf("%d runs before the second delivery", n)
		}
		h.log.SetFault(nil)
		h.live(living("anvil", 4), living("kiln", 4)) // forge is gone, another has come
		if _, err := h.replicas[1].clerk.command(h.ctx, rollCall("1.1")); err != nil {
			t.Fatal(err)
		}
		runs := h.jobs("answer")
		if got := slices.Sorted(maps.Keys(runs)); !slices.Equal(got, []string{"anvil", "forge"}) {
			t.Errorf("asked %v", got)
		}
		h.first().view.world = worldOf(h)
		if got := h.shown(runs["forge"].ID); got != "waiting 0 runner forge is not connected: slipway runners shows who is" {
			t.Error(got)
		}
		time.Sleep(time.Minute + 2*sweepEvery) // fake time
		if got := h.shown(runs["forge"].ID); got != "timed out 0 waited for a slot and runner forge for longer than 1m0s" {
			t.Error(got)
		}
	})
}

func TestNobodyAliveIsSaid(t *testing.T) {
	inHouseOf(t, listenConfig, 1, func(h *house) {
		if _, err := h.first().clerk.command(h.ctx, rollCall("1.0")); !transient(err) {
			t.Errorf("before the leases are known: %v", err)
		}
		h.mu.Lock()
		h.leases = []*commandv1.Lease{}
		h.mu.Unlock()
		if a := h.told(rollCall("1.1")); a.GetCode() != codeNoRunner || !strings.HasPrefix(a.GetText(), "Nobody answers: no runner of any pool is connected.") {
			t.Error(a.GetText())
		}
		h.live(living("late", 1))
		if h.told(rollCall("1.1")); len(h.jobs("answer")) != 0 {
			t.Error("who came after the message was asked by it")
		}
	})
}

func TestAMessageStartsOneRunOnAnyOrOnTheNamedRunner(t *testing.T) {
	inHouseOf(t, listenConfig, 2, func(h *house) {
		h.live(living("anvil", 4), living("kiln", 4))
		const match = `bench (?P<what>\w+)( on (?P<host>\S+))?`
		bench := func(ts string, parts map[string]string) string {
			return h.told(overheardBy("crew/bench", match, ts, parts)).GetText()
		}
		bench("1", map[string]string{"what": "cpu"})
		if s, ok := h.jobs("bench")[""]; !ok || s.Parameters["what"] != "cpu" || s.Plan.GetRunner() != "" {
			t.Error("without a name any runner may take it")
		}
		bench("2", map[string]string{"what": "disk", "host": "ANVIL"})
		if s, ok := h.jobs("bench")["anvil"]; !ok || s.Parameters["what"] != "disk" || s.Parameters["host"] != "" {
			t.Error("the named runner was not asked")
		}
		if got := bench("3", map[string]string{"what": "cpu", "host": "anvl"}); !strings.HasPrefix(got, "No runner `anvl` is connected. Did you mean `anvil`? Nothing was started.") {
			t.Error(got)
		}
		if got := bench("4", map[string]string{"what": "cpu", "host": "every"}); !strings.HasPrefix(got, "No runner `every` is connected.") {
			t.Error(got)
		}
		if got := bench("5", map[string]string{"what": "gpu"}); !strings.Contains(got, "gpu") {
			t.Errorf("a value that the job does not take: %q", got)
		}
		if n := len(h.jobs("bench")); n != 2 {
			t.Errorf("%d runs, want the two that were fine", n)
		}
		h.told(overheardBy("crew/forge", "heat up", "6", nil))
		if s, ok := h.jobs("update")["forge"]; !ok || s.Status != run.Queued {
			t.Error("the runner that the configuration names need not be there yet")
		}
	})
}

func TestABotThatIsNamedStartsAJobAndNobodyElse(t *testing.T) {
	inHouseOf(t, listenConfig, 2, func(h *house) {
		green := func(ts string, change func(*commandv1.Caught)) {
			e := overheardBy("crew/green", `.*#(?P<build>\d+) passed.*`, ts, map[string]string{"build": "7"})
			e.Principal, e.Standing = &eventv1.Principal{Kind: eventv1.Principal_KIND_SYSTEM, Team: "T1", Name: "bot:B0CI"}, &commandv1.Standing{Known: true, Bot: true}
			e.GetCaught().Bot, e.GetCaught().Attachment = "B0CI", true
			change(e.GetCaught())
			h.told(e)
		}
		count := func() (n int) {
			synctest.Wait()
			h.first().proj.Read(func(b *board.Board) { n = b.Count() })
			return n
		}
		green("1", func(*commandv1.Caught) {})
		if s := h.jobs("update")[""]; s.Parameters["build"] != "7" || s.Origin.GetMessageTs() != "1" || s.Requester.GetName() != "bot:B0CI" {
			t.Errorf("the run of the bot's post: %+v", s)
		}
		before := count()
		green("2", func(c *commandv1.Caught) { c.Bot = "B0OTHER" })
		green("3", func(c *commandv1.Caught) { c.Edited = true })
		green("4", func(c *commandv1.Caught) { c.Deleted = true })
		green("5", func(c *commandv1.Caught) { c.Bot, c.App = "", "" }) // as if a person had written it
		if n := count(); n != before {
			t.Errorf("%d more runs", n-before)
		}
	})
}

// People have the rights that they have for a command, and a no leaves no run.
func TestAListenerGivesNobodyRights(t *testing.T) {
	inHouseOf(t, listenConfig, 1, func(h *house) {
		sesame := func(ts string, change func(*commandv1.Standing)) *commandv1.Answer {
			e := overheardBy("vault/sesame", "open sesame", ts, nil)
			change(e.GetStanding())
			return h.told(e)
		}
		for ts, c := range map[string]struct {
			change func(*commandv1.Standing)
			code   string
		}{
			"1": {func(*commandv1.Standing) {}, ""},
			"2": {func(s *commandv1.Standing) { s.Guest = true }, policy.CodeRestricted},
			"3": {func(s *commandv1.Standing) { s.Bot = true }, policy.CodeBot},
			"4": {func(s *commandv1.Standing) { s.Known = false }, policy.CodeUnknown},
			"5": {func(s *commandv1.Standing) { s.Deleted = true }, policy.CodeDeleted},
		} {
			if a := sesame(ts, c.change); a.GetCode() != c.code {
				t.Errorf("%s: %s %q, want %q", ts, a.GetCode(), a.GetText(), c.code)
			}
			if known := h.first().view.known(identity.RunID(identity.Job, "listen|T1|C1|"+ts+"|vault/sesame")); known != (c.code == "") {
				t.Errorf("%s left a run: %t", ts, known)
			}
		}
	})
}

// The door's configuration may be a moment ahead; one that is behind for good, or
// another match, starts nothing.
func TestAListenerThatHasChangedStartsNothing(t *testing.T) {
	inHouseOf(t, listenConfig, 1, func(h *house) {
		e := overheardBy("crew/roll-call", "another match", "1", nil)
		if _, err := h.first().clerk.command(h.ctx, proto.CloneOf(e)); !transient(err) {
			t.Errorf("at first it waits for the configuration: %v", err)
		}
		time.Sleep(configLag + time.Second) // fake time
		if a, err := h.first().clerk.command(h.ctx, e); err != nil || a.GetText() != "" || len(h.jobs("answer")) > 0 {
			t.Errorf("then it starts nothing: %v, %v", a, err)
		}
	})
}
