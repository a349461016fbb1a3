package deploy

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/nats-io/nats-server/v2/server"
)

// TestServersReadTheirConfiguration: with the others and alone, as production and
// dev install it.
func TestServersReadTheirConfiguration(t *testing.T) {
	users(t) // sets the public keys
	t.Setenv("POD_NAME", "slipway-nats-0")
	secrets := filepath.Join(t.TempDir(), "secrets")
	if out, err := exec.Command("go", "run", "./secrets", secrets).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	base := filepath.Join("k8s", "base")
	dev := filepath.Join("k8s", "overlays", "dev")
	alone := regexp.MustCompile(`"cluster.conf=([^"]*)"`).FindStringSubmatch(read(t, filepath.Join(dev, "kustomization.yaml")))
	if alone == nil {
		t.Fatal("dev replaces no cluster.conf")
	}
	for _, c := range []struct {
		name, cluster     string
		routes            int
		manifest, command string
	}{
		{"production", read(t, filepath.Join("nats", "cluster.conf")), 3, filepath.Join(base, "nats.yaml"), filepath.Join(base, "bootstrap.yaml")},
		{"dev", alone[1], 0, filepath.Join(dev, "small.yaml"), filepath.Join(dev, "kustomization.yaml")},
	} {
		t.Run(c.name, func(t *testing.T) {
			limit := regexp.MustCompile(`name: MAX_FILE_STORE, value: (\w+)`).FindStringSubmatch(read(t, c.manifest))
			store := regexp.MustCompile(`--store=(\d+)`).FindStringSubmatch(read(t, c.command))
			if limit == nil || store == nil {
				t.Fatal("nothing says how much is stored")
			}
			t.Setenv("MAX_FILE_STORE", limit[1])
			opts := configured(t, secrets, c.cluster)
			if !opts.SyncAlways || opts.TLSConfig == nil || opts.HTTPPort == 0 || len(opts.Routes) != c.routes || c.routes > 0 && opts.Cluster.TLSConfig == nil {
				t.Errorf("flushed %v, TLS %v, health on %d, %d routes", opts.SyncAlways, opts.TLSConfig != nil, opts.HTTPPort, len(opts.Routes))
			}
			if needed, err := strconv.ParseInt(store[1], 10, 64); err != nil || opts.JetStreamMaxStore < needed {
				t.Errorf("the servers store %d bytes, and bootstrap reserves %s", opts.JetStreamMaxStore, store[1])
			}
		})
	}
}

// configured is what a server makes of its files.
func configured(t *testing.T, secrets, cluster string) *server.Options {
	t.Helper()
	dir := t.TempDir()
	tls := strings.NewReplacer("/etc/nats/tls", filepath.Join(secrets, "tls"))
	for name, text := range map[string]string{
		"nats.conf": read(t, filepath.Join("nats", "nats.conf")), "authorization.conf": read(t, filepath.Join("nats", "authorization.conf")), "cluster.conf": cluster,
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(tls.Replace(text)), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	opts, err := server.ProcessConfigFile(filepath.Join(dir, "nats.conf"))
	if err != nil {
		t.Fatal(err)
	}
	return opts
}
