package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/slipway-hq/slipway/internal/lifecycle"
	"github.com/slipway-hq/slipway/internal/natsconn"
	"github.com/slipway-hq/slipway/internal/settings"
	"github.com/slipway-hq/slipway/internal/topology"
)

// BootstrapCmd prepares a NATS cluster.
type BootstrapCmd struct {
	NATS     settings.NATS `embed:""`
	Replicas int           `default:"1" enum:"1,3" help:"Copies of every stream: 1, or 3 on a cluster of three. Chosen once."`
	Store    int64         `default:"${store}" placeholder:"BYTES" help:"Bytes that Slipway may use of each server's disk."`
	Pool     []string      `default:"default" placeholder:"NAME" help:"Runner pools to prepare for."`
}

// bootstrapTimeout is enough for the elections of all streams on a new cluster.
const bootstrapTimeout = 2 * time.Minute

// Help shows examples.
func (BootstrapCmd) Help() string {
	return "Creates what is missing, changes nothing that exists, and says where the two differ. `slipway up` needs none of it.\n\nExamples:\n\n  slipway bootstrap --nats-url nats://127.0.0.1:4222\n  NATS_URL=nats://a:4222,nats://b:4222,nats://c:4222 slipway bootstrap --replicas 3"
}

// Run creates and verifies.
func (b *BootstrapCmd) Run(g *Globals) error {
	if !b.NATS.External() {
		return &failure{code: exitUsage, message: "which NATS cluster?", next: "name it with --nats-url or NATS_URL"}
	}
	ctx, stop := lifecycle.Interruptible(context.Background())
	defer stop()
	ctx, cancel := context.WithTimeout(ctx, bootstrapTimeout)
	defer cancel()
	where := b.NATS.Settings()
	where.Service = "bootstrap"
	conn, err := natsconn.Dial(ctx, "slipway-bootstrap", where, g.log)
	if err != nil {
		return &failure{code: exitUnavailable, message: err.Error(), next: "is the cluster running, and the address right?"}
	}
	defer conn.Close()
	js, err := jetstream.New(conn)
	if err != nil {
		return fmt.Errorf("use JetStream: %w", err)
	}
	spec := topology.Topology(b.Replicas, topology.LimitsFor(b.Store), b.Pool...)
	if err := topology.Ensure(ctx, js, spec); err != nil {
		return err
	}
	drift, err := topology.Verify(ctx, js, spec)
	if err != nil {
		return err
	}
	return b.tell(g, spec, drift)
}

// bootstrapped is the result as JSON.
type bootstrapped struct {
	Streams  []string `json:"streams"`
	Replicas int      `json:"replicas"`
	Drift    []string `json:"drift"`
}

func (b *BootstrapCmd) tell(g *Globals, spec topology.Spec, drift []topology.Drift) error {
	out := bootstrapped{Streams: []string{}, Replicas: b.Replicas, Drift: []string{}}
	for _, s := range spec.Streams {
		out.Streams = append(out.Streams, s.Name)
	}
	for _, d := range drift {
		out.Drift = append(out.Drift, d.String())
	}
	if g.JSON {
		if err := g.printJSON(out); err != nil {
			return err
		}
	} else {
		g.printf("%s with %s each: %s\n", plural(uint64(len(out.Streams)), "stream"), plurals(b.Replicas, "copy", "copies"), strings.Join(out.Streams, ", "))
		for _, d := range out.Drift {
			g.printf("%s\n", g.outPaint().in(yellow, clean(d)))
		}
	}
	if len(drift) > 0 {
		return &failure{code: exitFailed, message: "what exists differs from what Slipway relies on", next: "change it with the nats tool, or remove what is empty and run this again"}
	}
	return nil
}

func plurals(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}
