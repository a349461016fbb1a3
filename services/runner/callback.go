package runner

import (
	"strings"
	"time"

	"github.com/slipway-hq/slipway/domain/pipeline"
	"github.com/slipway-hq/slipway/internal/callback"
)

const (
	// callbackName is the variable that holds the address.
	callbackName = "SLIPWAY_CALLBACK"
	// callbackMore is how long an address outlives the run's limit: the last words
	// of a step that is stopped at it.
	callbackMore = time.Hour
)

// callbacks makes the addresses at which jobs may speak while they run.
type callbacks struct {
	base string
	key  []byte
}

func newCallbacks(cfg Config) callbacks {
	return callbacks{base: strings.TrimRight(cfg.CallbackURL, "/"), key: []byte(cfg.CallbackKey)}
}

// address is where the attempt's run may speak; empty when it may not, because
// nobody could check it, or reach it.
func (c callbacks) address(a Attempt, now time.Time) string {
	if c.base == "" || len(c.key) == 0 {
		return ""
	}
	limit := a.Plan.GetTimeout().AsDuration()
	if limit <= 0 {
		limit = pipeline.MaxTimeout
	}
	return c.base + callback.Path(c.key, a.Run, now.Add(limit+callbackMore))
}
