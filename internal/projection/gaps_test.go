package projection

import (
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// gaps say what a plain set of numbers would.
func TestGapsAreASet(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var g gaps
		want := map[uint64]bool{}
		at := rapid.Uint64Range(0, 200_000)
		for range rapid.IntRange(0, 20).Draw(t, "steps") {
			first := at.Draw(t, "first")
			last := first + rapid.Uint64Range(0, 300).Draw(t, "length")
			if rapid.Bool().Draw(t, "missing") {
				g.miss(first, last)
				for i := first; i <= last; i++ {
					want[i] = true
				}
				continue
			}
			for i := first; i <= last; i++ {
				g.explain(i)
				delete(want, i)
			}
		}
		var got []uint64
		for _, r := range g.ranges(1 << 20) {
			for i := r.First; i <= r.Last; i++ {
				got = append(got, i)
			}
		}
		var sorted []uint64
		for i := range want {
			sorted = append(sorted, i)
		}
		slices.Sort(sorted)
		if !slices.Equal(got, sorted) {
			t.Fatalf("got %d sequences, want %d", len(got), len(sorted))
		}
		if len(want) == 0 && len(g.chunks) != 0 {
			t.Fatal("memory of gaps that are explained is kept")
		}
	})
}
