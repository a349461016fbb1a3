// Command notifier runs the notifier alone, against NATS_URL: it keeps one live
// Slack message per run.
package main

import (
	"context"
	"time"

	"github.com/slipway-hq/slipway/cmd/internal/host"
	"github.com/slipway-hq/slipway/internal/settings"
	"github.com/slipway-hq/slipway/services/notifier"
)

type cli struct {
	host.Flags `embed:""`
	Log        settings.Log    `embed:""`
	Slack      notifier.Config `embed:""`
}

func main() {
	var c cli
	drain := func() time.Duration { return 15 * time.Second }
	host.Main("notifier", "Keeps the cards in Slack up to date.", &c, &c.Flags, &c.Log, drain, func(_ context.Context, h *host.Host) error {
		return h.Notifier(c.Slack, nil)
	})
}
