package main

import (
	"context"
	"fmt"
	"time"

	apiv1 "github.com/slipway-hq/slipway/gen/slipway/api/v1"
)

// ReplayCmd proves that the live view is what the log says.
type ReplayCmd struct{}

// Help shows examples.
func (ReplayCmd) Help() string {
	return "Runs go on meanwhile. Exit code 1 when the two differ.\n\nExamples:\n\n  slipway replay"
}

// Run shows the progress and the differences.
func (ReplayCmd) Run(g *Globals) error {
	return g.follow(func(ctx context.Context, c *client) error {
		began := time.Now()
		last, err := g.replay(ctx, c)
		if err != nil {
			return err
		}
		if !last.GetDone() {
			return &failure{code: exitUnavailable, message: "the replay broke off before its end", next: "run it again"}
		}
		if !g.JSON {
			g.printReplay(last, time.Since(began))
		}
		if len(last.GetDifferences()) > 0 {
			return &failure{code: exitFailed, quiet: true}
		}
		return nil
	})
}

func (g *Globals) replay(ctx context.Context, c *client) (*apiv1.ReplayResponse, error) {
	stream, err := c.system.Replay(ctx, &apiv1.ReplayRequest{})
	if err != nil {
		return nil, err
	}
	defer func() { _ = stream.Close() }() // the answer is complete or broken by now
	live := isTerminal(g.err) && !g.JSON
	var last *apiv1.ReplayResponse
	for stream.Receive() {
		last = stream.Msg()
		if g.JSON {
			if err := g.printProto(last); err != nil {
				return last, err
			}
		}
		if live {
			g.notef("\r\x1b[2K%s", replayLine(last))
		}
	}
	if live {
		g.notef("\r\x1b[2K")
	}
	return last, stream.Err()
}

func replayLine(m *apiv1.ReplayResponse) string {
	share := ""
	if m.GetTargetSequence() > 0 {
		share = fmt.Sprintf(" (%d %%)", min(100, 100*m.GetSequence()/m.GetTargetSequence()))
	}
	return plural(m.GetRecords(), "record") + ", " + plural(m.GetRuns(), "run") + share
}

func (g *Globals) printReplay(m *apiv1.ReplayResponse, took time.Duration) {
	p := g.outPaint()
	g.printf("replayed %s of %s in %s\n", plural(m.GetRecords(), "record"), plural(m.GetRuns(), "run"), lasting(took))
	if len(m.GetDifferences()) == 0 {
		g.printf("%s\n", p.in(green, "the live view is what the log says"))
		return
	}
	for _, d := range m.GetDifferences() {
		g.printf("%s\n", p.in(red, clean(d)))
	}
	g.notef("the live view differs from the log: restart the orchestrator, and report this\n")
}
