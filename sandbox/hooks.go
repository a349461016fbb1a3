package sandbox

import (
	"encoding/json"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"
)

const (
	// hookUses and hookLife are the documented limits of a response URL.
	hookUses = 5
	hookLife = 30 * time.Minute
	// maxHooks is how many are remembered; expired ones make room.
	maxHooks = 5000
)

// hook is a response URL: a secret that lets the app answer one command or click.
type hook struct {
	kind          string
	user, channel string
	born          time.Time
	uses          int
	origin        *Message // what replace_original and delete_original mean
}

type hooks struct{ byToken map[string]*hook }

func (h *hooks) init() { h.byToken = map[string]*hook{} }

// newHook makes a response URL. The server's lock is held.
func (s *Server) newHook(kind, user, channel string, origin *Message) string {
	now := s.cfg.Clock()
	if len(s.hooks.byToken) >= maxHooks {
		for token, h := range s.hooks.byToken {
			if now.Sub(h.born) > hookLife || h.uses >= hookUses {
				delete(s.hooks.byToken, token)
			}
		}
	}
	token, err := randomHex(secretBytes)
	if err != nil {
		token = s.world.id("hook")
	}
	s.hooks.byToken[token] = &hook{kind: kind, user: user, channel: channel, born: now, origin: origin}
	return s.baseURL() + "/hooks/" + kind + "/" + TeamID + "/" + token
}

// setOrigin remembers the immediate answer to a command as the message that its response URL may replace.
func (h *hooks) setOrigin(hookURL string, m *Message) {
	if known := h.byToken[hookURL[strings.LastIndex(hookURL, "/")+1:]]; known != nil {
		known.origin = m
	}
}

// serveHook takes a post to a response URL.
func (s *Server) serveHook(w http.ResponseWriter, r *http.Request) {
	c := &call{name: ResponseURL, began: time.Now(), now: s.cfg.Clock(), args: map[string]any{}}
	c.fault = s.faults.take(ResponseURL, "")
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxAPIBody))
	if v, jsonErr := decodeJSON(body); jsonErr == nil {
		if args, ok := v.(map[string]any); ok {
			c.args = args
		}
	}
	if !s.faultBefore(w, r, c) {
		return
	}
	status, text := http.StatusBadRequest, "invalid_payload"
	if err == nil {
		status, text = s.useHook(c, r.PathValue("token"), body)
	}
	e := Entry{
		Time: c.now, Kind: KindHook, Name: ResponseURL, Status: status, OK: status == http.StatusOK, TookMS: millis(time.Since(c.began)),
		Args: redactArgs(c.args), Answer: text, Headers: redactHeaders(r.Header),
	}
	lost := c.fault != nil && c.fault.Kind == LostAfter
	if !e.OK {
		e.Error = text
	}
	if lost {
		e.Status, e.OK, e.Error = 0, false, errLost
	}
	if c.fault != nil {
		e.Fault = string(c.fault.Kind)
	}
	s.mu.Lock()
	s.record(e)
	s.mu.Unlock()
	if lost {
		breakConnection(w)
		return
	}
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	if status == http.StatusTooManyRequests {
		w.Header().Set("Retry-After", strconv.Itoa(1))
	}
	w.WriteHeader(status)
	_, _ = io.WriteString(w, text) // the client may be gone; nobody is left to tell
}

// useHook spends one use and shows what was sent.
func (s *Server) useHook(c *call, token string, body []byte) (int, string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	h := s.hooks.byToken[token]
	switch {
	case h == nil:
		return http.StatusNotFound, "invalid_url"
	case c.now.Sub(h.born) > hookLife:
		return http.StatusNotFound, "expired_url"
	case h.uses >= hookUses:
		return http.StatusNotFound, "used_url"
	}
	if !s.cfg.NoRateLimits {
		if _, ok := s.limits.take(ResponseURL+" "+token, c.now, postPerSecond, hookUses); !ok {
			return http.StatusTooManyRequests, "rate_limited"
		}
	}
	var a answer
	if json.Unmarshal(body, &a) != nil {
		return http.StatusBadRequest, "invalid_payload"
	}
	if refused := s.applyHook(h, a); refused != nil {
		return http.StatusBadRequest, refused.code
	}
	h.uses++
	return http.StatusOK, "ok"
}

func (s *Server) applyHook(h *hook, a answer) *apiError {
	if a.DeleteOriginal {
		if h.origin != nil {
			s.removeMessage(h.origin)
			h.origin = nil
		}
		return nil
	}
	body, refused := s.answerContent(a)
	if refused != nil {
		return refused
	}
	if a.ReplaceOriginal && h.origin != nil {
		m := h.origin
		m.Text, m.Blocks, m.Attachments = body.text, body.blocks, body.attachments
		m.Edits++
		m.EditedTS = s.world.stamp(s.cfg.Clock())
		s.messageChanged(m)
		return nil
	}
	m := s.showContent(a.ResponseType, h.user, h.channel, body)
	if a.ThreadTS != "" {
		m.ThreadTS = a.ThreadTS
		s.messageChanged(m)
	}
	if h.kind == "commands" && h.origin == nil {
		h.origin = m
	}
	return nil
}
