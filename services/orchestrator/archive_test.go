package orchestrator

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"connectrpc.com/connect"
	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/slipway-hq/slipway/domain/run"
	apiv1 "github.com/slipway-hq/slipway/gen/slipway/api/v1"
	commandv1 "github.com/slipway-hq/slipway/gen/slipway/command/v1"
	eventv1 "github.com/slipway-hq/slipway/gen/slipway/event/v1"
	"github.com/slipway-hq/slipway/internal/engine"
	"github.com/slipway-hq/slipway/internal/runlog"
	"github.com/slipway-hq/slipway/internal/topology"
)

const (
	toStdout = commandv1.LogChunk_STREAM_STDOUT
	toStderr = commandv1.LogChunk_STREAM_STDERR
)

// live is a run that waits; ended is one that was cancelled.
func (s *service) live(t *testing.T, key string) run.State {
	t.Helper()
	st, err := s.desk.start(t.Context(), local(), deployment{identity: key, service: "checkout", environment: "staging", version: key})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.proj.WaitFor(t.Context(), st.Sequence); err != nil {
		t.Fatal(err)
	}
	return st
}

func (s *service) ended(t *testing.T, key string) run.State {
	t.Helper()
	st := s.live(t, key)
	s.cancel(t, st.ID)
	return st
}

func (s *service) cancel(t *testing.T, id string) {
	t.Helper()
	if _, err := s.desk.cancel(t.Context(), local(), id, ""); err != nil {
		t.Fatal(err)
	}
	until(t, "the end", func() bool { _, ended := s.finished(id); return ended })
}

// print stores output of the first step, as a runner does.
func (s *service) print(t *testing.T, id string, attempt uint32, stream commandv1.LogChunk_Stream, text string) {
	t.Helper()
	data, err := proto.Marshal(&commandv1.LogChunk{Stream: stream, Time: timestamppb.Now(), Data: []byte(text)})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.js.Publish(t.Context(), topology.LogSubject(id, 0, attempt, 7), data); err != nil {
		t.Fatal(err)
	}
}

// printed is what a question for output gets, as one text.
func (s *service) printed(t *testing.T, id string, q logQuery) string {
	t.Helper()
	st, err := s.view.state(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	entries, _, err := (&logReader{logs: s.logs}).query(t.Context(), st, q)
	if err != nil {
		t.Fatal(err)
	}
	return texts(entries)
}

func texts(entries []*apiv1.LogEntry) string {
	var b strings.Builder
	for _, e := range entries {
		b.WriteString(e.GetText())
	}
	return b.String()
}

func (s *service) keptRuns(t *testing.T) map[string]bool {
	t.Helper()
	kept, err := s.logs.Kept(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]bool{}
	for _, p := range kept {
		out[p.Run] = true
	}
	return out
}

func do(t *testing.T, work func(context.Context) error) {
	t.Helper()
	if err := work(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func TestOutputIsAskedForByEndStreamAndAttempt(t *testing.T) {
	s := startService(t)
	id := s.live(t, "k").ID
	s.print(t, id, 1, toStdout, "one\ntwo\nthr")
	s.print(t, id, 1, toStdout, "ee\n")
	s.print(t, id, 1, toStderr, "oops\n")
	s.print(t, id, 2, toStdout, "four\nfive")
	for _, c := range []struct {
		q    logQuery
		want string
	}{
		{logQuery{}, "one\ntwo\nthree\noops\nfour\nfive"},
		{logQuery{head: 1}, "one\n"},
		{logQuery{head: 3}, "one\ntwo\nthree\n"},
		{logQuery{head: 99}, "one\ntwo\nthree\noops\nfour\nfive"},
		{logQuery{tail: 1}, "five"},
		{logQuery{tail: 3}, "oops\nfour\nfive"},
		{logQuery{tail: 4}, "three\noops\nfour\nfive"},
		{logQuery{tail: 99}, "one\ntwo\nthree\noops\nfour\nfive"},
		{logQuery{stream: "stderr"}, "oops\n"},
		{logQuery{stream: "stdout", tail: 3}, "three\nfour\nfive"},
		{logQuery{attempt: 2}, "four\nfive"},
		{logQuery{step: "ship"}, ""},
		{logQuery{step: "build", stream: "stdout", attempt: 1, head: 2}, "one\ntwo\n"},
	} {
		if diff := cmp.Diff(c.want, s.printed(t, id, c.q)); diff != "" {
			t.Errorf("%+v: %s", c.q, diff)
		}
	}
}

func TestTheAPIRefusesAQuestionWithoutSense(t *testing.T) {
	s := startService(t)
	id := s.live(t, "k").ID
	api := &runAPI{view: s.view, proj: s.proj, logs: &logReader{logs: s.logs}}
	for _, req := range []*apiv1.GetLogsRequest{{Id: id, HeadLines: 1, TailLines: 1}, {Id: id, Stream: "sterr"}} {
		if _, err := api.GetLogs(t.Context(), req); connect.CodeOf(err) != connect.CodeInvalidArgument {
			t.Errorf("%v: %v", req, err)
		}
	}
	resp, err := api.GetLogs(t.Context(), &apiv1.GetLogsRequest{Id: id, HeadLines: 1, Stream: "stdout", Attempt: 1})
	if err != nil || len(resp.GetEntries()) != 0 {
		t.Errorf("%v, %v", resp, err)
	}
}

func TestOutputIsPackedAWhileAfterTheEnd(t *testing.T) {
	s := startService(t)
	done, alive := s.ended(t, "done").ID, s.live(t, "alive").ID
	for _, id := range []string{done, alive} {
		s.print(t, id, 1, toStdout, "text of "+id+"\n")
	}
	do(t, s.packLogs)
	if kept := s.keptRuns(t); len(kept) != 0 {
		t.Fatalf("packed too soon: %v", kept)
	}
	s.skew.Store(int64(packAfter + time.Minute))
	do(t, s.packLogs)
	if diff := cmp.Diff(map[string]bool{done: true}, s.keptRuns(t)); diff != "" {
		t.Errorf("packed: %s", diff)
	}
	waiting, err := s.logs.Waiting(t.Context())
	if err != nil || !cmp.Equal(waiting, []string{alive}) {
		t.Errorf("in LOGS is output of %v, %v", waiting, err)
	}
	for _, id := range []string{done, alive} {
		if got := s.printed(t, id, logQuery{}); got != "text of "+id+"\n" {
			t.Errorf("%s: %q", id, got)
		}
	}
}

// TestAPackedRunIsFollowedToItsEnd: whoever follows a run that has ended long
// ago gets all of it, and an end.
func TestAPackedRunIsFollowedToItsEnd(t *testing.T) {
	s := startService(t)
	st := s.ended(t, "k")
	s.print(t, st.ID, 1, toStdout, "a\n")
	s.print(t, st.ID, 1, toStderr, "b\n")
	s.skew.Store(int64(packAfter + time.Minute))
	do(t, s.packLogs)
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	got := ""
	done := func() bool { _, ended := s.finished(st.ID); return ended }
	err := (&logReader{logs: s.logs}).stream(ctx, st, logQuery{}, 0, done, nil, func(e *apiv1.LogEntry) error {
		got += e.GetStream() + ":" + e.GetText()
		return nil
	})
	if err != nil || got != "stdout:a\nstderr:b\n" {
		t.Errorf("%q, %v", got, err)
	}
}

func TestOutputIsDroppedByAgeAndCountAndHistoryStays(t *testing.T) {
	s := startService(t)
	var runs []string
	for i := range 3 {
		s.skew.Store(int64(time.Duration(i) * time.Hour))
		st := s.ended(t, fmt.Sprint("k", i))
		s.print(t, st.ID, 1, toStdout, "text\n")
		runs = append(runs, st.ID)
	}
	alive := s.live(t, "alive").ID
	s.print(t, alive, 1, toStdout, "text\n")
	s.skew.Store(int64(3 * time.Hour))
	do(t, s.packLogs)

	s.cfg.Logs.Runs = 2
	do(t, s.dropLogs)
	if diff := cmp.Diff(map[string]bool{runs[1]: true, runs[2]: true}, s.keptRuns(t)); diff != "" {
		t.Errorf("of three, two are to be kept: %s", diff)
	}
	s.skew.Store(int64(defaultLogAge + 90*time.Minute)) // the second is too old now
	do(t, s.dropLogs)
	if diff := cmp.Diff(map[string]bool{runs[2]: true}, s.keptRuns(t)); diff != "" {
		t.Errorf("the second is too old: %s", diff)
	}
	s.skew.Store(int64(10 * defaultLogAge))
	do(t, s.dropLogs)
	if kept := s.keptRuns(t); len(kept) != 0 {
		t.Errorf("still kept: %v", kept)
	}
	if got := s.printed(t, alive, logQuery{}); got != "text\n" {
		t.Errorf("a live run was touched: %q", got)
	}
	for _, id := range runs {
		if st, err := s.view.state(t.Context(), id); err != nil || st.Status != run.Cancelled {
			t.Errorf("the history of %s is gone: %v", id, err)
		}
		if got := s.printed(t, id, logQuery{}); got != "" {
			t.Errorf("%s still shows %q", id, got)
		}
	}
}

func TestReportsGoWithTheArtefacts(t *testing.T) {
	s := startService(t)
	id := s.ended(t, "k").ID
	store, err := topology.Objects(t.Context(), s.js)
	if err != nil {
		t.Fatal(err)
	}
	name := runlog.StdoutObject(id, 0, 1, 7)
	if _, err := store.PutString(t.Context(), name, "report"); err != nil {
		t.Fatal(err)
	}
	do(t, s.dropArtefacts)
	if _, err := store.GetInfo(t.Context(), name); err != nil {
		t.Fatalf("dropped too soon: %v", err)
	}
	s.skew.Store(int64(artefactAge + time.Hour))
	do(t, s.dropArtefacts)
	if _, err := store.GetInfo(t.Context(), name); err == nil {
		t.Error("an old report is still there")
	}
}

func TestDoctorSaysHowMuchOutputIsKept(t *testing.T) {
	s := startService(t)
	id := s.ended(t, "k").ID
	s.print(t, id, 1, toStdout, strings.Repeat("text\n", 1000))
	s.skew.Store(int64(packAfter + time.Minute))
	do(t, s.packLogs)
	checks := (&systemAPI{o: s.Orchestrator}).logs(t.Context())
	if len(checks) != 1 || checks[0].GetLevel() != apiv1.Check_LEVEL_OK {
		t.Fatal(checks)
	}
	for _, words := range []string{"output of 1 ended runs", "from 4.9 KiB", "of 0 runs as it came", "336h0m0s and 10000 runs"} {
		if !strings.Contains(checks[0].GetFinding(), words) {
			t.Errorf("%q does not say %q", checks[0].GetFinding(), words)
		}
	}
}

// pageOf serves the page as the API does: with a token, if there is one.
func (s *service) pageOf(t *testing.T, token string, link runlog.Link) *httptest.Server {
	t.Helper()
	page := &logPage{
		guard: newGuard(token), link: link, view: s.view, proj: s.proj, logs: &logReader{logs: s.logs}, now: s.deps.Now, open: make(chan struct{}, 1),
	}
	mux := http.NewServeMux()
	mux.Handle(runlog.PagePath, page)
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	return server
}

func get(t *testing.T, address, accept string) (int, string, http.Header) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Accept", accept)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(body), resp.Header
}

func TestThePageShowsOutputAsTextAndInABrowser(t *testing.T) {
	s := startService(t)
	id := s.ended(t, "k").ID
	s.print(t, id, 1, toStdout, "<script>alert(1)</script> \x1b[31mred\x1b[0m\n")
	s.print(t, id, 1, toStderr, "oops\n")
	server := s.pageOf(t, "", runlog.Link{})
	status, body, _ := get(t, server.URL+"/logs/"+id, "*/*")
	if want := "# build, attempt 1\n<script>alert(1)</script> \x1b[31mred\x1b[0m\noops\n"; status != 200 || body != want {
		t.Errorf("%d: %q", status, body)
	}
	if _, body, _ = get(t, server.URL+"/logs/"+id[:7]+"?stream=stderr&tail=1", "*/*"); body != "# build, attempt 1\noops\n" {
		t.Errorf("%q", body)
	}
	status, body, header := get(t, server.URL+"/logs/"+id, "text/html,*/*")
	if status != 200 || strings.Contains(body, "<script>") || strings.Contains(body, "\x1b") || !strings.Contains(body, `<span class="stderr">oops`) || !strings.HasSuffix(body, "</html>\n") {
		t.Errorf("%d: %s", status, body)
	}
	if !strings.Contains(header.Get("Content-Security-Policy"), "default-src 'none'") || header.Get("Referrer-Policy") != "no-referrer" {
		t.Errorf("headers %v", header)
	}
	for path, want := range map[string]int{
		"/logs/d-nothere": 404, "/logs/" + id + "?stream=x": 400, "/logs/" + id + "?tail=x": 400, "/logs/" + id + "?step=x": 400, "/logs/" + id + "?head=1&tail=1": 400,
	} {
		if status, body, _ := get(t, server.URL+path, "*/*"); status != want {
			t.Errorf("%s: %d %s", path, status, body)
		}
	}
}

func TestThePageFollowsALiveRun(t *testing.T) {
	s := startService(t)
	id := s.live(t, "k").ID
	s.print(t, id, 1, toStdout, "first\n")
	server := s.pageOf(t, "", runlog.Link{})
	resp, err := http.Get(server.URL + "/logs/" + id) //nolint:noctx // the test ends it
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	want := "# build, attempt 1\nfirst\n"
	buf := make([]byte, len(want))
	if _, err := io.ReadFull(resp.Body, buf); err != nil || string(buf) != want {
		t.Fatalf("%q, %v", buf, err)
	}
	if status, body, _ := get(t, server.URL+"/logs/"+id, "*/*"); status != http.StatusServiceUnavailable {
		t.Errorf("a page over the bound: %d %s", status, body)
	}
	s.print(t, id, 1, toStdout, "second\n")
	s.cancel(t, id)
	rest, err := io.ReadAll(resp.Body)
	if err != nil || string(rest) != "second\n" {
		t.Errorf("%q, %v", rest, err)
	}
}

func TestAPageIsForWhoHasTheRight(t *testing.T) {
	s := startService(t)
	st := s.ended(t, "k")
	link := runlog.Link{Base: "https://slipway.example.org", Key: []byte("key")}
	server := s.pageOf(t, "the token", link)
	at := func(id string) string {
		u, err := url.Parse(link.URL(id, st.Created))
		if err != nil {
			t.Fatal(err)
		}
		return server.URL + u.Path + "?" + u.RawQuery
	}
	if status, body, _ := get(t, at(st.ID), "text/html"); status != 200 || !strings.Contains(body, "signature=") {
		t.Errorf("with its address: %d %s", status, body)
	}
	other := s.ended(t, "other").ID
	for name, address := range map[string]string{
		"without": server.URL + "/logs/" + st.ID, "another run": strings.Replace(at(st.ID), st.ID, other, 1), "a prefix": strings.Replace(at(st.ID), st.ID, st.ID[:8], 1),
	} {
		if status, _, _ := get(t, address, "*/*"); status != http.StatusUnauthorized {
			t.Errorf("%s: %d", name, status)
		}
	}
	s.skew.Store(int64(60 * 24 * time.Hour))
	if status, _, _ := get(t, at(st.ID), "*/*"); status != http.StatusUnauthorized {
		t.Errorf("too late: %d", status)
	}
}

// TestAnAddressOpensNoRestrictedRun: it stands in a channel where guests read.
func TestAnAddressOpensNoRestrictedRun(t *testing.T) {
	link := runlog.Link{Base: "https://slipway.example.org", Key: []byte("key")}
	inHouse(t, 1, func(h *house) {
		const id = "j-bbbbbbbbbbbbbbbbbbbbbbbbbb"
		plan := &eventv1.Plan{Pipeline: "p", Lane: "l", Pool: "default", Restricted: true, Steps: []*eventv1.Step{{Name: "a", Shell: "true"}}}
		event := &eventv1.RunRequested{Run: id, Identity: id, Digest: []byte("d"), Plan: plan, Namespace: "ops", Job: "backup"}
		handle, err := engine.Open(h.ctx, h.log, topology.RunSubject(id), run.State{}, foldRun)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := handle.Do(h.ctx, engine.Meta{Time: time.Now()}, func(s run.State) ([]*eventv1.Event, error) { return run.Decide(s, run.Request{Event: event}) }); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		p := &logPage{guard: newGuard("the token"), link: link, view: h.first().view, now: time.Now}
		created := time.Now()
		r := httptest.NewRequest(http.MethodGet, link.URL(id, created), nil)
		if _, status, _ := p.admit(r); status != http.StatusForbidden {
			t.Errorf("by its address: %d", status)
		}
		r.Header.Set("Authorization", "Bearer the token")
		if s, status, words := p.admit(r); status != 0 || s.ID != id {
			t.Errorf("with the token: %d %s", status, words)
		}
	})
}
