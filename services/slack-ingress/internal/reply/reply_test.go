package reply_test

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/slack-go/slack"

	commandv1 "github.com/slipway-hq/slipway/gen/slipway/command/v1"
	"github.com/slipway-hq/slipway/services/slack-ingress/internal/reply"
	"github.com/slipway-hq/slipway/services/slack-ingress/internal/request"
)

const patience = 10 * time.Second

func TestWhereAResponseURLMayLead(t *testing.T) {
	const real, local = "https://slack.com/api/", "http://127.0.0.1:8065/api/"
	for _, c := range []struct {
		url, api string
		want     bool
	}{
		{"https://hooks.slack.com/commands/T/1/x", real, true},
		{"https://hooks.slack.com/commands/T/1/x", local, true},
		{"http://hooks.slack.com/commands/T/1/x", real, false},
		{"http://127.0.0.1:8065/hooks/x", real, false},
		{"http://127.0.0.1:8065/hooks/x", local, true},
		{"http://127.0.0.1:9999/hooks/x", local, true},
		{"http://localhost:9999/hooks/x", local, true},
		{"http://[::1]:9999/hooks/x", local, true},
		{"http://169.254.169.254/latest", local, false},
		{"http://10.0.0.1:8065/x", local, false},
		{"http://slack.internal:80/x", "http://slack.internal:80/api/", true},
		{"http://slack.internal:81/x", "http://slack.internal:80/api/", false},
		{"http://slack.internal:80/x", "https://slack.internal:80/api/", false},
		{"https://user:pass@hooks.slack.com/x", real, false},
		{"ftp://hooks.slack.com/x", real, false},
		{"file:///etc/passwd", local, false},
		{"/x", local, false}, {"", local, false}, {"https://", real, false}, {"::", real, false},
	} {
		if got := reply.Allowed(c.url, c.api); got != c.want {
			t.Errorf("Allowed(%q, %q) = %v, want %v", c.url, c.api, got, c.want)
		}
	}
}

func TestAnswersArePrivateUnlessSaidOtherwise(t *testing.T) {
	for visibility, want := range map[commandv1.Answer_Visibility]string{
		commandv1.Answer_VISIBILITY_UNSPECIFIED: "ephemeral",
		commandv1.Answer_VISIBILITY_PRIVATE:     "ephemeral",
		commandv1.Answer_VISIBILITY_PUBLIC:      "in_channel",
	} {
		if got := reply.Render(&commandv1.Answer{Visibility: visibility, Text: "x"}).ResponseType; got != want {
			t.Errorf("%v is %q, want %q", visibility, got, want)
		}
	}
}

func TestChoicesBecomeButtonsWithinSlacksBounds(t *testing.T) {
	answer := &commandv1.Answer{Text: strings.Repeat("ä", 5000)}
	for range 9 {
		answer.Choices = append(answer.Choices, &commandv1.Choice{Label: strings.Repeat("b", 200), Sentence: "deploy web to staging"})
	}
	message := reply.Render(answer)
	data, err := json.Marshal(message)
	if err != nil {
		t.Fatal(err)
	}
	var got struct {
		Text   string
		Blocks []struct {
			Type     string
			Text     struct{ Text string }
			Elements []struct {
				ActionID string `json:"action_id"`
				Value    string
				Text     struct{ Text string }
			}
		}
	}
	if err := json.Unmarshal(data, &got); err != nil {
		t.Fatal(err)
	}
	if len([]rune(got.Text)) != 4000 || len(got.Blocks) != 2 || len([]rune(got.Blocks[0].Text.Text)) != 3000 || len(got.Blocks[1].Elements) != 5 {
		t.Fatalf("message %.300s", data)
	}
	ids := map[string]bool{}
	for _, e := range got.Blocks[1].Elements {
		ids[e.ActionID] = true
		if len(e.Text.Text) > 75+len("…") || e.Value != "deploy web to staging" {
			t.Errorf("button %+v", e)
		}
	}
	if len(ids) != 5 {
		t.Errorf("action ids %v must differ", ids)
	}
}

// slackServer records what it is sent and answers by script.
type slackServer struct {
	*httptest.Server
	mu     sync.Mutex
	calls  []string // path and body
	answer func(path string, n int, w http.ResponseWriter)
}

func newSlack(t *testing.T, answer func(path string, n int, w http.ResponseWriter)) *slackServer {
	t.Helper()
	s := &slackServer{answer: answer}
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		s.mu.Lock()
		s.calls = append(s.calls, r.URL.Path+" "+string(body))
		n := len(s.calls)
		s.mu.Unlock()
		s.answer(r.URL.Path, n, w)
	}))
	t.Cleanup(s.Close)
	return s
}

func (s *slackServer) seen() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]string(nil), s.calls...)
}

type teller struct {
	*reply.Teller
	outcomes chan string
	log      *bytes.Buffer
	stop     func()
}

func start(t *testing.T, s *slackServer, withAPI bool) *teller {
	t.Helper()
	out := &teller{outcomes: make(chan string, 4000), log: &bytes.Buffer{}}
	cfg := reply.Config{
		APIURL: s.URL + "/api/",
		Logger: slog.New(slog.NewTextHandler(out.log, nil)),
		Sent:   func(outcome string) { out.outcomes <- outcome },
	}
	if withAPI {
		cfg.API = slack.New("xoxb-token", slack.OptionAPIURL(cfg.APIURL))
	}
	out.Teller = reply.New(cfg)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { defer close(done); out.Run(ctx, patience) }()
	out.stop = func() { cancel(); <-done }
	t.Cleanup(out.stop)
	return out
}

func (o *teller) outcome(t *testing.T) string {
	t.Helper()
	select {
	case got := <-o.outcomes:
		return got
	case <-time.After(patience):
		t.Fatal("nothing was sent")
		return ""
	}
}

func ok(_ string, _ int, w http.ResponseWriter) {
	_, _ = io.WriteString(w, `{"ok":true,"channel":"C1","ts":"1.2","message_ts":"1.2"}`)
}

func TestResponseURLIsPreferred(t *testing.T) {
	s := newSlack(t, ok)
	o := start(t, s, true)
	o.Tell(request.Reply{ResponseURL: s.URL + "/hooks/urlsecret", Channel: "C1", User: "U1"}, &commandv1.Answer{Text: "hello"})
	if got := o.outcome(t); got != "sent" {
		t.Fatalf("outcome %q", got)
	}
	if calls := s.seen(); len(calls) != 1 || !strings.HasPrefix(calls[0], "/hooks/urlsecret ") || !strings.Contains(calls[0], `"response_type":"ephemeral"`) || !strings.Contains(calls[0], `"replace_original":false`) {
		t.Errorf("calls %q", calls)
	}
}

func TestMentionsAreAnsweredByTheWebAPI(t *testing.T) {
	s := newSlack(t, ok)
	o := start(t, s, true)
	to := request.Reply{Channel: "C1", User: "U1", Thread: "1.1"}
	o.Tell(to, &commandv1.Answer{Text: "private"})
	o.outcome(t)
	o.Tell(to, &commandv1.Answer{Text: "public", Visibility: commandv1.Answer_VISIBILITY_PUBLIC, Threaded: true})
	o.outcome(t)
	calls := s.seen()
	if len(calls) != 2 || !strings.HasPrefix(calls[0], "/api/chat.postEphemeral ") || strings.Contains(calls[0], "thread_ts") ||
		!strings.HasPrefix(calls[1], "/api/chat.postMessage ") || !strings.Contains(calls[1], "thread_ts=1.1") {
		t.Errorf("calls %q", calls)
	}
}

func TestOnlyARefusalIsFollowedByAnotherTry(t *testing.T) {
	limited := func(path string, n int, w http.ResponseWriter) {
		if n == 1 {
			w.Header().Set("Retry-After", "0")
			w.WriteHeader(http.StatusTooManyRequests)
			return
		}
		ok(path, n, w)
	}
	for name, c := range map[string]struct {
		answer  func(string, int, http.ResponseWriter)
		url     bool
		outcome string
		calls   int
	}{
		"url limited":   {limited, true, "sent", 2},
		"url ambiguous": {func(_ string, _ int, w http.ResponseWriter) { w.WriteHeader(http.StatusBadGateway) }, true, "failed", 1},
		"url expired":   {func(p string, n int, w http.ResponseWriter) { status(p, n, w, http.StatusNotFound) }, true, "sent", 2},
		"url redirects": {func(p string, n int, w http.ResponseWriter) { status(p, n, w, http.StatusTemporaryRedirect) }, true, "sent", 2},
		"api ambiguous": {func(_ string, _ int, w http.ResponseWriter) { w.WriteHeader(http.StatusBadGateway) }, false, "failed", 1},
		"api says no": {func(_ string, _ int, w http.ResponseWriter) {
			_, _ = io.WriteString(w, `{"ok":false,"error":"not_in_channel"}`)
		}, false, "failed", 1},
		"api cuts off":    {func(_ string, _ int, w http.ResponseWriter) { panic(http.ErrAbortHandler) }, false, "failed", 1},
		"url cuts off":    {func(_ string, _ int, w http.ResponseWriter) { panic(http.ErrAbortHandler) }, true, "failed", 1},
		"url not allowed": {ok, true, "sent", 1},
	} {
		t.Run(name, func(t *testing.T) {
			s := newSlack(t, c.answer)
			o := start(t, s, true)
			to := request.Reply{Channel: "C1", User: "U1"}
			if c.url {
				to.ResponseURL = s.URL + "/hooks/urlsecret"
			}
			if name == "url not allowed" {
				to.ResponseURL = "http://192.0.2.1/hooks/urlsecret"
			}
			o.Tell(to, &commandv1.Answer{Text: "hello"})
			if got := o.outcome(t); got != c.outcome || len(s.seen()) != c.calls {
				t.Errorf("outcome %q after %q; want %q after %d", got, s.seen(), c.outcome, c.calls)
			}
			o.stop()
			if log := o.log.String(); strings.Contains(log, "urlsecret") || strings.Contains(log, "xoxb-token") {
				t.Errorf("a secret is in the log: %s", log)
			}
		})
	}
}

func status(path string, n int, w http.ResponseWriter, code int) {
	if strings.HasPrefix(path, "/hooks/") {
		w.Header().Set("Location", "/elsewhere")
		w.WriteHeader(code)
		return
	}
	ok(path, n, w)
}

func TestTellNeverBlocks(t *testing.T) {
	hold := make(chan struct{})
	s := newSlack(t, func(p string, n int, w http.ResponseWriter) { <-hold; ok(p, n, w) })
	o := start(t, s, true)
	t.Cleanup(func() { close(hold) }) // before start's own, which waits
	to := request.Reply{Channel: "C1", User: "U1"}
	for range 2000 {
		if !o.Tell(to, &commandv1.Answer{Text: "x"}) {
			if got := o.outcome(t); got != "dropped" {
				t.Errorf("outcome %q", got)
			}
			return
		}
	}
	t.Error("the queue has no bound")
}
