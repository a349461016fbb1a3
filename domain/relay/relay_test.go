package relay_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/slipway-hq/slipway/domain/relay"
	eventv1 "github.com/slipway-hq/slipway/gen/slipway/event/v1"
	"github.com/slipway-hq/slipway/internal/story"
)

// BennettBot's rule for its keywords (B51), as a table.
func TestMentions(t *testing.T) {
	words := []string{"tech-support", "bennet-admin", "bennett-admins"}
	for text, want := range map[string]bool{
		"tech-support":                                       true,
		"please, Tech-Support!":                              true,
		"TECH-SUPPORT, can you help?":                        true,
		"I need tech-support.":                               true,
		"I need tech-support...":                             true,
		"(tech-support)":                                     true,
		"*tech-support* please":                              true,
		"#tech-support":                                      true,
		"'tech-support'":                                     true,
		"line one\ntech-support line two":                    true,
		"bennet-admin: look":                                 true,
		"ask bennett-admins?":                                true,
		"<@U1> tech-support":                                 true,
		"see https://a.example/ tech-support":                true,
		"tech-support:https://a.example":                     false,
		"tech support":                                       false,
		"techsupport":                                        false,
		"non-tech-support":                                   false,
		"tech-support-team":                                  false,
		"tech-supporters":                                    false,
		"my_tech-support":                                    false,
		"tech-supportë":                                      false,
		"docs/tech-support":                                  false,
		"tech-support/howto":                                 false,
		"tech-support.example.org":                           false,
		"file.tech-support":                                  false,
		"bennet-admins":                                      false,
		"https://example.org/tech-support":                   false,
		"<https://example.org/tech-support>":                 false,
		"<https://example.org/x|tech-support>":               false,
		"<#C1|tech-support> is a channel":                    false,
		"mail tech-support@example.org":                      false,
		"<mailto:tech-support@e.org|tech-support@e.org>":     false,
		"`tech-support` is a word":                           false,
		"```\ntech-support\n```":                             false,
		"``` tech-support":                                   false,
		"before ```x``` tech-support":                        true,
		"a `b` tech-support `c`":                             true,
		"":                                                   false,
		"non-tech-support but tech-support too":              true,
		"tech-support-team or tech-support, whoever is here": true,
	} {
		if got := relay.Mentions(words, text); got != want {
			t.Errorf("Mentions(%q) = %t", text, got)
		}
	}
	if relay.Mentions(nil, "tech-support") || relay.Mentions([]string{""}, "x") {
		t.Error("a relay without a keyword hears something")
	}
	if !relay.Mentions([]string{"on call"}, "who is  ON\ncall now?") || relay.Mentions([]string{"on call"}, "on caller") {
		t.Error("a keyword of two words")
	}
}

func TestMentionsNeverPanicsAndIgnoresCase(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.String().Draw(t, "text") + rapid.StringMatching("[`<>a-c.\\-\n ]{0,30}").Draw(t, "more")
		keyword := rapid.StringMatching(`[a-c]{1,3}(-[a-c]{1,3})?`).Draw(t, "keyword")
		lower := relay.Mentions([]string{keyword}, text)
		if upper := relay.Mentions([]string{strings.ToUpper(keyword)}, text); upper != lower {
			t.Fatalf("in capitals %t, else %t", upper, lower)
		}
		if !relay.Mentions([]string{keyword}, "please "+keyword+" now") {
			t.Fatal("a word alone is not heard")
		}
	})
}

func TestStories(t *testing.T) {
	story.Run(t, "*.story", func(t *testing.T) func(story.Line) string {
		var s relay.State
		return func(l story.Line) string { return play(t, &s, l) }
	})
}

// play decides one command and folds what it causes.
func play(t *testing.T, s *relay.State, l story.Line) string {
	events, err := relay.Decide(*s, commandOf(t, l))
	if err != nil {
		var refusal *relay.Refusal
		if !errors.As(err, &refusal) {
			t.Fatal(err)
		}
		return "refused " + refusal.Code + ": " + refusal.Sentence
	}
	if len(events) == 0 {
		return "nothing changes"
	}
	*s = relay.FoldCommit(*s, s.Sequence+1, &eventv1.Commit{Events: events, Actor: &eventv1.Principal{User: "U1"}})
	return told(events[0])
}

func commandOf(t *testing.T, l story.Line) relay.Command {
	switch l.Name {
	case "hear":
		return relay.Pass{
			Day: l.Arg("day", "2026-12-01"), Notice: func(a relay.Away) string { return "away until " + a.Until },
			Event: &eventv1.MessageRelayed{Relay: "support", Team: "T1", Channel: l.Arg("channel", "C1"), MessageTs: l.Arg("ts", "1"), ToChannel: "C9"},
		}
	case "away":
		return relay.GoAway{Relay: "support", From: l.Arg("from", ""), Until: l.Arg("until", ""), Today: l.Arg("today", "2026-12-01")}
	case "back":
		return relay.ComeBack{Relay: "support"}
	}
	t.Fatalf("no command: %s", l.Text)
	return nil
}

func told(e *eventv1.Event) string {
	switch {
	case e.GetMessageRelayed() != nil:
		out := fmt.Sprintf("passed on %s/%s to %s", e.GetMessageRelayed().GetChannel(), e.GetMessageRelayed().GetMessageTs(), e.GetMessageRelayed().GetToChannel())
		if notice := e.GetMessageRelayed().GetAwayNotice(); notice != "" {
			out += ", and said: " + notice
		}
		return out
	case e.GetAwaySet() != nil:
		return "away from " + e.GetAwaySet().GetFrom() + " to " + e.GetAwaySet().GetUntil()
	}
	return "back"
}

func TestWhatARelayRemembersIsBounded(t *testing.T) {
	var s relay.State
	hear := func(i int) []*eventv1.Event {
		events, err := relay.Decide(s, relay.Pass{Event: &eventv1.MessageRelayed{Relay: "r", Team: "T", Channel: "C", MessageTs: fmt.Sprint(i)}})
		if err != nil {
			t.Fatal(err)
		}
		return events
	}
	for i := range relay.MaxRemembered + 10 {
		before := s
		s = relay.FoldCommit(s, uint64(i+1), &eventv1.Commit{Events: hear(i)})
		if len(before.Relayed) > 0 && before.Relayed[len(before.Relayed)-1].Event.GetMessageTs() != fmt.Sprint(i-1) {
			t.Fatal("folding changed an older state")
		}
	}
	if len(s.Relayed) != relay.MaxRemembered || s.Relayed[0].Sequence != 11 {
		t.Errorf("%d remembered, the oldest of commit %d", len(s.Relayed), s.Relayed[0].Sequence)
	}
	if len(hear(10)) != 0 || len(hear(9)) != 1 {
		t.Error("the newest are remembered, and no others")
	}
}

// However commands come, a message is passed on once, a notice is said exactly on
// the days of absence, and a fold of all commits is the state.
func TestRelaysAgreeWithASimpleModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var s relay.State
		var all []*eventv1.Commit
		seen, from, until := map[string]bool{}, "", ""
		day := rapid.Custom(func(t *rapid.T) string { return fmt.Sprintf("2026-12-%02d", rapid.IntRange(1, 9).Draw(t, "day")) })
		for range rapid.IntRange(1, 40).Draw(t, "steps") {
			var c relay.Command
			want := ""
			switch rapid.IntRange(0, 5).Draw(t, "what") {
			case 0:
				a, b, today := day.Draw(t, "from"), day.Draw(t, "until"), day.Draw(t, "today")
				c = relay.GoAway{Relay: "r", From: a, Until: b, Today: today}
				if a <= b && today <= b && (a != from || b != until) {
					want, from, until = "away", a, b
				}
			case 1:
				c = relay.ComeBack{Relay: "r"}
				if from != "" {
					want = "back"
				}
				from, until = "", ""
			default:
				ts, at := rapid.StringMatching(`[0-9]`).Draw(t, "ts"), day.Draw(t, "at")
				c = relay.Pass{Day: at, Notice: func(relay.Away) string { return "n" }, Event: &eventv1.MessageRelayed{Relay: "r", MessageTs: ts}}
				if !seen[ts] {
					want = "passed"
					if from != "" && from <= at && at <= until {
						want = "passed with notice"
					}
				}
				seen[ts] = true
			}
			events, _ := relay.Decide(s, c) // a refusal causes nothing
			if got := kind(events); got != want {
				t.Fatalf("%+v: %q, want %q", c, got, want)
			}
			if len(events) > 0 {
				all = append(all, &eventv1.Commit{Events: events})
				s = relay.FoldCommit(s, uint64(len(all)), all[len(all)-1])
			}
		}
		var again relay.State
		for i, c := range all {
			again = relay.FoldCommit(again, uint64(i+1), c)
		}
		if len(again.Relayed) != len(s.Relayed) || (again.Away == nil) != (s.Away == nil) || again.Sequence != s.Sequence {
			t.Fatal("the fold of all commits is another state")
		}
	})
}

func kind(events []*eventv1.Event) string {
	switch {
	case len(events) == 0:
		return ""
	case events[0].GetAwaySet() != nil:
		return "away"
	case events[0].GetAwayCleared() != nil:
		return "back"
	case events[0].GetMessageRelayed().GetAwayNotice() != "":
		return "passed with notice"
	}
	return "passed"
}
