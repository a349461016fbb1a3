package orchestrator

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/slipway-hq/slipway/domain/board"
	"github.com/slipway-hq/slipway/domain/run"
	commandv1 "github.com/slipway-hq/slipway/gen/slipway/command/v1"
)

const labelledConfig = `
services:
  app: {pipeline: arm}
  web: {pipeline: plain}
environments:
  staging: {}
pipelines:
  arm:
    queue_timeout: 1h
    lane: arm
    labels: {arch: arm64}
    steps: [{name: build, run: "true"}]
  plain:
    steps: [{name: build, run: "true"}]
lanes:
  arm: {concurrency: 50}
`

// living is the lease of a runner that has just renewed it.
func living(name string, capacity uint32, labels ...string) *commandv1.Lease {
	l := &commandv1.Lease{Holder: name, Runner: "r-" + name, Name: name, Pools: []string{"default"}, Capacity: capacity, Renewed: timestamppb.Now(), Labels: map[string]string{}}
	for _, text := range labels {
		key, value, _ := strings.Cut(text, "=")
		l.Labels[key] = value
	}
	return l
}

func (h *house) live(leases ...*commandv1.Lease) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.leases = leases
}

// offeredTo lets everything settle and returns who was offered which run since
// the last call; hints to a pool count as its name.
func (h *house) offeredTo() (to []string, hints []*commandv1.Hint) {
	synctest.Wait()
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, subject := range h.at {
		to = append(to, subject[strings.Index(subject, ".")+1:])
	}
	hints, h.hints, h.at = h.hints, nil, nil
	return to, hints
}

// claimAs claims like a runner that knows its labels.
func (h *house) claimAs(hint *commandv1.Hint, l *commandv1.Lease) {
	h.t.Helper()
	h.do(hint.GetRun(), func(run.State) run.Command {
		return run.TakeClaim{Runner: l.GetRunner(), Incarnation: l.GetHolder(), Host: l.GetName(), Pools: l.GetPools(), Labels: l.GetLabels(), GrantSequence: hint.GetGrantSequence(), Now: time.Now()}
	})
}

func TestRunsWithLabelsAreOfferedEvenlyToThoseWhoHaveThem(t *testing.T) {
	inHouseOf(t, labelledConfig, 1, func(h *house) {
		fit := map[string]*commandv1.Lease{}
		all := []*commandv1.Lease{living("amd", 50, "arch=amd64")}
		for i := range 3 {
			l := living(fmt.Sprint("arm", i), 10, "arch=arm64")
			fit[l.GetHolder()] = l
			all = append(all, l)
		}
		h.live(all...)
		got := map[string]int{}
		for i := range 18 {
			h.deploy(fmt.Sprint("v", i), "app", "staging")
			to, hints := h.offeredTo()
			if len(to) != 1 || fit[to[0]] == nil {
				t.Fatalf("run %d was offered to %v", i, to)
			}
			got[to[0]]++
			h.claimAs(hints[0], fit[to[0]])
		}
		for name, n := range got {
			if n != 6 {
				t.Errorf("%s got %d of 18, with two more of its kind", name, n)
			}
		}
		h.deploy("w", "web", "staging")
		if to, _ := h.offeredTo(); len(to) != 1 || !strings.HasPrefix(to[0], "default.") {
			t.Errorf("a run without labels was offered to %v, not to its pool", to)
		}
	})
}

func TestAFullRunnerIsPassedByAndGetsItsTurnAtOnce(t *testing.T) {
	inHouseOf(t, labelledConfig, 1, func(h *house) {
		small, large := living("small", 1, "arch=arm64"), living("large", 2, "arch=arm64")
		h.live(small, large)
		byName := map[string]*commandv1.Lease{"small": small, "large": large}
		holds := map[string][]string{}
		for i := range 3 {
			id := h.deploy(fmt.Sprint("v", i), "app", "staging").ID
			to, hints := h.offeredTo()
			if len(to) != 1 {
				t.Fatalf("run %d was offered to %v", i, to)
			}
			h.claimAs(hints[0], byName[to[0]])
			holds[to[0]] = append(holds[to[0]], id)
		}
		if len(holds["small"]) != 1 || len(holds["large"]) != 2 {
			t.Fatalf("who holds what: %v", holds)
		}
		id := h.deploy("more", "app", "staging").ID
		time.Sleep(5 * time.Second) // fake time
		if to, _ := h.offeredTo(); len(to) > 0 {
			t.Errorf("offered to %v, who are full", to)
		}
		if got := h.shown(id); got != "waiting 0 waiting for a free runner of pool default with the label arch=arm64" {
			t.Error(got)
		}
		before := time.Now()
		h.finish(holds["large"][0])
		if to, _ := h.offeredTo(); len(to) != 1 || to[0] != "large" || time.Since(before) > 0 {
			t.Errorf("once there was room it was offered to %v after %s", to, time.Since(before))
		}
	})
}

// A frozen runner does not follow an offer. Each run that it lets pass goes to
// another within hintAgain and a sweep, and it is asked no more.
func TestAFrozenRunnerIsPassedByInBoundedTime(t *testing.T) {
	inHouseOf(t, labelledConfig, 1, func(h *house) {
		frozen, well := living("frozen", 20, "arch=arm64"), living("well", 20, "arch=arm64")
		h.live(frozen, well)
		follow := func(to []string, hints []*commandv1.Hint) (n int) {
			for i, name := range to {
				if name == "well" {
					h.claimAs(hints[i], well)
					n++
				}
			}
			return n
		}
		for i := range 4 {
			h.deploy(fmt.Sprint("v", i), "app", "staging")
		}
		claimed := follow(h.offeredTo())
		if claimed != 2 {
			t.Fatalf("%d of 4 were offered to the one that is well", claimed)
		}
		time.Sleep(hintAgain + sweepEvery) // fake time
		if claimed += follow(h.offeredTo()); claimed != 4 {
			t.Errorf("after %s %d of 4 are claimed", hintAgain+sweepEvery, claimed)
		}
		h.deploy("later", "app", "staging")
		if to, _ := h.offeredTo(); len(to) != 1 || to[0] != "well" {
			t.Errorf("a later one was offered to %v first", to)
		}
		renewed := living("frozen", 20, "arch=arm64") // it goes on
		renewed.Renewed = timestamppb.New(time.Now().Add(time.Second))
		h.live(renewed, well)
		h.deploy("last", "app", "staging")
		if to, _ := h.offeredTo(); len(to) != 1 || to[0] != "frozen" {
			t.Errorf("after it renewed its lease the next was offered to %v", to)
		}
	})
}

func TestNobodyWithTheLabelsIsTheReasonAndTheDeadlineHolds(t *testing.T) {
	inHouseOf(t, labelledConfig, 1, func(h *house) {
		h.live(living("amd", 5, "arch=amd64"))
		h.first().view.world = worldOf(h)
		id := h.deploy("v", "app", "staging").ID
		if got := h.shown(id); got != "waiting 0 no runner of pool default with the label arch=arm64 is connected: start one with them" {
			t.Error(got)
		}
		if to, _ := h.offeredTo(); len(to) > 0 {
			t.Errorf("offered to %v", to)
		}
		arm := living("arm", 5, "arch=arm64")
		h.live(arm)
		time.Sleep(sweepEvery) // fake time
		if to, _ := h.offeredTo(); len(to) != 1 || to[0] != "arm" {
			t.Errorf("a runner that came was not offered it: %v", to)
		}
		time.Sleep(time.Hour + 2*sweepEvery) // fake time
		if got := h.shown(id); got != "timed out 0 waited for a slot and a runner of pool default with the label arch=arm64 for longer than 1h0m0s" {
			t.Error(got)
		}
	})
}

// worldOf is what reasons depend on, with the runners that the house says live.
func worldOf(h *house) func() board.World {
	old := h.first().view.world
	return func() board.World {
		w := old()
		w.Runners = h.runners
		return w
	}
}

// A claim by a runner that does not fit is refused by the log itself.
func TestAMisfitCannotClaim(t *testing.T) {
	inHouseOf(t, labelledConfig, 1, func(h *house) {
		amd := living("amd", 5, "arch=amd64")
		h.live(living("arm", 5, "arch=arm64"))
		id := h.deploy("v", "app", "staging").ID
		_, hints := h.offeredTo()
		_, err := run.Decide(h.state(id), run.TakeClaim{Runner: "r-amd", Incarnation: "amd", Pools: amd.GetPools(), Labels: amd.GetLabels(), GrantSequence: hints[0].GetGrantSequence(), Now: time.Now()})
		if err == nil || !strings.Contains(err.Error(), "arch=arm64") {
			t.Errorf("the claim of a misfit: %v", err)
		}
	})
}
