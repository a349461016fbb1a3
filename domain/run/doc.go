// Package run is one run of a pipeline, from the request to its one end:
// State, the commands that may change it, Decide and Fold. It is pure: time,
// ids and actors come in with the command, and it neither reads a log nor
// starts a process. lane decides who may start, board says why a run waits,
// pipeline makes the plan; the orchestrator and the runner put decisions into
// the log.
//
// Invariants, each held by a property test: replaying the events gives the same
// state; any prefix folds; a finished step never starts again; nothing is
// decided under a fence that is not the live claim's; after its end a run
// changes no more.
package run
