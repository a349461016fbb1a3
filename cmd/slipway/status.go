package main

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/slipway-hq/slipway/domain/roster"
	apiv1 "github.com/slipway-hq/slipway/gen/slipway/api/v1"
)

// StatusCmd says what goes on.
type StatusCmd struct {
	ID string `arg:"" optional:"" help:"Id of a run, or its unique beginning. Without one: everything that runs and waits."`
}

// Help shows examples.
func (StatusCmd) Help() string {
	return "Examples:\n\n  slipway status\n  slipway status d-4f7kq\n  slipway status d-4f7kq --json | jq -r .status"
}

// maxActive is the most active runs that are shown: a page of the API's.
const maxActive = 200

// Run answers about one run or about all that are active.
func (s *StatusCmd) Run(g *Globals) error {
	return g.ask(func(ctx context.Context, c *client) error {
		if s.ID == "" {
			return g.statusOfAll(ctx, c)
		}
		resp, err := c.runs.GetRun(ctx, &apiv1.GetRunRequest{Id: s.ID})
		if err != nil {
			return err
		}
		if g.JSON {
			return g.printProto(resp.GetRun())
		}
		g.printRun(resp.GetRun())
		return nil
	})
}

func (g *Globals) statusOfAll(ctx context.Context, c *client) error {
	resp, err := c.runs.ListRuns(ctx, &apiv1.ListRunsRequest{Active: true, PageSize: maxActive})
	if err != nil {
		return err
	}
	if g.JSON {
		return g.printProto(resp)
	}
	if len(resp.GetRuns()) == 0 {
		g.printf("nothing runs and nothing waits\n")
		return nil
	}
	slices.Reverse(resp.GetRuns()) // oldest first: the order in which things move
	g.printRuns(resp.GetRuns())
	if resp.GetNextPageToken() != "" {
		g.notef("and more: slipway runs --active --page %s\n", resp.GetNextPageToken())
	}
	return nil
}

// place is a run's place in its queue, or empty.
func place(r *apiv1.Run) string {
	if r.GetPosition() == 0 {
		return ""
	}
	return strconv.FormatUint(uint64(r.GetPosition()), 10)
}

// printRun is everything about one run.
func (g *Globals) printRun(r *apiv1.Run) {
	p, now := g.outPaint(), time.Now()
	g.printf("%s  %s  %s\n", p.in(bold, name(r)), title(r), p.in(statusColours[r.GetStatus()], standing(r)))
	for _, f := range fields(r, now) {
		if f[1] != "" {
			g.printf("  %s %s\n", p.in(faint, fmt.Sprintf("%-10s", f[0])), clean(f[1]))
		}
	}
	if len(r.GetSteps()) > 0 {
		g.printf("\n")
		g.printSteps(r, now)
	}
	if r.GetQuestion() != "" {
		g.printf("\n%s\n", p.in(yellow, clean(r.GetQuestion())))
		g.notef("answer: slipway answer %s repeat|done|fail\n", name(r))
	}
}

// fields are the facts about a run, in order.
func fields(r *apiv1.Run, now time.Time) [][2]string {
	return [][2]string{
		{"id", r.GetId()},
		{"asked by", r.GetRequester()},
		{"asked at", at(r.GetCreated())},
		{"asked via", r.GetSource()},
		{"starts at", startsAt(r, now)},
		{"started", at(r.GetStarted())},
		{"finished", at(r.GetFinished())},
		{"took", took(r.GetStarted(), r.GetFinished(), now)},
		{"lane", r.GetLane()},
		{"pipeline", r.GetPipeline()},
		{"pool", r.GetPool()},
		{"labels", roster.Text(r.GetLabels())},
		{"only on", r.GetOnlyRunner()},
		{"runner", r.GetRunner()},
		{"commit", r.GetCommit()},
		{"retry of", r.GetRetryOf()},
		{"parameters", pairs(r.GetParameters())},
		{"merged", mergedIDs(r)},
		{"override", r.GetDespiteHold()},
		{"trace", r.GetTraceId()},
		{"sequence", strconv.FormatUint(r.GetSequence(), 10)},
	}
}

// startsAt is when a run that was put off may start.
func startsAt(r *apiv1.Run, now time.Time) string {
	if r.GetStartAfter() == nil || r.GetStarted() != nil || !r.GetStartAfter().AsTime().After(now) {
		return ""
	}
	return at(r.GetStartAfter())
}

// mergedIDs names the runs that are one execution with this one.
func mergedIDs(r *apiv1.Run) string {
	if r.GetMergedInto() != "" {
		return "into " + r.GetMergedInto()
	}
	return strings.Join(r.GetMerged(), " ")
}

func pairs(m map[string]string) string {
	var out []string
	for _, key := range slices.Sorted(maps.Keys(m)) {
		out = append(out, key+"="+m[key])
	}
	return strings.Join(out, " ")
}

func (g *Globals) printSteps(r *apiv1.Run, now time.Time) {
	t := table{head: []string{"STEP", "STATE", "ATTEMPT", "TOOK", "WHY"}}
	for _, s := range r.GetSteps() {
		look := stepLooks[s.GetStatus()]
		why := s.GetError()
		if s.GetRetryAt() != nil {
			why = strings.TrimPrefix(why+"; next attempt at "+s.GetRetryAt().AsTime().Local().Format("15:04:05"), "; ")
		}
		t.add(text(s.GetName()), cell{look.mark + " " + look.word, look.colour}, text(strings.TrimPrefix(attempts(s), "attempt ")), text(took(s.GetStarted(), s.GetFinished(), now)), text(why))
	}
	t.write(g.out, g.outPaint())
}
