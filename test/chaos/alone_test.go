package chaos

import (
	"context"
	"fmt"
	"path/filepath"
	"testing"

	"github.com/slipway-hq/slipway/internal/eventlog"
	"github.com/slipway-hq/slipway/internal/natsnode"
	"github.com/slipway-hq/slipway/test/internal/world"
)

// aloneName is the process that is everything: slipway up.
const aloneName = "slipway"

// buildAlone makes a town that is one process, its NATS server inside.
func buildAlone(t testing.TB, w *world.World, logs string) *town {
	t.Helper()
	c := newTown(w, logs)
	c.names, c.replicas, c.read = []string{aloneName}, []string{aloneName}, c.quietAlone
	c.doors[aloneName] = c.address()
	door := &balance{c.listen(c.doors[aloneName])}
	c.front[world.Orchestrator], c.front[world.Ingress] = door, door
	w.Reach(door.Address(), door.Address())
	c.hosts[aloneName] = keep(t, aloneName, logs, filepath.Join(built, aloneName), []string{"up", "--data", w.Data()}, append(w.Environment(), "SLIPWAY_LISTEN="+c.doors[aloneName]))
	c.ready()
	return c
}

// quietAlone waits for the end of every run and reads the log while the process
// is down: nobody else has it.
func (c *town) quietAlone() (records []eventlog.Record) {
	c.T.Helper()
	c.eventually("the end of every run", restTime, func() error {
		for _, r := range c.All() {
			if !world.Terminal(r.GetStatus()) {
				return fmt.Errorf("%s is %s: %s", r.GetId(), r.GetStatus(), r.GetReason())
			}
		}
		return nil
	})
	ctx, cancel := context.WithTimeout(context.Background(), world.Patience)
	defer cancel()
	if err := c.hosts[aloneName].stop(ctx); err != nil {
		c.T.Fatal(err)
	}
	records, err := readFolder(ctx, filepath.Join(c.Data(), "nats"))
	if err != nil {
		c.T.Errorf("read the log of the process that is down: %v", err)
	}
	c.hosts[aloneName].resume()
	c.ready()
	return records
}

func readFolder(ctx context.Context, dir string) ([]eventlog.Record, error) {
	node, err := natsnode.Start(natsnode.Config{Dir: dir})
	if err != nil {
		return nil, err
	}
	defer func() { _ = node.Shutdown(ctx) }()
	conn, err := node.Connect("harness")
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	return readLog(ctx, conn)
}
