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

// SendTogether appends all of data to subject as one group, which the committer
// itself never does with commits of one subject, and returns their outcomes.
func (l *Log) SendTogether(subject string, expect uint64, data ...[]byte) []error {
	var group []*pending
	for _, d := range data {
		l.commit.room <- struct{}{}
		group = append(group, &pending{subject: subject, expect: expect, data: d, taken: true, done: make(chan struct{})})
	}
	l.commit.send(group)
	var errs []error
	for _, c := range group {
		<-c.done
		errs = append(errs, c.err)
	}
	return errs
}
