package runner

import (
	"bytes"
	"fmt"
	"log/slog"
	"maps"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/slipway-hq/slipway/domain/run"
	commandv1 "github.com/slipway-hq/slipway/gen/slipway/command/v1"
	eventv1 "github.com/slipway-hq/slipway/gen/slipway/event/v1"
	"github.com/slipway-hq/slipway/internal/lease"
	"github.com/slipway-hq/slipway/internal/topology"
)

// named is a runner with a name and labels.
func named(name string, capacity int, labels ...string) option {
	return func(c *Config, _ *Deps, _ *Runner) { c.Name, c.Capacity, c.Labels = name, capacity, labels }
}

// on is who is alive, by name.
func (w *world) on() map[string]*commandv1.Lease {
	w.t.Helper()
	leases, err := lease.NewBucket(w.js, 1, lease.DefaultTiming(), logger(w.t)).List(w.t.Context())
	must(w.t, err)
	out := map[string]*commandv1.Lease{}
	for _, l := range leases {
		out[l.GetName()] = l
	}
	return out
}

// offerTo offers a run to one incarnation, as the dispatcher would.
func (w *world) offerTo(l *commandv1.Lease, hint *commandv1.Hint) {
	w.t.Helper()
	data, err := proto.Marshal(hint)
	must(w.t, err)
	must(w.t, w.nc.Publish(topology.OfferSubject(l.GetHolder()), data))
	must(w.t, w.nc.Flush())
}

func TestALeaseSaysWhoTheRunnerIs(t *testing.T) {
	w := newWorld(t)
	w.runner(&script{}, named("anvil", 3, "gpu=yes", "arch=vax"))
	l := w.on()["anvil"]
	want := map[string]string{"os": l.GetLabels()["os"], "arch": "vax", "gpu": "yes"}
	if l.GetRunner() == "" || l.GetHost() == "" || l.GetLabels()["os"] == "" || !maps.Equal(l.GetLabels(), want) {
		t.Errorf("the lease says %v", l)
	}
	for _, bad := range []string{"gpu", "=yes", "gpu=", "g p=u", "x=a b"} {
		if _, err := New(Config{Dir: t.TempDir(), Labels: []string{bad}}, Deps{Conn: w.nc, Logger: logger(t)}); err == nil {
			t.Errorf("the label %q is taken", bad)
		}
	}
}

// Whatever hints say: a run goes where its plan asks for, and nowhere else.
func TestARunWithLabelsIsClaimedByNobodyElse(t *testing.T) {
	w := newWorld(t)
	arm, amd, pinned := &script{}, &script{}, &script{}
	w.runner(arm, named("arm", 8, "arch=arm64"))
	w.runner(amd, named("amd", 8, "arch=amd64"))
	w.runner(pinned, named("Pinned", 8, "arch=amd64"))
	on := w.on()
	labelled, only := w.plan(shell("l", "true")), w.plan(shell("o", "true"))
	labelled.Labels, only.Runner = map[string]string{"arch": "arm64"}, "pinned"
	for i := range 6 {
		byLabel, byName := w.request(fmt.Sprint("d-l", i), labelled), w.request(fmt.Sprint("d-o", i), only)
		for _, l := range on { // to everybody, and to the pool, as an older dispatcher would
			w.offerTo(l, byLabel)
			w.offerTo(l, byName)
		}
		w.publish(byLabel)
		w.publish(byName)
	}
	for i := range 6 {
		for _, id := range []string{fmt.Sprint("d-l", i), fmt.Sprint("d-o", i)} {
			if s := w.ended(id); s.Status != run.Succeeded {
				t.Errorf("%s %s: %s", id, s.Status, s.Reason)
			}
		}
	}
	for who, s := range map[string]*script{"l/1": arm, "o/1": pinned, "": amd} {
		for _, ran := range s.log() {
			if ran != who {
				t.Errorf("a runner for %q ran %s", who, ran)
			}
		}
	}
	if len(arm.log()) != 6 || len(pinned.log()) != 6 {
		t.Errorf("%d and %d attempts, want 6 each", len(arm.log()), len(pinned.log()))
	}
}

// heard is a log that tells of an offer that cannot be read.
type heard chan struct{}

func (h heard) Write(line []byte) (int, error) {
	if bytes.Contains(line, []byte("an offer cannot be read")) {
		h <- struct{}{}
	}
	return len(line), nil
}

func TestAFullRunnerLetsAnOfferPass(t *testing.T) {
	w := newWorld(t)
	g, log := newGate(), make(heard, 1)
	w.runner(g, named("small", 1, "arch=arm64"), func(_ *Config, d *Deps, _ *Runner) { d.Logger = slog.New(slog.NewTextHandler(log, nil)) })
	small := w.on()["small"]
	plan := w.plan(shell("a", "true"))
	plan.Labels = map[string]string{"arch": "arm64"}
	first, second := w.request("d-1", plan), w.request("d-2", plan)
	w.offerTo(small, first)
	w.until("d-1", "its claim", func(s run.State) bool { return s.Claimed() })
	w.offerTo(small, second)
	w.offerTo(small, &commandv1.Hint{}) // cannot be read, which it says: by then it has let the other pass
	<-log
	close(g.pass)
	w.ended("d-1")
	if s := w.until("d-2", "the request", func(s run.State) bool { return s.Status != run.Absent }); s.Claimed() {
		t.Error("a full runner claimed another run")
	}
	w.offerTo(small, second)
	w.ended("d-2")
}

// The server hands the hints of a pool to its runners in turn.
func TestHintsOfAPoolAreSpreadEvenly(t *testing.T) {
	w := newWorld(t)
	const runners, runs = 3, 30
	all := make([]*gate, runners)
	for i := range all {
		all[i] = newGate()
		w.runner(all[i], named(fmt.Sprint("n", i), runs))
	}
	for i := range runs {
		w.start(fmt.Sprint("d-", i), w.plan(shell("a", "true")))
	}
	count := func() (each []int, sum int) {
		for _, g := range all {
			now, _, _ := g.seen()
			each, sum = append(each, now), sum+now
		}
		return each, sum
	}
	eventually(t, "all runs", func() bool { _, sum := count(); return sum == runs })
	each, _ := count()
	for _, n := range each {
		if n < runs/runners-2 || n > runs/runners+2 {
			t.Errorf("%v runs on equal runners", each)
			break
		}
	}
	for _, g := range all {
		close(g.pass)
	}
	for i := range runs {
		w.ended(fmt.Sprint("d-", i))
	}
}

// A runner without room has no pull open, so that another gets the next hint at
// once, long before the dispatcher would repeat it.
func TestAFullRunnerIsPassedByAtOnce(t *testing.T) {
	w := newWorld(t)
	full, free := newGate(), newStamp()
	w.runner(full, named("full", 1))
	w.start("d-0", w.plan(shell("a", "true")))
	eventually(t, "one that is full", func() bool { now, _, _ := full.seen(); return now == 1 })
	w.runner(free, named("free", 20))
	for i := range 10 {
		began := time.Now()
		w.start(fmt.Sprint("d-1", i), w.plan(shell("a", "true")))
		select {
		case at := <-free.at:
			if at.Sub(began) > time.Second {
				t.Errorf("run %d started after %s", i, at.Sub(began))
			}
		case <-time.After(patience):
			t.Fatal("the run was never started")
		}
	}
	close(full.pass)
}

func TestAStepKnowsItsRunner(t *testing.T) {
	w := newWorld(t)
	w.runner(nil, named("anvil", 2), func(_ *Config, d *Deps, _ *Runner) { d.Version = "v9" })
	host := w.on()["anvil"].GetHost()
	w.start("d-1", w.plan(&eventv1.Step{Name: "tell", Shell: `test "$SLIPWAY_HOST/$SLIPWAY_RUNNER/$SLIPWAY_RUNNER_VERSION" = "` + host + `/anvil/v9"`}))
	if s := w.ended("d-1"); s.Status != run.Succeeded {
		t.Errorf("%s: %s", s.Status, s.Reason)
	}
}
