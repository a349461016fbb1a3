package orchestrator

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/slipway-hq/slipway/domain/board"
	"github.com/slipway-hq/slipway/domain/policy"
	"github.com/slipway-hq/slipway/domain/roster"
	"github.com/slipway-hq/slipway/domain/run"
	commandv1 "github.com/slipway-hq/slipway/gen/slipway/command/v1"
	eventv1 "github.com/slipway-hq/slipway/gen/slipway/event/v1"
	"github.com/slipway-hq/slipway/internal/configfile"
	"github.com/slipway-hq/slipway/internal/engine"
	"github.com/slipway-hq/slipway/internal/eventlog/memlog"
	"github.com/slipway-hq/slipway/internal/projection"
	"github.com/slipway-hq/slipway/internal/topology"
)

const testConfig = `
defaults: {service: checkout, environment: staging}
services:
  checkout: {pipeline: deploy}
  search: {pipeline: deploy}
environments:
  staging: {}
  production: {protected: true, allow: {users: [U0BOSS]}}
pipelines:
  deploy:
    queue_timeout: 1h
    steps: [{name: build, run: "true"}, {name: ship, run: "true"}]
lanes:
  "*/production": {concurrency: 2}
`

// house is the deciding half of an orchestrator over a log in memory, inside a
// bubble whose time is fake. With several replicas all share the log.
type house struct {
	t        *testing.T
	ctx      context.Context
	config   string
	log      *memlog.Log
	replicas []*replica

	mu     sync.Mutex
	hints  []*commandv1.Hint
	at     []string // the subject of each hint
	leases []*commandv1.Lease
	lapsed map[string]bool
	nudges []string
}

type replica struct {
	proj       *projection.Projection
	view       *view
	desk       *desk
	clerk      *clerk
	dispatcher *dispatcher
}

// inHouse runs test in a bubble with so many replicas, all dispatching.
func inHouse(t *testing.T, replicas int, test func(h *house)) {
	t.Helper()
	inHouseOf(t, testConfig, replicas, test)
}

// inHouseOf is inHouse with another configuration.
func inHouseOf(t *testing.T, config string, replicas int, test func(h *house)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		h := &house{t: t, ctx: ctx, config: config, log: memlog.New(), lapsed: map[string]bool{}}
		var group sync.WaitGroup
		for range replicas {
			r := h.replica()
			h.replicas = append(h.replicas, r)
			group.Go(func() { _ = r.proj.Run(ctx, func() {}) }) // it ends with ctx
			group.Go(func() { _ = r.dispatcher.run(ctx) })
		}
		test(h)
		cancel()
		group.Wait()
	})
}

func (h *house) replica() *replica {
	cfg, problems := configfile.Parse("test.yaml", []byte(h.config))
	if len(problems) > 0 {
		h.t.Fatal(problems.Err())
	}
	force := newAdopted(cfg, board.Config{Sequence: 1})
	m, err := newMetrics(func() uint64 { return 0 }, func() (int, int) { return 0, 0 })
	if err != nil {
		h.t.Fatal(err)
	}
	r := &replica{}
	logger := slog.New(slog.DiscardHandler)
	r.dispatcher = newDispatcher(h.log, logger, time.Now, m)
	r.proj = projection.New(h.log, r.dispatcher.observe)
	r.dispatcher.proj, r.dispatcher.settings = r.proj, force.settings
	r.dispatcher.hints, r.dispatcher.lapsed, r.dispatcher.offers.leases = h.hint, h.isLapsed, h.alive
	world := func() board.World { return board.World{Now: time.Now(), Settings: force.settings} }
	r.view = &view{log: h.log, proj: r.proj, world: world}
	nudge := func(_, id string) { h.mu.Lock(); h.nudges = append(h.nudges, id); h.mu.Unlock() }
	r.desk = &desk{log: h.log, view: r.view, config: func() *adopted { return force }, nudge: nudge, now: time.Now, logger: logger}
	r.clerk = &clerk{desk: r.desk, view: r.view, proj: r.proj, now: time.Now, runners: h.runners}
	return r
}

func (h *house) hint(subject string, data []byte) error {
	hint := &commandv1.Hint{}
	if err := proto.Unmarshal(data, hint); err != nil {
		return err
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.hints, h.at = append(h.hints, hint), append(h.at, subject)
	return nil
}

// alive says which runners live, as a watch of the leases would.
func (h *house) alive() ([]*commandv1.Lease, bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.Clone(h.leases), h.leases != nil
}

// runners are those who live, as reasons and listeners see them.
func (h *house) runners() (alive []roster.Runner, known bool) {
	leases, known := h.alive()
	for _, l := range leases {
		alive = append(alive, runnerOf(l))
	}
	return alive, known
}

func (h *house) isLapsed(incarnation string) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.lapsed[incarnation]
}

// hinted lets everything settle and returns the runs hinted at since the last
// call.
func (h *house) hinted() []*commandv1.Hint {
	synctest.Wait()
	h.mu.Lock()
	defer h.mu.Unlock()
	out := h.hints
	h.hints, h.at = nil, nil
	return out
}

func (h *house) first() *replica { return h.replicas[0] }

// deploy starts a run through the API's door.
func (h *house) deploy(key, service, environment string) run.State {
	h.t.Helper()
	s, err := h.first().desk.start(h.ctx, local(), deployment{identity: "api|local|" + key, service: service, environment: environment, version: key})
	if err != nil {
		h.t.Fatal(err)
	}
	synctest.Wait()
	return s
}

func local() asker {
	return asker{principal: &eventv1.Principal{Kind: eventv1.Principal_KIND_API, Name: "local"}, subject: policy.Subject{Kind: policy.KindAPI}, origin: &eventv1.Origin{}}
}

// member is a full member in Slack.
func member(user string) asker {
	return asker{
		principal: &eventv1.Principal{Kind: eventv1.Principal_KIND_SLACK_USER, Team: "T1", User: user},
		subject:   policy.Subject{Kind: policy.KindSlack, Team: "T1", User: user, Known: true},
		origin:    &eventv1.Origin{Door: eventv1.Origin_DOOR_SLASH_COMMAND, Team: "T1", Channel: "C1"},
	}
}

// do decides on a run as a runner would.
func (h *house) do(id string, c func(run.State) run.Command) run.State {
	h.t.Helper()
	handle, err := engine.Open(h.ctx, h.log, topology.RunSubject(id), run.State{}, foldRun)
	if err != nil {
		h.t.Fatal(err)
	}
	res, err := handle.Do(h.ctx, engine.Meta{Time: time.Now()}, func(s run.State) ([]*eventv1.Event, error) { return run.Decide(s, c(s)) })
	if err != nil {
		h.t.Fatalf("%s: %v", id, err)
	}
	synctest.Wait()
	return res.State
}

func (h *house) claim(hint *commandv1.Hint, incarnation string) run.State {
	return h.do(hint.GetRun(), func(run.State) run.Command {
		return run.TakeClaim{Runner: incarnation, Incarnation: incarnation, GrantSequence: hint.GetGrantSequence(), Now: time.Now()}
	})
}

// finish runs all steps of a claimed run.
func (h *house) finish(id string) {
	for s := h.state(id); !s.Status.Ended(); {
		s = h.do(id, func(s run.State) run.Command {
			at := s.Current()
			return run.FinishStep{Fence: s.Claim.Fence, Step: at, Attempt: s.Steps[at].Attempts, Now: time.Now()}
		})
	}
}

func (h *house) state(id string) run.State {
	h.t.Helper()
	s, err := h.first().view.state(h.ctx, id)
	if err != nil {
		h.t.Fatal(err)
	}
	return s
}

func (h *house) shown(id string) string {
	h.t.Helper()
	synctest.Wait()
	r, err := h.first().view.get(h.ctx, id)
	if err != nil {
		h.t.Fatal(err)
	}
	return fmt.Sprintf("%s %d %s", statusWord(r.GetStatus()), r.GetPosition(), r.GetReason())
}
