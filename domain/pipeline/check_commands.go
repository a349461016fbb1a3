package pipeline

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/slipway-hq/slipway/domain/grammar"
)

// MaxSentences is how many matches and aliases one namespace may have in all:
// each is compared with every other, and nobody remembers more.
const MaxSentences = 500

// The parameters of a command that holds a job.
const (
	HoldStart = "start"
	HoldEnd   = "end"
)

// sentence is one match or alias of a command.
type sentence struct {
	path    []string
	text    string
	pattern grammar.Pattern
	// command is the index of its command.
	command int
}

func (k *checker) commands(base []string, n Namespace) {
	k.tooMany(at(base, "commands"), len(n.Commands), MaxCommands)
	var all []sentence
	for i, c := range n.Commands {
		all = append(all, k.command(at(base, "commands", strconv.Itoa(i)), i, c, n)...)
	}
	if len(all) > MaxSentences {
		k.fault(at(base, "commands"), "%d matches and aliases are given, at most %d are allowed", len(all), MaxSentences)
		return
	}
	k.overlapping(n.Commands, all)
	k.overrides(at(base, "commands"), n.Commands, all)
}

// command checks one command by itself and returns what people can say.
func (k *checker) command(base []string, index int, c Command, n Namespace) []sentence {
	sentences := k.sentences(base, index, c)
	k.prose(at(base, "help"), c.Help, MaxHelp)
	k.wait(at(base, "delay"), c.Delay, MaxStartDelay)
	if !slices.Contains([]string{"", ActionRun, ActionCancel, ActionHold, ActionRelease}, c.Action) {
		k.fault(at(base, "action"), "%q is not one of run, cancel, hold and release", c.Action)
	}
	if c.Job == "" {
		k.fault(at(base, "job"), "a command needs a job")
		return sentences
	}
	job, known := n.Jobs[c.Job]
	if !known {
		k.reference(at(base, "job"), "job", c.Job, names(n.Jobs))
	}
	if c.Action == "" || c.Action == ActionRun {
		if known && len(sentences) > 0 {
			k.gives(base, "values", c.Job, job, c.Values, sentences[0].pattern.Params(), "match")
		}
		return sentences
	}
	if c.Delay != 0 {
		k.fault(at(base, "delay"), "only a command that runs a job has a delay")
	}
	if len(c.Values) > 0 {
		k.fault(at(base, "values"), "only a command that runs a job has values for it")
	}
	if len(sentences) > 0 {
		k.actionParams(sentences[0], c.Action)
	}
	return sentences
}

func (k *checker) sentences(base []string, index int, c Command) []sentence {
	k.tooMany(at(base, "aliases"), len(c.Aliases), MaxAliases)
	first, ok := k.compile(at(base, "match"), index, c.Match)
	if !ok {
		return nil
	}
	out := []sentence{first}
	want := slices.Sorted(slices.Values(first.pattern.Params()))
	for i, alias := range c.Aliases {
		path := at(base, "aliases", strconv.Itoa(i))
		s, ok := k.compile(path, index, alias)
		if !ok {
			continue
		}
		if got := slices.Sorted(slices.Values(s.pattern.Params())); !slices.Equal(got, want) {
			k.fault(path, "an alias has the same parameters as the match %q", c.Match)
		}
		out = append(out, s)
	}
	return out
}

func (k *checker) compile(path []string, index int, text string) (sentence, bool) {
	p, err := grammar.CompilePattern(text)
	if err != nil {
		k.fault(path, "%s", plain(err.Error()))
		return sentence{}, false
	}
	if _, help := p.Match("help"); help && len(p.Params()) == 0 {
		k.fault(path, "help after a namespace lists its commands, so this could never be reached")
		return sentence{}, false
	}
	return sentence{path: path, text: text, pattern: p, command: index}, true
}

// actionParams checks the parameters of a command that runs nothing.
func (k *checker) actionParams(s sentence, action string) {
	got := slices.Sorted(slices.Values(s.pattern.Params()))
	switch action {
	case ActionHold:
		if !slices.Equal(got, []string{HoldEnd, HoldStart}) {
			k.fault(s.path, "a command that holds a job has the parameters [%s] and [%s]", HoldStart, HoldEnd)
		}
	case ActionCancel, ActionRelease:
		if len(got) > 0 {
			k.fault(s.path, "a command with action: %s concerns the whole job and has no parameters", action)
		}
	}
}

// gives checks that a job gets exactly what it asks for: fixed values, which
// stand under a key, and parameters that are filled in later, which stand at
// another.
func (k *checker) gives(base []string, key, name string, job Job, fixed map[string]string, later []string, laterKey string) {
	asked := job.asked()
	declared := func(path []string, param string) bool {
		switch {
		case job.Params[param].Type == TypeSecret:
			k.fault(path, "the parameter %q of %q is a secret, which nobody gives", param, name)
			return false
		case asked[param].Type == "":
			near := append(grammar.Suggest(param, names(asked), 1), "")
			k.faults = append(k.faults, Fault{Path: path, Message: fmt.Sprintf("%q has no parameter %q", name, param), Suggestion: near[0]})
			return false
		}
		return true
	}
	for _, param := range names(fixed) {
		path := at(base, key, param)
		if !declared(path, param) {
			continue
		}
		if _, err := asked[param].value(fixed[param]); err != nil {
			k.fault(path, "%q is not allowed by the parameter itself: %s", fixed[param], plain(err.Error()))
		}
	}
	for _, param := range later {
		if _, twice := fixed[param]; declared(at(base, laterKey), param) && twice {
			k.fault(at(base, laterKey), "the parameter %q is given twice: here and under %s", param, key)
		}
	}
	for _, param := range names(asked) {
		_, given := fixed[param]
		if asked[param].Required && !given && !slices.Contains(later, param) {
			k.fault(base, "%q needs the parameter %q, which is not given", name, param)
		}
	}
}

// overlapping faults pairs of sentences of which people could mean either.
func (k *checker) overlapping(commands []Command, all []sentence) {
	for i, later := range all {
		for _, earlier := range all[:i] {
			if apart(earlier.text, later.text) {
				continue
			}
			example, both := grammar.Overlap(earlier.pattern, later.pattern)
			if !both {
				continue
			}
			k.overlap(commands, earlier, later, example)
		}
	}
}

// apart says cheaply of most pairs that nothing fits both: their first or last
// words are literal and differ.
func apart(a, b string) bool {
	left, right := strings.Fields(a), strings.Fields(b)
	differ := func() bool {
		for i := range min(len(left), len(right)) {
			if !literal(left[i]) || !literal(right[i]) {
				return false
			}
			if !strings.EqualFold(left[i], right[i]) {
				return true
			}
		}
		return false
	}
	if differ() {
		return true
	}
	slices.Reverse(left)
	slices.Reverse(right)
	return differ()
}

// literal says whether a word of a match certainly stands for itself: grammar
// reads some characters beyond ASCII as others.
func literal(word string) bool {
	return strings.IndexFunc(word, func(r rune) bool { return r == '[' || r >= utf8.RuneSelf }) < 0
}

func (k *checker) overlap(commands []Command, earlier, later sentence, example string) {
	first, second := commands[earlier.command], commands[later.command]
	wins, loses := earlier, later
	switch {
	case grammar.Covers(earlier.pattern, later.pattern) && grammar.Covers(later.pattern, earlier.pattern):
		k.fault(later.path, "%q says the same as %q", later.text, earlier.text)
		return
	case earlier.command == later.command:
		k.fault(later.path, "%q and %q of one command both fit %q, so its parameters would be unclear", later.text, earlier.text, example)
		return
	case slices.Contains(first.Overrides, second.Match):
	case slices.Contains(second.Overrides, first.Match):
		wins, loses = later, earlier
	default:
		k.fault(later.path, "%q and %q both fit %q; change one, or name the other's match under overrides of the one that comes first", later.text, earlier.text, example)
		return
	}
	if grammar.Covers(wins.pattern, loses.pattern) {
		k.fault(loses.path, "%q can never be reached: everything that fits it fits %q, which comes before it", loses.text, wins.text)
	}
}

// overrides faults those that settle nothing.
func (k *checker) overrides(base []string, commands []Command, all []sentence) {
	var known []string
	for _, c := range commands {
		known = append(known, c.Match)
	}
	for i, c := range commands {
		k.tooMany(at(base, strconv.Itoa(i), "overrides"), len(c.Overrides), MaxCommands)
		for n, match := range c.Overrides {
			path := at(base, strconv.Itoa(i), "overrides", strconv.Itoa(n))
			other := slices.Index(known, match)
			switch {
			case other < 0:
				k.reference(path, "command with the match", match, known)
			case slices.Contains(c.Overrides[:n], match):
				k.fault(path, "%q is already listed", match)
			case other == i:
				k.fault(path, "a command cannot override itself")
			case circular(commands, other, i):
				k.fault(path, "%q and %q override each other, directly or by way of others", c.Match, match)
			case !meet(all, i, other):
				k.fault(path, "nothing fits both %q and %q, so this settles nothing", c.Match, match)
			}
		}
	}
}

// circular says whether overrides lead from one command to another.
func circular(commands []Command, from, to int) bool {
	seen := map[int]bool{from: true}
	for queue := []int{from}; len(queue) > 0; queue = queue[1:] {
		if queue[0] == to {
			return true
		}
		for i, c := range commands {
			if !seen[i] && slices.Contains(commands[queue[0]].Overrides, c.Match) {
				seen[i] = true
				queue = append(queue, i)
			}
		}
	}
	return false
}

// meet says whether any sentences of two commands overlap. Where one could
// not be read, it is not known and taken to be so.
func meet(all []sentence, one, other int) bool {
	of := func(command int) []sentence {
		return slices.DeleteFunc(slices.Clone(all), func(s sentence) bool { return s.command != command })
	}
	left, right := of(one), of(other)
	if len(left) == 0 || len(right) == 0 {
		return true
	}
	return slices.ContainsFunc(left, func(a sentence) bool {
		return slices.ContainsFunc(right, func(b sentence) bool { _, both := grammar.Overlap(a.pattern, b.pattern); return both })
	})
}
