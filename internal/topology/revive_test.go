package topology_test

import (
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/slipway-hq/slipway/internal/natsnode"
	"github.com/slipway-hq/slipway/internal/natsnode/natsnodetest"
	"github.com/slipway-hq/slipway/internal/topology"
)

// waitFor polls what tells nobody of itself.
func waitFor(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); !ok(); {
		if time.Now().After(deadline) {
			t.Fatalf("waited in vain for %s", what)
		}
		<-time.After(50 * time.Millisecond)
	}
}

// stuck is a cluster that two servers left and to which one came back: of the
// memory streams only one copy is left, and one is no majority.
func stuck(t *testing.T) ([]*natsnode.Node, jetstream.JetStream, topology.Spec) {
	t.Helper()
	nodes := natsnodetest.Three(t)
	js := natsnodetest.Connect(t, nodes[0])
	spec := topology.Topology(3, topology.LimitsFor(store), "default")
	if err := topology.Ensure(t.Context(), js, spec); err != nil {
		t.Fatal(err)
	}
	memory := []string{topology.WorkSubject("default", "d-1"), topology.LeaseSubject("office.x")}
	for _, subject := range memory { // what there is to lose
		if _, err := js.Publish(t.Context(), subject, nil); err != nil {
			t.Fatal(err)
		}
	}
	for _, node := range nodes[1:] {
		if err := node.Stop(); err != nil {
			t.Fatal(err)
		}
	}
	waitFor(t, "the loss of the majority to be seen", func() bool {
		_, err := topology.CopiesOf(t.Context(), js, spec)
		return topology.NoMajority(err)
	})
	for _, subject := range memory {
		waitFor(t, "the leader of "+subject+" to resign", func() bool {
			_, err := js.Publish(t.Context(), subject, nil, jetstream.WithRetryAttempts(0))
			return errors.Is(err, jetstream.ErrNoStreamResponse)
		})
	}
	waitFor(t, "its port, which a connection of somebody's may have taken meanwhile", func() bool { return nodes[1].Resume() == nil })
	waitFor(t, "a leader of the log", func() bool { return led(t, js, spec, topology.StreamEvents) })
	return nodes, js, spec
}

func led(t *testing.T, js jetstream.JetStream, spec topology.Spec, stream string) bool {
	t.Helper()
	all, err := topology.CopiesOf(t.Context(), js, spec)
	if err != nil {
		return false // an election
	}
	for _, c := range all {
		if c.Stream == stream {
			return c.Leader != ""
		}
	}
	return false
}

func TestMemoryStreamsWithoutAMajorityAreMadeAgain(t *testing.T) {
	t.Parallel()
	nodes, js, spec := stuck(t)
	begin := time.Now()
	var keeper topology.Keeper
	var made []string
	waitFor(t, "both streams", func() bool {
		names, err := keeper.Revive(t.Context(), js, spec)
		if err == nil {
			err = topology.EnsureVolatile(t.Context(), js, spec) // as the janitor does
		}
		if err != nil {
			t.Log(err) // an election
		}
		made = append(made, names...)
		return led(t, js, spec, topology.StreamWork) && led(t, js, spec, "KV_"+topology.BucketLeases)
	})
	if took := time.Since(begin); took < topology.Leaderless && len(made) > 0 {
		t.Errorf("made again after %s, in the middle of an election", took)
	}
	if len(made) == 0 {
		t.Error("nothing had to be made again: this test tests nothing")
	}
	for _, name := range made {
		if name != topology.StreamWork && name != "KV_"+topology.BucketLeases {
			t.Errorf("%s was made again", name)
		}
	}
	waitFor(t, "the consumer of the pool", func() bool {
		_, err := js.Consumer(t.Context(), topology.StreamWork, topology.PoolConsumerName("default"))
		return err == nil
	})
	if names, err := keeper.Revive(t.Context(), js, spec); len(names) > 0 || err != nil {
		t.Errorf("once more: %v, %v", names, err)
	}
	waitFor(t, "its port", func() bool { return nodes[2].Resume() == nil })
	waitFor(t, "copies on all servers", func() bool {
		if _, err := topology.Grow(t.Context(), js, spec); err != nil {
			return false // an election
		}
		for _, name := range []string{topology.StreamWork, "KV_" + topology.BucketLeases} {
			stream, err := js.Stream(t.Context(), name)
			if err != nil || stream.CachedInfo().Config.Replicas != 3 {
				return false
			}
		}
		return true
	})
	if drifts, err := topology.Verify(t.Context(), js, spec); len(drifts) > 0 || err != nil {
		t.Errorf("drift: %v, %v", drifts, err)
	}
}

func TestCopiesSayWhoIsAwayAndWhoLeads(t *testing.T) {
	t.Parallel()
	nodes, js, spec := stuck(t)
	of := func(stream string) topology.Copies {
		all, err := topology.CopiesOf(t.Context(), js, spec)
		if err != nil {
			return topology.Copies{}
		}
		for _, c := range all {
			if c.Stream == stream {
				return c
			}
		}
		return topology.Copies{}
	}
	waitFor(t, "the server that is away to be seen", func() bool {
		c := of(topology.StreamEvents)
		return cmp.Equal(c.Away, []string{"n3"}) && cmp.Equal(c.Whole, []string{"n1", "n2"}) && c.Leader != "" && c.Wanted == 3
	})
	if err := nodes[2].Resume(); err != nil {
		t.Fatal(err)
	}
	waitFor(t, "all three copies", func() bool { return cmp.Equal(of(topology.StreamEvents).Whole, []string{"n1", "n2", "n3"}) })
}

func TestAServerAloneIsWholeByItself(t *testing.T) {
	_, js, spec := ensured(t)
	all, err := topology.CopiesOf(t.Context(), js, spec)
	if err != nil || len(all) != len(spec.Streams) {
		t.Fatalf("%v, %v", all, err)
	}
	for _, c := range all {
		if c.Leader == "" || len(c.Whole) != 1 || c.Wanted != 1 {
			t.Errorf("%+v", c)
		}
	}
}
