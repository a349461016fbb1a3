package jetlog

// SetMinBatch sets from how many waiting commits on a batch is sent, so that
// benchmarks can compare.
func (l *Log) SetMinBatch(n int) { l.commit.minBatch = n }

// MaxBatch is the most commits of a batch; as SetMinBatch(MaxBatch+1) it means
// never.
const MaxBatch = maxBatch
