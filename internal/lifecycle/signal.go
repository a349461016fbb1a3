package lifecycle

import (
	"context"
	"os"
	"os/signal"
	"syscall"
)

// Interruptible returns a context that ends at the first Ctrl-C or SIGTERM. The
// second one kills the process, as if nobody listened. Call stop at the end.
func Interruptible(parent context.Context) (ctx context.Context, stop context.CancelFunc) {
	ctx, stop = signal.NotifyContext(parent, os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // from then on signals do what they do by default
	return ctx, stop
}
