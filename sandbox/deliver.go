package sandbox

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"sync"
	"time"
)

const (
	signatureHeader = "X-Slack-Signature"
	timestampHeader = "X-Slack-Request-Timestamp"
	retryNumHeader  = "X-Slack-Retry-Num"
	retryWhyHeader  = "X-Slack-Retry-Reason"
	noRetryHeader   = "X-Slack-No-Retry"
	userAgent       = "Slackbot 1.0 (+sandbox)"

	maxRedirects = 2
	// maxAnswer is how much of an acknowledgement is read.
	maxAnswer = 256 << 10
	// maxSent is how many requests are kept for Redeliver.
	maxSent = 2000
	// maxRedeliver bounds one repetition, and redeliverWidth how many run at once.
	maxRedeliver   = 1000
	redeliverWidth = 64
)

var errTooManyRedirects = errors.New("too many redirects")

// Why an acknowledgement did not arrive, in Slack's words for a person and, in retryReason, for the retry header.
const (
	ErrTimeout  = "operation_timeout"
	ErrDispatch = "dispatch_failed"
)

// Delivery is one request to the app and what came back.
type Delivery struct {
	ID      string        `json:"id"` // what Redeliver takes
	Kind    string        `json:"kind"`
	Name    string        `json:"name"`
	Status  int           `json:"status"` // 0 when no answer came; Socket Mode acknowledgements count as 200
	Header  http.Header   `json:"-"`
	Body    string        `json:"body"`
	Ack     time.Duration `json:"ack_ns"`
	Err     string        `json:"error,omitempty"` // ErrTimeout, ErrDispatch or empty
	Reason  string        `json:"reason,omitempty"`
	Attempt int           `json:"attempt"`
	EventID string        `json:"event_id,omitempty"`

	TriggerID   string `json:"-"` // secrets of this delivery, for tests in the same process
	ResponseURL string `json:"-"`
}

// OK says whether the app acknowledged with a 2xx in time.
func (d Delivery) OK() bool { return d.Err == "" && d.Status >= 200 && d.Status < 300 }

// outgoing is a request before it is sent: the bytes for HTTP, the payload for a socket.
type outgoing struct {
	id, kind, name string
	path, media    string
	body           []byte
	payload        any
	envelope       string // type of the Socket Mode envelope
	accepts        bool   // the acknowledgement may carry an answer
	method         string // in the fault plan
	attempt        int
	reason         string
	eventID        string
	trigger, hook  string
}

// signed is a request exactly as it went out.
type signed struct {
	out    outgoing
	header http.Header
}

// sentRequests keeps the last requests for Redeliver, in a ring.
type sentRequests struct {
	byID map[string]signed
	ring []string
}

func (q *sentRequests) init() { q.byID = map[string]signed{} }

func (q *sentRequests) keep(r signed) {
	if _, known := q.byID[r.out.id]; !known {
		q.ring = append(q.ring, r.out.id)
	}
	if len(q.ring) > maxSent {
		delete(q.byID, q.ring[0])
		q.ring = slices.Delete(q.ring, 0, 1)
	}
	q.byID[r.out.id] = r
}

// Sign computes Slack's v0 signature over a body.
func Sign(secret, timestamp string, body []byte) string {
	mac := hmac.New(sha256.New, []byte(secret))
	fmt.Fprintf(mac, "v0:%s:", timestamp)
	mac.Write(body)
	return "v0=" + hex.EncodeToString(mac.Sum(nil))
}

func (s *Server) sign(o outgoing) signed {
	stamp := strconv.FormatInt(s.cfg.Clock().Unix(), 10)
	h := http.Header{}
	h.Set("Content-Type", o.media)
	h.Set("User-Agent", userAgent)
	h.Set(timestampHeader, stamp)
	h.Set(signatureHeader, Sign(s.cfg.SigningSecret, stamp, o.body))
	if o.attempt > 0 {
		h.Set(retryNumHeader, strconv.Itoa(o.attempt))
		h.Set(retryWhyHeader, o.reason)
	}
	return signed{out: o, header: h}
}

// deliver sends one request to the app and applies the fault plan of its kind.
func (s *Server) deliver(ctx context.Context, o outgoing) Delivery {
	fault := s.faults.take(o.method, "")
	if fault != nil {
		s.faultsChanged()
	}
	r := s.sign(o)
	s.mu.Lock()
	s.sent.keep(r)
	s.mu.Unlock()
	return s.send(ctx, r, fault)
}

func (s *Server) send(ctx context.Context, r signed, fault *Fault) Delivery {
	if fault != nil {
		switch fault.Kind {
		case Latency:
			if !sleep(ctx, fault.Delay) {
				return r.failed(ErrDispatch, "connection_failed")
			}
		case LostBefore:
			return s.recordDelivery(r, r.failed(ErrDispatch, "connection_failed"), fault)
		case Duplicate:
			s.background(func(ctx context.Context) { s.transmit(ctx, r, nil) })
		case LostAfter:
			s.transmit(ctx, r, fault) // the app did its work; its answer is lost on the way back
			return r.failed(ErrTimeout, "http_timeout")
		default: // the others are misbehaviour of the Web API and mean nothing on this road
		}
	}
	return s.transmit(ctx, r, fault)
}

func sleep(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// failed is the delivery that got no usable answer.
func (r signed) failed(code, reason string) Delivery {
	d := r.delivery()
	d.Err, d.Reason = code, reason
	return d
}

func (r signed) delivery() Delivery {
	o := r.out
	return Delivery{ID: o.id, Kind: o.kind, Name: o.name, Attempt: o.attempt, EventID: o.eventID, TriggerID: o.trigger, ResponseURL: o.hook}
}

// transmit uses the transport that the app is configured for.
func (s *Server) transmit(ctx context.Context, r signed, fault *Fault) Delivery {
	if s.cfg.Delivery == Socket {
		return s.recordDelivery(r, s.sendSocket(ctx, r), fault)
	}
	return s.recordDelivery(r, s.sendHTTP(ctx, r), fault)
}

func (s *Server) sendHTTP(ctx context.Context, r signed) Delivery {
	s.mu.Lock()
	target := s.target
	s.mu.Unlock()
	ctx, cancel := context.WithTimeout(ctx, s.cfg.AckTimeout)
	defer cancel()
	began := time.Now()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, target+r.out.path, bytes.NewReader(r.out.body))
	if err != nil {
		return r.failed(ErrDispatch, "unknown_error")
	}
	req.Header = r.header.Clone()
	resp, err := s.client.Do(req)
	if err != nil {
		d := r.failed(ErrDispatch, failureReason(err))
		if d.Ack = time.Since(began); d.Reason == "http_timeout" {
			d.Err = ErrTimeout
		}
		return d
	}
	defer func() { _ = resp.Body.Close() }() // read to its end or not, there is nothing to do about an error
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	d := r.delivery()
	d.Ack, d.Status, d.Header, d.Body = time.Since(began), resp.StatusCode, resp.Header, string(body)
	switch {
	case err != nil:
		d.Err, d.Reason = ErrTimeout, "http_timeout"
	case !d.OK():
		d.Err, d.Reason = ErrDispatch, "http_error"
	}
	return d
}

func failureReason(err error) string {
	var netErr net.Error
	switch {
	case errors.Is(err, errTooManyRedirects):
		return "too_many_redirects"
	case errors.As(err, &netErr) && netErr.Timeout(), errors.Is(err, context.DeadlineExceeded):
		return "http_timeout"
	}
	return "connection_failed"
}

func (s *Server) recordDelivery(r signed, d Delivery, fault *Fault) Delivery {
	e := Entry{
		ID: d.ID, Time: s.cfg.Clock().Add(-d.Ack), Kind: d.Kind, Name: d.Name, Status: d.Status, OK: d.OK(), TookMS: millis(d.Ack),
		Attempt: d.Attempt, Headers: redactHeaders(r.header), Answer: redact(d.Body), URL: "POST " + r.out.path,
	}
	if e.Error = d.Reason; d.Err == ErrTimeout {
		e.Error = d.Err
	}
	if fault != nil {
		e.Fault = string(fault.Kind)
	}
	e.Body = redact(string(r.out.body))
	if r.out.media == formMedia {
		e.Body = redactForm(string(r.out.body))
	}
	if s.cfg.Delivery == Socket {
		e.URL, e.Headers = "socket envelope "+r.out.envelope, nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.record(e)
	return d
}

// deliverEvent sends an event and, when it is not acknowledged, repeats it later as Slack does.
func (s *Server) deliverEvent(ctx context.Context, o outgoing) Delivery {
	d := s.deliver(ctx, o)
	if d.OK() || d.Header.Get(noRetryHeader) == "1" {
		return d
	}
	s.background(func(ctx context.Context) { s.retryEvent(ctx, o, d.Reason) })
	return d
}

func (s *Server) retryEvent(ctx context.Context, o outgoing, reason string) {
	for i, wait := range s.cfg.EventRetries {
		if !sleep(ctx, wait) {
			return
		}
		o.attempt, o.reason = i+1, reason
		d := s.deliver(ctx, o)
		if d.OK() || d.Header.Get(noRetryHeader) == "1" {
			return
		}
		reason = d.Reason
	}
}

// Redeliver sends the same signed bytes again, n times, one after the other or all at once, and returns what the app
// answered. The id is a Delivery's or a journal entry's. Nothing that comes back is shown to a user.
func (s *Server) Redeliver(ctx context.Context, id string, n int, parallel bool) ([]Delivery, error) {
	s.mu.Lock()
	r, known := s.sent.byID[id]
	s.mu.Unlock()
	if !known || n < 1 || n > maxRedeliver {
		return nil, fmt.Errorf("sandbox: redeliver %s %d times: not kept, or not 1 to %d", id, n, maxRedeliver)
	}
	out := make([]Delivery, n)
	width := make(chan struct{}, 1)
	if parallel {
		width = make(chan struct{}, redeliverWidth)
	}
	var wg sync.WaitGroup
	for i := range n {
		width <- struct{}{}
		wg.Go(func() {
			defer func() { <-width }()
			out[i] = s.transmit(ctx, r, nil)
		})
	}
	wg.Wait()
	return out, nil
}

// Media types of deliveries.
const (
	formMedia = "application/x-www-form-urlencoded"
	jsonMedia = "application/json"
)

// commandRequest is a slash command on its way.
func (s *Server) commandRequest(user *User, channel *Channel, command, text string) outgoing {
	s.mu.Lock()
	defer s.mu.Unlock()
	trigger, hook := s.newTrigger(user.ID), s.newHook("commands", user.ID, channel.ID, nil)
	if !s.cfg.PlainCommands {
		text = s.wireText(text, true)
	}
	name := channel.Name
	if channel.IM {
		name = "directmessage"
	} else if channel.Private {
		name = "privategroup"
	}
	fields := map[string]string{
		"token": "verification-token-is-deprecated", "team_id": user.Team, "team_domain": TeamDomain, "channel_id": channel.ID, "channel_name": name,
		"user_id": user.ID, "user_name": user.Name, "command": command, "text": text, "api_app_id": AppID,
		"is_enterprise_install": "false", "response_url": hook, "trigger_id": trigger,
	}
	form := url.Values{}
	for key, value := range fields {
		form.Set(key, value)
	}
	return outgoing{
		id: s.world.id("cmd-"), kind: KindCommand, name: command, path: "/slack/commands", media: formMedia, body: []byte(form.Encode()),
		payload: fields, envelope: "slash_commands", accepts: true, method: DeliverCommand, trigger: trigger, hook: hook,
	}
}

// eventRequest wraps an inner event. The server's lock is held.
func (s *Server) eventRequest(team string, inner map[string]any) outgoing {
	kind, _ := inner["type"].(string)
	eventID := s.world.id("Ev")
	channelID, _ := inner["channel"].(string)
	shared := s.world.channels[channelID] != nil && s.world.channels[channelID].Shared
	payload := map[string]any{
		"token": "verification-token-is-deprecated", "team_id": TeamID, "context_team_id": TeamID, "context_enterprise_id": nil,
		"api_app_id": AppID, "type": "event_callback", "event_id": eventID, "event_time": s.cfg.Clock().Unix(), "event": inner,
		"authorizations": []any{map[string]any{
			"enterprise_id": nil, "team_id": TeamID, "user_id": BotUserID, "is_bot": true, "is_enterprise_install": false,
		}},
		"is_ext_shared_channel": shared, "event_context": "4-" + eventID,
	}
	if team != TeamID {
		payload["team_id"] = team
	}
	return outgoing{
		id: s.world.id("evt-"), kind: KindEvent, name: kind, path: "/slack/events", media: jsonMedia, body: encode(payload),
		payload: payload, envelope: "events_api", method: DeliverEvent, eventID: eventID,
	}
}

// interactionRequest wraps a payload of interactivity. The server's lock is held.
func (s *Server) interactionRequest(name string, payload map[string]any) outgoing {
	form := url.Values{"payload": {string(encode(payload))}}
	trigger, _ := payload["trigger_id"].(string)
	hook, _ := payload["response_url"].(string)
	return outgoing{
		id: s.world.id("act-"), kind: KindInteraction, name: name, path: "/slack/interactions", media: formMedia, body: []byte(form.Encode()),
		payload: payload, envelope: "interactive", accepts: true, method: DeliverInteraction, trigger: trigger, hook: hook,
	}
}

// Event delivers an arbitrary inner event, with its envelope, signature and retries: for what no person would do.
func (s *Server) Event(ctx context.Context, inner map[string]any) Delivery {
	s.mu.Lock()
	o := s.eventRequest(TeamID, maps.Clone(inner))
	s.mu.Unlock()
	return s.deliverEvent(ctx, o)
}

// Raw delivers an arbitrary signed body to a path of the app, once: for what not even Slack would send.
func (s *Server) Raw(ctx context.Context, path, media string, body []byte) Delivery {
	s.mu.Lock()
	o := outgoing{id: s.world.id("raw-"), kind: KindEvent, name: "raw", path: path, media: media, body: body, payload: json.RawMessage(body), envelope: "events_api", method: DeliverEvent}
	s.mu.Unlock()
	return s.deliver(ctx, o)
}
