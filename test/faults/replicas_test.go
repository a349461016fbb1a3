package faults

import (
	"net/http"
	"net/url"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/slipway-hq/slipway/sandbox"
	"github.com/slipway-hq/slipway/test/internal/world"
)

// TestSeveralReplicasAreOneAndEachMayDie delivers one request many times to two
// of each service, then kills the first of each during the run.
func TestSeveralReplicasAreOneAndEachMayDie(t *testing.T) {
	t.Parallel()
	w := world.New(t)
	w.Configure(w.Pipelines(pipelines(w)))
	first, second := w.Split(), map[string]*world.Process{}
	for _, name := range world.Services {
		var args []string
		if name == world.Runner {
			args = []string{"--data", filepath.Join(w.Dir, "second")}
		}
		second[name] = w.Service(name, args...)
	}
	doors := []string{first[world.Ingress].URL(), second[world.Ingress].URL()}
	body := url.Values{
		"team_id": {sandbox.TeamID}, "channel_id": {sandbox.ChannelDeploys}, "user_id": {sandbox.UserRequester},
		"command": {"/deploy"}, "text": {"held@v1 to staging"}, "trigger_id": {"1.2.replicas"},
	}.Encode()
	const copies = 20
	var all sync.WaitGroup
	for n := range copies {
		all.Go(func() { deliver(t, w, doors[n%len(doors)], body) })
	}
	all.Wait()
	runs := w.All()
	if len(runs) != 1 {
		t.Fatalf("%d runs", len(runs))
	}
	id := runs[0].GetId()
	w.AwaitEffect("start", id, "two", 1)
	for _, name := range []string{world.Ingress, world.Orchestrator, world.Notifier} {
		first[name].Kill()
	}
	// Whoever is left takes over, though nobody starts anything again.
	queued := w.Ask("held@v1 to staging")
	w.Open("v1")
	w.JudgeCard(w.Succeeded(id))
	w.JudgeCard(w.Succeeded(queued))
	w.Judge(w.All(), nil)
	for _, e := range w.Effects() {
		if e.Attempt > 1 {
			t.Errorf("%s of %s ran again", e.Step, e.Run)
		}
	}
}

// deliver signs a command and sends it to one door.
func deliver(t *testing.T, w *world.World, door, body string) {
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, door+"/slack/commands", strings.NewReader(body))
	if err != nil {
		t.Error(err)
		return
	}
	stamp := strconv.FormatInt(time.Now().Unix(), 10)
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.Header.Set("X-Slack-Request-Timestamp", stamp)
	req.Header.Set("X-Slack-Signature", sandbox.Sign(w.Slack.SigningSecret(), stamp, []byte(body)))
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Error(err)
		return
	}
	_ = resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		t.Errorf("%s answers %d", door, resp.StatusCode)
	}
}
