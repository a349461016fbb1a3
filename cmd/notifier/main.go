// Command notifier runs the notifier alone, against NATS_URL: it keeps one live
// Slack message per run.
package main

import (
	"context"
	"time"

	"github.com/slipway-hq/slipway/cmd/internal/host"
	"github.com/slipway-hq/slipway/internal/runlog"
	"github.com/slipway-hq/slipway/internal/settings"
	"github.com/slipway-hq/slipway/internal/telemetry"
	"github.com/slipway-hq/slipway/services/notifier"
)

type cli struct {
	host.Flags `embed:""`
	Log        settings.Log     `embed:""`
	Slack      notifier.Config  `embed:""`
	PublicURL  string           `name:"public-url" help:"How people reach the API in a browser, for links to the output of runs." env:"SLIPWAY_PUBLIC_URL"`
	LinkKey    telemetry.Secret `name:"link-key" env:"SLIPWAY_LINK_KEY" hidden:"" help:"Key shared with the orchestrator that signs links to the output of runs."`
}

func main() {
	var c cli
	drain := func() time.Duration { return 15 * time.Second }
	host.Main("notifier", "Keeps the cards in Slack up to date.", &c, &c.Flags, &c.Log, drain, func(_ context.Context, h *host.Host) error {
		c.Slack.Output = runlog.Link{Base: c.PublicURL, Key: []byte(c.LinkKey)}
		return h.Notifier(c.Slack, nil)
	})
}
