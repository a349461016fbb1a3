package projection

import (
	"fmt"
	"maps"
	"math/bits"
	"slices"
	"strings"

	eventv1 "github.com/slipway-hq/slipway/gen/slipway/event/v1"
	"github.com/slipway-hq/slipway/internal/eventlog"
)

// chunkBits is how many sequences one chunk of gaps knows: 8 KiB of memory for
// 65,536 of them, given back when none of them is missing any more.
const chunkBits = 16

const wordBits = 6

type chunk [1 << (chunkBits - wordBits)]uint64

// Range is a span of sequences, both ends included.
type Range struct{ First, Last uint64 }

// String is the range as people read it.
func (r Range) String() string {
	if r.First == r.Last {
		return fmt.Sprintf("record %d", r.First)
	}
	return fmt.Sprintf("records %d to %d", r.First, r.Last)
}

// Ranges writes ranges as people read them.
func Ranges(all []Range) string {
	words := make([]string, len(all))
	for i, r := range all {
		words[i] = r.String()
	}
	return strings.Join(words, ", ")
}

// gaps are the sequences that were left out of the log. The zero value is ready.
type gaps struct{ chunks map[uint64]*chunk }

// miss notes that first to last have no record.
func (g *gaps) miss(first, last uint64) {
	if g.chunks == nil {
		g.chunks = map[uint64]*chunk{}
	}
	for at := first; at <= last; {
		c := g.chunks[at>>chunkBits]
		if c == nil {
			c = &chunk{}
			g.chunks[at>>chunkBits] = c
		}
		word := at >> wordBits
		end := min(last, word<<wordBits|(1<<wordBits-1))
		c[word%uint64(len(c))] |= (^uint64(0) >> (63 - (end - at))) << (at % (1 << wordBits))
		at = end + 1
	}
}

// explain takes a sequence back: it was left out on purpose.
func (g *gaps) explain(at uint64) {
	c := g.chunks[at>>chunkBits]
	if c == nil {
		return
	}
	c[(at>>wordBits)%uint64(len(c))] &^= 1 << (at % (1 << wordBits))
	if *c == (chunk{}) {
		delete(g.chunks, at>>chunkBits)
	}
}

// announce explains what was purged.
func (g *gaps) announce(e *eventv1.RecordsPurged) {
	at := uint64(0)
	for _, step := range e.GetSteps() {
		at += step
		g.explain(at)
	}
}

// attributeTo explains what is missing between the end of a chain and the record
// that should follow it, when that is just what the versions lack.
func (g *gaps) attributeTo(end eventlog.Position, next eventlog.Record) {
	if version := next.Commit.GetVersion(); version > end.Version+1 {
		g.attribute(end.Sequence, next.Sequence, version-end.Version-1)
	}
}

// attribute explains what is missing between two sequences, if it is exactly n.
func (g *gaps) attribute(after, before, n uint64) {
	var found []uint64
	for at := after + 1; at < before && uint64(len(found)) <= n; at++ {
		c := g.chunks[at>>chunkBits]
		if c == nil {
			at |= 1<<chunkBits - 1 // the rest of the chunk is whole
			continue
		}
		if c[(at>>wordBits)%uint64(len(c))]&(1<<(at%(1<<wordBits))) != 0 {
			found = append(found, at)
		}
	}
	if uint64(len(found)) != n {
		return
	}
	for _, at := range found {
		g.explain(at)
	}
}

// ranges lists what is missing, in order, at most limit spans of it.
func (g *gaps) ranges(limit int) (out []Range) {
	for _, number := range slices.Sorted(maps.Keys(g.chunks)) {
		for i, word := range g.chunks[number] {
			for word != 0 {
				bit := bits.TrailingZeros64(word)
				word &^= 1 << bit
				at := number<<chunkBits | uint64(i)<<wordBits | uint64(bit) //nolint:gosec // both are small
				if n := len(out); n > 0 && out[n-1].Last+1 == at {
					out[n-1].Last = at
				} else if n == limit {
					return out
				} else {
					out = append(out, Range{at, at})
				}
			}
		}
	}
	return out
}
