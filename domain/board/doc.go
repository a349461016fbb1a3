// Package board is the state of everything: the fold of the whole log over
// runs, lanes and the configuration, and what follows from all of them
// together: who waits in which queue, at which place, and for which one reason.
// It is pure and not safe for concurrent use; projection feeds it from a log
// and guards it. run and lane know one aggregate each; board decides nothing.
//
// Invariants: every run that is not running has exactly one reason; a run is in
// a queue exactly while it has no slot and has not ended; ended runs are kept as
// summaries of bounded size, their details stay in the log.
package board
