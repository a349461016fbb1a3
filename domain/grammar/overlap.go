package grammar

import (
	"fmt"
	"slices"
)

// automaton is a pattern read character by character. A pattern has at most
// one parameter in a word and nothing but literals behind the last, so that
// even the deterministic form stays linear in the pattern's size.
type automaton struct {
	steps [][]step // by state; the first state is 0
	final int
}

// step leads on over one folded character, a space, or anyRune.
type step struct {
	on rune
	to int
}

const (
	// anyRune steps over any character that is no space.
	anyRune rune = -1
	// otherRune is a character that no literal of a pattern holds.
	otherRune rune = -2
	// exampleRune shows in an example where anything may stand.
	exampleRune = 'x'
)

func (p Pattern) automaton() automaton {
	a := automaton{steps: [][]step{nil}}
	for i, w := range p.words {
		if i > 0 {
			a.chain(' ')
		}
		a.chain(w.pre...)
		if w.param == "" {
			continue
		}
		a.chain(anyRune)
		inside := a.final
		a.link(inside, anyRune, inside)
		if i == p.last {
			between := a.state()
			a.link(inside, ' ', between)
			a.link(between, anyRune, inside)
		}
		a.chain(w.suf...)
	}
	return a
}

func (a *automaton) state() int {
	a.steps = append(a.steps, nil)
	return len(a.steps) - 1
}

func (a *automaton) link(from int, on rune, to int) {
	a.steps[from] = append(a.steps[from], step{on, to})
}

// chain leads from the final state over the characters to a new one.
func (a *automaton) chain(runes ...rune) {
	for _, r := range runes {
		next := a.state()
		a.link(a.final, r, next)
		a.final = next
	}
}

// Overlap says whether some text matches both patterns, and gives a shortest
// one. It is exact: it follows both side by side until both end.
func Overlap(a, b Pattern) (example string, ok bool) {
	if len(a.words) == 0 || len(b.words) == 0 {
		return "", false
	}
	type pair struct{ a, b int }
	type arrival struct {
		pair
		from int
		over rune
	}
	left, right := a.automaton(), b.automaton()
	seen := map[pair]bool{{}: true}
	queue := []arrival{{from: -1}}
	for i := 0; i < len(queue); i++ {
		at := queue[i]
		if at.a == left.final && at.b == right.final {
			var text []rune
			for j := i; queue[j].from >= 0; j = queue[j].from {
				text = append(text, queue[j].over)
			}
			slices.Reverse(text)
			return string(text), true
		}
		for _, l := range left.steps[at.a] {
			for _, r := range right.steps[at.b] {
				over, both := meet(l.on, r.on)
				next := pair{l.to, r.to}
				if both && !seen[next] {
					seen[next] = true
					queue = append(queue, arrival{next, i, over})
				}
			}
		}
	}
	return "", false
}

// meet is a character that both steps take.
func meet(l, r rune) (rune, bool) {
	switch {
	case l == anyRune && r == anyRune:
		return exampleRune, true
	case l == anyRune:
		return r, r != ' '
	case r == anyRune:
		return l, l != ' '
	default:
		return l, l == r
	}
}

// Covers says whether every text that b matches is matched by a, too.
func Covers(a, b Pattern) bool {
	if len(b.words) == 0 {
		return true
	}
	if len(a.words) == 0 {
		return false
	}
	type pair struct {
		states string // of a, where it can be
		b      int
	}
	left, right := a.automaton(), b.automaton()
	alphabet := left.alphabet()
	first := pair{fmt.Sprint([]int{0}), 0}
	where := map[string][]int{first.states: {0}}
	seen := map[pair]bool{first: true}
	for queue := []pair{first}; len(queue) > 0; queue = queue[1:] {
		at := queue[0]
		states := where[at.states]
		if at.b == right.final && !slices.Contains(states, left.final) {
			return false
		}
		for _, r := range right.steps[at.b] {
			over := []rune{r.on}
			if r.on == anyRune {
				over = alphabet
			}
			for _, c := range over {
				after := left.after(states, c)
				next := pair{fmt.Sprint(after), r.to}
				if !seen[next] {
					seen[next], where[next.states] = true, after
					queue = append(queue, next)
				}
			}
		}
	}
	return true
}

// after is where the automaton can be one character later, sorted.
func (a automaton) after(states []int, c rune) []int {
	var next []int
	for _, s := range states {
		for _, st := range a.steps[s] {
			if st.on == c || st.on == anyRune && c != ' ' {
				next = append(next, st.to)
			}
		}
	}
	slices.Sort(next)
	return slices.Compact(next)
}

// alphabet is every character that a literal holds, and one for all others.
func (a automaton) alphabet() []rune {
	runes := []rune{otherRune}
	for _, steps := range a.steps {
		for _, st := range steps {
			if st.on != anyRune && st.on != ' ' {
				runes = append(runes, st.on)
			}
		}
	}
	slices.Sort(runes)
	return slices.Compact(runes)
}
