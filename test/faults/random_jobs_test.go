package faults

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	apiv1 "github.com/slipway-hq/slipway/gen/slipway/api/v1"
	"github.com/slipway-hq/slipway/sandbox"
	"github.com/slipway-hq/slipway/test/internal/world"
)

const (
	// hookSecret signs what other systems deliver; hookVariable is where the
	// processes find it.
	hookSecret   = "a-secret-between-us"
	hookVariable = "FAULTS_HOOK"
	// clocks is how many one-off schedules fire while things break, apart seconds
	// from one another.
	clocks = 4
	apart  = 3 * time.Second
)

// stormJobs are jobs that merge, that take each other's place, that are told
// apart, and what webhooks and the clock start.
func (s *storm) jobs() world.Map {
	job := func(policy, body string) world.Map {
		dedupe := world.Map{"policy": policy}
		if policy == "merge" {
			dedupe["max_delay"] = "3s"
		}
		return world.Map{
			"steps": []world.Map{s.Shared("run", body+"\necho did {label}")}, "params": world.Map{"label": world.Map{}},
			"report": world.Map{"stdout": true}, "dedupe": dedupe,
		}
	}
	all := world.Map{
		"merged": job("merge", "sleep 0.3"), "newest": job("newest", "sleep 0.2"), "each": job("all", "sleep 0.1"), "alone": job("reject", "sleep 0.3"),
		"hooked": job("merge", ""), "ticked": job("all", ""),
	}
	var commands []world.Map
	for _, name := range mentioned {
		commands = append(commands, world.Map{"match": "do " + name + " [label]", "job": name, "delay": "300ms"}, world.Map{"match": "now " + name + " [label]", "job": name})
	}
	schedules := world.Map{}
	for n := range clocks {
		at := time.Now().UTC().Add(time.Duration(n+1) * apart).Truncate(time.Second)
		schedules[fmt.Sprint("once", n)] = world.Map{"job": "ticked", "at": at.Format(time.DateTime), "params": world.Map{"label": fmt.Sprint("tick", n)}}
	}
	return world.Namespace(all, commands, world.Map{
		"schedules": schedules,
		"webhooks": world.Map{"ci": world.Map{"kind": "generic", "secrets": []world.Map{{"env": hookVariable}}, "rules": []world.Map{
			{"events": []string{"built"}, "job": "hooked", "params": world.Map{"label": "name"}},
		}}},
	})["namespaces"].(world.Map) //nolint:errcheck // made above
}

var mentioned = []string{"merged", "newest", "each", "alone"}

// heardMessage is a message of a person that was acknowledged: it has been
// stored.
type heardMessage struct{ channel, ts, text string }

// mention asks for a job in a channel. Arguments are few, so that requests meet.
func (s *storm) mention(ctx context.Context, pick int) {
	channel := world.Rooms[pick%3]
	word := []string{"do", "now"}[pick>>2&1]
	s.try()
	text := fmt.Sprintf("test %s %s label%d", word, mentioned[pick>>3&3], pick>>5&1)
	posted, err := s.Slack.Post(ctx, sandbox.UserRequester, channel, world.Mention+text, "")
	if err != nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, d := range posted.Deliveries {
		s.spoken = append(s.spoken, d.ID)
	}
	if slices.ContainsFunc(posted.Deliveries, func(d sandbox.Delivery) bool { return d.OK() }) {
		s.mentions = append(s.mentions, heardMessage{channel, posted.TS, text})
	}
}

// deliver sends a webhook, and often one that was sent before.
func (s *storm) deliver(ctx context.Context, door, label string) {
	body := fmt.Sprintf(`{"event":"built","name":%q}`, label)
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, door+"/webhooks/test/ci", strings.NewReader(body))
	if err != nil {
		s.T.Error(err)
		return
	}
	mac := hmac.New(sha256.New, []byte(hookSecret))
	mac.Write([]byte(body))
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("X-Slipway-Signature-256", "sha256="+hex.EncodeToString(mac.Sum(nil)))
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return // the sender tries again, or not
	}
	_ = resp.Body.Close()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.hooks[label] = s.hooks[label] || resp.StatusCode == http.StatusAccepted; resp.StatusCode/100 == 4 {
		s.T.Errorf("a webhook is answered %d", resp.StatusCode)
	}
}

// door is where webhooks go now; only who decides may call it.
func (s *storm) door() string {
	for _, v := range s.broken {
		if v.name == world.Ingress {
			return v.process.URL()
		}
	}
	return "http://" + s.Address()
}

// keep holds a job for a moment, or releases it.
func (s *storm) keep(ctx context.Context, pick int) {
	job := "test/" + mentioned[pick&3]
	if pick>>2&3 == 0 {
		_, _ = s.Lanes.ReleaseHolds(ctx, &apiv1.ReleaseHoldsRequest{Job: job}) // refused or lost: either is fine
		return
	}
	until := time.Now().Add(time.Duration(500+pick>>4%2000) * time.Millisecond)
	_, _ = s.Lanes.HoldJob(ctx, &apiv1.HoldJobRequest{Job: job, Until: timestamppb.New(until), Reason: "a storm"})
}

// cancelSome cancels a job that waits or runs.
func (s *storm) cancelSome(ctx context.Context, pick int) {
	answer, err := s.Runs.ListRuns(ctx, &apiv1.ListRunsRequest{Active: true, Job: mentioned[pick&3]})
	if runs := answer.GetRuns(); err == nil && len(runs) > 0 {
		_, _ = s.Runs.CancelRun(ctx, &apiv1.CancelRunRequest{Id: runs[pick>>2%len(runs)].GetId()}) // refused or lost: either is fine
	}
}

// actJob is act for jobs.
func (s *storm) actJob(n, pick int) func(context.Context) {
	switch s.dice.IntN(8) {
	case 3:
		return func(ctx context.Context) { s.cancelSome(ctx, pick) }
	case 0:
		return func(ctx context.Context) { s.keep(ctx, pick) }
	case 1, 2:
		door, label := s.door(), fmt.Sprintf("hook%d", n-n%4) // some are sent again
		return func(ctx context.Context) { s.deliver(ctx, door, label) }
	}
	return func(ctx context.Context) { s.mention(ctx, pick) }
}

// signs are what a person's message can have in the end.
var signs = []string{"white_check_mark", "x"}

// checkJobs judges what was promised of jobs.
func (s *storm) checkJobs() {
	s.T.Helper()
	runs := map[string]*apiv1.Run{}
	labels, mentions := map[string]int{}, 0
	for _, r := range s.All() {
		runs[r.GetId()] = r
		switch {
		case r.GetJob() == "":
		case slices.Contains(mentioned, r.GetJob()):
			mentions++
		default:
			labels[r.GetParameters()["label"]]++
		}
	}
	for id, r := range runs {
		if r.GetStatus() == apiv1.RunStatus_RUN_STATUS_MERGED && runs[r.GetMergedInto()].GetStarted() == nil {
			s.T.Errorf("%s merged into %q, which never started", id, r.GetMergedInto())
		}
	}
	for label, n := range labels {
		if n != 1 {
			s.T.Errorf("%d runs for %s", n, label)
		}
	}
	for label, accepted := range s.hooks {
		if accepted && labels[label] != 1 {
			s.T.Errorf("the webhook %s was accepted and is %d runs", label, labels[label])
		}
	}
	if mentions < len(s.mentions) {
		s.T.Errorf("%d mentions were heard, and there are %d runs of them", len(s.mentions), mentions)
	}
	s.T.Logf("%d mentions heard, %d runs of them, %d webhooks", len(s.mentions), mentions, len(s.hooks))
	for _, m := range s.mentions {
		if strings.Contains(m.text, "alone") {
			continue // one that is turned away is told so in words
		}
		s.Eventually("a sign of the end on: "+m.text, func() bool {
			reactions := s.Slack.Reactions(m.channel, m.ts)
			return slices.ContainsFunc(signs, func(sign string) bool { return len(reactions[sign]) > 0 })
		})
	}
}

// ticked waits until the clock has started everything that it was to.
func (s *storm) ticked() {
	s.T.Helper()
	s.Eventually("the runs of all schedules", func() bool {
		answer, err := s.Runs.ListRuns(context.Background(), &apiv1.ListRunsRequest{Job: "ticked", PageSize: 100})
		return err == nil && len(answer.GetRuns()) >= clocks
	})
}
