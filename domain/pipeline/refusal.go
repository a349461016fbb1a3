package pipeline

import (
	"fmt"
	"slices"
	"strings"
)

// Refusal is why a request has no plan: an answer for the person who asked.
type Refusal struct {
	// Code is stable, for machines.
	Code string
	// Sentence is raw text in Slack's mrkdwn, with every echoed word quoted; a
	// door escapes it when showing it.
	Sentence string
	// Suggestions are words that would have been understood, nearest first:
	// services, environments, namespaces, jobs or values, as Code says.
	Suggestions []string
}

func (r *Refusal) Error() string { return r.Sentence }

// The codes of Refusal.
const (
	// CodeServiceUnknown suggests services.
	CodeServiceUnknown = "E-APP-404"
	// CodeServiceMissing: no service was named and there is no default; it
	// suggests services.
	CodeServiceMissing = "E-APP-WHICH"
	// CodeEnvironmentUnknown and CodeEnvironmentMissing suggest environments.
	CodeEnvironmentUnknown = "E-ENV-404"
	CodeEnvironmentMissing = "E-ENV-WHERE"
	// CodeEnvironmentProtected: a protected environment must be named.
	CodeEnvironmentProtected = "E-ENV-NAME"
	CodeVersion              = "E-VERSION"
	// CodeNamespaceUnknown and CodeJobUnknown suggest namespaces and jobs.
	CodeNamespaceUnknown = "E-NAMESPACE-404"
	CodeJobUnknown       = "E-JOB-404"
	CodeParameterUnknown = "E-PARAM-404"
	CodeParameterMissing = "E-PARAM-MISSING"
	CodeParameterInvalid = "E-PARAM-VALUE"
	CodePlanTooLarge     = "E-PLAN-LARGE"
	// CodeConfiguration: the configuration itself is at fault.
	CodeConfiguration = "E-CONFIG"
)

// maxListed is how many choices a sentence lists before it says how many more.
const maxListed = 20

func refuse(code string, suggestions []string, format string, args ...any) *Refusal {
	return &Refusal{Code: code, Suggestions: suggestions, Sentence: fmt.Sprintf(format, args...)}
}

// bold lists names as *a*, *b*.
func bold(names []string) string {
	more := ""
	if len(names) > maxListed {
		more = fmt.Sprintf(" and %d more", len(names)-maxListed)
		names = names[:maxListed]
	}
	return "*" + strings.Join(names, "*, *") + "*" + more
}

// meant is " Did you mean …?" or nothing.
func meant(near []string) string {
	if len(near) == 0 {
		return ""
	}
	return " Did you mean " + bold(near) + "?"
}

func names[V any](m map[string]V) []string {
	out := make([]string, 0, len(m))
	for k := range m {
		out = append(out, k)
	}
	slices.Sort(out)
	return out
}
