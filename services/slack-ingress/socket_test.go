package ingress_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	commandv1 "github.com/slipway-hq/slipway/gen/slipway/command/v1"
	"github.com/slipway-hq/slipway/internal/natsnode/natsnodetest"
	"github.com/slipway-hq/slipway/sandbox"
	ingress "github.com/slipway-hq/slipway/services/slack-ingress"
)

// socketWorld is a world without HTTP doors, connected twice.
func socketWorld(t *testing.T) *world {
	t.Helper()
	w := newWorld(t, func(s *sandbox.Config, cfg *ingress.Config, _ *ingress.Deps) {
		s.Delivery = sandbox.Socket
		cfg.SigningSecret, cfg.AppToken = nil, secret("xapp-sandbox-test")
	})
	w.connected(2)
	return w
}

func (w *world) connected(n int) {
	w.t.Helper()
	if err := w.slack.Wait(within(w.t, patience), func(sandbox.State) bool { return w.slack.SocketConnections() == n }); err != nil {
		w.t.Fatalf("%d connections, want %d; log:\n%s", w.slack.SocketConnections(), n, w.log)
	}
}

func TestSocketModeTakesAllThreeKinds(t *testing.T) {
	w := socketWorld(t)
	w.orchestrate(accepted)
	ctx := within(t, patience)
	d, err := w.slack.SlashCommand(ctx, sandbox.UserRequester, sandbox.ChannelDeploys, "/deploy", "web to staging")
	if err != nil || !d.OK() || !strings.Contains(d.Body, "accepted") {
		t.Fatalf("command: %+v, %v\n%s", d, err, w.log)
	}
	posted, err := w.slack.Post(ctx, sandbox.UserRequester, sandbox.ChannelDeploys, "@slipway deploy web to staging", "")
	if err != nil || len(posted.Deliveries) != 1 || !posted.Deliveries[0].OK() {
		t.Fatalf("mention: %+v, %v", posted, err)
	}
	if err := w.slack.Wait(ctx, func(sandbox.State) bool { return len(w.slack.Thread(sandbox.ChannelDeploys, posted.TS)) == 2 }); err != nil {
		t.Fatalf("no reply to the mention: %v\n%s", err, w.log)
	}
	stored, _ := w.stored()
	if len(stored) != 2 {
		t.Fatalf("stored %v", stored)
	}
	unknown := w.slack.Event(ctx, map[string]any{"type": "of_tomorrow", "user": sandbox.UserRequester})
	if !unknown.OK() {
		t.Errorf("an event of tomorrow is not acknowledged: %+v", unknown)
	}
	if v := w.slack.Violations(); len(v) != 0 {
		t.Errorf("violations: %q", v)
	}
}

func TestSocketsAreReplacedOneByOneAndNotLeaked(t *testing.T) {
	w := socketWorld(t)
	w.orchestrate(accepted)
	for _, reason := range []string{"refresh_requested", "warning"} {
		w.slack.DisconnectSockets(reason)
		ctx := within(t, patience)
		for { // both are told at once here, so there may be a gap
			d, err := w.slack.SlashCommand(ctx, sandbox.UserRequester, sandbox.ChannelDeploys, "/deploy", "web to staging")
			if err != nil || ctx.Err() != nil {
				t.Fatalf("after %s: %+v, %v; log:\n%s", reason, d, err, w.log)
			}
			if d.OK() {
				break
			}
		}
		w.connected(2)
	}
	if err := w.stop(); err != nil {
		t.Fatal(err)
	}
	w.connected(0)
}

// Slack warns before it ends a connection, so that a command in hand can still be
// acknowledged where it came from.
func TestACommandInHandIsAnsweredOverAConnectionThatIsReplaced(t *testing.T) {
	w := socketWorld(t)
	taken, answer := make(chan struct{}, 1), make(chan struct{})
	w.orchestrate(func(env *commandv1.Envelope) *commandv1.Answer {
		taken <- struct{}{}
		<-answer
		return accepted(env)
	})
	done := make(chan sandbox.Delivery, 1)
	go func() {
		d, _ := w.slack.SlashCommand(within(t, patience), sandbox.UserRequester, sandbox.ChannelDeploys, "/deploy", "web to staging")
		done <- d
	}()
	<-taken
	w.slack.DisconnectSockets(sandbox.DisconnectWarning)
	w.connected(4) // the new ones stand beside the old ones
	close(answer)
	if d := <-done; !d.OK() || !strings.Contains(d.Body, "accepted") {
		t.Errorf("%+v\n%s", d, w.log)
	}
	w.slack.EndWarnedSockets()
	w.connected(2)
}

// While every connection lives for a moment only, no command is lost.
func TestConnectionsOverlapSoThatNoCommandIsLost(t *testing.T) {
	w := newWorld(t, func(s *sandbox.Config, cfg *ingress.Config, _ *ingress.Deps) {
		s.Delivery, s.SocketLife = sandbox.Socket, 3*time.Second
		cfg.SigningSecret, cfg.AppToken = nil, secret("xapp-sandbox-test")
	})
	w.connected(2)
	w.orchestrate(accepted)
	ctx := within(t, patience)
	for until := time.Now().Add(5 * time.Second); time.Now().Before(until); {
		d, err := w.slack.SlashCommand(ctx, sandbox.UserRequester, sandbox.ChannelDeploys, "/deploy", "web to staging")
		if err != nil || !d.OK() {
			t.Fatalf("%+v, %v; log:\n%s", d, err, w.log)
		}
	}
}

// A replica that stops answers what it has in hand before it hangs up.
func TestACommandInHandIsAnsweredByAReplicaThatStops(t *testing.T) {
	w := socketWorld(t)
	taken, answer := make(chan struct{}, 1), make(chan struct{})
	w.orchestrate(func(env *commandv1.Envelope) *commandv1.Answer {
		taken <- struct{}{}
		<-answer
		return accepted(env)
	})
	done := make(chan sandbox.Delivery, 1)
	go func() {
		d, _ := w.slack.SlashCommand(within(t, patience), sandbox.UserRequester, sandbox.ChannelDeploys, "/deploy", "web to staging")
		done <- d
	}()
	<-taken
	stopped := make(chan error, 1)
	go func() { stopped <- w.stop() }()
	close(answer)
	if d := <-done; !d.OK() || !strings.Contains(d.Body, "accepted") {
		t.Errorf("%+v\n%s", d, w.log)
	}
	if err := <-stopped; err != nil {
		t.Error(err)
	}
}

func TestSocketModeAloneClosesTheDoors(t *testing.T) {
	w := socketWorld(t)
	resp, err := http.Post(w.doors.URL+"/slack/events", "application/json", strings.NewReader("{}"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	if resp.StatusCode != http.StatusForbidden {
		t.Errorf("status %d, want 403", resp.StatusCode)
	}
}

func TestEventsAreNotAcknowledgedWithoutJetStream(t *testing.T) {
	w := socketWorld(t)
	if err := w.node.Shutdown(within(t, patience)); err != nil {
		t.Fatal(err)
	}
	d := w.slack.Event(within(t, patience), map[string]any{
		"type": "app_mention", "user": sandbox.UserRequester, "channel": sandbox.ChannelDeploys, "ts": "5.5", "text": "<@" + sandbox.BotUserID + "> deploy web",
	})
	if d.OK() {
		t.Errorf("acknowledged: %+v", d)
	}
	c, err := w.slack.SlashCommand(within(t, patience), sandbox.UserRequester, sandbox.ChannelDeploys, "/deploy", "web")
	if err != nil || !c.OK() || c.Ack > 2800*time.Millisecond || !strings.Contains(c.Body, "not ") {
		t.Errorf("command: %+v, %v", c, err)
	}
}

func TestAWrongAppTokenIsSaid(t *testing.T) {
	slack, err := sandbox.New(sandbox.Config{})
	if err != nil {
		t.Fatal(err)
	}
	if err := slack.Start(within(t, patience)); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = slack.Close() })
	conn := natsnodetest.Connect(t, natsnodetest.One(t)).Conn()
	svc, err := ingress.New(ingress.Config{AppToken: secret("xapp-wrong"), APIURL: slack.APIURL()}, ingress.Deps{Conn: conn})
	if err != nil {
		t.Fatal(err)
	}
	err = svc.Run(within(t, patience), nil)
	if err == nil || !strings.Contains(err.Error(), "SLACK_APP_TOKEN") || strings.Contains(err.Error(), "xapp-wrong") {
		t.Errorf("Run = %v", err)
	}
}
