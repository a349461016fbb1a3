// Package orchestrator is the service that decides: intake turns requests into
// runs, the dispatcher gives slots and watches deadlines and claims, the view
// answers the Connect API and Slack's questions. It executes nothing (runner)
// and posts nothing (notifier). Several replicas are equal: they compete on
// INBOX, one of them holds the dispatcher's office for speed, and all fold the
// same log.
//
// Invariants: a request is acknowledged only after what it caused is in the
// log; one identity means one run; a slot is granted on the lane's own subject;
// a claim is taken only after its lease lapsed under watch.
package orchestrator
