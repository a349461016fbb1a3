package faults

import (
	"context"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"syscall"
	"testing"
	"time"

	apiv1 "github.com/slipway-hq/slipway/gen/slipway/api/v1"
	"github.com/slipway-hq/slipway/sandbox"
	"github.com/slipway-hq/slipway/test/internal/world"
)

var (
	seedFlag    = flag.Uint64("seed", 0, "seed of the random faults; 0: the environment's SEED, else the time")
	secondsFlag = flag.Int("seconds", 0, "how long to break things; 0: the environment's MINUTES, else a few seconds")
)

// short is how long things are broken when nobody says how long.
const short = 12 * time.Second

func plan(t *testing.T) (seed uint64, length time.Duration) {
	t.Helper()
	seed, length = *seedFlag, time.Duration(*secondsFlag)*time.Second
	if text := os.Getenv("SEED"); seed == 0 && text != "" {
		var err error
		if seed, err = strconv.ParseUint(text, 10, 64); err != nil {
			t.Fatalf("SEED: %v", err)
		}
	}
	if text := os.Getenv("MINUTES"); length == 0 && text != "" {
		minutes, err := strconv.ParseFloat(text, 64)
		if err != nil {
			t.Fatalf("MINUTES: %v", err)
		}
		length = time.Duration(minutes * float64(time.Minute))
	}
	if seed == 0 {
		seed = uint64(time.Now().UnixNano()) //nolint:gosec // any number will do
	}
	if length == 0 {
		length = short
	}
	return seed, length
}

// TestRandomFaults lets people ask, cancel, hold, retry and repeat themselves,
// and other systems and the clock start jobs, while processes are killed and frozen and the broker restarts; then it heals
// everything and checks what is promised. SEED repeats the decisions, though not
// the instant at which each falls.
func TestRandomFaults(t *testing.T) {
	seed, length := plan(t)
	t.Logf("repeat with SEED=%d and %s", seed, length)
	for name, build := range map[string]func(*storm){"together": (*storm).together, "apart": (*storm).apart} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := &storm{World: world.New(t, world.Env(hookVariable, hookSecret)), seed: seed, dice: rand.New(rand.NewPCG(seed, uint64(len(name)))), keys: map[string]string{}, told: map[string]wish{}, hooks: map[string]bool{}} //nolint:gosec // repeatable on purpose
			s.configure()
			build(s)
			s.rage(length)
			s.heal()
			s.check()
		})
	}
}

// storm is a world, its people and its bad luck.
type storm struct {
	*world.World
	seed   uint64
	dice   *rand.Rand // of the one goroutine that decides
	broken []*victim

	mu     sync.Mutex
	asked  int               // commands sent that may have made a run
	ids    []string          // runs whose acceptance was told
	keys   map[string]string // idempotency key to what was asked, for those without an answer
	told   map[string]wish   // by idempotency key, what was answered
	spoken []string          // deliveries that can be repeated

	mentions []heardMessage  // of jobs, acknowledged
	hooks    map[string]bool // webhooks sent, and whether one was accepted
	people   sync.WaitGroup
}

// wish is a request of the API and the run that it became.
type wish struct{ service, run string }

// victim is a process that may be struck.
type victim struct {
	name    string
	process *world.Process
	restart func() *world.Process
	frozen  bool
}

var lanes = map[string]int{"wide/staging": 2}

func (s *storm) configure() {
	flaky := world.Map{"retry": world.Map{"attempts": 3, "delay": "100ms"}}
	config := s.Pipelines(map[string][]world.Map{
		"calm":  {s.Step("one", "sleep 0.1"), s.Step("two", "sleep 0.2"), s.Step("three", "")},
		"flaky": {s.Step("one", ""), s.Step("two", "test $SLIPWAY_ATTEMPT -ge 2 || exit 1", flaky), s.Step("three", "sleep 0.1")},
		"sorry": {s.Step("one", ""), s.Step("two", "sleep 0.1; exit 3"), s.Step("three", "")},
		"slow":  {s.Step("one", "sleep 1"), s.Step("two", "sleep 300 & sleep 1")},
		"wide":  {s.Shared("one", "sleep 0.3"), s.Shared("two", "")},
	})
	config["lanes"] = world.Map{"wide/staging": world.Map{"concurrency": lanes["wide/staging"]}}
	config["namespaces"] = s.jobs()
	s.Configure(config)
}

var services = []string{"calm", "flaky", "sorry", "slow", "wide"}

func (s *storm) together() {
	up := func() *world.Process { return s.Up() }
	s.broken = []*victim{{name: "slipway", process: up(), restart: up}}
}

// apart has two runners, of which either may take what the other loses.
func (s *storm) apart() {
	all := s.Split()
	for _, name := range append([]string{"nats"}, world.Services...) {
		v := &victim{name: name, process: all[name], restart: func() *world.Process { return s.Service(name) }}
		if name == "nats" {
			v.restart = s.NATS
		}
		s.broken = append(s.broken, v)
	}
	second := func() *world.Process {
		return s.Service(world.Runner, "--data", filepath.Join(s.Dir, "second"))
	}
	s.broken = append(s.broken, &victim{name: world.Runner, process: second(), restart: second})
}

// rage asks and breaks until the time is over.
func (s *storm) rage(length time.Duration) {
	over := time.After(length)
	for n := 0; ; n++ {
		select {
		case <-over:
			s.people.Wait()
			return
		case <-time.After(time.Duration(20+s.dice.IntN(150)) * time.Millisecond):
		}
		if s.dice.IntN(8) == 0 {
			s.strike(s.broken[s.dice.IntN(len(s.broken))])
			continue
		}
		s.act(n)
	}
}

// strike does one bad thing.
func (s *storm) strike(v *victim) {
	if v.frozen {
		v.process.Thaw()
		v.frozen = false
		return
	}
	switch s.dice.IntN(6) {
	case 0:
		v.process.Freeze()
		v.frozen = true
		if v.name == "nats" || v.name == "slipway" { // without those nothing at all would happen
			<-time.After(time.Duration(s.dice.IntN(4000)) * time.Millisecond)
			v.process.Thaw()
			v.frozen = false
		}
		return
	case 1:
		v.process.Signal(syscall.SIGTERM)
		v.process.ExitCode()
	case 2:
		s.Slack.Faults().Set(trouble[s.dice.IntN(len(trouble))])
		return
	default:
		v.process.Kill()
	}
	v.process = v.restart()
}

// trouble is what Slack has, each for a call or two.
var trouble = []sandbox.Fault{
	{Kind: sandbox.RateLimited, Times: 2}, {Kind: sandbox.ServerError, Times: 1}, {Kind: sandbox.Latency, Delay: time.Second, Times: 3},
	{Kind: sandbox.LostAfter, Method: "chat.postMessage", Times: 1}, {Kind: sandbox.LostBefore, Times: 2}, {Kind: sandbox.LostAfter, Method: "chat.update", Times: 1},
}

// busy bounds the people who speak at a time.
const busy = 6

// act lets somebody do something, beside what goes on.
func (s *storm) act(n int) {
	service := services[s.dice.IntN(len(services))]
	key := fmt.Sprintf("key-%d-%d", s.seed, n)
	pick := s.dice.IntN(1 << 20)
	var what func(context.Context)
	switch kind := s.dice.IntN(16); {
	case kind >= 10:
		what = s.actJob(n, pick)
	case kind < 3:
		what = func(ctx context.Context) { s.deploy(ctx, service, key) }
	case kind < 6:
		channel := world.Rooms[pick%len(world.Rooms)]
		what = func(ctx context.Context) { s.speak(ctx, channel, service, key) }
	case kind < 7:
		what = func(ctx context.Context) { s.repeat(ctx, pick) }
	case kind < 9:
		what = func(ctx context.Context) {
			if id := s.any(pick); id != "" {
				_, _ = s.Runs.CancelRun(ctx, &apiv1.CancelRunRequest{Id: id}) // refused or lost: either is fine
			}
		}
	default:
		what = func(ctx context.Context) { s.retry(ctx, s.any(pick), key) }
	}
	s.people.Go(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		what(ctx)
	})
	if n%busy == busy-1 {
		s.people.Wait()
	}
}

func (s *storm) any(pick int) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.ids) == 0 {
		return ""
	}
	// The latest are the ones that still run.
	return s.ids[max(0, len(s.ids)-1-pick%8)]
}

func (s *storm) accepted(id string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ids = append(s.ids, id)
}

// try counts a command that may make a run, whatever is answered.
func (s *storm) try() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.asked++
}

// deploy asks the API. What is not answered is asked again when all is well.
func (s *storm) deploy(ctx context.Context, service, key string) {
	s.try()
	s.again(ctx, service, key)
}

func (s *storm) again(ctx context.Context, service, key string) {
	answer, err := s.Runs.StartRun(ctx, &apiv1.StartRunRequest{Service: service, Environment: "staging", IdempotencyKey: key})
	switch {
	case err == nil:
		id := answer.GetRun().GetId()
		s.accepted(id)
		s.mu.Lock()
		if before, ok := s.told[key]; ok && before.run != id {
			s.T.Errorf("%s meant %s and then %s", key, before.run, id)
		}
		s.told[key] = wish{service, id}
		delete(s.keys, key)
		s.mu.Unlock()
	case world.Away(err):
		s.mu.Lock()
		s.keys[key] = service
		s.mu.Unlock()
	default:
		s.T.Errorf("start %s: %v", service, err)
	}
}

func (s *storm) retry(ctx context.Context, id, key string) {
	if id == "" {
		return
	}
	s.try()
	answer, err := s.Runs.RetryRun(ctx, &apiv1.RetryRunRequest{Id: id, IdempotencyKey: key})
	if err == nil {
		s.accepted(answer.GetRun().GetId())
	}
}

// speak asks in Slack.
func (s *storm) speak(ctx context.Context, channel, service, version string) {
	s.try()
	d, err := s.Slack.SlashCommand(ctx, sandbox.UserRequester, channel, "/deploy", service+"@"+version+" to staging")
	if err != nil {
		s.T.Errorf("speak: %v", err)
		return
	}
	s.mu.Lock()
	s.spoken = append(s.spoken, d.ID)
	s.mu.Unlock()
	s.heard(d)
}

// heard notes the run that an answer promises: "accepted", or stored and
// announced by its id.
func (s *storm) heard(d sandbox.Delivery) {
	if !d.OK() || d.Body == "" {
		return
	}
	if words, public := s.Words(d); public {
		if id := world.IDIn(words); id != "" {
			s.accepted(id)
		}
	}
}

// repeat delivers again what was said before, as Slack does.
func (s *storm) repeat(ctx context.Context, pick int) {
	s.mu.Lock()
	if len(s.spoken) == 0 {
		s.mu.Unlock()
		return
	}
	id := s.spoken[pick%len(s.spoken)]
	s.mu.Unlock()
	again, err := s.Slack.Redeliver(ctx, id, 1+pick%3, true)
	if err != nil {
		s.T.Errorf("repeat: %v", err)
	}
	for _, d := range again {
		s.heard(d)
	}
}

// heal makes everything well again and asks what was never answered.
func (s *storm) heal() {
	s.Slack.Faults().Heal()
	for _, v := range s.broken {
		if v.frozen {
			v.process.Thaw()
		}
	}
	deadline := time.Now().Add(world.Patience)
	for len(s.keys) > 0 && time.Now().Before(deadline) {
		for key, service := range s.keys {
			ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
			s.again(ctx, service, key)
			cancel()
		}
	}
	s.Eventually("the API", func() bool {
		_, err := s.Runs.ListRuns(context.Background(), &apiv1.ListRunsRequest{PageSize: 1})
		return err == nil
	})
	for key, w := range s.told {
		s.again(context.Background(), w.service, key)
	}
}

// settled waits until every run that there is has ended.
func (s *storm) settled() (runs []*apiv1.Run) {
	s.T.Helper()
	s.Eventually("the end of every run", func() bool {
		runs = s.All()
		return !slices.ContainsFunc(runs, func(r *apiv1.Run) bool { return !world.Terminal(r.GetStatus()) })
	})
	return runs
}

func (s *storm) check() {
	s.T.Helper()
	if len(s.keys) > 0 {
		s.T.Errorf("never answered: %v", s.keys)
	}
	promised := map[string]bool{}
	for _, id := range s.ids {
		var found *apiv1.Run
		s.Eventually("the promised run "+id, func() bool { // stored, and perhaps not decided yet
			answer, err := s.Runs.GetRun(context.Background(), &apiv1.GetRunRequest{Id: id})
			found = answer.GetRun()
			return err == nil
		})
		promised[found.GetId()] = true
	}
	s.ticked()
	runs := s.settled()
	s.checkJobs()
	byClock := func(r *apiv1.Run) bool { return r.GetJob() == "ticked" || r.GetJob() == "hooked" }
	asked := slices.DeleteFunc(slices.Clone(runs), byClock)
	s.T.Logf("%d commands, %d answered, %d runs", s.asked, len(promised), len(runs))
	if len(asked) > s.asked {
		s.T.Errorf("%d commands made %d runs", s.asked, len(asked))
	}
	seen := map[string]bool{}
	for _, r := range runs {
		if delete(promised, r.GetId()); seen[r.GetVersion()] && r.GetVersion() != "" && r.GetRetryOf() == "" {
			s.T.Errorf("what was asked once as %s is there twice", r.GetVersion())
		}
		seen[r.GetVersion()] = seen[r.GetVersion()] || r.GetRetryOf() == ""
	}
	if len(promised) > 0 {
		s.T.Errorf("accepted and lost: %v", promised)
	}
	s.Judge(runs, lanes)
	for _, r := range runs {
		if r.GetVersion() != "" && r.GetStatus() != apiv1.RunStatus_RUN_STATUS_REFUSED {
			s.JudgeCard(r)
		}
	}
}
