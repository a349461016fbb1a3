package orchestrator

import (
	"cmp"
	"context"
	"fmt"
	"regexp"
	"strings"
	"time"

	"github.com/slipway-hq/slipway/domain/grammar"
	apiv1 "github.com/slipway-hq/slipway/gen/slipway/api/v1"
	commandv1 "github.com/slipway-hq/slipway/gen/slipway/command/v1"
)

// maxSchedulesShown bounds the lines of one answer; the API has all.
const maxSchedulesShown = 40

// schedules answers what ticks when, of what the asker may see.
func (c *clerk) schedules(e *commandv1.Envelope) *commandv1.Answer {
	all := c.desk.schedules(subjectOf(e))
	if len(all) == 0 {
		return private("", "There are no schedules. They are written into slipway.yaml, as `schedules:` of a namespace.")
	}
	lines := []string{"*Schedules*"}
	for _, s := range all[:min(len(all), maxSchedulesShown)] {
		lines = append(lines, "• "+scheduleLine(s, c.now()))
	}
	if more := len(all) - maxSchedulesShown; more > 0 {
		lines = append(lines, fmt.Sprintf("and %d more: `slipway schedules` lists them all", more))
	}
	return private("", strings.Join(lines, "\n"))
}

func scheduleLine(s *apiv1.Schedule, now time.Time) string {
	text := fmt.Sprintf("*%s*: %s at %s (%s)", grammar.Escape(s.GetName()), grammar.Escape(s.GetJob()), "`"+grammar.Escape(s.GetSpec())+"`", s.GetZone())
	switch {
	case s.GetPaused():
		text += ", " + pausedWord(s)
	case s.GetNext() != nil:
		text += ", next " + momentWord(s.GetNext().AsTime(), s.GetZone())
	default:
		text += ", does not tick any more"
	}
	if s.GetLast() != nil {
		text += fmt.Sprintf("; last run %s", ago(now.Sub(s.GetLast().AsTime())))
	}
	if s.GetSkipped() > 0 {
		text += fmt.Sprintf("; %d missed ones were skipped", s.GetSkipped())
	}
	return text
}

// slackUser is a user id, which Slack shows as a name; everybody else who acts has
// a name with small letters.
var slackUser = regexp.MustCompile(`^[UW][A-Z0-9]+$`)

func pausedWord(s *apiv1.Schedule) string {
	by := grammar.Escape(s.GetPausedBy())
	if slackUser.MatchString(by) {
		by = "<@" + by + ">"
	}
	text := "paused by " + by
	if s.GetReason() != "" {
		text += ": " + grammar.Escape(s.GetReason())
	}
	return text
}

// momentWord is a moment in the schedule's own zone.
func momentWord(at time.Time, zone string) string {
	if location, err := time.LoadLocation(zone); err == nil {
		at = at.In(location)
	}
	return at.Format("Mon 2 Jan 15:04 MST")
}

// schedule pauses, resumes or triggers one.
func (c *clerk) schedule(ctx context.Context, e *commandv1.Envelope, s grammar.Sentence) (*commandv1.Answer, error) {
	who := askerOf(e)
	switch s.Action {
	case "pause":
		shown, err := c.desk.pauseSchedule(ctx, who, s.Schedule, s.Reason)
		if err != nil {
			return c.refuse(err, "", grammar.Sentence{})
		}
		return public("", fmt.Sprintf("%s paused *%s*%s. `/slipway schedule resume %s` starts it again.", personMention(e), grammar.Escape(shown.GetName()), because(s.Reason), grammar.Escape(shown.GetName()))), nil
	case "resume":
		shown, err := c.desk.resumeSchedule(ctx, who, s.Schedule, s.Reason)
		if err != nil {
			return c.refuse(err, "", grammar.Sentence{})
		}
		return public("", fmt.Sprintf("%s resumed *%s*%s.%s", personMention(e), grammar.Escape(shown.GetName()), because(s.Reason), nextWord(shown))), nil
	case "trigger":
		st, err := c.desk.triggerSchedule(ctx, who, s.Schedule)
		return c.accepted(ctx, st, err, grammar.Sentence{})
	}
	return refusalAnswer("E-GRAMMAR", fmt.Sprintf("I can `pause`, `resume` or `trigger` a schedule, not %s.", grammar.Quote(cmp.Or(s.Action, "that"))), nil), nil
}

func because(reason string) string {
	if reason == "" {
		return ""
	}
	return " (" + grammar.Escape(reason) + ")"
}

func nextWord(s *apiv1.Schedule) string {
	if s.GetNext() == nil {
		return " It does not tick any more."
	}
	return " It ticks next " + momentWord(s.GetNext().AsTime(), s.GetZone()) + "."
}
