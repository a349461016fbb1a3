package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"connectrpc.com/connect"
	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/types/known/durationpb"

	apiv1 "github.com/slipway-hq/slipway/gen/slipway/api/v1"
	"github.com/slipway-hq/slipway/gen/slipway/api/v1/apiv1connect"
	"github.com/slipway-hq/slipway/test/internal/world"
)

// post calls a unary method as curl does.
func post(t *testing.T, w *world.World, method, body string, change ...func(*http.Request)) (status int, answer map[string]any) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://localhost/slipway.api.v1."+method, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	for _, f := range change {
		f(req)
	}
	resp, err := w.HTTP.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.NewDecoder(bytes.NewReader(text)).Decode(&answer); err != nil {
		t.Fatalf("%s answers no JSON: %s", method, text)
	}
	return resp.StatusCode, answer
}

// ok is post whose success is expected; path leads into the answer.
func ok(t *testing.T, w *world.World, method, body string, path ...string) any {
	t.Helper()
	status, answer := post(t, w, method, body)
	if status != http.StatusOK {
		t.Fatalf("%s answers %d %v", method, status, answer)
	}
	var v any = answer
	for _, key := range path {
		m, _ := v.(map[string]any)
		v = m[key]
	}
	return v
}

func TestPlainJSONIsEnoughForEverything(t *testing.T) {
	w := up(t, func(w *world.World) map[string][]world.Map {
		return map[string][]world.Map{"web": {w.Step("build", "echo built"), w.Step("wait", w.Hold("$SLIPWAY_VERSION")+"; test $SLIPWAY_VERSION != bad || test -e "+w.Dir+"/gate.mended || exit 1")}}
	})
	start := `{"service":"web","environment":"staging","version":"v1","idempotencyKey":"k1"}`
	id, _ := ok(t, w, "RunService/StartRun", start, "run", "id").(string)
	if again := ok(t, w, "RunService/StartRun", start, "run", "id"); again != id {
		t.Errorf("the same key meant %v, then %v", id, again)
	}
	if status, answer := post(t, w, "RunService/StartRun", strings.Replace(start, "v1", "v2", 1)); status != http.StatusConflict || answer["code"] != "already_exists" {
		t.Errorf("another request under the same key: %d %v", status, answer)
	}
	// idempotency_key, as curl users write it, is the same.
	if again := ok(t, w, "RunService/StartRun", strings.Replace(start, "idempotencyKey", "idempotency_key", 1), "run", "id"); again != id {
		t.Errorf("idempotency_key names another run: %v", again)
	}
	r := w.Running(id, "wait")
	changed := make(chan any, 1)
	go func() {
		_, answer := post(t, w, "RunService/GetRun", `{"id":"`+id+`","afterSequence":"`+sequence(r)+`","wait":"30s"}`)
		run, _ := answer["run"].(map[string]any)
		changed <- run["status"]
	}()
	w.Open("v1")
	if status := <-changed; status != "RUN_STATUS_SUCCEEDED" {
		t.Errorf("the next change is %v", status)
	}
	if runs, _ := ok(t, w, "RunService/ListRuns", `{"service":"web","statuses":["RUN_STATUS_SUCCEEDED"]}`, "runs").([]any); len(runs) != 1 {
		t.Errorf("%d runs are listed", len(runs))
	}
	if events, _ := ok(t, w, "RunService/GetRunEvents", `{"id":"`+id+`"}`, "events").([]any); len(events) < 6 {
		t.Errorf("%d events", len(events))
	}
	entries, _ := ok(t, w, "RunService/GetLogs", `{"id":"`+id+`","step":"build"}`, "entries").([]any)
	if len(entries) != 1 || !strings.Contains(cmp.Diff("", entries), "built") {
		t.Errorf("logs: %v", entries)
	}

	bad, _ := ok(t, w, "RunService/StartRun", `{"service":"web","environment":"staging","version":"bad"}`, "run", "id").(string)
	w.Open("bad")
	w.Ended(bad, apiv1.RunStatus_RUN_STATUS_FAILED)
	w.Open("mended")
	retry, _ := ok(t, w, "RunService/RetryRun", `{"id":"`+bad+`"}`, "run", "id").(string)
	if s := world.StepOf(w.Succeeded(retry), "build").GetStatus(); s != apiv1.StepStatus_STEP_STATUS_CARRIED {
		t.Errorf("build of the retry is %s", s)
	}

	held, _ := ok(t, w, "RunService/StartRun", `{"service":"web","environment":"staging","version":"never"}`, "run", "id").(string)
	w.Running(held, "wait")
	ok(t, w, "RunService/CancelRun", `{"id":"`+held+`","reason":"enough"}`)
	if r := w.Ended(held, apiv1.RunStatus_RUN_STATUS_CANCELLED); !strings.Contains(r.GetReason(), "enough") {
		t.Errorf("reason %q", r.GetReason())
	}
	for method, body := range map[string]string{
		"RunService/GetRun": `{"id":"d-nothere"}`, "RunService/CancelRun": `{"id":"d-nothere"}`, "RunService/RetryRun": `{"id":"d-nothere"}`,
		"RunService/GetLogs": `{"id":"d-nothere"}`, "RunService/GetRunEvents": `{"id":"d-nothere"}`,
	} {
		if status, answer := post(t, w, method, body); status != http.StatusNotFound {
			t.Errorf("%s of nothing: %d %v", method, status, answer)
		}
	}
	if status, answer := post(t, w, "RunService/CancelRun", `{"id":"`+id+`"}`); status != http.StatusBadRequest || answer["code"] != "failed_precondition" {
		t.Errorf("cancel of what has ended: %d %v", status, answer)
	}
	if lanes, _ := ok(t, w, "LaneService/ListLanes", `{}`, "lanes").([]any); len(lanes) == 0 {
		t.Error("no lanes")
	}
}

func sequence(r *apiv1.Run) string {
	text, _ := json.Marshal(r.GetSequence()) // a number
	return string(text)
}

func TestWatchResumesBySequenceAndLogsFollow(t *testing.T) {
	w := up(t, func(w *world.World) map[string][]world.Map {
		return map[string][]world.Map{"web": {w.Step("build", "echo one"), w.Step("wait", "echo two; "+w.Hold("go")+"; echo three")}}
	})
	ctx, cancel := context.WithTimeout(t.Context(), world.Patience)
	defer cancel()
	id := w.Deploy("web", "staging", "", "")
	var seen uint64
	first, err := w.Runs.WatchRun(ctx, &apiv1.WatchRunRequest{Id: id})
	if err != nil {
		t.Fatal(err)
	}
	for first.Receive() {
		r := first.Msg().GetRun()
		if r.GetSequence() < seen {
			t.Errorf("sequence %d after %d", r.GetSequence(), seen)
		}
		seen = r.GetSequence()
		if world.StepOf(r, "wait").GetStatus() == apiv1.StepStatus_STEP_STATUS_RUNNING {
			break
		}
	}
	_ = first.Close() // as a client that loses its connection
	follow, err := w.Runs.StreamLogs(ctx, &apiv1.StreamLogsRequest{Id: id, Follow: true})
	if err != nil {
		t.Fatal(err)
	}
	w.Open("go")
	second, err := w.Runs.WatchRun(ctx, &apiv1.WatchRunRequest{Id: id, AfterSequence: seen})
	if err != nil {
		t.Fatal(err)
	}
	var last *apiv1.Run
	for second.Receive() {
		if last = second.Msg().GetRun(); last.GetSequence() <= seen {
			t.Errorf("%d was seen before", last.GetSequence())
		}
	}
	if err := second.Err(); err != nil || last.GetStatus() != apiv1.RunStatus_RUN_STATUS_SUCCEEDED {
		t.Errorf("the watch ends with %v: %v", last.GetStatus(), err)
	}
	var text strings.Builder
	for follow.Receive() {
		text.WriteString(follow.Msg().GetEntry().GetText())
	}
	if err := follow.Err(); err != nil || text.String() != "one\ntwo\nthree\n" {
		t.Errorf("the logs are %q: %v", text.String(), err)
	}
	got, err := w.Runs.GetRun(ctx, &apiv1.GetRunRequest{Id: id, AfterSequence: last.GetSequence(), Wait: durationpb.New(50 * time.Millisecond)})
	if err != nil || got.GetRun().GetSequence() != last.GetSequence() {
		t.Errorf("a wait without a change: %v, %v", got, err)
	}
}

func TestWatchingTheLanes(t *testing.T) {
	w := up(t, held)
	ctx, cancel := context.WithTimeout(t.Context(), world.Patience)
	defer cancel()
	lanes, err := w.Lanes.WatchLanes(ctx, &apiv1.WatchLanesRequest{})
	if err != nil {
		t.Fatal(err)
	}
	first, second := w.Deploy("web", "staging", "v1", ""), w.Deploy("web", "staging", "v1", "")
	await := func(what string, occupied, queued int) {
		t.Helper()
		for lanes.Receive() {
			for _, lane := range lanes.Msg().GetLanes() {
				if lane.GetName() == "web/staging" && len(lane.GetOccupied()) == occupied && len(lane.GetQueued()) == queued {
					return
				}
			}
		}
		t.Fatalf("never seen: %s: %v", what, lanes.Err())
	}
	await("one runs, one waits", 1, 1)
	w.Open("v1")
	w.Succeeded(first)
	w.Succeeded(second)
	await("both have ended", 0, 0)
}

func TestListsPageByPage(t *testing.T) {
	w := up(t, func(w *world.World) map[string][]world.Map {
		return map[string][]world.Map{"web": {{"name": "true", "run": []string{"true"}}}}
	})
	want := map[string]bool{}
	for range 7 {
		want[w.Deploy("web", "staging", "", "")] = true
	}
	req := &apiv1.ListRunsRequest{PageSize: 3}
	for pages := 1; ; pages++ {
		answer, err := w.Runs.ListRuns(t.Context(), req)
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range answer.GetRuns() {
			if !want[r.GetId()] {
				t.Errorf("%s is unexpected or there twice", r.GetId())
			}
			delete(want, r.GetId())
		}
		if req.PageToken = answer.GetNextPageToken(); req.PageToken == "" {
			if len(want) > 0 || pages != 3 {
				t.Errorf("%d pages, missing %v", pages, want)
			}
			return
		}
	}
}

// health is gRPC's own service, over HTTP/2 without TLS.
func TestGRPCHealthReflectionAndTheAPI(t *testing.T) {
	w := up(t, three)
	h2 := &http.Client{Transport: w.Transport(true)}
	runs := apiv1connect.NewRunServiceClient(h2, "http://localhost", connect.WithGRPC())
	if _, err := runs.ListRuns(t.Context(), &apiv1.ListRunsRequest{}); err != nil {
		t.Errorf("gRPC: %v", err)
	}
	status, answer := postTo(t, w, "/grpc.health.v1.Health/Check", `{}`)
	if status != http.StatusOK || answer["status"] != "SERVING" {
		t.Errorf("health: %d %v", status, answer)
	}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://localhost/grpc.reflection.v1.ServerReflection/ServerReflectionInfo",
		bytes.NewReader([]byte{0, 0, 0, 0, 2, 0x3a, 0})) // list_services
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/grpc")
	req.Header.Set("Te", "trailers")
	resp, err := h2.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"slipway.api.v1.RunService", "slipway.api.v1.LaneService"} {
		if !bytes.Contains(text, []byte(name)) {
			t.Errorf("reflection does not name %s: %q", name, text)
		}
	}
	for _, path := range []string{"/healthz", "/readyz", "/metrics"} {
		resp, err := w.HTTP.Get("http://localhost" + path)
		if err != nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close()
		if resp.StatusCode != http.StatusOK {
			t.Errorf("%s answers %d", path, resp.StatusCode)
		}
	}
}

func postTo(t *testing.T, w *world.World, path, body string) (int, map[string]any) {
	t.Helper()
	return post(t, w, "", body, func(r *http.Request) { r.URL.Path = path })
}

func TestWithoutATokenOnlyThisMachineIsAnswered(t *testing.T) {
	w := up(t, three)
	for name, change := range map[string]func(*http.Request){
		"forwarded":   func(r *http.Request) { r.Header.Set("X-Forwarded-For", "127.0.0.1") },
		"Forwarded":   func(r *http.Request) { r.Header.Set("Forwarded", "for=127.0.0.1") },
		"rebound":     func(r *http.Request) { r.Host = "evil.example" },
		"cross-site":  func(r *http.Request) { r.Header.Set("Origin", "https://evil.example") },
		"rebound too": func(r *http.Request) { r.Host = "localhost.evil.example:80" },
	} {
		if status, answer := post(t, w, "RunService/ListRuns", `{}`, change); status != http.StatusForbidden {
			t.Errorf("%s: %d %v", name, status, answer)
		}
	}
	if status, _ := post(t, w, "RunService/ListRuns", `{}`); status != http.StatusOK {
		t.Errorf("this machine: %d", status)
	}
}

func TestWithATokenOnlyItsHolderIsAnswered(t *testing.T) {
	const token = "the-token-of-this-test"
	w := up(t, three, world.Env("SLIPWAY_API_TOKEN", token))
	with := func(header string) func(*http.Request) {
		return func(r *http.Request) { r.Header.Set("Authorization", header) }
	}
	for _, wrong := range []string{"", "Bearer", "Bearer ", "Bearer wrong", token, "Basic " + token} {
		if status, answer := post(t, w, "RunService/ListRuns", `{}`, with(wrong)); status != http.StatusUnauthorized {
			t.Errorf("%q: %d %v", wrong, status, answer)
		}
	}
	far := func(r *http.Request) { r.Host = "slipway.example"; r.Header.Set("X-Forwarded-For", "192.0.2.1") }
	if status, answer := post(t, w, "RunService/ListRuns", `{}`, with("Bearer "+token), far); status != http.StatusOK {
		t.Errorf("the holder: %d %v", status, answer)
	}
	for method, body := range map[string]string{"LaneService/ListLanes": `{}`, "SystemService/Doctor": `{}`} {
		if status, _ := post(t, w, method, body); status != http.StatusUnauthorized {
			t.Errorf("%s without a token: %d", method, status)
		}
	}
}
