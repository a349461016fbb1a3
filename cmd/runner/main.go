// Command runner runs a runner alone, against NATS_URL: it claims runs and
// executes their steps.
package main

import (
	"context"
	"time"

	"github.com/slipway-hq/slipway/cmd/internal/host"
	"github.com/slipway-hq/slipway/internal/settings"
	"github.com/slipway-hq/slipway/services/runner"
)

type cli struct {
	host.Flags `embed:""`
	Log        settings.Log  `embed:""`
	Data       string        `help:"Folder of this runner: its identity, workspaces and caches." default:".slipway/runner" env:"SLIPWAY_DATA" type:"path"`
	Runner     runner.Config `embed:""`
}

func main() {
	var c cli
	drain := func() time.Duration { return c.Runner.DrainTimeout + 10*time.Second }
	host.Main("runner", "Claims runs and executes their steps.", &c, &c.Flags, &c.Log, drain, func(_ context.Context, h *host.Host) error {
		_, err := h.Runner(c.Runner, c.Data, runner.Deps{})
		return err
	})
}
