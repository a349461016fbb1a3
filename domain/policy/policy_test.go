package policy_test

import (
	"fmt"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/slipway-hq/slipway/domain/policy"
)

func ExampleMayStart() {
	production := policy.Rule{Environment: "production", Protected: true, Users: []string{"U1"}}
	asker := policy.Subject{Kind: policy.KindSlack, Team: "T1", User: "U2", Known: true}
	fmt.Println(policy.MayStart(production, asker, "C1").Sentence)
	// Output: You may not deploy to *production*: it is protected, and you are not among those it allows. Ask one of them to start it.
}

func member(user string) policy.Subject {
	return policy.Subject{Kind: policy.KindSlack, Team: "T1", User: user, Known: true}
}

func with(s policy.Subject, change func(*policy.Subject)) policy.Subject {
	change(&s)
	return s
}

var (
	staging    = policy.Rule{Environment: "staging"}
	limited    = policy.Rule{Environment: "demo", Users: []string{"U1"}}
	production = policy.Rule{Environment: "production", Protected: true, Users: []string{"U1"}, Channels: []string{"C1"}}
	byChannel  = policy.Rule{Environment: "production", Protected: true, Channels: []string{"C1"}}
	closed     = policy.Rule{Environment: "production", Protected: true}

	guest      = with(member("U1"), func(s *policy.Subject) { s.Guest = true })
	ultraGuest = with(member("U1"), func(s *policy.Subject) { s.UltraGuest = true })
	bot        = with(member("U1"), func(s *policy.Subject) { s.Bot = true })
	stranger   = with(member("U1"), func(s *policy.Subject) { s.Stranger = true })
	deleted    = with(member("U1"), func(s *policy.Subject) { s.Deleted = true })
	unknown    = with(member("U1"), func(s *policy.Subject) { s.Known = false })
	api        = policy.Subject{Kind: policy.KindAPI}
)

func TestWhoMayStart(t *testing.T) {
	for _, story := range []struct {
		name    string
		rule    policy.Rule
		who     policy.Subject
		channel string
		code    string
		says    string
	}{
		{"anybody in an open place", staging, member("U9"), "C9", "", ""},
		{"somebody Slack knows nothing of, in an open place", staging, unknown, "C9", "", ""},
		{"a listed user", production, member("U1"), "C9", "", ""},
		{"anybody in a listed channel", production, member("U9"), "C1", "", ""},
		{"neither", production, member("U9"), "C9", policy.CodeEnvironment, "Ask one of them, or ask again in a channel"},
		{"no channel at all", byChannel, member("U9"), "", policy.CodeEnvironment, "in one of those channels"},
		{"a list without protection", limited, member("U9"), "C9", policy.CodeEnvironment, "only some people"},
		{"a closed place", closed, member("U1"), "C1", policy.CodeEnvironment, "allows nobody"},
		{"lookup failed, protected", production, unknown, "C1", policy.CodeUnknown, "try again in a minute"},
		{"a guest", staging, guest, "C1", policy.CodeGuest, "Guests cannot"},
		{"a single-channel guest", production, ultraGuest, "C1", policy.CodeGuest, "full member"},
		{"a bot", staging, bot, "C1", policy.CodeBot, "through the API"},
		{"a stranger", staging, stranger, "C1", policy.CodeStranger, "other organisations"},
		{"a deleted user", staging, deleted, "C1", policy.CodeDeleted, "deactivated"},
		{"the API", closed, api, "", "", ""},
		{"Slipway itself", closed, policy.Subject{Kind: policy.KindSystem}, "", "", ""},
		{"nobody", staging, policy.Subject{}, "C1", policy.CodeNobody, "who is asking"},
		{"a person without an id", staging, policy.Subject{Kind: policy.KindSlack, Known: true}, "C1", policy.CodeNobody, "who is asking"},
	} {
		t.Run(story.name, func(t *testing.T) {
			expect(t, policy.MayStart(story.rule, story.who, story.channel), story.code, story.says)
		})
	}
}

func TestWhoMaySteer(t *testing.T) {
	one, nine := policy.Owner{Team: "T1", User: "U1"}, policy.Owner{Team: "T1", User: "U9"}
	for _, story := range []struct {
		name    string
		rule    policy.Rule
		owner   policy.Owner
		who     policy.Subject
		channel string
		code    string
		says    string
	}{
		{"the requester, even where the rule changed since", closed, nine, member("U9"), "C9", "", ""},
		{"somebody who may start there", production, nine, member("U1"), "C9", "", ""},
		{"anybody in an open place", staging, nine, member("U8"), "C9", "", ""},
		{"somebody else", production, nine, member("U8"), "C9", policy.CodeRun, "You may not change this run: it is not yours"},
		{"the same id in another team", production, nine, with(member("U9"), func(s *policy.Subject) { s.Team = "T2" }), "C9", policy.CodeRun, "not yours"},
		{"a run of the API", production, policy.Owner{}, member("U9"), "C9", policy.CodeRun, "not yours"},
		{"the requester as a guest", staging, one, guest, "C9", policy.CodeGuest, "Guests"},
		{"the requester, lookup failed, protected", production, one, unknown, "C1", policy.CodeUnknown, "could not tell"},
		{"the requester, lookup failed, open", limited, one, unknown, "C9", "", ""},
		{"the API", closed, nine, api, "", "", ""},
	} {
		t.Run(story.name, func(t *testing.T) {
			expect(t, policy.MaySteer(story.rule, story.who, story.channel, story.owner), story.code, story.says)
		})
	}
}

func TestWhoMayAsk(t *testing.T) {
	expect(t, policy.MayAsk(member("U9")), "", "")
	expect(t, policy.MayAsk(unknown), "", "")
	expect(t, policy.MayAsk(api), "", "")
	expect(t, policy.MayAsk(guest), policy.CodeGuest, "Guests cannot see runs")
	expect(t, policy.MayAsk(stranger), policy.CodeStranger, "cannot see runs here")
	expect(t, policy.MayAsk(bot), policy.CodeBot, "Bots cannot see")
}

func expect(t *testing.T, denial *policy.Denial, code, says string) {
	t.Helper()
	switch {
	case code == "" && denial != nil:
		t.Errorf("refused: %s %s", denial.Code, denial.Sentence)
	case code != "" && denial == nil:
		t.Error("allowed")
	case denial != nil && (denial.Code != code || !strings.Contains(denial.Sentence, says)):
		t.Errorf("%s: %s", denial.Code, denial.Sentence)
	}
}

// TestNothingOpensAProtectedPlace holds whatever the rule and the asker.
func TestNothingOpensAProtectedPlace(t *testing.T) {
	ids := rapid.SampledFrom([]string{"", "U1", "U2", "C1", "C2"})
	rapid.Check(t, func(t *rapid.T) {
		flag := rapid.Bool()
		rule := policy.Rule{Protected: true, Users: rapid.SliceOfN(ids, 0, 2).Draw(t, "users"), Channels: rapid.SliceOfN(ids, 0, 2).Draw(t, "channels")}
		who := policy.Subject{
			Kind: policy.KindSlack, User: ids.Draw(t, "user"), Known: flag.Draw(t, "known"), Guest: flag.Draw(t, "guest"),
			UltraGuest: flag.Draw(t, "ultra"), Bot: flag.Draw(t, "bot"), Stranger: flag.Draw(t, "stranger"), Deleted: flag.Draw(t, "deleted"),
		}
		channel := ids.Draw(t, "channel")
		if policy.MayStart(rule, who, channel) != nil {
			return
		}
		listed := strings.Contains(strings.Join(rule.Users, " "), who.User) || strings.Contains(strings.Join(rule.Channels, " "), channel)
		if !who.Known || who.User == "" || who.Guest || who.UltraGuest || who.Bot || who.Stranger || who.Deleted || !listed {
			t.Fatalf("%+v was let in by %+v in %q", who, rule, channel)
		}
	})
}
