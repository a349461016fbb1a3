package nats_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/slipway-hq/slipway/deploy/nats"
)

func TestAServerOnThisMachineDiffersInPlacesAlone(t *testing.T) {
	dir := t.TempDir()
	s := nats.Server{
		Name: "n2", Client: 14222, Peers: []int{16221, 16222, 16223}, Peer: 1, Store: filepath.Join(dir, "data"), MaxStore: 1 << 30, TLS: "/certificates", Flush: true,
		Keys: map[string]string{"NKEY_SLACK_INGRESS": "UA", "NKEY_ORCHESTRATOR": "UB", "NKEY_RUNNER": "UC", "NKEY_NOTIFIER": "UD", "NKEY_BOOTSTRAP": "UE"},
	}
	path, err := nats.Local(dir, s)
	if err != nil {
		t.Fatal(err)
	}
	var all strings.Builder
	for _, name := range []string{"nats.conf", "authorization.conf", "cluster.conf"} {
		data, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		all.Write(data)
	}
	for _, want := range []string{
		`server_name: "n2"`, `listen: "127.0.0.1:14222"`, `listen: "127.0.0.1:16222"`, `"tls://localhost:16223"`, `max_file_store: 1073741824`,
		`nkey: "UC", permissions: $RUNNER`, `"/certificates/tls.key"`, "sync_interval: always", "verify: true",
	} {
		if !strings.Contains(all.String(), want) {
			t.Errorf("no %s", want)
		}
	}
	for _, left := range []string{"$NKEY", "$POD", "0.0.0.0", "slipway-nats", "/etc/nats"} {
		if strings.Contains(all.String(), left) {
			t.Errorf("%s is left in it", left)
		}
	}
	if filepath.Dir(path) != dir {
		t.Error(path)
	}
	s.Keys["NKEY_NOBODY"] = "UF" // the installed files know no such key
	if _, err := nats.Local(dir, s); err == nil {
		t.Error("a key that nothing names was taken")
	}
}
