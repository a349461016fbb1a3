package pipeline

import (
	"fmt"
	"strings"
	"unicode/utf8"
)

// unfit says why the values of one request cannot be put into a step; empty
// when they can. Check says the same of every request at once.
func (s Step) unfit(values map[string]string) string {
	known := func(name string) bool { _, ok := values[name]; return ok }
	for _, line := range []string{s.Shell, s.Probe} {
		if why := shellFaults(line, known); len(why) > 0 {
			return why[0]
		}
	}
	for _, text := range s.Argv {
		if why := plainFaults(text, known); len(why) > 0 {
			return why[0]
		}
	}
	for _, k := range names(s.Env) {
		if why := plainFaults(s.Env[k], known); len(why) > 0 {
			return why[0]
		}
	}
	return ""
}

// shellFaults lists what is wrong with a shell line.
func shellFaults(line string, known func(string) bool) []string {
	faults := textFaults(line)
	spots, err := scanShell(line)
	if err != nil {
		faults = append(faults, err.Error())
	}
	for _, s := range spots {
		switch {
		case s.literal:
		case !known(s.name):
			faults = append(faults, unknownPlaceholder(s.name))
		case s.why != "":
			faults = append(faults, fmt.Sprintf("{%s} stands %s, where a value cannot be quoted safely; let it stand alone as {%s}, it is quoted for you, or give it to the step by env", s.name, s.why, s.name))
		case s.command && s.name != builtinService && s.name != builtinEnvironment:
			faults = append(faults, fmt.Sprintf("{%s} is part of the command's own name, so the asker would choose what runs", s.name))
		}
	}
	return faults
}

// plainFaults lists what is wrong with a text that no shell reads.
func plainFaults(text string, known func(string) bool) []string {
	faults := textFaults(text)
	for _, s := range scanPlain(text) {
		if !s.literal && !known(s.name) {
			faults = append(faults, unknownPlaceholder(s.name))
		}
	}
	return faults
}

func unknownPlaceholder(name string) string {
	if name == "run" {
		return "{run} is not known before the run exists; use $SLIPWAY_RUN"
	}
	return fmt.Sprintf("{%s} is neither a declared parameter nor service, environment or version; for literal braces write {{%s}}", name, name)
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
