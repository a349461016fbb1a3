package chaos

import (
	"fmt"
	"os"
	"strings"
	"time"
)

// result is what came of a seed.
type result struct {
	seed                                    uint64
	counts                                  map[kind]int
	commands, runs, commits, effects, cards int
	broken                                  []string
	up, after, all                          time.Duration
}

// The report stands between these lines of its file; what is around them is
// written by people.
const (
	beginReport = "<!-- begin of the record, written by make chaos -->"
	endReport   = "<!-- end of the record -->"
)

// report writes what happened into its place in a file.
func report(want wanted, results []result) error {
	data, err := os.ReadFile(want.report)
	if err != nil && !os.IsNotExist(err) {
		return err
	}
	text := string(data)
	before, rest, found := strings.Cut(text, beginReport)
	_, after, _ := strings.Cut(rest, endReport)
	if !found {
		before, after = text, "\n"
	}
	return os.WriteFile(want.report, []byte(before+beginReport+"\n\n"+record(want, results)+"\n"+endReport+after), 0o644)
}

// record is the table of all seeds.
func record(want wanted, results []result) string {
	var b strings.Builder
	sum := result{counts: map[kind]int{}}
	broken := 0
	for _, r := range results {
		for k, n := range r.counts {
			sum.counts[k] += n
		}
		sum.commands, sum.runs, sum.commits, sum.effects, sum.cards = sum.commands+r.commands, sum.runs+r.runs, sum.commits+r.commits, sum.effects+r.effects, sum.cards+r.cards
		if len(r.broken) > 0 {
			broken++
		}
	}
	fmt.Fprintf(&b, "%s: %d seeds of %s, from %d on. %d commands, %d runs, %d commits, %d effects of steps, %d cards. Seeds with a broken promise: %d.\n\n",
		time.Now().UTC().Format(time.DateOnly), len(results), want.length, want.seed, sum.commands, sum.runs, sum.commits, sum.effects, sum.cards, broken)
	b.WriteString("| fault | times |\n|---|---|\n")
	for _, k := range kinds {
		fmt.Fprintf(&b, "| %s | %d |\n", k, sum.counts[k])
	}
	b.WriteString("\n| seed | faults | commands | runs | commits | effects | cards | seconds | broken promises |\n|---|---|---|---|---|---|---|---|---|\n")
	for _, r := range results {
		faults := 0
		for _, n := range r.counts {
			faults += n
		}
		verdict := "none"
		if len(r.broken) > 0 {
			verdict = strings.NewReplacer("|", "¦", "\n", " ").Replace(strings.Join(r.broken[:min(2, len(r.broken))], "; "))
		}
		fmt.Fprintf(&b, "| %d | %d | %d | %d | %d | %d | %d | %.0f | %s |\n", r.seed, faults, r.commands, r.runs, r.commits, r.effects, r.cards, r.all.Seconds(), verdict)
	}
	return b.String()
}
