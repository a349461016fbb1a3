package audit

import (
	"strings"
	"testing"

	eventv1 "github.com/slipway-hq/slipway/gen/slipway/event/v1"
)

// outside is a whole history and everything that others see of it.
type outside struct {
	*history
	effects []Effect
	slack   Slack
	views   map[string][]View
}

// seen is a deployment, lost by one runner and finished by another, and a job
// that a message asked for, with all that came of them.
func seen() *outside {
	o := &outside{history: begin(), slack: Slack{Signs: map[string][]string{}}, views: map[string][]View{}}
	o.job("d-a", "", func(q *eventv1.RunRequested) {
		q.Namespace, q.Service, q.Version, q.Origin = "", "s", "v1", &eventv1.Origin{Door: eventv1.Origin_DOOR_SLASH_COMMAND, Channel: "C1"}
	})
	g := o.grant([]string{"d-a"})
	first := o.run("d-a", claim(g), started(0, 0, 1))
	o.ran("d-a", "a", 1, first, Started)
	o.run("d-a", lapsed(first))
	second := o.run("d-a", claim(g), interrupted(), started(0, 0, 2))
	o.ran("d-a", "a", 2, second, Started, Ended)
	o.run("d-a", finished(second, 0, 2), started(second, 1, 1))
	o.ran("d-a", "b", 1, second, Started, Ended)
	o.run("d-a", finished(second, 1, 1), ended(second, eventv1.RunEnded_OUTCOME_SUCCEEDED))
	o.job("j-b", "x", func(q *eventv1.RunRequested) {
		q.Origin = &eventv1.Origin{Door: eventv1.Origin_DOOR_MENTION, Channel: "C1", MessageTs: "1.1"}
	})
	third := o.run("j-b", claim(o.grant([]string{"j-b"})), started(0, 0, 1))
	o.ran("j-b", "a", 1, third, Started, Ended)
	o.run("j-b", finished(third, 0, 1), ended(third, eventv1.RunEnded_OUTCOME_FAILED))
	o.slack.Posts = []Post{
		{Run: "d-a", Milestone: Card, Channel: "C1", TS: "2.1", Text: "s@v1 Succeeded"}, {Run: "d-a", Milestone: Ending, Channel: "C1", Thread: "2.1", TS: "2.2"},
	}
	o.slack.Signs["C1 1.1"] = []string{"eyes", "x"}
	for _, replica := range []string{"one", "two"} {
		o.views[replica] = []View{{Run: "d-a", Sequence: 7, Outcome: "SUCCEEDED", Text: "all of a"}, {Run: "j-b", Sequence: uint64(len(o.records)), Outcome: "FAILED", Text: "all of b"}}
	}
	o.told.Wishes = []Wish{
		{Name: "v1", Accepted: true, Is: func(q *eventv1.RunRequested) bool { return q.GetVersion() == "v1" }},
		{Name: "message 1.1", Accepted: true, Is: func(q *eventv1.RunRequested) bool { return q.GetOrigin().GetMessageTs() == "1.1" }},
		{Name: "v2", Is: func(q *eventv1.RunRequested) bool { return q.GetVersion() == "v2" }},
	}
	return o
}

func (o *outside) ran(run, step string, attempt uint32, fence uint64, kinds ...EffectKind) {
	for _, k := range kinds {
		o.effects = append(o.effects, Effect{k, run, step, attempt, fence})
	}
}

func (o *outside) faults() (all []string) {
	all = append(all, Check(o.records, o.told)...)
	all = append(all, Effects(o.records, o.effects)...)
	all = append(all, Cards(o.records, o.slack)...)
	return append(all, Views(o.records, o.views)...)
}

func TestAWholeHistoryPassesFromOutside(t *testing.T) {
	if faults := seen().faults(); len(faults) > 0 {
		t.Error(strings.Join(faults, "\n"))
	}
}

// TestHiddenHistoryExcusesADouble: nobody can know that a message was posted when
// Slack hides it.
func TestHiddenHistoryExcusesADouble(t *testing.T) {
	o := seen()
	o.slack.Hidden = true
	o.slack.Posts = append(o.slack.Posts, o.slack.Posts[0])
	if faults := o.faults(); len(faults) > 0 {
		t.Error(strings.Join(faults, "\n"))
	}
}

// TestEveryBrokenPromiseIsSeenFromOutside doctors what others see, one way for
// each promise.
func TestEveryBrokenPromiseIsSeenFromOutside(t *testing.T) {
	for name, c := range map[string]struct {
		promise string
		doctor  func(o *outside)
	}{
		"an accepted wish without a run":      {"command", func(o *outside) { o.told.Wishes[2].Accepted = true }},
		"a wish that is two runs":             {"command", func(o *outside) { o.job("j-c", "c", func(q *eventv1.RunRequested) { q.Version = "v1" }) }},
		"a run that nobody wished for":        {"command", func(o *outside) { o.told.Wishes = o.told.Wishes[:1] }},
		"an older fence after a newer":        {"effect", func(o *outside) { o.ran("d-a", "a", 1, o.effects[0].Fence, Ended) }},
		"two processes at once":               {"effect", func(o *outside) { o.ran("d-a", "b", 1, o.effects[3].Fence, Overlapped) }},
		"an attempt that starts twice":        {"effect", func(o *outside) { o.ran("d-a", "b", 1, o.effects[3].Fence, Started) }},
		"an effect without a claim":           {"effect", func(o *outside) { o.ran("d-a", "b", 1, 999, Started) }},
		"an effect without an attempt":        {"effect", func(o *outside) { o.ran("d-a", "b", 2, o.effects[3].Fence, Started) }},
		"an effect of an unknown run":         {"effect", func(o *outside) { o.ran("d-z", "b", 1, 1, Started) }},
		"a finished step that runs again":     {"effect", func(o *outside) { o.again() }},
		"a finish that never came":            {"effect", func(o *outside) { o.effects = o.effects[:len(o.effects)-1] }},
		"no card":                             {"card", func(o *outside) { o.slack.Posts = nil }},
		"a card that is not final":            {"card", func(o *outside) { o.slack.Posts[0].Text = "s@v1 Running" }},
		"a thread without the end":            {"card", func(o *outside) { o.slack.Posts = o.slack.Posts[:1] }},
		"two cards":                           {"card", func(o *outside) { o.slack.Posts = append(o.slack.Posts, o.slack.Posts[0]) }},
		"a milestone that is told twice":      {"card", func(o *outside) { o.slack.Posts = append(o.slack.Posts, o.slack.Posts[1]) }},
		"a card of an unknown run":            {"card", func(o *outside) { o.slack.Posts = append(o.slack.Posts, Post{Run: "d-z", Milestone: Card}) }},
		"a message without a sign":            {"card", func(o *outside) { o.slack.Signs["C1 1.1"] = []string{"eyes"} }},
		"a message with the wrong sign":       {"card", func(o *outside) { o.slack.Signs["C1 1.1"] = []string{"white_check_mark"} }},
		"a replica that lags":                 {"view", func(o *outside) { o.views["two"][0].Sequence-- }},
		"a replica that believes another end": {"view", func(o *outside) { o.views["two"][0].Outcome = "FAILED" }},
		"replicas that differ":                {"view", func(o *outside) { o.views["two"][1].Text = "another" }},
		"a replica without a run":             {"view", func(o *outside) { o.views["two"] = o.views["two"][:1] }},
		"a replica with a run too many":       {"view", func(o *outside) { o.views["one"] = append(o.views["one"], View{Run: "j-z"}) }},
		"a replica that repeats itself":       {"view", func(o *outside) { o.views["one"] = append(o.views["one"], o.views["one"][0]) }},
	} {
		t.Run(name, func(t *testing.T) {
			o := seen()
			c.doctor(o)
			faults := o.faults()
			for _, f := range faults {
				if strings.HasPrefix(f, c.promise+":") {
					return
				}
			}
			t.Errorf("the audit finds %q, and no broken %s", faults, c.promise)
		})
	}
}

// again lets a step start once more that the log knows as finished, in the log
// as well, so that only the effect after the finish gives it away.
func (o *outside) again() {
	g := o.grant([]string{"j-c"})
	o.job("j-c", "c")
	fence := o.run("j-c", claim(g), started(0, 0, 1))
	o.run("j-c", finished(fence, 0, 1), started(fence, 0, 2))
	o.ran("j-c", "a", 1, fence, Started, Ended)
	o.ran("j-c", "a", 2, fence, Started)
}
