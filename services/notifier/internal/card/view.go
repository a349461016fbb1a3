package card

import (
	"time"

	"github.com/slipway-hq/slipway/domain/board"
)

// View is everything that a message depends on.
type View struct {
	Story *Story
	// Shown is status, place and reason as the board derives them.
	Shown board.Shown
	// Short is the id that people see; RetryOf that of the run retried.
	Short, RetryOf string
	// Elapsed is how long the run has been going on, coarse enough that it does
	// not change all the time; zero before it started.
	Elapsed time.Duration
}
