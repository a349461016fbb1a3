package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/slipway-hq/slipway/internal/natsnode"
	"github.com/slipway-hq/slipway/internal/natsnode/natsnodetest"
	"github.com/slipway-hq/slipway/sandbox"
)

const (
	// asBot makes this test binary a replica.
	asBot    = "LIGHTBOT_TEST_AS_BOT"
	patience = time.Minute
)

// TestMain is also the main of the replicas.
func TestMain(m *testing.M) {
	if os.Getenv(asBot) != "" {
		main()
		return
	}
	os.Exit(m.Run())
}

// world is a stand-in for Slack, a NATS server, and the replicas.
type world struct {
	*testing.T
	slack *sandbox.Server
	node  *natsnode.Node
	js    jetstream.JetStream
	bots  map[string]*exec.Cmd
	born  int
}

func newWorld(t *testing.T) *world {
	t.Helper()
	s, err := sandbox.New(sandbox.Config{
		Delivery: sandbox.Socket, NoRateLimits: true, Subscriptions: []string{"app_mention", "message.channels"},
		EventRetries: []time.Duration{0, time.Second, 2 * time.Second, 5 * time.Second},
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	node := natsnodetest.Start(t, natsnode.Config{Dir: t.TempDir(), NoSync: true, MaxFileStore: 1 << 30, Listen: "127.0.0.1:0"})
	return &world{T: t, slack: s, node: node, js: natsnodetest.Connect(t, node), bots: map[string]*exec.Cmd{}}
}

// start starts another replica, and waits until all are connected.
func (w *world) start() {
	w.Helper()
	w.born++
	name := fmt.Sprint("bot-", w.born)
	cmd := exec.Command(os.Args[0], "-nats", w.node.ClientURL(), "-name", name, "-lease", "3s", "-think", "200ms", "-channel", sandbox.ChannelOps)
	cmd.Env = append(os.Environ(), asBot+"=1", "SLACK_API_URL="+w.slack.APIURL(), "SLACK_BOT_TOKEN="+w.slack.BotToken(), "SLACK_APP_TOKEN="+w.slack.AppToken())
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		w.Fatal(err)
	}
	w.bots[name] = cmd
	w.Cleanup(func() { w.kill(name) })
	w.eventually("all are connected", func() bool { return w.slack.SocketConnections() == len(w.bots) })
}

// kill kills a replica as the kernel does.
func (w *world) kill(name string) {
	if cmd := w.bots[name]; cmd != nil {
		delete(w.bots, name)
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	}
}

func (w *world) eventually(what string, cond func() bool) {
	w.Helper()
	for begin := time.Now(); !cond(); <-time.After(10 * time.Millisecond) {
		if time.Since(begin) > patience {
			w.Fatalf("not within %s: %s", patience, what)
		}
	}
}

func (w *world) say(text string) (ts string) {
	w.Helper()
	posted, err := w.slack.Post(context.Background(), sandbox.UserRequester, sandbox.ChannelDeploys, text, "")
	if err != nil {
		w.Fatal(err)
	}
	return posted.TS
}

// value decodes what a bucket holds, and tells whether it holds anything.
func (w *world) value(bucket, key string, into any) bool {
	kv, err := w.js.KeyValue(w.Context(), bucket)
	if err != nil {
		return false
	}
	entry, err := kv.Get(w.Context(), key)
	return err == nil && json.Unmarshal(entry.Value(), into) == nil
}

// holder is who acts on a message now.
func (w *world) holder(ts string) string {
	var record struct{ State, Holder string }
	if !w.value("lightbot-claims", "key."+sandbox.ChannelDeploys+"/"+ts, &record) || record.State != "held" {
		return ""
	}
	return record.Holder
}

func (w *world) toggles() (n int, on bool) {
	var s state
	w.value("lightbot", "light", &s)
	return s.Toggles, s.On
}

func (w *world) keepers() (names []string) {
	for _, m := range w.slack.Messages(sandbox.ChannelOps) {
		if name, ok := strings.CutSuffix(m.Text, " keeps the light now"); ok {
			names = append(names, name)
		}
	}
	return names
}

// Three processes, one light: it is toggled once per message, although the replica
// that acts is killed at it, and each message is answered by who obeyed it.
func TestOneTogglePerMessageWhileReplicasAreKilled(t *testing.T) {
	w := newWorld(t)
	for range 3 {
		w.start()
	}
	var said []string
	toggled := func() bool { n, _ := w.toggles(); return n == len(said) }
	for round := range 3 {
		for range 3 {
			said = append(said, w.say("@slipway light, please"))
		}
		w.say("@slipway never mind")
		victim := ""
		w.eventually("somebody acts", func() bool { victim = w.holder(said[len(said)-1]); return victim != "" || toggled() })
		w.kill(victim)
		w.eventually(fmt.Sprintf("all of round %d are obeyed", round), toggled)
		if len(w.bots) < 3 {
			w.start()
		}
	}
	for _, ts := range said {
		w.eventually("an answer to "+ts, func() bool { return len(w.answers(ts)) > 0 })
	}
	if n, on := w.toggles(); n != len(said) || on != (n%2 == 1) {
		t.Errorf("%d toggles for %d messages, on: %v", n, len(said), on)
	}
	if v := w.slack.Violations(); len(v) != 0 {
		t.Errorf("Slack would complain: %q", v)
	}
}

// answers are what replicas said in the message's thread.
func (w *world) answers(ts string) (texts []string) {
	for _, m := range w.slack.Thread(sandbox.ChannelDeploys, ts) {
		if strings.Contains(m.Text, "says bot-") && strings.Contains(m.Text, "(fence ") {
			texts = append(texts, m.Text)
		}
	}
	return texts
}

// The keeper is one of three, and another one when it dies.
func TestTheKeeperIsReplaced(t *testing.T) {
	w := newWorld(t)
	for range 3 {
		w.start()
	}
	for n := 1; n <= 2; n++ {
		w.eventually("there is a keeper", func() bool { return len(w.keepers()) == n })
		name := w.keepers()[n-1]
		if w.bots[name] == nil {
			t.Fatalf("%s does not live", name)
		}
		w.kill(name)
	}
	w.eventually("the last one keeps it", func() bool { return len(w.keepers()) == 3 })
}

// What was said while no replica ran, or the one that heard it died, is obeyed by
// the next: it was stored before Slack was told that it arrived.
func TestWhatWasHeardBeforeIsObeyedOnce(t *testing.T) {
	w := newWorld(t)
	w.start()
	ts := w.say("@slipway light")
	w.kill("bot-1")
	w.start()
	w.eventually("it is obeyed", func() bool { n, _ := w.toggles(); return n == 1 })
	w.eventually("it is answered", func() bool { return len(w.answers(ts)) > 0 })
	w.start() // hears all of it again
	second := w.say("@slipway light")
	w.eventually("the second is answered", func() bool { return len(w.answers(second)) > 0 })
	if n, on := w.toggles(); n != 2 || on {
		t.Errorf("%d toggles, on: %v", n, on)
	}
}
