// Package pipeline turns a configuration into the pinned plan of one run.
//
// It provides the configuration as plain data (Config), the rules that a good
// one keeps (Config.Check), and the way from a request to a plan (Resolve for a
// deployment, ResolveJob for a job): names found, parameters checked,
// placeholders substituted, defaults applied. What a sentence after a namespace
// means, when a schedule ticks and which delivery fits a rule is not decided
// here, only that each is configured so that it can be. Reading slipway.yaml is
// internal/configfile's work; who may start what is domain/policy's question;
// what becomes of a plan is domain/run's.
//
// The orchestrator resolves with it; configfile checks with it and reports
// each Fault at its line.
//
// Invariants: a plan needs nothing from the configuration any more; a value
// that a person gave reaches a shell line only as one quoted word, outside
// every quote, expansion, comment and here-document of that line; the value of a
// secret is in no plan; two requests for jobs have one dedupe key exactly when
// job and arguments are the same; a protected environment is never chosen unless
// it is named; a plan is at most MaxPlan bytes.
package pipeline
