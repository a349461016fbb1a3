package ingress

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"time"

	"github.com/slipway-hq/slipway/internal/callback"
	"github.com/slipway-hq/slipway/services/slack-ingress/internal/reply"
	"github.com/slipway-hq/slipway/services/slack-ingress/internal/request"
)

const (
	// maxBody is far above what Slack sends and little enough to hold.
	maxBody = 1 << 20
	// maxOpen bounds bodies that are being read from senders of whom nothing
	// is known yet.
	maxOpen = 128
	// readTimeout is for the body: Slack itself gives up after three seconds.
	readTimeout = 3 * time.Second

	kindHTTP = "http"
)

// Handler is the HTTP doors: POST /slack/commands, /slack/events and
// /slack/interactions, of which each takes all three kinds, and which without a
// signing secret are closed, and say so; /webhooks/ and /github/ for other
// systems; /callback/ for jobs that speak. Paths lists where to mount it.
func (s *Service) Handler() http.Handler {
	mux := http.NewServeMux()
	s.webhooks(mux)
	s.callbacks(mux)
	open := make(chan struct{}, maxOpen)
	for _, path := range []string{"/slack/commands", "/slack/events", "/slack/interactions"} {
		mux.HandleFunc("POST "+path, func(w http.ResponseWriter, r *http.Request) {
			select {
			case open <- struct{}{}:
				body, ok := s.read(w, r)
				<-open
				if ok {
					s.serveDoor(w, r, body)
				}
			default:
				s.refuse(w, r, time.Now(), http.StatusServiceUnavailable, "busy", "too many requests at once")
			}
		})
	}
	return mux
}

// Paths are the beginnings of all paths that Handler serves.
func Paths() []string { return []string{"/slack/", "/webhooks/", "/github/", callback.Prefix} }

// read takes the raw body, within size and time.
func (s *Service) read(w http.ResponseWriter, r *http.Request) ([]byte, bool) {
	began := time.Now()
	switch {
	case len(s.secrets) == 0:
		s.refuse(w, r, began, http.StatusForbidden, "closed", "this Slipway uses Socket Mode; its HTTP doors are closed because no signing secret is set")
		return nil, false
	case !s.running.Load():
		s.refuse(w, r, began, http.StatusServiceUnavailable, "starting", "not running yet, or not any more")
		return nil, false
	}
	control := http.NewResponseController(w)
	_ = control.SetReadDeadline(began.Add(readTimeout)) // not every writer can; the server's own bounds remain
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	_ = control.SetReadDeadline(time.Time{})
	var tooLarge *http.MaxBytesError
	switch {
	case errors.As(err, &tooLarge):
		s.refuse(w, r, began, http.StatusRequestEntityTooLarge, "too_large", "body over 1 MiB")
		return nil, false
	case err != nil:
		s.refuse(w, r, began, http.StatusBadRequest, "unread", "body not readable")
		return nil, false
	}
	return body, true
}

// serveDoor answers a request whose body is read. Its budgets count from here.
func (s *Service) serveDoor(w http.ResponseWriter, r *http.Request, body []byte) {
	received := time.Now()
	contentType := r.Header.Get("Content-Type")
	if request.IsProbe(contentType, body) {
		w.WriteHeader(http.StatusOK)
		s.meter.request(r.Context(), kindHTTP, "probe", time.Since(received))
		return
	}
	if err := request.Verify(r.Header, body, s.clock(), s.secrets...); err != nil {
		s.log.WarnContext(r.Context(), "request refused", "path", r.URL.Path, "error", err)
		s.refuse(w, r, received, http.StatusUnauthorized, "unsigned", "signature refused")
		return
	}
	delivery, err := request.Decode(contentType, body, s.names, received)
	if err != nil {
		s.refuse(w, r, received, http.StatusBadRequest, "malformed", err.Error())
		return
	}
	resp := s.attend(r.Context(), body, arrival{door: kindHTTP, received: received, delivery: delivery})
	write(w, resp)
	s.meter.request(r.Context(), kindOf(delivery), resp.outcome, time.Since(received))
}

func kindOf(d request.Delivery) string {
	if d.Request == nil {
		return "other"
	}
	return string(d.Request.Kind)
}

func (s *Service) refuse(w http.ResponseWriter, r *http.Request, began time.Time, status int, outcome, words string) {
	http.Error(w, words, status)
	s.meter.request(r.Context(), kindHTTP, outcome, time.Since(began))
}

// write puts a response on the wire. Whether Slack still listens is not known
// here, and changes nothing.
func write(w http.ResponseWriter, resp response) {
	switch {
	case resp.status != http.StatusOK:
		http.Error(w, "not accepted; please deliver again", resp.status)
	case resp.text != "":
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		_, _ = io.WriteString(w, resp.text)
	case resp.answer != nil || resp.options:
		w.Header().Set("Content-Type", "application/json; charset=utf-8")
		_ = json.NewEncoder(w).Encode(payload(resp))
	default:
		w.WriteHeader(http.StatusOK)
	}
}

// payload is what an acknowledgement carries, or nil.
func payload(resp response) any {
	switch {
	case resp.answer != nil:
		return reply.Render(resp.answer)
	case resp.options:
		return map[string]any{"options": []any{}}
	default:
		return nil
	}
}
