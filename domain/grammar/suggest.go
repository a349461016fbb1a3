package grammar

import (
	"sort"
	"strings"
)

const (
	// maxSuggestWord bounds the work of one comparison.
	maxSuggestWord = 64
	// maxSuggestKnown bounds the number of comparisons.
	maxSuggestKnown = 10_000
	// minWhole is the shortest word that counts as the beginning of a longer
	// typed one, as "int" does of "integer".
	minWhole = 3
)

// Suggest lists at most n of the known words that are nearest to word: first
// those it begins or that begin it, then those a few slips of the finger away. Case does not
// count. Words that are not near are not suggested.
func Suggest(word string, known []string, n int) []string {
	type near struct {
		word   string
		prefix bool
		slips  int
	}
	typed := cut(word)
	if typed == "" || n <= 0 {
		return nil
	}
	if len(known) > maxSuggestKnown {
		known = known[:maxSuggestKnown]
	}
	var found []near
	seen := map[string]bool{}
	for _, k := range known {
		candidate := cut(k)
		slips := distance([]rune(typed), []rune(candidate))
		prefix := strings.HasPrefix(candidate, typed) || len(candidate) >= minWhole && strings.HasPrefix(typed, candidate)
		if seen[k] || !prefix && slips > tolerance(typed, candidate) {
			continue
		}
		seen[k] = true
		found = append(found, near{k, prefix, slips})
	}
	sort.SliceStable(found, func(i, j int) bool {
		a, b := found[i], found[j]
		if a.prefix != b.prefix {
			return a.prefix
		}
		if a.slips != b.slips {
			return a.slips < b.slips
		}
		return a.word < b.word
	})
	var words []string
	for _, f := range found[:min(n, len(found))] {
		words = append(words, f.word)
	}
	return words
}

// tolerance is how many slips still look like the same word: one in three
// characters, and at least one.
func tolerance(a, b string) int { return max(1, max(len(a), len(b))/3) }

func cut(word string) string {
	runes := []rune(strings.ToLower(strings.ToValidUTF8(word, "\ufffd")))
	return string(runes[:min(len(runes), maxSuggestWord)])
}

// distance is the number of insertions, deletions, replacements and swaps of
// neighbours that turn a into b (optimal string alignment, after Damerau).
func distance(a, b []rune) int {
	before, last, row := make([]int, len(b)+1), make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range last {
		last[j] = j
	}
	for i := 1; i <= len(a); i++ {
		row[0] = i
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			row[j] = min(last[j]+1, row[j-1]+1, last[j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				row[j] = min(row[j], before[j-2]+1)
			}
		}
		before, last, row = last, row, before
	}
	return last[len(b)]
}
