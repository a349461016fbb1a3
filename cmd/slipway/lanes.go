package main

import (
	"context"
	"fmt"
	"strings"

	apiv1 "github.com/slipway-hq/slipway/gen/slipway/api/v1"
)

// LanesCmd is about the queues.
type LanesCmd struct {
	List LanesListCmd `cmd:"" default:"withargs" help:"List the queues, and why each run waits."`
	Set  LanesSetCmd  `cmd:"" help:"Change the limit of a queue, or pause it."`
}

// LanesListCmd lists the queues.
type LanesListCmd struct {
	Watch bool `short:"w" help:"Show every change until Ctrl-C."`
}

// Help shows examples.
func (LanesListCmd) Help() string {
	return "Examples:\n\n  slipway lanes\n  slipway lanes --watch --json"
}

// Run lists the lanes, once or on every change.
func (l *LanesListCmd) Run(g *Globals) error {
	if l.Watch {
		return g.follow(func(ctx context.Context, c *client) error { return g.watchLanes(ctx, c) })
	}
	return g.ask(func(ctx context.Context, c *client) error {
		resp, err := c.lanes.ListLanes(ctx, &apiv1.ListLanesRequest{})
		if err != nil {
			return err
		}
		if g.JSON {
			return g.printProto(resp)
		}
		g.printLanes(resp.GetLanes())
		return nil
	})
}

// home moves to the top left of a terminal and clears it.
const home = "\x1b[H\x1b[2J"

func (g *Globals) watchLanes(ctx context.Context, c *client) error {
	after := uint64(0)
	f := &follower{lost: g.lost}
	return f.follow(ctx, func(ctx context.Context, heard func()) (bool, error) {
		stream, err := c.lanes.WatchLanes(ctx, &apiv1.WatchLanesRequest{AfterSequence: after})
		if err != nil {
			return false, err
		}
		defer func() { _ = stream.Close() }() // the answer is complete or broken by now
		for stream.Receive() {
			heard()
			after = max(after, stream.Msg().GetSequence())
			if err := g.redrawLanes(stream.Msg()); err != nil {
				return true, err
			}
		}
		return false, stream.Err()
	})
}

func (g *Globals) redrawLanes(m *apiv1.WatchLanesResponse) error {
	if g.JSON {
		return g.printProto(m)
	}
	if isTerminal(g.out) {
		g.printf(home)
	}
	g.printLanes(m.GetLanes())
	if !isTerminal(g.out) {
		g.printf("\n")
	}
	return nil
}

// printLanes is a table of the lanes, with those that wait below each.
func (g *Globals) printLanes(lanes []*apiv1.Lane) {
	if len(lanes) == 0 {
		g.printf("no lanes: nothing has run yet\n")
		return
	}
	p := g.outPaint()
	for _, l := range lanes {
		g.printf("%s  %s%s\n", p.in(bold, clean(l.GetName())), busy(l), p.in(yellow, because(l.GetReason())))
		for _, r := range l.GetOccupied() {
			g.printf("  %s %s  %s\n", p.in(cyan, "●"), name(r), title(r)+because(statusWord(r.GetStatus())))
		}
		for i, r := range l.GetQueued() {
			g.printf("  %d %s  %s\n", i+1, name(r), title(r)+because(clean(r.GetReason())))
		}
		for _, h := range l.GetHolds() {
			g.printf("  %s %s\n", p.in(yellow, "‖"), clean(fmt.Sprintf("%s held from %s until %s by %s%s", held(h), at(h.GetFrom()), at(h.GetUntil()), h.GetBy(), because(h.GetReason()))))
		}
	}
}

func because(reason string) string {
	if reason == "" {
		return ""
	}
	return ": " + clean(reason)
}

func busy(l *apiv1.Lane) string {
	parts := []string{fmt.Sprintf("%d of %d busy", len(l.GetOccupied()), l.GetLimit())}
	if n := len(l.GetQueued()); n > 0 {
		parts = append(parts, fmt.Sprintf("%d waiting", n))
	}
	if l.GetRateLimit() > 0 {
		parts = append(parts, fmt.Sprintf("at most %d per %s", l.GetRateLimit(), l.GetRatePeriod().AsDuration()))
	}
	for _, share := range []struct {
		n    uint32
		whom string
	}{{l.GetPerRunner(), "runner"}, {l.GetPerNamespace(), "namespace"}, {l.GetPerJob(), "job"}} {
		if share.n > 0 {
			parts = append(parts, fmt.Sprintf("at most %d per %s", share.n, share.whom))
		}
	}
	if l.GetPaused() {
		parts = append(parts, "paused")
	}
	if c := l.GetChange(); c != nil {
		parts = append(parts, clean("set by "+c.GetBy()+because(c.GetReason())))
	}
	return strings.Join(parts, ", ")
}
