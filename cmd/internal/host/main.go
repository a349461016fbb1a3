package host

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/alecthomas/kong"

	"github.com/slipway-hq/slipway/internal/lifecycle"
	"github.com/slipway-hq/slipway/internal/settings"
)

// Main is the body of a binary that runs one service: it parses flags and
// environment into cli, opens the host by its common flags, lets build add the
// service and runs it until it is told to stop.
func Main(service, about string, cli any, flags *Flags, log *settings.Log, drain func() time.Duration, build func(context.Context, *Host) error) {
	options := append(settings.Options(), kong.Name(service), kong.Description(about), kong.UsageOnError(), kong.Vars{"version": Version()})
	kong.Parse(cli, options...)
	if err := serveOne(service, flags, log, drain, build); err != nil {
		fmt.Fprintln(os.Stderr, service+":", err)
		os.Exit(1)
	}
}

func serveOne(service string, flags *Flags, log *settings.Log, drain func() time.Duration, build func(context.Context, *Host) error) error {
	ctx, stop := lifecycle.Interruptible(context.Background())
	defer stop()
	logger, err := log.Logger(os.Stderr)
	if err != nil {
		return err
	}
	h, err := Open(ctx, service, *flags, logger)
	if err != nil {
		return err
	}
	if err := build(ctx, h); err != nil {
		return errors.Join(err, h.Close(ctx))
	}
	return h.Run(ctx, drain(), func() { h.Logger.Info("up", "url", h.URL(), "version", Version()) })
}
