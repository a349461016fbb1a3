package notifier_test

import (
	"strings"
	"testing"

	"github.com/nats-io/nats.go/jetstream"
	"google.golang.org/protobuf/proto"

	commandv1 "github.com/slipway-hq/slipway/gen/slipway/command/v1"
	"github.com/slipway-hq/slipway/internal/topology"
	"github.com/slipway-hq/slipway/services/notifier"
)

// B43: what Slack would not take is kept, and doctor shows it.
func TestDoctorShowsWhatSlackRefused(t *testing.T) {
	w := newWorld(t)
	conn := w.connect()
	if f := notifier.CheckMessages(t.Context(), conn); len(f) != 1 || !f[0].OK {
		t.Errorf("before: %+v", f)
	}
	js, err := jetstream.New(conn)
	must(t, err)
	kv, err := topology.Cards(t.Context(), js)
	must(t, err)
	for milestone, state := range map[string]commandv1.Card_State{
		"report-0": commandv1.Card_STATE_UNDELIVERED, "mirror-pin": commandv1.Card_STATE_UNDELIVERED, "start": commandv1.Card_STATE_POSTED,
	} {
		data, err := proto.Marshal(&commandv1.Card{Run: "j-abc", Milestone: milestone, State: state, Channel: "C0GONE", Reason: "is_archived"})
		must(t, err)
		_, err = kv.Put(t.Context(), "j-abc."+milestone, data)
		must(t, err)
	}
	f := notifier.CheckMessages(t.Context(), conn)
	if len(f) != 2 || f[1].OK || f[1].Name != "mirrored claims" || !strings.Contains(f[1].Finding, "mirror-pin: is_archived ×1") || f[0].OK || !strings.Contains(f[0].Finding, "refused 1 ") || !strings.Contains(f[0].Finding, "report-0 of j-abc to C0GONE (is_archived)") || f[0].Remedy == "" {
		t.Errorf("after: %+v", f)
	}
}
