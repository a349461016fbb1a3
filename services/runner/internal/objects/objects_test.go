package objects_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/slipway-hq/slipway/internal/natsnode/natsnodetest"
	"github.com/slipway-hq/slipway/internal/topology"
	"github.com/slipway-hq/slipway/services/runner/internal/objects"
)

func TestTellsWhatMayPassFromWhatWillNot(t *testing.T) {
	node := natsnodetest.One(t)
	js := natsnodetest.Connect(t, node)
	if err := topology.Ensure(t.Context(), js, topology.Topology(1, topology.LimitsFor(512<<20))); err != nil {
		t.Fatal(err)
	}
	store := objects.New(js)
	if err := store.Put(t.Context(), "a", strings.NewReader("text")); err != nil {
		t.Fatal(err)
	}
	if _, err := store.Get(t.Context(), "b"); !errors.Is(err, jetstream.ErrObjectNotFound) || errors.Is(err, objects.ErrAway) {
		t.Errorf("an object that is not there: %v", err)
	}
	if err := node.Shutdown(t.Context()); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	if err := store.Put(ctx, "a", strings.NewReader("text")); !errors.Is(err, objects.ErrAway) {
		t.Errorf("put without a server: %v", err)
	}
	if _, err := store.Get(ctx, "a"); !errors.Is(err, objects.ErrAway) {
		t.Errorf("get without a server: %v", err)
	}
}
