package webhook

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/slipway-hq/slipway/domain/pipeline"
)

const (
	// literal begins a parameter that is text and no field.
	literal = "="
	// factMark begins a field that is a fact: "@branch".
	factMark = "@"
)

// Start is a rule that fits a delivery.
type Start struct {
	// Index of the rule within its webhook, from 0.
	Index  int
	Rule   pipeline.WebhookRule
	Params map[string]string
	// Why is set when the rule fits although something is not known.
	Why string
}

// RunIdentity of the run that the rule with this index starts for a delivery.
func RunIdentity(delivery string, index int) string {
	return delivery + "|" + strconv.Itoa(index)
}

// Evaluate compares a delivery with all rules: those that fit in their order,
// and why each other does not.
func Evaluate(w pipeline.Webhook, f Facts) (starts []Start, why []string) {
	for i, r := range w.Rules {
		ok, reason := Match(r, f)
		var params map[string]string
		if ok {
			var err error
			if params, err = Params(r, f); err != nil {
				ok, reason = false, err.Error()
			}
		}
		if ok {
			starts = append(starts, Start{Index: i, Rule: r, Params: params, Why: reason})
			continue
		}
		why = append(why, fmt.Sprintf("rule %d (%s): %s", i+1, r.Job, reason))
	}
	if len(w.Rules) == 0 {
		why = append(why, "the webhook has no rules")
	}
	return starts, why
}

// Match tells whether a rule fits a delivery. why is the first thing that does
// not fit; or, of one that fits, what had to be taken for granted.
func Match(r pipeline.WebhookRule, f Facts) (ok bool, why string) {
	known := func(name string) string { return f.Known[name] }
	switch {
	case !oneOf(r.Events, known(Event)):
		return false, mismatch(Event, known(Event), r.Events)
	case !oneOf(r.Actions, known(Action)):
		return false, mismatch(Action, known(Action), r.Actions)
	case known(Event) == "push" && known(Action) == ActionDeleted && !slices.Contains(r.Actions, ActionDeleted):
		return false, "the push deletes its branch or tag"
	case r.Merged != nil && known(Merged) != strconv.FormatBool(*r.Merged):
		return false, mismatch(Merged, known(Merged), []string{strconv.FormatBool(*r.Merged)})
	case !anyGlob(r.Branches, known(Branch)):
		return false, mismatch(Branch, known(Branch), r.Branches)
	case !anyGlob(r.Repositories, known(Repository)):
		return false, mismatch(Repository, known(Repository), r.Repositories)
	}
	for _, field := range slices.Sorted(maps.Keys(r.Where)) {
		switch got, there := f.value(field); {
		case !there:
			return false, "the delivery says no " + field
		case got != r.Where[field]: // either may be nobody else's business
			return false, "the field " + field + " is another than the rule asks for"
		}
	}
	return byPath(r.Paths, f)
}

func byPath(globs []string, f Facts) (ok bool, why string) {
	if len(globs) == 0 {
		return true, ""
	}
	for _, path := range f.Paths {
		if anyGlob(globs, path) {
			return true, ""
		}
	}
	switch {
	case f.PathsCut:
		return true, "the list of changed files is not whole, so a rule by path is taken to fit"
	case !f.PathsKnown:
		return false, "the delivery does not say which files were changed"
	}
	return false, "no changed file is one of " + strings.Join(globs, ", ")
}

// Params are the job's parameters as the rule takes them from the delivery. The
// error names a field that the payload does not hold.
func Params(r pipeline.WebhookRule, f Facts) (map[string]string, error) {
	out := make(map[string]string, len(r.Params))
	for _, name := range slices.Sorted(maps.Keys(r.Params)) {
		field := r.Params[name]
		if text, ok := strings.CutPrefix(field, literal); ok {
			out[name] = text
			continue
		}
		text, ok := f.value(field)
		if !ok {
			return nil, fmt.Errorf("the payload has no text of at most %d bytes at %s, which is the parameter %s", MaxField, field, name)
		}
		out[name] = text
	}
	return out, nil
}

// value is a payload field, or with "@" a fact.
func (f Facts) value(field string) (string, bool) {
	if name, ok := strings.CutPrefix(field, factMark); ok {
		text, there := f.Known[name]
		return text, there
	}
	text, ok := f.Fields[field]
	return text, ok
}

// oneOf is true for an empty list, too.
func oneOf(list []string, value string) bool {
	return len(list) == 0 || slices.Contains(list, value)
}

func anyGlob(globs []string, value string) bool {
	if len(globs) == 0 {
		return true
	}
	return value != "" && slices.ContainsFunc(globs, func(g string) bool { return Glob(g, value) })
}

// Glob tells whether a text fits a pattern in which * stands for anything, even
// nothing and even slashes. It takes at most len(pattern) * len(text) steps.
func Glob(pattern, text string) bool {
	p, t, star, resume := 0, 0, -1, 0
	for t < len(text) {
		switch {
		case p < len(pattern) && pattern[p] == '*':
			star, resume = p, t
			p++
		case p < len(pattern) && pattern[p] == text[t]:
			p++
			t++
		case star >= 0:
			resume++
			p, t = star+1, resume
		default:
			return false
		}
	}
	return strings.Trim(pattern[p:], "*") == ""
}

// maxShown is how much of a sender's text is repeated in a reason.
const maxShown = 100

func mismatch(what, got string, want []string) string {
	if got == "" {
		return fmt.Sprintf("the delivery says no %s, and it must be %s", what, strings.Join(want, " or "))
	}
	return fmt.Sprintf("%s is %s, not %s", what, strconv.Quote(got[:min(len(got), maxShown)]), strings.Join(want, " or "))
}
