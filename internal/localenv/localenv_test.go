//go:build linux || darwin

package localenv

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// patience is the deadline of every wait; generous, since two cores are shared.
const patience = 20 * time.Second

// asServer, set in the environment, makes the test binary a server on that folder.
const asServer = "LOCALENV_TEST_SERVER"

// The test binary is also the service that is deployed: a release has RELEASE set.
func TestMain(m *testing.M) {
	if os.Getenv("RELEASE") != "" {
		os.Exit(service(os.Getenv("VERSION")))
	}
	if dir := os.Getenv(asServer); dir != "" {
		s, err := New(testConfig(dir))
		if err != nil {
			panic(err)
		}
		fmt.Println(s.URL())
		panic(s.Run(context.Background()))
	}
	os.Exit(m.Run())
}

// service answers with its version; some versions misbehave.
func service(version string) int {
	fmt.Println("starting", version)
	if version == "exits" {
		fmt.Println("cannot read config")
		return 3
	}
	http.HandleFunc("/healthz", func(w http.ResponseWriter, _ *http.Request) {
		if version == "sick" {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
	})
	http.HandleFunc("/version", func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, version) })
	http.HandleFunc("/exit", func(http.ResponseWriter, *http.Request) { os.Exit(1) })
	http.HandleFunc("/environ", func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, strings.Join(os.Environ(), "\n"))
	})
	fmt.Println(http.ListenAndServe(os.Getenv("ADDR"), nil)) //nolint:gosec // a test
	return 1
}

func testConfig(dir string) Config {
	return Config{Dir: dir, Environments: []Environment{{"staging", "127.0.0.1:0"}, {"production", "127.0.0.1:0"}},
		Logger: slog.New(slog.DiscardHandler), Healthy: 5 * time.Second, Grace: time.Second, Interval: 50 * time.Millisecond}
}

// serve runs a server; the returned function stops it.
func serve(t *testing.T, cfg Config) (url string, stop func()) {
	t.Helper()
	s, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	stopped := false
	stop = func() {
		if cancel(); !stopped {
			stopped = true
			if err := <-done; err != nil {
				t.Error(err)
			}
		}
	}
	t.Cleanup(stop)
	return s.URL(), stop
}

func request(t *testing.T, version string, fence uint64) Request {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return Request{Environment: "staging", Service: "hello", Version: version, Run: "d-" + version, Fence: fence, Artefact: exe}
}

func deployed(t *testing.T, url, version string, fence uint64) Status {
	t.Helper()
	st, err := Deploy(t.Context(), url, request(t, version, fence))
	if err != nil {
		t.Fatal(err)
	}
	if got := get(t, st.URL+"/version"); got != version || st.State != Running {
		t.Fatalf("%s answers %q, %+v", version, got, st)
	}
	return st
}

func get(t *testing.T, url string) string {
	t.Helper()
	resp, err := http.Get(url) //nolint:gosec,noctx // a test's own server
	if err != nil {
		return err.Error()
	}
	defer func() { _ = resp.Body.Close() }()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		return err.Error()
	}
	return string(b)
}

func staging(t *testing.T, url string) Status {
	t.Helper()
	all, err := List(t.Context(), url)
	if err != nil || len(all) != 2 {
		t.Fatal(all, err)
	}
	return all[0]
}

func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); <-tick.C {
		if ok() {
			return
		}
	}
	t.Fatalf("not in time: %s", what)
}

func TestANewReleaseReplacesTheOld(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("SLACK_BOT_TOKEN", "xoxb-not-yours")
	url, stop := serve(t, testConfig(dir))
	one := deployed(t, url, "v1", 1)
	two := deployed(t, url, "v2", 2)
	if one.URL != two.URL || one.PID == two.PID {
		t.Errorf("%+v, then %+v", one, two)
	}
	if target, err := os.Readlink(filepath.Join(dir, "staging/current")); err != nil || target != "releases/v2-d-v2" {
		t.Error(target, err)
	}
	if env := get(t, two.URL+"/environ"); strings.Contains(env, "xoxb") || !strings.Contains(env, "ENVIRONMENT=staging") {
		t.Errorf("the service's environment: %s", env)
	}
	stop()
	if _, err := net.Dial("tcp", strings.TrimPrefix(two.URL, "http://")); err == nil {
		t.Error("the service outlives its server")
	}
	url, _ = serve(t, testConfig(dir)) // a restart of `up`
	eventually(t, "the release is served again", func() bool { return get(t, staging(t, url).URL+"/version") == "v2" })
}

func TestTheSameReleaseAgainChangesNothing(t *testing.T) {
	url, _ := serve(t, testConfig(t.TempDir()))
	one := deployed(t, url, "v1", 1)
	again := deployed(t, url, "v1", 1)
	if one.PID != again.PID || !again.Unchanged || one.Unchanged {
		t.Errorf("%+v, then %+v", one, again)
	}
}

func TestAnOlderFenceIsRefused(t *testing.T) {
	dir := t.TempDir()
	url, stop := serve(t, testConfig(dir))
	deployed(t, url, "v2", 7)
	for range 2 { // also by a server that was started anew
		if _, err := Deploy(t.Context(), url, request(t, "v1", 6)); !errors.Is(err, ErrFence) {
			t.Errorf("fence 6 after 7: %v", err)
		}
		stop()
		url, stop = serve(t, testConfig(dir))
	}
	eventually(t, "v2 is still served", func() bool { return get(t, staging(t, url).URL+"/version") == "v2" })
}

func TestABadReleaseIsReplacedByTheOneBefore(t *testing.T) {
	cfg := testConfig(t.TempDir())
	cfg.Healthy = 300 * time.Millisecond
	url, _ := serve(t, cfg)
	for _, c := range []struct{ version, says string }{{"exits", "cannot read config"}, {"sick", "/healthz did not answer"}} {
		_, err := Deploy(t.Context(), url, request(t, c.version, 1))
		if !errors.Is(err, ErrUnhealthy) || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v", c.version, err)
		}
		if st := staging(t, url); st.State != Empty {
			t.Errorf("nothing was there before, but now: %+v", st)
		}
	}
	cfg.Healthy = patience
	deployedWithin(t, url, "v1", 2)
	for _, version := range []string{"exits", "sick"} {
		if _, err := Deploy(t.Context(), url, request(t, version, 3)); !errors.Is(err, ErrUnhealthy) {
			t.Errorf("%s: %v", version, err)
		}
		eventually(t, "v1 is back", func() bool { st := staging(t, url); return st.Version == "v1" && get(t, st.URL+"/version") == "v1" })
	}
}

// deployedWithin repeats a deployment whose health limit is too short for a busy
// machine, which is safe.
func deployedWithin(t *testing.T, url, version string, fence uint64) {
	t.Helper()
	eventually(t, version+" is deployed", func() bool {
		_, err := Deploy(t.Context(), url, request(t, version, fence))
		return err == nil
	})
}

func TestAServiceThatEndsIsStartedAgain(t *testing.T) {
	url, _ := serve(t, testConfig(t.TempDir()))
	st := deployed(t, url, "v1", 1)
	get(t, st.URL+"/exit")
	eventually(t, "it runs again", func() bool {
		now := staging(t, url)
		return now.State == Running && now.PID != st.PID && now.Restarts == 1 && get(t, st.URL+"/version") == "v1"
	})
}

func TestRequestsAreChecked(t *testing.T) {
	url, _ := serve(t, testConfig(t.TempDir()))
	good := request(t, "v1", 1)
	for want, spoil := range map[string]func(*Request){
		`no environment "moon"; there are: staging, production`: func(r *Request) { r.Environment = "moon" },
		"not absolute":           func(r *Request) { r.Artefact = "dist/hello" },
		"service and run are":    func(r *Request) { r.Run = "" },
		"take over the artefact": func(r *Request) { r.Artefact = "/no/such/file" },
		"is not a file":          func(r *Request) { r.Artefact = "/dev/zero" },
	} {
		bad := good
		spoil(&bad)
		if _, err := Deploy(t.Context(), url, bad); !errors.Is(err, ErrInvalid) || !strings.Contains(err.Error(), want) {
			t.Errorf("want %q: %v", want, err)
		}
	}
	if _, err := Deploy(t.Context(), "unix:///no/such/socket", good); !errors.Is(err, ErrUnavailable) {
		t.Error(err)
	}
}

func TestATakenPortIsSaid(t *testing.T) {
	cfg := testConfig(t.TempDir())
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	cfg.Environments[0].Listen = l.Addr().String()
	url, _ := serve(t, cfg)
	if _, err := Deploy(t.Context(), url, request(t, "v1", 1)); err == nil || !strings.Contains(err.Error(), "taken by another program") {
		t.Error(err)
	}
}

func TestReleaseIDsAreFolders(t *testing.T) {
	seen := map[string]bool{}
	for _, v := range []string{"v1", "feature/x", "feature x", "../../etc", strings.Repeat("long", 100), "ü"} {
		id := releaseID(v, "d-1")
		if seen[id] || !filepath.IsLocal(id) || strings.Contains(id, "/") || len(id) > 120 {
			t.Errorf("%q → %q", v, id)
		}
		seen[id] = true
	}
}

// startServer starts a server of its own process and returns its URL.
func startServer(t *testing.T, dir string) (*exec.Cmd, string) {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(exe) //nolint:gosec // ourselves
	cmd.Env = append(os.Environ(), asServer+"="+dir)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	line := make([]byte, 200)
	n, err := out.Read(line)
	if err != nil {
		t.Fatal(err)
	}
	return cmd, strings.TrimSpace(string(line[:n]))
}

func TestACrashBetweenSwitchAndRestartHeals(t *testing.T) {
	dir := t.TempDir()
	cmd, url := startServer(t, dir)
	deployed(t, url, "v1", 1)
	go func() { _, _ = Deploy(context.Background(), url, request(t, "sick", 2)) }() // is switched to, never healthy
	eventually(t, "the switch", func() bool {
		target, err := os.Readlink(filepath.Join(dir, "staging/current"))
		return err == nil && target == "releases/sick-d-sick" && staging(t, url).PID != 0
	})
	before := staging(t, url)
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait()
	next, stop := serve(t, testConfig(dir))
	if startOf(before.PID) != "" {
		t.Errorf("process %d lives on", before.PID)
	}
	eventually(t, "the confirmed release is served", func() bool { return get(t, staging(t, next).URL+"/version") == "v1" })
	deployed(t, next, "v2", 2)
	stop()
}

func TestNoServiceOutlivesAKilledServer(t *testing.T) {
	dir := t.TempDir()
	cmd, url := startServer(t, dir)
	st := deployed(t, url, "v1", 1)
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait()
	cfg := testConfig(dir)
	cfg.Environments[0].Listen = strings.TrimPrefix(st.URL, "http://") // the very same port
	url, _ = serve(t, cfg)
	eventually(t, "the same port serves again", func() bool { now := staging(t, url); return now.State == Running && now.PID != st.PID })
	if startOf(st.PID) != "" {
		t.Errorf("process %d lives on", st.PID)
	}
}

func TestALeftoverIsKnownByItsStartNotItsNumber(t *testing.T) {
	dir := t.TempDir()
	cmd := exec.Command("sleep", "600")
	cmd.SysProcAttr = ownGroup()
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() { _ = cmd.Wait(); close(ended) }()
	defer func() { kill(cmd.Process.Pid); <-ended }()
	left := shelf{dir: filepath.Join(dir, "staging")}
	if err := left.prepare(); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		start string
		ends  bool
	}{{"another process of that number", false}, {startOf(cmd.Process.Pid), true}} {
		if err := left.save(identity{PID: cmd.Process.Pid, Start: c.start}, pidName); err != nil {
			t.Fatal(err)
		}
		_, stop := serve(t, testConfig(dir))
		stop()
		if alive := startOf(cmd.Process.Pid) != ""; alive == c.ends {
			t.Errorf("start %q: alive %v", c.start, alive)
		}
	}
}
