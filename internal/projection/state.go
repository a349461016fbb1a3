package projection

import (
	"cmp"
	"maps"
	"slices"

	"github.com/slipway-hq/slipway/domain/board"
	"github.com/slipway-hq/slipway/internal/eventlog"
	"github.com/slipway-hq/slipway/internal/topology"
)

// State is a projection written down, but for the summaries of ended runs: what
// it needs to go on after the record that it follows.
type State struct {
	// Follows is the sequence of the last record folded, and Last its hash.
	Follows uint64
	Last    []byte
	// Chains are the ends of those that can still change, by subject.
	Chains  []Chain
	Missing []Range
	Broken  map[string]string
	Board   board.Image
}

// Chain is the end of a subject's chain.
type Chain struct {
	Subject  string
	Position eventlog.Position
}

// State writes the projection down, with the summaries of ended runs apart.
func (p *Projection) State() (State, []*board.Segment) {
	p.mu.RLock()
	defer p.mu.RUnlock()
	s := State{Follows: p.follows, Missing: p.gaps.ranges(all), Broken: maps.Clone(p.broken), Board: p.board.Image()}
	if s.Last = p.hash; p.last.Sequence != 0 {
		s.Last = eventlog.Hash(p.last.Subject, p.last.Data)
	}
	for subject, at := range p.chains {
		s.Chains = append(s.Chains, Chain{subject, at})
	}
	slices.SortFunc(s.Chains, func(a, b Chain) int { return cmp.Compare(a.Subject, b.Subject) })
	return s, p.board.Segments()
}

const all = int(^uint(0) >> 1)

// Resume makes the projection what was written down. Call it before Run.
func (p *Projection) Resume(s State, segments []*board.Segment) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.board, p.follows = board.FromImage(s.Board, segments), s.Follows
	p.hash, p.last = s.Last, eventlog.Record{}
	p.chains, p.broken, p.gaps = make(map[string]eventlog.Position, len(s.Chains)), map[string]string{}, gaps{}
	for _, c := range s.Chains {
		p.chains[c.Subject] = c.Position
	}
	for _, r := range s.Missing {
		p.gaps.miss(r.First, r.Last)
	}
	maps.Copy(p.broken, s.Broken)
}

// Quarantine stops all decisions about what stands on a subject, for a reason
// that its own records do not show.
func (p *Projection) Quarantine(subject, why string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if id, ok := topology.ParseRunSubject(subject); ok {
		if _, live := p.board.Live(id); live || !p.board.Ended(id) {
			p.board.QuarantineRun(id, why)
			return
		}
	}
	if topology.IsLaneSubject(subject) {
		p.quarantineLane(subject, why)
		return
	}
	p.broken[subject] = why
}
