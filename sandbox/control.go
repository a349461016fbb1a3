package sandbox

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

// maxControlBody bounds what the page and tests send.
const maxControlBody = 256 << 10

// controlMux is the page, its static files and the JSON API behind it.
func (s *Server) controlMux() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", s.servePage)
	mux.Handle("GET /static/", staticFiles())
	mux.HandleFunc("GET /archives/{channel}/{message}", s.servePermalink)
	mux.HandleFunc("GET /sandbox/config", s.serveConfig)
	mux.HandleFunc("GET /sandbox/state", s.serveState)
	mux.HandleFunc("GET /sandbox/journal", s.serveJournal)
	mux.HandleFunc("GET /sandbox/events", s.serveEvents)
	mux.HandleFunc("GET /sandbox/faults", func(w http.ResponseWriter, _ *http.Request) { reply(w, s.faults.Active()) })
	mux.HandleFunc("POST /sandbox/secrets", s.serveSecrets)
	mux.HandleFunc("POST /sandbox/target", control(s.controlTarget))
	mux.HandleFunc("POST /sandbox/command", control(s.controlCommand))
	mux.HandleFunc("POST /sandbox/post", control(s.controlPost))
	mux.HandleFunc("POST /sandbox/click", control(s.controlClick))
	mux.HandleFunc("POST /sandbox/react", control(s.controlReact))
	mux.HandleFunc("POST /sandbox/pin", control(s.controlPin))
	mux.HandleFunc("POST /sandbox/edit", control(s.controlEdit))
	mux.HandleFunc("POST /sandbox/delete", control(s.controlDelete))
	mux.HandleFunc("POST /sandbox/remind", control(s.controlRemind))
	mux.HandleFunc("POST /sandbox/channel", control(s.controlChannel))
	mux.HandleFunc("POST /sandbox/standing", control(s.controlStanding))
	mux.HandleFunc("POST /sandbox/submit", control(s.controlSubmit))
	mux.HandleFunc("POST /sandbox/close-view", control(s.controlCloseView))
	mux.HandleFunc("GET /sandbox/files/{id}", s.serveFile)
	mux.HandleFunc("POST /sandbox/redeliver", control(s.controlRedeliver))
	mux.HandleFunc("POST /sandbox/faults", control(s.controlFaults))
	mux.HandleFunc("POST /sandbox/kill-runner", control(s.controlKill))
	return mux
}

// guard keeps other web pages out: only loopback names in Host (DNS rebinding), only our own origin on writes (CSRF).
func (s *Server) guard(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !loopback(r.Host) {
			http.Error(w, "the sandbox answers only to loopback names", http.StatusForbidden)
			return
		}
		if origin := r.Header.Get("Origin"); origin != "" {
			if u, err := url.Parse(origin); err != nil || u.Host != r.Host {
				http.Error(w, "cross-origin requests are refused", http.StatusForbidden)
				return
			}
		}
		if site := r.Header.Get("Sec-Fetch-Site"); r.Method != http.MethodGet && site != "" && site != "same-origin" && site != "none" {
			http.Error(w, "cross-site requests are refused", http.StatusForbidden)
			return
		}
		w.Header().Set("Content-Security-Policy", contentPolicy)
		w.Header().Set("X-Content-Type-Options", "nosniff")
		w.Header().Set("Referrer-Policy", "no-referrer")
		next.ServeHTTP(w, r)
	})
}

// contentPolicy lets the page run its own files and nothing else.
const contentPolicy = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; " +
	"base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

func loopback(host string) bool {
	name, _, err := net.SplitHostPort(host)
	if err != nil {
		name = host
	}
	name = strings.Trim(name, "[]")
	ip := net.ParseIP(name)
	return name == "localhost" || ip != nil && ip.IsLoopback()
}

func reply(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	_ = json.NewEncoder(w).Encode(v) // the client may be gone; nobody is left to tell
}

// control decodes a JSON body for a handler and turns its error into a status.
func control[T any](handle func(context.Context, T) (any, error)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		var in T
		d := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxControlBody))
		d.DisallowUnknownFields()
		if err := d.Decode(&in); err != nil {
			replyError(w, http.StatusBadRequest, err)
			return
		}
		out, err := handle(r.Context(), in)
		switch {
		case slices.ContainsFunc(absent, func(what error) bool { return errors.Is(err, what) }):
			replyError(w, http.StatusNotFound, err)
		case err != nil:
			replyError(w, http.StatusConflict, err)
		default:
			reply(w, out)
		}
	}
}

// absent are the errors of the driver that mean 404; the others are conflicts.
var absent = []error{ErrNoUser, ErrNoChannel, ErrNoMessage, ErrNoAction, ErrNoView, ErrNoEmoji}

func replyError(w http.ResponseWriter, status int, err error) {
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(map[string]string{"error": err.Error()}) // the client may be gone
}

// deed is what a person does: the body of command, post, click, react and pin.
type deed struct {
	User     string `json:"user"`
	Channel  string `json:"channel"`
	Command  string `json:"command"`
	Text     string `json:"text"`
	ThreadTS string `json:"thread_ts"`
	TS       string `json:"ts"`
	Action   string `json:"action"` // action_id, or block_id/action_id
	Block    string `json:"block"`
	Value    string `json:"value"`
	Name     string `json:"name"`
	Remove   bool   `json:"remove"`
}

func (s *Server) controlCommand(ctx context.Context, in deed) (any, error) {
	return s.SlashCommand(ctx, in.User, in.Channel, in.Command, in.Text)
}

func (s *Server) controlPost(ctx context.Context, in deed) (any, error) {
	return s.Post(ctx, in.User, in.Channel, in.Text, in.ThreadTS)
}

func (s *Server) controlClick(ctx context.Context, in deed) (any, error) {
	if in.Block != "" {
		return s.press(ctx, in.User, in.Channel, in.TS, in.Block, in.Action, in.Value)
	}
	return s.Choose(ctx, in.User, in.Channel, in.TS, in.Action, in.Value)
}

func (s *Server) controlReact(ctx context.Context, in deed) (any, error) {
	return struct{}{}, s.React(ctx, in.User, in.Channel, in.TS, in.Name, !in.Remove)
}

func (s *Server) controlPin(ctx context.Context, in deed) (any, error) {
	return struct{}{}, s.Pin(ctx, in.User, in.Channel, in.TS, !in.Remove)
}

func (s *Server) controlEdit(ctx context.Context, in deed) (any, error) {
	return s.Edit(ctx, in.User, in.Channel, in.TS, in.Text)
}

func (s *Server) controlDelete(ctx context.Context, in deed) (any, error) {
	return s.Delete(ctx, in.User, in.Channel, in.TS)
}

func (s *Server) controlRemind(ctx context.Context, in deed) (any, error) {
	return s.Remind(ctx, in.Channel, in.Text)
}

func (s *Server) controlChannel(ctx context.Context, in deed) (any, error) {
	return s.CreateChannel(ctx, in.User, in.Name)
}

func (s *Server) controlStanding(ctx context.Context, in deed) (any, error) {
	return struct{}{}, s.SetStanding(ctx, in.User, Standing(in.Value))
}

type submission struct {
	User   string                    `json:"user"`
	View   string                    `json:"view"`
	Values map[string]map[string]any `json:"values"`
}

func (s *Server) controlSubmit(ctx context.Context, in submission) (any, error) {
	return s.Submit(ctx, in.User, in.View, in.Values)
}

func (s *Server) controlCloseView(ctx context.Context, in submission) (any, error) {
	return s.CloseView(ctx, in.User, in.View)
}

type redelivery struct {
	ID       string `json:"id"`
	Times    int    `json:"times"`
	Parallel bool   `json:"parallel"`
}

func (s *Server) controlRedeliver(ctx context.Context, in redelivery) (any, error) {
	return s.Redeliver(ctx, in.ID, in.Times, in.Parallel)
}

// faultOrder switches faults on, or everything off. DelayMS is Fault.Delay in milliseconds.
type faultOrder struct {
	Heal    bool   `json:"heal"`
	Set     *Fault `json:"set"`
	DelayMS int    `json:"delay_ms"`
}

func (s *Server) controlFaults(_ context.Context, in faultOrder) (any, error) {
	if in.Heal {
		s.faults.Heal()
	}
	if in.Set != nil {
		if in.DelayMS > 0 {
			in.Set.Delay = time.Duration(in.DelayMS) * time.Millisecond
		}
		s.faults.Set(*in.Set)
	}
	return s.faults.Active(), nil
}

func (s *Server) controlKill(ctx context.Context, _ struct{}) (any, error) {
	if s.cfg.KillRunner == nil {
		return nil, errors.New("this sandbox has no runner to kill")
	}
	if err := s.cfg.KillRunner(ctx); err != nil {
		return nil, fmt.Errorf("kill the runner: %w", err)
	}
	return struct{}{}, nil
}

type targetOrder struct {
	URL string `json:"url"`
}

func (s *Server) controlTarget(_ context.Context, in targetOrder) (any, error) {
	if u, err := url.Parse(in.URL); err != nil || u.Scheme == "" || u.Host == "" {
		return nil, errors.New("the target is not a URL")
	}
	s.SetTarget(strings.TrimSuffix(in.URL, "/"))
	return struct{}{}, nil
}

func (s *Server) serveConfig(w http.ResponseWriter, _ *http.Request) {
	s.mu.Lock()
	target := s.target
	s.mu.Unlock()
	hints := []string{}
	if s.cfg.Hints != nil {
		hints = append(hints, s.cfg.Hints()...)
	}
	reply(w, map[string]any{
		"hints": hints, "own_emoji": orEmpty(s.cfg.Emoji),
		"url": s.URL(), "api_url": s.APIURL(), "target": target, "delivery": s.cfg.Delivery.String(), "team_id": TeamID, "app_id": AppID,
		"bot_user_id": BotUserID, "commands": s.cfg.Commands, "kill_runner": s.cfg.KillRunner != nil,
		"ack_timeout_ms": s.cfg.AckTimeout.Milliseconds(), "strict": s.cfg.Strict,
	})
}

// serveSecrets gives local test processes what they need to sign and to call.
func (s *Server) serveSecrets(w http.ResponseWriter, _ *http.Request) {
	if !s.cfg.ExposeSecrets {
		http.Error(w, "this sandbox does not expose its secrets", http.StatusForbidden)
		return
	}
	reply(w, map[string]string{"signing_secret": s.cfg.SigningSecret, "bot_token": s.cfg.BotToken, "app_token": s.cfg.AppToken})
}

// state is everything the page shows at one moment, and the change after which its stream goes on.
type state struct {
	Version  uint64    `json:"version"`
	Users    []User    `json:"users"`
	Channels []Channel `json:"channels"`
	Messages []Message `json:"messages"` // replies and ephemerals included
	Views    []View    `json:"views"`
	Faults   []Fault   `json:"faults"`
	Journal  []Entry   `json:"journal"` // the last of it
}

// journalShown is how many entries a page starts with.
const journalShown = 200

func (s *Server) serveState(w http.ResponseWriter, _ *http.Request) {
	s.mu.Lock()
	out := state{Version: s.changes.seq, Messages: []Message{}, Views: []View{}, Faults: s.faults.Active()}
	for _, u := range s.world.sortedUsers() {
		out.Users = append(out.Users, *u)
	}
	for _, id := range s.world.order {
		out.Channels = append(out.Channels, s.world.channels[id].clone())
		for _, m := range s.world.messages[id] {
			out.Messages = append(out.Messages, m.clone())
		}
	}
	for _, m := range s.world.ephemerals {
		out.Messages = append(out.Messages, m.clone())
	}
	for _, id := range sortedKeys(s.views) {
		out.Views = append(out.Views, *s.views[id])
	}
	from := max(0, len(s.journal.entries)-journalShown)
	out.Journal = append([]Entry{}, s.journal.entries[from:]...)
	s.mu.Unlock()
	reply(w, out)
}

func (s *Server) serveJournal(w http.ResponseWriter, r *http.Request) {
	after, err := strconv.ParseUint(r.URL.Query().Get("after"), 10, 64)
	if err != nil {
		after = 0 // absent or nonsense: from the beginning
	}
	out := []Entry{}
	for _, e := range s.Journal() {
		if e.Seq > after {
			out = append(out, e)
		}
	}
	reply(w, out)
}

// ssePing keeps proxies and browsers from giving up on a silent stream.
const ssePing = 15 * time.Second

// serveEvents streams changes as they happen. A reader that fell too far behind is told to load the state again.
func (s *Server) serveEvents(w http.ResponseWriter, r *http.Request) {
	from := r.Header.Get("Last-Event-ID")
	if from == "" {
		from = r.URL.Query().Get("since")
	}
	seq, err := strconv.ParseUint(from, 10, 64)
	if err != nil {
		replyError(w, http.StatusBadRequest, errors.New("since must be the version of a state"))
		return
	}
	w.Header().Set("Content-Type", "text/event-stream")
	w.Header().Set("Cache-Control", "no-store")
	rc := http.NewResponseController(w)
	ping := time.NewTicker(ssePing)
	defer ping.Stop()
	for {
		s.mu.Lock()
		news, complete := s.changes.since(seq)
		next := s.changes.notify
		s.mu.Unlock()
		if !complete {
			_, _ = fmt.Fprint(w, "event: reset\ndata: {}\n\n") // the reader starts over or is gone
			_ = rc.Flush()
			return
		}
		for _, c := range news {
			data, err := json.Marshal(c.data)
			if err != nil {
				continue
			}
			if _, err := fmt.Fprintf(w, "id: %d\nevent: %s\ndata: %s\n\n", c.seq, c.kind, data); err != nil {
				return
			}
			seq = c.seq
		}
		if rc.Flush() != nil {
			return
		}
		select {
		case <-next:
		case <-ping.C:
			if _, err := fmt.Fprint(w, ": still here\n\n"); err != nil {
				return
			}
		case <-r.Context().Done():
			return
		case <-s.ctx.Done():
			return
		}
	}
}
