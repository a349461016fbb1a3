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

	// Together are other requests that this execution answers; Leader is the run
	// that executes for a merged one, nil for others.
	Together []Member
	Leader   *Leader
	// Told are the people who are told in the same place how it ended.
	Told []string
	// Carded: a card is there that shows a good end.
	Carded bool
	// Output is the address of the page with everything that the run printed;
	// empty: there is none that a person could open.
	Output string
	// Support is the channel that a failure is passed on to; empty: none is.
	Support string
}
