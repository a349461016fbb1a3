package board

import (
	"cmp"
	"math/bits"
	"slices"

	eventv1 "github.com/slipway-hq/slipway/gen/slipway/event/v1"
)

// KeepArchived is of how many archived runs a board knows that they were the
// last: those of the batches that may have been under way when an archivist died.
const KeepArchived = 2048

// bitmap is a set of row numbers.
type bitmap []uint64

const wordBits = 64

func (m bitmap) has(i int32) bool {
	return int(i/wordBits) < len(m) && m[i/wordBits]&(1<<(i%wordBits)) != 0
}

func (m *bitmap) set(i int32) {
	for int(i/wordBits) >= len(*m) {
		*m = append(*m, 0)
	}
	(*m)[i/wordBits] |= 1 << (i % wordBits)
}

// archive notes that a run's records are in the archive.
func (x *index) archive(id string, a *eventv1.RunArchived) {
	i, ok := x.find(id)
	if a == nil || !ok || x.archived.has(i) {
		return
	}
	x.archived.set(i)
	if x.recent = append(x.recent, id); len(x.recent) > KeepArchived {
		x.recent = slices.Clone(x.recent[len(x.recent)-KeepArchived:])
	}
}

// archivable yields the rows that are not archived, in order.
func (x *index) archivable(f func(Summary) bool) {
	for i := int32(0); int(i) < x.count; i++ {
		if word := int(i / wordBits); i%wordBits == 0 && word < len(x.archived) && x.archived[word] == ^uint64(0) {
			i += wordBits - 1 // all of them are
			continue
		}
		if x.archived.has(i) {
			continue
		}
		s, r := x.row(i)
		if !f(Summary{s, r}) {
			return
		}
	}
}

// count is how many are in the set.
func (m bitmap) count() (n int) {
	for _, word := range m {
		n += bits.OnesCount64(word)
	}
	return n
}

// settle sorts the rows by the sequence of their end.
func (x *index) settle() {
	if !x.unsorted {
		return
	}
	type entry struct {
		Summary
		archived bool
	}
	all := make([]entry, 0, x.count)
	for n, s := range x.segments {
		for i := range s.rows {
			number := int32(n)<<segmentBits | int32(i) //nolint:gosec // a process never holds 2^31 runs
			all = append(all, entry{Summary{s, &s.rows[i]}, x.archived.has(number)})
		}
	}
	slices.SortFunc(all, func(a, b entry) int { return cmp.Compare(a.Sequence(), b.Sequence()) })
	sorted := newIndex()
	sorted.recent = x.recent
	for _, e := range all {
		r := *e.row
		sorted.append(r, e.ID(), e.words())
		if e.archived {
			sorted.archived.set(int32(sorted.count - 1)) //nolint:gosec // as above
		}
	}
	sorted.unsorted = false
	*x = sorted
}
