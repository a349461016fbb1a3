package ingress_test

import (
	"crypto/hmac"
	"crypto/sha1" //nolint:gosec // GitHub's old header
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"hash"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/slipway-hq/slipway/domain/identity"
	commandv1 "github.com/slipway-hq/slipway/gen/slipway/command/v1"
	eventv1 "github.com/slipway-hq/slipway/gen/slipway/event/v1"
	"github.com/slipway-hq/slipway/sandbox"
	ingress "github.com/slipway-hq/slipway/services/slack-ingress"
)

const hooksConfig = `
namespaces:
  web:
    default_channel: C0DEPLOYS01
    jobs:
      deploy: { run: "true {ref}", params: { ref: {} } }
      notify: { run: "true" }
    webhooks:
      site:
        secrets: [{ env: TEST_HOOK_SECRET }, { file: %[1]s }]
        rules:
          - { job: deploy, events: [pull_request], actions: [closed], merged: true, branches: [main], repositories: ["acme/*"], params: { ref: pull_request.merge_commit_sha } }
          - { job: notify, events: [pull_request, push] }
      old: { allow_sha1: true, secrets: [{ env: TEST_HOOK_SECRET }], rules: [{ job: notify }] }
      lost: { secrets: [{ env: TEST_HOOK_NEVER_SET }], rules: [{ job: notify }] }
      half: { secrets: [{ env: TEST_HOOK_NEVER_SET }, { env: TEST_HOOK_SECRET }], rules: [{ job: notify }] }
      ci: { kind: generic, secrets: [{ env: TEST_HOOK_SECRET }], rules: [{ job: notify, events: [built] }] }
`

const (
	hookSecret = "secret-of-a-webhook"
	oldSecret  = "secret-before-that"
	mergedPull = `{"action":"closed","pull_request":{"merged":true,"base":{"ref":"main"},"merge_commit_sha":"abc123","title":"the-payload-itself"},"repository":{"full_name":"acme/site"}}`
)

// newHooks starts a world that knows the webhooks above.
func newHooks(t *testing.T) (w *world, config string) {
	t.Helper()
	dir := t.TempDir()
	t.Setenv("TEST_HOOK_SECRET", hookSecret)
	write(t, filepath.Join(dir, "old"), oldSecret+"\n")
	config = filepath.Join(dir, "slipway.yaml")
	write(t, config, fmt.Sprintf(hooksConfig, filepath.Join(dir, "old")))
	return newWorld(t, func(_ *sandbox.Config, cfg *ingress.Config, _ *ingress.Deps) { cfg.File = config }), config
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func sum(algorithm func() hash.Hash, secret, text string) string {
	mac := hmac.New(algorithm, []byte(secret))
	mac.Write([]byte(text))
	return hex.EncodeToString(mac.Sum(nil))
}

// send posts a body with headers, given as pairs.
func (w *world) send(path, body string, headers ...string) (int, string) {
	w.t.Helper()
	req, err := http.NewRequestWithContext(within(w.t, patience), http.MethodPost, w.doors.URL+path, strings.NewReader(body))
	if err != nil {
		w.t.Fatal(err)
	}
	req.Header.Set("Content-Type", jsonType)
	for i := 0; i+1 < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		w.t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	data, err := io.ReadAll(resp.Body)
	if err != nil {
		w.t.Fatal(err)
	}
	return resp.StatusCode, strings.TrimSpace(string(data))
}

// github posts a delivery as GitHub does; more headers win.
func (w *world) github(path, event, id, body string, more ...string) (int, string) {
	w.t.Helper()
	return w.send(path, body, append([]string{"X-GitHub-Event", event, "X-GitHub-Delivery", id, "X-Hub-Signature-256", "sha256=" + sum(sha256.New, hookSecret, body)}, more...)...)
}

func runsOf(t *testing.T, body string) []string {
	t.Helper()
	var said struct {
		Runs []string `json:"runs"`
	}
	if err := json.Unmarshal([]byte(body), &said); err != nil {
		t.Fatalf("%q: %v", body, err)
	}
	return said.Runs
}

func TestAMergedPullRequestIsStoredOnceWithItsFacts(t *testing.T) {
	w, _ := newHooks(t)
	want := []string{identity.RunID(identity.Job, "webhook|github|site|guid-1|0"), identity.RunID(identity.Job, "webhook|github|site|guid-1|1")}
	for _, path := range []string{"/webhooks/github/site", "/webhooks/github/site/", "/github/site/", "/github/site"} {
		status, body := w.github(path, "pull_request", "guid-1", mergedPull)
		if status != http.StatusAccepted {
			t.Fatalf("%s: %d %q", path, status, body)
		}
		if diff := cmp.Diff(want, runsOf(t, body)); diff != "" {
			t.Errorf("%s: %s", path, diff)
		}
	}
	envelopes, raw := w.stored()
	if len(envelopes) != 1 {
		t.Fatalf("%d deliveries stored, want one", len(envelopes))
	}
	env := envelopes[0]
	d := env.GetDelivery()
	if env.GetIdentity() != "webhook|github|site|guid-1" || d.GetNamespace() != "web" || d.GetWebhook() != "site" || env.GetOrigin().GetDoor() != eventv1.Origin_DOOR_WEBHOOK {
		t.Errorf("stored %v", env)
	}
	if diff := cmp.Diff(map[string]string{"event": "pull_request", "action": "closed", "merged": "true", "branch": "main", "repository": "acme/site"}, d.GetFacts()); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff(map[string]string{"pull_request.merge_commit_sha": "abc123"}, d.GetFields()); diff != "" {
		t.Error(diff)
	}
	for _, secret := range []string{hookSecret, oldSecret, "the-payload-itself"} {
		if strings.Contains(w.log.String(), secret) || strings.Contains(string(raw), secret) {
			t.Errorf("%q got out", secret)
		}
	}
	if got := strings.Count(w.log.String(), "webhook delivery"); got != 4 {
		t.Errorf("%d lines in the log for 4 deliveries", got)
	}
}

func TestARedeliveryLongAfterIsTheSameRun(t *testing.T) {
	w, _ := newHooks(t)
	_, first := w.github("/webhooks/github/site", "push", "guid-1", `{}`)
	if err := w.inbox.Purge(within(t, patience)); err != nil { // INBOX forgets; identities do not
		t.Fatal(err)
	}
	if _, again := w.github("/webhooks/github/site", "push", "guid-1", `{}`); again != first {
		t.Errorf("%q became %q", first, again)
	}
	if _, other := w.github("/webhooks/github/site", "push", "guid-2", `{}`); other == first {
		t.Error("another delivery is taken for the same")
	}
}

func TestManyDeliveriesOfOneAtOnceAreStoredOnce(t *testing.T) {
	w, _ := newHooks(t)
	var group sync.WaitGroup
	for range 20 {
		group.Go(func() {
			if status, body := w.github("/webhooks/github/site", "push", "guid-1", `{}`); status != http.StatusAccepted {
				t.Errorf("%d %q", status, body)
			}
		})
	}
	group.Wait()
	if envelopes, _ := w.stored(); len(envelopes) != 1 {
		t.Errorf("%d stored", len(envelopes))
	}
}

func TestWhatADeliveryIsAnswered(t *testing.T) {
	w, _ := newHooks(t)
	right := func(secret, body string) string { return "sha256=" + sum(sha256.New, secret, body) }
	one := func(body string) string { return "sha1=" + sum(sha1.New, hookSecret, body) }
	form := "payload=" + url.QueryEscape(mergedPull)
	const sig, sig1, id = "X-Hub-Signature-256", "X-Hub-Signature", "X-GitHub-Delivery"
	for name, c := range map[string]struct {
		path, event, body string
		headers           []string
		status            int
		says              string
	}{
		"a ping":                     {"/webhooks/github/site", "ping", `{"zen":"x"}`, nil, 200, "pong"},
		"a ping unsigned":            {"/webhooks/github/site", "ping", `{}`, []string{sig, ""}, 403, "missing or malformed"},
		"the second secret":          {"/webhooks/github/site", "push", `{}`, []string{sig, right(oldSecret, `{}`)}, 202, "j-"},
		"a form":                     {"/webhooks/github/site", "pull_request", form, []string{"Content-Type", formType}, 202, "j-"},
		"a form without payload":     {"/webhooks/github/site", "pull_request", "x=y", []string{"Content-Type", formType}, 400, "no JSON object"},
		"another secret":             {"/webhooks/github/site", "push", `{}`, []string{sig, right("guess", `{}`)}, 403, "wrong"},
		"an empty secret":            {"/webhooks/github/site", "push", `{}`, []string{sig, right("", `{}`)}, 403, "wrong"},
		"another body":               {"/webhooks/github/site", "push", `{"a":1}`, []string{sig, right(hookSecret, `{}`)}, 403, "wrong"},
		"half a signature":           {"/webhooks/github/site", "push", `{}`, []string{sig, "sha256=abcd"}, 403, "malformed"},
		"no scheme":                  {"/webhooks/github/site", "push", `{}`, []string{sig, sum(sha256.New, hookSecret, `{}`)}, 403, "malformed"},
		"sha1 where it is not":       {"/webhooks/github/site", "push", `{}`, []string{sig, "", sig1, one(`{}`)}, 403, "missing"},
		"sha1 where it is":           {"/github/old/", "push", `{}`, []string{sig, "", sig1, one(`{}`)}, 202, "j-"},
		"a wrong sha1":               {"/github/old/", "push", `{}`, []string{sig, "", sig1, one(`{"a":1}`)}, 403, "wrong"},
		"half a sha1":                {"/github/old/", "push", `{}`, []string{sig, "", sig1, "sha1=00"}, 403, "malformed"},
		"a good sha1, a wrong one":   {"/github/old/", "push", `{}`, []string{sig, right("guess", `{}`), sig1, one(`{}`)}, 403, "wrong"},
		"sha1 in the other header":   {"/github/old/", "push", `{}`, []string{sig, one(`{}`)}, 403, "malformed"},
		"no id":                      {"/webhooks/github/site", "push", `{}`, []string{id, ""}, 400, "X-GitHub-Delivery"},
		"an id of another":           {"/webhooks/github/site", "push", `{}`, []string{id, "x|0"}, 400, "X-GitHub-Delivery"},
		"an unknown project":         {"/webhooks/github/none", "push", `{}`, nil, 400, `"none"`},
		"an unknown one, unsigned":   {"/github/none/", "push", `{}`, []string{sig, ""}, 400, `"none"`},
		"a generic one as GitHub's":  {"/webhooks/github/ci", "push", `{}`, nil, 400, `"ci"`},
		"a GitHub one as generic":    {"/webhooks/web/site", "push", `{}`, nil, 400, `"web/site"`},
		"not merged":                 {"/webhooks/github/old", "push", `{}`, nil, 202, "j-"},
		"an event of no rule":        {"/webhooks/github/site", "release", `{}`, nil, 200, "ignored: rule 1 (deploy): event"},
		"broken JSON":                {"/webhooks/github/site", "push", `{"a"`, nil, 400, "no JSON object"},
		"an array":                   {"/webhooks/github/site", "push", `[]`, nil, 400, "no JSON object"},
		"a deep one":                 {"/webhooks/github/site", "push", strings.Repeat(`{"a":`, 1000), nil, 400, "nested too deep"},
		"a field twice":              {"/webhooks/github/site", "push", `{"ref":"refs/heads/a","ref":"refs/heads/main"}`, nil, 400, "twice"},
		"no readable secret":         {"/webhooks/github/lost", "push", `{}`, nil, 503, "secret"},
		"one readable secret, right": {"/webhooks/github/half", "push", `{}`, nil, 202, "j-"},
		"one readable secret, wrong": {"/webhooks/github/half", "push", `{}`, []string{sig, right("guess", `{}`)}, 503, "secret"},
	} {
		id := "id-" + strings.ReplaceAll(strings.ReplaceAll(name, " ", "-"), ",", "")
		id = strings.ReplaceAll(id, "'", "")
		status, body := w.github(c.path, c.event, id, c.body, c.headers...)
		if status != c.status || !strings.Contains(body, c.says) {
			t.Errorf("%s: %d %q, want %d %q", name, status, body, c.status, c.says)
		}
	}
	if !strings.Contains(w.log.String(), "TEST_HOOK_NEVER_SET") {
		t.Error("the log does not say which secret is missing")
	}
	var said []string
	for _, f := range w.svc.Findings() {
		said = append(said, f.Finding)
	}
	if got := strings.Join(said, "\n"); len(said) != 2 || !strings.Contains(got, "web/lost") || !strings.Contains(got, "web/half") {
		t.Errorf("doctor hears %q", got)
	}
	resp, err := http.Get(w.doors.URL + "/webhooks/github/site") //nolint:noctx // a test of the method
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	if resp.StatusCode != http.StatusMethodNotAllowed {
		t.Errorf("GET: %d", resp.StatusCode)
	}
}

func TestHugeBodiesAreRefusedAndLargeOnesRead(t *testing.T) {
	w, _ := newHooks(t)
	large := `{"x":"` + strings.Repeat("y", 3<<20) + `"}`
	if status, body := w.github("/webhooks/github/site", "push", "large", large); status != http.StatusAccepted {
		t.Errorf("3 MiB: %d %.80q", status, body)
	}
	huge := strings.Repeat("y", 25<<20+1)
	if status, body := w.github("/webhooks/github/site", "push", "huge", huge); status != http.StatusRequestEntityTooLarge {
		t.Errorf("25 MiB and a byte: %d %.80q", status, body)
	}
	// Without a length in the headers the bound still holds.
	req, err := http.NewRequestWithContext(within(t, patience), http.MethodPost, w.doors.URL+"/webhooks/github/site", io.MultiReader(strings.NewReader(huge)))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("X-GitHub-Delivery", "streamed")
	req.Header.Set("X-Hub-Signature-256", "sha256="+sum(sha256.New, hookSecret, huge))
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	if resp.StatusCode != http.StatusRequestEntityTooLarge {
		t.Errorf("streamed: %d", resp.StatusCode)
	}
	if envelopes, _ := w.stored(); len(envelopes) != 1 {
		t.Errorf("%d stored", len(envelopes))
	}
}

func TestGenericWebhooksCannotBeReplayed(t *testing.T) {
	w, _ := newHooks(t)
	const built = `{"event":"built","branch":"main"}`
	plain := []string{"X-Slipway-Signature-256", "sha256=" + sum(sha256.New, hookSecret, built)}
	stamped := func(at time.Time, id, secret string) []string {
		stamp := fmt.Sprint(at.Unix())
		headers := []string{"X-Slipway-Timestamp", stamp, "X-Slipway-Signature-256", "sha256=" + sum(sha256.New, secret, stamp+"."+id+"."+built)}
		if id != "" {
			headers = append(headers, "X-Slipway-Delivery", id)
		}
		return headers
	}
	now := time.Now()
	post := func(body string, status int, headers ...string) string {
		t.Helper()
		got, said := w.send("/webhooks/web/ci", body, headers...)
		if got != status {
			t.Fatalf("%d %q, want %d", got, said, status)
		}
		return said
	}
	first := post(built, 202, plain...)
	if again := post(built, 202, plain...); again != first {
		t.Error("a body sent again is another run")
	}
	one, two := post(built, 202, stamped(now, "a", hookSecret)...), post(built, 202, stamped(now, "b", hookSecret)...)
	if one == two || one == first || post(built, 202, stamped(now.Add(time.Second), "a", hookSecret)...) != one {
		t.Error("the id is what tells deliveries apart")
	}
	if a := post(built, 202, stamped(now, "", hookSecret)...); a == post(built, 202, stamped(now.Add(time.Second), "", hookSecret)...) || a == first {
		t.Error("without an id, the time is what tells them apart")
	}
	post(built, 403, stamped(now.Add(-6*time.Minute), "old", hookSecret)...)
	post(built, 403, stamped(now.Add(6*time.Minute), "early", hookSecret)...)
	post(built, 403, stamped(now, "forged", "guess")...)
	post(built, 403, append(stamped(now, "a", hookSecret), "X-Slipway-Delivery", "c")...)
	post(built, 403, append(plain, "X-Slipway-Timestamp", fmt.Sprint(now.Unix()))...)
	post(built, 403, append(plain, "X-Slipway-Timestamp", "soon")...)
	post(built, 400, append(plain, "X-Slipway-Delivery", "unsigned")...)
	post(built, 403)
	post(built, 202, append(stamped(now, "curl", hookSecret), "Content-Type", formType)...)
	ignored := `{"event":"queued"}`
	post(ignored, 200, "X-Slipway-Signature-256", "sha256="+sum(sha256.New, hookSecret, ignored))
}

func TestWithoutAStoreADeliveryFailsVisibly(t *testing.T) {
	w, _ := newHooks(t)
	if err := w.js.DeleteStream(within(t, patience), "INBOX"); err != nil {
		t.Fatal(err)
	}
	if status, body := w.github("/webhooks/github/site", "push", "guid-1", `{}`); status != http.StatusServiceUnavailable || !strings.Contains(body, "deliver it again") {
		t.Errorf("%d %q", status, body)
	}
}

func TestAFullStoreRefusesADelivery(t *testing.T) {
	w, _ := newHooks(t)
	info, err := w.inbox.Info(within(t, patience))
	if err != nil {
		t.Fatal(err)
	}
	cfg := info.Config
	cfg.MaxMsgs, cfg.Discard = 1, jetstream.DiscardNew
	if _, err := w.js.UpdateStream(within(t, patience), cfg); err != nil {
		t.Fatal(err)
	}
	if status, body := w.github("/webhooks/github/site", "push", "1", `{}`); status != http.StatusAccepted {
		t.Errorf("first: %d %q", status, body)
	}
	if status, body := w.github("/webhooks/github/site", "push", "2", `{}`); status != http.StatusServiceUnavailable {
		t.Errorf("second: %d %q", status, body)
	}
}

func TestWithoutAConfigurationWebhooksSaySo(t *testing.T) {
	w := newWorld(t, nil)
	if status, body := w.github("/webhooks/github/site", "push", "1", `{}`); status != http.StatusServiceUnavailable || !strings.Contains(body, "SLIPWAY_CONFIG") {
		t.Errorf("%d %q", status, body)
	}
}

// A new secret and a new project count without a restart; a broken file changes nothing.
func TestTheConfigurationIsWatched(t *testing.T) {
	w, config := newHooks(t)
	good, err := os.ReadFile(config)
	if err != nil {
		t.Fatal(err)
	}
	status := func(project, secret string) int {
		code, _ := w.github("/webhooks/github/"+project, "push", "watch", `{}`, "X-Hub-Signature-256", "sha256="+sum(sha256.New, secret, `{}`))
		return code
	}
	write(t, filepath.Join(filepath.Dir(config), "old"), "a newer one\n")
	if status("site", oldSecret) != 403 || status("site", "a newer one") != 202 {
		t.Error("a replaced secret does not count at once")
	}
	write(t, config, strings.Replace(string(good), "      old:", "      fresh:", 1))
	w.until("configured anew", func() bool { return status("fresh", hookSecret) == 202 })
	if status("old", hookSecret) != 400 {
		t.Error("a project that was taken out is still there")
	}
	write(t, config, "namespaces: {web: {jbos: {}}}")
	w.until("told of the broken file", func() bool { return strings.Contains(w.log.String(), "configuration not taken") })
	if status("fresh", hookSecret) != 202 {
		t.Error("a broken file put the good one out of force")
	}
	if findings := w.svc.Findings(); len(findings) == 0 || !strings.Contains(findings[0].Finding, "jbos") {
		t.Errorf("doctor hears %v", findings)
	}
}

func noted(envelopes []*commandv1.Envelope) (out []*commandv1.Note) {
	for _, e := range envelopes {
		if n := e.GetNote(); n != nil {
			out = append(out, n)
		}
	}
	return out
}
