package host

import (
	"testing"

	"github.com/slipway-hq/slipway/internal/natsnode/natsnodetest"
)

func TestAServerAloneGetsOneReplica(t *testing.T) {
	js := natsnodetest.Connect(t, natsnodetest.One(t))
	if n, err := prepareStreams(t.Context(), js, 0, 1<<30); n != 1 || err != nil {
		t.Errorf("%d, %v", n, err)
	}
}

// Streams with one replica would stay so for ever.
func TestAClusterThatIsNotWholeGetsNoStreams(t *testing.T) {
	nodes := natsnodetest.Three(t)
	js := natsnodetest.Connect(t, nodes[0])
	if err := nodes[2].Shutdown(t.Context()); err != nil {
		t.Fatal(err)
	}
	n, err := prepareStreams(t.Context(), js, 0, 1<<30)
	if err == nil && n != 3 {
		t.Errorf("%d replicas", n)
	}
	if _, err := js.Stream(t.Context(), "EVENTS"); n != 3 && err == nil {
		t.Error("EVENTS exists all the same")
	}
}
