// Command slack-ingress runs slack-ingress alone, against NATS_URL: it verifies
// Slack's requests, makes them durable and answers in time.
package main

import (
	"context"
	"time"

	"github.com/slipway-hq/slipway/cmd/internal/host"
	"github.com/slipway-hq/slipway/internal/settings"
	ingress "github.com/slipway-hq/slipway/services/slack-ingress"
)

type cli struct {
	host.Flags `embed:""`
	Log        settings.Log   `embed:""`
	Ingress    ingress.Config `embed:""`
}

func main() {
	var c cli
	drain := func() time.Duration { return 10 * time.Second }
	host.Main("slack-ingress", "Takes Slack's requests.", &c, &c.Flags, &c.Log, drain, func(_ context.Context, h *host.Host) error {
		return h.Ingress(c.Ingress)
	})
}
