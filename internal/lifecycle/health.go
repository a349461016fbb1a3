package lifecycle

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"
)

const (
	// checkTimeout bounds one check: less than a probe of Kubernetes waits.
	checkTimeout = 2 * time.Second
	// freshFor is how long an answer is used again, so that many probes cost
	// no more than one.
	freshFor = time.Second
)

var (
	// ErrStarting: the process is not ready yet.
	ErrStarting = errors.New("starting")
	// ErrDraining: the process is stopping.
	ErrDraining = errors.New("draining")
	errNoAnswer = fmt.Errorf("no answer within %s", checkTimeout)
)

// Check tells what keeps the process from doing its work; nil: nothing.
type Check func(ctx context.Context) error

// Health knows whether the process is ready. It may be asked at any time from
// any goroutine.
type Health struct {
	mu     sync.Mutex
	phase  error // why the process as a whole is not ready
	checks map[string]*checked

	asking sync.Mutex // one round of checks at a time
	asked  time.Time
	answer Readiness
}

// checked is a check that runs at most once at a time, however long it hangs.
type checked struct {
	check Check
	slot  chan struct{}
}

// Readiness is the answer of /readyz.
type Readiness struct {
	Ready bool `json:"ready"`
	// Reasons are why not, in the order of names.
	Reasons []Reason `json:"reasons"`
}

// Reason is one thing that is wrong.
type Reason struct {
	Check  string `json:"check"`
	Reason string `json:"reason"`
}

// NewHealth is of a process that is starting.
func NewHealth() *Health {
	return &Health{phase: ErrStarting, checks: map[string]*checked{}}
}

// Add adds a check, or replaces the one of that name.
func (h *Health) Add(name string, check Check) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.checks[name] = &checked{check: check, slot: make(chan struct{}, 1)}
}

// Started says that the start is over.
func (h *Health) Started() { h.set(nil) }

// Draining says that the process will do no new work.
func (h *Health) Draining() { h.set(ErrDraining) }

func (h *Health) set(phase error) {
	h.mu.Lock()
	h.phase = phase
	h.mu.Unlock()
	h.asking.Lock()
	h.asked = time.Time{}
	h.asking.Unlock()
}

// Ready runs all checks, each bounded, or repeats a fresh answer.
func (h *Health) Ready(ctx context.Context) Readiness {
	h.asking.Lock()
	defer h.asking.Unlock()
	if !h.asked.IsZero() && time.Since(h.asked) < freshFor {
		return h.answer
	}
	reasons := h.run(context.WithoutCancel(ctx)) // others share the answer
	h.answer, h.asked = Readiness{Ready: len(reasons) == 0, Reasons: reasons}, time.Now()
	return h.answer
}

func (h *Health) run(ctx context.Context) []Reason {
	h.mu.Lock()
	phase := h.phase
	checks := maps.Clone(h.checks)
	h.mu.Unlock()
	ctx, cancel := context.WithTimeout(ctx, checkTimeout)
	defer cancel()
	results := make(chan Reason, len(checks))
	for name, check := range checks {
		go func() { results <- check.ask(ctx, name) }()
	}
	reasons := []Reason{}
	if phase != nil {
		reasons = append(reasons, Reason{"process", phase.Error()})
	}
	for range checks {
		if r := <-results; r.Reason != "" {
			reasons = append(reasons, r)
		}
	}
	slices.SortFunc(reasons, func(a, b Reason) int { return strings.Compare(a.Check, b.Check) })
	return reasons
}

// ask does not wait for a check that ignores its context.
func (c *checked) ask(ctx context.Context, name string) Reason {
	select {
	case c.slot <- struct{}{}:
	default: // it hangs since it was asked before
		return Reason{name, errNoAnswer.Error()}
	}
	done := make(chan error, 1)
	go func() {
		done <- c.check(ctx)
		<-c.slot
	}()
	err := errNoAnswer
	select {
	case err = <-done:
	case <-ctx.Done():
	}
	if err == nil {
		return Reason{Check: name}
	}
	return Reason{name, err.Error()}
}

// Register serves /healthz (200 while the process answers at all) and /readyz
// (200 or 503, with the reasons as JSON).
func (h *Health) Register(mux *http.ServeMux) {
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) {
		writeJSON(w, http.StatusOK, map[string]bool{"alive": true})
	})
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, r *http.Request) {
		answer := h.Ready(r.Context())
		status := http.StatusOK
		if !answer.Ready {
			status = http.StatusServiceUnavailable
		}
		writeJSON(w, status, answer)
	})
}

func writeJSON(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body) // the prober is gone: nobody to tell
}

// Every runs check at most once per period and repeats its verdict in between:
// for checks that cost something, such as a write to disk.
func Every(period time.Duration, check Check) Check {
	var mu sync.Mutex
	var last time.Time
	var verdict error
	return func(ctx context.Context) error {
		mu.Lock()
		defer mu.Unlock()
		if last.IsZero() || time.Since(last) >= period {
			verdict, last = check(ctx), time.Now()
		}
		return verdict
	}
}
