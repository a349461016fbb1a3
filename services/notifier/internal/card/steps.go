package card

import (
	"fmt"
	"strings"

	"github.com/slipway-hq/slipway/domain/grammar"
	"github.com/slipway-hq/slipway/domain/run"
)

const (
	// maxLines is how many steps get a line of their own; more collapse to
	// counts and the lines of those that matter.
	maxLines = 10
	// roomForMore is kept free for the line that says what was left out.
	roomForMore = 60
)

// steps is a line for each step.
func (v View) steps() string {
	s := &v.Story.State
	var lines []string
	collapsed := len(s.Steps) > maxLines
	if collapsed {
		lines = append(lines, counts(s))
	}
	for i := range s.Steps {
		if !collapsed || interesting(s.Steps[i].Status) {
			lines = append(lines, stepLine(s, i))
		}
	}
	return joinWithin(lines, MaxText-roomForMore)
}

// joinWithin joins as many lines as fit.
func joinWithin(lines []string, room int) string {
	var b strings.Builder
	for i, line := range lines {
		if i > maxLines || b.Len()+len(line)+1 > room {
			fmt.Fprintf(&b, "\n… and %d more", len(lines)-i)
			break
		}
		if i > 0 {
			b.WriteByte('\n')
		}
		b.WriteString(line)
	}
	return b.String()
}

func interesting(s run.StepStatus) bool {
	return s == run.StepRunning || s == run.StepWaiting || s == run.StepFailed
}

func counts(s *run.State) string {
	var n [run.StepCarried + 1]int
	for i := range s.Steps {
		n[s.Steps[i].Status]++
	}
	parts := []string{fmt.Sprintf("✅ %d done", n[run.StepSucceeded])}
	for _, c := range []struct {
		count int
		word  string
	}{
		{n[run.StepCarried], "⏭️ %d carried over"}, {n[run.StepRunning], "▶️ %d running"}, {n[run.StepWaiting], "⏸️ %d waiting"},
		{n[run.StepFailed], "❌ %d failed"}, {n[run.StepPending], strings.Replace(pendingWord(s), " ", " %d ", 1)},
	} {
		if c.count > 0 {
			parts = append(parts, fmt.Sprintf(c.word, c.count))
		}
	}
	return strings.Join(parts, ", ")
}

func pendingWord(s *run.State) string {
	if s.Status.Ended() {
		return "➖ skipped"
	}
	return "⚪ pending"
}

func stepLine(s *run.State, i int) string {
	st := &s.Steps[i]
	line := stepWord(s, st) + " " + bold(st.Name)
	if limit := attempts(s, i); st.Attempts > 1 || st.Failures > 0 && limit > 1 {
		if st.Attempts > limit {
			line += fmt.Sprintf(" attempt %d", st.Attempts) // interrupted ones do not count against the limit
		} else {
			line += fmt.Sprintf(" attempt %d of %d", st.Attempts, limit)
		}
	}
	switch {
	case st.Status == run.StepRunning && s.Claimed():
		line += " since " + clock(st.Started)
	case st.Status == run.StepSucceeded && !st.Started.IsZero():
		line += " " + spent(st.Finished.Sub(st.Started))
	case st.Status == run.StepFailed:
		if !st.Started.IsZero() && st.Finished.After(st.Started) {
			line += " " + spent(st.Finished.Sub(st.Started))
		}
		if st.Error != "" {
			line += " " + grammar.Code(cut(st.Error, maxError))
		}
	case st.Status == run.StepWaiting && !st.RetryAt.IsZero():
		line += " next attempt " + clock(st.RetryAt)
	}
	return line
}

func stepWord(s *run.State, st *run.Step) string {
	if st.Status == run.StepRunning && !s.Claimed() || st.Status == run.StepPending && st.Interrupted && !s.Status.Ended() {
		return "🔁 interrupted" // its runner was lost, or it waits for its probe
	}
	switch st.Status {
	case run.StepRunning:
		return "▶️ running"
	case run.StepWaiting:
		return "⏸️ waiting"
	case run.StepSucceeded:
		return "✅ done"
	case run.StepFailed:
		return "❌ failed"
	case run.StepCarried:
		return "⏭️ carried over"
	case run.StepPending:
	}
	return pendingWord(s)
}

func attempts(s *run.State, i int) uint32 {
	if steps := s.Plan.GetSteps(); i < len(steps) {
		return run.MaxAttempts(steps[i])
	}
	return 1
}
