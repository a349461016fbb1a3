package ingress

import (
	"sync"
	"time"
)

const (
	// memorySpan outlasts Slack's three repeats, the last after five minutes.
	memorySpan = 10 * time.Minute
	// memoryMax bounds it; at the bound the past is forgotten at once.
	memoryMax = 8192
)

// memory tells a first delivery from its repeats, for words that are not
// stored and would otherwise be said twice. What must not happen twice is
// settled by INBOX and the log, never by this.
type memory struct {
	mu   sync.Mutex
	seen map[string]time.Time
}

func newMemory() *memory { return &memory{seen: map[string]time.Time{}} }

// first is true once for each key within memorySpan.
func (m *memory) first(key string) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	now := time.Now()
	if at, ok := m.seen[key]; ok && now.Sub(at) < memorySpan {
		return false
	}
	if len(m.seen) >= memoryMax {
		clear(m.seen)
	}
	m.seen[key] = now
	return true
}
