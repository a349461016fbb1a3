package orchestrator

import (
	"flag"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/slipway-hq/slipway/internal/audit"
	"github.com/slipway-hq/slipway/internal/eventlog"
	"github.com/slipway-hq/slipway/internal/eventlog/memlog"
)

// The simulation runs the real minds of several orchestrators (clerk, desk,
// dispatcher, engine, projection and board) and of runners (domain/holder), over
// a log in memory. It lies here and not in the module of tests because the minds
// of the orchestrator are nobody else's; that of notifiers has a simulation of
// its own in services/notifier/internal/desk. Whatever touches the log stops at a
// port; one seed decides who goes on, what fails, what lands late, who dies, and
// what time it is.

var (
	seedFlag  = flag.Uint64("seed", 0, "replay this seed of the simulation and print its history")
	seedsFlag = flag.Int("seeds", 0, "how many seeds to simulate")
	fromFlag  = flag.Uint64("from", 1, "the first of them")
)

// simSeeds is what every build simulates, in a few seconds; fewer under the race
// detector, which makes each ten times as long.
const (
	simSeeds     = 600
	simSeedsRace = 80
)

const simConfig = `
defaults: {service: checkout, environment: staging}
services:
  checkout: {pipeline: deploy}
  search: {pipeline: deploy}
  ledger: {pipeline: careful}
environments:
  staging: {}
  production: {}
pipelines:
  deploy:
    queue_timeout: 5m
    steps: [{name: build, run: "true", retry: {attempts: 2, delay: 2s}}, {name: ship, run: "true", resume: ask, ask_timeout: 2m}]
  careful:
    timeout: 6m
    steps: [{name: look, run: "true", resume: ask, ask_timeout: 5m}, {name: pay, run: "true", resume: probe, probe: "true"}, {name: tell, run: "true"}]
lanes:
  "*/production": {concurrency: 2}
  shared: {concurrency: 3, per_job: 2, rate: {limit: 4, period: 20s}, turns: true}
namespaces:
  shop:
    description: what anybody may try
    jobs:
      merge: {run: "true", dedupe: {max_delay: 30s}}
      newest: {run: "true", dedupe: {policy: newest}}
      reject: {run: "true", dedupe: {policy: reject}}
      each: {run: "true", lane: shared, dedupe: {policy: all}}
      pool: {run: "echo {n}", lane: shared, params: {n: {type: string}}}
    commands:
      - {match: "merge", job: merge, delay: 10s}
      - {match: "merge now", job: merge}
      - {match: "merge cancel", action: cancel, job: merge}
      - {match: "newest", job: newest}
      - {match: "reject", job: reject}
      - {match: "each", job: each}
      - {match: "pool [n]", job: pool}
  back:
    description: another
    jobs:
      pool: {run: "true", lane: shared}
    commands:
      - {match: "pool", job: pool}
`

// simLanes is what the configuration above says, in the checker's words.
func simLanes(lane string) audit.Limits {
	switch {
	case strings.HasSuffix(lane, "/production"):
		return audit.Limits{Concurrency: 2}
	case lane == "shared":
		return audit.Limits{Concurrency: 3, PerJob: 2, RateLimit: 4, RatePeriod: 20 * time.Second}
	}
	return audit.Limits{Concurrency: 1}
}

// TestSimulation finds a history that breaks a promise. Replay what it names with
// -args -seed=N, or SEED=N; -seeds or SEEDS says how many to try.
func TestSimulation(t *testing.T) {
	seed, seeds, from := *seedFlag, *seedsFlag, *fromFlag
	if n, err := strconv.ParseUint(os.Getenv("SEED"), 10, 64); err == nil {
		seed = n
	}
	if n, err := strconv.Atoi(os.Getenv("SEEDS")); err == nil {
		seeds = n
	}
	if seed != 0 {
		s := simulate(t, seed)
		t.Logf("the history of seed %d:\n%s", seed, s.story())
		s.report(t)
		return
	}
	if seeds == 0 {
		if seeds = simSeeds; racing {
			seeds = simSeedsRace
		}
	}
	began, records, broken, kinds := time.Now(), 0, 0, map[string]int{}
	for i := range uint64(seeds) { //nolint:gosec // given by a person
		s := simulate(t, from+i)
		records += len(s.records())
		s.count(kinds)
		if len(s.faults()) > 0 {
			s.report(t)
			if broken++; broken == 5 {
				break
			}
		}
	}
	took := time.Since(began)
	t.Logf("%d seeds, %d records in %s: %.0f seeds a minute", seeds, records, took.Round(time.Millisecond), float64(seeds)/took.Minutes())
	t.Logf("what happened: %v", kinds)
	for _, kind := range simKinds {
		if kinds[kind] == 0 && seeds >= simSeeds {
			t.Errorf("no %s in %d histories: they show too little", kind, seeds)
		}
	}
}

// simKinds is what many histories must show, or they prove little.
var simKinds = []string{
	"run_claimed", "run_refused", "step_failed", "step_interrupted", "step_asked", "step_answered", "claim_released", "claim_lapsed", "timeout_requested",
	"lane_held", "hold_released", "lane_changed", "OUTCOME_SUCCEEDED", "OUTCOME_FAILED", "OUTCOME_CANCELLED", "OUTCOME_TIMED_OUT", "OUTCOME_MERGED",
	"KIND_MERGED", "KIND_SUPERSEDED", "KIND_REJECTED",
}

// count adds what the log of a history holds.
func (s *sim) count(kinds map[string]int) {
	for _, rec := range s.records() {
		for _, e := range rec.Commit.GetEvents() {
			m := e.ProtoReflect()
			kinds[string(m.WhichOneof(m.Descriptor().Oneofs().Get(0)).Name())]++
			if end := e.GetRunEnded(); end != nil {
				kinds[end.GetOutcome().String()]++
			}
			for _, a := range e.GetLaneGranted().GetAbsorbs() {
				kinds[a.GetKind().String()]++
			}
		}
	}
}

// TestASeedIsOneHistory: else a failure could not be replayed.
func TestASeedIsOneHistory(t *testing.T) {
	for seed := range uint64(25) {
		first, again := simulate(t, seed).story(), simulate(t, seed).story()
		if first != again {
			a, b := strings.Split(first, "\n"), strings.Split(again, "\n")
			i := 0
			for i < min(len(a), len(b))-1 && a[i] == b[i] {
				i++
			}
			t.Fatalf("seed %d has two histories; line %d is\n%s\nand then\n%s", seed, i, a[i], b[i])
		}
	}
}

// sim is one history in the making.
type sim struct {
	t       *testing.T
	seed    uint64
	rng     *rand.Rand
	log     *memlog.Log
	now     time.Time
	mishaps int
	healed  bool
	broken  []string
	told    audit.Told
	lines   []string
	names   map[string]string

	replicas []*simReplica
	runners  []*simRunner
	inbox    []*letter
	wishes   []*wish
	runs     []string // accepted ids, for cancels and retries
	heldJob  string   // the last one
	late     []*call
	lapsed   map[string]bool // by incarnation
	tasks    int
	flying   int
	cached   []eventlog.Record

	mu       sync.Mutex
	standing []*call
	done     []*task
	hints    map[string]*simHint
}
