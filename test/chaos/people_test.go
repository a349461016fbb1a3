package chaos

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
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
	hookVariable = "CHAOS_HOOK"
	// ticks is how many one-off schedules fire while things break, apart from one
	// another.
	ticks = 4
	apart = 6 * time.Second
	// wide is a lane of two.
	wide, wideLimit = "wide/staging", 2
	// patience of one person with one answer.
	patience = 5 * time.Second
	// busy bounds the people who speak at a time.
	busy = 8
)

var (
	// pipelines are what can be deployed, as often as they stand here.
	pipelines = []string{"calm", "calm", "flaky", "sorry", "slow", "wide", "wide"}
	// spokenJobs are started by words, by how they treat doubles.
	spokenJobs = []string{"merged", "newest", "each", "alone"}
)

// configuration is what the town can do.
func configuration(w *world.World) world.Map {
	flaky := world.Map{"retry": world.Map{"attempts": 3, "delay": "100ms"}}
	config := w.Pipelines(map[string][]world.Map{
		"calm":  {w.Step("one", "sleep 0.1"), w.Step("two", "sleep 0.2"), w.Step("three", "")},
		"flaky": {w.Step("one", ""), w.Step("two", "test $SLIPWAY_ATTEMPT -ge 2 || exit 1", flaky), w.Step("three", "sleep 0.1")},
		"sorry": {w.Step("one", ""), w.Step("two", "sleep 0.1; exit 3"), w.Step("three", "")},
		"slow":  {w.Step("one", "sleep 1"), w.Step("two", "sleep 300 & sleep 1")},
		"wide":  {w.Shared("one", "sleep 0.3"), w.Shared("two", "")},
	})
	config["lanes"] = world.Map{wide: world.Map{"concurrency": wideLimit}}
	config["namespaces"] = jobs(w)
	return config
}

// jobs are jobs that merge, that take each other's place, that are told apart,
// and what webhooks and the clock start.
func jobs(w *world.World) world.Map {
	job := func(policy, body string) world.Map {
		dedupe := world.Map{"policy": policy}
		if policy == "merge" {
			dedupe["max_delay"] = "3s"
		}
		return world.Map{
			"steps": []world.Map{w.Shared("run", body+"\necho did {label}")}, "params": world.Map{"label": world.Map{}},
			"report": world.Map{"stdout": true}, "dedupe": dedupe,
		}
	}
	all := world.Map{
		"merged": job("merge", "sleep 0.3"), "newest": job("newest", "sleep 0.2"), "each": job("all", "sleep 0.1"), "alone": job("reject", "sleep 0.3"),
		"hooked": job("merge", ""), "ticked": job("all", ""),
	}
	var commands []world.Map
	for _, name := range spokenJobs {
		commands = append(commands, world.Map{"match": "do " + name + " [label]", "job": name, "delay": "300ms"}, world.Map{"match": "now " + name + " [label]", "job": name})
	}
	schedules := world.Map{}
	for n := range ticks {
		at := time.Now().UTC().Add(time.Duration(n+2) * apart).Truncate(time.Second)
		schedules[fmt.Sprint("once", n)] = world.Map{"job": "ticked", "at": at.Format(time.DateTime), "params": world.Map{"label": fmt.Sprint("tick", n)}}
	}
	return world.Namespace(all, commands, world.Map{
		"schedules": schedules,
		"webhooks": world.Map{"ci": world.Map{"kind": "generic", "secrets": []world.Map{{"env": hookVariable}}, "rules": []world.Map{
			{"events": []string{"built"}, "job": "hooked", "params": world.Map{"label": "name"}},
		}}},
	})["namespaces"].(world.Map) //nolint:errcheck // made above
}

// wish is a request of the API and the run that it became.
type wish struct{ service, run string }

// people are those who use the town, and what they remember of it.
type people struct {
	*town
	seed uint64
	dice *rand.Rand // of the one goroutine that decides
	busy sync.WaitGroup

	mu        sync.Mutex
	commands  int             // that may have made a run
	versions  map[string]bool // what was asked for under a name of its own; true: it was accepted
	runs      []string        // whose acceptance was told
	open      map[string]string
	told      map[string]wish // by idempotency key, what was answered
	spoken    []string        // deliveries that can be repeated
	hooks     map[string]bool // webhooks sent; true: one was accepted
	cancelled []string        // runs whose end was promised
	holds     []string        // holds that were confirmed
}

func newPeople(c *town, seed uint64) *people {
	return &people{
		town: c, seed: seed, dice: rand.New(rand.NewPCG(seed, 0x9e091e)),
		versions: map[string]bool{}, open: map[string]string{}, told: map[string]wish{}, hooks: map[string]bool{},
	}
}

// live does things until ctx ends.
func (p *people) live(ctx context.Context) {
	for n := 0; pause(ctx, time.Duration(50+p.dice.IntN(300))*time.Millisecond); n++ {
		what := p.choose(n)
		p.busy.Go(func() {
			ctx, cancel := context.WithTimeout(context.Background(), patience)
			defer cancel()
			what(ctx)
		})
		if n%busy == busy-1 {
			p.busy.Wait()
		}
	}
	p.busy.Wait()
}

func (p *people) choose(n int) func(context.Context) {
	service := pipelines[p.dice.IntN(len(pipelines))]
	name := fmt.Sprintf("key-%d-%d", p.seed, n)
	pick := p.dice.IntN(1 << 20)
	switch kind := p.dice.IntN(20); {
	case kind < 3:
		return func(ctx context.Context) { p.count(); p.deploy(ctx, service, name) }
	case kind < 6:
		return func(ctx context.Context) { p.command(ctx, pick, service, name) }
	case kind < 7:
		return func(ctx context.Context) { p.mention(ctx, pick, "deploy "+service+"@"+name+" to staging") }
	case kind < 9:
		return func(ctx context.Context) { p.repeat(ctx, pick) }
	case kind < 11:
		return func(ctx context.Context) { p.cancel(ctx, p.any(pick)) }
	case kind < 12:
		return func(ctx context.Context) { p.retry(ctx, p.any(pick), name) }
	case kind < 14:
		label := fmt.Sprintf("hook%d", n-n%8) // some are sent again
		return func(ctx context.Context) { p.deliver(ctx, label) }
	case kind < 15:
		return func(ctx context.Context) { p.hold(ctx, pick) }
	case kind < 16:
		return func(ctx context.Context) { p.cancelJob(ctx, pick) }
	}
	word := []string{"do", "now"}[pick>>2&1]
	text := fmt.Sprintf("test %s %s label%d", word, spokenJobs[pick>>3&3], pick>>5&1)
	return func(ctx context.Context) { p.mention(ctx, pick, text) }
}

// any is one of the latest runs: those are the ones that still run.
func (p *people) any(pick int) string {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.runs) == 0 {
		return ""
	}
	return p.runs[max(0, len(p.runs)-1-pick%8)]
}

// locked changes what people remember.
func (p *people) locked(change func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	change()
}

func (p *people) count() { p.locked(func() { p.commands++ }) }

// deploy asks the API. What is not answered is asked again when all is well.
func (p *people) deploy(ctx context.Context, service, key string) {
	answer, err := p.Runs.StartRun(ctx, &apiv1.StartRunRequest{Service: service, Environment: "staging", IdempotencyKey: key})
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case err == nil:
		id := answer.GetRun().GetId()
		if before, ok := p.told[key]; ok && before.run != id {
			p.T.Errorf("%s meant %s and then %s", key, before.run, id)
		}
		p.told[key] = wish{service, id}
		p.runs = append(p.runs, id)
		delete(p.open, key)
	case world.Away(err):
		if _, ok := p.told[key]; !ok {
			p.open[key] = service
		}
	default:
		p.T.Errorf("start %s: %v", service, err)
	}
}

func (p *people) retry(ctx context.Context, id, key string) {
	if id == "" {
		return
	}
	p.count()
	if answer, err := p.Runs.RetryRun(ctx, &apiv1.RetryRunRequest{Id: id, IdempotencyKey: key}); err == nil {
		p.locked(func() { p.runs = append(p.runs, answer.GetRun().GetId()) })
	}
}

// cancel remembers a promise: the run was not over and its end is to come.
func (p *people) cancel(ctx context.Context, id string) {
	if id == "" {
		return
	}
	answer, err := p.Runs.CancelRun(ctx, &apiv1.CancelRunRequest{Id: id})
	if r := answer.GetRun(); err == nil && (r.GetCancelling() || r.GetStatus() == apiv1.RunStatus_RUN_STATUS_CANCELLED) {
		p.locked(func() { p.cancelled = append(p.cancelled, r.GetId()) })
	}
}

func (p *people) cancelJob(ctx context.Context, pick int) {
	answer, err := p.Runs.ListRuns(ctx, &apiv1.ListRunsRequest{Active: true, Job: spokenJobs[pick&3]})
	if runs := answer.GetRuns(); err == nil && len(runs) > 0 {
		p.cancel(ctx, runs[pick>>2%len(runs)].GetId())
	}
}

// command types a slash command.
func (p *people) command(ctx context.Context, pick int, service, version string) {
	p.locked(func() { p.commands++; p.versions[version] = false })
	d, err := p.Slack.SlashCommand(ctx, sandbox.UserRequester, world.Rooms[pick%len(world.Rooms)], "/deploy", service+"@"+version+" to staging")
	if err != nil {
		p.T.Errorf("speak: %v", err)
		return
	}
	p.locked(func() { p.spoken = append(p.spoken, d.ID) })
	p.heard(d, version)
}

// heard notes the run that an answer promises: "accepted", or stored and
// announced by its id.
func (p *people) heard(d sandbox.Delivery, version string) {
	var body struct {
		Text string `json:"text"`
		Type string `json:"response_type"`
	}
	if !d.OK() || json.Unmarshal([]byte(d.Body), &body) != nil || body.Type != "in_channel" {
		return
	}
	if id := world.IDIn(body.Text); id != "" {
		p.locked(func() {
			p.runs = append(p.runs, id)
			if version != "" {
				p.versions[version] = true
			}
		})
	}
}

// mention writes a message to the bot. Whether one of its deliveries was
// acknowledged stands in Slack's journal.
func (p *people) mention(ctx context.Context, pick int, text string) {
	p.count()
	posted, err := p.Slack.Post(ctx, sandbox.UserRequester, world.Rooms[pick%3], world.Mention+text, "")
	if err != nil {
		return
	}
	p.locked(func() {
		for _, d := range posted.Deliveries {
			p.spoken = append(p.spoken, d.ID)
		}
	})
}

// repeat delivers again what was said before, as Slack does: at once or much
// later, to whoever has the door.
func (p *people) repeat(ctx context.Context, pick int) {
	id := ""
	p.locked(func() {
		if len(p.spoken) > 0 {
			id = p.spoken[pick%len(p.spoken)]
		}
	})
	if id == "" {
		return
	}
	again, err := p.Slack.Redeliver(ctx, id, 1+pick%3, true)
	if err != nil {
		p.T.Errorf("repeat: %v", err)
	}
	for _, d := range again {
		p.heard(d, "")
	}
}

// deliver sends a webhook, and sometimes one that was sent before.
func (p *people) deliver(ctx context.Context, label string) {
	body := fmt.Sprintf(`{"event":"built","name":%q}`, label)
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+p.front[world.Ingress].Address()+"/webhooks/test/ci", strings.NewReader(body))
	if err != nil {
		p.T.Error(err)
		return
	}
	mac := hmac.New(sha256.New, []byte(hookSecret))
	mac.Write([]byte(body))
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("X-Slipway-Signature-256", "sha256="+hex.EncodeToString(mac.Sum(nil)))
	resp, err := hookClient.Do(req)
	p.mu.Lock()
	defer p.mu.Unlock()
	if _, sent := p.hooks[label]; !sent {
		p.hooks[label] = false
	}
	if err != nil {
		return // the sender tries again, or not
	}
	_ = resp.Body.Close()
	p.hooks[label] = p.hooks[label] || resp.StatusCode == http.StatusAccepted
}

var hookClient = &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}

// hold holds a job for a moment, or releases it.
func (p *people) hold(ctx context.Context, pick int) {
	job := "test/" + spokenJobs[pick&3]
	if pick>>2&3 == 0 {
		_, _ = p.Lanes.ReleaseHolds(ctx, &apiv1.ReleaseHoldsRequest{Job: job}) // refused or lost: either is fine
		return
	}
	until := time.Now().Add(time.Duration(500+pick>>4%2000) * time.Millisecond)
	answer, err := p.Lanes.HoldJob(ctx, &apiv1.HoldJobRequest{Job: job, Until: timestamppb.New(until), Reason: "a storm"})
	if err == nil {
		p.locked(func() { p.holds = append(p.holds, answer.GetHold().GetId()) })
	}
}

// insist asks again, when all is well, what was never answered; repeats what
// was; and lets Slack deliver some of the old once more.
func (p *people) insist() {
	for _, key := range sortedKeys(p.open) {
		p.again(key, p.open[key])
	}
	for _, key := range sortedKeys(p.told) {
		p.again(key, p.told[key].service)
	}
	p.eventually("what waits to be listed", world.Patience, p.giveUp)
	for i := 0; i < len(p.spoken); i += 5 {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		p.repeat(ctx, i)
		cancel()
	}
}

// farOff is more than any delay of the configuration: only a clock that was
// ahead when the request came makes a run wait so long.
const farOff = time.Minute

// giveUp cancels what a clock that was ahead has put off until later than
// anybody waits for: people see on the card until when.
func (p *people) giveUp() error {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	answer, err := p.Runs.ListRuns(ctx, &apiv1.ListRunsRequest{Active: true, PageSize: 200})
	if err != nil {
		return err
	}
	for _, r := range answer.GetRuns() {
		if time.Until(r.GetStartAfter().AsTime()) > farOff {
			p.cancel(ctx, r.GetId())
		}
	}
	return nil
}

func (p *people) again(key, service string) {
	deadline := time.Now().Add(world.Patience)
	for {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		p.deploy(ctx, service, key)
		cancel()
		if _, open := p.open[key]; !open {
			return
		}
		if time.Now().After(deadline) {
			p.T.Errorf("%s is never answered", key)
			return
		}
	}
}
