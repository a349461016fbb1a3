package main

import (
	"context"

	apiv1 "github.com/slipway-hq/slipway/gen/slipway/api/v1"
)

// DoctorCmd checks a Slipway.
type DoctorCmd struct{}

// Help shows examples.
func (DoctorCmd) Help() string {
	return "Each finding that is not good says what to do. Exit code 1 when one is an error.\n\nExamples:\n\n  slipway doctor\n  slipway doctor --json | jq '.checks[] | select(.level != \"LEVEL_OK\")'"
}

var levels = map[apiv1.Check_Level]cell{
	apiv1.Check_LEVEL_OK:      {"ok", green},
	apiv1.Check_LEVEL_WARNING: {"warning", yellow},
	apiv1.Check_LEVEL_ERROR:   {"error", red},
}

// Run prints every check.
func (DoctorCmd) Run(g *Globals) error {
	return g.ask(func(ctx context.Context, c *client) error {
		resp, err := c.system.Doctor(ctx, &apiv1.DoctorRequest{})
		if err != nil {
			return err
		}
		if err := g.printChecks(resp); err != nil {
			return err
		}
		for _, check := range resp.GetChecks() {
			if check.GetLevel() == apiv1.Check_LEVEL_ERROR {
				return &failure{code: exitFailed, quiet: true}
			}
		}
		return nil
	})
}

func (g *Globals) printChecks(resp *apiv1.DoctorResponse) error {
	if g.JSON {
		return g.printProto(resp)
	}
	t := table{head: []string{"CHECK", "", "FINDING", "WHAT TO DO"}}
	for _, check := range resp.GetChecks() {
		t.add(text(check.GetName()), levels[check.GetLevel()], text(check.GetFinding()), text(check.GetRemedy()))
	}
	t.write(g.out, g.outPaint())
	return nil
}
