// Package lease says who lives: runner incarnations that renew a key in the
// bucket LEASES, offices (roles that one process holds at a time), and the
// watch that tells when an incarnation has lapsed. What follows from a lapse is
// the dispatcher's to decide; what makes a runner's writes safe is the fence in
// the log, never a lease. Runner, orchestrator and notifier use it.
//
// Invariants: a lease counts as alive for less time at its holder than at any
// watcher; a lapse is told only after an unbroken watch of one incarnation of
// the bucket for a full TTL; an office makes things fast, never safe.
package lease
