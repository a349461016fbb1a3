package main

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestTheSandboxOffersWhatTheConfigurationUnderstands(t *testing.T) {
	path := filepath.Join(t.TempDir(), "slipway.yaml")
	write := func(text string) {
		t.Helper()
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write(`namespaces:
  admin: { restricted: true, jobs: { all: { run: echo all } }, commands: [{ match: all, job: all }] }
  test:
    jobs:
      hello: { run: "echo {name}", params: { name: {} } }
    commands:
      - { match: stop it, job: hello, action: cancel }
      - { match: "say hello to [name]", job: hello }
    listen:
      any: { match: "a.*", job: hello, values: { name: Ada } }
      bots: { match: passed, job: hello, values: { name: Ada }, from: { bots: [B012AB] } }
      roll-call: { match: roll call, job: hello, values: { name: Ada } }
`)
	if diff := cmp.Diff([]string{"@slipway test say hello to Bob", "roll call", "/slipway help"}, hints(path)); diff != "" {
		t.Error(diff)
	}
	write("nonsense: [")
	if diff := cmp.Diff([]string{"/slipway help"}, hints(path)); diff != "" {
		t.Error(diff)
	}
}
