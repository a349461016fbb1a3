package pipeline

import (
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"
)

// unfit says why what a request has for its placeholders cannot be put into a
// step; empty when it can. Check says the same of every request at once.
func (s Step) unfit(words vocabulary) string {
	for _, line := range []string{s.Shell, s.Probe} {
		if why := shellFaults(line, words); len(why) > 0 {
			return why[0]
		}
	}
	for _, text := range s.Argv {
		if why := plainFaults(text, words); len(why) > 0 {
			return why[0]
		}
	}
	for _, k := range names(s.Env) {
		if why := plainFaults(s.Env[k], words); len(why) > 0 {
			return why[0]
		}
	}
	return ""
}

// shellFaults lists what is wrong with a shell line.
func shellFaults(line string, words vocabulary) []string {
	faults := textFaults(line)
	spots, err := scanShell(line)
	if err != nil {
		faults = append(faults, err.Error())
	}
	for _, s := range spots {
		switch {
		case s.literal:
		case !words.known(s.name):
			faults = append(faults, words.unknown(s.name))
		case s.why != "":
			faults = append(faults, fmt.Sprintf("{%s} stands %s, where a value cannot be quoted safely; let it stand alone as {%s}, it is quoted for you, or give it to the step by env", s.name, s.why, s.name))
		case s.command && !slices.Contains(words.places, s.name):
			faults = append(faults, fmt.Sprintf("{%s} is part of the command's own name, so the asker would choose what runs", s.name))
		}
	}
	return faults
}

// plainFaults lists what is wrong with a text that no shell reads.
func plainFaults(text string, words vocabulary) []string {
	faults := textFaults(text)
	for _, s := range scanPlain(text) {
		switch {
		case s.literal:
		case !words.known(s.name):
			faults = append(faults, words.unknown(s.name))
		case words.isSecret(s.name):
			faults = append(faults, fmt.Sprintf("{%s} is a secret, which can stand in a shell line only; give it to the step by secrets", s.name))
		}
	}
	return faults
}

func (v vocabulary) unknown(name string) string {
	if name == "run" {
		return "{run} is not known before the run exists; use $SLIPWAY_RUN"
	}
	return fmt.Sprintf("{%s} is neither a declared parameter nor %s; for literal braces write {{%s}}", name, v.others, name)
}

func textFaults(text string) []string {
	var faults []string
	if len(text) > MaxCommand {
		faults = append(faults, fmt.Sprintf("it is longer than %d bytes; move it into a script", MaxCommand))
	}
	if !utf8.ValidString(text) || strings.ContainsFunc(text, forbidden) {
		faults = append(faults, "it contains an invisible control character")
	}
	return faults
}
