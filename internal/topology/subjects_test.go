package topology_test

import (
	"strings"
	"testing"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/slipway-hq/slipway/internal/topology"
)

func TestSubjectsParseBack(t *testing.T) {
	if id, ok := topology.ParseRunSubject(topology.RunSubject("d-abc")); !ok || id != "d-abc" {
		t.Errorf("run %q %v", id, ok)
	}
	want := topology.LogAddress{Run: "d-abc", Step: 3, Attempt: 2, Fence: 1 << 40}
	if got, ok := topology.ParseLogSubject(topology.LogSubject(want.Run, want.Step, want.Attempt, want.Fence)); !ok || got != want {
		t.Errorf("log %+v %v", got, ok)
	}
	for _, bad := range []string{"", "log.", "log.d-1.1.1", "log.d-1.1.1.1.1", "log.d-1.x.1.1", "log.d-1.-1.1.1", "ev.run.d-1"} {
		if got, ok := topology.ParseLogSubject(bad); ok {
			t.Errorf("%q parsed as %+v", bad, got)
		}
	}
	lane := topology.LaneSubject("api → production, the *first*")
	if !topology.IsLaneSubject(lane) || topology.IsLaneSubject(topology.RunSubject("d-1")) {
		t.Errorf("lane subject %q", lane)
	}
}

func TestAnyTextMakesOneToken(t *testing.T) {
	seen := map[string]string{}
	for _, text := range []string{"", "T123", "a.b", "a b", "*", ">", "ünï", strings.Repeat("x", 64), strings.Repeat("x", 65), "\x00", "$JS"} {
		token := topology.Safe(text)
		if token == "" || strings.ContainsAny(token, ".*> \x00$") || len(token) > 64 {
			t.Errorf("Safe(%q) = %q", text, token)
		}
		if other, twice := seen[token]; twice {
			t.Errorf("%q and %q share %q", text, other, token)
		}
		seen[token] = text
	}
	if got := topology.Safe("T123"); got != "T123" {
		t.Errorf("a safe text became %q", got)
	}
	if got := topology.Token("lane"); len(got) != 26 {
		t.Errorf("token %q", got)
	}
}

// Every subject that the package formats belongs to the stream that is meant
// to store it.
func TestSubjectsReachTheirStreams(t *testing.T) {
	_, js, _ := ensured(t)
	for subject, stream := range map[string]string{
		topology.RunSubject("d-1"):                  topology.StreamEvents,
		topology.LaneSubject("x"):                   topology.StreamEvents,
		topology.SubjectConfig:                      topology.StreamEvents,
		topology.InboxSubject("slash", "T 1"):       topology.StreamInbox,
		topology.LogSubject("d-1", 1, 1, 9):         topology.StreamLogs,
		topology.DeadSubject("runner", "unknown v"): topology.StreamDead,
		topology.LeaseSubject("office.x"):           "KV_" + topology.BucketLeases,
	} {
		ack, err := js.Publish(t.Context(), subject, nil, jetstream.WithExpectStream(stream))
		if err != nil || ack.Stream != stream {
			t.Errorf("%s: %v, %v", subject, ack, err)
		}
	}
}
