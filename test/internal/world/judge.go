package world

import (
	"encoding/json"
	"fmt"
	"slices"
	"sort"

	apiv1 "github.com/slipway-hq/slipway/gen/slipway/api/v1"
)

// event is what Judge needs of an event's JSON.
type event struct {
	Step      int  `json:"step"`
	Attempt   int  `json:"attempt"`
	Confirmed bool `json:"confirmed"`
}

// finish is a step that the log calls finished.
type finish struct {
	attempt   int
	fence     uint64
	confirmed bool // by a person or a probe: the attempt itself was interrupted
}

// Judge checks from outside what Slipway promises of the runs that have ended:
// one end each, one live claim at a time and no commit under an older fence, no
// finished step that ran again, nothing of a lost runner beside its successor,
// no lane over its limit. limits names the lanes whose limit is not one.
func (w *World) Judge(runs []*apiv1.Run, limits map[string]int) {
	w.T.Helper()
	effects := w.Effects()
	for _, e := range effects {
		if e.Kind == "overlap" {
			w.T.Errorf("%s %s, attempt %d under fence %d, began while another process had its place", e.Run, e.Step, e.Attempt, e.Fence)
		}
	}
	lanes := map[string][]span{}
	for _, r := range runs {
		own := slices.DeleteFunc(slices.Clone(effects), func(e Effect) bool { return e.Run != r.GetId() })
		s := w.judge(r, w.Events(r.GetId()), own)
		if s.claimed != 0 {
			lanes[r.GetLane()] = append(lanes[r.GetLane()], s)
		}
	}
	for lane, spans := range lanes {
		limit := max(1, limits[lane])
		if n := most(spans); n > limit {
			w.T.Errorf("lane %s had %d runs at once, its limit is %d: %+v", lane, n, limit, spans)
		}
	}
}

// span is the part of the log in which a run certainly held its slot.
type span struct {
	run            string
	claimed, ended uint64
}

// most is how many spans overlap at most.
func most(spans []span) int {
	type edge struct {
		at   uint64
		step int
	}
	var edges []edge
	for _, s := range spans {
		edges = append(edges, edge{s.claimed, 1}, edge{s.ended, -1})
	}
	sort.Slice(edges, func(i, j int) bool {
		return edges[i].at < edges[j].at || edges[i].at == edges[j].at && edges[i].step < edges[j].step
	})
	n, top := 0, 0
	for _, e := range edges {
		n += e.step
		top = max(top, n)
	}
	return top
}

func (w *World) judge(r *apiv1.Run, events []*apiv1.RunEvent, effects []Effect) span {
	w.T.Helper()
	s, done := span{run: r.GetId()}, map[string]finish{}
	var fence, highest uint64
	ends := 0
	for i, e := range events {
		var body event
		w.parse(e, &body)
		switch e.GetName() {
		case "RunRequested":
			if i != 0 {
				w.T.Errorf("%s was requested twice", r.GetId())
			}
		case "RunClaimed":
			if fence != 0 || e.GetSequence() <= highest {
				w.T.Errorf("%s: claim %d beside claim %d", r.GetId(), e.GetSequence(), fence)
			}
			fence, highest = e.GetSequence(), e.GetSequence()
			if s.claimed == 0 {
				s.claimed = fence
			}
		case "ClaimReleased", "ClaimLapsed":
			w.fenced(r, e, fence)
			fence = 0
		case "StepStarted", "StepFailed", "StepInterrupted":
			w.fenced(r, e, fence)
		case "StepFinished":
			w.fenced(r, e, fence)
			name := r.GetSteps()[body.Step].GetName()
			if _, twice := done[name]; twice {
				w.T.Errorf("%s: step %s was finished twice", r.GetId(), name)
			}
			done[name] = finish{body.Attempt, e.GetFence(), body.Confirmed}
		case "RunEnded", "RunRefused":
			ends++
			s.ended = e.GetSequence()
			if i != len(events)-1 {
				w.T.Errorf("%s: %s after its end", r.GetId(), events[i+1].GetName())
			}
		}
	}
	if ends != 1 || !Terminal(r.GetStatus()) {
		w.T.Errorf("%s ended %d times and is %s", r.GetId(), ends, r.GetStatus())
	}
	w.judgeEffects(r, done, effects)
	return s
}

// parse reads the one field of an event's JSON.
func (w *World) parse(e *apiv1.RunEvent, into *event) {
	w.T.Helper()
	fields := map[string]json.RawMessage{}
	if err := json.Unmarshal([]byte(e.GetJson()), &fields); err != nil {
		w.T.Fatalf("event %s: %v", e.GetJson(), err)
	}
	for _, body := range fields {
		if err := json.Unmarshal(body, into); err != nil {
			w.T.Fatalf("event %s: %v", e.GetJson(), err)
		}
	}
}

func (w *World) fenced(r *apiv1.Run, e *apiv1.RunEvent, fence uint64) {
	w.T.Helper()
	if fence == 0 || e.GetFence() != fence {
		w.T.Errorf("%s: %s at %d under fence %d, the claim is %d", r.GetId(), e.GetName(), e.GetSequence(), e.GetFence(), fence)
	}
}

// judgeEffects compares what the steps wrote with what the log says.
func (w *World) judgeEffects(r *apiv1.Run, done map[string]finish, effects []Effect) {
	w.T.Helper()
	var fence uint64
	seen := map[string]bool{}
	for _, e := range effects {
		if e.Kind != "start" && e.Kind != "end" {
			continue
		}
		if e.Fence < fence {
			w.T.Errorf("%s: %s of %s under fence %d after one under %d", r.GetId(), e.Kind, e.Step, e.Fence, fence)
		}
		fence = e.Fence
		once := fmt.Sprintf("%s %s %d %d", e.Kind, e.Step, e.Attempt, e.Fence)
		if seen[once] {
			w.T.Errorf("%s: %s is there twice", r.GetId(), once)
		}
		seen[once] = true
		if f, ok := done[e.Step]; ok && (e.Attempt > f.attempt || e.Fence > f.fence) {
			w.T.Errorf("%s: %s was finished by attempt %d under fence %d, and attempt %d ran under %d", r.GetId(), e.Step, f.attempt, f.fence, e.Attempt, e.Fence)
		}
	}
	for _, s := range r.GetSteps() {
		if f, ok := done[s.GetName()]; ok && !f.confirmed && !seen[fmt.Sprintf("end %s %d %d", s.GetName(), f.attempt, f.fence)] {
			w.T.Errorf("%s: the log says that %s finished in attempt %d, the file does not", r.GetId(), s.GetName(), f.attempt)
		}
	}
}

// endWords are what a final card says.
var endWords = map[apiv1.RunStatus]string{
	apiv1.RunStatus_RUN_STATUS_SUCCEEDED: "Succeeded",
	apiv1.RunStatus_RUN_STATUS_FAILED:    "Failed",
	apiv1.RunStatus_RUN_STATUS_CANCELLED: "Cancelled",
	apiv1.RunStatus_RUN_STATUS_TIMED_OUT: "Timed out",
}

// JudgeCard waits until the card of a run shows its end and the thread says so,
// and checks that there is one of each message.
func (w *World) JudgeCard(r *apiv1.Run) {
	w.T.Helper()
	card := w.Card(r.GetId(), endWords[r.GetStatus()])
	w.Eventually("the verdict in the thread of "+r.GetId(), func() bool {
		return slices.ContainsFunc(w.Slack.Thread(card.Channel, card.TS), func(m Message) bool { return MarkOf(m).Milestone == "ended" })
	})
	if cards := w.Cards(r.GetId()); len(cards) != 1 {
		w.T.Errorf("%s has %d cards: %v", r.GetId(), len(cards), visible(cards))
	}
	marks := map[string]int{}
	for _, m := range w.Slack.Thread(card.Channel, card.TS) {
		if mark := MarkOf(m); mark.Milestone != "" {
			if marks[mark.Milestone]++; marks[mark.Milestone] > 1 {
				w.T.Errorf("%s: milestone %s is there %d times", r.GetId(), mark.Milestone, marks[mark.Milestone])
			}
		}
	}
}
