package chaos

import (
	"context"
	"errors"
	"fmt"
	"os"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/slipway-hq/slipway/internal/topology"
	"github.com/slipway-hq/slipway/test/internal/wire"
	"github.com/slipway-hq/slipway/test/internal/world"
)

// logsOf is where the logs of a town's processes are; they stay when the test
// has failed.
func logsOf(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "slipway-chaos-logs-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("the logs of all processes are in %s", dir)
			return
		}
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	return dir
}

// TestWithoutFaultsAllIsWell is the harness without bad luck: what it finds
// later is not its own doing. It also shows that no way leads around the links.
func TestWithoutFaultsAllIsWell(t *testing.T) {
	t.Parallel()
	w := world.New(t)
	w.Configure(w.Pipelines(map[string][]world.Map{"calm": {w.Step("one", ""), w.Step("two", "sleep 0.1")}}))
	c := buildTown(t, w, logsOf(t))
	id := w.Ask("calm@v1 to staging")
	other := w.Deploy("calm", "staging", "", "key-1")
	w.JudgeCard(w.Succeeded(id))
	w.Succeeded(other)
	w.Judge(w.All(), nil)
	c.testAlone()
}

// testAlone cuts one NATS server off from everybody and checks that it is.
func (c *town) testAlone() {
	t := c.T
	alone := c.nodes[2]
	cut := func(s wire.State) {
		for w, link := range c.ways {
			if w.from == alone || w.to == alone {
				link.Set(s)
			}
		}
	}
	cut(wire.State{Refuse: true})
	conn, err := c.dial(alone)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	js, err := jetstream.New(conn)
	if err != nil {
		t.Fatal(err)
	}
	_, err = conn.Subscribe("around", func(*nats.Msg) { t.Error("a message came around the links") })
	if err != nil {
		t.Fatal(err)
	}
	if err := conn.Flush(); err != nil {
		t.Fatal(err)
	}
	// Longer than a server takes to notice, to elect, and to try every other way.
	over := time.After(15 * time.Second)
	for asked, waiting := 0, true; waiting; asked++ {
		for _, node := range c.nodes[:2] {
			other, err := c.dial(node)
			if err != nil {
				t.Fatal(err)
			}
			err = errors.Join(other.Publish("around", nil), other.Flush())
			other.Close()
			if err != nil {
				t.Fatal(err)
			}
		}
		select {
		case <-over:
			waiting = false
		case <-time.After(200 * time.Millisecond):
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
	defer cancel()
	if _, err := js.CreateStream(ctx, jetstream.StreamConfig{Name: "ALONE", Subjects: []string{"alone"}, Replicas: each}); err == nil {
		t.Error("a server that is alone makes streams of three copies")
	}
	c.Succeeded(c.Deploy("calm", "staging", "", "key-2")) // the others go on
	cut(wire.State{})
	healed, stop := context.WithTimeout(t.Context(), world.Patience)
	defer stop()
	if err := c.copies(healed); err != nil {
		t.Error(err)
	}
}

// TestAClockOfNATSThatWasAheadDelaysNobody: requests are delivered by servers whose
// clocks are an hour ahead to orchestrators that die with them. When the clocks are
// right again, the servers believe that they were delivered an hour from now.
func TestAClockOfNATSThatWasAheadDelaysNobody(t *testing.T) {
	t.Parallel()
	w := world.New(t, world.Env(hookVariable, hookSecret))
	w.Configure(configuration(w))
	c := buildTown(t, w, logsOf(t))
	p := newPeople(c, 1)
	for _, name := range c.nodes {
		c.hosts[name].clock(time.Hour)
	}
	for _, name := range c.of(world.Orchestrator) {
		c.hosts[name].freeze()
	}
	labels := []string{"one", "two", "three"}
	for _, label := range labels {
		p.eventually("the webhook "+label+" to be accepted", world.Patience, func() error {
			p.deliver(t.Context(), label)
			if !p.hooks[label] {
				return errors.New("it is not")
			}
			return nil
		})
	}
	p.eventually("the requests to be delivered", world.Patience, func() error {
		conn, err := c.dial(c.nodes[0])
		if err != nil {
			return err
		}
		defer conn.Close()
		js, err := jetstream.New(conn)
		if err != nil {
			return err
		}
		if _, open, err := topology.InboxHandled(t.Context(), js); err != nil || open < len(labels) {
			return fmt.Errorf("%d are: %w", open, err)
		}
		return nil
	})
	for _, name := range c.of(world.Orchestrator) {
		c.hosts[name].kill(0)
	}
	for _, name := range c.nodes {
		c.hosts[name].clock(0)
	}
	c.ready()
	for _, label := range labels {
		w.RunOf("hooked", "label", label)
	}
}
