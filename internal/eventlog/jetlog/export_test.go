package jetlog

// Bounds that tests and benchmarks refer to.
const (
	MaxBatch  = maxBatch
	MaxQueued = maxQueued
)

// SetMinBatch sets from how many waiting commits on a batch is sent, so that
// benchmarks can compare; more than MaxBatch means never.
func (l *Log) SetMinBatch(n int) { l.commit.minBatch = n }

// Queued returns how many commits are queued or out.
func (l *Log) Queued() int { return len(l.commit.room) }
