package lease

import "time"

const (
	// RenewEvery leaves five tries before the TTL is over.
	RenewEvery = 5 * time.Second
	// SelfKillAfter without a renewal a runner gives its work up: after more
	// than twice the longest election of a broker (7 s), and so long before
	// LeaseTTL that its processes are dead when others take over.
	SelfKillAfter = 20 * time.Second
	// LeaseTTL is how long others wait for a renewal.
	LeaseTTL = 30 * time.Second
	// OfficeTTL: Slack waits three seconds, so an office must not be vacant for
	// longer than two.
	OfficeTTL = 2 * time.Second
	// CheckEvery is how often a watch proves that it missed nothing.
	CheckEvery = time.Second
)

// Timing holds every duration of the package, so that tests can be quick. The
// server needs TTLs of at least one second.
type Timing struct {
	RenewEvery, SelfKillAfter, LeaseTTL, OfficeTTL, CheckEvery time.Duration
}

// DefaultTiming is what production uses.
func DefaultTiming() Timing {
	return Timing{RenewEvery: RenewEvery, SelfKillAfter: SelfKillAfter, LeaseTTL: LeaseTTL, OfficeTTL: OfficeTTL, CheckEvery: CheckEvery}
}

// attempt bounds one request: two fit between renewals.
func (t Timing) attempt() time.Duration { return t.RenewEvery / 2 }

// retry is the pause after a renewal that failed.
func (t Timing) retry() time.Duration { return t.RenewEvery / 10 }

// officeHold is how long a holder trusts a renewal: a quarter less than others
// do, for the difference of two clocks and the time to stop.
func (t Timing) officeHold() time.Duration { return t.OfficeTTL * 3 / 4 }

// officeRenew leaves two tries before officeHold is over.
func (t Timing) officeRenew() time.Duration { return t.OfficeTTL / 4 }
