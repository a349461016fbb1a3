package orchestrator

import (
	"context"
	"time"

	"github.com/slipway-hq/slipway/domain/run"
)

// jobWish is a wish for a run of a job.
type jobWish struct {
	identity       string
	namespace, job string
	parameters     map[string]string
	// said is what was typed after the namespace, for people.
	said string
	// delay is the command's; startAfter, when set, wins over it.
	delay      time.Duration
	startAfter time.Time
	// despiteHold is the reason why holds shall not stop it.
	despiteHold string
	// record: see deployment.record.
	record bool
}

// startJob opens a run of a job, or returns the refusal. The same identity always
// means the same run.
func (d *desk) startJob(_ context.Context, _ asker, _ jobWish) (run.State, error) {
	return run.State{}, errNoConfig
}
