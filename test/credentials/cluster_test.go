// Package credentials runs the product's own binaries against three NATS servers
// with the very configuration of deploy/nats, over TLS, each service with its own
// key: what the services do is permitted, and what others do is refused as such.
package credentials

import (
	"bufio"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"

	"github.com/slipway-hq/slipway/internal/natsconn"
	"github.com/slipway-hq/slipway/test/internal/world"
)

func TestMain(m *testing.M) { world.Main(m) }

// deploy is the folder with what operators install.
var deploy = filepath.Join("..", "..", "deploy")

// patience is how long a cluster may take to form and to elect.
const patience = 60 * time.Second

// site is a cluster with its secrets.
type site struct {
	t       *testing.T
	secrets string
	url     string
}

// newSite starts servers from deploy/nats. Only addresses and folders differ from
// what is installed.
func newSite(t *testing.T) *site {
	t.Helper()
	s := &site{t: t, secrets: filepath.Join(t.TempDir(), "secrets")}
	make := exec.Command("go", "run", "./secrets", s.secrets, "--name=localhost")
	make.Dir = deploy
	if out, err := make.CombinedOutput(); err != nil {
		t.Fatalf("make secrets: %v\n%s", err, out)
	}
	for name, value := range s.publicKeys() {
		t.Setenv(name, value)
	}
	t.Setenv("MAX_FILE_STORE", "2GB")
	peers := freePorts(t, 3)
	var clients []string
	var servers []*server.Server
	for i := range peers {
		srv := s.start(i, peers)
		servers = append(servers, srv)
		clients = append(clients, fmt.Sprintf("tls://localhost:%d", srv.Addr().(*net.TCPAddr).Port))
	}
	s.url = strings.Join(clients, ",")
	awaitLeader(t, servers)
	return s
}

func (s *site) publicKeys() map[string]string {
	s.t.Helper()
	file, err := os.Open(filepath.Join(s.secrets, "nkeys", "public.env"))
	if err != nil {
		s.t.Fatal(err)
	}
	defer func() { _ = file.Close() }()
	out := map[string]string{}
	for scan := bufio.NewScanner(file); scan.Scan(); {
		name, value, _ := strings.Cut(scan.Text(), "=")
		out[name] = value
	}
	return out
}

// start starts the i-th server.
func (s *site) start(i int, peers []int) *server.Server {
	s.t.Helper()
	dir := s.t.TempDir()
	replace := []string{
		"0.0.0.0:4222", "127.0.0.1:-1", "0.0.0.0:8222", "127.0.0.1:-1",
		"0.0.0.0:6222", fmt.Sprintf("127.0.0.1:%d", peers[i]),
		"/data", filepath.Join(dir, "data"), "/etc/nats/tls", filepath.Join(s.secrets, "tls"),
	}
	for n, port := range peers {
		replace = append(replace, fmt.Sprintf("slipway-nats-%d.slipway-nats-peers:6222", n), fmt.Sprintf("localhost:%d", port))
	}
	for _, name := range []string{"nats.conf", "authorization.conf", "cluster.conf"} {
		data, err := os.ReadFile(filepath.Join(deploy, "nats", name))
		if err != nil {
			s.t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), []byte(strings.NewReplacer(replace...).Replace(string(data))), 0o600); err != nil {
			s.t.Fatal(err)
		}
	}
	s.t.Setenv("POD_NAME", fmt.Sprintf("slipway-nats-%d", i))
	opts, err := server.ProcessConfigFile(filepath.Join(dir, "nats.conf"))
	if err != nil {
		s.t.Fatal(err)
	}
	if !opts.SyncAlways || opts.TLSConfig == nil || opts.Cluster.TLSConfig == nil {
		s.t.Error("writes are not flushed, or a connection is not encrypted")
	}
	opts.NoSigs = true
	srv, err := server.NewServer(opts)
	if err != nil {
		s.t.Fatal(err)
	}
	go srv.Start()
	s.t.Cleanup(func() { srv.Shutdown(); srv.WaitForShutdown() })
	if !srv.ReadyForConnections(patience) {
		s.t.Fatal("the server does not listen")
	}
	return srv
}

func freePorts(t *testing.T, n int) []int {
	t.Helper()
	var ports []int
	for range n {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = l.Close() }()
		ports = append(ports, l.Addr().(*net.TCPAddr).Port)
	}
	return ports
}

func awaitLeader(t *testing.T, servers []*server.Server) {
	t.Helper()
	for deadline := time.Now().Add(patience); ; {
		for _, srv := range servers {
			if srv.JetStreamIsLeader() && len(srv.JetStreamClusterPeers()) == len(servers) {
				return
			}
		}
		if time.Now().After(deadline) {
			t.Fatal("the cluster does not form")
		}
		<-time.After(20 * time.Millisecond)
	}
}

// settings connect as a service.
func (s *site) settings(service string) natsconn.Settings {
	return natsconn.Settings{
		URL: s.url, NKey: filepath.Join(s.secrets, "nkeys", service), CA: filepath.Join(s.secrets, "tls", "ca.crt"), Service: service,
	}
}

// flags are the same for a process.
func (s *site) flags(service string) []string {
	as := s.settings(service)
	return []string{"--nats-url", as.URL, "--nats-nkey", as.NKey, "--nats-ca", as.CA}
}
