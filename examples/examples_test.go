package examples

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"gopkg.in/yaml.v3"
)

// step is what this test runs of the configuration; its grammar is configfile's.
type step struct {
	Name string
	Run  string
	Env  map[string]string
}

func steps(t *testing.T, config string) map[string]step {
	t.Helper()
	b, err := os.ReadFile(config) //nolint:gosec // a test's own file
	if err != nil {
		t.Fatal(err)
	}
	var c struct {
		Pipelines map[string]struct{ Steps []step }
	}
	if err := yaml.Unmarshal(b, &c); err != nil {
		t.Fatal(err)
	}
	out := map[string]step{}
	for _, s := range c.Pipelines["go-service"].Steps {
		out[s.Name] = s
	}
	return out
}

// workspace is a folder with a Go workspace of its own, as a clone of Slipway is
// when somebody tries it there: it must not reach into the example.
func workspace(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range map[string]string{"go.work": "go 1.26.0\n\nuse .\n", "go.mod": "module around.example\n\ngo 1.26.0\n"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// TestTheExampleBuildsAndPasses runs its build and test steps as they stand, in the
// folder that Materialise made.
func TestTheExampleBuildsAndPasses(t *testing.T) {
	dir, cache := filepath.Join(workspace(t), ".slipway"), t.TempDir()
	config, err := Materialise(dir)
	if err != nil {
		t.Fatal(err)
	}
	if err := ShareGoCache(t.Context(), cache); err != nil {
		t.Fatal(err)
	}
	const version = `v1.2 'quoted"; touch evil`
	for _, name := range []string{"build", "test"} {
		s := steps(t, config)[name]
		cmd := exec.Command("/bin/sh", "-c", s.Run) //nolint:gosec // the example's own line
		cmd.Dir = filepath.Join(dir, "hello")
		cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + dir, "SLIPWAY_CACHE=" + cache, "SLIPWAY_VERSION=" + version}
		for k, v := range s.Env {
			cmd.Env = append(cmd.Env, k+"="+v)
		}
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%s: %v\n%s", name, err, out)
		}
	}
	program, err := os.ReadFile(filepath.Join(dir, "hello/dist/hello")) //nolint:gosec // a test's own file
	if err != nil || !strings.Contains(string(program), version) {
		t.Errorf("the program does not hold its version: %v", err)
	}
	if _, err := os.Stat(filepath.Join(dir, "hello/evil")); err == nil {
		t.Error("the version reached a shell")
	}
}

func TestWithoutGoTheBuildStepSaysSo(t *testing.T) {
	config, err := Materialise(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("/bin/sh", "-c", steps(t, config)["build"].Run) //nolint:gosec // the example's own line
	cmd.Env = []string{"PATH=" + t.TempDir()}
	out, err := cmd.CombinedOutput()
	if err == nil || !strings.Contains(string(out), "needs the Go tool") {
		t.Errorf("%v: %s", err, out)
	}
	t.Setenv("PATH", t.TempDir())
	if err := CheckGo(); !errors.Is(err, ErrNoGo) {
		t.Error(err)
	}
}

func TestMaterialiseKeepsWhatIsThere(t *testing.T) {
	dir := t.TempDir()
	config, err := Materialise(dir)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(config, []byte("mine"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(filepath.Join(dir, "hello/go.mod")); err != nil {
		t.Fatal(err)
	}
	if _, err := Materialise(dir); err != nil {
		t.Fatal(err)
	}
	if b, err := os.ReadFile(config); err != nil || string(b) != "mine" { //nolint:gosec // a test's own file
		t.Error(string(b), err)
	}
	if _, err := os.Stat(filepath.Join(dir, "hello/go.mod")); err != nil {
		t.Error(err)
	}
}
