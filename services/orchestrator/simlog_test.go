package orchestrator

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	"github.com/slipway-hq/slipway/internal/eventlog"
)

// port is the one way of a process to the log. Every call stops at it until the
// simulation lets it go on: that is the only place where the order of events is
// decided, so that a seed decides all of it.
type port struct {
	*sim
	owner string
	gone  bool // the process is dead: nothing of it reaches the log any more
}

// call is one operation that stands at a port.
type call struct {
	port    *port
	task    *task
	kind    string
	subject string
	expect  uint64
	data    []byte
	verdict chan verdict
}

// verdict is what becomes of a call: the error that the caller is told instead
// of an answer, or how many of the newest records it does not see yet.
type verdict struct {
	err error
	lag int
}

// before orders calls that stand at ports at the same time.
func before(a, b *call) int {
	return cmp.Or(cmp.Compare(a.task.number, b.task.number), cmp.Compare(a.kind, b.kind), cmp.Compare(a.subject, b.subject), cmp.Compare(a.expect, b.expect))
}

func (p *port) stand(ctx context.Context, kind, subject string, expect uint64, data []byte) verdict {
	c := &call{port: p, task: taskOf(ctx), kind: kind, subject: subject, expect: expect, data: data, verdict: make(chan verdict, 1)}
	p.mu.Lock()
	if p.gone || ctx.Err() != nil {
		p.mu.Unlock()
		return verdict{err: eventlog.ErrUnavailable}
	}
	p.standing = append(p.standing, c)
	p.mu.Unlock()
	return <-c.verdict
}

// Append implements eventlog.Log.
func (p *port) Append(ctx context.Context, subject string, expect uint64, data []byte) (uint64, error) {
	if v := p.stand(ctx, "append", subject, expect, slices.Clone(data)); v.err != nil {
		return 0, fmt.Errorf("append to %s: %w", subject, v.err)
	}
	return p.log.Append(context.WithoutCancel(ctx), subject, expect, data)
}

// Load implements eventlog.Log.
func (p *port) Load(ctx context.Context, subject string, after uint64) ([]eventlog.Record, error) {
	v := p.stand(ctx, "load", subject, after, nil)
	if v.err != nil {
		return nil, v.err
	}
	records, err := p.log.Load(context.WithoutCancel(ctx), subject, after)
	return records[:max(0, len(records)-v.lag)], err
}

// Last implements eventlog.Log.
func (p *port) Last(ctx context.Context, subject string) (eventlog.Record, error) {
	if v := p.stand(ctx, "last", subject, 0, nil); v.err != nil {
		return eventlog.Record{}, v.err
	}
	return p.log.Last(context.WithoutCancel(ctx), subject)
}

// Get implements eventlog.Log.
func (p *port) Get(ctx context.Context, sequence uint64) (eventlog.Record, error) {
	if v := p.stand(ctx, "get", "", sequence, nil); v.err != nil {
		return eventlog.Record{}, v.err
	}
	return p.log.Get(context.WithoutCancel(ctx), sequence)
}

// Head implements eventlog.Log; nobody in the simulation asks.
func (p *port) Head(ctx context.Context) (uint64, error) { return p.log.Head(ctx) }

// Follow implements eventlog.Log; the simulation gives records by hand.
func (p *port) Follow(ctx context.Context, after uint64, each func(eventlog.Record) error) error {
	return p.log.Follow(ctx, after, each)
}

// pick takes one of the calls that may go on, at random; nil when none may.
func (s *sim) pick(may func(*call) bool) *call {
	s.mu.Lock()
	defer s.mu.Unlock()
	slices.SortStableFunc(s.standing, before)
	var able []int
	for i, c := range s.standing {
		if may(c) {
			able = append(able, i)
		}
	}
	if len(able) == 0 {
		return nil
	}
	i := able[s.rng.IntN(len(able))]
	c := s.standing[i]
	s.standing = slices.Delete(s.standing, i, i+1)
	return c
}

// proceed lets a call go on, well or badly.
func (s *sim) proceed(c *call) {
	v := verdict{}
	switch {
	case s.healed:
	case c.kind == "append":
		v.err = s.mishap(c)
	case s.chance(3):
		v.err = eventlog.ErrUnavailable
	case c.kind == "load" && s.chance(10):
		v.lag = 1 + s.rng.IntN(2)
	}
	s.note("%s %s %s after %d: %s", c.task.name, c.kind, s.alias(c.subject), c.expect, outcome(v))
	c.verdict <- v
}

func outcome(v verdict) string {
	switch {
	case v.err != nil:
		return v.err.Error()
	case v.lag > 0:
		return fmt.Sprintf("%d records late", v.lag)
	}
	return "goes on"
}

// mishap decides how an append fails, if it does.
func (s *sim) mishap(c *call) error {
	switch n := s.rng.IntN(100); {
	case n < s.mishaps: // stored, but nobody hears of it
		s.land(c)
		return eventlog.ErrUnknown
	case n < 2*s.mishaps: // still on its way
		s.late = append(s.late, c)
		return eventlog.ErrUnknown
	case n < 3*s.mishaps:
		return eventlog.ErrUnknown
	case n < 3*s.mishaps+2:
		return []error{eventlog.ErrUnavailable, eventlog.ErrFull, eventlog.ErrConflict}[s.rng.IntN(3)]
	}
	return nil
}

// land stores what a call wanted to append, if it still fits.
func (s *sim) land(c *call) {
	_, err := s.log.Append(context.Background(), c.subject, c.expect, c.data)
	s.note("  lands on %s after %d: %v", s.alias(c.subject), c.expect, err == nil)
}

// drop ends a call whose caller is gone or has lost patience; what it wanted to
// append may be stored all the same, now or later.
func (s *sim) drop(c *call, err error) {
	if c.kind == "append" {
		switch s.rng.IntN(3) {
		case 0:
			s.land(c)
		case 1:
			s.late = append(s.late, c)
		}
	}
	c.verdict <- verdict{err: err}
}
