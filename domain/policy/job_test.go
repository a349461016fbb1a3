package policy_test

import (
	"testing"

	"github.com/slipway-hq/slipway/domain/policy"
)

// Every kind of person against every kind of job: restricted namespaces refuse
// guests, strangers, reminders and whoever Slack does not know; bots and
// deactivated people are refused everywhere.
func TestWhoMayRunJobs(t *testing.T) {
	member := policy.Subject{Kind: policy.KindSlack, Team: "T1", User: "U1", Known: true}
	with := func(change func(*policy.Subject)) policy.Subject {
		s := member
		change(&s)
		return s
	}
	people := map[string]policy.Subject{
		"member":   member,
		"guest":    with(func(s *policy.Subject) { s.Guest = true }),
		"single":   with(func(s *policy.Subject) { s.UltraGuest = true }),
		"stranger": with(func(s *policy.Subject) { s.Stranger = true }),
		"bot":      with(func(s *policy.Subject) { s.Bot = true }),
		"deleted":  with(func(s *policy.Subject) { s.Deleted = true }),
		"unknown":  with(func(s *policy.Subject) { s.Known = false }),
		"reminder": {Kind: policy.KindSlack, Team: "T1", User: "USLACKBOT", Known: true, Reminder: true},
		"api":      {Kind: policy.KindAPI},
		"clock":    {Kind: policy.KindSystem},
		"nobody":   {},
	}
	open := policy.JobRule{Namespace: "test", Job: "hello"}
	reminded := policy.JobRule{Namespace: "test", Job: "hello", Reminders: true}
	restricted := policy.JobRule{Namespace: "op", Job: "deploy", Restricted: true, Reminders: true}
	listed := policy.JobRule{Namespace: "op", Job: "deploy", Users: []string{"U2"}, Channels: []string{"C1"}}
	for _, c := range []struct {
		name string
		rule policy.JobRule
		may  []string
	}{
		{"open", open, []string{"member", "guest", "single", "stranger", "unknown", "api", "clock"}},
		{"reminders", reminded, []string{"member", "guest", "single", "stranger", "unknown", "reminder", "api", "clock"}},
		{"restricted", restricted, []string{"member", "api", "clock"}},
		{"listed", listed, []string{"api", "clock"}},
	} {
		may := map[string]bool{}
		for _, who := range c.may {
			may[who] = true
		}
		for who, subject := range people {
			if denial := policy.MayRunJob(c.rule, subject, "C9"); (denial == nil) != may[who] {
				t.Errorf("%s, %s: %v", c.name, who, denial)
			}
		}
	}
	if denial := policy.MayRunJob(listed, member, "C1"); denial != nil {
		t.Errorf("in an allowed channel: %v", denial)
	}
	if denial := policy.MaySeeJob(restricted, people["guest"]); denial == nil || denial.Code != policy.CodeRestricted {
		t.Errorf("a guest sees a restricted job: %v", denial)
	}
}

func TestWhoMayOverrideHolds(t *testing.T) {
	member := policy.Subject{Kind: policy.KindSlack, Team: "T1", User: "U1", Known: true}
	rule := policy.JobRule{Namespace: "op", Job: "deploy"}
	if denial := policy.MayOverride(rule, member, ""); denial != nil {
		t.Errorf("nobody is named, so whoever may run it may: %v", denial)
	}
	rule.OverrideUsers = []string{"U2"}
	if denial := policy.MayOverride(rule, member, ""); denial == nil || denial.Code != policy.CodeOverride {
		t.Errorf("not among those named: %v", denial)
	}
	rule.OverrideChannels = []string{"C1"}
	if denial := policy.MayOverride(rule, member, "C1"); denial != nil {
		t.Errorf("in a channel that is named: %v", denial)
	}
	member.Guest = true
	if denial := policy.MayOverride(policy.JobRule{Namespace: "op", Restricted: true}, member, "C1"); denial == nil {
		t.Error("a guest overrode a hold of a restricted namespace")
	}
}
