// Package pipeline turns a configuration into the pinned plan of one run.
//
// It provides the configuration as plain data (Config), the rules that a good
// one keeps (Config.Check), and the way from a request to a plan (Resolve):
// names found, parameters checked, placeholders substituted, defaults applied.
// Reading slipway.yaml is internal/configfile's work; who may start what is
// domain/policy's question; what becomes of a plan is domain/run's.
//
// The orchestrator resolves with it; configfile checks with it and reports
// each Fault at its line.
//
// Invariants: a plan needs nothing from the configuration any more; a value
// that a person gave reaches a shell line only as one quoted word, outside
// every quote, expansion, comment and here-document of that line; a protected
// environment is never chosen unless it is named; a plan is at most MaxPlan
// bytes.
package pipeline
