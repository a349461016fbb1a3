package desk_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	eventv1 "github.com/slipway-hq/slipway/gen/slipway/event/v1"
	"github.com/slipway-hq/slipway/internal/topology"
	"github.com/slipway-hq/slipway/sandbox"
)

// overhear lets a relay pass a message on.
func (w *world) overhear(ts, away string) {
	w.append(topology.RelaySubject("support"), &eventv1.Event{Kind: &eventv1.Event_MessageRelayed{MessageRelayed: &eventv1.MessageRelayed{
		Relay: "support", Team: sandbox.TeamID, Channel: sandbox.ChannelDeploys, MessageTs: ts, User: sandbox.UserRequester,
		ToChannel: "#general", Reaction: "sos", AwayNotice: away,
	}}})
}

func (w *world) help() string {
	w.t.Helper()
	m, err := w.slack.Post(w.t.Context(), sandbox.UserRequester, sandbox.ChannelDeploys, "tech-support please", "")
	must(w.t, err)
	return m.TS
}

// B51, B53: a reaction, the address in the relay's channel, and the notice in
// the thread; each once, in order.
func TestMessagesArePassedOnInOrder(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	d := w.desk("a", nil)
	var links []string
	for i := range 3 {
		ts := w.help()
		away := ""
		if i == 1 {
			away = "Nobody is there until 2 January."
		}
		w.overhear(ts, away)
		w.rest(d, time.Minute)
		link, err := w.api.Permalink(t.Context(), sandbox.ChannelDeploys, ts)
		must(t, err)
		links = append(links, link)
		if r := w.slack.Reactions(sandbox.ChannelDeploys, ts)["sos"]; len(r) != 1 {
			t.Errorf("reactions: %v", r)
		}
		thread := w.slack.Thread(sandbox.ChannelDeploys, ts)
		if (len(thread) == 2) != (away != "") || away != "" && thread[1].Text != away {
			t.Errorf("the thread: %q", texts(thread))
		}
	}
	if diff := cmp.Diff(links, texts(w.said(sandbox.ChannelGeneral))); diff != "" {
		t.Errorf("passed on (-want +got):\n%s", diff)
	}
	w.stop(d)
	again := w.desk("b", nil)
	w.rest(again, time.Minute)
	if n := len(w.said(sandbox.ChannelGeneral)); n != 3 || again.Unsettled() != 0 {
		t.Errorf("%d messages after another desk took over, %d unsettled", n, again.Unsettled())
	}
}

func TestCrashesAroundARelay(t *testing.T) {
	t.Parallel()
	var ts string
	everyCrash(t, func(w *world) {
		ts = w.help()
		w.overhear(ts, "Nobody is there.")
	}, func(t *testing.T, w *world) {
		if m := w.only(sandbox.ChannelGeneral); !strings.Contains(m.Text, "/archives/") {
			t.Errorf("passed on: %q", m.Text)
		}
		if thread := texts(w.slack.Thread(sandbox.ChannelDeploys, ts)); !slices.Equal(thread[1:], []string{"Nobody is there."}) {
			t.Errorf("the thread: %q", thread)
		}
		if w.slack.Reactions(sandbox.ChannelDeploys, ts)["sos"] == nil {
			t.Error("no reaction")
		}
	})
}

func TestOldMessagesAreNotPassedOn(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ts := w.help()
	w.overhear(ts, "")
	w.clock.set(w.clock.Now().Add(8 * 24 * time.Hour))
	d := w.desk("a", nil)
	w.rest(d, time.Minute)
	if said := w.said(sandbox.ChannelGeneral); len(said) != 0 {
		t.Errorf("passed on: %q", texts(said))
	}
}
