//go:build upgrade

package faults

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/encoding/protojson"

	apiv1 "github.com/slipway-hq/slipway/gen/slipway/api/v1"
	"github.com/slipway-hq/slipway/sandbox"
	"github.com/slipway-hq/slipway/test/internal/world"
)

// before is a file with the commit of the version before, of which this test
// builds the binaries: it needs the history.
const before = "testdata/before"

// theVersionBefore builds it and returns the folder of its binaries.
func theVersionBefore(t *testing.T) string {
	t.Helper()
	commit, err := os.ReadFile(before)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	script := `git -C "$(git rev-parse --show-toplevel)" archive "$1" | tar -x -C "$2" && cd "$2" && GOWORK=off go build -o bin/ ./cmd/...`
	if out, err := exec.Command("sh", "-ec", script, "sh", strings.TrimSpace(string(commit)), dir).CombinedOutput(); err != nil {
		t.Fatalf("build the version before: %v: %s", err, out)
	}
	return filepath.Join(dir, "bin")
}

// TestUpgrade lets the real binaries of the version before and of this one work on
// one log, side by side and one after the other, forwards and backwards.
func TestUpgrade(t *testing.T) {
	old := theVersionBefore(t)
	t.Run("side by side", func(t *testing.T) { t.Parallel(); upgradeAndBack(t, old) })
	t.Run("the version before reads ours", func(t *testing.T) { t.Parallel(); readByTheOther(t, old, "", old, "") })
	t.Run("we read the log before", func(t *testing.T) { t.Parallel(); readByTheOther(t, old, old, "", old) })
}

// upgradeAndBack replaces every replica of every service by one of this version,
// and then by one of the version before again, while people and programs go on
// asking and watching. In between both versions are at work on one log.
func upgradeAndBack(t *testing.T, old string) {
	w := world.New(t)
	w.Use(old)
	w.NATS()
	l := newLoad(w)
	l.fleet = w.Fleet(3)
	l.begin()
	for _, version := range []string{"", old} {
		w.Use(version)
		for i := range 3 { // all services together, so that every pair of versions meets
			for _, name := range world.Services {
				l.fleet.Stop(name, i)
				l.fleet.Start(name, i)
			}
			replayed(t, l.fleet)
		}
	}
	l.end()
	l.check()
	replayed(t, l.fleet)
}

// replayed asks every orchestrator whether its view is what the log says.
func replayed(t *testing.T, f *world.Fleet) {
	t.Helper()
	for i := range f.Replicas[world.Orchestrator] {
		p := world.Command(t, f.Dir, "replay", "--server", f.At(world.Orchestrator, i).URL())
		if code := p.ExitCode(); code != 0 {
			t.Errorf("the view of orchestrator %d is not what the log says:\n%s", i, p.Output())
		}
	}
}

// readByTheOther lets the first version write a log with all that it knows, and
// the others, one after the other, read and continue it.
func readByTheOther(t *testing.T, old string, versions ...string) {
	w := world.New(t)
	w.Configure(everything(w))
	w.NATS()
	w.Use(versions[0])
	f := w.Fleet(1)
	write(f)
	if *record && versions[0] == old {
		keep(f)
	}
	shown := show(f.All())
	for i, version := range versions[1:] {
		w.Use(version)
		for _, name := range world.Services {
			f.Stop(name, 0)
			f.Start(name, 0)
		}
		if diff := cmp.Diff(shown, show(f.All())); diff != "" {
			t.Errorf("reader %d tells something else:\n%s", i+1, diff)
		}
		replayed(t, f)
		f.Succeeded(f.Deploy("quick", "staging", fmt.Sprint("after-", i), ""))
		shown = show(f.All())
	}
	f.Judge(f.All(), nil)
}

// record keeps the log of the version before for the tests that have no history.
var record = flag.Bool("record", false, "keep the log that the version before writes, and what it tells of it, for services/orchestrator")

// recorded is where.
const recorded = "../../services/orchestrator/testdata/before"

// keep writes the log down, and the answer of the API.
func keep(f *world.Fleet) {
	f.T.Helper()
	answer, err := f.Runs.ListRuns(f.T.Context(), &apiv1.ListRunsRequest{PageSize: 200})
	if err != nil {
		f.T.Fatal(err)
	}
	text, err := protojson.MarshalOptions{Multiline: true}.Marshal(answer)
	if err != nil {
		f.T.Fatal(err)
	}
	var log bytes.Buffer
	packed := gzip.NewWriter(&log)
	lines := json.NewEncoder(packed)
	for _, stored := range f.Log() {
		if err := lines.Encode(stored); err != nil {
			f.T.Fatal(err)
		}
	}
	err = errors.Join(packed.Close(), os.WriteFile(recorded+".json", text, 0o600), os.WriteFile(recorded+".jsonl.gz", log.Bytes(), 0o600))
	if err != nil {
		f.T.Fatal(err)
	}
}

// everything is a configuration of all that both versions know.
func everything(w *world.World) world.Map {
	config := w.Pipelines(pipelines(w))
	say := []world.Map{w.Shared("say", "echo hello")}
	config["namespaces"] = world.Map{"test": world.Map{
		"default_channel": sandbox.ChannelDeploys,
		"jobs":            world.Map{"hello": world.Map{"steps": say}, "waits": world.Map{"steps": say}},
		"schedules": world.Map{
			"once":  world.Map{"job": "hello", "at": time.Now().UTC().Add(10 * time.Second).Format(time.DateTime)},
			"never": world.Map{"job": "hello", "cron": "0 9 * * 1-5", "paused": true},
		},
	}}
	return config
}

// write leaves something of everything in the log.
func write(f *world.Fleet) {
	f.T.Helper()
	f.Succeeded(f.Deploy("quick", "staging", "v1", ""))
	cancelled := f.Deploy("held", "staging", "never", "")
	f.AwaitEffect("start", cancelled, "two", 1)
	waiting := f.Deploy("held", "staging", "v3", "")
	f.Cancel(cancelled)
	f.Ended(cancelled, apiv1.RunStatus_RUN_STATUS_CANCELLED)
	f.Open("v3")
	f.Succeeded(waiting)
	retried, err := f.Runs.RetryRun(f.T.Context(), &apiv1.RetryRunRequest{Id: cancelled})
	if err != nil {
		f.T.Fatal(err)
	}
	f.Open("never")
	f.Succeeded(retried.GetRun().GetId())
	f.Succeeded(f.Deploy("again", "qa", "v4", ""))
	lost := f.Deploy("first", "qa", "v5", "")
	f.AwaitEffect("start", lost, "one", 1)
	f.Kill(world.Runner, 0)
	f.Start(world.Runner, 0)
	f.AwaitEffect("start", lost, "one", 2)
	f.Open("v5")
	f.Succeeded(lost)
	// A hold, under which equal requests come together.
	if code, said := f.CLI("holds", "set", "test/waits", "for 2s", "--because", "upgrade"); code != 0 {
		f.T.Fatalf("holds set: %s", said)
	}
	for range 3 {
		if code, said := f.CLI("run", "test/waits"); code != 0 {
			f.T.Fatalf("run: %s", said)
		}
	}
	f.Eventually("the schedule's run, and the end of every run", func() bool {
		if len(f.JobsOf("hello")) == 0 {
			return false
		}
		for _, r := range f.All() {
			if !world.Terminal(r.GetStatus()) {
				return false
			}
		}
		return true
	})
}

// show is what both versions know of runs that have ended.
func show(runs []*apiv1.Run) (out []string) {
	for _, r := range runs {
		text := fmt.Sprint(r.GetId(), " ", r.GetKind(), " ", r.GetService(), r.GetNamespace(), " ", r.GetEnvironment(), r.GetJob(), " ", r.GetVersion(), " ", r.GetStatus(), " ",
			r.GetLane(), " ", r.GetRequester(), " ", r.GetSequence(), " ", r.GetRetryOf(), " ", r.GetMergedInto(), " ", r.GetFinished().AsTime().Format(time.RFC3339Nano))
		for _, s := range r.GetSteps() {
			text += fmt.Sprint(" ", s.GetName(), " ", s.GetStatus(), " ", s.GetAttempts())
		}
		out = append(out, text)
	}
	return out
}
