package audit

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	eventv1 "github.com/slipway-hq/slipway/gen/slipway/event/v1"
	"github.com/slipway-hq/slipway/internal/eventlog"
)

// Effect is one line that a step wrote outside of Slipway when it began
// (Started), came to its end (Ended), or found another process in its place
// (Overlapped). Effects stand in the order in which they were written.
type Effect struct {
	Kind      EffectKind
	Run, Step string
	Attempt   uint32
	Fence     uint64
}

// EffectKind is what a step says of itself.
type EffectKind string

// The kinds of effects.
const (
	Started    EffectKind = "start"
	Ended      EffectKind = "end"
	Overlapped EffectKind = "overlap"
)

// Post is one of our messages in Slack as people see it at the end.
type Post struct {
	Run, Milestone      string // Milestone Card is the card; every other stands in a thread
	Channel, Thread, TS string
	Text                string
}

// Milestones that the audit knows.
const (
	Card   = "card"
	Ending = "ended"
)

// Slack is everything that Slack shows at the end.
type Slack struct {
	Posts []Post
	// Signs are the names of our reactions by "CHANNEL TS".
	Signs map[string][]string
	// Hidden: Slack hid a message of ours while somebody looked for it, after
	// which that message may be there twice.
	Hidden bool
}

// View is a run as one replica shows it.
type View struct {
	Run      string
	Sequence uint64 // of the last commit that it has seen of the run
	Outcome  string // "SUCCEEDED" and so on; "REFUSED"; empty while it has not ended
	Text     string // everything that is shown
}

// finish is how the log says that a step was finished.
type finish struct {
	attempt   uint32
	fence     uint64
	confirmed bool // by a person or a probe: the attempt itself was interrupted
}

// attempt names one execution of a step.
type attempt struct {
	step    string
	attempt uint32
	fence   uint64
}

// account is what the log says of a run, as far as others can see it.
type account struct {
	request  *eventv1.RunRequested
	began    map[attempt]bool
	finished map[string]finish
	outcome  string
	into     string
	last     uint64
	fence    uint64
}

// accounts reads the log in the plainest way: what contradicts itself there is
// Check's to find.
func accounts(records []eventlog.Record) map[string]*account {
	all := map[string]*account{}
	for _, rec := range records {
		id, ok := strings.CutPrefix(rec.Subject, "ev.run.")
		if !ok || rec.Commit == nil {
			continue
		}
		for _, e := range rec.Commit.GetEvents() {
			if q := e.GetRunRequested(); q != nil && all[id] == nil {
				all[id] = &account{request: q, began: map[attempt]bool{}, finished: map[string]finish{}}
			}
			if h := all[id]; h != nil {
				h.read(rec.Sequence, e)
			}
		}
	}
	return all
}

func (h *account) read(sequence uint64, e *eventv1.Event) {
	h.last = sequence
	under := func(fence uint64) uint64 {
		if fence == 0 { // in the commit of the claim itself
			return h.fence
		}
		return fence
	}
	switch k := e.GetKind().(type) {
	case *eventv1.Event_RunClaimed:
		h.fence = sequence
	case *eventv1.Event_StepStarted:
		h.began[attempt{h.step(k.StepStarted.GetStep()), k.StepStarted.GetAttempt(), under(k.StepStarted.GetFence())}] = true
	case *eventv1.Event_StepFinished:
		f := k.StepFinished
		h.finished[h.step(f.GetStep())] = finish{f.GetAttempt(), under(f.GetFence()), f.GetConfirmed()}
	case *eventv1.Event_RunRefused:
		h.outcome = "REFUSED"
	case *eventv1.Event_RunEnded:
		h.outcome, h.into = strings.TrimPrefix(k.RunEnded.GetOutcome().String(), "OUTCOME_"), k.RunEnded.GetMergedInto()
	}
}

func (h *account) step(i uint32) string {
	if steps := h.request.GetPlan().GetSteps(); int(i) < len(steps) {
		return steps[i].GetName()
	}
	return fmt.Sprint("step ", i)
}

// sentences collects what is broken, up to maxFaults.
type sentences []string

func (s *sentences) add(promise, format string, args ...any) {
	if len(*s) < maxFaults {
		*s = append(*s, promise+": "+fmt.Sprintf(format, args...))
	}
}

// Effects compares what steps did outside with the log. Its sentences begin
// with: effect.
func Effects(records []eventlog.Record, effects []Effect) []string {
	var faults sentences
	all := accounts(records)
	newest := map[string]uint64{}
	seen := map[string]map[attempt]map[EffectKind]bool{}
	for _, e := range effects {
		h, a := all[e.Run], attempt{e.Step, e.Attempt, e.Fence}
		if seen[e.Run] == nil {
			seen[e.Run] = map[attempt]map[EffectKind]bool{}
		}
		if seen[e.Run][a] == nil {
			seen[e.Run][a] = map[EffectKind]bool{}
		}
		switch f, done := h.finish(e.Step); {
		case h == nil || !h.began[a]:
			faults.add("effect", "%s of %s ran as attempt %d under fence %d, of which the log knows nothing", e.Step, e.Run, e.Attempt, e.Fence)
		case e.Kind == Overlapped:
			faults.add("effect", "%s of %s, attempt %d under fence %d, began while another process had its place", e.Step, e.Run, e.Attempt, e.Fence)
		case e.Fence < newest[e.Run]:
			faults.add("effect", "%s of %s under fence %d wrote its %s after one under %d", e.Step, e.Run, e.Fence, e.Kind, newest[e.Run])
		case seen[e.Run][a][e.Kind]:
			faults.add("effect", "%s of %s wrote the %s of attempt %d under fence %d twice", e.Step, e.Run, e.Kind, e.Attempt, e.Fence)
		case done && (e.Attempt > f.attempt || e.Fence > f.fence):
			faults.add("effect", "%s of %s was finished by attempt %d under fence %d, and attempt %d ran under %d", e.Step, e.Run, f.attempt, f.fence, e.Attempt, e.Fence)
		}
		seen[e.Run][a][e.Kind] = true
		newest[e.Run] = max(newest[e.Run], e.Fence)
	}
	for _, id := range slices.Sorted(maps.Keys(all)) {
		for step, f := range all[id].finished {
			if !f.confirmed && !seen[id][attempt{step, f.attempt, f.fence}][Ended] {
				faults.add("effect", "the log says that %s of %s finished in attempt %d under fence %d, which never came to its end", step, id, f.attempt, f.fence)
			}
		}
	}
	return faults
}

func (h *account) finish(step string) (finish, bool) {
	if h == nil {
		return finish{}, false
	}
	f, done := h.finished[step]
	return f, done
}

// endWords are what a card says in the end.
var endWords = map[string]string{"SUCCEEDED": "Succeeded", "FAILED": "Failed", "CANCELLED": "Cancelled", "TIMED_OUT": "Timed out"}

// The reactions on the message that asked for a job.
const (
	signWell = "white_check_mark"
	signIll  = "x"
)

// Cards compares what Slack shows at the end with the log. Its sentences begin
// with: card.
func Cards(records []eventlog.Record, slack Slack) []string {
	var faults sentences
	all := accounts(records)
	posts := map[string]map[string][]Post{}
	for _, p := range slack.Posts {
		if all[p.Run] == nil {
			faults.add("card", "message %s in %s is of %s, which nobody asked for", p.TS, p.Channel, p.Run)
		}
		if posts[p.Run] == nil {
			posts[p.Run] = map[string][]Post{}
		}
		posts[p.Run][p.Milestone] = append(posts[p.Run][p.Milestone], p)
	}
	for _, id := range slices.Sorted(maps.Keys(all)) {
		h := all[id]
		for _, milestone := range slices.Sorted(maps.Keys(posts[id])) {
			for place, n := range places(posts[id][milestone]) {
				if n > 1 && !slack.Hidden {
					faults.add("card", "%s of %s is there %d times in %s", milestone, id, n, place)
				}
			}
		}
		if h.outcome == "" || h.outcome == "REFUSED" || h.request.GetOrigin().GetChannel() == "" {
			continue
		}
		if h.request.GetJob() == "" {
			h.card(&faults, id, posts[id])
		} else if ts := h.request.GetOrigin().GetMessageTs(); ts != "" {
			h.sign(&faults, id, all, slack.Signs[h.request.GetOrigin().GetChannel()+" "+ts])
		}
	}
	return faults
}

// places counts messages by where they stand: the card itself is one wherever
// it is, milestones of several threads are several.
func places(posts []Post) map[string]int {
	n := map[string]int{}
	for _, p := range posts {
		if p.Milestone == Card {
			n["Slack"]++
		} else {
			n[p.Channel+" "+p.Thread]++
		}
	}
	return n
}

// card checks that a deployment's card and its thread say how it ended.
func (h *account) card(faults *sentences, id string, posts map[string][]Post) {
	switch cards := posts[Card]; {
	case len(cards) == 0:
		faults.add("card", "%s has none", id)
	case !slices.ContainsFunc(cards, func(p Post) bool { return strings.Contains(p.Text, endWords[h.outcome]) }):
		faults.add("card", "%s is %s, its card shows: %s", id, h.outcome, cards[0].Text)
	case len(posts[Ending]) == 0:
		faults.add("card", "the thread of %s does not say that it has ended", id)
	}
}

// sign checks that the message that asked for a job shows how it ended.
func (h *account) sign(faults *sentences, id string, all map[string]*account, signs []string) {
	well, ill := slices.Contains(signs, signWell), slices.Contains(signs, signIll)
	executed := h
	for executed.outcome == "MERGED" && all[executed.into] != nil {
		executed = all[executed.into]
	}
	switch {
	case !well && !ill:
		faults.add("card", "the message that asked for %s shows no sign of its end", id)
	case executed.outcome == "SUCCEEDED" && !well, executed.outcome == "FAILED" && !ill:
		faults.add("card", "%s is %s, and its message has the reactions %q", id, executed.outcome, signs)
	}
}

// Views compares what every replica shows, by the replica's name, with the log
// and with each other. Its sentences begin with: view.
func Views(records []eventlog.Record, views map[string][]View) []string {
	var faults sentences
	all := accounts(records)
	texts := map[string]View{}
	for _, name := range slices.Sorted(maps.Keys(views)) {
		shown := map[string]bool{}
		for _, v := range views[name] {
			if shown[v.Run] {
				faults.add("view", "%s shows %s twice", name, v.Run)
			}
			shown[v.Run] = true
			h := all[v.Run]
			switch first, known := texts[v.Run]; {
			case h == nil:
				faults.add("view", "%s shows %s, which is not in the log", name, v.Run)
			case h.last != v.Sequence || h.outcome != v.Outcome:
				faults.add("view", "%s shows %s as %q at %d, the log says %q at %d", name, v.Run, v.Outcome, v.Sequence, h.outcome, h.last)
			case known && first.Text != v.Text:
				faults.add("view", "%s shows %s otherwise than others:\n%s\n%s", name, v.Run, v.Text, first.Text)
			}
			texts[v.Run] = v
		}
		for _, id := range slices.Sorted(maps.Keys(all)) {
			if !shown[id] {
				faults.add("view", "%s does not show %s", name, id)
			}
		}
	}
	return faults
}
