// Command slack-ingress runs slack-ingress alone, against NATS_URL: it verifies
// Slack's requests, makes them durable and answers in time.
package main

import (
	"context"
	"time"
	_ "time/tzdata" // schedules and holds name zones, also where no zoneinfo is installed: in a bare container

	"github.com/slipway-hq/slipway/cmd/internal/host"
	"github.com/slipway-hq/slipway/internal/settings"
	"github.com/slipway-hq/slipway/internal/telemetry"
	ingress "github.com/slipway-hq/slipway/services/slack-ingress"
)

type cli struct {
	host.Flags `embed:""`
	Log        settings.Log   `embed:""`
	Ingress    ingress.Config `embed:""`

	Config      string            `help:"The configuration, slipway.yaml, for webhooks and relays; empty: there are none." env:"SLIPWAY_CONFIG" type:"path"`
	CallbackKey *telemetry.Secret `name:"callback-key" env:"SLIPWAY_CALLBACK_KEY" hidden:"" help:"Key shared with the runners; without it running jobs cannot speak."`
}

func main() {
	var c cli
	drain := func() time.Duration { return 10 * time.Second }
	host.Main("slack-ingress", "Takes Slack's requests.", &c, &c.Flags, &c.Log, drain, func(_ context.Context, h *host.Host) error {
		c.Ingress.File, c.Ingress.CallbackKey = c.Config, c.CallbackKey
		return h.Ingress(c.Ingress)
	})
}
