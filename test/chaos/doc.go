// Package chaos is the fault harness: many of every service and three NATS
// servers as real processes, every connection between them through package wire,
// people who ask, repeat themselves and change their minds, and bad luck drawn
// from a seed. When the time is over everything is healed, and internal/audit,
// which knows nothing of the implementation, judges the log, what the steps did,
// what Slack shows and what every replica answers.
//
// `make chaos SEED=n MINUTES=m` repeats the decisions and the schedule of a seed;
// the instants are those of the wall clock. `make chaos SEEDS=60 REPORT=file`
// plays many and writes down what happened.
//
// Chosen faults at chosen moments are test/faults', the same promises on pure
// minds in a simulated world are services/orchestrator's TestSimulation's.
package chaos
