package ingress_test

import (
	"fmt"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/slipway-hq/slipway/internal/topology"
	"github.com/slipway-hq/slipway/sandbox"
)

func TestWithoutJetStreamSlackGetsHonestWordsInTime(t *testing.T) {
	w := newWorld(t, nil)
	if err := w.node.Shutdown(within(t, patience)); err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	status, body := w.post("/slack/commands", formType, slashForm("1.2.x", "web to staging"), 0, nil)
	if took := time.Since(began); status != 200 || took > 2800*time.Millisecond {
		t.Errorf("%d after %v", status, took)
	}
	if !strings.Contains(body, "not accepted") && !strings.Contains(body, "not confirm") {
		t.Errorf("answer %q is not honest", body)
	}
	if strings.Contains(body, `"in_channel"`) {
		t.Errorf("answer %q is not private", body)
	}
	began = time.Now()
	d := w.slack.Event(within(t, patience), map[string]any{
		"type": "app_mention", "user": sandbox.UserRequester, "channel": sandbox.ChannelDeploys, "ts": "5.5", "text": "<@" + sandbox.BotUserID + "> deploy web",
	})
	if took := time.Since(began); d.Status < 500 || took > 2800*time.Millisecond {
		t.Errorf("an event gets %d after %v: Slack would not deliver it again", d.Status, took)
	}
	status, body = w.post("/slack/commands", formType, strings.Replace(slashForm("1.3.x", ""), "%2Fdeploy", "%2Fcheck_status", 1), 0, nil)
	if status != 200 || !strings.Contains(body, "cannot reach") {
		t.Errorf("a query gets %d %q", status, body)
	}
	if err := w.svc.Ready(within(t, patience)); err == nil {
		t.Error("ready without JetStream")
	}
}

func TestAFullStoreRefuses(t *testing.T) {
	w := newWorld(t, nil)
	info, err := w.inbox.Info(within(t, patience))
	if err != nil {
		t.Fatal(err)
	}
	cfg := info.Config
	cfg.MaxMsgs = 1
	if _, err := w.js.UpdateStream(within(t, patience), cfg); err != nil {
		t.Fatal(err)
	}
	w.orchestrate(accepted)
	if _, body := w.post("/slack/commands", formType, slashForm("1.1.x", "web"), 0, nil); !strings.Contains(body, "accepted") {
		t.Errorf("first: %q", body)
	}
	status, body := w.post("/slack/commands", formType, slashForm("1.2.x", "web"), 0, nil)
	if status != 200 || !strings.Contains(body, "*not accepted* and nothing was started") {
		t.Errorf("second: %d %q", status, body)
	}
}

// A listener that never acknowledges stands for a store that hangs. Whoever is
// let in learns that nothing is certain, the rest that nothing was done.
func TestAHangingStoreIsBoundedAndNamedHonestly(t *testing.T) {
	w := newWorld(t, nil)
	if err := w.js.DeleteStream(within(t, patience), topology.StreamInbox); err != nil {
		t.Fatal(err)
	}
	sub, err := w.js.Conn().SubscribeSync(topology.InboxSubject("slash", sandbox.TeamID))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = sub.Unsubscribe() }()
	const crowd = 300 // more than are let in at once
	// Twice what Slack waits: the budget of each request is 1.5 s, and a loaded
	// machine under the race detector must not decide this test.
	const generous = 6 * time.Second
	var (
		group             sync.WaitGroup
		unconfirmed, busy atomic.Int32
	)
	for i := range crowd {
		group.Go(func() {
			began := time.Now()
			status, body := w.post("/slack/commands", formType, slashForm(fmt.Sprintf("%d.x", i), "web to staging"), 0, nil)
			switch {
			case time.Since(began) > generous:
				t.Errorf("answered after %v", time.Since(began))
			case status == http.StatusOK && strings.Contains(body, "*not confirm*") && strings.Contains(body, "d-"):
				unconfirmed.Add(1)
			case status == http.StatusOK && strings.Contains(body, "*not accepted*"), status == http.StatusServiceUnavailable:
				busy.Add(1)
			default:
				t.Errorf("%d %q", status, body)
			}
		})
	}
	group.Wait()
	if unconfirmed.Load() == 0 || busy.Load() == 0 {
		t.Errorf("%d unconfirmed, %d turned away; want both", unconfirmed.Load(), busy.Load())
	}
	t.Logf("%d unconfirmed, %d turned away", unconfirmed.Load(), busy.Load())
}

func TestItRecoversByItselfWhenJetStreamReturns(t *testing.T) {
	w := newWorld(t, nil)
	if err := w.node.Stop(); err != nil {
		t.Fatal(err)
	}
	w.until("not ready", func() bool { return w.svc.Ready(within(t, time.Second)) != nil })
	if err := w.node.Resume(); err != nil {
		t.Fatal(err)
	}
	w.until("ready again", func() bool { return w.svc.Ready(within(t, time.Second)) == nil })
	w.orchestrate(accepted)
	if status, body := w.post("/slack/commands", formType, slashForm("1.2.x", "web to staging"), 0, nil); status != 200 || !strings.Contains(body, `"accepted"`) {
		t.Errorf("%d %q", status, body)
	}
}
