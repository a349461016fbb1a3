package main

import (
	"fmt"
	"strings"
	"time"

	apiv1 "github.com/slipway-hq/slipway/gen/slipway/api/v1"
)

// progress tells what happens to one run: a line for each thing that happened,
// and on a terminal below them one line that is updated in place.
type progress struct {
	g     *Globals
	paint paint
	live  bool
	drawn bool
	run   *apiv1.Run
	// told is what was said last: of the run under "", of each step by name.
	told map[string]string
}

func newProgress(g *Globals) *progress {
	return &progress{g: g, paint: g.outPaint(), live: isTerminal(g.out) && !g.JSON, told: map[string]string{}}
}

// update tells what is new in a state of the run.
func (p *progress) update(r *apiv1.Run, now time.Time) {
	p.run = r
	p.clear()
	if !ended(r.GetStatus()) {
		p.tell("", standing(r), statusColours[r.GetStatus()])
	}
	for _, s := range r.GetSteps() {
		p.step(s, now)
	}
	if ended(r.GetStatus()) {
		p.end(r, now)
		return
	}
	p.redraw(now)
}

// step tells a step's news. On a terminal a step that has not ended is in the
// live line.
func (p *progress) step(s *apiv1.Step, now time.Time) {
	look := stepLooks[s.GetStatus()]
	switch s.GetStatus() {
	case apiv1.StepStatus_STEP_STATUS_PENDING, apiv1.StepStatus_STEP_STATUS_SKIPPED, apiv1.StepStatus_STEP_STATUS_UNSPECIFIED:
		return
	case apiv1.StepStatus_STEP_STATUS_RUNNING:
		if p.live {
			return
		}
	default: // news
	}
	p.tell(s.GetName(), look.mark+" "+clean(s.GetName())+" "+stepNews(s, now), look.colour)
}

// stepNews is a step's state without what changes by itself.
func stepNews(s *apiv1.Step, now time.Time) string {
	out := stepLooks[s.GetStatus()].word
	if s.GetFinished() != nil && s.GetStatus() != apiv1.StepStatus_STEP_STATUS_CARRIED {
		out += " after " + took(s.GetStarted(), s.GetFinished(), now)
	}
	if a := attempts(s); a != "" {
		out += ", " + a
	}
	if s.GetError() != "" && s.GetStatus() != apiv1.StepStatus_STEP_STATUS_SUCCEEDED {
		out += ": " + clean(s.GetError())
	}
	if s.GetRetryAt() != nil {
		out += "; next attempt at " + s.GetRetryAt().AsTime().Local().Format("15:04:05")
	}
	return out
}

// tell prints a line unless it was the last one about that.
func (p *progress) tell(about, line string, c colour) {
	if p.told[about] == line {
		return
	}
	p.told[about] = line
	p.g.printf("  %s\n", p.paint.in(c, line))
}

// end is the last line, and when it failed the end of what the step printed.
func (p *progress) end(r *apiv1.Run, now time.Time) {
	line := standing(r)
	if d := took(r.GetStarted(), r.GetFinished(), now); d != "" {
		line += " (" + d + ")"
	}
	for _, s := range r.GetSteps() {
		if s.GetStatus() == apiv1.StepStatus_STEP_STATUS_FAILED && s.GetTail() != "" {
			p.g.printf("%s\n", indent(logText(s.GetTail(), bool(p.paint))))
			p.g.notef("all of it: slipway logs %s --step %s\n", name(r), clean(s.GetName()))
		}
	}
	p.g.printf("%s %s\n", p.paint.in(bold, name(r)), p.paint.in(statusColours[r.GetStatus()], line))
}

func indent(text string) string {
	return "    " + strings.ReplaceAll(strings.TrimRight(text, "\n"), "\n", "\n    ")
}

// redraw writes the live line.
func (p *progress) redraw(now time.Time) {
	if !p.live || p.run == nil || ended(p.run.GetStatus()) {
		return
	}
	line := fit(liveLine(p.run, now), width(p.g.out)-1)
	p.g.printf("\r\x1b[2K%s", p.paint.in(statusColours[p.run.GetStatus()], line))
	p.drawn = true
}

// clear takes the live line away.
func (p *progress) clear() {
	if p.drawn {
		p.g.printf("\r\x1b[2K")
		p.drawn = false
	}
}

// liveLine is the run in one line: its status, its time, and its steps.
func liveLine(r *apiv1.Run, now time.Time) string {
	parts := []string{fmt.Sprintf("%s %s", name(r), statusCell(r).text)}
	if d := took(r.GetStarted(), nil, now); d != "" {
		parts[0] += " " + d
	}
	for _, s := range r.GetSteps() {
		part := stepLooks[s.GetStatus()].mark + " " + clean(s.GetName())
		if s.GetStatus() == apiv1.StepStatus_STEP_STATUS_RUNNING {
			part += " " + took(s.GetStarted(), nil, now)
			if a := attempts(s); a != "" && s.GetAttempts() > 1 {
				part += " (" + a + ")"
			}
		}
		parts = append(parts, part)
	}
	return strings.Join(parts, "  ")
}
