package topology

const (
	// workBytes holds tens of thousands of hints.
	workBytes = 16 << 20
	// leaseBytes holds thousands of runners.
	leaseBytes = 8 << 20
	// canaryBytes holds a mark per process.
	canaryBytes = 1 << 20

	// DefaultStore is what Slipway uses of an external cluster, per server.
	DefaultStore = 10 << 30
)

// Limits are the most bytes of each stream on disk, per replica. The sum must
// fit into the server's store: the server reserves it.
type Limits struct {
	Events, Inbox, Logs, Dead, Cards, Objects int64
}

// LimitsFor divides a store of so many bytes. Half is the truth itself; a small
// part stays free for what the server keeps beside the streams.
func LimitsFor(store int64) Limits {
	percent := store / 100
	return Limits{
		Events:  50 * percent,
		Logs:    25 * percent,
		Objects: 14 * percent,
		Inbox:   5 * percent,
		Cards:   2 * percent,
		Dead:    2 * percent,
	}
}
