// Package webhook decides which jobs a delivery of another system starts: it
// finds the webhook of an address, takes from a payload what rules can ask for,
// and compares the two.
//
// It is not for checking signatures (slack-ingress does) or for starting runs
// (the orchestrator does). Both use it: the door to say at once what will become
// of a delivery, the orchestrator to do it by the configuration in force.
//
// Invariants: a payload is read in one pass with memory for what is wanted and
// no more, however large or deep it is; a field that stands there twice is an
// error, because two readers would see two payloads; everything that leaves here
// has a bound. A rule never fits on a guess, with one exception that is said:
// when the list of changed files is not whole, a rule by path starts its job,
// because a start too many is seen and one too few is not.
package webhook
