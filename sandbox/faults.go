package sandbox

import (
	"math/rand/v2"
	"net"
	"net/http"
	"slices"
	"strconv"
	"sync"
	"time"
)

// FaultKind names one way in which Slack, or the road to it, goes wrong.
type FaultKind string

const (
	// RateLimited answers 429 with Retry-After.
	RateLimited FaultKind = "rate_limited"
	// RateLimitedBare answers 429 without the header.
	RateLimitedBare FaultKind = "rate_limited_bare"
	// ServerError answers 503 (or Status) without doing the work.
	ServerError FaultKind = "server_error"
	// HTMLBody answers 200 with a page instead of JSON, without doing the work.
	HTMLBody FaultKind = "html"
	// APIError answers with the API error Code, without doing the work.
	APIError FaultKind = "api_error"
	// Latency does the work after Delay.
	Latency FaultKind = "latency"
	// LostAfter does the work and then breaks the connection without an answer.
	LostAfter FaultKind = "lost_after"
	// LostBefore breaks the connection before doing the work.
	LostBefore FaultKind = "lost_before"
	// Duplicate delivers a command, event or interaction twice. Method is DeliverCommand and so on.
	Duplicate FaultKind = "duplicate"
	// HistoryHidden makes history and replies answer without the newest messages of the bot.
	HistoryHidden FaultKind = "history_hidden"
	// HistoryDelayed hides messages from history and replies until they are Delay old.
	HistoryDelayed FaultKind = "history_delayed"
	// ShareDelayed makes a file appear in its channel Delay after files.completeUploadExternal has said that it is there.
	ShareDelayed FaultKind = "share_delayed"
	// TokenRevoked makes the bot token invalid.
	TokenRevoked FaultKind = "token_revoked"
	// BotKicked takes the bot out of Channel.
	BotKicked FaultKind = "bot_kicked"
)

// Methods of deliveries and of the doors beside the Web API, for Fault.Method.
const (
	AnyMethod          = "*" // every Web API method
	DeliverCommand     = "deliver.command"
	DeliverEvent       = "deliver.event"
	DeliverInteraction = "deliver.interaction"
	ResponseURL        = "response_url"
	FileUpload         = "upload"
)

// Fault is one misbehaviour that is switched on.
type Fault struct {
	Kind    FaultKind `json:"kind"`
	Method  string    `json:"method,omitempty"`  // empty means AnyMethod
	Channel string    `json:"channel,omitempty"` // only calls that name it
	// Times is for how many calls it lasts; 0 means until healed.
	Times int `json:"times,omitempty"`
	// Skip lets that many matching calls pass first.
	Skip int `json:"skip,omitempty"`
	// Probability in (0,1] of hitting a matching call, from the sandbox's seed; 0 means always.
	Probability float64       `json:"probability,omitempty"`
	RetryAfter  int           `json:"retry_after,omitempty"` // seconds, 1 when zero
	Delay       time.Duration `json:"delay,omitempty"`
	Status      int           `json:"status,omitempty"`
	Code        string        `json:"code,omitempty"`
}

// perCall says whether the fault is spent call by call, not a lasting state of the world.
func (f *Fault) perCall() bool {
	return f.Kind != TokenRevoked && f.Kind != BotKicked
}

func (f *Fault) matches(method, channel string) bool {
	if f.Channel != "" && f.Channel != channel {
		return false
	}
	switch f.Kind {
	case HistoryHidden, HistoryDelayed:
		return method == "conversations.history" || method == "conversations.replies"
	case ShareDelayed:
		return method == "files.completeUploadExternal"
	case BotKicked:
		return true
	default:
		return f.covers(method)
	}
}

// covers says whether the method is the fault's, or one of the Web API when it is everybody's.
func (f *Fault) covers(method string) bool {
	if f.Method == "" || f.Method == AnyMethod {
		return !slices.Contains(besideAPI, method)
	}
	return f.Method == method
}

var besideAPI = []string{DeliverCommand, DeliverEvent, DeliverInteraction, ResponseURL, FileUpload}

// Faults is the plan of misbehaviour. Its methods may be called at any time.
type Faults struct {
	mu       sync.Mutex
	plan     []*Fault
	rng      *rand.Rand
	hits     int
	onChange func()
}

// faultStream is the second half of the generator's seed, so that a seed of zero is still a good one.
const faultStream = 0x5110_9a4f

func newFaults(seed uint64) *Faults {
	return &Faults{rng: rand.New(rand.NewPCG(seed, faultStream))} //nolint:gosec // repeatable on purpose, keeps no secret
}

// Set switches a fault on, beside those that are on already.
func (f *Faults) Set(fault Fault) {
	f.mu.Lock()
	f.plan = append(f.plan, &fault)
	f.mu.Unlock()
	f.onChange()
}

// Heal switches everything off.
func (f *Faults) Heal() {
	f.mu.Lock()
	f.plan = nil
	f.mu.Unlock()
	f.onChange()
}

// Active lists what is on.
func (f *Faults) Active() []Fault {
	f.mu.Lock()
	defer f.mu.Unlock()
	out := make([]Fault, 0, len(f.plan))
	for _, fault := range f.plan {
		out = append(out, *fault)
	}
	return out
}

// Hits counts the calls that a fault has struck so far.
func (f *Faults) Hits() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.hits
}

// take returns the fault that strikes this call, or nil, and spends it.
func (f *Faults) take(method, channel string) *Fault {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, fault := range f.plan {
		if !fault.perCall() || !fault.matches(method, channel) {
			continue
		}
		if fault.Skip > 0 {
			fault.Skip--
			continue
		}
		if fault.Probability > 0 && f.rng.Float64() >= fault.Probability {
			continue
		}
		f.hits++
		hit := *fault
		f.spend(fault)
		return &hit
	}
	return nil
}

func (f *Faults) spend(fault *Fault) {
	if fault.Times == 0 {
		return
	}
	fault.Times--
	if fault.Times == 0 {
		f.plan = slices.DeleteFunc(f.plan, func(o *Fault) bool { return o == fault })
	}
}

// active returns a lasting fault of that kind without spending it.
func (f *Faults) active(kind FaultKind, method, channel string) *Fault {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, fault := range f.plan {
		if fault.Kind == kind && fault.matches(method, channel) {
			hit := *fault
			return &hit
		}
	}
	return nil
}

func (s *Server) faultsChanged() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.changed(changeFaults, s.faults.Active())
}

// errLost is what the journal says about an answer that never arrived.
const errLost = "connection lost"

// faultBefore applies what happens before the work, and reports whether to go on with it.
func (s *Server) faultBefore(w http.ResponseWriter, r *http.Request, c *call) bool {
	if c.fault == nil {
		return true
	}
	switch f := c.fault; f.Kind {
	case Latency:
		return pause(r, f.Delay)
	case LostBefore:
		s.recordCall(r, c, 0, "", errLost)
		breakConnection(w)
	case RateLimited, RateLimitedBare:
		if f.Kind == RateLimited {
			w.Header().Set("Retry-After", strconv.Itoa(max(f.RetryAfter, 1)))
		}
		s.answerFault(w, r, c, http.StatusTooManyRequests, "ratelimited", `{"ok":false,"error":"ratelimited"}`)
	case ServerError:
		status := f.Status
		if status == 0 {
			status = http.StatusServiceUnavailable
		}
		s.answerFault(w, r, c, status, "server error", "upstream connect error or disconnect/reset before headers")
	case HTMLBody:
		s.answerFault(w, r, c, http.StatusOK, "html body", "<!DOCTYPE html><html><body><h1>Something went wrong</h1></body></html>")
	case APIError:
		s.answerFault(w, r, c, http.StatusOK, f.Code, string(answerBody(nil, fail(f.Code))))
	default:
		return true
	}
	return false
}

func (s *Server) answerFault(w http.ResponseWriter, r *http.Request, c *call, status int, code, body string) {
	kind := "application/json; charset=utf-8"
	if body[0] != '{' {
		kind = "text/html; charset=utf-8"
	}
	s.recordCall(r, c, status, body, code)
	w.Header().Set("Content-Type", kind)
	w.WriteHeader(status)
	_, _ = w.Write([]byte(body)) // the client may be gone; nobody is left to tell
}

// pause waits, and reports whether the client is still there.
func pause(r *http.Request, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-r.Context().Done():
		return false
	}
}

// breakConnection ends the connection with a reset, as a failing network does, and without a byte of an answer.
func breakConnection(w http.ResponseWriter) {
	conn, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		panic(http.ErrAbortHandler) // what net/http offers for connections that cannot be taken over
	}
	if tcp, ok := conn.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0) // a plain close is the next best thing
	}
	_ = conn.Close()
}
