// Command orchestrator runs the orchestrator alone, against NATS_URL: intake,
// dispatcher and the Connect API. `slipway up` runs the same with everything
// else in one process.
package main

import (
	"context"
	"time"
	_ "time/tzdata" // schedules and holds name zones, also where no zoneinfo is installed: in a bare container

	"github.com/slipway-hq/slipway/cmd/internal/host"
	apiv1 "github.com/slipway-hq/slipway/gen/slipway/api/v1"
	"github.com/slipway-hq/slipway/internal/settings"
	"github.com/slipway-hq/slipway/internal/telemetry"
	"github.com/slipway-hq/slipway/services/notifier"
	"github.com/slipway-hq/slipway/services/orchestrator"
)

type cli struct {
	host.Flags `embed:""`
	Log        settings.Log     `embed:""`
	Config     string           `help:"The configuration, slipway.yaml; empty: the one adopted before." env:"SLIPWAY_CONFIG" type:"path"`
	APIToken   telemetry.Secret `name:"api-token" env:"SLIPWAY_API_TOKEN" hidden:"" help:"Token that API callers must give."`
	Slack      notifier.Config  `embed:""`

	Logs    orchestrator.LogSettings     `embed:""`
	Archive orchestrator.ArchiveSettings `embed:""`
}

func main() {
	var c cli
	drain := func() time.Duration { return 15 * time.Second }
	host.Main("orchestrator", "Decides, dispatches and answers: Slipway's API.", &c, &c.Flags, &c.Log, drain, func(_ context.Context, h *host.Host) error {
		checks := []func(context.Context) []*apiv1.Check{host.SyncUnseen}
		if c.Slack.BotToken != "" {
			messages, err := h.MessageChecks()
			if err != nil {
				return err
			}
			checks = append(checks, host.SlackChecks(c.Slack), messages)
		}
		_, err := h.Orchestrator(orchestrator.Config{File: c.Config, Token: c.APIToken, Logs: c.Logs, Archive: c.Archive}, checks...)
		return err
	})
}
