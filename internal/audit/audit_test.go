package audit

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	eventv1 "github.com/slipway-hq/slipway/gen/slipway/event/v1"
	"github.com/slipway-hq/slipway/internal/eventlog"
)

// history is a log that a test writes by hand, with whole chains.
type history struct {
	now     time.Time
	records []eventlog.Record
	ends    map[string]eventlog.Position
	told    Told
}

func begin() *history {
	return &history{now: time.Date(2026, 11, 2, 9, 0, 0, 0, time.UTC), ends: map[string]eventlog.Position{}, told: Told{
		Quiet: true, Limits: func(string) Limits { return Limits{Concurrency: 2, PerJob: 1, RateLimit: 3, RatePeriod: time.Minute} },
	}}
}

// commit appends events to a subject, and returns the sequence.
func (h *history) commit(subject string, events ...*eventv1.Event) uint64 {
	sequence := uint64(len(h.records)) + 1
	c := &eventv1.Commit{Id: fmt.Sprint(sequence), Time: timestamppb.New(h.now), Events: events}
	h.ends[subject].Chain(c)
	data, _ := proto.Marshal(c)
	rec := eventlog.Decode(subject, sequence, h.now, data)
	h.records, h.ends[subject] = append(h.records, rec), rec.Position()
	return sequence
}

func (h *history) run(id string, events ...*eventv1.Event) uint64 {
	return h.commit("ev.run."+id, events...)
}

func (h *history) lane(events ...*eventv1.Event) uint64 { return h.commit("ev.lane.l", events...) }

// job asks for a run of two steps.
func (h *history) job(id, job string, change ...func(*eventv1.RunRequested)) {
	q := &eventv1.RunRequested{Run: id, Identity: "of " + id, Namespace: "n", Job: job, Plan: &eventv1.Plan{
		Lane: "l", Steps: []*eventv1.Step{{Name: "a"}, {Name: "b"}}, Dedupe: &eventv1.Dedupe{Policy: eventv1.Dedupe_POLICY_MERGE, Key: job},
	}}
	for _, f := range change {
		f(q)
	}
	h.run(id, &eventv1.Event{Kind: &eventv1.Event_RunRequested{RunRequested: q}})
	h.told.Accepted = append(h.told.Accepted, Command{"of " + id, id})
}

func (h *history) grant(runs []string, absorbs ...*eventv1.Absorbed) uint64 {
	return h.lane(&eventv1.Event{Kind: &eventv1.Event_LaneGranted{LaneGranted: &eventv1.LaneGranted{Lane: "l", Runs: runs, Absorbs: absorbs}}})
}

// execute claims a run that has a slot and finishes its steps.
func (h *history) execute(id string, grant uint64) {
	fence := h.run(id, claim(grant), started(0, 0, 1))
	h.run(id, finished(fence, 0, 1), started(fence, 1, 1))
	h.run(id, finished(fence, 1, 1), ended(fence, eventv1.RunEnded_OUTCOME_SUCCEEDED))
}

func claim(grant uint64) *eventv1.Event {
	return &eventv1.Event{Kind: &eventv1.Event_RunClaimed{RunClaimed: &eventv1.RunClaimed{GrantSequence: grant}}}
}

func started(fence uint64, step, attempt uint32) *eventv1.Event {
	return &eventv1.Event{Kind: &eventv1.Event_StepStarted{StepStarted: &eventv1.StepStarted{Fence: fence, Step: step, Attempt: attempt}}}
}

func finished(fence uint64, step, attempt uint32) *eventv1.Event {
	return &eventv1.Event{Kind: &eventv1.Event_StepFinished{StepFinished: &eventv1.StepFinished{Fence: fence, Step: step, Attempt: attempt}}}
}

func interrupted() *eventv1.Event {
	return &eventv1.Event{Kind: &eventv1.Event_StepInterrupted{StepInterrupted: &eventv1.StepInterrupted{Attempt: 1}}}
}

func lapsed(fence uint64) *eventv1.Event {
	return &eventv1.Event{Kind: &eventv1.Event_ClaimLapsed{ClaimLapsed: &eventv1.ClaimLapsed{Fence: fence}}}
}

func ended(fence uint64, outcome eventv1.RunEnded_Outcome) *eventv1.Event {
	return &eventv1.Event{Kind: &eventv1.Event_RunEnded{RunEnded: &eventv1.RunEnded{Fence: fence, Outcome: outcome}}}
}

func merged(into string) *eventv1.Event {
	return &eventv1.Event{Kind: &eventv1.Event_RunEnded{RunEnded: &eventv1.RunEnded{Outcome: eventv1.RunEnded_OUTCOME_MERGED, MergedInto: into}}}
}

func absorb(run, into string) *eventv1.Absorbed {
	return &eventv1.Absorbed{Run: run, Into: into, Kind: eventv1.Absorbed_KIND_MERGED}
}

func (h *history) hold(id, job string) uint64 {
	return h.lane(&eventv1.Event{Kind: &eventv1.Event_LaneHeld{LaneHeld: &eventv1.LaneHeld{Lane: "l", Hold: id, Job: job, From: timestamppb.New(h.now), Until: timestamppb.New(h.now.Add(time.Hour))}}})
}

func change(paused bool, concurrency uint32) *eventv1.Event {
	return &eventv1.Event{Kind: &eventv1.Event_LaneChanged{LaneChanged: &eventv1.LaneChanged{Lane: "l", Paused: paused, Concurrency: concurrency}}}
}

// whole is a history in which every promise is kept.
func whole() *history {
	h := begin()
	h.job("j-a", "x")
	h.job("j-b", "x")
	h.job("j-c", "y", func(q *eventv1.RunRequested) { q.DespiteHold = "urgent" })
	g := h.grant([]string{"j-a"}, absorb("j-b", "j-a"))
	fence := h.run("j-a", claim(g), started(0, 0, 1))
	h.run("j-b", merged("j-a"))
	h.hold("h-1", "")
	h.told.Holds = []string{"h-1"}
	h.run("j-a", lapsed(fence))
	fence = h.run("j-a", claim(g), interrupted(), started(0, 0, 2))
	h.run("j-a", finished(fence, 0, 2), started(fence, 1, 1))
	h.execute("j-c", h.grant([]string{"j-c"}))
	h.run("j-a", finished(fence, 1, 1), ended(fence, eventv1.RunEnded_OUTCOME_SUCCEEDED))
	return h
}

func TestAWholeHistoryPasses(t *testing.T) {
	h := whole()
	if faults := Check(h.records, h.told); len(faults) > 0 {
		t.Error(strings.Join(faults, "\n"))
	}
}

// TestEveryBrokenPromiseIsSeen doctors histories, one for each way to break one.
func TestEveryBrokenPromiseIsSeen(t *testing.T) {
	for name, c := range map[string]struct {
		promise string
		doctor  func(h *history)
	}{
		"a commit is missing":         {"chain", func(h *history) { h.records = append(h.records[:7:7], h.records[8:]...) }},
		"a byte is flipped":           {"chain", func(h *history) { h.records[3].Data[len(h.records[3].Data)-1] ^= 1 }},
		"records change places":       {"chain", func(h *history) { h.records[1], h.records[2] = h.records[2], h.records[1] }},
		"a record is unreadable":      {"chain", func(h *history) { h.records[1].Commit = nil }},
		"a commit is stored twice":    {"chain", func(h *history) { h.records[5].Commit.Id = h.records[4].Commit.GetId() }},
		"an accepted run is missing":  {"command", func(h *history) { h.told.Accepted = append(h.told.Accepted, Command{"of j-z", "j-z"}) }},
		"a run of another request":    {"command", func(h *history) { h.told.Accepted = append(h.told.Accepted, Command{"of j-z", "j-a"}) }},
		"two runs of one request":     {"command", func(h *history) { h.job("j-z", "z", func(q *eventv1.RunRequested) { q.Identity = "of j-a" }) }},
		"a run that nobody asked for": {"command", func(h *history) { h.run("j-z", ended(0, eventv1.RunEnded_OUTCOME_FAILED)) }},
		"a run on a foreign subject":  {"command", func(h *history) { h.job("j-z", "z", func(q *eventv1.RunRequested) { q.Run = "j-y" }) }},
		"a cancel that is lost":       {"command", func(h *history) { h.told.Cancelled = append(h.told.Cancelled, "j-c") }},
		"a hold that is lost":         {"hold", func(h *history) { h.told.Holds = append(h.told.Holds, "h-2") }},
		"a run without an end":        {"end", func(h *history) { h.job("j-z", "z") }},
		"two ends":                    {"end", func(h *history) { h.run("j-b", merged("j-a")) }},
		"a claim after the end":       {"end", func(h *history) { h.run("j-a", claim(4)) }},
		"a refusal of what started": {"end", func(h *history) {
			h.live("j-z", func(fence uint64) {
				h.run("j-z", &eventv1.Event{Kind: &eventv1.Event_RunRefused{RunRefused: &eventv1.RunRefused{}}})
			})
		}},
		"two live claims": {"fence", func(h *history) {
			h.live("j-z", func(uint64) { h.run("j-z", claim(h.records[len(h.records)-2].Sequence)) })
		}},
		"an older fence after a newer one": {"fence", func(h *history) {
			h.live("j-z", func(f uint64) { h.run("j-z", lapsed(f)); h.run("j-z", finished(f, 0, 1)) })
		}},
		"an end that the holder did not make": {"fence", func(h *history) {
			h.live("j-z", func(uint64) { h.run("j-z", ended(0, eventv1.RunEnded_OUTCOME_CANCELLED)) })
		}},
		"a lapse of another's claim": {"fence", func(h *history) { h.live("j-z", func(f uint64) { h.run("j-z", lapsed(f-1)) }) }},
		"a step that finishes twice": {"step", func(h *history) {
			h.live("j-z", func(f uint64) { h.run("j-z", finished(f, 0, 1)); h.run("j-z", finished(f, 0, 1)) })
		}},
		"a finished step starts":           {"step", func(h *history) { h.live("j-z", func(f uint64) { h.run("j-z", finished(f, 0, 1), started(f, 0, 2)) }) }},
		"two attempts at once":             {"step", func(h *history) { h.live("j-z", func(f uint64) { h.run("j-z", started(f, 0, 2)) }) }},
		"an attempt that is counted wrong": {"step", func(h *history) { h.live("j-z", func(f uint64) { h.run("j-z", finished(f, 0, 1), started(f, 1, 2)) }) }},
		"a step that is jumped":            {"step", func(h *history) { h.live("j-z", func(f uint64) { h.run("j-z", started(f, 1, 1)) }) }},
		"success without all steps": {"step", func(h *history) {
			h.live("j-z", func(f uint64) { h.run("j-z", ended(f, eventv1.RunEnded_OUTCOME_SUCCEEDED)) })
		}},
		"a carried step starts": {"step", func(h *history) {
			h.job("j-z", "z", func(q *eventv1.RunRequested) { q.Carried = []*eventv1.CarriedStep{{Step: 0}}; q.DespiteHold = "x" })
			h.run("j-z", claim(h.grant([]string{"j-z"})), started(0, 0, 1))
		}},
		"more than the limit": {"lane", func(h *history) {
			for _, id := range []string{"j-x", "j-y", "j-z"} {
				h.live(id, func(uint64) {})
			}
		}},
		"more than a limit set at run time": {"lane", func(h *history) {
			h.lane(change(false, 1))
			h.live("j-y", func(uint64) {})
			h.live("j-z", func(uint64) {})
		}},
		"more of a job than may": {"lane", func(h *history) {
			h.live("j-y", func(uint64) {}, func(q *eventv1.RunRequested) { q.Job = "one" })
			h.live("j-z", func(uint64) {}, func(q *eventv1.RunRequested) { q.Job = "one" })
		}},
		"faster than the rate": {"lane", func(h *history) {
			for _, id := range []string{"j-y", "j-z"} {
				h.live(id, func(f uint64) { h.run(id, ended(f, eventv1.RunEnded_OUTCOME_FAILED)) })
			}
		}},
		"a second slot":              {"lane", func(h *history) { h.grant([]string{"j-c"}) }},
		"a slot for nobody":          {"lane", func(h *history) { h.grant([]string{"j-z"}) }},
		"a slot in another lane":     {"lane", func(h *history) { h.live("j-z", func(uint64) {}, func(q *eventv1.RunRequested) { q.Plan.Lane = "m" }) }},
		"a claim without a slot":     {"lane", func(h *history) { h.job("j-z", "z"); h.run("j-z", claim(4)) }},
		"a slot that is freed early": {"lane", func(h *history) { h.live("j-z", func(uint64) { h.free("j-z") }) }},
		"a start in a hold":          {"hold", func(h *history) { h.job("j-z", "z"); h.grant([]string{"j-z"}) }},
		"a start in a pause":         {"pause", func(h *history) { h.lane(change(true, 0)); h.live("j-z", func(uint64) {}) }},
		"a start before its time": {"delay", func(h *history) {
			h.live("j-z", func(uint64) {}, func(q *eventv1.RunRequested) { q.StartAfter = timestamppb.New(h.now.Add(1)) })
		}},
		"merged into what never ran":  {"merge", func(h *history) { h.job("j-y", "y"); h.job("j-z", "y"); h.run("j-y", merged("j-z")) }},
		"merged without the lane":     {"merge", func(h *history) { h.job("j-z", "x"); h.run("j-z", merged("j-a")) }},
		"merged after it ran":         {"merge", func(h *history) { h.live("j-z", func(uint64) { h.run("j-z", merged("j-a")) }) }},
		"merged with another job":     {"merge", func(h *history) { h.job("j-z", "z"); h.grant(nil, absorb("j-z", "j-a")) }},
		"merged and executed as well": {"merge", func(h *history) { h.job("j-z", "x"); h.grant(nil, absorb("j-z", "j-a")); h.grant([]string{"j-z"}) }},
		"merged while it has a slot":  {"merge", func(h *history) { h.live("j-z", func(uint64) { h.grant(nil, absorb("j-z", "j-c")) }) }},
	} {
		t.Run(name, func(t *testing.T) {
			h := whole()
			c.doctor(h)
			faults := Check(h.records, h.told)
			for _, f := range faults {
				if strings.HasPrefix(f, c.promise+":") {
					return
				}
			}
			t.Errorf("the audit finds %q, and no broken %s", faults, c.promise)
		})
	}
}

// live asks for a run that no hold stops, and claims it.
func (h *history) live(id string, then func(fence uint64), changes ...func(*eventv1.RunRequested)) {
	h.job(id, id, append(changes, func(q *eventv1.RunRequested) { q.DespiteHold = "urgent" })...)
	then(h.run(id, claim(h.grant([]string{id})), started(0, 0, 1)))
}

func (h *history) free(id string) {
	h.lane(&eventv1.Event{Kind: &eventv1.Event_LaneGranted{LaneGranted: &eventv1.LaneGranted{Lane: "l", Freed: []string{id}}}})
}
