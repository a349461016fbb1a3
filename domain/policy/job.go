package policy

import (
	"fmt"
	"slices"
)

// JobRule is what a job allows.
type JobRule struct {
	Namespace, Job string
	// Restricted: only full members whom Slack vouches for, whatever the verb.
	Restricted bool
	// Users by id, and Channels by id: who may run it. Both empty: everybody
	// whom Restricted does not keep out.
	Users, Channels []string
	// OverrideUsers and OverrideChannels may start it despite a hold. Both empty:
	// whoever may run it.
	OverrideUsers, OverrideChannels []string
	// Reminders: posts of Slack's reminder bot may run it, unless it is restricted.
	Reminders bool
}

// The codes of a Denial that concerns a job.
const (
	CodeRestricted = "E-POLICY-RESTRICTED"
	CodeJob        = "E-POLICY-JOB"
	CodeOverride   = "E-POLICY-OVERRIDE"
	CodeReminder   = "E-POLICY-REMINDER"
)

// MayRunJob says whether the subject may run, hold, release or cancel the job by
// asking in channel; nil means yes.
func MayRunJob(rule JobRule, who Subject, channel string) *Denial {
	if who.Kind == KindAPI || who.Kind == KindSystem {
		return nil
	}
	if who.Reminder {
		if rule.Reminders && !rule.Restricted && rule.open() {
			return nil
		}
		return &Denial{Code: CodeReminder, Sentence: fmt.Sprintf("Reminders may not run *%s*, because Slack does not say who set them. Nothing was started; write a schedule into slipway.yaml instead.", rule.Namespace)}
	}
	if denial := MaySeeJob(rule, who); denial != nil {
		return denial
	}
	if rule.open() || slices.Contains(rule.Users, who.User) || channel != "" && slices.Contains(rule.Channels, channel) {
		return nil
	}
	return &Denial{
		Code: CodeJob, Users: rule.Users, Channels: rule.Channels,
		Sentence: fmt.Sprintf("You may not run *%s %s*: only some people and channels may. Nothing was done; ask one of them, or ask again in a channel that is allowed.", rule.Namespace, rule.Job),
	}
}

func (r JobRule) open() bool { return len(r.Users) == 0 && len(r.Channels) == 0 }

// MaySeeJob says whether the subject may see the job's runs and logs; nil means
// yes.
func MaySeeJob(rule JobRule, who Subject) *Denial {
	denial, settled := byKind(who, "run or see")
	switch {
	case who.Kind == KindAPI || who.Kind == KindSystem:
		return nil
	case rule.Restricted && settled && denial.about():
		return &Denial{Code: CodeRestricted, Sentence: fmt.Sprintf("*%s* is for full members of this workspace only. Nothing was done; please ask one of them.", rule.Namespace)}
	case rule.Restricted && !settled && !who.Known:
		return &Denial{Code: CodeUnknown, Sentence: fmt.Sprintf("*%s* is restricted, and Slack could not tell me who you are just now. Nothing was done; please try again in a minute.", rule.Namespace)}
	case settled && !denial.about():
		return denial
	}
	return nil
}

// about tells whether a denial is about guests and strangers, whom an
// unrestricted namespace welcomes.
func (d *Denial) about() bool { return d.Code == CodeGuest || d.Code == CodeStranger }

// MayOverride says whether the subject may start the job despite a hold; nil
// means yes.
func MayOverride(rule JobRule, who Subject, channel string) *Denial {
	if denial := MayRunJob(rule, who, channel); denial != nil {
		return denial
	}
	named := len(rule.OverrideUsers) > 0 || len(rule.OverrideChannels) > 0
	if !named || who.Kind == KindAPI || who.Kind == KindSystem ||
		slices.Contains(rule.OverrideUsers, who.User) || channel != "" && slices.Contains(rule.OverrideChannels, channel) {
		return nil
	}
	return &Denial{
		Code: CodeOverride, Users: rule.OverrideUsers, Channels: rule.OverrideChannels,
		Sentence: fmt.Sprintf("You may run *%s %s*, but not despite a hold. Nothing was started; ask one of those who may, or wait for its end.", rule.Namespace, rule.Job),
	}
}
