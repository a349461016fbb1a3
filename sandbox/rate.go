package sandbox

import (
	"math"
	"time"
)

const (
	// postBurst is how many messages a channel takes at once before 1 per second is enforced; Slack publishes no number.
	postBurst = 10
	// postPerSecond is the published rate of posts to one channel and to one response URL.
	postPerSecond = 1.0
	// leastBurst is tolerated by every tier.
	leastBurst = 5
)

// bucket is a token bucket.
type bucket struct {
	tokens float64
	at     time.Time
}

// limits holds the buckets by method, and by channel for posting. Both sets are bounded by the contract and the world.
type limits struct{ buckets map[string]*bucket }

func newLimits() limits { return limits{buckets: map[string]*bucket{}} }

// take spends a token, or says after how many whole seconds there will be one.
func (l *limits) take(key string, now time.Time, perSecond, burst float64) (int, bool) {
	b := l.buckets[key]
	if b == nil {
		b = &bucket{tokens: burst, at: now}
		l.buckets[key] = b
	}
	if d := now.Sub(b.at); d > 0 {
		b.tokens = math.Min(burst, b.tokens+d.Seconds()*perSecond)
	}
	b.at = now
	if b.tokens < 1 {
		return max(1, int(math.Ceil((1-b.tokens)/perSecond))), false
	}
	b.tokens--
	return 0, true
}

// admit applies the method's tier and, for posts, the channel's rate. It returns the Retry-After of a refusal.
func (s *Server) admit(c *call) (int, bool) {
	if s.cfg.NoRateLimits {
		return 0, true
	}
	rate := float64(perMinute[c.spec.tier])
	if wait, ok := s.limits.take("method "+c.name, c.now, rate/60, max(rate, leastBurst)); !ok {
		return wait, false
	}
	if c.name != "chat.postMessage" {
		return 0, true
	}
	channel := s.resolve(c.str("channel"))
	if channel == nil {
		return 0, true
	}
	return s.limits.take("post "+channel.ID, c.now, postPerSecond, postBurst)
}
