package main

import (
	"context"
	"fmt"
	"strconv"

	apiv1 "github.com/slipway-hq/slipway/gen/slipway/api/v1"
)

// DeadCmd looks at messages that could not be handled.
type DeadCmd struct {
	List   DeadListCmd   `cmd:"" help:"List messages that could not be handled."`
	Show   DeadShowCmd   `cmd:"" help:"Show such a message in full."`
	Replay DeadReplayCmd `cmd:"" help:"Put such a message back where it came from."`
}

// DeadListCmd lists dead messages.
type DeadListCmd struct{}

// Run prints the table.
func (DeadListCmd) Run(g *Globals) error {
	return g.ask(func(ctx context.Context, c *client) error {
		resp, err := c.system.ListDead(ctx, &apiv1.ListDeadRequest{})
		if err != nil {
			return err
		}
		if g.JSON {
			return g.printProto(resp)
		}
		if len(resp.GetMessages()) == 0 {
			g.printf("no dead messages\n")
			return nil
		}
		t := table{head: []string{"SEQ", "TIME", "SERVICE", "REASON", "SUBJECT"}}
		for _, m := range resp.GetMessages() {
			t.add(cell{strconv.FormatUint(m.GetSequence(), 10), bold}, text(at(m.GetTime())), text(m.GetService()), text(m.GetReason()), text(m.GetSubject()))
		}
		t.write(g.out, g.outPaint())
		return nil
	})
}

// DeadShowCmd shows a dead message.
type DeadShowCmd struct {
	Seq uint64 `arg:"" help:"Its sequence, from slipway dead list."`
}

// Run prints the message.
func (d *DeadShowCmd) Run(g *Globals) error {
	return g.ask(func(ctx context.Context, c *client) error {
		resp, err := c.system.ListDead(ctx, &apiv1.ListDeadRequest{})
		if err != nil {
			return err
		}
		for _, m := range resp.GetMessages() {
			if m.GetSequence() == d.Seq {
				return g.printDead(m)
			}
		}
		return &failure{code: exitNotFound, message: fmt.Sprintf("there is no dead message %d", d.Seq), next: "`slipway dead list` lists them"}
	})
}

func (g *Globals) printDead(m *apiv1.DeadMessage) error {
	if g.JSON {
		return g.printProto(m)
	}
	for _, f := range [][2]string{
		{"sequence", strconv.FormatUint(m.GetSequence(), 10)}, {"time", at(m.GetTime())}, {"service", m.GetService()},
		{"reason", m.GetReason()}, {"subject", m.GetSubject()},
	} {
		g.printf("%s %s\n", g.outPaint().in(faint, fmt.Sprintf("%-8s", f[0])), clean(f[1]))
	}
	g.printf("\n%s\n", cleanLines(m.GetText()))
	return nil
}

// DeadReplayCmd puts a dead message back.
type DeadReplayCmd struct {
	Seq uint64 `arg:"" help:"Its sequence, from slipway dead list."`
}

// Run puts it back.
func (d *DeadReplayCmd) Run(g *Globals) error {
	return g.ask(func(ctx context.Context, c *client) error {
		resp, err := c.system.ReplayDead(ctx, &apiv1.ReplayDeadRequest{Sequence: d.Seq})
		if err != nil {
			return err
		}
		if g.JSON {
			return g.printProto(resp)
		}
		g.printf("message %d is back on %s\n", d.Seq, clean(resp.GetSubject()))
		return nil
	})
}
