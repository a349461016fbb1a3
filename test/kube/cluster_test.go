// Package kube applies deploy/k8s to a real Kubernetes API server on loopback and
// watches what its controllers make of it. No container runs: fakelet plays the
// nodes, so what is inside the images, probes and the enforcement of network
// policies are not tested here. The module is its own, because Kubernetes would
// move the product's dependencies.
package kube

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

const (
	// readyTimeout: measured 4 s; a busy machine needs more.
	readyTimeout = 2 * time.Minute
	// stopTimeout: the API server takes 3 s.
	stopTimeout = 15 * time.Second
	// pollEvery lies between two looks at what tells nobody of itself.
	pollEvery = 100 * time.Millisecond
)

// root is the repository.
var root = filepath.Join("..", "..")

// cluster is a control plane with fake nodes.
type cluster struct {
	binary, dir, config string
}

// build compiles kubed, once per version of its sources: five minutes and a half
// on two cores when nothing is cached.
func build() (string, error) {
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", err
	}
	sources, err := filepath.Glob("kubed/*.go")
	if err != nil {
		return "", err
	}
	sum := sha256.New()
	var version string
	for _, name := range append([]string{"go.mod", "go.sum"}, sources...) {
		data, err := os.ReadFile(name)
		if err != nil {
			return "", err
		}
		sum.Write(data)
		if m := regexp.MustCompile(`(?m)^\tk8s.io/kubernetes (v1\.(\d+)\.\d+)$`).FindSubmatch(data); m != nil {
			version = string(m[1])
		}
	}
	dir := filepath.Join(cache, "slipway-kubed", version+"-"+hex.EncodeToString(sum.Sum(nil))[:12])
	if err := os.MkdirAll(dir, 0o750); err != nil {
		return "", err
	}
	unlock, err := lock(filepath.Join(dir, ".lock"))
	if err != nil {
		return "", err
	}
	defer unlock()
	binary := filepath.Join(dir, "kubed")
	if _, err := os.Stat(binary); err == nil {
		return binary, nil
	}
	return binary, compile(binary, version)
}

func compile(binary, version string) error {
	const at = "k8s.io/component-base/version" // without a version clients cannot read the server's
	flags := fmt.Sprintf("-s -w -X %s.gitVersion=%s -X %s.gitMajor=1 -X %s.gitMinor=%s", at, version, at, at, strings.Split(version, ".")[1])
	begin := time.Now()
	cmd := exec.Command("go", "build", "-trimpath", "-buildvcs=false", "-o", binary+".new", "-ldflags="+flags, "./kubed")
	cmd.Env = append(os.Environ(), "GOWORK=off", "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("build kubed: %w\n%s", err, out)
	}
	fmt.Printf("kubed %s built in %s\n", version, time.Since(begin).Round(time.Second))
	return os.Rename(binary+".new", binary)
}

// lock keeps two tests from building the same thing.
func lock(path string) (unlock func(), err error) {
	file, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(file.Fd()), syscall.LOCK_EX); err != nil {
		return nil, err
	}
	return func() { _ = file.Close() }, nil
}

// TestControlPlaneIsBuilt builds it and no more: CI does that beside everything
// else, long before it is needed.
func TestControlPlaneIsBuilt(t *testing.T) {
	if _, err := build(); err != nil {
		t.Fatal(err)
	}
}

// newCluster starts a control plane that ends with the test.
func newCluster(t *testing.T) *cluster {
	t.Helper()
	binary, err := build()
	if err != nil {
		t.Fatal(err)
	}
	c := &cluster{binary: binary, dir: t.TempDir()}
	c.config = c.path("kubeconfig")
	etcd, peer, port := freePort(t), freePort(t), freePort(t)
	token := c.credentials(t, port)
	url := fmt.Sprintf("http://127.0.0.1:%d", etcd)
	peers := fmt.Sprintf("http://127.0.0.1:%d", peer)
	c.run(t, "etcd", "--data-dir", c.path("etcd"), "--unsafe-no-fsync", "--log-level", "error",
		"--listen-client-urls", url, "--advertise-client-urls", url,
		"--listen-peer-urls", peers, "--initial-advertise-peer-urls", peers, "--initial-cluster", "default="+peers)
	c.run(t, "apiserver", "--etcd-servers", url, "--bind-address", "127.0.0.1", "--advertise-address", "127.0.0.1",
		"--secure-port", fmt.Sprint(port), "--cert-dir", c.dir, "--token-auth-file", c.path("tokens.csv"), "--authorization-mode", "RBAC",
		"--service-cluster-ip-range", "10.96.0.0/16", "--endpoint-reconciler-type", "none",
		"--service-account-issuer", "https://kube.test", "--api-audiences", "https://kube.test",
		"--service-account-key-file", c.path("sa.pub"), "--service-account-signing-key-file", c.path("sa.key"),
		"--shutdown-send-retry-after=false")
	c.await(t, port, token)
	// Nobody renews the leases of fake nodes, so nobody may judge them by those.
	c.run(t, "controllers", "--kubeconfig", c.config, "--leader-elect=false", "--secure-port=0",
		"--service-account-private-key-file", c.path("sa.key"), "--root-ca-file", c.path("apiserver.crt"),
		"--kube-api-qps", "200", "--kube-api-burst", "400", "--controllers", "*,-node-lifecycle-controller,-taint-eviction-controller")
	c.run(t, "scheduler", "--kubeconfig", c.config, "--leader-elect=false", "--secure-port=0", "--kube-api-qps", "200", "--kube-api-burst", "400")
	c.run(t, "fakelet", "--kubeconfig", c.config, "--nodes", "3", "--bind=false")
	c.eventually(t, "the default account", func() bool { _, err := c.try("get", "serviceaccount", "default"); return err == nil })
	return c
}

func (c *cluster) path(name string) string { return filepath.Join(c.dir, name) }

// credentials writes the token of an administrator, the key that signs tokens of
// service accounts, and the kubeconfig.
func (c *cluster) credentials(t *testing.T, port int) (token string) {
	t.Helper()
	random := make([]byte, 16)
	_, _ = rand.Read(random)
	token = hex.EncodeToString(random)
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	public, err := x509.MarshalPKIXPublicKey(&key.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	c.write(t, "sa.key", pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: private}))
	c.write(t, "sa.pub", pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: public}))
	c.write(t, "tokens.csv", fmt.Appendf(nil, "%s,admin,admin,\"system:masters\"\n", token))
	c.write(t, "kubeconfig", fmt.Appendf(nil, `apiVersion: v1
kind: Config
clusters: [{name: test, cluster: {server: "https://127.0.0.1:%d", certificate-authority: %q}}]
users: [{name: admin, user: {token: %s}}]
contexts: [{name: test, context: {cluster: test, user: admin}}]
current-context: test
`, port, c.path("apiserver.crt"), token))
	return token
}

func (c *cluster) write(t *testing.T, name string, data []byte) {
	t.Helper()
	if err := os.WriteFile(c.path(name), data, 0o600); err != nil {
		t.Fatal(err)
	}
}

// run starts one component; what it says is shown when the test fails.
func (c *cluster) run(t *testing.T, component string, args ...string) {
	t.Helper()
	log, err := os.Create(c.path(component + ".log"))
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(c.binary, append([]string{component}, args...)...)
	cmd.Stdout, cmd.Stderr, cmd.Dir = log, log, c.dir
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	gone := make(chan struct{})
	go func() { _ = cmd.Wait(); _ = log.Close(); close(gone) }()
	t.Cleanup(func() {
		select {
		case <-gone:
			t.Errorf("%s ended by itself", component)
		default:
			_ = cmd.Process.Signal(syscall.SIGTERM)
		}
		select {
		case <-gone:
		case <-time.After(stopTimeout):
			_ = cmd.Process.Kill()
			<-gone
		}
		if t.Failed() {
			data, _ := os.ReadFile(log.Name())
			t.Logf("--- the last words of %s:\n%s", component, data[max(0, len(data)-2000):])
		}
	})
}

// await waits until the API server is ready. It makes its own certificate, which
// the kubeconfig pins.
func (c *cluster) await(t *testing.T, port int, token string) {
	t.Helper()
	c.eventually(t, "the API server", func() bool {
		pinned, err := os.ReadFile(c.path("apiserver.crt"))
		if err != nil {
			return false
		}
		roots := x509.NewCertPool()
		roots.AppendCertsFromPEM(pinned)
		client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS13}, DisableKeepAlives: true}}
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, fmt.Sprintf("https://127.0.0.1:%d/readyz", port), nil)
		if err != nil {
			return false
		}
		req.Header.Set("Authorization", "Bearer "+token)
		resp, err := client.Do(req)
		if err != nil {
			return false
		}
		_ = resp.Body.Close()
		return resp.StatusCode == http.StatusOK
	})
}

func freePort(t *testing.T) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	return l.Addr().(*net.TCPAddr).Port
}

func (c *cluster) eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(readyTimeout); !ok(); {
		if time.Now().After(deadline) {
			t.Fatalf("waited in vain for %s", what)
		}
		<-time.After(pollEvery)
	}
}

// try runs kubectl and returns what it printed.
func (c *cluster) try(args ...string) (string, error) {
	cmd := exec.Command(c.binary, slices.Concat([]string{"kubectl", "--kubeconfig", c.config}, args)...)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil {
		return out.String(), fmt.Errorf("kubectl %s: %w\n%s", strings.Join(args, " "), err, errs.String())
	}
	return out.String(), nil
}

// kubectl fails the test when kubectl fails.
func (c *cluster) kubectl(t *testing.T, args ...string) string {
	t.Helper()
	out, err := c.try(args...)
	if err != nil {
		t.Fatal(err)
	}
	return out
}
