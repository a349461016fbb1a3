package main

import (
	"bufio"
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/slipway-hq/slipway/internal/localenv"
	"github.com/slipway-hq/slipway/internal/natsnode"

	apiv1 "github.com/slipway-hq/slipway/gen/slipway/api/v1"
)

// TestMain makes the test binary the programs that scripts run.
func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){
		"slipway": main,
		"service": serve,
	})
}

// serve is a service that can be deployed; the version "sick" never gets well.
func serve() {
	http.HandleFunc("/healthz", func(w http.ResponseWriter, _ *http.Request) {
		if os.Getenv("VERSION") == "sick" {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
	})
	if err := http.ListenAndServe(os.Getenv("ADDR"), nil); err != nil { //nolint:gosec // a test
		os.Exit(1)
	}
}

// token opens the API at AUTH_URL.
const token = "correct-horse"

// TestScripts runs testdata/*.txtar. SLIPWAY_UPDATE=1 writes what came out into
// them.
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata",
		RequireExplicitExec: true,
		UpdateScripts:       os.Getenv("SLIPWAY_UPDATE") != "",
		Setup:               func(env *testscript.Env) error { return setUp(t, env) },
		Cmds:                map[string]func(*testscript.TestScript, bool, []string){"exits": exits, "nats": startNATS, "localenv": startEnvironment, "steady": steady},
	})
}

// setUp gives each script a world of its own.
func setUp(t *testing.T, env *testscript.Env) error {
	plain := startFake(t, &fake{keys: map[string]string{}}, "")
	shaky := startFake(t, &fake{keys: map[string]string{}, refusals: 1, cuts: 2, differs: true}, "")
	asking := begin(1, &apiv1.StartRunRequest{Service: "hello", Environment: "staging"})
	asking.now, asking.states = 3, asking.states[:4]
	asking.state().Question = "The runner was lost in the middle of `test`. Did it finish?"
	questions := startFake(t, &fake{keys: map[string]string{}, runs: []*fakeRun{asking}}, "")
	web := httptest.NewServer(http.NotFoundHandler())
	t.Cleanup(web.Close)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	for name, value := range map[string]string{
		"SLIPWAY_API_URL": plain, "SHAKY_URL": shaky, "ASKING_URL": questions, "WEB_URL": web.URL, "TOKEN": token,
		"AUTH_URL": startFake(t, &fake{keys: map[string]string{}}, token), "NOBODY_URL": "http://" + l.Addr().String(), "TZ": "UTC",
	} {
		env.Setenv(name, value)
	}
	return l.Close()
}

// exits runs a command that must end with this code.
func exits(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exits CODE COMMAND...")
	}
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	code := 0
	var exit *exec.ExitError
	if err := ts.Exec(args[1], args[2:]...); errors.As(err, &exit) {
		code = exit.ExitCode()
	} else {
		ts.Check(err)
	}
	if code != want {
		ts.Fatalf("exit code %d, want %d\n%s%s", code, want, ts.ReadFile("stdout"), ts.ReadFile("stderr"))
	}
}

// moving are the parts of an output that differ each time.
var moving = regexp.MustCompile(`http://127\.0\.0\.1:[0-9]+|[0-9]+\.[0-9]s`)

// steady copies an output into a file, with what moves replaced.
func steady(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: steady stdout|stderr FILE")
	}
	text := moving.ReplaceAllString(ts.ReadFile(args[0]), "…")
	ts.Check(os.WriteFile(ts.MkAbs(args[1]), []byte(text), 0o600))
}

// startNATS runs a server whose address goes to NATS_URL.
func startNATS(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) > 0 {
		ts.Fatalf("usage: nats")
	}
	node, err := natsnode.Start(natsnode.Config{Dir: ts.MkAbs("nats"), NoSync: true, Listen: "127.0.0.1:0"})
	ts.Check(err)
	ts.Defer(func() { ts.Check(node.Shutdown(context.Background())) })
	ts.Setenv("NATS_URL", node.ClientURL())
}

// startEnvironment runs a local environment whose socket goes to
// SLIPWAY_LOCALENV_URL, and puts a service to deploy at ./service.
func startEnvironment(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) > 0 {
		ts.Fatalf("usage: localenv")
	}
	dir, err := os.MkdirTemp("", "env") // a socket's path has to be short
	ts.Check(err)
	server, err := localenv.New(localenv.Config{Dir: dir, Environments: []localenv.Environment{{Name: "staging", Listen: "127.0.0.1:0"}}, Healthy: 2 * time.Second, Grace: time.Second, Logger: slog.New(slog.DiscardHandler)})
	ts.Check(err)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- server.Run(ctx) }()
	ts.Defer(func() {
		cancel()
		if err := errors.Join(<-done, os.RemoveAll(dir)); err != nil {
			ts.Logf("stop the environment: %v", err)
		}
	})
	ts.Setenv("SLIPWAY_LOCALENV_URL", server.URL())
	program, err := exec.LookPath("service")
	ts.Check(err)
	ts.Check(os.WriteFile(ts.MkAbs("service"), []byte("#!/bin/sh\nexec '"+program+"'\n"), 0o700)) //nolint:gosec // a program
}

// The sandbox serves its page, and stops when told to.
func TestSandboxServesUntilInterrupted(t *testing.T) {
	cmd := exec.Command("slipway", "sandbox", "--listen", "127.0.0.1:0")
	cmd.Dir = t.TempDir()
	cmd.Env = append(os.Environ(), "SLACK_BOT_TOKEN=xoxb-given")
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewReader(out)
	first, err := lines.ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.Get(regexp.MustCompile(`http://\S+`).FindString(first))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	if resp.StatusCode != http.StatusOK {
		t.Errorf("the page answers %s", resp.Status)
	}
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	rest, err := io.ReadAll(lines)
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err != nil {
		t.Errorf("it ended with %v", err)
	}
	if !regexp.MustCompile(`export SLACK_SIGNING_SECRET=\S+`).Match(rest) || regexp.MustCompile(`xoxb-given`).Match(rest) {
		t.Errorf("it printed\n%s", rest)
	}
}

// A watch that goes on is ended by Ctrl-C, with the exit code shells expect.
func TestWatchIsInterrupted(t *testing.T) {
	queued := begin(1, &apiv1.StartRunRequest{Service: "slow", Environment: "staging"})
	cmd := exec.Command("slipway", "--server", startFake(t, &fake{runs: []*fakeRun{queued}}, ""), "watch", "d-00001")
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if line, err := bufio.NewReader(out).ReadString('\n'); err != nil || line != "  queued: waits for d-00007 in lane slow/staging\n" {
		t.Errorf("it showed %q, %v", line, err)
	}
	if err := cmd.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	var exit *exec.ExitError
	if err := cmd.Wait(); !errors.As(err, &exit) || exit.ExitCode() != exitInterrupted {
		t.Errorf("it ended with %v", err)
	}
}

// The whole tree of commands is well formed: everything has its help.
func TestEveryCommandExplainsItself(t *testing.T) {
	cli := &CLI{}
	parser, err := newParser(cli, io.Discard, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	for _, leaf := range parser.Model.Leaves(true) {
		if leaf.Help == "" {
			t.Errorf("%s has no help", leaf.Path())
		}
		for _, flag := range leaf.Flags {
			if flag.Help == "" {
				t.Errorf("%s --%s has no help", leaf.Path(), flag.Name)
			}
		}
	}
}
