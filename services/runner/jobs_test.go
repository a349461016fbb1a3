//go:build linux || darwin

package runner

import (
	"bytes"
	"context"
	"encoding/base64"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/slipway-hq/slipway/domain/run"
	commandv1 "github.com/slipway-hq/slipway/gen/slipway/command/v1"
	eventv1 "github.com/slipway-hq/slipway/gen/slipway/event/v1"
	"github.com/slipway-hq/slipway/internal/callback"
	"github.com/slipway-hq/slipway/internal/runlog"
	"github.com/slipway-hq/slipway/internal/telemetry"
	"github.com/slipway-hq/slipway/internal/topology"
	"github.com/slipway-hq/slipway/services/runner/internal/objects"
	"github.com/slipway-hq/slipway/services/runner/internal/step"
)

// jobRun is a valid id of a job's run: callbacks are for such alone.
const jobRun = "j-aaaaaaaaaaaaaaaaaaaaaaaaaa"

// job asks for a run of a job and waits for its end.
func (w *world) job(id string, plan *eventv1.Plan) run.State {
	w.t.Helper()
	event := requested(id, plan)
	event.Service, event.Environment, event.Version = "", "", ""
	event.Namespace, event.Job = "ops", "backup"
	w.decide(id, run.Request{Event: event})
	w.publish(&commandv1.Hint{Run: id, LaneSubject: topology.LaneSubject(w.lane), GrantSequence: w.grant(id)})
	return w.ended(id)
}

// reporting is a plan whose last step's standard output is the report.
func (w *world) reporting(steps ...*eventv1.Step) *eventv1.Plan {
	plan := w.plan(steps...)
	plan.Report = &eventv1.Report{Stdout: true}
	return plan
}

// output is what LOGS holds of a run, by stream.
func (w *world) output(id string) map[string]string {
	w.t.Helper()
	got := map[string]string{}
	must(w.t, runlog.New(w.js).Read(w.t.Context(), id, runlog.Request{}, func(e runlog.Entry) error {
		got[runlog.StreamName(e.Stream)] += e.Text
		return nil
	}))
	return got
}

func speaking(base, key string) option {
	return func(c *Config, _ *Deps, _ *Runner) { c.CallbackURL, c.CallbackKey = base, telemetry.Secret(key) }
}

func TestAShortReportIsInTheLog(t *testing.T) {
	w := newWorld(t)
	w.runner(nil)
	s := w.job("j-1", w.reporting(shell("first", "echo not this"), shell("last", `printf 'caf\351 \000'; echo to-err >&2`)))
	last := s.Steps[1]
	if got := string(last.Stdout); got != "caf\xe9 \x00" || last.StdoutObject != "" || last.StdoutBytes != 6 {
		t.Errorf("report %q of %d bytes, object %q", got, last.StdoutBytes, last.StdoutObject)
	}
	if first := s.Steps[0]; first.StdoutBytes != 0 || first.Stdout != nil {
		t.Errorf("the first step reports %q", first.Stdout)
	}
	s = w.job("j-2", w.plan(shell("last", "echo nobody wants it")))
	if got := s.Steps[0]; got.StdoutBytes != 0 || got.Stdout != nil {
		t.Errorf("without a report: %q", got.Stdout)
	}
	s = w.job("j-3", w.reporting(shell("last", "true")))
	if got := s.Steps[0]; got.StdoutBytes != 0 || got.Stdout != nil || got.StdoutObject != "" {
		t.Errorf("an empty one: %+v", got)
	}
}

func TestAFailureReportsToo(t *testing.T) {
	w := newWorld(t)
	w.runner(nil)
	s := w.job("j-1", w.reporting(shell("last", "echo so far; exit 3")))
	if got := s.Steps[0]; s.Status != run.Failed || string(got.Stdout) != "so far\n" {
		t.Errorf("%s, report %q", s.Status, got.Stdout)
	}
}

func TestALongReportIsAnObject(t *testing.T) {
	w := newWorld(t)
	w.runner(nil)
	s := w.job("j-1", w.reporting(shell("last", "head -c 100000 /dev/zero | tr '\\000' x")))
	last := s.Steps[0]
	if last.Stdout != nil || last.StdoutBytes != 100_000 || last.Note != "" {
		t.Fatalf("%d bytes, %d inline, note %q", last.StdoutBytes, len(last.Stdout), last.Note)
	}
	if want := runlog.StdoutObject("j-1", 0, 1, w.records("j-1")[1].Sequence); last.StdoutObject != want {
		t.Errorf("object %q, want %q", last.StdoutObject, want)
	}
	r, err := objects.New(w.js).Get(t.Context(), last.StdoutObject)
	must(t, err)
	got, err := io.ReadAll(r)
	must(t, err)
	if !bytes.Equal(got, bytes.Repeat([]byte("x"), 100_000)) {
		t.Errorf("the object holds %d bytes", len(got))
	}
	s = w.job("j-2", w.reporting(shell("last", fmt.Sprintf("head -c %d /dev/zero", reportLimit+5))))
	if last := s.Steps[0]; last.StdoutBytes != reportLimit+5 || !strings.Contains(last.Note, "cut at 4194304 bytes") {
		t.Errorf("%d bytes, note %q", last.StdoutBytes, last.Note)
	}
}

// full is a store that takes nothing.
type full struct{ objects.Store }

func (*full) Put(context.Context, string, io.Reader) error {
	return fmt.Errorf("put: maximum bytes exceeded")
}
func (*full) Get(context.Context, string) (io.ReadCloser, error) { return nil, os.ErrNotExist }

func TestAReportThatCannotBeStoredCostsNotTheRun(t *testing.T) {
	x := &steps{store: &full{}, log: slog.New(slog.DiscardHandler)}
	a := Attempt{Run: "j-1", Plan: &eventv1.Plan{Report: &eventv1.Report{Stdout: true}, Steps: []*eventv1.Step{{}}}}
	out := &eventv1.StepOutput{Note: "before"}
	text := bytes.Repeat([]byte("x"), 20_000)
	x.report(t.Context(), a, step.Result{Stdout: text, StdoutBytes: 20_000}, out)
	if len(out.GetStdout()) != reportInline || out.GetStdoutObject() != "" || out.GetStdoutBytes() != 20_000 {
		t.Errorf("%d inline, object %q", len(out.GetStdout()), out.GetStdoutObject())
	}
	if want := "before; the report could not be stored and was cut at 8192 bytes"; out.GetNote() != want {
		t.Errorf("note %q", out.GetNote())
	}
}

func TestAJobKnowsWhatItIsAndWhereToSpeak(t *testing.T) {
	w := newWorld(t)
	w.runner(nil, speaking("https://slipway.example.org/", "the key"))
	plan := w.plan(shell("say", `printf '%s %s' "$SLIPWAY_NAMESPACE" "$SLIPWAY_JOB" > "$SLIPWAY_CACHE/said"; printf %s "$SLIPWAY_CALLBACK" > "$SLIPWAY_CACHE/callback"; echo "at $SLIPWAY_CALLBACK"; echo "$SLIPWAY_CACHE" >&2`))
	plan.Timeout = durationpb.New(10 * time.Minute)
	w.job(jobRun, plan)
	printed := w.output(jobRun)
	cache := strings.TrimSpace(printed["stderr"])
	if got := fileIn(t, cache, "said"); got != "ops backup" {
		t.Errorf("namespace and job are %q", got)
	}
	address, err := url.Parse(fileIn(t, cache, "callback"))
	must(t, err)
	if address.Host != "slipway.example.org" {
		t.Fatalf("address %q", address)
	}
	for _, c := range []struct {
		after time.Duration
		ok    bool
	}{{0, true}, {69 * time.Minute, true}, {71 * time.Minute, false}} {
		id, err := callback.Verify([]byte("the key"), address.Path, time.Now().Add(c.after))
		if (err == nil) != c.ok || c.ok && id != jobRun {
			t.Errorf("after %s: %q, %v", c.after, id, err)
		}
	}
	if got := printed["stdout"]; got != "at ***\n" {
		t.Errorf("whoever has the address can speak for the run, and the log shows %q", got)
	}
}

func fileIn(t *testing.T, dir, name string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(dir, name))
	must(t, err)
	return string(text)
}

// TestAJobInheritsNoneOfSlipwaysSecrets shows the absence of W19: everything
// that configures Slipway stays with it, and a job cannot ask for it either.
func TestAJobInheritsNoneOfSlipwaysSecrets(t *testing.T) {
	own := filepath.Join(t.TempDir(), "key")
	must(t, os.WriteFile(own, []byte("hunter2-file\n"), 0o600))
	for name, value := range map[string]string{
		"SLACK_BOT_TOKEN": "hunter2-bot", "SLACK_APP_TOKEN": "hunter2-app", "SLACK_SIGNING_SECRET": "hunter2-sign", "SLIPWAY_API_TOKEN": "hunter2-api",
		"SLIPWAY_CALLBACK_KEY": "hunter2-callback", "SLIPWAY_LINK_KEY": "hunter2-link", "NATS_URL": "nats://x:hunter2-nats@127.0.0.1", "OTEL_EXPORTER_OTLP_HEADERS": "k=hunter2-otel",
		"GITHUB_WEBHOOK_SECRET": "hunter2-github", "SLIPWAY_CALLBACK_KEY_FILE": own, "HOME": t.TempDir(),
	} {
		t.Setenv(name, value)
	}
	w := newWorld(t)
	w.runner(nil, speaking("https://slipway.example.org", "hunter2-callback"))
	w.job(jobRun, w.plan(shell("env", "env; cat /proc/self/environ 2>/dev/null || true")))
	if got := w.output(jobRun)["stdout"]; strings.Contains(got, "hunter2") || !strings.Contains(got, "SLIPWAY_CALLBACK=") {
		t.Errorf("the environment of a job:\n%s", got)
	}
	for i, ask := range []*eventv1.Step{
		{EnvFrom: []string{"SLACK_BOT_TOKEN"}},
		{EnvFrom: []string{"slipway_callback_key"}},
		{Secrets: map[string]*eventv1.SecretRef{"X": {From: &eventv1.SecretRef_Env{Env: "SLIPWAY_CALLBACK_KEY"}}}},
		{Secrets: map[string]*eventv1.SecretRef{"X": {From: &eventv1.SecretRef_File{File: own}}}},
		{Env: map[string]string{"SLIPWAY_CALLBACK": "https://example.org"}},
	} {
		ask.Name, ask.Shell = "ask", "env"
		id := fmt.Sprintf("j-ask%d", i)
		if s := w.job(id, w.plan(ask)); s.Status != run.Failed || strings.Contains(s.Steps[0].Error, "hunter2") {
			t.Errorf("%v: %s, %s", ask, s.Status, s.Steps[0].Error)
		}
	}
}

// TestNoSecretOfARunIsShownAnywhere looks at every place where output ends up.
func TestNoSecretOfARunIsShownAnywhere(t *testing.T) {
	const secret, token, password = "hunter2 s3cret/+ü", "hunter3-token", "hunter4-pass"
	t.Setenv("BACKUP_PASSPHRASE", secret)
	t.Setenv("DEPLOY_TOKEN", token)
	t.Setenv("STORE", "postgres://app:"+password+"@db/x")
	t.Setenv("ZONE", "eu-central")
	w := newWorld(t)
	w.runner(nil)
	line := `
printf '%s' "$PASS" | cut -c1-5 | tr -d '\n'; sleep 0.05; printf '%s\n' "$PASS" | cut -c6-
printf 'whole %s, token %s, store %s, zone %s\n' "$PASS" "$DEPLOY_TOKEN" "$STORE" "$ZONE"
printf '%s' "$PASS" | base64; printf 'user:%s' "$PASS" | base64
echo "to stderr $PASS" >&2; i=0; while [ $i -lt 2000 ]; do printf 'x%sx' "$PASS"; i=$((i+1)); done; echo; exit 4`
	ask := shell("leak", line)
	ask.EnvFrom = []string{"DEPLOY_TOKEN", "STORE", "ZONE"}
	ask.Secrets = map[string]*eventv1.SecretRef{"PASS": {From: &eventv1.SecretRef_Env{Env: "BACKUP_PASSPHRASE"}}}
	s := w.job("j-1", w.reporting(ask))
	seen := fmt.Sprint(w.output("j-1"), s.Steps[0].Tail, s.Steps[0].Error, s.Steps[0].Note, string(s.Steps[0].Stdout), s.Reason)
	for _, rec := range w.records("j-1") {
		seen += rec.Commit.String()
	}
	if o := s.Steps[0].StdoutObject; o != "" {
		r, err := objects.New(w.js).Get(t.Context(), o)
		must(t, err)
		text, err := io.ReadAll(r)
		must(t, err)
		seen += string(text)
	}
	for _, leak := range []string{secret, token, password, "hunter2 s3c", url.QueryEscape(secret), base64.StdEncoding.EncodeToString([]byte(secret))[:12]} {
		if i := strings.Index(seen, leak); i >= 0 {
			t.Errorf("%q is shown: %.200s", leak, seen[max(0, i-80):])
		}
	}
	if !strings.Contains(seen, "zone eu-central") || !strings.Contains(seen, "***") {
		t.Error("too much is hidden, or nothing")
	}
}

// TestRunsOfOneMomentHaveSeparateOutput shows the absence of W22.
func TestRunsOfOneMomentHaveSeparateOutput(t *testing.T) {
	w := newWorld(t)
	w.runner(nil)
	var group sync.WaitGroup
	for i := range 6 {
		group.Go(func() {
			id := fmt.Sprintf("j-%d", i)
			w.job(id, w.plan(shell("say", "echo I am "+id+"; echo and "+id+" >&2")))
		})
	}
	group.Wait()
	for i := range 6 {
		id := fmt.Sprintf("j-%d", i)
		want := map[string]string{"stdout": "I am " + id + "\n", "stderr": "and " + id + "\n"}
		if diff := cmp.Diff(want, w.output(id)); diff != "" {
			t.Errorf("%s: %s", id, diff)
		}
	}
}

// fabfile is a server with a fabfile that can be taken away.
func fabfile(t *testing.T) (address string, away *atomic.Bool) {
	t.Helper()
	away = &atomic.Bool{}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if away.Load() {
			http.Error(w, "closed", http.StatusBadGateway)
			return
		}
		_, _ = io.WriteString(w, "def backup(c): pass\n")
	}))
	t.Cleanup(server.Close)
	return server.URL + "/fabfile.py?key=hunter2", away
}

// TestAFabricJobRunsWhereItsFabfileIs: fab looks for fabfile.py in the folder
// that it is started in.
func TestAFabricJobRunsWhereItsFabfileIs(t *testing.T) {
	w := newWorld(t)
	w.runner(nil)
	address, away := fabfile(t)
	fabric := func(lastGood bool) *eventv1.Plan {
		plan := w.plan(shell("fab", "cat fabfile.py"))
		plan.Source = &eventv1.Source{LastGood: lastGood, From: &eventv1.Source_Url{Url: &eventv1.UrlSource{Url: address, Path: "fabfile.py"}}}
		return plan
	}
	s := w.job("j-1", fabric(true))
	if got := w.output("j-1")["stdout"]; got != "def backup(c): pass\n" || !strings.HasPrefix(s.Commit, "sha256:") || s.Stale != "" {
		t.Fatalf("%q of %q, stale %q", got, s.Commit, s.Stale)
	}
	fresh := s.Commit
	away.Store(true)
	s = w.job("j-2", fabric(true))
	if s.Status != run.Succeeded || s.Commit != fresh || !strings.Contains(s.Stale, "answered 502") || strings.Contains(s.Stale, "hunter2") {
		t.Errorf("with the copy: %s, %q, stale %q", s.Status, s.Commit, s.Stale)
	}
	s = w.job("j-3", fabric(false))
	if s.Status != run.Failed || !strings.Contains(s.Steps[0].Error, "answered 502") || strings.Contains(s.Steps[0].Error, "hunter2") || s.Steps[0].Attempts != 1 {
		t.Errorf("when it must be fresh: %s, %q", s.Status, s.Steps[0].Error)
	}
}
