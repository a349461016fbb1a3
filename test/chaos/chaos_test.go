package chaos

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/slipway-hq/slipway/sandbox"
	"github.com/slipway-hq/slipway/test/internal/wire"
	"github.com/slipway-hq/slipway/test/internal/world"
)

const (
	// short is how long things are broken when nobody says how long.
	short = 20 * time.Second
	// calmEnd is how long nobody asks for anything before all is healed.
	calmEnd = 4 * time.Second
)

// retries are the pauses before Slack repeats an event: its own, made shorter.
var retries = []time.Duration{0, time.Second, 4 * time.Second}

// lastRetry is how long after the storm the last repeat of an event may come.
const lastRetry = 10 * time.Second

// appToken opens Socket Mode, by which every other seed's Slack delivers.
const appToken = "xapp-of-the-harness"

// wanted is what the environment asks for: SEED is the first seed, SEEDS how many,
// MINUTES how long each, REPORT the file that tells of them.
type wanted struct {
	seed   uint64
	seeds  int
	length time.Duration
	report string
}

func ask(t *testing.T) wanted {
	t.Helper()
	number := func(name string, standard float64) float64 {
		text := os.Getenv(name)
		if text == "" {
			return standard
		}
		n, err := strconv.ParseFloat(text, 64)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		return n
	}
	return wanted{
		seed: uint64(number("SEED", float64(time.Now().Unix()%100000))), seeds: int(number("SEEDS", 1)),
		length: time.Duration(number("MINUTES", short.Minutes()) * float64(time.Minute)), report: os.Getenv("REPORT"),
	}
}

// TestChaos plays seeds. A failure names its seed, says everything that was done
// and where the logs of all processes are.
func TestChaos(t *testing.T) {
	want := ask(t)
	results := make([]result, want.seeds)
	for i := range results {
		results[i] = result{seed: want.seed + uint64(i), counts: map[kind]int{}, broken: []string{"it was not played to its end"}}
	}
	t.Run("seed", func(t *testing.T) {
		for i := range results {
			seed := want.seed + uint64(i)
			t.Run(fmt.Sprint(seed), func(t *testing.T) {
				t.Parallel()
				results[i] = play(t, seed, want.length)
			})
		}
	})
	if want.report != "" {
		if err := report(want, results); err != nil {
			t.Error(err)
		}
	}
}

// play lets one seed happen to a town of many.
func play(t *testing.T, seed uint64, length time.Duration) result {
	plan := misfortune(seed, length)
	return storm(t, seed, length, plan, !jumped(plan, world.Orchestrator), buildTown)
}

// TestChaosAlone plays one seed where everything is one process.
func TestChaosAlone(t *testing.T) {
	t.Parallel()
	want := ask(t)
	plan := misfortuneAlone(want.seed, want.length)
	storm(t, want.seed, want.length, plan, !jumped(plan, aloneName), buildAlone)
}

// storm builds a town, lets a plan and people happen to it, heals and judges.
func storm(t *testing.T, seed uint64, length time.Duration, plan []mishap, clocksRight bool, build func(testing.TB, *world.World, string) *town) (r result) {
	begin := time.Now()
	w := world.New(t, world.Env(hookVariable, hookSecret), world.Env("SLACK_APP_TOKEN", appToken), world.Stand(func(c *sandbox.Config) {
		c.EventRetries, c.Seed, c.AppToken = retries, seed, appToken
		if seed%2 == 1 {
			c.Delivery = sandbox.Socket
		}
	}))
	w.Configure(configuration(w))
	c := build(t, w, logsOf(t))
	c.sockets()
	l, p := newLuck(c), newPeople(c, seed)
	t.Cleanup(func() {
		if t.Failed() {
			l.tell(plan, seed, length)
		}
	})
	up := time.Since(begin)
	storm, over := context.WithTimeout(context.Background(), length)
	defer over()
	asking, stop := context.WithTimeout(storm, length-min(calmEnd, length/4))
	defer stop()
	done := make(chan struct{})
	go func() { defer close(done); p.live(asking) }()
	l.happen(storm, plan)
	<-storm.Done()
	<-done
	healing := time.Now()
	l.heal()
	p.insist()
	<-time.After(time.Until(healing.Add(lastRetry)))
	r = p.judge(clocksRight)
	r.seed, r.counts = seed, l.counts
	r.up, r.after, r.all = up, time.Since(healing), time.Since(begin)
	for _, f := range r.broken {
		t.Error(f)
	}
	if t.Failed() && len(r.broken) == 0 {
		r.broken = []string{"it did not come to rest"}
	}
	t.Logf("%d commands, %d runs, %d commits, %d effects, %d cards; up after %s, judged %s after the storm", r.commands, r.runs, r.commits, r.effects, r.cards, up.Round(time.Second), r.after.Round(time.Second))
	return r
}

// jumped tells whether the clock of a kind of process is moved.
func jumped(plan []mishap, kind string) bool {
	for _, m := range plan {
		if m.kind == clockJump && strings.HasPrefix(m.on, kind) {
			return true
		}
	}
	return false
}

// heal makes everything well again.
func (l *luck) heal() {
	l.T.Helper()
	l.Slack.Faults().Heal()
	for w, link := range l.ways {
		link.Set(wire.State{})
		delete(l.states, w)
	}
	for _, name := range l.names {
		h := l.hosts[name]
		h.thaw()
		h.clock(0)
		h.resume()
	}
	l.note("all is well again")
	for _, name := range l.serving() {
		l.eventually(name+" to be ready", world.Patience, func() error {
			if !l.isReady(name) {
				return fmt.Errorf("%s is not", name)
			}
			return nil
		})
	}
	ctx, cancel := context.WithTimeout(context.Background(), world.Patience)
	defer cancel()
	if len(l.nodes) > 0 {
		if err := l.copies(ctx); err != nil {
			l.T.Error(err)
		}
	}
	l.sockets()
	l.note("everybody is ready")
}

// startFresh starts an orchestrator that has seen nothing but the log.
func (c *town) startFresh() {
	c.T.Helper()
	c.doors[freshName] = c.address()
	env := append(c.Environment(), "NATS_URL=nats://"+c.doors[c.nodes[0]], "SLIPWAY_LISTEN="+c.doors[freshName], "SLIPWAY_REPLICAS=3")
	c.hosts[freshName] = keep(c.T, freshName, c.logs, filepath.Join(built, world.Orchestrator), nil, env)
	c.eventually(freshName, world.Patience, func() error {
		if !c.isReady(freshName) {
			return fmt.Errorf("it is not ready")
		}
		return nil
	})
}

// tell says everything about a seed that has failed.
func (l *luck) tell(plan []mishap, seed uint64, length time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	var text strings.Builder
	fmt.Fprintf(&text, "repeat with: make chaos SEED=%d MINUTES=%g\n", seed, length.Minutes())
	fmt.Fprintf(&text, "logs: %s\n--- drawn:\n", l.logs)
	for _, m := range plan {
		fmt.Fprintln(&text, m)
	}
	fmt.Fprintf(&text, "--- done:\n%s\n", strings.Join(l.diary, "\n"))
	l.T.Log(text.String())
	kept := filepath.Join(l.logs, "effects")
	if data, err := os.ReadFile(filepath.Join(l.Dir, "effects")); err == nil {
		_ = os.WriteFile(kept, data, 0o600) // beside the logs, for who looks into them
	}
}
