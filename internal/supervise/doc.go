// Package supervise keeps child processes of this program running: it starts each
// with an order, hears when it is up, and starts it again when it ends, however it
// ends. cmd/slipway runs a cluster on one machine with it; what the children do is
// their own business.
//
// A child gets its order as the first line of its standard input, which then stays
// open for as long as the parent lives: Attend reads the one and watches the other.
// It says on its standard output that it is up (Announce).
//
// Invariants: at most one process per child at a time; a child that never came up
// ends the supervisor with what it said last, one that was up once is started again
// for ever, at most every few seconds; a child never outlives its parent, not even
// one that is killed.
package supervise
