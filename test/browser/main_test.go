//go:build browser

package browser

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/slipway-hq/slipway/test/internal/world"
)

var rewrite = flag.Bool("rewrite", false, "renew the kept pictures: those in shots/ and docs/images/")

func TestMain(m *testing.M) { world.Main(m) }

// up starts Slipway in an empty folder and opens its page. Without a
// configuration it is the example that a newcomer meets. It makes its test run
// beside others: some wait long for Slack to be certain.
func up(t *testing.T, config map[string]any) *page {
	t.Helper()
	t.Parallel()
	dir := t.TempDir()
	var args []string
	if config != nil {
		args = []string{"--config", write(t, filepath.Join(dir, "slipway.yaml"), config)}
	}
	return open(t, world.Alone(t, dir, args...).Door("Sandbox"))
}

// write keeps a configuration in a file: JSON, which YAML reads.
func write(t *testing.T, path string, config map[string]any) string {
	t.Helper()
	data, err := json.Marshal(config)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// gate is a file that a step waits for, so that a run lasts as long as a test wants.
type gate string

func newGate(t *testing.T) gate {
	t.Helper()
	return gate(filepath.Join(t.TempDir(), "open"))
}

// held is the step that waits.
func (g gate) held(name string) map[string]any {
	return map[string]any{"name": name, "run": fmt.Sprintf("until test -e %s; do sleep 0.05; done", g)}
}

// open lets the step go on.
func (g gate) open(t *testing.T) {
	t.Helper()
	if err := os.WriteFile(string(g), nil, 0o600); err != nil {
		t.Fatal(err)
	}
}

// pipeline is a configuration of one service, web, that may go to staging.
func pipeline(steps ...map[string]any) map[string]any {
	return map[string]any{
		"services":     map[string]any{"web": map[string]any{"pipeline": "web"}},
		"environments": map[string]any{"staging": map[string]any{}},
		"pipelines":    map[string]any{"web": map[string]any{"steps": steps}},
	}
}

// step is one that runs a shell line.
func step(name, run string) map[string]any { return map[string]any{"name": name, "run": run} }
